"""Intakes when the same bytes are imported by two at once (DESIGN 3, Intake)."""

from __future__ import annotations

from datetime import UTC, datetime

from application import accounts, initializing
from application.book import Book
from application.replaying import replay
from domain.events.account import BehaviorCredited
from domain.events.intake import IntakeClosed, IntakeOpened
from infrastructure.memory import MemoryJournal, MemoryKeys
from tests.simulation.acts import File, import_file
from tests.simulation.plain import Report, instant_us
from tests.simulation.race_book import RIDE, begin
from tests.simulation.small_worlds import ToldClock
from tests.simulation.stage import Point, Writer


def test_a_row_refused_by_one_importer_and_credited_by_the_other_is_credited_once() -> None:
    """One refuses a row of a frozen account and closes the intake; the other, a moment later, credits the row.

    The intake's counts say what the first one answered; that a credit more may name it is known (``log_checks``).
    """
    clock = ToldClock(instant_us(datetime(2025, 6, 1, tzinfo=UTC)))
    journal, keys = MemoryJournal(clock), MemoryKeys()
    office = Book(journal, keys)
    initializing.open_book(office, clock="simulated")
    begin(office)
    accounts.open_account(office, "person")
    ride = Report(2, "ride-1", "person", RIDE, "2025-05-01T08:00:00+08:00", "2.0", "km", "")
    file = File("metro-co", "0" * 64, (ride,), True)
    first, second = Writer(journal, keys), Writer(journal, keys)

    def meanwhile() -> None:
        accounts.freeze(office, "person", "ann", "asked")
        import_file(file, 1).ledger(second)
        accounts.unfreeze(office, "person", "ann", "asked")

    first.journal.interrupt(Point("append", 2), meanwhile)
    import_file(file, 1).ledger(first)

    log = list(journal.log(0, journal.head().size))
    (credit,) = [each.event for each in log if isinstance(each.event, BehaviorCredited)]
    (opened,) = [each.position for each in log if isinstance(each.event, IntakeOpened)]
    (closed,) = [each.event for each in log if isinstance(each.event, IntakeClosed)]
    assert (credit.intake, credit.line) == (opened, ride.line)
    assert (closed.read, closed.rejected_by_code) == (1, {"account_frozen": 1})
    assert replay(Book(journal, keys)).details == []
