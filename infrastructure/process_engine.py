"""The engine of a fast replay in several processes of this machine (port ``application.ports.engine``).

Keeps: every file is compared with its manifest once, before a row of it is used; each process reads a share of the
account ids by itself, and shares come back in order; no more of them wait than there are processes.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final

from application.ports.archive import Share, shares
from application.ports.engine import Part, Task
from application.recomputing import Recomputing
from domain.errors import Unavailable
from infrastructure.archive import ArchiveReader, ParquetArchive
from infrastructure.fast_kernel.kernel import FastKernel
from infrastructure.part_messages import decode, encode

SHARES_PER_PROCESS: Final = 8
"""So many that the processes end at nearly the same time, so few that row groups cut by a border do not count."""


ROWS_WORTH_A_PROCESS: Final = 2_000_000
"""What one process recomputes in the time that another one takes to start."""


def worthwhile(archive: ParquetArchive) -> int:
    """How many processes a replay is worth: no more than this process may use cores, and one for a small archive."""
    rows = sum(segment.rows for segment in archive.status().segments)
    return max(1, min(len(os.sched_getaffinity(0)), rows // ROWS_WORTH_A_PROCESS))


class ProcessEngine:
    """Engine port; see ``application.ports.engine``."""

    def __init__(self, archive: ParquetArchive, processes: int) -> None:
        self._archive = archive
        self._processes = processes

    def parts(self, task: Task) -> Generator[Part]:
        self._archive.check_files(task.until)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self._processes, spawn, _remember, (self._archive.reader(), task)) as pool:
            on_their_way: deque[Future[list[bytes]]] = deque()
            try:
                for share in shares(self._processes * SHARES_PER_PROCESS):
                    on_their_way.append(pool.submit(_recompute, share))
                    if len(on_their_way) > 2 * self._processes:
                        yield from map(decode, on_their_way.popleft().result())
                while on_their_way:
                    yield from map(decode, on_their_way.popleft().result())
            except BrokenProcessPool as error:
                raise Unavailable(
                    "process_died",
                    "a process of the replay was killed",
                    remedy="see whether the machine ran out of memory; `--processes 1` needs least",
                ) from error
            finally:
                for future in on_their_way:
                    future.cancel()


_given: tuple[ArchiveReader, Task]
"""What this process was started with."""


def _remember(archive: ArchiveReader, task: Task) -> None:
    global _given
    _given = archive, task


def _recompute(share: Share) -> list[bytes]:
    archive, task = _given
    recomputing, found = None, list[bytes]()
    for rows in archive.rows(task.until, share=share):
        recomputing = recomputing or Recomputing(task, FastKernel, rows.names)
        found.append(encode(recomputing.part(rows), rows.ids.keys))
    return found
