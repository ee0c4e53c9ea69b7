"""A worker's side: numbers of shares in, recomputed parts out.

Keeps: a worker reads its share of the accounts from the archive itself, as any process on one machine does, so Spark
moves numbers and results, never rows; a worker whose sources are not the driver's refuses to work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

import application
import domain
from application.ports.archive import shares
from application.ports.engine import Task
from application.recomputing import Recomputing
from domain.digest import sm3_hex
from infrastructure import archive, fast_kernel
from infrastructure.archive import ArchiveReader
from infrastructure.fast_kernel.kernel import FastKernel
from infrastructure.part_messages import encode

Batches = Iterator[Any]
"""Arrow record batches."""

COLUMN: Final = "part"
OTHER_SOURCES: Final = "the workers run another release of carbon-ledger than the driver"


def work(reader: ArchiveReader, task: Task, count: int, sources: str) -> Callable[[Batches], Batches]:
    """What Spark calls for each partition: numbers of shares in (of ``count``), a row for each recomputed part out.

    ``sources``: digest of the driver's sources.
    """

    def run(batches: Batches) -> Batches:
        if source_digest() != sources:
            raise RuntimeError(OTHER_SOURCES)
        for batch in batches:
            for number in batch.column(0).to_pylist():
                recomputing = None
                for rows in reader.rows(task.until, share=shares(count)[number]):
                    recomputing = recomputing or Recomputing(task, FastKernel, rows.names)
                    content = encode(recomputing.part(rows), rows.ids.keys)
                    yield pa.RecordBatch.from_arrays([pa.array([content], pa.binary())], [COLUMN])

    return run


@cache
def source_digest() -> str:
    """SM3 over everything that decides what a recomputation says."""
    packages = [Path(str(each.__file__)).parent for each in (domain, application, archive, fast_kernel)]
    files = [path for package in [*packages, Path(__file__).parent] for path in sorted(package.rglob("*.py"))]
    return sm3_hex(b"".join(path.read_bytes() for path in files))
