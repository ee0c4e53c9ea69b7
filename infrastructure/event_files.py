"""Exported events as files: JSON Lines, CSV and Parquet (docs/spec/events-export.md).

Keeps: every format holds the same rows; one page is in memory. In Parquet the envelope has types of its own, facts and
personal part are JSON text; its libraries are loaded only where Parquet is asked for.
Leaves to ``domain.audit.event_rows``: how a line is spelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from application.ports.row_writer import RowFormat, Write
from domain.audit.event_rows import (
    CSV,
    LINES,
    PARQUET,
    EventRow,
    cells_of,
    columns_of,
    csv_header,
    row_of,
)
from domain.errors import Rejected
from domain.instants import microsecond_text

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_BATCH = 1_000


def row_format(name: str) -> RowFormat:
    """The writer of a format."""
    if name == PARQUET:
        return _ParquetRows
    return lambda write, personal: _TextRows(name, write, personal=personal)


class _TextRows:
    """Port ``RowWriter`` for lines of text."""

    def __init__(self, name: str, write: Write, *, personal: bool) -> None:
        self._write, (self._line, _) = write, LINES[name]
        if name == CSV:
            write(csv_header(personal=personal))

    def put(self, rows: Sequence[EventRow]) -> None:
        self._write(b"".join(self._line(cells_of(row)) for row in rows))

    def finish(self) -> None:
        """Nothing follows the last line."""


class _ParquetRows:
    """Port ``RowWriter`` for Parquet: a page is a row group."""

    def __init__(self, write: Write, personal: bool) -> None:
        import pyarrow.parquet as pq

        self._schema = _schema(personal=personal)
        self._writer = pq.ParquetWriter(_Sink(write), self._schema, compression="zstd")

    def put(self, rows: Sequence[EventRow]) -> None:
        import pyarrow as pa

        if rows:
            columns: list[list[Any]] = [list(column) for column in zip(*map(cells_of, rows), strict=True)]
            columns[0] = [row.event.position for row in rows]
            columns[1] = [row.event.recorded_us for row in rows]
            columns[3] = [row.event.version for row in rows]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
            self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def finish(self) -> None:
        self._writer.close()


class _Sink:
    """A file that is only written to, as pyarrow asks for one."""

    closed = False

    def __init__(self, write: Write) -> None:
        self._write, self._place = write, 0

    def write(self, content: bytes) -> int:
        block = bytes(content)
        self._write(block)
        self._place += len(block)
        return len(block)

    def tell(self) -> int:
        return self._place

    def flush(self) -> None:
        """Whoever gave ``write`` sees to it."""

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _schema(*, personal: bool) -> pa.Schema:
    import pyarrow as pa

    types = {"position": pa.int64(), "version": pa.int64(), "recorded_at": pa.timestamp("us", tz="UTC")}
    return pa.schema([(name, types.get(name, pa.string())) for name in columns_of(personal=personal)])


def parquet_rows(path: Path, personal: bool) -> Iterator[EventRow]:
    """The rows of a Parquet file. Raises Rejected ``rows_unreadable``, ``row_malformed``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if file.schema_arrow.remove_metadata() != _schema(personal=personal):
                raise _unreadable(f"its columns are not {', '.join(columns_of(personal=personal))}")
            for batch in file.iter_batches(_ROWS_PER_BATCH):
                if any(column.null_count for column in batch.columns):
                    raise _unreadable("a cell is empty")
                columns = [
                    column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()
                    for column in batch.columns
                ]
                for cells in zip(*columns, strict=True):
                    yield row_of([str(cells[0]), microsecond_text(cells[1]), cells[2], str(cells[3]), *cells[4:]])
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _unreadable(str(error)) from error


def _unreadable(what: str) -> Rejected:
    remedy = "ask for the export again; docs/spec/events-export.md"
    return Rejected("rows_unreadable", f"the Parquet file cannot be read: {what}"[:500], remedy=remedy)
