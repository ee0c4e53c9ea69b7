"""The only place of the kernel that divides.

Keeps: numerators and results are whole integers of any size; each mode is named and exact; a value is rounded once,
from its exact fraction, never from something already rounded.
Leaves to others: which mode a methodology names (``domain.kernel.method``).
Source: DESIGN section 6 (rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType


def _down(numerator: int, denominator: int) -> int:
    """Toward zero."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def _half_up(numerator: int, denominator: int) -> int:
    """To the nearest; a tie goes away from zero."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def _half_even(numerator: int, denominator: int) -> int:
    """To the nearest; a tie goes to the even neighbor."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and whole & 1):
        return whole + 1
    return whole


ROUNDINGS: Mapping[str, Callable[[int, int], int]] = MappingProxyType(
    {"down": _down, "half_even": _half_even, "half_up": _half_up}
)


def divide(numerator: int, denominator: int, mode: str) -> int:
    """``numerator`` / ``denominator`` as a whole number, rounded by the named mode.

    Raises ValueError for a denominator that is not positive and KeyError for an unknown mode: both are mistakes
    of the calling code. The functions in ``ROUNDINGS`` are the same rules without these checks, for columns.
    """
    if denominator <= 0:
        raise ValueError(f"denominator must be positive, not {denominator}")
    return ROUNDINGS[mode](numerator, denominator)
