"""The contract of erasure, for the journal in memory and for PostgreSQL; and what only the latter can show."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from application.ports.journal import Journal
from application.ports.views import Views
from domain.errors import Corrupt
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.memory import MemoryJournal, MemoryViews
from infrastructure.postgres.views import PostgresViews
from tests.contract.erasure_contract import ErasureContract, receipt, two_people
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
