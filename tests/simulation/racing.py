"""Several writers on one book at once, and what must hold whoever wins.

Keeps: a race follows from its seed: who writes what, and (with a ``Turnstile``) who is next at every call of the
journal; (with ``jitter``) where it only pauses. Whatever a writer does may be refused; nothing may go wrong.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

from application import accounts, methodologies, partners, queries, revising
from application.book import Book
from application.importing import ImportResult, import_behaviors
from application.ports.behavior_source import RefusedRow
from application.ports.journal import Append, Appended, Head, Journal
from application.replaying import replay
from domain.errors import Rejected
from domain.events.account import BehaviorCredited
from domain.partners import Terms
from interfaces.bootstrap import Ledger, behavior_file
from tests.simulation.comparing import broken_caps
from tests.simulation.race_book import RIDE, VERSIONS, WALK

PARTNER = "metro-co"
COLUMNS = ("source_ref", "account_ref", "behavior", "occurred_at", "quantity", "unit", "region")
PEOPLE = [f"person-{n}" for n in range(5)]
DAYS = [date(2024, 12, 30) + timedelta(days=n) for n in range(4)] + [date(2025, 2, 1)]


class Turnstile:
    """Lets one of several threads go on at a time; at every call of the journal the seed says who is next."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._moved = threading.Condition()
        self._present: list[int] = []
        self._next: int | None = None

    def run(self, works: Sequence[Callable[[], None]]) -> None:
        """Run the works as threads until all are done; raises what the first one to fail raised."""
        failures: list[BaseException] = []
        self._present = list(range(len(works)))
        self._next = self._rng.choice(self._present)

        def go(number: int) -> None:
            _self.number = number
            try:
                self._wait(number)
                works[number]()
            except BaseException as failure:  # noqa: BLE001 - raised again by whoever started the race
                failures.append(failure)
            finally:
                self._leave(number)

        threads = [threading.Thread(target=go, args=(number,)) for number in range(len(works))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def pause(self) -> None:
        """A place where others may go on first."""
        number = getattr(_self, "number", None)
        if number is None:
            return
        with self._moved:
            self._next = self._rng.choice(self._present)
            self._moved.notify_all()
        self._wait(number)

    def _wait(self, number: int) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self._next == number)

    def _leave(self, number: int) -> None:
        with self._moved:
            self._present.remove(number)
            self._next = self._rng.choice(self._present) if self._present else None
            self._moved.notify_all()


_self = threading.local()


class Pausing:
    """A journal that pauses before every call and after every append. Whoever holds the journal goes on alone."""

    def __init__(self, journal: Journal, pause: Callable[[], None]) -> None:
        self._journal = journal
        self._pause = pause
        self._held = threading.local()

    def __getattr__(self, name: str) -> Any:
        if not getattr(self._held, "held", False):
            self._pause()
        return getattr(self._journal, name)

    def append(self, batch: Append) -> Appended:
        if getattr(self._held, "held", False):
            return self._journal.append(batch)
        self._pause()
        appended = self._journal.append(batch)
        self._pause()
        return appended

    @contextmanager
    def exclusive(self) -> Iterator[Head]:
        self._pause()
        with self._journal.exclusive() as head:
            self._held.held = True
            try:
                yield head
            finally:
                self._held.held = False


def pausing_book(ledger: Ledger, pause: Callable[[], None]) -> Book:
    """A book without memory of earlier races, that pauses."""
    return Book(cast(Journal, Pausing(ledger.book.journal, pause)), ledger.book.keys)


def fresh_book(ledger: Ledger) -> Book:
    """A book without memory of earlier races."""
    return Book(ledger.book.journal, ledger.book.keys)


def draw_rows(rng: Random, count: int, seen: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows of few people on few days; some were in another file already, as they were or changed."""
    rows = []
    for _ in range(count):
        if seen and rng.random() < 0.35:
            row = rng.choice(seen)
            if rng.random() < 0.2:
                row = (*row[:4], "9.9", *row[5:])
        else:
            day, time = rng.choice(DAYS), rng.choice(("00:00:00", "23:59:59", "08:30:00"))
            quantity = f"{rng.randrange(1, 40)}.{rng.randrange(10)}"
            region = rng.choice(("", "CN-440300", "CN-11", "SG"))
            behavior = RIDE if rng.random() < 0.8 else WALK
            ref = f"ref-{len(seen)}"
            row = (ref, rng.choice(PEOPLE), behavior, f"{day}T{time}+08:00", quantity, "km", region)
            seen.append(row)
        rows.append(row)
    return rows


def write_file(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """Rows as CSV."""
    path.write_text("\n".join(",".join(row) for row in (COLUMNS, *rows)) + "\n", encoding="utf-8")
    return path


@dataclass
class Answers:
    """What one importer was told about its file. ``refused``: code by line."""

    rows: Sequence[Sequence[str]]
    result: ImportResult | None = None
    refused: dict[int, str] = field(default_factory=dict)

    def write(self, row: RefusedRow) -> None:
        """As a sink of refused rows."""
        assert row.refusal.line not in self.refused, "a row was answered twice"
        self.refused[row.refusal.line] = row.refusal.code


def jitter(seed: int) -> Callable[[], None]:
    """A pause of no time, or of a little, as the seed says."""
    rng, guard = Random(seed), threading.Lock()

    def pause() -> None:
        with guard:
            seconds = rng.choice((0, 0, 0, 0.001, 0.004))
        if seconds:
            time.sleep(seconds)

    return pause


def importer(book: Book, path: Path, answers: Answers, batch_rows: int) -> Callable[[], None]:
    def work() -> None:
        answers.result = import_behaviors(
            book, behavior_file(path), PARTNER, opens_accounts=True, rejects=answers, batch_rows=batch_rows
        )

    return work


def office(book: Book, seed: int, acts: int, refs: Sequence[Sequence[str]]) -> Callable[[], None]:
    """Somebody who decides, withdraws, revises, freezes and reverses while others write."""

    def work() -> None:
        rng = Random(seed)
        for _ in range(acts):
            with suppress_expected():
                rng.choice(_ACTS)(book, rng, refs)

    return work


def partner_office(book: Book, seed: int, acts: int) -> Callable[[], None]:
    """Two people who register the partner of all files, stop it, and let it send this or that again."""

    def approved(proposed: partners.PartnerAct) -> None:
        partners.approve(book, proposed.event.proposal, "bob")

    def work() -> None:
        rng = Random(seed)
        key = (bytes([7]) * 64, "ann", bytes(64), lambda *_: True)
        approved(partners.propose(book, PARTNER, Terms(None, None, None), *key))
        for _ in range(acts):
            standing = book.rulebook().partners.standing(PARTNER)
            if standing is not None and standing.suspended:
                approved(partners.propose_resumption(book, PARTNER, "ann", "repaired"))
            elif rng.random() < 0.6:
                partners.suspend(book, PARTNER, "cid", "odd")
            else:
                behaviors = rng.choice((None, None, (RIDE,), (WALK,)))
                approved(partners.propose_terms(book, PARTNER, Terms(behaviors, None, None), "ann"))

    return work


EXPECTED = frozenset(
    {
        *("account_unknown", "account_frozen", "account_not_frozen", "account_closed", "account_busy"),
        *("credit_unknown", "already_reversed", "consent_unknown", "use_revision", "gap_left", "wrong_state"),
        *("revision_in_progress", "plan_stale", "withdrawal_already_proposed", "withdrawal_not_proposed"),
    }
)
"""Refusals that a race may bring about."""


@contextmanager
def suppress_expected() -> Iterator[None]:
    """Go on after such a refusal."""
    try:
        yield
    except Rejected as refused:
        if refused.code not in EXPECTED:
            raise


def _status(book: Book, rng: Random, _: Sequence[Sequence[str]]) -> None:
    act = rng.choice((accounts.freeze, accounts.unfreeze, accounts.unfreeze))
    act(book, rng.choice(PEOPLE), "ann", "asked")


def _reverse(book: Book, rng: Random, rows: Sequence[Sequence[str]]) -> None:
    row = rng.choice(rows)
    accounts.reverse(book, row[1], row[0], "ann", "wrong", PARTNER)


def _consent(book: Book, rng: Random, _: Sequence[Sequence[str]]) -> None:
    person = rng.choice(PEOPLE)
    if rng.random() < 0.3:
        accounts.withdraw_consent(book, person, "ann", "asked")
        return
    accounts.grant_consent(
        book, person, scope=("*",), terms_version="1", valid_from=None, valid_to=None, evidence="0" * 64, by="ann"
    )


def _revise(book: Book, rng: Random, _: Sequence[Sequence[str]]) -> None:
    name = rng.choice(("RIDE@1", "RIDE@2", "RIDE@3", "RIDE@3", "WALK@2"))
    start = rng.choice((None, None, "2024-12-31", "2025-01-01"))
    end = rng.choice((None, None, "2025-01-02"))
    region = rng.choice(("*", "*", "CN", "SG"))
    planned = revising.plan(book, name, start, end, "ann", region=region)
    revising.approve(book, planned.revision_id, "bob")
    if rng.random() < 0.7:
        revising.apply(book, planned.revision_id)


def _apply(book: Book, _: Random, __: Sequence[Sequence[str]]) -> None:
    for run in book.rulebook().pending_runs():
        revising.apply(book, run.id)


def _decide(book: Book, rng: Random, _: Sequence[Sequence[str]]) -> None:
    """Days before 2025, which nothing covers at the beginning."""
    name = rng.choice(("RIDE@1", "RIDE@2", "RIDE@3", "WALK@2"))
    start, region = rng.choice((None, "2024-12-31")), rng.choice(("*", "CN", "SG"))
    decision, _position = methodologies.propose_decision(book, name, start, "2025-01-01", "ann", region=region)
    methodologies.approve_decision(book, decision, "bob")


def _withdraw(book: Book, rng: Random, _: Sequence[Sequence[str]]) -> None:
    name = rng.choice(("RIDE@2", "RIDE@3", "WALK@2", "RIDE@1"))
    methodologies.propose_withdrawal(book, name, "ann")
    methodologies.approve_withdrawal(book, name, "bob", leave_gap=rng.random() < 0.3)


_ACTS: Sequence[Callable[[Book, Random, Sequence[Sequence[str]]], None]] = (
    *(_status, _status, _reverse, _reverse, _reverse, _consent),
    *(_revise, _revise, _revise, _apply, _decide, _decide, _withdraw),
)


def check(ledger: Ledger, answered: Sequence[Answers]) -> None:
    """What must hold after every race: replay, caps, views, and every row answered once."""
    book, views = fresh_book(ledger), ledger.views
    _apply(book, Random(0), ())
    log = list(book.journal.log(0, book.journal.head().size))
    replayed = replay(book)
    assert replayed.details == []
    assert broken_caps(log, VERSIONS) == []
    assert queries.totals(book, views).digest == replayed.digest
    assert [check for check in views.check() if check.differing] == []
    credits = [each.event for each in log if isinstance(each.event, BehaviorCredited)]
    by_ref = {event.ref: event for event in credits}
    assert len(by_ref) == len(credits), "a reference was credited twice"
    named = {(event.intake, event.line) for event in credits}
    assert len(named) == len(credits), "a row was credited twice"
    for answers in answered:
        _check_answers(book, answers, named, by_ref)
    assert sum(answers.result.credited for answers in answered if answers.result) == len(credits)


def _check_answers(
    book: Book, answers: Answers, named: set[tuple[int, int]], by_ref: dict[str, BehaviorCredited]
) -> None:
    result = answers.result
    assert result is not None
    assert result.read == len(answers.rows) == result.credited + result.duplicates + result.rejected
    assert result.rejected == len(answers.refused)
    credited = []
    for line, row in enumerate(answers.rows, start=2):
        if line in answers.refused:
            assert (result.intake_id, line) not in named, "a refused row was credited"
            continue
        event = by_ref[book.keys.ref(PARTNER, row[0]).hex()]
        if (event.intake, event.line) == (result.intake_id, line):
            credited.append(line)
    assert len(credited) == result.credited, f"credited are the lines {credited}, told was {result}"
