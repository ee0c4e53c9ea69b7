"""The journal's contract, kept by the twin in memory and by PostgreSQL; and what PostgreSQL alone can be asked."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import infrastructure.eventsourcing_journal
import infrastructure.memory
import infrastructure.stored_events
from application.ports.journal import Journal
from domain.errors import Corrupt, Unavailable
from domain.events.base import NewEvent
from infrastructure.eventsourcing_journal import EventsourcingJournal, open_datastore
from infrastructure.memory import MemoryJournal
from infrastructure.postgres.opening import explained
from tests.contract.journal_contract import (
    WAIT,
    JournalContract,
    ToldClock,
    credited,
    fill,
    new_journal,
    opened,
    postgres_journal,
    put,
    put_at_last,
    rule,
)
from tests.fixtures.ledgers import Server

JOURNAL_TABLES = ("ledger_events", "behavior_refs", "log_commits")


class TestMemoryJournal(JournalContract):
    """The twin in memory."""

    ADAPTER = infrastructure.memory

    @pytest.fixture
    def journal(self, clock: ToldClock) -> Journal:
        return MemoryJournal(clock)

    def test_a_version_that_skips_one_stops_the_test(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account))
        with pytest.raises(Corrupt, match="version 3 after 1"):
            put(journal, credited(account, 3))

    def test_a_second_append_while_holding_the_journal_stops_the_test(self, journal: Journal) -> None:
        with journal.exclusive():
            put(journal, opened(uuid4()))
            with pytest.raises(RuntimeError, match="one append"):
                put(journal, opened(uuid4()))
        assert journal.head().size == 1


class TestEventsourcingJournal(JournalContract):
    """The journal on PostgreSQL."""

    ADAPTER = infrastructure.stored_events

    @pytest.fixture
    def conninfo(self, server: Server) -> str:
        return new_journal(server)

    @pytest.fixture
    def journal(self, clock: ToldClock, conninfo: str) -> Iterator[EventsourcingJournal]:
        with postgres_journal(conninfo, clock) as journal:
            yield journal

    # Time and size

    def test_without_a_told_clock_the_database_tells_the_time(self, conninfo: str) -> None:
        with postgres_journal(conninfo) as journal:
            before = journal.now_us()
            instants = [put(journal, opened(uuid4())).recorded_us for _ in range(3)]
            assert before < instants[0] < instants[1] < instants[2] < journal.now_us()
            assert journal.head().recorded_us == instants[2]

    def test_a_head_costs_a_few_rows_of_the_server_too(self, journal: EventsourcingJournal, conninfo: str) -> None:
        account = uuid4()
        fill(journal, account, 5_000)
        head = journal.accounts([account])[account]
        others = [opened(uuid4()) for _ in range(2_000)]
        put(journal, *others, snapshots=[(account, 5_000, head.snapshot())])
        put(journal, credited(account, 5_001), credited(account, 5_002))
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("ANALYZE journal.ledger_events")
            conn.execute("ANALYZE journal.ledger_snapshots")
            queries: list[tuple[str, list[Any]]] = [
                (infrastructure.eventsourcing_journal._HEADS, [[account]]),
            ]
            touched = [_rows_touched(conn, query, params) for query, params in queries]
        assert touched == [1 + 2]

    # One writer at a time, and nothing around it

    def test_the_library_or_anybody_else_cannot_write_around_the_head(self, journal: Journal, conninfo: str) -> None:
        account = uuid4()
        put(journal, opened(account), refs=[(b"r" * 16, 0)], openings=[(b"k" * 16, account)])
        statements = [
            f"INSERT INTO journal.ledger_events VALUES ('{uuid4()}', 1, 'topic', '', 2)",
            f"INSERT INTO journal.behavior_refs VALUES ('{uuid4()}', 1)",
            "INSERT INTO journal.log_commits VALUES (2, 9223372036854775807)",
            *(f"DELETE FROM journal.{table}" for table in (*JOURNAL_TABLES, "log_head")),
            *(f"TRUNCATE journal.{table}" for table in (*JOURNAL_TABLES, "log_head")),
            "UPDATE journal.ledger_events SET state = ''",
            "UPDATE journal.behavior_refs SET position = 1",
            "UPDATE journal.log_commits SET recorded_us = 1",
            "INSERT INTO journal.log_head VALUES (true, 0, 0, 0)",
            "INSERT INTO journal.log_head VALUES (false, 0, 0, 0)",
        ]
        before = list(journal.log(0, 9)), journal.head()
        with psycopg.connect(conninfo, autocommit=True) as conn:
            for statement in statements:
                with pytest.raises((psycopg.errors.RaiseException, psycopg.IntegrityError)):
                    conn.execute(statement.encode())
        assert (list(journal.log(0, 9)), journal.head()) == before

    def test_an_insert_is_refused_even_in_a_transaction_beside_the_one_that_holds_the_head(
        self, journal: Journal, conninfo: str
    ) -> None:
        insert = f"INSERT INTO journal.ledger_events VALUES ('{uuid4()}', 1, 'topic', '', 1)".encode()
        refused = pytest.raises(psycopg.errors.RaiseException, match="does not hold")
        with psycopg.connect(conninfo, autocommit=True) as conn, journal.exclusive(), refused:
            conn.execute(insert)
        assert journal.head().size == 0

    def test_a_log_written_around_its_head_stops_the_line(self, journal: Journal, conninfo: str) -> None:
        """Not StreamMoved: whoever decides again after that would do so for ever."""
        put(journal, opened(uuid4()))
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("SET session_replication_role = replica")
            conn.execute("INSERT INTO journal.ledger_events VALUES (gen_random_uuid(), 1, 'topic', '', 2)")
        with pytest.raises(Corrupt, match="log_beyond_head"):
            put(journal, opened(uuid4()))
        assert journal.head().size == 1

    def test_writers_wait_for_each_other_and_for_nothing_else(self, journal: Journal, conninfo: str) -> None:
        """Not even for a lock on the table that VACUUM or ANALYZE would take."""
        with psycopg.connect(conninfo) as conn:
            conn.execute("LOCK TABLE journal.ledger_events IN SHARE UPDATE EXCLUSIVE MODE")
            put(journal, opened(uuid4()))
            conn.rollback()
        with psycopg.connect(conninfo) as conn:
            conn.execute("SELECT FROM journal.log_head FOR UPDATE")
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(put, journal, opened(uuid4()))
                with pytest.raises(TimeoutError):
                    waiting.result(0.2)
                conn.rollback()
                assert waiting.result(WAIT).first == 2

    # Lost connections

    def test_after_the_server_dropped_every_connection_one_failure_is_told_and_work_goes_on(
        self, journal: EventsourcingJournal, conninfo: str
    ) -> None:
        account = uuid4()
        put(journal, opened(account))
        together = threading.Barrier(6)

        def read(_: int) -> None:
            for _each in journal.log(0, 1):
                together.wait(WAIT)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(read, range(6)))
        _drop_connections(conninfo)
        with pytest.raises(Unavailable) as failure:
            put(journal, credited(account, 2))
        assert failure.value.code in ("server_stopped", "server_lost")
        assert failure.value.remedy
        assert put(journal, credited(account, 2)).first == 2
        assert [each.version for each in journal.stream(account)] == [1, 2]

    def test_a_connection_lost_while_holding_the_journal_writes_nothing_and_lets_go(
        self, journal: EventsourcingJournal, conninfo: str
    ) -> None:
        def lose_it() -> None:
            with journal.exclusive():
                put(journal, opened(uuid4()), openings=[(b"k" * 16, uuid4())])
                _drop_connections(conninfo)

        with pytest.raises(Unavailable):
            lose_it()
        assert (journal.head().size, journal.find_accounts([b"k" * 16])) == (0, {})
        assert put(journal, opened(uuid4())).first == 1

    def test_whoever_holds_the_journal_too_long_loses_it_and_is_told(self, journal: EventsourcingJournal) -> None:
        def dawdle() -> None:
            with journal.exclusive():
                put(journal, opened(uuid4()))
                journal.recorder._held.conn.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
                time.sleep(0.3)

        with pytest.raises(Unavailable, match=r"server_lost.*idle-in-transaction"):
            dawdle()
        assert put(journal, opened(uuid4())).first == 1

    def test_a_writer_that_loses_its_connection_while_waiting_says_so(
        self, journal: EventsourcingJournal, conninfo: str
    ) -> None:
        with psycopg.connect(conninfo) as conn, ThreadPoolExecutor(1) as pool:
            conn.execute("SELECT FROM journal.log_head FOR UPDATE")
            waiting = pool.submit(put, journal, opened(uuid4()))
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
            _drop_connections(conninfo, spare=conn.info.backend_pid)
            with pytest.raises(Unavailable):
                waiting.result(WAIT)
            conn.rollback()
        assert put(journal, opened(uuid4())).first == 1

    def test_reading_on_a_lost_connection_says_so(self, journal: EventsourcingJournal, conninfo: str) -> None:
        fill(journal, uuid4(), infrastructure.eventsourcing_journal.PAGE + 100, per_append=3_000)
        reading = journal.log(0, journal.head().size)
        next(reading)
        _drop_connections(conninfo)
        with pytest.raises(Unavailable):
            list(reading)
        assert len(list(journal.log(0, 10))) == 10

    def test_a_head_that_others_hold_too_long_is_told_apart_from_a_lost_server(
        self, conninfo: str, clock: ToldClock
    ) -> None:
        impatient = make_conninfo(conninfo, options="-c lock_timeout=100ms")
        with postgres_journal(impatient, clock) as journal, psycopg.connect(conninfo) as conn:
            conn.execute("SELECT FROM journal.log_head FOR UPDATE")
            with pytest.raises(Unavailable, match="ledger_busy"):
                put(journal, opened(uuid4()))
            conn.rollback()
            assert put(journal, opened(uuid4())).first == 1

    def test_a_lost_connection_is_explained_once_more_where_the_servers_log_is_known(
        self, journal: EventsourcingJournal, conninfo: str
    ) -> None:
        def with_log(error: BaseException) -> Unavailable | None:
            return Unavailable("disk_full", "says the log") if isinstance(error, psycopg.OperationalError) else None

        journal.head()
        _drop_connections(conninfo)
        with pytest.raises(Unavailable, match="disk_full"), explained(with_log):
            journal.head()
        with pytest.raises(Unavailable, match="not_initialized"), explained(with_log):
            raise Unavailable("not_initialized", "nothing to do with the server")

    # Settings

    def test_what_the_dsn_says_beyond_the_librarys_five_parameters_is_kept(self, conninfo: str) -> None:
        dsn = make_conninfo(conninfo, application_name="audit", options="-c work_mem=7MB", sslmode="prefer")
        with open_datastore(dsn) as datastore, datastore.get_connection() as conn:
            shown = {}
            for name in ("application_name", "work_mem", "lock_timeout", "idle_in_transaction_session_timeout"):
                row = conn.execute(f"SHOW {name}".encode()).fetchone()
                assert row is not None
                shown[name] = row[name]
        assert shown == {
            "application_name": "audit",
            "work_mem": "7MB",
            "lock_timeout": "1min",
            "idle_in_transaction_session_timeout": "5min",
        }
        assert isinstance(datastore.pool.kwargs, dict)
        assert datastore.pool.kwargs["sslmode"] == "prefer"

    def test_a_claim_ends_with_the_connection_of_whoever_made_it(self, journal: Journal, conninfo: str) -> None:
        stream = uuid4()
        with postgres_journal(conninfo) as other, journal.claim(stream):
            with other.claim(stream) as taken:
                assert taken is False
            _drop_connections(conninfo)
            with other.claim(stream) as free:
                assert free is True

    def test_a_claim_at_a_server_that_cannot_be_reached_says_so(self, journal: EventsourcingJournal) -> None:
        assert isinstance(journal.datastore.pool.kwargs, dict)
        journal.datastore.pool.kwargs["port"] = "1"
        with pytest.raises(Unavailable), journal.claim(uuid4()):
            pass

    def test_two_journals_on_one_database_write_one_log(self, conninfo: str, clock: ToldClock) -> None:
        """As two processes would: each has its own pool, locks and clock."""
        with postgres_journal(conninfo, clock) as one, postgres_journal(conninfo) as two:
            ready = threading.Barrier(4)

            def write(number: int) -> list[UUID]:
                journal, chance, accounts = (one, two)[number % 2], random.Random(number), []
                ready.wait(WAIT)
                for _ in range(25):
                    accounts.append(uuid4())
                    events: list[NewEvent] = [opened(accounts[-1])]
                    events += [credited(accounts[-1], version) for version in range(2, chance.randint(2, 40))]
                    put_at_last(journal, *events)
                    if chance.random() < 0.2:
                        with journal.exclusive():
                            rule(journal)
                return accounts

            with ThreadPoolExecutor(4) as pool:
                accounts = [account for written in pool.map(write, range(4)) for account in written]
            size = one.head().size
            assert one.head() == two.head()
            assert [each.position for each in one.log(0, size)] == list(range(1, size + 1))
            assert set(one.accounts(accounts)) == set(accounts)
            times = one.recorded_at(range(1, size + 1))
            assert sorted(times.values()) == [times[position] for position in range(1, size + 1)]


def _rows_touched(conn: psycopg.Connection[Any], query: str, params: list[Any]) -> float:
    """Rows that the scans of a query's plan read, by the server's own count."""
    row = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode(), params).fetchone()
    assert row is not None
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])

    def count(node: dict[str, Any]) -> float:
        own = 0.0
        if node["Node Type"] in ("Index Scan", "Index Only Scan", "Seq Scan", "Bitmap Heap Scan"):
            own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        return own + sum(count(child) for child in node.get("Plans", []))

    return count(plan[0]["Plan"])


def _drop_connections(conninfo: str, spare: int = 0) -> None:
    """The server ends every connection to the database but ours (and one to spare), all at once."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)"
    with psycopg.connect(conninfo, autocommit=True) as conn:
        pids = [row[0] for row in conn.execute(f"SELECT pid {others}".encode(), (spare,))]
        conn.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", (pids,))
        gone = f"SELECT count(*) = 0 {others} AND pid = ANY(%s)".encode()
        while conn.execute(gone, (spare, pids)).fetchone() != (True,):
            time.sleep(0.01)
