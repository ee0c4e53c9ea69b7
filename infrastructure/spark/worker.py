"""A worker's side: sorted rows of Spark in, recomputed parts out.

Keeps: an account is never cut, wherever Spark cuts its batches; nothing but Arrow, NumPy and the kernel touches a row;
a worker whose sources are not the driver's refuses to work.
Leaves to ``engine``: which rows come here, and in which order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import application
import domain
import infrastructure
from application.ports.archive import Names, Rows
from application.ports.engine import Task
from application.recomputing import Recomputing
from domain.digest import sm3_hex
from infrastructure.archive.columns import ID_BYTES, WORDS, AccountIds, Block, block_of
from infrastructure.fast_kernel.kernel import FastKernel
from infrastructure.spark import messages

PART_ROWS: Final = 1 << 16
"""A part is closed at the end of the account in which it reaches so many rows."""

Batches = Iterator[pa.RecordBatch]


def work(task: Task, sources: str, part_rows: int) -> Callable[[Batches], Batches]:
    """What Spark calls for each partition: its rows in, one row with a ``part`` for each part out.

    ``sources``: digest of the driver's sources.
    """

    def run(batches: Batches) -> Batches:
        if source_digest() != sources:
            raise RuntimeError(OTHER_SOURCES)
        names = Names()
        recomputing = Recomputing(task, FastKernel, names)
        for table in whole_accounts(batches, part_rows):
            block = block_of(_with_dictionaries(table), names)
            part = recomputing.part(_rows(block, names))
            yield pa.RecordBatch.from_pydict({"part": pa.array([messages.encode(part, block.ids)], pa.binary())})

    return run


OTHER_SOURCES: Final = "the workers run another release of carbon-ledger than the driver"


@cache
def source_digest() -> str:
    """SM3 over everything that a recomputation may run."""
    packages = [Path(str(each.__file__)).parent for each in (domain, application, infrastructure)]
    files = [path for package in packages for path in sorted(package.rglob("*.py"))]
    return sm3_hex(b"".join(path.read_bytes() for path in files))


def whole_accounts(batches: Batches, part_rows: int = PART_ROWS) -> Iterator[pa.Table]:
    """The same rows, cut only between accounts, and there where at least ``part_rows`` are together."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        rows += batch.num_rows
        if rows >= part_rows:
            complete, held = _cut(held)
            rows = sum(each.num_rows for each in held)
            if complete:
                yield pa.Table.from_batches(complete)
    if held:
        yield pa.Table.from_batches(held)


def _cut(batches: Sequence[pa.RecordBatch]) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
    """All accounts but the last, and the last, which may go on in the next batch."""
    last = batches[-1].column("account")[-1]
    for at in range(len(batches) - 1, -1, -1):
        others = pc.not_equal(batches[at].column("account"), last)
        place = int(pc.sum(others).as_py() or 0)
        if place:
            rest = [batches[at].slice(place)] if place < batches[at].num_rows else []
            return [*batches[:at], batches[at].slice(0, place)], [*rest, *batches[at + 1 :]]
    return [], list(batches)


def _with_dictionaries(table: pa.Table) -> pa.Table:
    """The columns as they come from a segment: Spark hands on words one by one and ids of any length."""
    table = table.combine_chunks()
    columns = {
        name: column.dictionary_encode() if name in WORDS else column
        for name, column in zip(table.schema.names, table.columns, strict=True)
    }
    columns["account"] = columns["account"].cast(pa.binary(ID_BYTES))
    return pa.table(columns)


def _rows(block: Block, names: Names) -> Rows:
    account = np.repeat(np.arange(len(block.ids), dtype=np.int32), block.counts())
    columns: dict[str, Any] = block.columns
    return Rows(names=names, ids=AccountIds(block.ids), account=account, digests=block.digests, **columns)
