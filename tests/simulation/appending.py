"""When the append of a batch happens while the next batch is being decided: as early or as late as it can.

Keeps: both stand in for the one-thread pool of ``application.crediting``, so that a world follows from its seed alone;
real threads are for the races.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from application.ports.journal import Moved
from tests.simulation.stage import Killed, Outage


class _Deferred(Future[Any]):
    """Work that is done when somebody asks for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work: Callable[[], Any] | None = work

    def finish(self) -> None:
        """Do the work, once; what it raises is kept for whoever asks for the result, as a pool does."""
        work, self._work = self._work, None
        if work is not None:
            try:
                self.set_result(work())
            except (Moved, Killed, Outage) as error:
                self.set_exception(error)

    def result(self, timeout: float | None = None) -> Any:
        self.finish()
        return super().result(timeout)


class LateAppends:
    """The append happens when its result is needed: after the next batch was decided."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._last: _Deferred | None = None

    def __enter__(self) -> LateAppends:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """As the pool does, finish what was begun; unless the process was killed."""
        if self._last is not None and (kind is None or issubclass(kind, Exception)):
            self._last.finish()

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        self._last = _Deferred(lambda: work(*args))
        return self._last


class EarlyAppends(LateAppends):
    """The append happens at once: before the next batch is decided."""

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        self._last = _Deferred(lambda: work(*args))
        self._last.finish()
        return self._last
