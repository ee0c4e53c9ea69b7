"""Crediting service: decides a batch on fresh knowledge, appends it, and decides again when something moved.

Keeps (DESIGN 4): one append per batch; account heads are kept between batches and thrown away as soon as another
writer is noticed; a refusal that rests on an account's head or on a free reference is given only after looking at
the journal itself; after two lost races a batch is decided under the append lock, so it comes through or what is stored
contradicts itself, which is Corrupt and not tried again.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol
from uuid import UUID

from application.book import Book
from application.intakes import closing
from application.left_out import KeysEnded, OverDay
from application.lookups import heads_of, known_of, moved_under_lock
from application.ports.journal import Append, Appended, DayFull, DayRows, Moved, RefTaken
from domain.account import Account
from domain.behavior import Behavior, Refusal
from domain.crediting import STATE_CODES, Batch, Credited, Intake, Known, Outcome, Row
from domain.events.base import NewEvent
from domain.events.intake import IntakeOpened
from domain.history import AccountHistory
from domain.instants import instant_of
from domain.intakes import intake_stream
from domain.screening import Rules
from domain.values import CIVIL_OFFSET_MINUTES, civil_day

SNAPSHOT_EVERY = 10
"""A snapshot is stored whenever a stream passes a multiple of this version."""

_CACHE_LIMIT = 10_000
_LOOK_FIRST_FOR = 16
_OPTIMISTIC_TRIES = 2
_TRIES = _OPTIMISTIC_TRIES + 2
"""Under the lock at most one decision rests on heads that were kept; the next one reads all of them."""
_TURN_SECONDS = 0.0005
_OBJECTS_BETWEEN_SEARCHES = 50_000


class WholeIntake(NamedTuple):
    """An intake that one append opened, credited and closed.

    ``positions``: of each row's credit in the log, 0 where it has none. ``intake``, ``last``: of opening and closing.
    """

    outcomes: Sequence[Outcome]
    positions: Sequence[int]
    intake: int
    last: int


class CreditedBatch(NamedTuple):
    """An outcome per row, the log size that shows them, and how many accounts were opened."""

    outcomes: Sequence[Outcome]
    position: int
    accounts_opened: int


@contextmanager
def _many_rows() -> Iterator[None]:
    """The interpreter set for batch after batch.

    The appending thread gets it soon after its server has answered: it waits for the server a dozen times an append; at
    Python's 5 ms a turn that alone took a third of the time. And the search for cycles is rarer: a batch makes
    thousands of objects and no cycle, so each search would be for nothing.
    """
    usual, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(_TURN_SECONDS)
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(usual)


class _StaleKnowledge(Exception):
    """What was decided rests on something that must be read from the journal again."""


@dataclass(slots=True)
class _Decided:
    """A batch as decided on a log of ``size`` events. ``append`` is None when there is nothing to record."""

    keyed: Sequence[Row | Refusal]
    outcomes: Sequence[Outcome]
    append: Append | None
    size: int
    accounts_opened: int
    refs: frozenset[bytes]


class _Decide(Protocol):
    """Decides on what is known, with a look at the references first or not. Raises ``_StaleKnowledge``."""

    def __call__(self, *, look_first: bool) -> _Decided: ...


class Crediting:
    """Credits batches of behaviors into one book. Not for use by several threads at once."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._journal = book.journal
        self._rules: Rules | None = None
        self._accounts: dict[bytes, Account] = {}
        # References are usually free: the unique index is the check. Where some were taken, more are likely to be.
        self._look_first = 0
        self._in_flight: frozenset[bytes] | None = None
        """References of the batch that is being appended while the next one is decided."""

    def credit(self, intake: Intake, rows: Sequence[Behavior | Refusal]) -> CreditedBatch:
        """Credit a batch; on return all of it is durable."""
        return self._credit_now(intake, self._keyed(intake.partner, rows))

    def credit_whole(
        self, opened: IntakeOpened, rows: Sequence[Behavior | Refusal], signed_by: Collection[str] = ()
    ) -> WholeIntake:
        """Record a new intake with one append, and so with one commit: its opening, its credits and its closing.

        ``signed_by``: ids of keys whose signatures must count for the partner at that position. Raises ``KeysEnded``,
        and has recorded nothing, where they do not, and ``OverDay`` where its credits are more than a quota allows.

        Credits name the position of the opening, so the log must not have moved when it is appended; whoever loses that
        race decides again while he holds the journal.
        """
        keyed = self._keyed(opened.partner, rows)
        decided, last = self._record(partial(self._decide_whole, opened, keyed, signed_by), keyed, optimistic_tries=1)
        assert decided.append is not None
        first = decided.size + 1
        places = iter(decided.append.refs)
        positions = [first + next(places)[1] if isinstance(each, Credited) else 0 for each in decided.outcomes]
        return WholeIntake(decided.outcomes, positions, first, last)

    def credit_all(self, intake: Intake, batches: Iterable[Sequence[Behavior | Refusal]]) -> Iterator[CreditedBatch]:
        """Credit batches in turn, deciding each while the one before is being made durable; same results as ``credit``.

        A batch is yielded when it is durable. Where deciding ahead would need what is not durable yet, it waits.
        """
        try:
            yield from self._credit_in_turn(intake, batches)
        except BaseException:
            self._forget_all()
            raise

    def _credit_in_turn(
        self, intake: Intake, batches: Iterable[Sequence[Behavior | Refusal]]
    ) -> Iterator[CreditedBatch]:
        with _many_rows(), ThreadPoolExecutor(1, thread_name_prefix="append") as appender:
            before: tuple[_Decided, Future[Appended]] | None = None
            for rows in batches:
                keyed = self._keyed(intake.partner, rows)
                decided = self._decide_ahead(intake, keyed)
                if before is None and decided is not None and decided.append is None:
                    yield CreditedBatch(decided.outcomes, decided.size, 0)
                    continue
                if before is not None:
                    settled = self._settle(intake, *before)
                    if settled is None:
                        # It lost a race: what was decided on top of it is void.
                        self._forget(keyed)
                        decided, settled = None, self._credit_now(intake, before[0].keyed)
                    yield settled
                    before = None
                if decided is None or decided.append is None:
                    yield self._credit_now(intake, keyed)
                else:
                    self._in_flight = decided.refs
                    before = (decided, appender.submit(self._journal.append, decided.append))
            if before is not None:
                yield self._settle(intake, *before) or self._credit_now(intake, before[0].keyed)

    def _settle(self, intake: Intake, decided: _Decided, future: Future[Appended]) -> CreditedBatch | None:
        """Wait for an append in flight; None = it lost a race and wrote nothing."""
        self._in_flight = None
        try:
            appended = future.result()
        except Moved as moved:
            self._lost(decided.keyed, moved)
            return None
        return CreditedBatch(decided.outcomes, appended.last, decided.accounts_opened)

    def _decide_ahead(self, intake: Intake, keyed: Sequence[Row | Refusal]) -> _Decided | None:
        """Decide while an append may be in flight; None where that is not safe."""
        try:
            return self._decide(intake, keyed, look_first=self._look_first > 0)
        except _StaleKnowledge:
            self._forget(keyed)
            return None

    def _credit_now(self, intake: Intake, keyed: Sequence[Row | Refusal]) -> CreditedBatch:
        decided, last = self._record(partial(self._decide, intake, keyed), keyed)
        return CreditedBatch(decided.outcomes, last, decided.accounts_opened)

    def _record(
        self, decide: _Decide, keyed: Sequence[Row | Refusal], optimistic_tries: int = _OPTIMISTIC_TRIES
    ) -> tuple[_Decided, int]:
        """Decide and append until it is done; returns what was decided, and the log size that shows it."""
        for tries in range(_TRIES):
            # Under the lock nothing moves between reading and appending: only what is stored wrong can be in the way.
            held = tries >= optimistic_tries
            decided: _Decided | None = None
            try:
                with self._journal.exclusive() if held else nullcontext():
                    decided = decide(look_first=self._look_first > 0 or tries > 0)
                    if decided.append is None:
                        return decided, decided.size
                    appended = self._journal.append(decided.append)
                return decided, appended.last
            except _StaleKnowledge:
                self._forget(keyed)
            except Moved as moved:
                self._lost(keyed, moved)
                if held:
                    self._forget_all()
                    refs = [] if decided is None else list(decided.refs)
                    raise moved_under_lock(self._journal, refs, moved) from moved
            except DayFull as full:
                self._forget(keyed)
                assert decided is not None
                assert decided.append is not None
                raise OverDay.of(decided.outcomes, decided.append, full) from full
            except BaseException:
                self._forget_all()
                raise
        raise AssertionError("decided on knowledge just read, it rests on old knowledge")

    def _lost(self, keyed: Sequence[Row | Refusal], moved: Moved) -> None:
        if isinstance(moved, RefTaken):
            self._look_first = _LOOK_FIRST_FOR
        self._forget(keyed)

    def _keyed(self, partner: str, rows: Sequence[Behavior | Refusal]) -> list[Row | Refusal]:
        ref, account = self._book.keys.ref, self._book.keys.account
        return [
            row if isinstance(row, Refusal) else Row(row, ref(partner, row.source_ref), account(row.account_ref))
            for row in rows
        ]

    def _decide(self, intake: Intake, keyed: Sequence[Row | Refusal], *, look_first: bool) -> _Decided:
        """Decide a batch on what is known; heads are remembered as they will be. Raises ``_StaleKnowledge``."""
        head = self._journal.head()
        rules = self._rules
        if rules is None or rules.position != head.rulebook_position:
            rules = self._rules = Rules(self._book.rulebook(head.rulebook_position))
        rows = [row for row in keyed if isinstance(row, Row)]
        known: Mapping[bytes, Known] = {}
        if look_first:
            known = known_of(self._journal, [row.ref for row in rows])
            self._look_first = _LOOK_FIRST_FOR if known else max(0, self._look_first - 1)
        accounts, cached = self._heads(rows)
        before = {key: account.version for key, account in accounts.items()}
        batch = Batch(rules, intake, accounts, self._history)
        outcomes = batch.decide(keyed, known, self._journal.now_us(), head.recorded_us)
        self._refuse_stale(keyed, outcomes, cached, look_first=look_first)
        self._remember(accounts)
        snapshots = [
            (account.id, account.version, account.snapshot())
            for key, account in accounts.items()
            if account.version // SNAPSHOT_EVERY > before.get(key, 0) // SNAPSHOT_EVERY
        ]
        append = Append(batch.events, rules.position, batch.refs, batch.openings, snapshots)
        refs = frozenset(ref for ref, _ in batch.refs)
        return _Decided(keyed, outcomes, append if batch.events else None, head.size, len(batch.openings), refs)

    def _decide_whole(
        self, opened: IntakeOpened, keyed: Sequence[Row | Refusal], signed_by: Collection[str], *, look_first: bool
    ) -> _Decided:
        """Decide an intake and the events around it, for a log as long as it is now. Raises ``KeysEnded``."""
        size = self._journal.head().size
        received_us = instant_of(opened.received_at)
        intake = Intake(opened.partner, size + 1, opened.digest, received_us, opens_accounts=False)
        decided = self._decide(intake, keyed, look_first=look_first)
        self._refuse_ended(opened.partner, signed_by)
        stream = intake_stream(opened.partner, opened.digest)
        before = self._journal.version(stream)
        credits = decided.append or Append((), self._rules_position)
        append = credits._replace(
            events=[
                NewEvent(stream, before + 1, opened),
                *credits.events,
                NewEvent(stream, before + 2, closing(decided.outcomes)),
            ],
            refs=[(ref, place + 1) for ref, place in credits.refs],
            at_size=size,
            day_rows=self._day_rows(opened.partner, received_us, decided.outcomes),
        )
        return replace(decided, append=append, size=size)

    def _day_rows(self, partner: str, received_us: int, outcomes: Sequence[Outcome]) -> DayRows | None:
        """What is counted of a registered partner: its credits, on the day of their receipt by the journal's clock.

        With or without a quota: one that is approved later in the day holds for all of it.
        """
        assert self._rules is not None
        standing = self._rules.rulebook.partners.standing(partner)
        rows = sum(1 for each in outcomes if isinstance(each, Credited))
        if standing is None or not rows:
            return None
        return DayRows(partner, civil_day(received_us, CIVIL_OFFSET_MINUTES), rows, standing.terms.rows_per_day)

    def _refuse_ended(self, partner: str, keys: Collection[str]) -> None:
        """By the rules that were decided by: where they moved since, the append is refused and this is asked again."""
        assert self._rules is not None
        partners, position = self._rules.rulebook.partners, self._rules.position + 1
        ended = frozenset(key for key in keys if partners.key_at(partner, key, position) is None)
        if ended:
            raise KeysEnded(ended)

    @property
    def _rules_position(self) -> int:
        """Of the rulebook that was decided by last."""
        assert self._rules is not None
        return self._rules.position

    def _heads(self, rows: Sequence[Row]) -> tuple[dict[bytes, Account], frozenset[bytes]]:
        """Heads by account key of the accounts that exist, and which of them were kept from earlier batches."""
        keys = {row.account_key for row in rows}
        accounts = {key: self._accounts[key] for key in keys if key in self._accounts}
        cached = frozenset(accounts)
        missing = [key for key in keys if key not in accounts]
        if missing:
            ids = self._journal.find_accounts(missing)
            heads = heads_of(self._journal, list(ids.values()))
            # Erased since its id was found: whoever bears the name now has no account.
            accounts.update((key, heads[i]) for key, i in ids.items() if heads[i].status != "erased")
        return accounts, cached

    def _refuse_stale(
        self,
        keyed: Sequence[Row | Refusal],
        outcomes: Sequence[Outcome],
        cached: frozenset[bytes],
        *,
        look_first: bool,
    ) -> None:
        """Raises ``_StaleKnowledge`` when a refusal rests on a kept head or on a reference not looked up."""
        refused = [
            (row, outcome.code)
            for row, outcome in zip(keyed, outcomes, strict=True)
            if isinstance(row, Row) and isinstance(outcome, Refusal)
        ]
        if not refused:
            return
        in_flight = self._in_flight
        if in_flight is not None and any(row.ref in in_flight for row, _ in refused):
            raise _StaleKnowledge
        if any(code in STATE_CODES and row.account_key in cached for row, code in refused):
            raise _StaleKnowledge
        if not look_first and known_of(self._journal, [row.ref for row, _ in refused]):
            self._look_first = _LOOK_FIRST_FOR
            raise _StaleKnowledge

    def _remember(self, accounts: dict[bytes, Account]) -> None:
        self._accounts.update(accounts)
        while len(self._accounts) > _CACHE_LIMIT:
            # Oldest first; an account in use is soon read again.
            del self._accounts[next(iter(self._accounts))]

    def _forget_all(self) -> None:
        """After a failure nobody knows what was recorded: heads as they would have been must not be built on."""
        self._accounts.clear()
        self._in_flight = None

    def _forget(self, keyed: Sequence[Row | Refusal]) -> None:
        for row in keyed:
            if isinstance(row, Row):
                self._accounts.pop(row.account_key, None)

    def _history(self, account_id: UUID) -> AccountHistory:
        if self._in_flight is not None:
            # The journal does not show yet what is being appended to this account.
            raise _StaleKnowledge
        return AccountHistory().extend(self._journal.stream(account_id))
