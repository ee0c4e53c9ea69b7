"""Sorting more than fits into memory: records of one length, in runs on disk."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Self

RECORDS_HELD = 200_000


class DiskSort:
    """Takes records of ``length`` bytes in any order and gives them back sorted. Memory is flat."""

    def __init__(self, length: int, *, held: int = RECORDS_HELD) -> None:
        self._length, self._most = length, held
        self._held: list[bytes] = []
        self._runs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._runs:
            run.close()

    def add(self, record: bytes) -> None:
        """Take one record."""
        self._held.append(record)
        if len(self._held) >= self._most:
            self._write()

    def sorted(self) -> Iterator[bytes]:
        """All records in order; ask once."""
        if not self._runs:
            self._held.sort()
            return iter(self._held)
        self._write()
        return heapq.merge(*(self._read(run) for run in self._runs))

    def _write(self) -> None:
        self._held.sort()
        run = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the sort
        run.write(b"".join(self._held))
        self._runs.append(run)
        self._held = []

    def _read(self, run: IO[bytes]) -> Iterator[bytes]:
        run.seek(0)
        length = self._length
        while block := run.read(length * 4_096):
            for start in range(0, len(block), length):
                yield block[start : start + length]
