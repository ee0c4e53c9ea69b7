"""Units of a formula, checked before a methodology version can be used.

Keeps: only equal units are added, subtracted or compared; a product multiplies units and a shared symbol cancels;
units are never converted (g and kg are different); a literal has no unit, except that 0 fits every unit, so that
``max(0, ...)`` can be written.
Leaves to others: what a symbol means in the world.
Source: DESIGN section 6 (units are checked when the version is drafted).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from domain.errors import Rejected
from domain.kernel.formula import Add, Expression, Greatest, Least, Multiply, Name, Number, Subtract, parts

# Symbol -> exponent, sorted, no zero exponents: "g/km" is (("g", 1), ("km", -1)). None fits every unit (the value 0).
Unit: TypeAlias = tuple[tuple[str, int], ...]

_UNIT = re.compile(r"(?:1|[A-Za-z][A-Za-z0-9_]*)(?:[*/][A-Za-z][A-Za-z0-9_]*)*")
_FACTOR = re.compile(r"([*/]?)([A-Za-z][A-Za-z0-9_]*|1)")
_MAX_LENGTH = 64


def unit_from_text(text: str) -> Unit:
    """``g/km``, ``kg/kWh``, ``trip``, ``1/event``, ``1`` (no unit), ``g/km/person``; groups to the left.

    Raises Rejected ``unit_malformed``.
    """
    if len(text) > _MAX_LENGTH or _UNIT.fullmatch(text) is None:
        raise Rejected(
            "unit_malformed",
            f"{text[:_MAX_LENGTH]!r} is not a unit",
            remedy="write symbols joined by * and /, such as g/km, kWh or 1",
        )
    unit: Unit = ()
    for sign, symbol in _FACTOR.findall(text):
        if symbol != "1":
            unit = _product(unit, ((symbol, -1 if sign == "/" else 1),))
    return unit


def unit_text(unit: Unit) -> str:
    """A readable form of a unit, for messages."""
    over = [symbol for symbol, exponent in unit for _ in range(exponent)]
    under = [symbol for symbol, exponent in unit for _ in range(-exponent)]
    return "/".join(["*".join(over) or "1", *under])


def check_units(e: Expression, units: Mapping[str, str], result_unit: str) -> None:
    """Passes when the formula yields ``result_unit``, given the unit of every name it reads.

    Raises Rejected ``unit_mismatch_in_formula`` or ``unit_malformed``; KeyError for a name without a unit.
    """
    found = _unit(e, {name: unit_from_text(text) for name, text in units.items()})
    if found is not None and found != unit_from_text(result_unit):
        raise _mismatch(
            f"the formula yields {unit_text(found)}, the result is in {result_unit}",
            "correct the formula, a parameter's unit or result_unit",
        )


def _mismatch(message: str, remedy: str) -> Rejected:
    return Rejected("unit_mismatch_in_formula", message, field="formula", remedy=remedy)


def _product(left: Unit, right: Unit) -> Unit:
    exponents = dict(left)
    for symbol, exponent in right:
        exponents[symbol] = exponents.get(symbol, 0) + exponent
    return tuple(sorted((symbol, exponent) for symbol, exponent in exponents.items() if exponent))


def _unit(e: Expression, units: Mapping[str, Unit]) -> Unit | None:
    if isinstance(e, Number):
        return None if e.value.value == 0 else ()
    if isinstance(e, Name):
        return units[e.name]
    found = [_unit(part, units) for part in parts(e)]
    if isinstance(e, Multiply):
        left, right = found
        return None if left is None or right is None else _product(left, right)
    certain = sorted({unit for unit in found if unit is not None})
    if len(certain) > 1:
        first, second = unit_text(certain[0]), unit_text(certain[1])
        raise _mismatch(
            f"{first} and {second} meet in {_OPERATION[type(e)]}",
            "give both sides one unit; a plain number other than 0 has none, so make it a parameter with a unit",
        )
    return certain[0] if certain else None


_OPERATION: Mapping[type[Expression], str] = {
    Add: "a sum",
    Subtract: "a difference",
    Least: "min",
    Greatest: "max",
}
