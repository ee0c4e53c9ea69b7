"""The journal port over the eventsourcing library's table in PostgreSQL.

Keeps: events are encoded before the append lock is taken; reads go through server-side cursors, so memory stays flat
whatever the size of the log; there is one decode, ``domain.events.registry``.
Leaves to ``postgres.recorder``: the append itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from eventsourcing.postgres import PostgresDatastore
from psycopg import DataError, OperationalError, ServerCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from application.ports.journal import Append, Appended, Head, StreamMoved
from domain.account import Account
from domain.audit.leaves import FACTS_FROM
from domain.crediting import Known
from domain.errors import Corrupt, LedgerError
from domain.events.base import NewEvent, Recorded
from domain.events.registry import ACCOUNT_TOPICS
from domain.values import day_text
from infrastructure.gm.sm4 import SM4Key
from infrastructure.postgres import partner_days
from infrastructure.postgres.account_keys import AccountKeys, KeyMissing, rewrap
from infrastructure.postgres.connecting import connection, session
from infrastructure.postgres.recorder import Clock, JournalRecorder, head_missing
from infrastructure.stored_events import StoredEvents

SNAPSHOT_TOPIC = "carbon.account.snapshot.v1"
PAGE = 5_000
_SERVER_SETTINGS = "-c statement_timeout=0 -c lock_timeout=60s -c idle_in_transaction_session_timeout=300s"

# One query: the newest snapshot of each account (topic null), then what follows it. It answers by the account's place
# among those asked for: making a UUID for each row would cost as much as the row. OFFSET 0 keeps the planner from
# turning the look-up per account into a scan of the whole log.
_HEADS = """
WITH asked AS MATERIALIZED (
    SELECT i.place - 1 AS place, i.id, s.originator_version AS version, s.state
    FROM unnest(%s::uuid[]) WITH ORDINALITY AS i(id, place) LEFT JOIN LATERAL (
        SELECT originator_version, state FROM journal.ledger_snapshots
        WHERE originator_id = i.id ORDER BY originator_version DESC LIMIT 1) AS s ON true
)
SELECT place, version, NULL, state FROM asked WHERE version IS NOT NULL
UNION ALL
SELECT a.place, e.originator_version, e.topic, e.state FROM asked AS a CROSS JOIN LATERAL (
    SELECT originator_version, topic, state FROM journal.ledger_events
    WHERE originator_id = a.id AND originator_version > coalesce(a.version, 0)
    ORDER BY originator_version OFFSET 0) AS e
"""
_REFS = """
SELECT uuid_send(r.ref), e.originator_id, e.originator_version, e.notification_id, e.topic, e.state
FROM unnest(%s::uuid[]) AS i(ref) CROSS JOIN LATERAL (
    SELECT ref, position FROM journal.behavior_refs WHERE ref = i.ref OFFSET 0) AS r
JOIN journal.ledger_events AS e ON e.notification_id = r.position
"""
# Each rulebook event names its predecessor: walk from the newest back to what is known already. None of them has a
# personal part, so its facts end where its state ends.
_RULEBOOK = f"""
WITH RECURSIVE chain AS (
    SELECT * FROM journal.ledger_events WHERE notification_id = %(upto)s
    UNION ALL
    SELECT e.* FROM chain AS c JOIN journal.ledger_events AS e
        ON e.notification_id = (convert_from(substr(c.state, {FACTS_FROM + 1}), 'UTF8')::jsonb ->> 'previous')::bigint
    WHERE e.notification_id > %(after)s
)
SELECT originator_id, originator_version, notification_id, topic, state FROM chain ORDER BY notification_id
"""
_EVENT_COLUMNS = "originator_id, originator_version, notification_id, topic, state"


class LedgerMapper(Mapper[UUID]):
    """Lets the stock library read and write the ledger's events, as ``Recorded`` and ``NewEvent``.

    Without ``stored``, as the library makes one, it has no keys: personal parts stay closed, and none is written.
    """

    def __init__(self, *, stored: StoredEvents | None = None, **library: Any) -> None:
        super().__init__(**{"transcoder": JSONTranscoder(), **library})
        self._personal = stored is not None
        self._stored = stored or StoredEvents(AccountKeys(lambda query, params: []), lambda: UUID(int=0))

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        ((stream, version, topic, state),), new = self._stored.rows([domain_event])
        if new:
            raise ValueError("an account is opened through the journal, which stores its key")
        return StoredEvent(stream, version, topic, state)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        row = (stored_event.originator_id, stored_event.originator_version, 0, stored_event.topic, stored_event.state)
        return self._stored.recorded([row], personal=self._personal)[0]


def open_datastore(conninfo: str) -> PostgresDatastore:
    """A connection pool for a libpq connection string (embedded server or DSN alike)."""
    parts = conninfo_to_dict(conninfo)
    datastore = PostgresDatastore(
        dbname=str(parts.pop("dbname", "")),
        host=str(parts.pop("host", "")),
        port=str(parts.pop("port", "") or ""),
        user=str(parts.pop("user", "")),
        password=str(parts.pop("password", "") or ""),
        schema="journal",
        pool_size=1,
        max_overflow=15,
        connect_timeout=30,
        idle_in_transaction_session_timeout=300,
    )
    # The library takes five parameters; whatever else the DSN says (sslmode, certificates) must not get lost, and its
    # settings win over ours.
    kwargs = datastore.pool.kwargs
    assert isinstance(kwargs, dict)
    for empty in [key for key, value in kwargs.items() if value == ""]:
        del kwargs[empty]
    options = str(parts.pop("options", "") or "")
    kwargs.update({**parts, "options": f"{_SERVER_SETTINGS} {options}".strip()})
    return datastore


class EventsourcingJournal:
    """Journal port; see ``application.ports.journal``."""

    def __init__(self, datastore: PostgresDatastore, *, clock: Clock | None = None, kek: SM4Key | None = None) -> None:
        """``kek``: wraps the keys of accounts; without it, facts can be read and nothing personal."""
        self.datastore = datastore
        self.recorder = JournalRecorder(datastore, clock=clock)
        self.stored = StoredEvents(AccountKeys(self._fetch, kek), self.book_id)
        self.mapper = LedgerMapper(stored=self.stored)

    def unlock(self, kek: SM4Key) -> None:
        """From now on personal facts can be sealed and opened."""
        self.stored.keys.kek = kek

    def rewrap(self, old: SM4Key, new: SM4Key, refuse: Callable[[list[LedgerError]], None]) -> None:
        """Wrap the keys of all accounts under another epoch, all or none.

        ``refuse`` is told those that do not open; where it raises, nothing is changed, else they are left.
        """
        with connection(self.datastore) as conn, conn.transaction():
            refuse(rewrap(conn, old, new))
        self.unlock(new)

    def book_id(self) -> UUID:
        found: UUID = self._fetch("SELECT book FROM journal.log_head", ())[0][0]
        return found

    def head(self) -> Head:
        rows = self._fetch("SELECT size, rulebook_position, recorded_us FROM journal.log_head", {})
        if not rows:
            raise head_missing()
        return Head(*rows[0])

    def now_us(self) -> int:
        if self.recorder.clock is not None:
            return self.recorder.clock()
        rows = self._fetch("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", {})
        return int(rows[0][0])

    def append(self, batch: Append) -> Appended:
        if not batch.events:
            raise ValueError("an append without events")
        try:
            rows, account_keys = self.stored.rows(batch.events)
        except KeyMissing as error:
            if self._moved(batch.events):
                raise StreamMoved(f"{error.field} was erased meanwhile") from error
            raise
        appended = self.recorder.append(
            rows,
            rulebook_seen=batch.rulebook_seen,
            refs=batch.refs,
            openings=batch.openings,
            account_keys=account_keys,
            erasures=batch.erasures,
            snapshots=[(account, version, SNAPSHOT_TOPIC, state) for account, version, state in batch.snapshots],
            moves_rulebook=batch.moves_rulebook,
            decided_us=batch.decided_us,
            at_size=batch.at_size,
            day_rows=batch.day_rows,
        )
        if batch.erasures:
            self.stored.keys.forget()
        return appended

    def exclusive(self) -> AbstractContextManager[Head]:
        return self.recorder.exclusive()

    @contextmanager
    def claim(self, stream: UUID) -> Iterator[bool]:
        key = int.from_bytes(stream.bytes[:8], "big", signed=True)
        # The lock ends with its session, however that ends. Not one of the pool: claims last long, and a pool of them
        # would have none left for the work itself.
        with session(self.datastore) as conn, conn.cursor(row_factory=tuple_row) as cursor:
            claimed = cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
            assert claimed is not None
            yield claimed[0]
            if claimed[0]:
                # Closing alone would free it a moment later, when the server has seen the connection go.
                with suppress(OperationalError):
                    cursor.execute("SELECT pg_advisory_unlock(%s)", (key,))

    def rulebook_events(self, after: int, upto: int) -> list[Recorded]:
        if upto <= after:
            return []
        try:
            rows = self._fetch(_RULEBOOK, {"after": after, "upto": upto})
        except DataError as error:
            raise Corrupt(
                "undecodable_event",
                "the facts of a rulebook event are no JSON: the chain cannot be followed",
                field=f"rulebook positions {after + 1} to {upto}",
                remedy="restore the rulebook events from a backup",
            ) from error
        return self.stored.recorded(rows, personal=False)

    def accounts(self, ids: Sequence[UUID]) -> dict[UUID, Account]:
        if not ids:
            return {}
        ids = list(dict.fromkeys(ids))
        heads = [Account(account_id) for account_id in ids]
        for place, version, topic, state in self._fetch(_HEADS, (ids,)):
            if topic is None:
                heads[place] = Account.from_snapshot(ids[place], state)
            else:
                heads[place].apply(version, self.stored.facts(ids[place], version, topic, state))
        return {head.id: head for head in heads if head.version}

    def find_accounts(self, keys: Sequence[bytes]) -> dict[bytes, UUID]:
        query = (
            "SELECT uuid_send(account_key), account_id FROM journal.account_refs WHERE account_key = ANY(%s::uuid[])"
        )
        return dict(self._fetch(query, ([key.hex() for key in keys],)))

    def named(self, ids: Sequence[UUID]) -> set[UUID]:
        query = "SELECT account_id FROM journal.account_refs WHERE account_id = ANY(%s)"
        return {row[0] for row in self._fetch(query, (list(ids),))}

    def key_epoch(self) -> int:
        return int(self._fetch("SELECT key_epoch FROM journal.log_head", ())[0][0])

    def find_refs(self, refs: Sequence[bytes]) -> dict[bytes, Known]:
        rows = self._fetch(_REFS, ([ref.hex() for ref in refs],))
        found = self.stored.recorded([row[1:] for row in rows], personal=True)
        return {row[0]: Known(*each) for row, each in zip(rows, found, strict=True)}

    def stream(self, stream: UUID, upto: int | None = None, *, personal: bool = False) -> list[Recorded]:
        query = (
            f"SELECT {_EVENT_COLUMNS} FROM journal.ledger_events WHERE originator_id = %s"
            " AND notification_id <= coalesce(%s, 9223372036854775807) ORDER BY originator_version"
        )
        return self.stored.recorded(self._fetch(query, (stream, upto)), personal=personal)

    def version(self, stream: UUID) -> int:
        query = "SELECT coalesce(max(originator_version), 0) FROM journal.ledger_events WHERE originator_id = %s"
        return int(self._fetch(query, (stream,))[0][0])

    def streams(
        self,
        kind_topics: Sequence[str],
        upto: int,
        after: UUID | None = None,
        since: int = 0,
        *,
        personal: bool = False,
    ) -> Iterator[tuple[UUID, list[Recorded]]]:
        query = (
            f"SELECT {_EVENT_COLUMNS} FROM journal.ledger_events WHERE {_of(kind_topics)}"
            " AND notification_id > %s AND notification_id <= %s"
            " AND originator_id > coalesce(%s, '00000000-0000-0000-0000-000000000000'::uuid)"
            " ORDER BY originator_id, originator_version"
        )
        pages = self._pages(query, (list(kind_topics), since, upto, after), personal)
        for stream, group in groupby(pages, key=attrgetter("stream")):
            yield stream, list(group)

    def log(self, after: int, upto: int, topics: Sequence[str] = (), *, personal: bool = False) -> Iterator[Recorded]:
        query = (
            f"SELECT {_EVENT_COLUMNS} FROM journal.ledger_events WHERE notification_id > %s AND notification_id <= %s"
            + (f" AND {_of(topics)}" if topics else "")
            + " ORDER BY notification_id"
        )
        yield from self._pages(query, (after, upto, list(topics)) if topics else (after, upto), personal)

    def span(self, upto: int) -> tuple[int, int, int]:
        query = (
            "SELECT count(*), coalesce(min(notification_id), 0), coalesce(max(notification_id), 0)"
            " FROM journal.ledger_events WHERE notification_id <= %s"
        )
        count, first, last = self._fetch(query, (upto,))[0]
        return count, first, last

    def rows_of_day(self, partner: str, day: int) -> int:
        return partner_days.rows_of(self._fetch(partner_days.ROWS, (partner, day_text(day))))

    def count_refs(self, upto: int) -> int:
        return int(self._fetch("SELECT count(*) FROM journal.behavior_refs WHERE position <= %s", (upto,))[0][0])

    def ref_positions(self, refs: Sequence[bytes]) -> dict[bytes, int]:
        query = "SELECT uuid_send(ref), position FROM journal.behavior_refs WHERE ref = ANY(%s::uuid[])"
        return dict(self._fetch(query, ([ref.hex() for ref in refs],)))

    def snapshots(self, ids: Sequence[UUID]) -> dict[UUID, tuple[int, bytes]]:
        query = (
            "SELECT DISTINCT ON (originator_id) originator_id, originator_version, state FROM journal.ledger_snapshots"
            " WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version DESC"
        )
        return {account: (version, bytes(state)) for account, version, state in self._fetch(query, (list(ids),))}

    def wrong_commit(self) -> int | None:
        query = """
        SELECT min(last_position) FROM (
            SELECT last_position, recorded_us <= lag(recorded_us) OVER (ORDER BY last_position) AS wrong
            FROM journal.log_commits) AS c WHERE wrong
        """
        position: int | None = self._fetch(query, ())[0][0]
        return position

    def position_at(self, instant_us: int) -> int:
        # Both columns rise together: the index on the instant gives the answer without looking at older commits.
        query = (
            "SELECT last_position FROM journal.log_commits WHERE recorded_us <= %s ORDER BY recorded_us DESC LIMIT 1"
        )
        rows = self._fetch(query, (instant_us,))
        return int(rows[0][0]) if rows else 0

    def recorded_at(self, positions: Sequence[int]) -> dict[int, int]:
        query = """
        SELECT p.position, c.recorded_us FROM unnest(%s::bigint[]) AS p(position) CROSS JOIN LATERAL (
            SELECT recorded_us FROM journal.log_commits WHERE last_position >= p.position
            ORDER BY last_position LIMIT 1) AS c
        """
        return dict(self._fetch(query, (list(positions),)))

    def _moved(self, events: Sequence[NewEvent]) -> bool:
        """Whether one of the streams has gone on since the events were decided."""
        query = """
        SELECT EXISTS (SELECT FROM unnest(%s::uuid[], %s::bigint[]) AS n(stream, version) JOIN journal.ledger_events
            ON originator_id = n.stream AND originator_version = n.version)
        """
        parts = ([each.stream for each in events], [each.version for each in events])
        return bool(self._fetch(query, parts)[0][0])

    def _fetch(self, query: str, params: Any) -> list[Any]:
        with connection(self.datastore) as conn, conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            return cursor.execute(query.encode(), params, prepare=True).fetchall()

    def _pages(self, query: str, params: Any, personal: bool) -> Iterator[Recorded]:
        with self._scan(query, params) as cursor:
            while page := cursor.fetchmany(PAGE):
                yield from self.stored.recorded(page, personal=personal)

    @contextmanager
    def _scan(self, query: str, params: Any) -> Iterator[ServerCursor[Any]]:
        with connection(self.datastore) as conn, conn.transaction():
            # The whole result is read: plan for the last row, not for the first.
            conn.execute("SET LOCAL cursor_tuple_fraction = 1.0")
            conn.execute("SET LOCAL work_mem = '64MB'")
            with ServerCursor(conn, "scan", row_factory=tuple_row) as cursor:
                cursor.itersize = PAGE
                cursor.execute(query.encode(), params, binary=True)
                yield cursor


def _of(topics: Sequence[str]) -> str:
    """The condition that a topic is one of some; where none is an account's, as the index of these few wants it."""
    few = not set(topics) & set(ACCOUNT_TOPICS)
    return "topic = ANY(%s)" + (" AND topic NOT LIKE 'carbon.account.%%'" if few else "")


def account_projector(account_id: UUID) -> Callable[[Account | None, Any], Account]:
    """Projector for ``repository.get`` of the stock library: folds an account from its events."""

    def project(account: Account | None, events: Any) -> Account:
        return (account or Account(account_id)).extend(events)

    return project
