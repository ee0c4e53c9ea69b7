"""In-memory twins of the ports ``journal`` and ``keys``: the same promises, nothing durable; views: ``memory_views``.

Keeps: what goes in is stored as encoded bytes, unsealed, and decoded anew by every read, so no test passes that
PostgreSQL would fail for a lost field or a shared object; the same refusals in the same order; several threads may
share one journal. ``tests/contract`` runs one suite for these twins and for PostgreSQL.
Stricter than the port: a version that skips one stops the test, since only a defect can bring it about.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID, uuid4, uuid5

from application.ports.journal import (
    Append,
    Appended,
    DayFull,
    Head,
    LogMoved,
    RefTaken,
    RulebookMoved,
    StreamMoved,
)
from domain.account import Account
from domain.crediting import Known
from domain.errors import Corrupt
from domain.events.base import Recorded
from domain.events.registry import encode, recorded

Clock = Callable[[], int]

_NAMES = UUID("0d1f6f3e-5a0b-4c83-9a36-6f0c1be1a7d2")


class MemoryKeys:
    """Keys port without a secret: equal names give equal keys."""

    def ref(self, partner: str, source_ref: str) -> bytes:
        return uuid5(_NAMES, f"ref\0{partner}\0{source_ref}").bytes

    def account(self, account_ref: str) -> bytes:
        return uuid5(_NAMES, f"account\0{account_ref}").bytes

    def check(self) -> str:
        return uuid5(_NAMES, "check").hex

    def secret(self, purpose: str, name: str) -> bytes:
        return uuid5(_NAMES, f"secret\0{purpose}\0{name}").bytes * 2


class _Row(NamedTuple):
    stream: UUID
    version: int
    topic: str
    state: bytes


class _Staged(NamedTuple):
    """A checked append: what it adds, and where the log stands after it."""

    rows: list[_Row]
    batch: Append
    head: Head


class MemoryJournal:
    """Journal port; see ``application.ports.journal``. Row ``p - 1`` of the log is at position ``p``."""

    def __init__(self, clock: Clock) -> None:
        """``clock``: microseconds since 1970-01-01T00:00:00Z; may be exchanged at any time."""
        self.clock = clock
        self._book = uuid4()
        self._head = Head(0, 0, 0)
        self._rows: list[_Row] = []
        self._streams: dict[UUID, list[int]] = {}
        self._refs: dict[bytes, int] = {}
        self._day_rows: dict[tuple[str, int], int] = {}
        self._account_keys: dict[bytes, UUID] = {}
        self._account_ids: set[UUID] = set()
        self._erased: set[UUID] = set()
        self._snapshots: dict[UUID, tuple[int, bytes]] = {}
        self._commit_positions: list[int] = []
        self._commit_instants: list[int] = []
        # Writers take turns; readers only exclude the moment in which an append becomes visible.
        self._turn = threading.Lock()
        self._visible = threading.RLock()
        self._holder = threading.local()
        self._claimed: set[UUID] = set()

    def book_id(self) -> UUID:
        return self._book

    def head(self) -> Head:
        return self._head

    def now_us(self) -> int:
        return self.clock()

    def append(self, batch: Append) -> Appended:
        if not batch.events:
            raise ValueError("an append without events")
        rows = [_Row(e.stream, e.version, e.event.TOPIC, encode(e.event, e.personal)) for e in batch.events]
        if getattr(self._holder, "holds", False):
            if self._holder.staged is not None:
                raise RuntimeError("the journal is held for one append at most")
            staged = self._holder.staged = self._stage(rows, batch)
        else:
            with self._turn:
                staged = self._stage(rows, batch)
                self._commit(staged)
        return Appended(staged.head.size - len(rows) + 1, staged.head.size, staged.head.recorded_us)

    @contextmanager
    def exclusive(self) -> Iterator[Head]:
        if getattr(self._holder, "holds", False):
            raise RuntimeError("this thread holds the journal already")
        with self._turn:
            self._holder.holds, self._holder.staged = True, None
            try:
                yield self._head
                if self._holder.staged is not None:
                    self._commit(self._holder.staged)
            finally:
                self._holder.holds, self._holder.staged = False, None

    @contextmanager
    def claim(self, stream: UUID) -> Iterator[bool]:
        with self._visible:
            ours = stream not in self._claimed
            self._claimed.add(stream)
        try:
            yield ours
        finally:
            if ours:
                self._claimed.discard(stream)

    def accounts(self, ids: Sequence[UUID]) -> dict[UUID, Account]:
        found: dict[UUID, Account] = {}
        for account_id in ids:
            with self._visible:
                positions = self._streams.get(account_id, [])
                version, state = self._snapshots.get(account_id, (0, b""))
                tail = positions[version:]
            if positions:
                account = Account.from_snapshot(account_id, state) if version else Account(account_id)
                found[account_id] = account.extend(self._recorded(position) for position in tail)
        return found

    def find_accounts(self, keys: Sequence[bytes]) -> dict[bytes, UUID]:
        with self._visible:
            return {key: self._account_keys[key] for key in keys if key in self._account_keys}

    def named(self, ids: Sequence[UUID]) -> set[UUID]:
        with self._visible:
            return set(ids) & set(self._account_keys.values())

    def key_epoch(self) -> int:
        return 1

    def find_refs(self, refs: Sequence[bytes]) -> dict[bytes, Known]:
        with self._visible:
            positions = {ref: self._refs[ref] for ref in refs if ref in self._refs}
        return {ref: Known(*self._recorded(position, personal=True)) for ref, position in positions.items()}

    def stream(self, stream: UUID, upto: int | None = None, *, personal: bool = False) -> list[Recorded]:
        with self._visible:
            positions = list(self._streams.get(stream, ()))
        return [self._recorded(position, personal) for position in positions if upto is None or position <= upto]

    def version(self, stream: UUID) -> int:
        with self._visible:
            return len(self._streams.get(stream, ()))

    def streams(
        self,
        kind_topics: Sequence[str],
        upto: int,
        after: UUID | None = None,
        since: int = 0,
        *,
        personal: bool = False,
    ) -> Iterator[tuple[UUID, list[Recorded]]]:
        with self._visible:
            upto = min(upto, self._head.size)
            streams = sorted(stream for stream in self._streams if after is None or stream > after)
        for stream in streams:
            with self._visible:
                positions = list(self._streams[stream])
            wanted = [p for p in positions if since < p <= upto and self._rows[p - 1].topic in kind_topics]
            if wanted:
                yield stream, [self._recorded(position, personal) for position in wanted]

    def log(self, after: int, upto: int, topics: Sequence[str] = (), *, personal: bool = False) -> Iterator[Recorded]:
        for position in range(after + 1, min(upto, self._head.size) + 1):
            if not topics or self._rows[position - 1].topic in topics:
                yield self._recorded(position, personal)

    def rulebook_events(self, after: int, upto: int) -> list[Recorded]:
        chain: list[Recorded] = []
        while upto > after:
            chain.append(self._recorded(upto))
            upto = chain[-1].event.previous
        return chain[::-1]

    def span(self, upto: int) -> tuple[int, int, int]:
        count = max(0, min(upto, self._head.size))
        return count, min(1, count), count

    def rows_of_day(self, partner: str, day: int) -> int:
        with self._visible:
            return self._day_rows.get((partner, day), 0)

    def count_refs(self, upto: int) -> int:
        with self._visible:
            return sum(1 for position in self._refs.values() if position <= upto)

    def ref_positions(self, refs: Sequence[bytes]) -> dict[bytes, int]:
        with self._visible:
            return {ref: self._refs[ref] for ref in refs if ref in self._refs}

    def snapshots(self, ids: Sequence[UUID]) -> dict[UUID, tuple[int, bytes]]:
        with self._visible:
            return {i: self._snapshots[i] for i in ids if i in self._snapshots}

    def wrong_commit(self) -> int | None:
        with self._visible:
            commits = zip(self._commit_positions, self._commit_instants, strict=True)
            pairs = pairwise(commits)
            return next((last for (_, before), (last, now) in pairs if now <= before), None)

    def position_at(self, instant_us: int) -> int:
        with self._visible:
            index = bisect_right(self._commit_instants, instant_us)
            return self._commit_positions[index - 1] if index else 0

    def recorded_at(self, positions: Sequence[int]) -> dict[int, int]:
        with self._visible:
            commits = {p: bisect_left(self._commit_positions, p) for p in positions}
            return {p: self._commit_instants[i] for p, i in commits.items() if i < len(self._commit_instants)}

    def _recorded(self, position: int, personal: bool = False) -> Recorded:
        row = self._rows[position - 1]
        found = recorded(row.stream, row.version, position, row.topic, row.state)
        return found if personal and row.stream not in self._erased else found._replace(personal=None)

    def _stage(self, rows: list[_Row], batch: Append) -> _Staged:
        """Check an append against the log; changes nothing."""
        head = self._head
        if batch.at_size is not None and batch.at_size != head.size:
            raise LogMoved(f"the log has {head.size} events, decided at {batch.at_size}")
        if batch.rulebook_seen != head.rulebook_position:
            raise RulebookMoved(f"rulebook is at {head.rulebook_position}, decided at {batch.rulebook_seen}")
        self._check_openings(batch.openings)
        refs = [ref for ref, _ in batch.refs]
        if len(set(refs)) < len(refs) or any(ref in self._refs for ref in refs):
            raise RefTaken("a reference is taken")
        versions: dict[UUID, int] = {}
        for stream, version, _, _ in rows:
            last = versions.get(stream, len(self._streams.get(stream, ())))
            if version <= last:
                raise StreamMoved(f"{stream} is at version {last}")
            if version != last + 1:
                raise Corrupt("version_skipped", f"version {version} after {last}", field=str(stream))
            versions[stream] = version
        if any(event.personal is not None and event.stream in self._erased for event in batch.events):
            raise Corrupt("account_key_missing", "the account has no key: it was erased")
        self._check_day(batch)
        size = head.size + len(rows)
        rulebook_position = size if batch.moves_rulebook else head.rulebook_position
        now_us = self.clock() if batch.decided_us is None else batch.decided_us
        return _Staged(rows, batch, Head(size, rulebook_position, max(now_us, head.recorded_us + 1)))

    def _check_day(self, batch: Append) -> None:
        added = batch.day_rows
        if added is None or added.most is None:
            return
        counted = self.rows_of_day(added.partner, added.day)
        if counted + added.rows > added.most:
            raise DayFull(counted)

    def _check_openings(self, openings: Sequence[tuple[bytes, UUID]]) -> None:
        keys, ids = {key for key, _ in openings}, {account_id for _, account_id in openings}
        if len(keys) < len(openings) or not keys.isdisjoint(self._account_keys):
            raise StreamMoved("an account has this reference")
        if len(ids) < len(openings) or not ids.isdisjoint(self._account_ids):
            raise StreamMoved("an account has this id")

    def _commit(self, staged: _Staged) -> None:
        rows, batch, head = staged
        snapshots = {account: (version, state) for account, version, state in batch.snapshots}
        with self._visible:
            first = self._head.size + 1
            self._rows += rows
            for position, row in enumerate(rows, start=first):
                self._streams.setdefault(row.stream, []).append(position)
            self._refs.update((ref, first + index) for ref, index in batch.refs)
            if batch.day_rows is not None:
                partner, day, added, _ = batch.day_rows
                self._day_rows[partner, day] = self._day_rows.get((partner, day), 0) + added
            self._account_keys.update(batch.openings)
            self._account_ids.update(account_id for _, account_id in batch.openings)
            if batch.erasures:
                self._erased.update(batch.erasures)
                self._account_keys = {key: i for key, i in self._account_keys.items() if i not in self._erased}
            self._snapshots.update(snapshots)
            self._commit_positions.append(head.size)
            self._commit_instants.append(head.recorded_us)
            self._head = head
