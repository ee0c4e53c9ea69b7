"""The journal port over the eventsourcing library's table in PostgreSQL.

Keeps: events are encoded before the append lock is taken; reads go through server-side cursors, so memory stays flat
whatever the size of the log; there is one decode, ``domain.events.registry``.
Leaves to ``postgres.recorder``: the append itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import groupby
from typing import Any
from uuid import UUID

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from eventsourcing.postgres import PostgresDatastore
from psycopg import OperationalError, ServerCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from application.ports.journal import Append, Appended, Head
from domain.account import Account
from domain.crediting import Known
from domain.events.base import NewEvent, Recorded
from domain.events.registry import ACCOUNT_TOPICS, decode, encode, recorded, recorded_facts
from infrastructure.postgres.connecting import connection, session
from infrastructure.postgres.recorder import Clock, JournalRecorder

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
# Each rulebook event names its predecessor: walk from the newest back to what is known already.
_RULEBOOK = """
WITH RECURSIVE chain AS (
    SELECT * FROM journal.ledger_events WHERE notification_id = %(upto)s
    UNION ALL
    SELECT e.* FROM chain AS c JOIN journal.ledger_events AS e
        ON e.notification_id = (convert_from(c.state, 'UTF8')::jsonb #>> '{facts,previous}')::bigint
    WHERE e.notification_id > %(after)s
)
SELECT originator_id, originator_version, notification_id, topic, state FROM chain ORDER BY notification_id
"""
_EVENT_COLUMNS = "originator_id, originator_version, notification_id, topic, state"


class LedgerMapper(Mapper[UUID]):
    """Lets the stock library read and write the ledger's events, as ``Recorded`` and ``NewEvent``."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        new: NewEvent = domain_event
        return StoredEvent(new.stream, new.version, new.event.TOPIC, encode(new.event, new.personal))

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        event, personal = decode(stored_event.topic, stored_event.state)
        stream = stored_event.originator_id
        assert isinstance(stream, UUID)
        return Recorded(stream, stored_event.originator_version, 0, event, personal)


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

    def __init__(self, datastore: PostgresDatastore, *, clock: Clock | None = None) -> None:
        self.datastore = datastore
        self.recorder = JournalRecorder(datastore, clock=clock)
        self.mapper = LedgerMapper(transcoder=JSONTranscoder())

    def head(self) -> Head:
        rows = self._fetch("SELECT size, rulebook_position, recorded_us FROM journal.log_head", {})
        return Head(*rows[0])

    def now_us(self) -> int:
        if self.recorder.clock is not None:
            return self.recorder.clock()
        rows = self._fetch("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", {})
        return int(rows[0][0])

    def append(self, batch: Append) -> Appended:
        if not batch.events:
            raise ValueError("an append without events")
        rows = [(e.stream, e.version, e.event.TOPIC, encode(e.event, e.personal)) for e in batch.events]
        return self.recorder.append(
            rows,
            rulebook_seen=batch.rulebook_seen,
            refs=batch.refs,
            openings=batch.openings,
            snapshots=[(account, version, SNAPSHOT_TOPIC, state) for account, version, state in batch.snapshots],
            moves_rulebook=batch.moves_rulebook,
        )

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
        return [_recorded(row) for row in self._fetch(_RULEBOOK, {"after": after, "upto": upto})]

    def accounts(self, ids: Sequence[UUID]) -> dict[UUID, Account]:
        if not ids:
            return {}
        ids = list(dict.fromkeys(ids))
        heads = [Account(account_id) for account_id in ids]
        for place, version, topic, state in self._fetch(_HEADS, (ids,)):
            if topic is None:
                heads[place] = Account.from_snapshot(ids[place], state)
            else:
                heads[place].apply(version, recorded_facts(ids[place], version, topic, state))
        return {head.id: head for head in heads if head.version}

    def find_accounts(self, keys: Sequence[bytes]) -> dict[bytes, UUID]:
        query = (
            "SELECT uuid_send(account_key), account_id FROM journal.account_refs WHERE account_key = ANY(%s::uuid[])"
        )
        return dict(self._fetch(query, ([key.hex() for key in keys],)))

    def find_refs(self, refs: Sequence[bytes]) -> dict[bytes, Known]:
        found: dict[bytes, Known] = {}
        for row in self._fetch(_REFS, ([ref.hex() for ref in refs],)):
            each = _recorded(row[1:])
            found[row[0]] = Known(each.stream, each.version, each.position, each.event, each.personal)
        return found

    def stream(self, stream: UUID, upto: int | None = None) -> list[Recorded]:
        query = (
            f"SELECT {_EVENT_COLUMNS} FROM journal.ledger_events WHERE originator_id = %s"
            " AND notification_id <= coalesce(%s, 9223372036854775807) ORDER BY originator_version"
        )
        return [_recorded(row) for row in self._fetch(query, (stream, upto))]

    def streams(
        self, kind_topics: Sequence[str], upto: int, after: UUID | None = None, since: int = 0
    ) -> Iterator[tuple[UUID, list[Recorded]]]:
        query = (
            f"SELECT {_EVENT_COLUMNS} FROM journal.ledger_events WHERE {_of(kind_topics)}"
            " AND notification_id > %s AND notification_id <= %s"
            " AND originator_id > coalesce(%s, '00000000-0000-0000-0000-000000000000'::uuid)"
            " ORDER BY originator_id, originator_version"
        )
        with self._scan(query, (list(kind_topics), since, upto, after)) as rows:
            for stream, group in groupby(rows, key=lambda row: row[0]):
                yield stream, [_recorded(row) for row in group]

    def log(self, after: int, upto: int, topics: Sequence[str] = ()) -> Iterator[Recorded]:
        query = (
            f"SELECT {_EVENT_COLUMNS} FROM journal.ledger_events WHERE notification_id > %s AND notification_id <= %s"
            + (f" AND {_of(topics)}" if topics else "")
            + " ORDER BY notification_id"
        )
        with self._scan(query, (after, upto, list(topics)) if topics else (after, upto)) as rows:
            for row in rows:
                yield _recorded(row)

    def span(self, upto: int) -> tuple[int, int, int]:
        query = (
            "SELECT count(*), coalesce(min(notification_id), 0), coalesce(max(notification_id), 0)"
            " FROM journal.ledger_events WHERE notification_id <= %s"
        )
        count, first, last = self._fetch(query, (upto,))[0]
        return count, first, last

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

    def _fetch(self, query: str, params: Any) -> list[Any]:
        with connection(self.datastore) as conn, conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            return cursor.execute(query.encode(), params, prepare=True).fetchall()

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


def _recorded(row: Sequence[Any]) -> Recorded:
    return recorded(row[0], row[1], row[2], row[3], bytes(row[4]))


def account_projector(account_id: UUID) -> Callable[[Account | None, Any], Account]:
    """Projector for ``repository.get`` of the stock library: folds an account from its events."""

    def project(account: Account | None, events: Any) -> Account:
        return (account or Account(account_id)).extend(events)

    return project
