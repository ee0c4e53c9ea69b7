"""Crediting service: decides a batch on fresh knowledge, appends it, and decides again when something moved.

Keeps (DESIGN 4): one append per batch; account heads are kept between batches and thrown away as soon as another
writer is noticed; a refusal that rests on an account's head or on a free reference is given only after looking at
the journal itself; after two lost races a batch is decided under the append lock, so it always comes through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple
from uuid import UUID

from application.book import Book
from application.ports.journal import Append, Moved, RefTaken
from domain.account import Account
from domain.behavior import Behavior, Refusal
from domain.crediting import STATE_CODES, Batch, Intake, Known, Outcome, Row
from domain.history import AccountHistory
from domain.screening import Rules

SNAPSHOT_EVERY = 100
"""A snapshot is stored whenever a stream passes a multiple of this version."""

_CACHE_LIMIT = 100_000
_LOOK_FIRST_FOR = 16
_OPTIMISTIC_TRIES = 2


class CreditedBatch(NamedTuple):
    """An outcome per row, the log size that shows them, and how many accounts were opened."""

    outcomes: Sequence[Outcome]
    position: int
    accounts_opened: int


class Crediting:
    """Credits batches of behaviors into one book. Not for use by several threads at once."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._journal = book.journal
        self._rules: Rules | None = None
        self._accounts: dict[UUID, Account] = {}
        self._ids: dict[UUID, UUID] = {}
        # References are usually free: the unique index is the check. Where some were taken, more are likely to be.
        self._look_first = 0

    def credit(self, intake: Intake, rows: Sequence[Behavior | Refusal]) -> CreditedBatch:
        """Credit a batch; on return all of it is durable."""
        keyed = self._keyed(intake.partner, rows)
        tries = 0
        while True:
            lock = self._journal.exclusive() if tries >= _OPTIMISTIC_TRIES else nullcontext()
            try:
                with lock:
                    done = self._try(intake, keyed, look_first=self._look_first > 0 or tries > 0)
            except RefTaken:
                self._look_first = _LOOK_FIRST_FOR
                done = None
            except Moved:
                done = None
            if done is not None:
                return done
            tries += 1
            self._forget(keyed)

    def _keyed(self, partner: str, rows: Sequence[Behavior | Refusal]) -> list[Row | Refusal]:
        ref, account = self._book.keys.ref, self._book.keys.account
        return [
            row if isinstance(row, Refusal) else Row(row, ref(partner, row.source_ref), account(row.account_ref))
            for row in rows
        ]

    def _try(self, intake: Intake, keyed: Sequence[Row | Refusal], *, look_first: bool) -> CreditedBatch | None:
        """One attempt; None = knowledge was stale, try again. Raises Moved."""
        head = self._journal.head()
        rules = self._rules
        if rules is None or rules.rulebook.position != head.rulebook_position:
            rules = self._rules = Rules(self._book.rulebook(head.rulebook_position))
        rows = [row for row in keyed if type(row) is Row]
        known: Mapping[UUID, Known] = self._journal.find_refs([row.ref for row in rows]) if look_first else {}
        if look_first:
            self._look_first = _LOOK_FIRST_FOR if known else max(0, self._look_first - 1)
        accounts, ids, kept = self._heads(rows)
        batch = Batch(rules, intake, accounts, ids, self._history)
        outcomes = batch.decide(keyed, known, self._journal.now_us())
        if self._stale(keyed, outcomes, kept, look_first=look_first):
            return None
        if not batch.events:
            return CreditedBatch(outcomes, head.size, 0)
        touched = {event.stream: event.version for event in batch.events}
        snapshots = [accounts[i] for i, version in touched.items() if self._passes(accounts, kept, i, version)]
        refs = batch.refs
        appended = self._journal.append(Append(batch.events, rules.rulebook.position, refs, batch.openings, snapshots))
        self._remember(accounts, ids)
        return CreditedBatch(outcomes, appended.last, len(batch.openings))

    def _heads(self, rows: Sequence[Row]) -> tuple[dict[UUID, Account], dict[UUID, UUID], dict[UUID, int]]:
        """Heads by account id, ids by account key, and the versions of the heads before this batch."""
        keys = {row.account_key for row in rows}
        ids = {key: self._ids[key] for key in keys if key in self._ids}
        missing = [key for key in keys if key not in ids]
        if missing:
            ids.update(self._journal.find_accounts(missing))
        accounts = {i: self._accounts[i] for i in ids.values() if i in self._accounts}
        self._from_cache = set(accounts)
        absent = [i for i in ids.values() if i not in accounts]
        if absent:
            accounts.update(self._journal.accounts(absent))
        return accounts, ids, {i: account.version for i, account in accounts.items()}

    def _stale(
        self, keyed: Sequence[Row | Refusal], outcomes: Sequence[Outcome], kept: Mapping[UUID, int], *, look_first: bool
    ) -> bool:
        """Whether a refusal rests on a head from the cache, or on a reference that was not looked up."""
        refused = [
            (row, outcome.code)
            for row, outcome in zip(keyed, outcomes, strict=True)
            if type(row) is Row and type(outcome) is Refusal
        ]
        if not refused:
            return False
        if any(code in STATE_CODES and self._ids.get(row.account_key) in self._from_cache for row, code in refused):
            return True
        if not look_first and self._journal.find_refs([row.ref for row, _ in refused]):
            self._look_first = _LOOK_FIRST_FOR
            return True
        return False

    @staticmethod
    def _passes(accounts: Mapping[UUID, Account], kept: Mapping[UUID, int], i: UUID, version: int) -> bool:
        return version // SNAPSHOT_EVERY > kept.get(i, 0) // SNAPSHOT_EVERY

    def _remember(self, accounts: dict[UUID, Account], ids: dict[UUID, UUID]) -> None:
        self._accounts.update(accounts)
        self._ids.update(ids)
        for cache in (self._accounts, self._ids):
            while len(cache) > _CACHE_LIMIT:
                # Oldest first; an account in use is soon read again.
                del cache[next(iter(cache))]

    def _forget(self, keyed: Sequence[Row | Refusal]) -> None:
        for row in keyed:
            if type(row) is Row:
                account = self._ids.pop(row.account_key, None)
                if account is not None:
                    self._accounts.pop(account, None)

    def _history(self, account_id: UUID) -> AccountHistory:
        return AccountHistory().extend(self._journal.stream(account_id))
