"""The engine port over Apache Spark: its readers, its shuffle and its workers, our kernel.

Keeps: every file is compared with its manifest before a row of it is used; an account is in one partition, and
partitions follow each other by account id, so parts come back in the order that a reader on one machine has; the driver
holds one part at a time.
Leaves to ``worker``: what happens to the rows; to Spark: where, and again when a machine is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from application.ports.archive import Archive, Segment
from application.ports.engine import Part, Task
from domain.errors import Corrupt
from infrastructure.archive.columns import SCHEMA
from infrastructure.archive.manifests import segment_path
from infrastructure.archive.segments import changed, check_segment
from infrastructure.spark.messages import decode
from infrastructure.spark.session import check_installed, spark_session
from infrastructure.spark.worker import PART_ROWS, source_digest, work

PARTITION_ROWS: Final = 1_000_000
"""Rows that a worker sorts at a time."""
BATCH_ROWS: Final = 1 << 14
"""Rows that Spark hands to Python at a time."""

# Written out, since Spark would start a job of its own to find it out.
_TYPES: Final = {"int8": "TINYINT", "int16": "SMALLINT", "int32": "INT", "int64": "BIGINT", "string": "STRING"}
_SCHEMA: Final = ", ".join(f"{field.name} {_TYPES.get(str(field.type), 'BINARY')}" for field in SCHEMA)
_ORDER: Final = ("account", "behavior", "year", "position", "refers_to")


class SparkEngine:
    """Engine port; see ``application.ports.engine``. Works on what the archive covers now."""

    def __init__(
        self,
        archive: Archive,
        folder: Path,
        master: str,
        *,
        partition_rows: int = PARTITION_ROWS,
        batch_rows: int = BATCH_ROWS,
        part_rows: int = PART_ROWS,
    ) -> None:
        """``folder``: where the archive is, by the same name on every machine of the cluster."""
        self._archive = archive
        self._folder = folder
        self._master = master
        self._partition_rows = partition_rows
        self._batch_rows = batch_rows
        self._part_rows = part_rows

    def parts(self, task: Task) -> Iterator[Part]:
        segments = [each for each in self._archive.status().segments if each.after < task.until]
        if not any(each.rows for each in segments):
            return
        check_installed()
        self._check(segments)
        with spark_session(self._master, self._batch_rows) as spark:
            recomputed = self._recomputed(spark, segments, task)
            # All partitions at once, then one after the other: a plain iterator would compute them one after the other.
            recomputed.count()
            yield from _in_order(decode(row.part) for row in recomputed.toLocalIterator(prefetchPartitions=True))

    def _check(self, segments: Sequence[Segment]) -> None:
        with ThreadPoolExecutor() as threads:
            checked = threads.map(partial(check_segment, self._folder), segments)
            for segment, wrong in zip(segments, checked, strict=True):
                if wrong:
                    raise changed(segment, wrong)

    def _recomputed(self, spark: Any, segments: Sequence[Segment], task: Task) -> Any:
        """A data frame of parts, kept on the workers' disks once it is computed."""
        from pyspark import StorageLevel
        from pyspark.sql import functions as sql

        rows = sum(each.rows for each in segments)
        partitions = max(spark.sparkContext.defaultParallelism, -(-rows // self._partition_rows))
        # Account ids are random, so equal shares of their range are equal shares of the accounts.
        start = "CAST(conv(hex(substring(account, 1, 4)), 16, 10) AS BIGINT)"
        place = sql.expr(f"CAST({start} * {partitions} DIV {1 << 32} AS INT)")
        paths = [segment_path(self._folder.resolve(), each.name).as_uri() for each in segments]
        return (
            spark.read.schema(_SCHEMA)
            .parquet(*paths)
            .where(sql.col("position") <= task.until)
            .repartitionById(partitions, place)
            .sortWithinPartitions(*_ORDER)
            .mapInArrow(work(task, source_digest(), self._part_rows), "part binary")
            .persist(StorageLevel.DISK_ONLY)
        )


def _in_order(parts: Iterator[Part]) -> Iterator[Part]:
    """Raises Corrupt ``engine_out_of_order``: the result would depend on the engine."""
    last = None
    for part in parts:
        if last is not None and part.ids[0] <= last:
            raise Corrupt("engine_out_of_order", f"account {part.ids[0]} came after {last}", remedy="report this")
        last = part.ids[-1]
        yield part
