"""The journal's contract, kept by the twin in memory and by PostgreSQL; and what PostgreSQL alone can be asked."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

import infrastructure.eventsourcing_journal
import infrastructure.memory
from application.ports.journal import Journal
from infrastructure.eventsourcing_journal import EventsourcingJournal, open_datastore
from infrastructure.memory import MemoryJournal
from infrastructure.postgres.migrating import migrate
from tests.contract.journal_contract import JournalContract, ToldClock
from tests.fixtures.ledgers import Server


class TestMemoryJournal(JournalContract):
    ADAPTER = infrastructure.memory

    @pytest.fixture
    def journal(self, clock: ToldClock) -> Iterator[Journal]:
        yield MemoryJournal(clock)


class TestEventsourcingJournal(JournalContract):
    ADAPTER = infrastructure.eventsourcing_journal

    @pytest.fixture
    def journal(self, clock: ToldClock, server: Server) -> Iterator[Journal]:
        conninfo = server.empty_database()
        with psycopg.connect(conninfo, autocommit=True) as conn:
            migrate(conn)
        datastore = open_datastore(conninfo)
        yield EventsourcingJournal(datastore, clock=clock)
        datastore.close()
