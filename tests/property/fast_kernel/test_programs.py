"""What the kernel runs for a formula gives the integer that the law gives, or there is nothing to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from domain.kernel.formula import (
    QUANTITY,
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
    parse,
    parts,
)
from domain.kernel.method import Method
from domain.kernel.rounding import ROUNDINGS, divide
from domain.kernel.valuation import formula_in_mg
from domain.values import Scaled
from infrastructure.fast_kernel.programs import ROUNDING_CODES, SAFE, Program, program_of
from tests.property.fast_kernel.variants import plain_function

MODES = sorted(ROUNDINGS)
RULE = np.dtype([(name, "i8") for name in ("slope", "offset", "divisor", "rounding", "steps_from", "steps_to")])
STEP = np.dtype([("operation", "i8"), ("constant", "i8")])


class Some(NamedTuple):
    """As much of the tables as a value needs."""

    rules: Any
    steps: Any


value_in_passes = plain_function("value_of")
divide_in_passes = plain_function("divide")

INTEGERS = st.one_of(st.integers(-20, 20), st.integers(-20, 20), st.integers(-(10**12), 10**12))
VALUES = st.builds(Scaled, INTEGERS, st.integers(0, 4))
LITERALS = st.builds(Number, st.builds(Scaled, st.integers(0, 30), st.integers(0, 4)))
LEAVES = st.one_of(LITERALS, st.sampled_from((QUANTITY, QUANTITY, "a", "b")).map(Name))


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


FORMULAS: st.SearchStrategy[Expression] = st.recursive(LEAVES, _grow, max_leaves=10)


def method_of(formula: Expression, least: int, most: int, scale: int, rounding: str, result_mg: int = 1_000) -> Method:
    return Method(
        *("CODE", 1, "dense.case", {}, "km", scale, least, most, (), formula, "", result_mg, rounding, 480, 0, ())
    )


def run(program: Program, quantity: int) -> int:
    """By the passes; an overflow is an error."""
    rule = (program.slope, program.offset, program.divisor, program.rounding, 0, len(program.steps))
    rules, steps = np.array([rule], RULE), np.array(list(program.steps), STEP)
    with np.errstate(over="raise"):
        return int(value_in_passes(Some(rules, steps), 0, np.int64(quantity), np.zeros(256, np.int64)))


def by_the_law(method: Method, values: Mapping[str, Scaled], quantity: int) -> int:
    exact = evaluate(formula_in_mg(method), {**values, QUANTITY: Scaled(quantity, method.scale)})
    return divide(exact.value, 10**exact.scale, method.rounding)


def integers_formed(e: Expression, values: Mapping[str, Scaled]) -> list[int]:
    """The results of all parts of an expression, its own last."""
    formed = [integer for part in parts(e) for integer in integers_formed(part, values)]
    return [*formed, evaluate(e, values).value]


@given(
    FORMULAS,
    st.fixed_dictionaries({"a": VALUES, "b": VALUES}),
    st.lists(st.one_of(st.integers(1, 20), st.integers(1, 10**7)), min_size=2, max_size=5).map(sorted),
    st.integers(0, 3),
    st.sampled_from(MODES),
    st.sampled_from((1_000, 1_000_000)),
)
def test_a_program_gives_the_integer_of_the_law_for_every_quantity_of_its_range(
    formula: Expression, values: dict[str, Scaled], quantities: list[int], scale: int, rounding: str, result_mg: int
) -> None:
    method = method_of(formula, quantities[0], quantities[-1], scale, rounding, result_mg)
    program = program_of(method, values)
    event("nothing to run" if program is None else "a line" if not program.steps else "steps")
    if program is not None:
        assert [run(program, q) for q in quantities] == [by_the_law(method, values, q) for q in quantities]


@given(
    FORMULAS,
    st.builds(Scaled, st.integers(10**12, 10**19), st.integers(0, 2)),
    st.integers(10**5, 10**9),
    st.integers(0, 3),
)
def test_there_is_no_program_where_a_number_on_the_way_leaves_61_bits(
    formula: Expression, a: Scaled, most: int, scale: int
) -> None:
    values = {"a": a, "b": Scaled(3, 1)}
    method = method_of(formula, 1, most, scale, "half_up")
    in_mg = formula_in_mg(method)
    line = bind(in_mg, values, {QUANTITY: scale}).line
    if line is None:
        formed = [i for q in (1, most) for i in integers_formed(in_mg, {**values, QUANTITY: Scaled(q, scale)})]
    else:
        formed = [line[0] * q + line[1] for q in (1, most)]
    if max(map(abs, formed)) >= SAFE:
        event("wide")
        assert program_of(method, values) is None


@pytest.mark.parametrize(
    ("formula", "a", "most"),
    [
        ("quantity * a", Scaled(SAFE // 1_000, 0), 2),
        ("quantity * a + 1", Scaled(-(10**12), 0), 10**6),
        ("quantity", Scaled(0, 0), SAFE),
        ("min(quantity * a, 1)", Scaled(10**10, 0), 10**9),
        ("min(quantity, a)", Scaled(1, 19), 5),
        ("quantity * quantity * a", Scaled(1, 0), 10**9),
    ],
)
def test_a_range_that_is_too_wide_has_no_program_and_a_narrow_one_has(formula: str, a: Scaled, most: int) -> None:
    assert program_of(method_of(parse(formula), 1, most, 0, "down"), {"a": a}) is None
    assert program_of(method_of(parse(formula), 1, 1, 0, "down"), {"a": Scaled(7, 1)}) is not None


@given(st.sampled_from(MODES), st.integers(-SAFE + 1, SAFE - 1), st.integers(1, SAFE - 1))
def test_the_passes_round_as_the_law_does_up_to_the_proved_bound(mode: str, numerator: int, divisor: int) -> None:
    with np.errstate(over="raise"):
        got = divide_in_passes(np.int64(numerator), np.int64(divisor), ROUNDING_CODES[mode])
    assert int(got) == divide(numerator, divisor, mode)


@pytest.mark.parametrize("mode", MODES)
def test_the_passes_round_halves_as_the_law_does_on_both_sides_of_zero(mode: str) -> None:
    cases = [(n, d) for d in (1, 2, 3, 4, 8, 10, 1_000) for n in [*range(-45, 46), 500, 1_500, -500, -1_500]]
    cases += [(SAFE - 1, 2), (1 - SAFE, 2), (SAFE - 1, SAFE - 1), (1 - SAFE, SAFE - 1)]
    code = ROUNDING_CODES[mode]
    got = [int(divide_in_passes(np.int64(n), np.int64(d), code)) for n, d in cases]
    assert got == [divide(n, d, mode) for n, d in cases]
