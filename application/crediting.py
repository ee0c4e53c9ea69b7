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
        self._accounts: dict[bytes, Account] = {}
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
        rows = [row for row in keyed if isinstance(row, Row)]
        known: Mapping[bytes, Known] = {}
        if look_first:
            known = self._journal.find_refs([row.ref for row in rows])
            self._look_first = _LOOK_FIRST_FOR if known else max(0, self._look_first - 1)
        accounts, cached = self._heads(rows)
        before = {key: account.version for key, account in accounts.items()}
        batch = Batch(rules, intake, accounts, self._history)
        outcomes = batch.decide(keyed, known, self._journal.now_us())
        if self._stale(keyed, outcomes, cached, look_first=look_first):
            return None
        if not batch.events:
            return CreditedBatch(outcomes, head.size, 0)
        snapshots = [
            account
            for key, account in accounts.items()
            if account.version // SNAPSHOT_EVERY > before.get(key, 0) // SNAPSHOT_EVERY
        ]
        appended = self._journal.append(
            Append(batch.events, rules.rulebook.position, batch.refs, batch.openings, snapshots)
        )
        self._remember(accounts)
        return CreditedBatch(outcomes, appended.last, len(batch.openings))

    def _heads(self, rows: Sequence[Row]) -> tuple[dict[bytes, Account], frozenset[bytes]]:
        """Heads by account key of the accounts that exist, and which of them were kept from earlier batches."""
        keys = {row.account_key for row in rows}
        accounts = {key: self._accounts[key] for key in keys if key in self._accounts}
        cached = frozenset(accounts)
        missing = [key for key in keys if key not in accounts]
        if missing:
            ids = self._journal.find_accounts(missing)
            heads = self._journal.accounts(list(ids.values()))
            accounts.update((key, heads[account_id]) for key, account_id in ids.items())
        return accounts, cached

    def _stale(
        self,
        keyed: Sequence[Row | Refusal],
        outcomes: Sequence[Outcome],
        cached: frozenset[bytes],
        *,
        look_first: bool,
    ) -> bool:
        """Whether a refusal rests on a head kept from before, or on a reference that was not looked up."""
        refused = [
            (row, outcome.code)
            for row, outcome in zip(keyed, outcomes, strict=True)
            if isinstance(row, Row) and isinstance(outcome, Refusal)
        ]
        if any(code in STATE_CODES and row.account_key in cached for row, code in refused):
            return True
        if refused and not look_first and self._journal.find_refs([row.ref for row, _ in refused]):
            self._look_first = _LOOK_FIRST_FOR
            return True
        return False

    def _remember(self, accounts: dict[bytes, Account]) -> None:
        self._accounts.update(accounts)
        while len(self._accounts) > _CACHE_LIMIT:
            # Oldest first; an account in use is soon read again.
            del self._accounts[next(iter(self._accounts))]

    def _forget(self, keyed: Sequence[Row | Refusal]) -> None:
        for row in keyed:
            if isinstance(row, Row):
                self._accounts.pop(row.account_key, None)

    def _history(self, account_id: UUID) -> AccountHistory:
        return AccountHistory().extend(self._journal.stream(account_id))
