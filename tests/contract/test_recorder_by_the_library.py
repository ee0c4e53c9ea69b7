"""The eventsourcing library judges our recorder by its own test cases, and its stock parts read what we wrote.

Keeps: the journal's table stays the library's table (ADR 0002): whoever has the library has every event of a book.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.tests import persistence as library
from psycopg.conninfo import conninfo_to_dict

from application.importing import import_behaviors
from application.ports.journal import Append, Journal
from domain.audit.leaves import pack
from domain.digest import new_sm3
from domain.events.account import AccountFrozen
from domain.events.base import NewEvent
from domain.events.registry import ACCOUNT_TOPICS, TOPICS
from infrastructure.eventsourcing_journal import account_projector, open_datastore
from infrastructure.postgres.recorder import JournalRecorder
from interfaces.bootstrap import Ledger, Settings, behavior_file
from tests.architecture.project import PACKAGES, ROOT, modules
from tests.contract.journal_contract import new_journal, opened, postgres_journal, put
from tests.fixtures.ledgers import Server


def _opaque(state: bytes) -> bytes:
    """A leaf's content of the library's test data, which are no envelopes."""
    return new_sm3(state).digest() * 2


class _Recorder(JournalRecorder):
    """Ours, for states that mean nothing to it."""

    def __init__(self, datastore: PostgresDatastore, **more: Any) -> None:
        super().__init__(datastore, content=_opaque, **more)


class _OnAnEmptyJournal(library.RecorderTestCase):
    """Gives a case of the library an empty journal of its own."""

    @pytest.fixture(autouse=True)
    def _empty_journal(self, server: Server) -> Iterator[None]:
        self.datastore = open_datastore(new_journal(server))
        yield
        self.datastore.close()


class TestApplicationRecorder(_OnAnEmptyJournal, library.ApplicationRecorderTestCase[JournalRecorder]):
    """The library's case of an application recorder; positions count from 1 without a gap."""

    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = True

    def create_recorder(self) -> JournalRecorder:
        recorder = _Recorder(self.datastore)
        recorder.create_table()
        return recorder

    def test_subscriptions_see_what_is_inserted(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsDoNotInterleave(_OnAnEmptyJournal, library.NonInterleavingNotificationIDsBaseCase):
    """The library's case of two large inserts at once."""

    def create_recorder(self) -> JournalRecorder:
        return _Recorder(self.datastore)


class _WithoutPositions(_Recorder):
    """An aggregate recorder promises no positions and answers None; in all else ours is one too."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class TestAggregateRecorder(_OnAnEmptyJournal, library.AggregateRecorderTestCase):
    """The library's case of an aggregate recorder, for ours."""

    def create_recorder(self) -> JournalRecorder:
        return _WithoutPositions(self.datastore)


class TestSnapshotTable(_OnAnEmptyJournal, library.AggregateRecorderTestCase):
    """The library's case of an aggregate recorder, for its own one on our table of snapshots."""

    def create_recorder(self) -> PostgresAggregateRecorder:
        recorder = PostgresAggregateRecorder(self.datastore, events_table_name="ledger_snapshots")
        recorder.create_table()
        return recorder


@pytest.fixture
def book(ledger: Ledger, tmp_path: Path) -> Journal:
    """The journal of a real book: the demo catalogue, and a file imported by the use case."""
    lines = ["source_ref,account_ref,behavior,occurred_at,quantity,unit,region"]
    for number in range(60):
        day = 1 + number % 28
        lines.append(f"trip-{number},person-{number % 7},travel.metro,2026-03-{day:02}T08:00:00+08:00,{number}.5,km,")
    path = tmp_path / "metro.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    result = import_behaviors(ledger.book, behavior_file(path), "metro-co", opens_accounts=True, batch_rows=25)
    assert (result.read, result.credited, result.accounts_opened) == (60, 60, 7)
    return ledger.book.journal


def _stock_application(settings: Settings, **more: str) -> Application[UUID]:
    """The library's application class as it is; nothing but environment variables points it at a ledger."""
    assert settings.dsn is not None
    parts = conninfo_to_dict(settings.dsn.get_secret_value())

    class LedgerApplication(Application[UUID]):
        name = "ledger"

    return LedgerApplication(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(parts["dbname"]),
            "POSTGRES_HOST": str(parts["host"]),
            "POSTGRES_PORT": str(parts.get("port") or ""),
            "POSTGRES_USER": str(parts["user"]),
            "POSTGRES_PASSWORD": "",
            "POSTGRES_SCHEMA": "journal",
            "APPLICATION_RECORDER_TOPIC": "infrastructure.postgres.recorder:JournalRecorder",
            "MAPPER_TOPIC": "infrastructure.eventsourcing_journal:LedgerMapper",
            **more,
        }
    )


@pytest.fixture
def application(book_settings: Settings) -> Iterator[Application[UUID]]:
    with _stock_application(book_settings) as application:
        yield application


def _accounts(journal: Journal) -> list[UUID]:
    return [stream for stream, _ in journal.streams(ACCOUNT_TOPICS, journal.head().size)]


def test_the_stock_application_gets_every_account_of_a_real_book(book: Journal, application: Application[UUID]) -> None:
    accounts = _accounts(book)
    heads = book.accounts(accounts)
    assert len(heads) == 7
    for account_id, head in heads.items():
        found = application.repository.get(account_id, projector_func=account_projector(account_id))
        assert found.snapshot() == head.snapshot()
        earlier = application.repository.get(account_id, version=3, projector_func=account_projector(account_id))
        assert earlier.version == 3


def test_the_stock_application_reads_every_stream_and_the_whole_log(
    book: Journal, application: Application[UUID]
) -> None:
    size = book.head().size
    log = list(book.log(0, size))
    notifications = application.recorder.select_notifications(start=None, limit=size + 1)
    assert [each.id for each in notifications] == list(range(1, size + 1))
    read: list[Any] = [application.mapper.to_domain_event(each) for each in notifications]
    assert [each._replace(position=0) for each in log] == read
    by_topic = application.recorder.select_notifications(start=None, limit=size, topics=list(ACCOUNT_TOPICS))
    assert [each.id for each in by_topic] == [each.position for each in book.log(0, size, ACCOUNT_TOPICS)]
    for stream, recorded in book.streams(tuple(TOPICS), size):
        stored = application.recorder.select_events(stream)
        assert [each.originator_version for each in stored] == [each.version for each in recorded]
        events: list[Any] = list(application.events.get(stream))
        assert events == [each._replace(position=0) for each in recorded]


def test_a_stock_subscription_sees_the_whole_book_and_then_what_is_appended(
    book: Journal, application: Application[UUID]
) -> None:
    size = book.head().size
    seen: list[int] = []
    with application.recorder.subscribe(gt=None) as subscription:
        for notification in subscription:
            seen.append(notification.id)
            if notification.id == size:
                put(book, opened(uuid4()), opened(uuid4()))
            if notification.id == size + 2:
                break
    assert seen == list(range(1, size + 3))


def test_what_the_stock_application_writes_goes_through_the_head(book: Journal, application: Application[UUID]) -> None:
    account = _accounts(book)[0]
    before, version = book.head(), book.accounts([account])[account].version
    frozen = NewEvent(account, version + 1, AccountFrozen(by="bob"))
    stored = cast(Any, application.mapper).to_stored_event(frozen)
    assert application.recorder.insert_events([stored]) == [before.size + 1]
    assert book.head().size == before.size + 1
    assert book.head().recorded_us > before.recorded_us
    assert book.accounts([account])[account].status == "frozen"
    with pytest.raises(PersistenceError, match="already exists"):
        application.recorder.insert_events([stored])
    assert book.append(Append([opened(uuid4())], before.rulebook_position)).first == before.size + 2


@pytest.fixture
def stock_datastore(book_settings: Settings) -> Iterator[PostgresDatastore]:
    assert book_settings.dsn is not None
    with open_datastore(book_settings.dsn.get_secret_value()) as datastore:
        yield datastore


def test_a_stock_recorder_reads_every_row_of_the_table(book: Journal, stock_datastore: PostgresDatastore) -> None:
    recorder = PostgresApplicationRecorder(stock_datastore, events_table_name="ledger_events")
    size = book.head().size
    rows = recorder.select_notifications(start=None, limit=size + 1)
    assert [(each.id, each.originator_id, each.originator_version, each.topic) for each in rows] == [
        (each.position, each.stream, each.version, each.event.TOPIC) for each in book.log(0, size)
    ]
    assert recorder.max_notification_id() == size
    account = _accounts(book)[0]
    assert len(recorder.select_events(account)) == len(book.stream(account))


@pytest.mark.parametrize("with_functions", [False, True])
def test_a_stock_insert_is_refused_and_the_log_stays_as_it_is(
    book: Journal, stock_datastore: PostgresDatastore, with_functions: bool
) -> None:
    stock_datastore.enable_db_functions = with_functions
    recorder = PostgresApplicationRecorder(stock_datastore, events_table_name="ledger_events")
    recorder.create_table()
    head = book.head()
    with pytest.raises(PersistenceError, match="does not hold"):
        recorder.insert_events([StoredEvent(uuid4(), 1, "topic", b"{}")])
    assert book.head() == head
    assert book.span(head.size + 9) == (head.size, 1, head.size)


@pytest.mark.parametrize("statement", ["UPDATE {} SET topic = ''", "DELETE FROM {}", "TRUNCATE {}"])
def test_nobody_changes_or_removes_what_the_library_reads(
    book: Journal, stock_datastore: PostgresDatastore, statement: str
) -> None:
    size = book.head().size
    with stock_datastore.get_connection() as conn, pytest.raises(psycopg.errors.RaiseException, match="never changed"):
        conn.execute(statement.format("journal.ledger_events").encode())
    assert book.span(size) == (size, 1, size)


def test_the_librarys_database_functions_are_never_switched_on(server: Server) -> None:
    """They do not lock (a subscriber loses events), drop tracking rows, and write into another application's table."""
    conninfo = new_journal(server)
    with postgres_journal(conninfo) as journal, psycopg.connect(conninfo) as conn:
        assert journal.datastore.enable_db_functions is False
        functions = conn.execute("SELECT proname FROM pg_proc WHERE pronamespace = 'journal'::regnamespace")
        assert {row[0] for row in functions} == {"refuse_without_head", "refuse_change", "refuse_backwards"}
    named = {
        path for path, _ in modules(*PACKAGES) if "enable_db_functions" in (ROOT / path).read_text("utf-8").lower()
    }
    assert named == set()


def test_our_recorder_appends_under_the_head_even_where_somebody_switches_the_functions_on(
    book: Journal, book_settings: Settings
) -> None:
    head = book.head()
    with _stock_application(book_settings, POSTGRES_ENABLE_DB_FUNCTIONS="y") as application:
        assert application.recorder.insert_events([StoredEvent(uuid4(), 1, "t", pack(bytes(16), b"{}"))]) == [
            head.size + 1
        ]
    assert book.head().size == head.size + 1
