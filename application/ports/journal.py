"""The journal: one append-only log of events, the truth of the ledger.

Keeps (DESIGN 4, Append): positions are 1, 2, 3 ... without a gap, visible in that order; an append is all or nothing;
it is refused, and nothing is written, when the rulebook moved since it was decided, when a stream moved, or when a
reference was taken. What is acknowledged is durable.
Leaves to the caller: deciding again after a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.account import Account
from domain.crediting import Known
from domain.events.base import NewEvent, Recorded


class Head(NamedTuple):
    """Where the log stands. ``recorded_us``: instant of the last commit (microseconds, 0 when empty)."""

    size: int
    rulebook_position: int
    recorded_us: int


class DayRows(NamedTuple):
    """Rows of a partner that are credited on a civil day (ordinal). ``most``: of the whole day; None: any number."""

    partner: str
    day: int
    rows: int
    most: int | None


class Append(NamedTuple):
    """What to append together.

    ``rulebook_seen``: rulebook position the decisions rest on. ``refs``: reference key and index of its credit in
    ``events``.
    ``openings``: account key and account id. ``snapshots``: account id, version and ``Account.snapshot()``.
    ``moves_rulebook``: the (single) event is a rulebook event. ``erasures``: accounts whose look-up by reference and
    whose key are destroyed with it; their personal parts read as None from then on. ``decided_us``: the instant that
    the decision rests on, taken while the journal was held: it is recorded with it; None: with the journal's clock.
    ``at_size``: the events name positions of their own append, so the log must be this long; None: they do not.
    ``day_rows``: counted with it, or refused with it; None: nothing is counted.
    """

    events: Sequence[NewEvent]
    rulebook_seen: int
    refs: Sequence[tuple[bytes, int]] = ()
    openings: Sequence[tuple[bytes, UUID]] = ()
    snapshots: Sequence[tuple[UUID, int, bytes]] = ()
    moves_rulebook: bool = False
    erasures: Sequence[UUID] = ()
    decided_us: int | None = None
    at_size: int | None = None
    day_rows: DayRows | None = None


class Appended(NamedTuple):
    """First and last position of what was appended, and when (microseconds)."""

    first: int
    last: int
    recorded_us: int


class Moved(Exception):
    """Something that the decisions rest on has changed; nothing was written. Decide again on fresh state."""


class RulebookMoved(Moved):
    """A rulebook event was appended meanwhile."""


class StreamMoved(Moved):
    """Another writer appended to one of the streams, or opened one of the accounts."""


class RefTaken(Moved):
    """One of the references was taken meanwhile."""


class LogMoved(Moved):
    """Somebody else appended first, so the events would have other positions than they name."""


class DayFull(Exception):
    """The day has no room for these rows of the partner; nothing was written. ``counted``: those that it has."""

    def __init__(self, counted: int) -> None:
        super().__init__(f"{counted} rows are counted")
        self.counted = counted


class Journal(Protocol):
    """Port of the log. All reads see what is committed when they begin."""

    def book_id(self) -> UUID:
        """What tells this book from every other; random, made with the journal."""

    def head(self) -> Head: ...

    def append(self, batch: Append) -> Appended:
        """Raises RulebookMoved, StreamMoved, RefTaken, LogMoved; where none of these is in the way, DayFull."""

    def exclusive(self) -> AbstractContextManager[Head]:
        """Hold the append lock: nothing moves between reading and appending inside; one append at most."""

    def claim(self, stream: UUID) -> AbstractContextManager[bool]:
        """Until the block ends: True = nobody else has claimed this stream, False = somebody has. It does not wait.

        Only those who ask are kept apart; appends are not. Whoever dies gives up what he claimed.
        """

    def now_us(self) -> int:
        """The clock that ``recorded_us`` is taken from."""

    def rulebook_events(self, after: int, upto: int) -> list[Recorded]:
        """The rulebook chain ending at rulebook position ``upto`` back to ``after`` (exclusive), oldest first."""

    def accounts(self, ids: Sequence[UUID]) -> dict[UUID, Account]:
        """Heads of the accounts, by one query over snapshots and what follows them; unknown ids are left out."""

    def find_accounts(self, keys: Sequence[bytes]) -> dict[bytes, UUID]:
        """Account ids by account key; unknown keys are left out."""

    def named(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those of the accounts that some account key leads to."""

    def key_epoch(self) -> int:
        """The epoch under whose key-encryption key the keys of accounts are wrapped; does not move while the journal is
        held."""

    def find_refs(self, refs: Sequence[bytes]) -> dict[bytes, Known]:
        """What taken references were recorded as; free ones are left out."""

    def stream(self, stream: UUID, upto: int | None = None, *, personal: bool = False) -> list[Recorded]:
        """One stream, oldest first; ``upto`` limits by log position. ``personal``: with the personal parts, unsealed.

        Without it, here and below, nobody's key is touched.
        """

    def version(self, stream: UUID) -> int:
        """How many events a stream has."""

    def streams(
        self,
        kind_topics: Sequence[str],
        upto: int,
        after: UUID | None = None,
        since: int = 0,
        *,
        personal: bool = False,
    ) -> Iterator[tuple[UUID, list[Recorded]]]:
        """Every stream with an event of one of the topics at a position in (since, upto], by stream id, with these.

        ``after``: only streams with a greater id.
        """

    def log(self, after: int, upto: int, topics: Sequence[str] = (), *, personal: bool = False) -> Iterator[Recorded]:
        """Events with positions in (after, upto], in log order; only some topics when given."""

    def span(self, upto: int) -> tuple[int, int, int]:
        """How many events stand at positions up to ``upto``, and the first and last of these positions (0 if none)."""

    def rows_of_day(self, partner: str, day: int) -> int:
        """How many rows of a partner were counted on a civil day."""

    def count_refs(self, upto: int) -> int:
        """How many references are taken by credits at positions up to ``upto``."""

    def ref_positions(self, refs: Sequence[bytes]) -> dict[bytes, int]:
        """The position each taken reference leads to; free ones are left out."""

    def snapshots(self, ids: Sequence[UUID]) -> dict[UUID, tuple[int, bytes]]:
        """The newest stored snapshot of each account that has one: version and state."""

    def wrong_commit(self) -> int | None:
        """The last position of the first commit that is not later than the one before it; None when all are."""

    def position_at(self, instant_us: int) -> int:
        """Log size as it was known at an instant: the last position recorded at or before it."""

    def recorded_at(self, positions: Sequence[int]) -> dict[int, int]:
        """Instant (microseconds) at which each position was recorded."""
