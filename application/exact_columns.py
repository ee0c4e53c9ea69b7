"""Sums over columns of masses that never wrap: 64-bit where it is proved to fit, split or Python integers beyond.

Keeps: every answer is the exact integer; a column is int64, or of Python integers (dtype object) where 62 bits do not
hold it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from application.ports.archive import BOUND, NONE

Column: TypeAlias = npt.NDArray[Any]

_LOW_BITS: Final = 31


def column_of(values: Iterable[int]) -> Column:
    """The values as int64 (``NONE`` among them), or as Python integers where one reaches the bound."""
    held = list(values)
    fits = all(each == NONE or -BOUND < each < BOUND for each in held)
    return np.array(held, dtype=np.int64 if fits else object)


def fits(values: Column) -> bool:
    """True when no partial sum of the column can reach the bound."""
    if values.dtype == object:
        return False
    return not len(values) or len(values) * max(int(values.max()), -int(values.min())) < BOUND


def sums_by(keys: npt.NDArray[Any], size: int, values: Column) -> Column:
    """Sum of the values of each key in 0..size-1; 0 for keys that do not occur."""
    if values.dtype == object or fits(values):
        sums = np.zeros(size, dtype=values.dtype)
        np.add.at(sums, keys, values)
        return sums
    high, low = _halves(values)
    return _joined(sums_by(keys, size, high), sums_by(keys, size, low))


def sums_from(values: Column, starts: npt.NDArray[np.intp]) -> Column:
    """Sums of the runs of values that begin at ``starts``."""
    if values.dtype == object or fits(values):
        sums: Column = np.add.reduceat(values, starts)
        return sums
    high, low = _halves(values)
    return _joined(sums_from(high, starts), sums_from(low, starts))


def total(values: Column) -> int:
    """Sum of a column."""
    return int(values.sum()) if fits(values) else sum(map(int, values))


def added(one: Column, other: Column) -> Column:
    """Row by row, in Python integers where 64 bits might not do."""
    return one + other if fits(one) and fits(other) else column_of(map(int, one.astype(object) + other.astype(object)))


def _halves(values: Column) -> tuple[Column, Column]:
    """value = high * 2^31 + low. The sum of either over any column in memory stays far below 2^62."""
    return values >> _LOW_BITS, values & ((1 << _LOW_BITS) - 1)


def _joined(high: Column, low: Column) -> Column:
    joined: Column = high.astype(object) * (1 << _LOW_BITS) + low.astype(object)
    return joined
