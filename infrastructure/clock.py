"""Clocks other than the database's own.

Keeps: a simulated book tells its times (and its genesis event says so); nobody's wall clock enters it. Without a
driver its time is that of its last commit. The machine's own clock is asked by a witness, which has no book, and by
what waits for others: it enters no fact.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def system_seconds() -> int:
    """Seconds since 1970-01-01T00:00:00Z by this machine's clock."""
    return time.time_ns() // 1_000_000_000


def system_microseconds() -> int:
    """Microseconds since then."""
    return time.time_ns() // 1_000


class SimulatedClock:
    """A clock that shows what it was told, in microseconds since 1970-01-01T00:00:00Z; never goes back."""

    def __init__(self, read_head_us: Callable[[], int]) -> None:
        self._read_head_us = read_head_us
        self._told_us = 0

    def tell(self, now_us: int) -> None:
        """Set the time."""
        self._told_us = max(self._told_us, now_us)

    def __call__(self) -> int:
        return max(self._told_us, self._read_head_us())
