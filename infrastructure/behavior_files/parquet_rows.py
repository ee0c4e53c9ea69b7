"""Behavior rows from Parquet, read batch by batch.

All seven columns are strings; ``quantity`` may also be a decimal, and ``occurred_at`` a timestamp with a time zone
(written out in UTC). Both are exact. Floating point is not, and a file that stores a quantity so is refused as a whole.
A null region is an empty region. A row's number counts the file's rows, from 1.

Keeps: a row group is streamed through a small buffer, never loaded; a text that is no UTF-8 spoils only its own row.
Leaves to others: the grammar of the seven columns (``domain.behavior``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from application.ports.behavior_source import ParsedRow, RefusedRow
from domain.behavior import COLUMNS, Behavior, parse_behavior
from domain.errors import Rejected
from infrastructure.behavior_files.content import Content, in_batches, refused_encoding, refused_whole

_BATCH_ROWS: Final = 2_048
_BUFFER_BYTES: Final = 1 << 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_Value = str | bytes | None
_Reader = Callable[[Any], list[_Value]]


class ParquetBehaviors:
    """A ``BehaviorSource`` over a Parquet file.

    Raises ``Rejected`` ``missing_column``, ``duplicate_column``, ``wrong_column_type``, ``no_rows`` or
    ``file_damaged`` when it is opened; ``file_damaged`` also later, when the damage lies in the rows.
    """

    format = "parquet"

    def __init__(self, content: Content) -> None:
        self._content = content
        self.digest = content.digest
        self.size_bytes = content.size_bytes
        self.bytes_read = 0
        with content.reading() as file:
            try:
                parquet = pq.ParquetFile(file)
                schema = parquet.schema_arrow
                self._row_count: int = parquet.metadata.num_rows
            except (pa.ArrowException, OSError) as error:
                raise self._damaged(error) from error
        self._readers = [_reader_of(column, schema) for column in COLUMNS]
        if self._row_count == 0:
            raise Rejected("no_rows", "the file has no rows", field=str(content.path), remedy="check its export")

    def blocks(self) -> Iterator[bytes]:
        """The bytes themselves; see ``BehaviorSource``."""
        return self._content.blocks()

    def rows(self, batch_rows: int) -> Iterator[list[ParsedRow]]:
        """All rows in order; see ``BehaviorSource``."""
        return in_batches(self._pieces(), batch_rows)

    def _pieces(self) -> Iterator[list[ParsedRow]]:
        done = 0
        self.bytes_read = 0
        with self._content.reading() as file:
            for batch in self._record_batches(file):
                self._content.check_unchanged(file)
                # By name: the file may have further columns and any order.
                texts = [read(batch.column(column)) for column, read in zip(COLUMNS, self._readers, strict=True)]
                first = done + 1
                done += batch.num_rows
                self.bytes_read = self.size_bytes * done // self._row_count
                yield [_read_row(line, values) for line, values in enumerate(zip(*texts, strict=True), first)]

    def _record_batches(self, file: Any) -> Iterator[Any]:
        try:
            parquet = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            yield from parquet.iter_batches(batch_size=_BATCH_ROWS, columns=list(COLUMNS), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            # A file cut short under our hands looks damaged, but is not.
            self._content.check_unchanged(file)
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> Rejected:
        reason = str(error).partition("\n")[0]
        message = f"the Parquet file cannot be read: {reason}"
        return Rejected("file_damaged", message, field=str(self._content.path), remedy="write or transfer it again")


def _read_row(line: int, values: tuple[_Value, ...]) -> ParsedRow:
    columns: list[str] = []
    for column, value in zip(COLUMNS, values, strict=True):
        if isinstance(value, str):
            columns.append(value)
        elif isinstance(value, bytes):
            return refused_encoding(line, value)
        elif column == "region":
            columns.append("")
        else:
            shown = ",".join("" if other is None else str(other) for other in values)
            return refused_whole(line, shown, f"{column} is null", "fill in this column", field=column)
    row = parse_behavior(line, *columns)
    return row if isinstance(row, Behavior) else RefusedRow(row, tuple(columns))


def _reader_of(column: str, schema: Any) -> _Reader:
    places = schema.get_all_field_indices(column)
    if not places:
        raise Rejected("missing_column", f"the file lacks the column {column}", field=column, remedy="add the column")
    if len(places) > 1:
        raise Rejected("duplicate_column", f"the file has several columns {column}", field=column, remedy="keep one")
    kind = schema.field(places[0]).type
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_string_view(text):
        return _texts
    if column == "quantity" and pa.types.is_decimal(kind):
        return _decimals
    if column == "occurred_at" and pa.types.is_timestamp(kind):
        return _moments
    raise Rejected(
        "wrong_column_type",
        f"{column} is stored as {kind}",
        field=column,
        remedy=_TYPE_REMEDIES.get(column, _TYPE_REMEDY),
    )


_TYPE_REMEDY: Final = "store it as a string"
_TYPE_REMEDIES: Final = {
    "quantity": "store it as a string or a decimal128; floating point cannot hold decimals exactly",
    "occurred_at": "store it as a string with offset or as a timestamp with a time zone",
}


def _texts(column: Any) -> list[_Value]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _decoded(value: bytes | None) -> _Value:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _decimals(column: Any) -> list[_Value]:
    values: list[Decimal | None] = column.to_pylist()
    return [None if value is None else format(value, "f") for value in values]


def _moments(column: Any) -> list[_Value]:
    units = _UNITS_PER_SECOND[column.type.unit]
    # Without a time zone the column holds readings of an unnamed clock: texts without an offset, refused later as such.
    suffix = "" if column.type.tz is None else "Z"
    return [
        None if value is None else _moment_text(value, units, suffix) for value in column.cast(pa.int64()).to_pylist()
    ]


def _moment_text(value: int, units: int, suffix: str) -> str:
    seconds, rest = divmod(value, units)
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds} s after 1970"
    fraction = f".{rest:0{len(str(units)) - 1}d}".rstrip("0") if rest else ""
    return f"{moment.replace(tzinfo=None).isoformat()}{fraction}{suffix}"
