"""How large the numbers of a formula can become, proved before the first behavior arrives.

Keeps: for all inputs inside the ranges (at most as many decimals as the range), the result lies in
``[low, high]`` and no integer that ``formula.evaluate`` forms on the way is greater in magnitude than ``widest``.
Leaves to others: what to do with wide formulas (a fast kernel hands them to the big-integer path).
Source: DESIGN section 6 (interval analysis).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from domain.kernel.formula import (
    QUANTITY,
    Add,
    Expression,
    Least,
    Multiply,
    Name,
    Negate,
    Number,
    Subtract,
    parts,
    rescaled,
)
from domain.kernel.method import NO_FACTORS, FactorRows, Method, rows_of
from domain.values import Scaled


class Bounds(NamedTuple):
    """The range of a result (both ends at one scale) and the greatest magnitude of any integer on the way."""

    low: Scaled
    high: Scaled
    widest: int


def fits_63_bits(bounds: Bounds) -> bool:
    """True when a signed 64-bit machine integer holds every step, with either sign."""
    return bounds.widest < 2**63


def bounds(e: Expression, ranges: Mapping[str, tuple[Scaled, Scaled]]) -> Bounds:
    """The bounds of ``e``, given the inclusive range of every name it reads (KeyError for a missing one)."""
    if isinstance(e, Number):
        return _bounds(e.value.value, e.value.value, e.value.scale, 0)
    if isinstance(e, Name):
        (low, high), scale = rescaled(ranges[e.name])
        return _bounds(low, high, scale, 0)
    operands = [bounds(part, ranges) for part in parts(e)]
    widest = max(operand.widest for operand in operands)
    if isinstance(e, Multiply):
        left, right = operands
        corners = [a.value * b.value for a in left[:2] for b in right[:2]]
        return _bounds(min(corners), max(corners), left.low.scale + right.low.scale, widest)
    lows, scale = rescaled([operand.low for operand in operands])
    highs, _ = rescaled([operand.high for operand in operands])
    widest = max([widest, *map(abs, lows), *map(abs, highs)])
    if isinstance(e, Add):
        return _bounds(lows[0] + lows[1], highs[0] + highs[1], scale, widest)
    if isinstance(e, Subtract):
        return _bounds(lows[0] - highs[1], highs[0] - lows[1], scale, widest)
    if isinstance(e, Negate):
        return _bounds(-highs[0], -lows[0], scale, widest)
    pick = min if isinstance(e, Least) else max
    return _bounds(pick(lows), pick(highs), scale, widest)


def _bounds(low: int, high: int, scale: int, widest: int) -> Bounds:
    return Bounds(Scaled(low, scale), Scaled(high, scale), max(widest, abs(low), abs(high)))


def method_bounds(method: Method, factors: FactorRows = NO_FACTORS) -> Bounds:
    """The bounds of a methodology version's formula over its quantity range and every row of its parameters.

    ``widest`` includes the last step before rounding, the result times ``result_mg``.
    Raises Rejected ``factor_release_missing`` when a parameter's factor set is not in ``factors``.
    """
    ranges = {QUANTITY: (Scaled(method.minimum, method.scale), Scaled(method.maximum, method.scale))}
    for parameter in method.parameters:
        integers, scale = rescaled([row.value for row in rows_of(parameter, factors)])
        ranges[parameter.name] = (Scaled(min(integers), scale), Scaled(max(integers), scale))
    low, high, widest = bounds(method.formula, ranges)
    return Bounds(low, high, max(widest, abs(low.value) * method.result_mg, abs(high.value) * method.result_mg))
