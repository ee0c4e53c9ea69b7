"""Interval analysis by hand-checked cases."""

from __future__ import annotations

import pytest

from domain.errors import Rejected
from domain.kernel.formula import parse
from domain.kernel.interval import Bounds, bounds, fits_63_bits, method_bounds
from domain.kernel.method import ParameterRow
from domain.kernel.method_file import method_from_document
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, Scaled
from tests.unit.kernel.documents import metro, open_row

RANGES = {"a": (Scaled(-3, 0), Scaled(20, 1)), "b": (Scaled(4, 0), Scaled(5, 0))}


@pytest.mark.parametrize(
    ("formula", "low", "high", "widest"),
    [
        ("a", Scaled(-30, 1), Scaled(20, 1), 30),
        ("a + b", Scaled(10, 1), Scaled(70, 1), 70),
        ("a - b", Scaled(-80, 1), Scaled(-20, 1), 80),
        ("b - a", Scaled(20, 1), Scaled(80, 1), 80),
        ("a * b", Scaled(-150, 1), Scaled(100, 1), 150),
        ("a * a", Scaled(-600, 2), Scaled(900, 2), 900),
        ("-a", Scaled(-20, 1), Scaled(30, 1), 30),
        ("min(a, b, 1)", Scaled(-30, 1), Scaled(10, 1), 50),
        ("max(a, b)", Scaled(40, 1), Scaled(50, 1), 50),
        ("max(0, a * b)", Scaled(0, 1), Scaled(100, 1), 150),
        ("b + 0.001 - b", Scaled(-999, 3), Scaled(1001, 3), 5001),
    ],
)
def test_bounds_are_the_ends_that_can_be_reached(formula: str, low: Scaled, high: Scaled, widest: int) -> None:
    assert bounds(parse(formula), RANGES) == Bounds(low, high, widest)


def test_63_bits_end_exactly_where_a_machine_integer_does() -> None:
    largest = Scaled(2**63 - 1, 0)
    assert fits_63_bits(bounds(parse("a"), {"a": (Scaled(0, 0), largest)}))
    assert not fits_63_bits(bounds(parse("a + 1"), {"a": (Scaled(0, 0), largest)}))
    assert not fits_63_bits(bounds(parse("min(a, 0.0)"), {"a": (Scaled(0, 0), largest)}))


def test_a_method_is_bounded_over_all_its_rows_and_up_to_the_milligram() -> None:
    parameters = {
        "baseline": {"unit": "g/km", "rows": [open_row("104"), open_row("90.5", "CN")]},
        "project": {"unit": "g/km", "rows": [open_row("32"), open_row("-1", "US")]},
    }
    found = method_bounds(method_from_document(metro(parameters=parameters)))
    # 0.001..200 km at scale 3, times 58.5..105 g/km at scale 1; times 1,000 for mg.
    assert found == Bounds(Scaled(585, 4), Scaled(200_000 * 1_050, 4), 200_000 * 1_050 * 1_000)
    assert fits_63_bits(found)


def test_a_method_with_a_factor_set_is_bounded_by_the_release() -> None:
    document = metro(
        parameters={"grid": {"unit": "g/km", "factor_set": "CN-ELEC-AVG"}}, formula="quantity * grid", caps=[]
    )
    method = method_from_document(document)
    row = ParameterRow("*", Period(FIRST_DAY, AFTER_LAST_DAY), Scaled(10**30, 0))
    assert not fits_63_bits(method_bounds(method, {"CN-ELEC-AVG": (row,)}))
    with pytest.raises(Rejected, match="factor_release_missing"):
        method_bounds(method)
