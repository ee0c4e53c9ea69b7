"""Sorting more than fits into memory: records of one length, in runs on disk, merged before there are many of them."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import IO, Any, Self

RECORDS_HELD = 200_000
MERGED_AT_ONCE = 64
"""So many runs become one of the next level: fewer files are open at a time than a level has, for each level."""
_BLOCK_RECORDS = 4_096


class DiskSort:
    """Takes records of ``length`` bytes in any order and gives them back sorted. Memory is flat."""

    def __init__(self, length: int, *, held: int = RECORDS_HELD) -> None:
        self._length, self._most = length, held
        self._held: list[bytes] = []
        self._levels: list[list[IO[bytes]]] = [[]]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runs in self._levels:
            for run in runs:
                run.close()

    def add(self, record: bytes) -> None:
        """Take one record."""
        self._held.append(record)
        if len(self._held) >= self._most:
            self._write()

    def sorted(self) -> Iterator[bytes]:
        """All records in order; ask once."""
        if not any(self._levels):
            self._held.sort()
            return iter(self._held)
        self._write()
        return heapq.merge(*(self._read(run) for runs in self._levels for run in runs))

    def _write(self) -> None:
        self._held.sort()
        held, self._held = self._held, []
        self._keep(0, held)

    def _keep(self, level: int, records: Iterable[bytes]) -> None:
        """A new run of a level; with enough of them, one of the next."""
        run = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the sort, or when it is merged
        if level == len(self._levels):
            self._levels.append([])
        runs = self._levels[level]
        runs.append(run)
        waiting = iter(records)
        while block := b"".join(islice(waiting, _BLOCK_RECORDS)):
            run.write(block)
        if len(runs) == MERGED_AT_ONCE:
            self._keep(level + 1, heapq.merge(*map(self._read, runs)))
            for each in runs:
                each.close()
            runs.clear()

    def _read(self, run: IO[bytes]) -> Iterator[bytes]:
        run.seek(0)
        length = self._length
        while block := run.read(length * _BLOCK_RECORDS):
            for start in range(0, len(block), length):
                yield block[start : start + length]


def merged(left: Iterator[Any], right: Iterator[Any], key: Callable[[Any], Any]) -> Iterator[Any]:
    """Two sorted sources as one; an order that is wrong in one of them stays wrong."""
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and key(one) <= key(other)):
            yield one
            one = next(left, None)
        else:
            yield other
            other = next(right, None)
