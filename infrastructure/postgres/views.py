"""The views in PostgreSQL: a batching projector, shadow rebuild and swap (DESIGN 4, Read path).

Keeps: rows and position change in one transaction; one projector works at a time (it holds ``views.progress``), so
every event is shown once; a page of the log that lacks a position stops the line, so none is ever passed over; a
rebuild reads the log beside the live views and swaps under the same row, so writers and readers go on. Waiting for a
position means advancing to it: whoever asks first does the work. A view may be dropped; a rebuild brings it back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection, Cursor, ServerCursor
from psycopg.errors import UndefinedTable
from psycopg.rows import tuple_row

from application.ports.journal import Journal
from application.ports.views import VIEWS, BehaviorTotal, ViewCheck
from application.projections.entries import StatementRow, balance_changes, statement_rows
from domain.errors import Corrupt, Rejected, Unavailable
from domain.events.account import BehaviorCredited, BehaviorReversed, FactorRevised
from domain.events.base import Recorded
from infrastructure.postgres.connecting import connection

if TYPE_CHECKING:
    from application.ports.archive import Archive

_Write = Callable[[Cursor[Any], str, Sequence[Recorded]], object]
_TOPICS = (BehaviorCredited.TOPIC, BehaviorReversed.TOPIC, FactorRevised.TOPIC)
_PAGE = 5_000
_REBUILD_PAGE = 10_000
_STATEMENT_COLUMNS = "account_id, position, version, kind, behavior, day, change_mg, source"

_UPSERT_BALANCES = """
WITH change AS (
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::numeric[], %s::bigint[]) AS c(account_id, behavior, mg, credits)
), changed AS (
    INSERT INTO {schema}.account_balance AS b SELECT account_id, behavior, mg, credits FROM change
    ON CONFLICT (account_id, behavior) DO UPDATE
        SET credited_mg = b.credited_mg + EXCLUDED.credited_mg, credits = b.credits + EXCLUDED.credits
    RETURNING account_id, behavior, (xmax = 0) AS is_new
), summed AS (
    SELECT behavior, sum(mg) AS mg, sum(credits) AS credits, count(*) FILTER (WHERE is_new) AS accounts
    FROM change JOIN changed USING (account_id, behavior) GROUP BY behavior
)
INSERT INTO {schema}.book_totals AS t SELECT behavior, mg, credits, accounts FROM summed
ON CONFLICT (behavior) DO UPDATE SET credited_mg = t.credited_mg + EXCLUDED.credited_mg,
    credits = t.credits + EXCLUDED.credits, accounts = t.accounts + EXCLUDED.accounts
"""


# The other views are sums of the statement, as ``balance_changes`` forms them page by page.
_FROM_STATEMENT = """
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '256MB';
SELECT views.shadow_key();
INSERT INTO views_shadow.account_balance
    SELECT account_id, behavior, sum(change_mg), count(*) FILTER (WHERE kind = 'credited')
    FROM views_shadow.account_statement GROUP BY account_id, behavior;
INSERT INTO views_shadow.book_totals
    SELECT behavior, sum(credited_mg), sum(credits), count(*) FROM views_shadow.account_balance GROUP BY behavior;
"""


class PostgresViews:
    """Views port; see ``application.ports.views``."""

    def __init__(
        self, datastore: PostgresDatastore, journal: Journal, *, page: int = _PAGE, rebuild_page: int = _REBUILD_PAGE
    ) -> None:
        """``page``: positions per transaction; ``rebuild_page``: events per transaction of a rebuild."""
        self._datastore = datastore
        self._journal = journal
        self._page = page
        self._rebuild_page = rebuild_page
        # A projector needs a second connection, to read the log: waiting threads must not hold them all.
        self._projectors = threading.BoundedSemaphore(2)
        self._snapshot = threading.local()

    def advance(self, min_position: int) -> int:
        shown = self._position()
        if shown < min_position:
            # What is not recorded yet cannot be shown, and must not be passed over when it comes.
            min_position = min(min_position, self._journal.head().size)
        if shown < min_position and not self._may_write():
            return shown
        while shown < min_position:
            with self._projectors, self._changing() as conn:
                shown = _hold(conn)
                if shown < min_position:
                    shown = self._show(conn, shown, min(min_position, shown + self._page))
        return shown

    @contextmanager
    def still(self) -> Iterator[int]:
        with connection(self._datastore) as conn, conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._snapshot.conn = conn
            try:
                yield self._position()
            finally:
                self._snapshot.conn = None

    def balances(self, at: int | None = None) -> Iterator[tuple[UUID, str, int]]:
        order = 'ORDER BY account_id, behavior COLLATE "C"'
        if at is None:
            query = f"SELECT account_id, behavior, credited_mg FROM views.account_balance {order}"
        else:
            query = (
                "SELECT account_id, behavior, sum(change_mg) FROM views.account_statement WHERE position <= %s"
                f" GROUP BY account_id, behavior {order}"
            )
        with self._reading() as conn, ServerCursor(conn, "rows", row_factory=tuple_row) as cursor:
            cursor.itersize = _PAGE
            cursor.execute(query.encode(), () if at is None else (at,))
            for account, behavior, mg in cursor:
                yield account, behavior, int(mg)

    def totals(self, at: int | None = None) -> list[BehaviorTotal]:
        if at is None:
            query = "SELECT behavior, credited_mg, credits, accounts FROM views.book_totals"
            rows = self._fetch(f'{query} ORDER BY behavior COLLATE "C"', ())
        else:
            rows = self._fetch(
                "SELECT behavior, sum(change_mg), count(*) FILTER (WHERE kind = 'credited'), count(DISTINCT account_id)"
                ' FROM views.account_statement WHERE position <= %s GROUP BY behavior ORDER BY behavior COLLATE "C"',
                (at,),
            )
        return [BehaviorTotal(behavior, int(mg), credits, accounts) for behavior, mg, credits, accounts in rows]

    def accounts(self, at: int | None = None) -> int:
        if at is None:
            return int(self._fetch("SELECT count(DISTINCT account_id) FROM views.account_balance", ())[0][0])
        query = "SELECT count(DISTINCT account_id) FROM views.account_statement WHERE position <= %s"
        return int(self._fetch(query, (at,))[0][0])

    def statement(self, account: UUID) -> list[StatementRow]:
        query = f"SELECT {_STATEMENT_COLUMNS} FROM views.account_statement WHERE account_id = %s ORDER BY position"
        return [
            StatementRow(found, position, version, kind, behavior, day and day.isoformat(), int(change_mg), source)
            for found, position, version, kind, behavior, day, change_mg, source in self._fetch(query, (account,))
        ]

    def rebuild(
        self, names: tuple[str, ...], progress: Callable[[int], None] | None = None, archive: Archive | None = None
    ) -> int:
        unknown = sorted(set(names) - set(VIEWS))
        if unknown:
            raise Rejected("view_unknown", f"there is no view {unknown[0]}", field="name", remedy=", ".join(VIEWS))
        with self._shadow(progress, archive) as conn:
            for name in names:
                conn.execute("SELECT views.shadow_swap(%s)", (name,))
            # A position beyond the log would keep what is recorded next from ever being shown.
            conn.execute("UPDATE views.progress SET position = least(position, (SELECT size FROM journal.log_head))")
            counts = [conn.execute(f"SELECT count(*) FROM views.{name}".encode()).fetchone() for name in names]
        return sum(_first(row) for row in counts)

    def check(self, progress: Callable[[int], None] | None = None) -> list[ViewCheck]:
        ahead = self._position() > self._journal.head().size
        with _views_exist(), self._shadow(progress) as conn:
            return [*(_compare(conn, name) for name in VIEWS), *([ViewCheck("progress", 1, 1)] if ahead else [])]

    @contextmanager
    def _shadow(
        self, progress: Callable[[int], None] | None, archive: Archive | None = None
    ) -> Iterator[Connection[Any]]:
        """The views built anew in their own schema, at the position of the live ones, which stand still meanwhile.

        Most of the log is read before the live views are held; only what came after is read under the lock. Tables are
        made and put in place by functions of the schema's owner (migration 0005): this role may own nothing.
        """
        with connection(self._datastore) as own:
            own.execute("SELECT pg_advisory_lock(hashtext('carbon_ledger.views_shadow'))")
            try:
                own.execute("SELECT views.shadow_begin()")
                target = self._position()
                archived = 0
                if archive is not None:
                    archived = min(archive.status().position, target)
                    self._fill_from(archive, own, archived, progress)
                self._fill(own, archived, target, progress, _write_statement)
                with own.transaction():
                    own.execute(_FROM_STATEMENT)
                with own.transaction():
                    shown = _hold(own)
                    self._fill(own, target, shown, progress, _write)
                    yield own
                    own.execute("SELECT views.shadow_end()")
            finally:
                own.execute("SELECT pg_advisory_unlock(hashtext('carbon_ledger.views_shadow'))")

    def _show(self, conn: Connection[Any], shown: int, upto: int) -> int:
        page = list(self._journal.log(shown, upto))
        if len(page) != upto - shown:
            raise Corrupt(
                "position_missing",
                f"the log shows {len(page)} of the {upto - shown} events after {shown}",
                field=f"positions {shown + 1} to {upto}",
                remedy="an insert that went around the ledger is not committed, or an event was removed; run `replay`",
            )
        _write(conn.cursor(), "views", page)
        conn.execute("UPDATE views.progress SET position = %s", (upto,))
        return upto

    def _fill(
        self, conn: Connection[Any], after: int, upto: int, progress: Callable[[int], None] | None, write: _Write
    ) -> None:
        log = self._journal.log(after, upto, _TOPICS)
        while page := list(islice(log, self._rebuild_page)):
            with conn.transaction():
                write(conn.cursor(), "views_shadow", page)
            if progress is not None:
                progress(page[-1].position)

    def _fill_from(
        self, archive: Archive, conn: Connection[Any], upto: int, progress: Callable[[int], None] | None
    ) -> None:
        # Loaded only here: the library behind it takes longer to load than most commands take.
        from infrastructure.postgres.archived_views import COLUMNS, view_text

        shown = 0
        for rows in archive.rows(upto, COLUMNS):
            text = view_text(rows)
            with conn.transaction(), conn.cursor() as cursor:
                _copy_statement(cursor, "views_shadow", text.statement)
                for account in text.left_out:
                    _write_statement(cursor, "views_shadow", self._journal.stream(rows.ids[account], upto))
            shown += len(rows.account)
            if progress is not None:
                progress(shown)

    def _may_write(self) -> bool:
        return bool(self._fetch("SELECT has_table_privilege('views.progress', 'UPDATE')", ())[0][0])

    def _position(self) -> int:
        return int(self._fetch("SELECT position FROM views.progress", ())[0][0])

    def _fetch(self, query: str, params: Sequence[object]) -> list[Any]:
        with self._reading() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), params).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[Connection[Any]]:
        """A transaction to read in: that of ``still`` where this thread holds one."""
        held: Connection[Any] | None = getattr(self._snapshot, "conn", None)
        if held is None:
            with self._changing() as conn:
                yield conn
        else:
            with _views_exist():
                yield held

    @contextmanager
    def _changing(self) -> Iterator[Connection[Any]]:
        with _views_exist(), connection(self._datastore) as conn, conn.transaction():
            yield conn


@contextmanager
def _views_exist() -> Iterator[None]:
    try:
        yield
    except UndefinedTable as error:
        raise Unavailable(
            "view_missing", f"a view was dropped: {error.diag.message_primary}", remedy="run `views rebuild`"
        ) from error


def _hold(conn: Connection[Any]) -> int:
    """Take the views for this transaction; returns the position they show."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT position FROM views.progress FOR UPDATE").fetchone()
    return _first(row)


def _first(row: Any) -> int:
    assert row is not None
    return int(row[0] if isinstance(row, tuple) else next(iter(row.values())))


def _write_statement(cursor: Cursor[Any], schema: str, page: Sequence[Recorded]) -> Sequence[StatementRow]:
    """The page's rows into the statement alone."""
    try:
        rows = statement_rows(page)
    except ValueError as error:
        raise Corrupt(
            "unreadable_facts",
            f"an event cannot be shown: {error}",
            field=f"positions {page[0].position} to {page[-1].position}",
            remedy="run `replay`: it names the event",
        ) from error
    _copy_statement(cursor, schema, "".join(map(_statement_line, rows)).encode())
    return rows


def _copy_statement(cursor: Cursor[Any], schema: str, lines: bytes) -> None:
    with cursor.copy(f"COPY {schema}.account_statement ({_STATEMENT_COLUMNS}) FROM STDIN".encode()) as copy:
        copy.write(lines)


def _write(cursor: Cursor[Any], schema: str, page: Sequence[Recorded]) -> None:
    """The page's rows into the statement, and what they change in the other views."""
    changes = balance_changes(_write_statement(cursor, schema, page))
    if not changes:
        return
    cursor.execute(
        _UPSERT_BALANCES.format(schema=schema).encode(),
        (
            [account for account, _ in changes],
            [behavior for _, behavior in changes],
            [str(change.credited_mg) for change in changes.values()],
            [change.credits for change in changes.values()],
        ),
    )


def _statement_line(row: StatementRow) -> str:
    # No value can hold a tab or a line break: behaviors, days, decision and revision names have stricter grammars.
    return f"{row[0]}\t{row[1]}\t{row[2]}\t{row[3]}\t{row[4]}\t{row[5] or chr(92) + 'N'}\t{row[6]}\t{row[7]}\n"


def _compare(conn: Connection[Any], name: str) -> ViewCheck:
    query = f"""
    SELECT (SELECT count(*) FROM views.{name}),
        (SELECT count(*) FROM (SELECT * FROM views.{name} EXCEPT ALL SELECT * FROM views_shadow.{name}) AS extra)
        + (SELECT count(*) FROM (SELECT * FROM views_shadow.{name} EXCEPT ALL SELECT * FROM views.{name}) AS missing)
    """
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query.encode()).fetchone()
    assert row is not None
    return ViewCheck(name, row[0], row[1])
