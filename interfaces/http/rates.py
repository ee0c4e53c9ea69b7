"""How often one caller may ask.

Keeps: each caller has a bucket of his own, so that one who asks without end does not keep others from being answered;
it holds two seconds' worth, for those who ask in bursts. Buckets that are full again are forgotten, so memory is
bounded by who asks just now. Leaves to a proxy: strangers, who have no name here, and one limit for several
processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from domain.errors import Rejected

_BURST_S: Final = 2
_SWEEP_AT: Final = 1_000


class Rates:
    """``per_second`` 0: no limit. ``now_s``: a stopwatch. Asked by one thread, that of the event loop."""

    def __init__(self, per_second: int, now_s: Callable[[], float]) -> None:
        self._per_second, self._now_s = per_second, now_s
        self._most = float(per_second * _BURST_S)
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> None:
        """Count a request. Raises Rejected ``too_many_requests``."""
        if not self._per_second:
            return
        now_s = self._now_s()
        left, at_s = self._buckets.get(caller, (self._most, now_s))
        left = min(left + (now_s - at_s) * self._per_second, self._most)
        if left < 1:
            raise Rejected(
                "too_many_requests",
                f"you may ask {self._per_second} times a second",
                remedy="ask again after the seconds that Retry-After names",
            )
        self._buckets[caller] = (left - 1, now_s)
        if len(self._buckets) >= _SWEEP_AT:
            self._forget_full(now_s)

    def _forget_full(self, now_s: float) -> None:
        self._buckets = {
            caller: (left, at_s)
            for caller, (left, at_s) in self._buckets.items()
            if left + (now_s - at_s) * self._per_second < self._most
        }
