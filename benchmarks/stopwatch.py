"""Wall time and the processor time of this process, of one piece of work."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any


class Stopwatch:
    """``with Stopwatch() as watch: work``, then ``watch.answer(rows)`` is what a task returns."""

    def __enter__(self) -> Stopwatch:
        self._cpu_started = time.process_time()
        self._started = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._seconds = time.perf_counter() - self._started
        self._cpu_seconds = time.process_time() - self._cpu_started

    def answer(self, rows: int, **more: Any) -> dict[str, Any]:
        """``rows`` handled, ``seconds``, ``cpu_seconds`` (all threads, without the server), and whatever else."""
        return {"rows": rows, "seconds": self._seconds, "cpu_seconds": self._cpu_seconds, **more}


def untimed(**more: Any) -> dict[str, Any]:
    """The answer of a task that only prepares."""
    return {"rows": 0, "seconds": 0, "cpu_seconds": 0, **more}
