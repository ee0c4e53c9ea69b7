"""How far a long command has come, on stderr.

Keeps: a bar on a terminal; elsewhere a line at most every ten seconds, so that a log stays readable; nothing at all
for what is done sooner.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from application.importing import ImportResult
from application.ports.behavior_source import BehaviorSource
from interfaces.cli.output import console_on

_LINE_EVERY_SECONDS = 10


class Progress:
    """Shows progress on stderr as it is then."""

    @contextmanager
    def counting(self, doing: str, things: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """``tell(done)`` with how many ``things`` are done, of ``total`` where the size of the work is known."""
        with self._shown(doing, total) as tell:
            yield lambda done: tell(done, done, things)

    @contextmanager
    def reading(self, source: BehaviorSource) -> Iterator[Callable[[ImportResult], None]]:
        """For an import: rows by count, the way to go by bytes."""
        with self._shown("importing", source.size_bytes) as tell:
            yield lambda result: tell(source.bytes_read, result.read, "rows")

    @contextmanager
    def naming(self, doing: str) -> Iterator[Callable[[str], None]]:
        """``tell(part)``: which part of the work begins."""
        if sys.stderr.isatty():
            with console_on(sys.stderr).status(doing) as status:
                yield lambda part: status.update(f"{doing}: {part}")
        else:
            lines = _Lines(doing, None)
            yield lines.name

    @contextmanager
    def _shown(self, doing: str, total: int | None) -> Iterator[Callable[[int, int, str], None]]:
        if sys.stderr.isatty():
            with _bar(doing, total) as tell:
                yield tell
        else:
            yield _Lines(doing, total)


class _Lines:
    """Progress for a log file."""

    def __init__(self, doing: str, total: int | None) -> None:
        self._doing, self._total = doing, total
        self._started = self._told = time.monotonic()

    def name(self, part: str) -> None:
        """A part of the work begins."""
        now = time.monotonic()
        if now - self._told >= _LINE_EVERY_SECONDS:
            self._told = now
            print(f"{self._doing}: {part}", file=sys.stderr, flush=True)

    def __call__(self, done: int, count: int, things: str) -> None:
        now = time.monotonic()
        if now - self._told < _LINE_EVERY_SECONDS:
            return
        self._told = now
        seconds = now - self._started
        line = f"{self._doing}: {count:,} {things}, {round(count / seconds):,} {things}/s"
        if self._total and done > 0:
            left = seconds * max(0, self._total - done) / done
            line += f", {100 * done // self._total} %, about {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)


@contextmanager
def _bar(doing: str, total: int | None) -> Iterator[Callable[[int, int, str], None]]:
    from rich import progress as rich

    columns: list[rich.ProgressColumn] = [rich.SpinnerColumn(), rich.TextColumn("{task.description}")]
    if total is not None:
        columns += [rich.BarColumn(bar_width=None), rich.TaskProgressColumn()]
    columns += [rich.TextColumn("{task.fields[count]}"), rich.TimeElapsedColumn()]
    if total is not None:
        columns += [rich.TextColumn("left"), rich.TimeRemainingColumn()]
    started = time.monotonic()
    with rich.Progress(*columns, console=console_on(sys.stderr), transient=True) as bars:
        task = bars.add_task(doing, total=total, count="")

        def tell(done: int, count: int, things: str) -> None:
            seconds = max(time.monotonic() - started, 0.001)
            bars.update(task, completed=done, count=f"{count:,} {things}, {round(count / seconds):,}/s")

        yield tell
