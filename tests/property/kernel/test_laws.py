"""Laws of the kernel that hold for every input, searched by hypothesis.

Keeps: a fast form equals the readable one; what is proved about ranges is true of ``evaluate``; columns equal rows.
Leaves to ``dense``: the crowded borders, which a random search meets too rarely.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from domain.kernel.caps import WINDOWS, CapUse, credit, requantify
from domain.kernel.decimals import at_scale, decimal_from_text
from domain.kernel.formula import (
    Add,
    Expression,
    Greatest,
    Least,
    Multiply,
    Name,
    Negate,
    Number,
    Subtract,
    bind,
    evaluate,
    names,
    parse,
    parts,
)
from domain.kernel.interval import bounds, fits_63_bits
from domain.kernel.method import Cap
from domain.kernel.rounding import ROUNDINGS, divide
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, Scaled
from tests.property.kernel import oracle

MODES = sorted(ROUNDINGS)
NAMES = ("quantity", "a", "b")
INTEGERS = st.one_of(st.integers(-20, 20), st.integers(-(10**30), 10**30))
SCALED = st.builds(Scaled, INTEGERS, st.integers(0, 9))
DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=19)
LITERALS = st.builds(
    Number, st.builds(Scaled, st.one_of(st.integers(0, 20), st.integers(0, 10**30)), st.integers(0, 9))
)
LEAVES = st.one_of(LITERALS, st.sampled_from(NAMES).map(Name))


def _grow(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(
        st.builds(Add, inner, inner),
        st.builds(Subtract, inner, inner),
        st.builds(Multiply, inner, inner),
        st.builds(Negate, inner),
        st.builds(Least, several),
        st.builds(Greatest, several),
    )


EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(LEAVES, _grow, max_leaves=10)
VALUES = st.fixed_dictionaries(dict.fromkeys(NAMES, SCALED))

DAYS = st.integers(date(2019, 12, 29).toordinal(), date(2020, 1, 3).toordinal())
CAPS = st.lists(
    st.builds(Cap, st.sampled_from(["day", "month", "year"]), st.sampled_from(["mass", "count"]), st.integers(0, 40)),
    max_size=4,
)
COMPUTED = st.integers(-30, 60)
ROWS = st.lists(st.tuples(DAYS, COMPUTED), max_size=12)
USED = st.lists(st.tuples(DAYS, st.integers(0, 50)), max_size=5)


def text_of(e: Expression) -> str:
    """The formula text that reads as ``e``, with every parenthesis written."""
    if isinstance(e, Number):
        digits = str(e.value.value).rjust(e.value.scale + 1, "0")
        whole = len(digits) - e.value.scale
        return digits if e.value.scale == 0 else f"{digits[:whole]}.{digits[whole:]}"
    if isinstance(e, Name):
        return e.name
    inner = [text_of(part) for part in parts(e)]
    if isinstance(e, Negate):
        return f"-({inner[0]})"
    if isinstance(e, Least | Greatest):
        return f"{'min' if isinstance(e, Least) else 'max'}({', '.join(inner)})"
    sign = {Add: "+", Subtract: "-", Multiply: "*"}[type(e)]
    return f"({inner[0]}) {sign} ({inner[1]})"


def exact(value: Scaled) -> Fraction:
    return Fraction(value.value, 10**value.scale)


def use_of(rows: list[tuple[int, int]]) -> CapUse:
    use = CapUse()
    for day, mg in rows:
        use.charge(day, mg)
    return use


@given(EXPRESSIONS)
def test_a_formula_written_out_reads_back_as_itself(e: Expression) -> None:
    assert parse(text_of(e)) == e


@given(EXPRESSIONS, VALUES)
def test_a_formula_is_worth_its_exact_fraction(e: Expression, values: dict[str, Scaled]) -> None:
    want = oracle.formula_value(text_of(e), {name: exact(value) for name, value in values.items()})
    assert exact(evaluate(e, values)) == want


@given(EXPRESSIONS, VALUES)
def test_a_bound_formula_gives_the_same_integer_at_the_same_scale(e: Expression, values: dict[str, Scaled]) -> None:
    quantity = values["quantity"]
    bound = bind(e, {"a": values["a"], "b": values["b"]}, {"quantity": quantity.scale})
    for number in (quantity.value, 0, 1, -1, 2**63):
        want = evaluate(e, {**values, "quantity": Scaled(number, quantity.scale)})
        assert Scaled(bound.evaluate(number), bound.scale) == want


class Watched(int):
    """An integer that remembers the greatest magnitude of all that were computed with it."""

    widest = 0

    def __new__(cls, value: int) -> Watched:
        cls.widest = max(cls.widest, abs(int(value)))
        return super().__new__(cls, value)


def _watched(operation: str) -> Callable[..., Watched]:
    def apply(self: Watched, *others: int) -> Watched:
        return Watched(getattr(int, operation)(self, *others))

    return apply


for _operation in ("__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__neg__"):
    setattr(Watched, _operation, _watched(_operation))


def watched(e: Expression) -> Expression:
    """The same formula with literals that are watched too."""
    if isinstance(e, Number):
        return Number(Scaled(Watched(e.value.value), e.value.scale))
    if isinstance(e, Name):
        return e
    if isinstance(e, Least | Greatest):
        return type(e)(tuple(watched(part) for part in e.arguments))
    return type(e)(*(watched(part) for part in parts(e)))


@given(EXPRESSIONS, st.data())
def test_no_step_of_a_formula_is_wider_than_the_interval_analysis_says(e: Expression, data: st.DataObject) -> None:
    ranges: dict[str, tuple[Scaled, Scaled]] = {}
    values: dict[str, Scaled] = {}
    for name in sorted(names(e)):
        scale = data.draw(st.integers(0, 6))
        low, inside, high = sorted(data.draw(st.tuples(INTEGERS, INTEGERS, INTEGERS)))
        # A range may be stated with more decimals than the value has.
        more = data.draw(st.integers(0, 3))
        ranges[name] = (Scaled(low * 10**more, scale + more), Scaled(high, scale))
        values[name] = Scaled(data.draw(st.sampled_from([low, inside, high])), scale)
    found = bounds(e, ranges)
    Watched.widest = 0
    result = evaluate(watched(e), {name: Scaled(Watched(v.value), v.scale) for name, v in values.items()})
    widest = max(Watched.widest, abs(result.value))
    assert exact(found.low) <= exact(result) <= exact(found.high)
    assert found.low.scale == found.high.scale >= result.scale
    assert widest <= found.widest
    if fits_63_bits(found):
        assert widest <= 2**63 - 1


@given(EXPRESSIONS, VALUES)
def test_the_bounds_of_fixed_inputs_are_the_value_itself(e: Expression, values: dict[str, Scaled]) -> None:
    result = evaluate(e, values)
    found = bounds(e, {name: (value, value) for name, value in values.items()})
    assert (found.low, found.high) == (result, result)


@given(EXPRESSIONS)
def test_names_are_those_that_evaluation_needs(e: Expression) -> None:
    evaluate(e, dict.fromkeys(names(e), Scaled(1, 0)))
    for name in names(e):
        with pytest.raises(KeyError, match=name):
            evaluate(e, dict.fromkeys(names(e) - {name}, Scaled(1, 0)))


@given(INTEGERS, st.integers(1, 10**12), st.sampled_from(MODES))
def test_a_rounded_value_is_a_nearest_neighbor_chosen_by_its_mode(numerator: int, denominator: int, mode: str) -> None:
    got = divide(numerator, denominator, mode)
    value = Fraction(numerator, denominator)
    assert got == oracle.rounded(value, mode)
    assert abs(got - value) < 1 if mode == "down" else abs(got - value) <= Fraction(1, 2)
    assert divide(-numerator, denominator, mode) == -got
    assert divide(got * denominator, denominator, mode) == got


@given(INTEGERS, INTEGERS, st.integers(1, 10**6), st.sampled_from(MODES))
def test_more_is_never_rounded_to_less(one: int, other: int, denominator: int, mode: str) -> None:
    low, high = sorted((one, other))
    assert divide(low, denominator, mode) <= divide(high, denominator, mode)


@given(st.integers(-(10**20), 10**20), st.integers(0, 12), st.integers(0, 12))
def test_a_decimal_keeps_its_value_at_another_scale_or_is_refused(value: int, scale: int, wanted: int) -> None:
    found = at_scale(Scaled(value, scale), wanted)
    target = Fraction(value, 10**scale) * 10**wanted
    assert found == (int(target) if target.denominator == 1 else None)


@given(st.sampled_from(["", "-"]), DIGITS, st.just("") | DIGITS.map(lambda digits: f".{digits}"))
def test_a_decimal_text_is_read_exactly(sign: str, whole: str, fraction: str) -> None:
    text = sign + whole + fraction
    found = decimal_from_text(text)
    assert found is not None
    assert exact(found) == Fraction(text)


@given(st.text(alphabet="0123456789.+-*(),ab _minxquty\n\t１²e/", max_size=60))
def test_any_text_is_a_formula_or_a_clean_refusal(text: str) -> None:
    refusals: list[Rejected] = []
    try:
        e = parse(text)
        evaluate(e, dict.fromkeys(names(e), Scaled(1, 0)))
    except Rejected as refusal:
        refusals.append(refusal)
    for found in refusals:
        assert (found.code, bool(found.remedy)) == ("formula_malformed", True)
        assert 1 <= int(found.field) <= len(text) + 1


@given(CAPS, ROWS, USED)
def test_a_column_of_credits_equals_the_same_credits_one_by_one(
    caps: list[Cap], rows: list[tuple[int, int]], used: list[tuple[int, int]]
) -> None:
    together, apart = use_of(used), use_of(used)
    column = credit(caps, [day for day, _ in rows], [mg for _, mg in rows], together)
    assert column == [credit(caps, [day], [mg], apart)[0] for day, mg in rows]
    assert together == apart


@given(CAPS, ROWS, USED)
def test_a_window_never_exceeds_its_limit_or_what_it_held_before(
    caps: list[Cap], rows: list[tuple[int, int]], used: list[tuple[int, int]]
) -> None:
    before, use = use_of(used), use_of(used)
    credited = credit(caps, [day for day, _ in rows], [mg for _, mg in rows], use)
    assert all(0 <= mg <= max(0, computed) for mg, (_, computed) in zip(credited, rows, strict=True))
    for cap in (cap for cap in caps if cap.kind == "mass"):
        for day, _ in rows:
            window = WINDOWS[cap.window](day)
            assert use.total(window)[0] <= max(cap.limit, before.total(window)[0])


@given(CAPS, ROWS, USED)
def test_every_recorded_credit_uses_one_count_whatever_its_mass(
    caps: list[Cap], rows: list[tuple[int, int]], used: list[tuple[int, int]]
) -> None:
    use = use_of(used)
    credit(caps, [day for day, _ in rows], [mg for _, mg in rows], use)
    assert use.total(Period(FIRST_DAY, AFTER_LAST_DAY))[1] == len(rows) + len(used)


@given(CAPS, st.lists(st.tuples(DAYS, st.none() | COMPUTED), max_size=12), USED)
def test_a_requantification_is_a_crediting_on_top_of_what_is_outside_and_changes_nothing_else(
    caps: list[Cap], rows: list[tuple[int, int | None]], used: list[tuple[int, int]]
) -> None:
    outside = use_of(used)
    got = requantify(caps, [day for day, _ in rows], [mg for _, mg in rows], outside)
    assert got == credit(caps, [day for day, _ in rows], [mg or 0 for _, mg in rows], use_of(used))
    assert outside == use_of(used)


@given(ROWS, st.integers(1, 400), DAYS)
def test_cap_use_totals_are_the_sums_of_their_days(rows: list[tuple[int, int]], length: int, start: int) -> None:
    use, period = use_of(rows), Period(start, start + length)
    inside = [mg for day, mg in rows if start <= day < start + length]
    assert use.total(period) == (sum(inside), len(inside))


@given(ROWS, DAYS)
def test_a_snapshot_of_cap_use_restores_it_also_after_years_were_forgotten(
    rows: list[tuple[int, int]], before: int
) -> None:
    use = use_of(rows)
    use.forget(before)
    assert CapUse.from_list(use.to_list(), use.since) == use
    assert use == use_of([row for row in rows if row[0] >= before]) or use.since == before
    assert use.total(Period(before, AFTER_LAST_DAY)) == use_of([r for r in rows if r[0] >= before]).total(
        Period(before, AFTER_LAST_DAY)
    )


@given(st.dates(min_value=date(2, 1, 1), max_value=date(9998, 12, 31)), st.sampled_from(["day", "month", "year"]))
def test_a_cap_window_is_the_civil_period_that_holds_the_day(day: date, window: Any) -> None:
    start, end = WINDOWS[window](day.toordinal())
    assert start <= day.toordinal() < end
    for edge, same in ((start, True), (start - 1, False), (end - 1, True), (end, False)):
        assert oracle.same_window(window, date.fromordinal(edge), day) is same
    assert date.fromordinal(start) + timedelta(days=end - start) == date.fromordinal(end)
