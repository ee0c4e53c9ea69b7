"""The contract of erasure, for the journal in memory and for PostgreSQL; and what only the latter can show."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from uuid import uuid4

import psycopg
import pytest

from application import erasing
from application.book import Book
from application.crediting import Crediting
from application.ports.journal import Journal
from application.ports.views import Views
from domain.crediting import Credited
from domain.errors import Corrupt, Rejected
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.memory import MemoryJournal
from infrastructure.memory_views import MemoryViews
from infrastructure.postgres.views import PostgresViews
from tests.contract.erasure_contract import BookOfPeople, ErasureContract, receipt, two_people
from tests.contract.journal_contract import ToldClock, credited, new_journal, postgres_journal, put
from tests.fixtures.ledgers import Server


class TestMemoryJournal(ErasureContract):
    """The twin in memory."""

    @pytest.fixture
    def journal(self, clock: ToldClock) -> Journal:
        return MemoryJournal(clock)

    @pytest.fixture
    def views(self, journal: Journal) -> Views:
        return MemoryViews(journal)


class TestEventsourcingJournal(ErasureContract):
    """The journal on PostgreSQL."""

    @pytest.fixture
    def conninfo(self, server: Server) -> str:
        return new_journal(server)

    @pytest.fixture
    def journal(self, clock: ToldClock, conninfo: str) -> Iterator[EventsourcingJournal]:
        with postgres_journal(conninfo, clock) as journal:
            yield journal

    @pytest.fixture
    def views(self, journal: EventsourcingJournal) -> Views:
        return PostgresViews(journal.datastore, journal)

    def test_the_rows_that_lead_to_a_person_are_deleted_and_no_others(self, journal: Journal, conninfo: str) -> None:
        one, two = two_people(journal)
        put(journal, receipt(one, 3), erasures=[one])
        with psycopg.connect(conninfo) as conn:
            for table in ("account_refs", "account_keys"):
                assert conn.execute(f"SELECT account_id FROM journal.{table}".encode()).fetchall() == [(two,)]

    def test_a_key_or_a_look_up_is_not_destroyed_without_holding_the_head(
        self, journal: Journal, conninfo: str
    ) -> None:
        two_people(journal)
        with psycopg.connect(conninfo, autocommit=True) as conn:
            for statement in ("DELETE FROM", "TRUNCATE"):
                for table in ("account_refs", "account_keys"):
                    with pytest.raises(psycopg.errors.RaiseException, match="does not hold"):
                        conn.execute(f"{statement} journal.{table}".encode())

    def test_people_are_erased_while_others_credit_them_and_nobody_fails(
        self, people: BookOfPeople, journal: Journal, conninfo: str
    ) -> None:
        """As three processes would: each has its own connections, and two of them keep heads of accounts."""
        ready, names, done = threading.Barrier(3), ("ann", "ben", "cat"), threading.Event()
        people.send(*(people.trip(f"first-{name}", name) for name in names))

        def credit(number: int, own: Journal) -> int:
            crediting, credits = Crediting(Book(own, people.book.keys)), 0
            intake = people.intake(f"of {number}")
            ready.wait(60)
            for batch in range(25):
                rows = [
                    people.trip(f"{number}-{batch}-{name}", name, line=3 * batch + n) for n, name in enumerate(names)
                ]
                outcomes = crediting.credit(intake, rows).outcomes
                credits += sum(isinstance(each, Credited) for each in outcomes)
            return credits

        def erase(own: Journal) -> int:
            book, erased = Book(own, people.book.keys), 0
            ready.wait(60)
            for name in cycle(names):
                if done.is_set():
                    return erased
                with suppress(Rejected):  # nobody bears the name until the next credit
                    erasing.request(book, name, "alice", "a letter")
                    erasing.approve(book, name, "bob")
                    erased += 1
            raise AssertionError

        with postgres_journal(conninfo) as one, postgres_journal(conninfo) as two, ThreadPoolExecutor(3) as pool:
            credited = [pool.submit(credit, number, own) for number, own in enumerate((one, two))]
            erased = pool.submit(erase, journal)
            try:
                assert [each.result(240) for each in credited] == [75, 75]
            finally:
                done.set()
            assert erased.result(60) >= 3
        assert people.replay().credits == 153

    def test_a_key_that_is_gone_without_a_receipt_stops_the_line(self, journal: Journal, conninfo: str) -> None:
        """Not StreamMoved: whoever decides again after that would do so for ever."""
        one, _ = two_people(journal)
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("SET session_replication_role = replica")
            conn.execute("DELETE FROM journal.account_keys WHERE account_id = %s", (one,))
        with pytest.raises(Corrupt, match="account_key_missing"):
            put(journal, credited(one, 3))
        with pytest.raises(Corrupt, match="account_key_missing"):
            put(journal, credited(uuid4(), 1))
