"""Intakes when the same bytes are imported by two at once (DESIGN 3, Intake)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from application import accounts, initializing, intakes
from application.book import Book
from application.replaying import replay
from domain.events.account import BehaviorCredited
from domain.events.base import Event
from domain.events.intake import IntakeClosed, IntakeOpened
from infrastructure.memory import MemoryJournal, MemoryKeys
from tests.simulation.acts import File, import_file
from tests.simulation.plain import Report, instant_us
from tests.simulation.race_book import RIDE, begin
from tests.simulation.small_worlds import ToldClock
from tests.simulation.stage import Killed, Point, Writer

PROMPTLY = 20.0
RIDES = tuple(
    Report(line, f"ride-{line}", "person", RIDE, "2025-05-01T08:00:00+08:00", "2.0", "km", "") for line in (2, 3)
)
IMPORT = import_file(File("metro-co", "0" * 64, RIDES, True), 1)
ALL_CREDITED = (2, 2, 0, 0, ())
ALL_DUPLICATES = (2, 0, 2, 0, ())


class Two:
    """Two importers of one file: one is interrupted before its first credit, the other comes along at that moment."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        clock = ToldClock(instant_us(datetime(2025, 6, 1, tzinfo=UTC)))
        self.journal, keys = MemoryJournal(clock), MemoryKeys()
        self.office = Book(self.journal, keys)
        initializing.open_book(self.office, clock="simulated")
        begin(self.office)
        accounts.open_account(self.office, "person")
        self.first, self.second = Writer(self.journal, keys), Writer(self.journal, keys)
        self.second.book = Book(self.journal, keys)  # waits for the first one, as a process of its own would
        self._threads = threads

    def second_comes(self) -> Future[Any]:
        """It has begun, and is not done after a while."""
        coming = self._threads.submit(IMPORT.ledger, self.second)
        time.sleep(0.1)
        assert not coming.done(), "it did not wait"
        return coming

    def events(self, *kinds: type[Event]) -> list[Any]:
        log = self.journal.log(0, self.journal.head().size)
        return [each.event for each in log if isinstance(each.event, kinds)]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    monkeypatch.setattr(intakes, "LOOK_AGAIN_SECONDS", 0.01)
    with ThreadPoolExecutor(1) as threads:
        yield Two(threads)


def test_whoever_imports_the_same_bytes_meanwhile_waits_and_then_finds_duplicates(two: Two) -> None:
    coming: list[Future[Any]] = []
    two.first.journal.interrupt(Point("append", 2), lambda: coming.append(two.second_comes()))
    assert IMPORT.ledger(two.first)[0] == ALL_CREDITED
    assert coming[0].result(PROMPTLY)[0] == ALL_DUPLICATES
    turns = two.events(IntakeOpened, IntakeClosed, BehaviorCredited)
    names = [type(event).__name__ for event in turns]
    assert names == ["IntakeOpened", *["BehaviorCredited"] * 2, "IntakeClosed", "IntakeOpened", "IntakeClosed"]
    assert [(event.credited, event.duplicates) for event in two.events(IntakeClosed)] == [(2, 0), (0, 2)]
    assert replay(two.office).details == []


def test_whoever_waits_goes_on_with_the_intake_of_an_importer_that_was_killed(two: Two) -> None:
    coming: list[Future[Any]] = []

    def meanwhile() -> None:
        coming.append(two.second_comes())
        raise Killed

    two.first.journal.interrupt(Point("append", 3), meanwhile)
    with pytest.raises(Killed):
        IMPORT.ledger(two.first)
    assert coming[0].result(PROMPTLY)[0] == ALL_CREDITED
    assert (len(two.events(IntakeOpened)), len(two.events(BehaviorCredited))) == (1, 2)
    assert [(event.credited, event.duplicates) for event in two.events(IntakeClosed)] == [(2, 0)]
    assert replay(two.office).details == []
