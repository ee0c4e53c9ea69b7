"""The audit log in PostgreSQL: see ``application.ports.audit_log``.

Keeps: the commit time of an event is looked up beside it, since the event table has the shape of the library; what a
signer keeps is one transaction under an advisory lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection, ServerCursor
from psycopg.errors import UniqueViolation
from psycopg.rows import tuple_row

from application.ports.audit_log import Kept, Logged, Loose, StreamState, TreeHead, Wrong
from domain.audit.book_map import Item, MapPart
from domain.audit.leaves import unpack
from domain.audit.merkle import HASH_BYTES, Subtree
from domain.audit.note import Cosignature, NoteSignature
from domain.errors import Corrupt, LedgerError
from domain.events.account import PersonalDataErased
from domain.events.base import Personal, Recorded
from infrastructure.gm.sm4 import key_version
from infrastructure.postgres.account_keys import AccountKeys, KeyMissing
from infrastructure.postgres.connecting import connection
from infrastructure.postgres.guards import guards_off, migrations_told
from infrastructure.postgres.loose_rows import loose_rows
from infrastructure.postgres.recorder import head_missing

PAGE = 5_000
PREFIX_BITS = 16
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('carbon_ledger.signing'))"
_EVENT = "notification_id, originator_id, originator_version, topic, state"
_LOGGED = f"SELECT {_EVENT} FROM journal.ledger_events WHERE notification_id > %s AND notification_id <= %s ORDER BY 1"
_COMMITS = "SELECT last_position, recorded_us FROM journal.log_commits WHERE last_position > %s ORDER BY 1"
_BY_STREAM = f"""
SELECT {_EVENT}, (
    SELECT recorded_us FROM journal.log_commits WHERE last_position >= e.notification_id ORDER BY last_position LIMIT 1)
FROM journal.ledger_events AS e WHERE {{}} ORDER BY originator_id, originator_version
"""
_ERASED = "SELECT originator_id FROM journal.ledger_events WHERE originator_id = ANY(%s) AND topic = %s"
_REWRAP = "run `carbon-ledger keys rewrap`: it writes the epoch anew"
_GUARD = "find out who could: `database show`; let the owner make it again as the migrations do, then `check` again"
_MIGRATION = "find out who removed it; if nothing else is missing, let the owner insert it again"
_UNKNOWN = "use the release that made it; if none did, let the owner delete the row"
_KEPT = "size, map_position, frontier, note"
_COSIGNATURES = """
SELECT name, key_hash, signature, signed_s, public_key FROM journal.cosignatures
WHERE size = %s AND map_position = %s ORDER BY name COLLATE "C", key_hash
"""
_MAP_STREAMS = """
SELECT key, stream, version, balances FROM views.map_streams WHERE prefix = ANY(%s) ORDER BY prefix, key
"""
_PUT_STREAMS = """
INSERT INTO views.map_streams SELECT * FROM map_changes
ON CONFLICT (prefix, key) DO UPDATE SET version = EXCLUDED.version, balances = EXCLUDED.balances
"""
_PUT_PARTS = """
INSERT INTO views.map_parts SELECT * FROM part_changes
ON CONFLICT (prefix) DO UPDATE SET root = EXCLUDED.root, key = EXCLUDED.key, value = EXCLUDED.value
"""


class Opening(Protocol):
    """What opens personal parts (``infrastructure.stored_events``)."""

    @property
    def keys(self) -> AccountKeys: ...

    def recorded(self, rows: Sequence[Sequence[Any]], *, personal: bool) -> list[Recorded]:
        """Rows (stream, version, position, topic, state) as events."""

    def unopened(self, rows: Sequence[tuple[UUID, int, str, bytes]]) -> list[tuple[int, Corrupt]]:
        """Which of these rows do not open, and why."""


class PostgresAuditLog:
    """Ports ``AuditLog`` and ``MapStore``."""

    def __init__(self, datastore: PostgresDatastore, stored: Opening) -> None:
        self._datastore = datastore
        self._stored = stored
        self._signing = threading.local()

    @contextmanager
    def signing(self) -> Iterator[None]:
        if getattr(self._signing, "conn", None) is not None:
            yield  # within what this thread holds already
            return
        with connection(self._datastore) as conn, conn.transaction():
            conn.execute(_LOCK)
            conn.execute("CREATE TEMP TABLE IF NOT EXISTS map_changes (LIKE views.map_streams) ON COMMIT DELETE ROWS")
            conn.execute("CREATE TEMP TABLE IF NOT EXISTS part_changes (LIKE views.map_parts) ON COMMIT DELETE ROWS")
            self._signing.conn = conn
            try:
                yield
            finally:
                self._signing.conn = None

    def head(self) -> TreeHead:
        rows = self._fetch(
            "SELECT book, size, rulebook_position, recorded_us, frontier, root FROM journal.log_head", ()
        )
        if not rows:
            raise head_missing()
        book, size, rulebook, recorded_us, frontier, root = rows[0]
        return TreeHead(book.bytes, size, rulebook, recorded_us, _hashes(frontier), bytes(root))

    def logged(self, after: int, upto: int) -> Iterator[Logged]:
        with (
            self._reading() as conn,
            _scan(conn, _COMMITS, (after,)) as commits,
            _scan(conn, _LOGGED, (after, upto)) as events,
        ):
            last = recorded_us = 0
            for position, stream, version, topic, state in events:
                while last < position:
                    last, recorded_us = next(commits, (position, 0))
                yield Logged(position, stream, version, topic, recorded_us, bytes(state))

    def logged_streams(self, streams: Sequence[UUID]) -> Iterator[Logged]:
        yield from self._by_stream("originator_id = ANY(%s)", (list(streams),))

    def logged_topics(self, topics: Sequence[str], upto: int) -> Iterator[Logged]:
        yield from self._by_stream("topic = ANY(%s) AND notification_id <= %s", (list(topics), upto))

    def _by_stream(self, condition: str, params: Sequence[object]) -> Iterator[Logged]:
        with self._reading() as conn, _scan(conn, _BY_STREAM.format(condition), params) as events:
            for position, stream, version, topic, state, recorded_us in events:
                yield Logged(position, stream, version, topic, recorded_us or 0, bytes(state))

    def newest(self, *, with_map: bool = False) -> Kept | None:
        return next(iter(self._last(1, least_map=int(with_map))), None)

    def last_checkpoints(self, count: int) -> list[Kept]:
        return self._last(count, least_map=0)

    def _last(self, count: int, *, least_map: int) -> list[Kept]:
        query = (
            f"SELECT {_KEPT} FROM journal.checkpoints WHERE map_position >= %s"
            " ORDER BY size DESC, map_position DESC LIMIT %s"
        )
        return [_kept(row) for row in self._fetch(query, (least_map, count))]

    def checkpoints(self, after: int = 0, upto: int = (1 << 63) - 1) -> Iterator[Kept]:
        query = f"SELECT {_KEPT} FROM journal.checkpoints WHERE size > %s AND size <= %s ORDER BY size, map_position"
        with self._reading() as conn, _scan(conn, query, (after, upto)) as rows:
            yield from map(_kept, rows)

    def keep(self, checkpoint: Kept) -> None:
        self._held.execute(
            "INSERT INTO journal.checkpoints VALUES (%s, %s, %s, %s)",
            (checkpoint.size, checkpoint.map_position, b"".join(checkpoint.frontier), checkpoint.note),
        )

    def cosignatures(self, checkpoint: Kept) -> list[Cosignature]:
        rows = self._fetch(_COSIGNATURES, (checkpoint.size, checkpoint.map_position))
        return [
            Cosignature(NoteSignature(name, bytes(key_hash), bytes(signature), signed_s), bytes(public_key))
            for name, key_hash, signature, signed_s, public_key in rows
        ]

    def loose_cosignatures(self) -> list[int]:
        query = (
            "SELECT size FROM journal.cosignatures EXCEPT ALL"
            " SELECT size FROM journal.cosignatures JOIN journal.checkpoints USING (size, map_position)"
        )
        return [row[0] for row in self._fetch(query, ())]

    def keep_cosignature(self, checkpoint: Kept, cosignature: Cosignature) -> bool:
        values = (checkpoint.size, checkpoint.map_position, *cosignature.line, cosignature.public_key)
        kept = self._held.execute(
            "INSERT INTO journal.cosignatures VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING", values
        )
        return kept.rowcount == 1

    def subtrees(self, level: int, first: int, count: int) -> list[bytes]:
        query = (
            "SELECT number, root FROM views.tree_nodes"
            " WHERE level = %s AND number >= %s AND number < %s ORDER BY number"
        )
        found = []
        for place, (number, root) in enumerate(self._fetch(query, (level, first, first + count))):
            if number != first + place:
                raise Corrupt(
                    "subtree_missing",
                    f"subtree {first + place} of level {level} is not kept",
                    field="views.tree_nodes",
                    remedy="run `carbon-ledger checkpoint rebuild`",
                )
            found.append(bytes(root))
        return found

    def keep_subtrees(self, subtrees: Sequence[Subtree]) -> None:
        try:
            with self._held.cursor() as cursor, cursor.copy("COPY views.tree_nodes FROM STDIN") as copy:
                for each in subtrees:
                    copy.write_row(each)
        except UniqueViolation as error:
            raise Corrupt(
                "subtree_loose",
                f"views.tree_nodes holds what was not signed yet: {error.diag.message_detail}",
                field="views.tree_nodes",
                remedy="run `carbon-ledger checkpoint rebuild`",
            ) from error

    def opened(self, page: Sequence[Logged]) -> list[Personal | None]:
        rows = [(each.stream, each.version, each.position, each.topic, each.state) for each in page]
        return [each.personal for each in self._stored.recorded(rows, personal=True)]

    def unopened(self, page: Sequence[Logged]) -> list[Wrong]:
        sealed = [each for each in page if unpack(each.state).sealed]
        wrong = self._stored.unopened([(e.stream, e.version, e.topic, e.state) for e in sealed])
        missing = {sealed[place].stream for place, error in wrong if isinstance(error, KeyMissing)}
        erased = (
            {row[0] for row in self._fetch(_ERASED, (list(missing), PersonalDataErased.TOPIC))} if missing else set()
        )
        return [
            (error.code, f"{at.stream}@{at.version} position {at.position}", error.message, error.remedy)
            for at, error in ((sealed[place], error) for place, error in wrong)
            if not (isinstance(error, KeyMissing) and at.stream in erased)
        ]

    def wrong_account_keys(self) -> list[Wrong]:
        found: list[Wrong] = []
        epochs = set[int]()
        query = "SELECT account_id, wrapped FROM journal.account_keys"
        with self._reading() as conn, _scan(conn, query, ()) as rows:
            for account, wrapped in rows:
                try:
                    self._stored.keys.opened(account, bytes(wrapped))
                    epochs.add(key_version(bytes(wrapped)))
                except LedgerError as error:
                    found.append((error.code, f"journal.account_keys {account}", error.message, error.remedy))
        ((told,),) = self._fetch("SELECT key_epoch FROM journal.log_head", ())
        if epochs - {told}:
            found.append(("epoch_differs", "journal.log_head", f"{told}; keys are of {max(epochs)}", _REWRAP))
        return found

    def wrong_guards(self) -> list[Wrong]:
        with self._reading() as conn:
            off, (missing, unknown) = guards_off(conn), migrations_told(conn)
        told = "public.ledger_migrations"
        return [
            *(("guard_off", each.name, each.message, _GUARD) for each in off),
            *(("migration_missing", told, f"no row tells {each}", _MIGRATION) for each in missing),
            *(("schema_newer", told, f"{each} is none of this release", _UNKNOWN) for each in unknown),
        ]

    def loose_rows(self) -> Iterator[Loose]:
        return loose_rows(self._fetch)

    def forget(self) -> None:
        self._held.execute("TRUNCATE views.tree_nodes, views.map_streams, views.map_parts")

    def parts(self) -> Iterator[tuple[int, Item]]:
        query = "SELECT prefix, root, key, value FROM views.map_parts ORDER BY prefix"
        with self._reading() as conn, _scan(conn, query, ()) as rows:
            for prefix, root, key, value in rows:
                if key is None:
                    yield prefix, MapPart(PREFIX_BITS, prefix.to_bytes(2, "big") + bytes(30), bytes(root or b""))
                else:
                    yield prefix, (bytes(key), bytes(value or b""))

    def streams(self, prefixes: Sequence[int]) -> Iterator[tuple[bytes, StreamState]]:
        with self._reading() as conn, _scan(conn, _MAP_STREAMS, (list(prefixes),)) as rows:
            for key, stream, version, balances in rows:
                yield bytes(key), StreamState(stream, version, balances)

    def count(self) -> int:
        return int(self._fetch("SELECT count(*) FROM views.map_streams", ())[0][0])

    def put(self, states: Mapping[bytes, StreamState], parts: Mapping[int, Item]) -> None:
        with self._held.cursor() as cursor:
            with cursor.copy("COPY map_changes FROM STDIN") as copy:
                for key, state in states.items():
                    copy.write_row((int.from_bytes(key[:2], "big"), key, *state))
            with cursor.copy("COPY part_changes FROM STDIN") as copy:
                for prefix, item in parts.items():
                    copy.write_row(
                        (prefix, item.root, None, None) if isinstance(item, MapPart) else (prefix, None, *item)
                    )
            cursor.execute(f"{_PUT_STREAMS}; {_PUT_PARTS}; TRUNCATE map_changes, part_changes".encode())

    @property
    def _held(self) -> Connection[Any]:
        conn: Connection[Any] | None = getattr(self._signing, "conn", None)
        if conn is None:
            raise RuntimeError("what a signer keeps is kept inside signing()")
        return conn

    @contextmanager
    def _reading(self) -> Iterator[Connection[Any]]:
        held: Connection[Any] | None = getattr(self._signing, "conn", None)
        if held is not None:
            yield held
            return
        with connection(self._datastore) as conn, conn.transaction():
            yield conn

    def _fetch(self, query: str, params: Any) -> list[Any]:
        with self._reading() as conn, conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            return cursor.execute(query.encode(), params).fetchall()


_scans = iter(range(1, 1 << 62))


@contextmanager
def _scan(conn: Connection[Any], query: str, params: Sequence[object]) -> Iterator[Iterator[Any]]:
    """The rows of a query, page by page."""
    with ServerCursor(conn, f"audit{next(_scans)}", row_factory=tuple_row) as cursor:
        cursor.itersize = PAGE
        cursor.execute(query.encode(), params, binary=True)
        yield iter(cursor)


def _kept(row: Sequence[Any]) -> Kept:
    return Kept(row[0], row[1], _hashes(row[2]), bytes(row[3]))


def _hashes(joined: bytes) -> list[bytes]:
    content = bytes(joined)
    return [content[start : start + HASH_BYTES] for start in range(0, len(content), HASH_BYTES)]
