"""The engine port over Apache Spark: it gives out shares of the accounts, our kernel recomputes them.

Keeps: every file is compared with its manifest before a row of it is used; one partition is one share of the account
ids, and shares come back in their order, so the joined result is that of one machine; the driver holds one partition's
parts at a time.
Leaves to ``worker``: what happens to a share; to Spark: where, and again when a machine is lost.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from application.ports.engine import Part, Task
from domain.errors import Corrupt
from infrastructure.archive import ParquetArchive
from infrastructure.part_messages import decode
from infrastructure.spark.session import check_installed, spark_session, storage_on_disk
from infrastructure.spark.worker import COLUMN, source_digest, work

SHARES_PER_CORE: Final = 4
"""So many that the cores end at nearly the same time."""
ROWS_PER_SHARE: Final = 20_000_000
"""At most; what is lost with a machine is done again."""


class SparkEngine:
    """Engine port; see ``application.ports.engine``."""

    def __init__(self, archive: ParquetArchive, master: str) -> None:
        """``archive``: in a folder that every machine has under the same path. ``master``: a Spark master URL."""
        self._archive = archive
        self._master = master

    def parts(self, task: Task) -> Generator[Part]:
        check_installed()
        self._archive.check_files(task.until)
        rows = sum(segment.rows for segment in self._archive.status().segments)
        with spark_session(self._master) as spark:
            count = max(SHARES_PER_CORE * spark.sparkContext.defaultParallelism, -(-rows // ROWS_PER_SHARE))
            run = work(self._archive.reader(), task, count, source_digest())
            recomputed = spark.range(0, count, 1, count).mapInArrow(run, f"{COLUMN} binary").persist(storage_on_disk())
            # All shares at once; then one after the other, which alone would also compute them one after the other.
            recomputed.count()
            yield from _in_order(decode(bytes(row[0])) for row in recomputed.toLocalIterator(prefetchPartitions=True))


def _in_order(parts: Iterator[Part]) -> Iterator[Part]:
    """Raises Corrupt ``engine_out_of_order``: the result would depend on the engine."""
    last = None
    for part in parts:
        if last is not None and part.ids[0] <= last:
            raise Corrupt("engine_out_of_order", f"account {part.ids[0]} came after {last}", remedy="report this")
        last = part.ids[-1]
        yield part
