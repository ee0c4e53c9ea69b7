"""One segment: made from the log in account order, and read group by group.

Keeps: one group of whole accounts is in memory at a time; the same log gives the same bytes (with one version of the
Parquet library); no row is handed out before the digest of the whole file was compared with the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from application.archive_rows import ArchiveRow, archive_rows
from application.ports.archive import Segment
from application.ports.journal import Journal
from domain.errors import Corrupt
from domain.events.registry import ACCOUNT_TOPICS
from infrastructure.archive.columns import SCHEMA, WRITING, Group, as_dictionaries, group_of, table_of
from infrastructure.archive.files import DurableFile, digest_of, explained
from infrastructure.archive.manifests import REMEDY, segment_path

GROUP_ROWS: Final = 1 << 16
"""Rows after which a group is closed, at the end of the account they end in."""

_ORDER: Final = itemgetter(*(ArchiveRow._fields.index(name) for name in ("behavior", "year", "position", "refers_to")))

Progress = Callable[[int], None]


class Written(NamedTuple):
    """What a new segment file holds."""

    rows: int
    accounts: int
    size_bytes: int
    sm3: str


def groups(journal: Journal, after: int, upto: int, progress: Progress | None = None) -> Iterator[Group]:
    """The rows of all accounts for the positions in (after, upto], by account id.

    ``progress``: events done so far.
    """
    ids: list[bytes] = []
    counts: list[int] = []
    rows: list[ArchiveRow] = []
    events = 0
    for stream, recorded in journal.streams(ACCOUNT_TOPICS, upto, since=after):
        before = len(rows)
        # Text is compared by code points, which is the order of its UTF-8 bytes.
        rows += sorted(archive_rows(stream, recorded), key=_ORDER)
        ids.append(stream.bytes)
        counts.append(len(rows) - before)
        events += len(recorded)
        if len(rows) >= GROUP_ROWS:
            yield Group(ids, counts, rows)
            ids, counts, rows = [], [], []
            if progress is not None:
                progress(events)
    if ids:
        yield Group(ids, counts, rows)


def write_segment(path: Path, journal: Journal, after: int, upto: int, progress: Progress | None = None) -> Written:
    """Make the file of a segment, durable when this returns."""
    rows = accounts = 0
    with DurableFile(path) as file:
        with pq.ParquetWriter(file, SCHEMA, **WRITING) as writer:
            for group in groups(journal, after, upto, progress):
                writer.write_table(table_of(group), row_group_size=len(group.rows))
                rows += len(group.rows)
                accounts += len(group.ids)
        file.finish()
        return Written(rows, accounts, file.size_bytes, file.sm3)


def check_segment(folder: Path, segment: Segment) -> str:
    """What is wrong with the file as a whole; "" when it is what its manifest says."""
    path = segment_path(folder, segment.name)
    with explained(path):
        if not path.exists():
            return "the file is missing"
        size, sm3 = digest_of(path)
    if size != segment.size_bytes:
        return f"{size} bytes"
    return "" if sm3 == segment.sm3 else f"SM3 {sm3}"


class SegmentFile:
    """A segment whose file is as it was written."""

    def __init__(self, folder: Path, segment: Segment, columns: Sequence[str]) -> None:
        """Raises Corrupt ``archive_file_changed`` when it cannot be read all the same."""
        self._segment = segment
        self._columns = list(columns)
        self._path = segment_path(folder, segment.name)
        with self._readable():
            self._file = pq.ParquetFile(self._path, read_dictionary=as_dictionaries(columns), pre_buffer=False)
        self.groups: int = self._file.metadata.num_row_groups

    def table(self, group: int) -> Any:
        """The columns of one group of accounts."""
        with self._readable():
            return self._file.read_row_group(group, columns=self._columns, use_threads=False)

    def ids_in(self, group: int) -> tuple[bytes, bytes]:
        """The first and the last account id of one group, from the file's own footer."""
        statistics = self._file.metadata.row_group(group).column(0).statistics
        return statistics.min, statistics.max

    def rows(self) -> Iterator[Group]:
        """All groups as they were written; every column must have been asked for."""
        for group in range(self.groups):
            yield group_of(self.table(group))

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise changed(self._segment, str(error).partition("\n")[0]) from error


def changed(segment: Segment, what: str) -> Corrupt:
    return Corrupt(
        "archive_file_changed",
        f"the file is not what its manifest says: {what}",
        field=f"{segment.name}.parquet",
        remedy=REMEDY,
    )
