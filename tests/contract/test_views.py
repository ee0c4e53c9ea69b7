"""The views' contract, kept by the twin in memory and by PostgreSQL; and what PostgreSQL alone can be asked."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from application.ports.journal import Journal
from application.ports.views import VIEWS, Views
from domain.audit.leaves import pack
from domain.errors import Corrupt, Unavailable
from domain.events.registry import ACCOUNT_TOPICS, encode_part
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.memory import MemoryJournal
from infrastructure.memory_views import MemoryViews
from infrastructure.postgres.views import PostgresViews
from tests.architecture.project import ROOT
from tests.contract.journal_contract import WAIT, credited, new_journal, postgres_journal
from tests.contract.views_contract import Town, ViewsContract, fold, shown
from tests.fixtures.ledgers import Server


class TestMemoryViews(ViewsContract):
    """The twin in memory."""

    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal(lambda: 0)

    def begin(self, journal: Journal, *, page: int) -> Views:
        return MemoryViews(journal, page=page)

    def lose(self, views: Views, name: str) -> None:
        self._table(views, name).clear()

    def tamper(self, views: Views, name: str) -> None:
        table = self._table(views, name)
        key = min(table)
        row = list(table[key])
        place = {"account_statement": 6}.get(name, 0)
        row[place] += 1
        table[key] = type(table[key])(*row) if name == "account_statement" else tuple(row)

    @staticmethod
    def _table(views: Views, name: str) -> dict[Any, Any]:
        assert isinstance(views, MemoryViews)
        table: dict[Any, Any] = getattr(views._tables, name)
        return table


class TestPostgresViews(ViewsContract):
    """The views on PostgreSQL."""

    @pytest.fixture
    def conninfo(self, server: Server) -> str:
        return new_journal(server)

    @pytest.fixture
    def journal(self, conninfo: str) -> Iterator[EventsourcingJournal]:
        with postgres_journal(conninfo) as journal:
            yield journal

    @pytest.fixture(autouse=True)
    def _database(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def begin(self, journal: Journal, *, page: int) -> Views:
        assert isinstance(journal, EventsourcingJournal)
        return PostgresViews(journal.datastore, journal, page=page, rebuild_page=page)

    def lose(self, views: Views, name: str) -> None:
        self._execute(f"DROP TABLE views.{name}")

    def tamper(self, views: Views, name: str) -> None:
        column = "change_mg" if name == "account_statement" else "credited_mg"
        self._execute(
            f"UPDATE views.{name} SET {column} = {column} + 1 WHERE ctid = (SELECT ctid FROM views.{name} LIMIT 1)"
        )

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as conn:
            conn.execute(statement.encode())

    # Dropping and rebuilding

    @pytest.mark.parametrize("name", VIEWS)
    def test_a_view_that_was_dropped_is_named_with_what_to_do(self, journal: Journal, views: Views, name: str) -> None:
        town = Town(journal, 1)
        position = town.live(10)
        views.advance(position)
        self.lose(views, name)
        later = town.live(5)
        account = next(journal.streams(ACCOUNT_TOPICS, later))[0]
        reads: dict[str, Callable[[], Any]] = {
            "account_balance": lambda: list(views.balances()),
            "account_statement": lambda: views.statement(account),
            "book_totals": views.totals,
        }
        for use in (reads[name], views.check, lambda: views.advance(later)):
            with pytest.raises(Unavailable, match=f"view_missing.*{name}.*views rebuild"):
                use()
        views.rebuild((name,))
        assert shown(views) == fold(journal.log(0, position))

    def test_a_rebuilt_table_has_the_shape_the_migration_gave_it(self, journal: Journal, views: Views) -> None:
        views.advance(Town(journal, 2).live(10))
        before = self._shape()
        assert len(before) > 20
        views.rebuild(VIEWS)
        assert self._shape() == before

    def _shape(self) -> list[tuple[Any, ...]]:
        query = """
        SELECT relname::text, relkind::text, coalesce(reloptions::text, ''), attname::text,
            format_type(atttypid, atttypmod), attnotnull
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
        WHERE relnamespace = 'views'::regnamespace ORDER BY relname, attnum
        """
        with psycopg.connect(self._conninfo) as conn:
            return conn.execute(query).fetchall()

    def test_a_rebuild_that_fails_halfway_leaves_the_live_views_as_they_are(
        self, journal: Journal, views: Views
    ) -> None:
        size = Town(journal, 3).live(60)
        views.advance(size)

        def give_up(position: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            views.rebuild(VIEWS, give_up)
        assert shown(views) == fold(journal.log(0, size))
        assert [check.differing for check in views.check()] == [0, 0, 0]
        views.rebuild(VIEWS)
        assert shown(views) == fold(journal.log(0, size))

    def test_rows_and_position_move_together_or_not_at_all(self, journal: EventsourcingJournal, views: Views) -> None:
        size = Town(journal, 4).live(30)
        views.advance(size // 2)
        before = shown(views)
        self._execute("ALTER TABLE views.progress ADD CONSTRAINT stuck CHECK (false) NOT VALID")
        with pytest.raises(psycopg.errors.CheckViolation):
            views.advance(size)
        assert shown(views) == before
        self._execute("ALTER TABLE views.progress DROP CONSTRAINT stuck")
        views.advance(size)
        assert shown(views) == fold(journal.log(0, size))

    # Nothing is passed over

    def test_while_an_append_is_held_open_later_ones_wait_and_views_show_what_was_before(
        self, journal: EventsourcingJournal, views: Views, conninfo: str
    ) -> None:
        size = Town(journal, 5).live(20)
        held, release = threading.Event(), threading.Event()

        def hold() -> int:
            with journal.exclusive():
                last = Town(journal, 6).live(1)
                held.set()
                release.wait(WAIT)
                return last

        with postgres_journal(conninfo) as elsewhere, ThreadPoolExecutor(4) as pool:
            first = pool.submit(hold)
            assert held.wait(WAIT)
            later = [pool.submit(Town(elsewhere, seed).live, 3) for seed in range(7, 10)]
            with pytest.raises(TimeoutError):
                later[0].result(0.3)
            assert views.advance(size + 100) == size
            assert shown(views) == fold(journal.log(0, size))
            release.set()
            assert size < first.result(WAIT) < min(each.result(WAIT) for each in later)
        end = journal.head().size
        assert views.advance(end) == end
        assert shown(views) == fold(journal.log(0, end))

    def test_a_row_inserted_around_the_guards_makes_writers_wait_and_stops_the_book(
        self, journal: EventsourcingJournal, views: Views, conninfo: str
    ) -> None:
        """The unique index on positions stands behind the head: nobody commits a later one before it."""
        size = Town(journal, 11).live(10)
        with _around_the_guards(conninfo) as raw, ThreadPoolExecutor(1) as pool:
            _insert(raw, size + 1)
            writer = pool.submit(Town(journal, 12).live, 1)
            with pytest.raises(TimeoutError):
                writer.result(0.3)
            assert views.advance(size + 100) == size
            raw.commit()
            with pytest.raises(Corrupt, match="log_beyond_head"):
                writer.result(WAIT)
            raw.execute("UPDATE journal.log_head SET size = size + 1")
            raw.commit()
        assert views.advance(size + 1) == size + 1
        assert shown(views) == fold(journal.log(0, size + 1))
        with pytest.raises(Corrupt, match="frontier_malformed"):  # its leaf is in no tree
            Town(journal, 13).live(3)

    def test_an_insert_held_invisible_while_a_later_one_commits_is_waited_for_and_not_skipped(
        self, journal: EventsourcingJournal, views: Views, conninfo: str
    ) -> None:
        """What no writer of the ledger can do: two connections that ignore the head and every trigger."""
        size = Town(journal, 14).live(10)
        views.advance(size - 1)
        with _around_the_guards(conninfo) as slow, _around_the_guards(conninfo) as quick:
            _insert(slow, size + 1)
            _insert(quick, size + 2)
            quick.execute("UPDATE journal.log_head SET size = size + 2")
            quick.commit()
            for _ in range(2):
                with pytest.raises(Corrupt, match="position_missing"):
                    views.advance(size + 2)
            assert shown(views) == fold(journal.log(0, size - 1))
            slow.commit()
        assert views.advance(size + 2) == size + 2
        assert shown(views) == fold(journal.log(0, size + 2))
        assert shown(views).accounts == fold(journal.log(0, size)).accounts + 2

    def test_processes_that_write_and_follow_at_once_show_every_event_once(
        self, journal: EventsourcingJournal, views: Views, conninfo: str
    ) -> None:
        code = (
            "import sys; from tests.contract.test_views import write_and_follow as f; f(sys.argv[1], int(sys.argv[2]))"
        )
        processes = [subprocess.Popen([sys.executable, "-c", code, conninfo, str(seed)], cwd=ROOT) for seed in (60, 61)]
        try:
            while any(process.poll() is None for process in processes):
                views.advance(journal.head().size)
                time.sleep(0.01)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert [process.returncode for process in processes] == [0, 0]
        size = journal.head().size
        assert size > 2 * 40
        views.advance(size)
        assert shown(views) == fold(journal.log(0, size))
        assert journal.span(size) == (size, 1, size)


def write_and_follow(conninfo: str, seed: int) -> None:
    """What each of several processes does."""
    with postgres_journal(conninfo) as journal:
        town, views = Town(journal, seed), PostgresViews(journal.datastore, journal, page=7)
        for _ in range(40):
            position = town.live(1)
            assert views.advance(position) >= position


@contextmanager
def _around_the_guards(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection for which no trigger fires."""
    with psycopg.connect(conninfo) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.commit()
        yield conn


def _insert(conn: psycopg.Connection[Any], position: int) -> None:
    """A credit of a new account at that position."""
    new = credited(uuid4(), 3)
    conn.execute(
        "INSERT INTO journal.ledger_events VALUES (%s, %s, %s, %s, %s)",
        (new.stream, new.version, new.event.TOPIC, pack(bytes(16), encode_part(new.event)), position),
    )
