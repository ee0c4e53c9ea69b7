"""The columns of a segment: rows to Arrow tables, and Arrow tables back to NumPy.

Keeps: no approximation on the way there and back; ``NONE`` is null on disk; what a reader decodes shares the memory of
the Arrow table where it can.
Leaves to others: which rows, in which order, in which file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from application.archive_rows import ArchiveRow
from application.ports.archive import NONE, Names

ID_BYTES: Final = 16
_KEY: Final = pa.binary(ID_BYTES)
_SMALL: Final = {"kind": pa.int8(), "year": pa.int16(), "day": pa.int32()}
_NULLABLE: Final = ("computed_mg", "valid_from_us", "valid_to_us", "digest")

WORDS: Final = Names.COLUMNS
INTEGERS: Final = tuple(name for name in ArchiveRow._fields if name not in WORDS and name != "digest")


def _type(name: str) -> Any:
    if name in WORDS:
        return pa.string()
    return pa.binary() if name == "digest" else _SMALL.get(name, pa.int64())


SCHEMA: Final = pa.schema(
    [
        pa.field("account", _KEY, nullable=False),
        *(pa.field(name, _type(name), nullable=name in _NULLABLE) for name in ArchiveRow._fields),
    ]
)
WRITING: Final[dict[str, Any]] = {
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": ["account", *WORDS],
    "dictionary_pagesize_limit": 16 << 20,
    "column_encoding": dict.fromkeys(INTEGERS, "DELTA_BINARY_PACKED"),
    "write_statistics": ["account", "position"],
    "store_schema": False,
}
"""Measured in docs/adr/0012: smaller and faster to decode than the defaults."""


class Group(NamedTuple):
    """Whole accounts of one segment: ids ascending, how many rows each has, their rows in order."""

    ids: Sequence[bytes]
    counts: Sequence[int]
    rows: Sequence[ArchiveRow]


def table_of(group: Group) -> Any:
    """The group as an Arrow table of ``SCHEMA``."""
    keys = np.repeat(np.frombuffer(b"".join(group.ids), f"V{ID_BYTES}"), group.counts).tobytes()
    arrays = [pa.Array.from_buffers(_KEY, len(group.rows), [None, pa.py_buffer(keys)])]
    arrays += [
        _array(name, values) for name, values in zip(ArchiveRow._fields, zip(*group.rows, strict=True), strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _array(name: str, values: Sequence[Any]) -> Any:
    if name in WORDS:
        return pa.array(values, pa.string())
    if name == "digest":
        return pa.array([value or None for value in values], pa.binary())
    numbers = np.array(values, np.int64)
    return pa.array(numbers, _type(name), mask=numbers == NONE if name in _NULLABLE else None)


def group_of(table: Any) -> Group:
    """The group that a table was made of."""
    keys = keys_of(table.column("account"))
    columns = [table.column(name) for name in ArchiveRow._fields]
    values = [
        column.fill_null(NONE if name in INTEGERS else b"").to_pylist() if name in _NULLABLE else column.to_pylist()
        for name, column in zip(ArchiveRow._fields, columns, strict=True)
    ]
    starts = borders(keys)
    return Group(
        ids_at(keys, starts),
        np.diff(starts, append=len(keys)).tolist(),
        list(map(ArchiveRow._make, zip(*values, strict=True))),
    )


class Block(NamedTuple):
    """Decoded rows of whole accounts of one segment. ``keys``: their ids, ascending; ``starts``: row where each begins.

    ``columns``: NumPy columns by name, as in ``Rows``; only those that were asked for. ``digests``: rows that have one.
    """

    ids: list[bytes]
    starts: npt.NDArray[np.int64]
    size: int
    columns: dict[str, npt.NDArray[Any]]
    digests: dict[int, bytes]

    def part(self, first: int, last: int) -> Block:
        """The accounts with index in [first, last)."""
        if first == 0 and last == len(self.ids):
            return self
        begin = int(self.starts[first]) if first < len(self.ids) else self.size
        end = int(self.starts[last]) if last < len(self.ids) else self.size
        return Block(
            self.ids[first:last],
            self.starts[first:last] - begin,
            end - begin,
            {name: column[begin:end] for name, column in self.columns.items()},
            {row - begin: digest for row, digest in self.digests.items() if begin <= row < end},
        )

    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows each account has."""
        return np.diff(self.starts, append=self.size)

    def where(self, mask: npt.NDArray[np.bool_]) -> Block:
        """Only these rows, and only the accounts that keep one."""
        if mask.all():
            return self
        rows = np.flatnonzero(mask)
        account = np.repeat(np.arange(len(self.ids)), self.counts())[rows]
        kept, starts = np.unique(account, return_index=True)
        row_of = {int(row): index for index, row in enumerate(rows)} if self.digests else {}
        return Block(
            [self.ids[index] for index in kept.tolist()],
            starts.astype(np.int64),
            len(rows),
            {name: column[rows] for name, column in self.columns.items()},
            {row_of[row]: digest for row, digest in self.digests.items() if row in row_of},
        )


def block_of(table: Any, names: Names) -> Block:
    """Decode a table; words get the codes of ``names``."""
    keys = keys_of(table.column("account"))
    starts = borders(keys)
    columns: dict[str, npt.NDArray[Any]] = {}
    digests: dict[int, bytes] = {}
    for name in table.schema.names:
        if name in WORDS:
            columns[name] = _codes(table.column(name), names, name)
        elif name in INTEGERS:
            columns[name] = _integers(table.column(name), name)
        elif name == "digest":
            digests = _digests(table.column(name))
    return Block(ids_at(keys, starts), starts, len(keys), columns, digests)


def keys_of(column: Any) -> npt.NDArray[np.uint64]:
    """Account ids, each as two unsigned halves (not for comparing which is greater)."""
    array = _whole(column)
    data = np.frombuffer(array.buffers()[1], np.uint64) if len(array) else np.empty(0, np.uint64)
    return data.reshape(-1, 2)[array.offset : array.offset + len(array)]


def borders(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Rows at which another account begins, the first row included."""
    if not len(keys):
        return np.empty(0, np.int64)
    high, low = keys[:, 0], keys[:, 1]
    return np.concatenate(([0], np.flatnonzero((high[1:] != high[:-1]) | (low[1:] != low[:-1])) + 1))


def ids_at(keys: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]) -> list[bytes]:
    data = keys[rows].tobytes()
    return [data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES)]


def _whole(column: Any) -> Any:
    """A column of a table as one array."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _integers(column: Any, name: str) -> npt.NDArray[Any]:
    dtype = _type(name).to_pandas_dtype()
    if column.null_count == len(column):
        return np.full(len(column), NONE, dtype) if len(column) else np.empty(0, dtype)
    array = _whole(column)
    if array.null_count:
        array = array.fill_null(NONE)
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=True)
    return values


def _codes(column: Any, names: Names, name: str) -> npt.NDArray[np.int32]:
    array = _whole(column.unify_dictionaries() if column.num_chunks > 1 else column)
    if not len(array):
        return np.empty(0, np.int32)
    codes = np.array([names.code(name, word) for word in array.dictionary.to_pylist()], np.int32)
    places: npt.NDArray[np.int32] = array.indices.to_numpy(zero_copy_only=True)
    # Compiled code takes codes for places of its tables, and a changed file is read before that is known.
    if places.view(np.uint32).max() >= len(codes):
        raise ValueError(f"a place of {name} beyond its words")
    if np.array_equal(codes, np.arange(len(codes))):
        return places
    return codes.take(places)


def _digests(column: Any) -> dict[int, bytes]:
    if column.null_count == len(column):
        return {}
    array = _whole(column)
    rows = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False)).tolist()
    return dict(zip(rows, array.drop_null().to_pylist(), strict=True))


def as_dictionaries(columns: Iterable[str]) -> list[str]:
    """Which of these columns a reader leaves coded."""
    return [name for name in columns if name in WORDS]
