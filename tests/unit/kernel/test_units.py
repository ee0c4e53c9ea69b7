"""Units of formulas."""

from __future__ import annotations

import pytest

from domain.errors import Rejected
from domain.kernel.formula import parse
from domain.kernel.units import check_units, unit_from_text, unit_text

UNITS = {"quantity": "km", "a": "g/km", "b": "g/km", "kilo": "kg/km", "mass": "g", "share": "1", "people": "person"}


@pytest.mark.parametrize(
    ("formula", "result"),
    [
        ("quantity * (a - b)", "g"),
        ("max(0, quantity * a - mass)", "g"),
        ("max(quantity * a, 0, mass * 0.5)", "g"),
        ("min(0, 0.0) + mass", "g"),
        ("-quantity * -a", "g"),
        ("quantity * kilo", "kg"),
        ("share * mass * (1 + share)", "g"),
        ("quantity * a * people", "person*g"),
        ("a * 2", "g/km"),
        ("quantity * quantity * a", "g*km"),
        ("0 * quantity", "g"),
        ("share - 0.01", "1"),
    ],
)
def test_a_formula_whose_units_agree_passes(formula: str, result: str) -> None:
    check_units(parse(formula), UNITS, result)


@pytest.mark.parametrize(
    ("formula", "result", "told"),
    [
        ("quantity * a", "kg", "the formula yields g, the result is in kg"),
        ("a", "g", "yields g/km"),
        ("quantity + mass", "g", "g and km meet in a sum"),
        ("quantity - 2", "km", "1 and km meet in a difference"),
        ("quantity * (a - kilo)", "g", "g/km and kg/km meet in a difference"),
        ("min(mass, quantity)", "g", "g and km meet in min"),
        ("max(mass, 0, quantity * 2)", "g", "g and km meet in max"),
        ("-(quantity + mass)", "g", "meet in a sum"),
    ],
)
def test_a_formula_that_mixes_units_is_refused(formula: str, result: str, told: str) -> None:
    with pytest.raises(Rejected, match="unit_mismatch_in_formula") as refusal:
        check_units(parse(formula), UNITS, result)
    assert told in refusal.value.message
    assert (refusal.value.field, bool(refusal.value.remedy)) == ("formula", True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("g/km", "g/km"),
        ("km*g/km", "g"),
        ("1/event", "1/event"),
        ("g/km/person", "g/km/person"),
        ("g*g/km/km", "g*g/km/km"),
        ("m3", "m3"),
        ("1", "1"),
        ("kgCO2/kWh", "kgCO2/kWh"),
    ],
)
def test_a_unit_is_reduced_to_its_symbols(text: str, shown: str) -> None:
    assert unit_text(unit_from_text(text)) == shown


@pytest.mark.parametrize("text", ["", " ", "g/", "/km", "g//km", "g km", "g^2", "2", "g/1", "克", "g*", "g" * 65])
def test_a_text_that_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(Rejected, match="unit_malformed"):
        unit_from_text(text)
