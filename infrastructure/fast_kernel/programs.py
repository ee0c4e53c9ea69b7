"""From the formula tree of a methodology version to what the compiled kernel runs.

Keeps: the same tree that the reference evaluates; a formula whose every step is not proved to stay far inside 63 bits
(interval analysis over the version's quantity range) gets no program, so that its rows take the big-integer path.
Source: DESIGN section 6 (formula, interval analysis).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from domain.kernel.formula import (
    QUANTITY,
    Add,
    Expression,
    Greatest,
    Least,
    Multiply,
    Negate,
    Subtract,
    bind,
    evaluate,
    names,
    parts,
)
from domain.kernel.interval import bounds
from domain.kernel.method import Method
from domain.kernel.valuation import formula_in_mg
from domain.values import Scaled

PUSH_QUANTITY: Final = 0
PUSH_CONSTANT: Final = 1
MULTIPLY: Final = 2
ADD: Final = 3
SUBTRACT: Final = 4
NEGATE: Final = 5
LEAST: Final = 6
GREATEST: Final = 7

ROUNDING_CODES: Final = {"down": 0, "half_even": 1, "half_up": 2}
SAFE: Final = 2**61
"""Rounding doubles a number and adds the divisor: what stays below this cannot leave 63 bits."""

_OPERATIONS: Final[dict[type[Expression], int]] = {
    Multiply: MULTIPLY,
    Add: ADD,
    Subtract: SUBTRACT,
    Negate: NEGATE,
    Least: LEAST,
    Greatest: GREATEST,
}


class Program(NamedTuple):
    """mg = round((``slope`` x quantity + ``offset``) / ``divisor``), or of what ``steps`` leave on the stack.

    ``steps``: (operation, constant) in postfix order; empty when slope and offset say it all.
    """

    slope: int
    offset: int
    steps: tuple[tuple[int, int], ...]
    divisor: int
    rounding: int


def program_of(method: Method, values: Mapping[str, Scaled]) -> Program | None:
    """The program of a version with these parameter values; None where 63 bits are not proved to suffice."""
    in_mg = formula_in_mg(method)
    bound = bind(in_mg, values, {QUANTITY: method.scale})
    divisor, rounding = 10**bound.scale, ROUNDING_CODES[method.rounding]
    if max(divisor, abs(method.minimum), abs(method.maximum)) >= SAFE:
        return None
    if bound.line is not None:
        slope, offset = bound.line
        widest = max(abs(slope * method.minimum), abs(slope * method.maximum), abs(slope)) + abs(offset)
        return Program(slope, offset, (), divisor, rounding) if widest < SAFE else None
    ranges = {QUANTITY: (Scaled(method.minimum, method.scale), Scaled(method.maximum, method.scale))}
    ranges |= {name: (value, value) for name, value in values.items()}
    if bounds(in_mg, ranges).widest >= SAFE:
        return None
    steps, _ = _steps(in_mg, values, method.scale)
    return Program(0, 0, tuple(steps), divisor, rounding)


def _steps(e: Expression, values: Mapping[str, Scaled], quantity_scale: int) -> tuple[list[tuple[int, int]], int]:
    """Postfix steps of ``e`` and the scale of their result: exactly the integers that ``formula.evaluate`` forms."""
    if QUANTITY not in names(e):
        constant = evaluate(e, values)
        return [(PUSH_CONSTANT, constant.value)], constant.scale
    if not parts(e):
        return [(PUSH_QUANTITY, 0)], quantity_scale
    operands = [_steps(part, values, quantity_scale) for part in parts(e)]
    operation = _OPERATIONS[type(e)]
    if isinstance(e, Multiply):
        (left, left_scale), (right, right_scale) = operands
        return [*left, *right, (MULTIPLY, 0)], left_scale + right_scale
    scale = max(part_scale for _, part_scale in operands)
    steps: list[tuple[int, int]] = []
    for index, (part, part_scale) in enumerate(operands):
        steps += part
        if part_scale < scale:
            steps += [(PUSH_CONSTANT, 10 ** (scale - part_scale)), (MULTIPLY, 0)]
        if index:
            steps.append((operation, 0))
    if isinstance(e, Negate):
        steps.append((NEGATE, 0))
    return steps, scale
