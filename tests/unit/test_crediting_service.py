"""A process that credits for a long time: what it remembers of accounts never refuses what the journal would not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from application import accounts, initializing
from application.book import Book
from application.crediting import Crediting
from application.intakes import open_intake
from domain.behavior import Behavior, Refusal, parse_behavior
from domain.crediting import Credited, Outcome
from infrastructure import catalogue
from infrastructure.memory import MemoryJournal, MemoryKeys

Send = Callable[..., Outcome]


class Clock:
    """Shows what a test sets, also earlier times."""

    def __init__(self) -> None:
        self.shows_us = 1_790_000_000_000_000

    def now_us(self) -> int:
        return self.shows_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> Book:
    book = Book(MemoryJournal(clock.now_us), MemoryKeys())
    initializing.open_book(book, retention_days=0)
    initializing.load_catalogue(book, catalogue.documents())
    accounts.open_account(book, "ann", "individual")
    return book


@pytest.fixture
def send(book: Book) -> Send:
    """One row for ann, by a process that goes on."""
    crediting = Crediting(book)
    intake = open_intake(book, "metro-co", "ab" * 32, 1, "csv", opens_accounts=False)
    lines = iter(range(2, 100))

    def credit(ref: str, at: str = "2026-08-01T08:00:00+08:00") -> Outcome:
        row = parse_behavior(next(lines), ref, "ann", "travel.metro", at, "1", "km", "")
        assert isinstance(row, Behavior)
        (outcome,) = crediting.credit(intake, [row]).outcomes
        return outcome

    return credit


def code_of(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, Refusal) else type(outcome).__name__


def test_who_consents_or_is_unfrozen_elsewhere_is_credited_by_the_very_next_row(book: Book, send: Send) -> None:
    assert code_of(send("r1")) == "no_consent"
    validity: dict[str, None] = {"valid_from": None, "valid_to": None}
    accounts.grant_consent(book, "ann", scope=("*",), terms_version="v1", evidence="0" * 64, by="branch", **validity)
    assert isinstance(send("r1"), Credited)
    accounts.freeze(book, "ann", "olga", "a check")
    assert code_of(send("r2")) == "account_frozen"
    accounts.unfreeze(book, "ann", "olga", "fine")
    assert isinstance(send("r2"), Credited)


def test_the_late_window_is_that_of_the_logs_time_which_no_clock_takes_back(
    book: Book, clock: Clock, send: Send
) -> None:
    accounts.grant_consent(
        book, "ann", scope=("*",), terms_version="v1", valid_from=None, valid_to=None, evidence="0" * 64, by="branch"
    )
    assert isinstance(send("r1", "1927-06-01T08:00:00+08:00"), Credited)
    century_us = 100 * 365 * 86_400_000_000
    clock.shows_us += century_us
    accounts.freeze(book, "ann", "olga", "a clock that ran ahead")
    clock.shows_us -= century_us
    accounts.unfreeze(book, "ann", "olga", "set back")
    assert code_of(send("r2", "1927-06-01T08:00:00+08:00")) == "too_late"
    assert isinstance(send("r3", "2026-09-20T08:00:00+08:00"), Credited)
    assert code_of(send("r4", "2026-12-01T08:00:00+08:00")) == "occurred_in_future"
