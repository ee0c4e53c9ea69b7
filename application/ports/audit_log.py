"""What auditing reads and keeps: events as they are stored, signed checkpoints, subtrees of the log's tree, the map.

Keeps: what is read is what the database holds, unchecked; whoever signs or proves computes it again. Everything that is
kept inside ``signing`` is kept together or not at all, by one signer at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.audit.book_map import Item
from domain.audit.merkle import Subtree
from domain.audit.note import Cosignature
from domain.events.base import Personal


class TreeHead(NamedTuple):
    """The head of the log as its writers left it. ``book``: 16 bytes; ``frontier``, ``root``: of the tree."""

    book: bytes
    size: int
    rulebook_position: int
    recorded_us: int
    frontier: list[bytes]
    root: bytes


class Logged(NamedTuple):
    """An event as it is stored. ``state``: its envelope (``domain.audit.leaves``)."""

    position: int
    stream: UUID
    version: int
    topic: str
    recorded_us: int
    state: bytes


class Kept(NamedTuple):
    """A checkpoint as it was given out. ``map_position``: 0 where it names no map."""

    size: int
    map_position: int
    frontier: list[bytes]
    note: bytes


class StreamState(NamedTuple):
    """A stream in the map: its version, and its balances as lines ``behavior,mg``."""

    stream: UUID
    version: int
    balances: str


Wrong = tuple[str, str, str, str]
"""Code, place, message, remedy of something found."""


class Loose(NamedTuple):
    """Rows of one kind that lead to nothing in the log. ``named``: the first of ``total``."""

    total: int
    named: list[Wrong]


class AuditLog(Protocol):
    """Port of what a checkpoint is made from, and of the checkpoints."""

    def signing(self) -> AbstractContextManager[None]:
        """Until the block ends this thread alone may keep things; a failure inside keeps nothing. Blocks may nest."""

    def head(self) -> TreeHead: ...

    def logged(self, after: int, upto: int) -> Iterator[Logged]:
        """The events at positions in (after, upto], in log order."""

    def logged_streams(self, streams: Sequence[UUID]) -> Iterator[Logged]:
        """Every event of these streams, by stream id and version."""

    def logged_topics(self, topics: Sequence[str], upto: int) -> Iterator[Logged]:
        """Every event of these topics at positions up to ``upto``, by stream id and version."""

    def newest(self, *, with_map: bool = False) -> Kept | None:
        """The checkpoint of the greatest size; ``with_map``: of those that name a map."""

    def checkpoints(self, after: int = 0, upto: int = (1 << 63) - 1) -> Iterator[Kept]:
        """Those of sizes in (after, upto], by size, of one size the one with a map last."""

    def last_checkpoints(self, count: int) -> list[Kept]:
        """The last ones, newest first."""

    def keep(self, checkpoint: Kept) -> None: ...

    def cosignatures(self, checkpoint: Kept) -> list[Cosignature]:
        """What witnesses gave to a checkpoint, by their names."""

    def loose_cosignatures(self) -> list[int]:
        """Sizes of those that are kept beside no checkpoint."""

    def keep_cosignature(self, checkpoint: Kept, cosignature: Cosignature) -> bool:
        """False where this name and key cosigned it before: the first one stays."""

    def subtrees(self, level: int, first: int, count: int) -> list[bytes]:
        """Roots of kept subtrees of one level from an index on; fewer where fewer are kept."""

    def keep_subtrees(self, subtrees: Sequence[Subtree]) -> None:
        """Raises Corrupt ``subtree_loose`` where one of them is kept already."""

    def opened(self, page: Sequence[Logged]) -> list[Personal | None]:
        """Personal parts in clear, as the keys of the accounts open them now; None where there is none, or no key."""

    def unopened(self, page: Sequence[Logged]) -> list[Wrong]:
        """Personal parts that do not open though their account's key is there, or whose key is gone unexplained."""

    def wrong_account_keys(self) -> list[Wrong]:
        """Keys of accounts that do not open, and keys of accounts that were never opened."""

    def wrong_guards(self) -> list[Wrong]:
        """What refuses changes (triggers, keys, constraints) and is not as the migrations made it; lost migrations."""

    def loose_rows(self) -> Iterator[Loose]:
        """Rows beside the log that lead to nothing in it, by kind; those that a reader may not read last."""

    def forget(self) -> None:
        """Remove subtrees and map, which can be made anew."""


class MapStore(Protocol):
    """Port of the map as of the newest checkpoint that names one; everything by the first 16 bits of the key."""

    def parts(self) -> Iterator[tuple[int, Item]]:
        """What stands for the streams of each prefix that has some, by prefix."""

    def streams(self, prefixes: Sequence[int]) -> Iterator[tuple[bytes, StreamState]]:
        """The keys and states of these prefixes' streams, by key."""

    def count(self) -> int:
        """How many streams the map holds."""

    def put(self, states: Mapping[bytes, StreamState], parts: Mapping[int, Item]) -> None:
        """New and changed streams by key, and what stands for their prefixes now."""
