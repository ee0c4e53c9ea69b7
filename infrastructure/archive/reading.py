"""The rows of whole accounts over all segments, part by part.

Keeps: of each segment one group is in memory as columns, and meanwhile the next one is read in a thread; parts follow
each other by account id and hold every row of their accounts. Positions of segments ascend, so within one
(account, behavior, year) the rows of an older segment all come first, and a stable sort by these three merges them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from application.ports.archive import AccountIds, Names, Rows, Segment, Share
from infrastructure.archive.columns import SCHEMA, Block, block_of
from infrastructure.archive.segments import SegmentFile

_DIGIT_BITS: Final = 16
_DTYPES: Final = {"kind": np.int8, "year": np.int16, "day": np.int32, **dict.fromkeys(Names.COLUMNS, np.int32)}
_COLUMNS: Final = tuple(name for name in SCHEMA.names if name not in ("account", "digest"))


def columns_to_read(asked: frozenset[str] | None, segments: int, *, cut: bool) -> list[str]:
    """Columns of the files that the asked columns of ``Rows`` need. ``cut``: some rows are left out by position."""
    if asked is None:
        return list(SCHEMA.names)
    names = {"account", *("digest" if name == "digests" else name for name in asked)}
    names |= {"behavior", "year"} if segments > 1 else set()
    names |= {"position"} if cut else set()
    return [name for name in SCHEMA.names if name in names]


class Cursor:
    """Walks through one segment by account id."""

    def __init__(
        self,
        file: SegmentFile,
        segment: Segment,
        names: Names,
        upto: int,
        share: Share | None = None,
        *,
        ahead: Executor,
    ) -> None:
        """``share``: only these accounts; groups without any of them are not read. ``ahead``: reads what comes next."""
        self._file = file
        self._ahead = ahead
        self._coming: Future[Any] | None = None
        self._names = names
        self._upto = upto if upto < segment.upto else None
        self._share = share
        self._groups = [group for group in range(file.groups) if share is None or share.meets(*file.ids_in(group))]
        self._next = 0
        self._block: Block | None = None
        self._at = 0

    def last(self) -> bytes | None:
        """The last account id of the group in memory; None when there is nothing more."""
        while self._block is None or self._at >= len(self._block.ids):
            if self._next >= len(self._groups):
                self._block = None
                return None
            # Not both in memory: the old group goes before the new one comes.
            self._block = None
            self._block = self._decoded(self._groups[self._next])
            self._next, self._at = self._next + 1, 0
        return self._block.ids[-1]

    def take(self, border: bytes) -> Block | None:
        """What follows, up to this account id; None when that is nothing."""
        block, first = self._block, self._at
        if block is None:
            return None
        self._at = bisect_right(block.ids, border, lo=first)
        return block.part(first, self._at) if self._at > first else None

    def _table(self, group: int) -> Any:
        """A group as it is read; the one after it begins to be."""
        table = self._file.table(group) if self._coming is None else self._coming.result()
        follows = self._groups[self._next + 1 :][:1]
        self._coming = self._ahead.submit(self._file.table, follows[0]) if follows else None
        return table

    def _decoded(self, group: int) -> Block:
        # Words get their codes here, not in the thread: whoever uses the part before gives out codes too.
        block = block_of(self._table(group), self._names)
        if self._share is not None:
            first, last = (bisect_left(block.ids, border) for border in self._share)
            block = block.part(first, last)
        return block if self._upto is None else block.where(block.columns["position"] <= self._upto)


def parts(cursors: Sequence[Cursor], names: Names, asked: frozenset[str] | None) -> Iterator[Rows]:
    """Merge segments, oldest first."""
    while True:
        lasts = [last for cursor in cursors if (last := cursor.last()) is not None]
        if not lasts:
            return
        border = min(lasts)
        blocks = [block for cursor in cursors if (block := cursor.take(border)) is not None]
        block = blocks[0] if len(blocks) == 1 else _merged(blocks, names)
        yield _rows(block, names, asked)


def _merged(blocks: Sequence[Block], names: Names) -> Block:
    ids = sorted({key for block in blocks for key in block.ids})
    place = {key: index for index, key in enumerate(ids)}
    account = np.concatenate([np.repeat([place[key] for key in block.ids], block.counts()) for block in blocks])
    columns = {name: np.concatenate([block.columns[name] for block in blocks]) for name in blocks[0].columns}
    behavior = _ranks(names.words["behavior"])[columns["behavior"]]
    order = _order(account, behavior, columns["year"])
    digests: dict[int, bytes] = {}
    if any(block.digests for block in blocks):
        row_of = np.empty(len(order), np.int64)
        row_of[order] = np.arange(len(order))
        begin = 0
        for block in blocks:
            digests.update((int(row_of[begin + row]), digest) for row, digest in block.digests.items())
            begin += block.size
    return Block(
        ids,
        np.searchsorted(account[order], np.arange(len(ids))),
        len(order),
        {name: column.take(order) for name, column in columns.items()},
        dict(sorted(digests.items())),
    )


def _order(*keys: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Stable order by several keys that are not negative, the first one before all others.

    Digit by digit: NumPy sorts 16-bit numbers by radix, several times as fast as longer ones by comparing.
    """
    order: npt.NDArray[np.intp] | None = None
    for key in reversed(keys):
        for shift in range(0, int(key.max()).bit_length(), _DIGIT_BITS):
            digit = (key >> shift).astype(np.uint16)
            if order is None:
                order = np.argsort(digit, kind="stable")
            else:
                order = order.take(digit.take(order).argsort(kind="stable"))
    return np.arange(len(keys[0])) if order is None else order


def _ranks(words: Sequence[str]) -> npt.NDArray[np.int64]:
    """Place of each code's word among all words."""
    ranks = np.empty(len(words), np.int64)
    ranks[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
    return ranks


def _rows(block: Block, names: Names, asked: frozenset[str] | None) -> Rows:
    wanted = _COLUMNS if asked is None else [name for name in _COLUMNS if name in asked]
    columns: dict[str, Any] = {name: np.empty(0, _DTYPES.get(name, np.int64)) for name in _COLUMNS}
    columns.update({name: block.columns[name] for name in wanted})
    account = np.repeat(np.arange(len(block.ids), dtype=np.int32), block.counts())
    return Rows(names=names, ids=AccountIds(block.ids), account=account, digests=block.digests, **columns)
