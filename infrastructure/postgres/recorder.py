"""The batch append, as a recorder of the eventsourcing library (DESIGN 4, Append; ADR 0002).

Keeps: writers serialize on the row ``journal.log_head`` and on nothing else; positions are contiguous, also after a
failed append; ``recorded_us`` strictly rises from commit to commit; everything of an append commits together.
The table is the library's own, so its readers, subscriptions and projections work unchanged.
Leaves to ``eventsourcing_journal``: what the bytes mean.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.rows import tuple_row

from application.ports.journal import Appended, DayRows, Head, LogMoved, RefTaken, RulebookMoved, StreamMoved
from application.tree_walk import log_behind_checkpoint
from domain.audit.leaves import HASH_BYTES, content_hash, header, leaf, unpack
from domain.audit.merkle import extend, root_of
from domain.errors import Corrupt, Unavailable
from infrastructure.postgres import partner_days
from infrastructure.postgres.account_keys import NewKey, erase
from infrastructure.postgres.connecting import connection
from infrastructure.postgres.migrating import migrate

_COPY_EVENTS = (
    "COPY journal.ledger_events (originator_id, originator_version, topic, state, notification_id)"
    " FROM STDIN (FORMAT BINARY)"
)
_COPY_SNAPSHOTS = (
    "COPY journal.ledger_snapshots (originator_id, originator_version, topic, state) FROM STDIN (FORMAT BINARY)"
)
_COPY_REFS = "COPY journal.behavior_refs (ref, position) FROM STDIN (FORMAT BINARY)"
_COPY_OPENINGS = "COPY journal.account_refs (account_key, account_id) FROM STDIN (FORMAT BINARY)"
_COPY_KEYS = "COPY journal.account_keys (account_id, wrapped) FROM STDIN (FORMAT BINARY)"
_COPY_START = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_EVENT = struct.Struct(">hi16siqi")
_LENGTH = struct.Struct(">i")
_POSITION = struct.Struct(">iq")
_REF = struct.Struct(">hi16siq")
_OPENING = struct.Struct(">hi16si16s")
_KEY = struct.Struct(">hi16si")

Clock = Callable[[], int]


def content_of(state: bytes) -> bytes:
    """What the leaf takes from an envelope."""
    return content_hash(unpack(state))


def log_leaves(
    book: bytes, first: int, recorded_us: int, rows: Sequence[tuple[UUID, int, str, bytes]], contents: Sequence[bytes]
) -> list[bytes]:
    """The Merkle leaves of the rows of one commit, which begin at position ``first``."""
    return [
        leaf(header(book, position, stream.bytes, version, topic, recorded_us), content)
        for position, ((stream, version, topic, _), content) in enumerate(zip(rows, contents, strict=True), start=first)
    ]


class JournalRecorder(PostgresApplicationRecorder):
    """Recorder over the table ``journal.ledger_events``; every insert goes through ``append``."""

    def __init__(
        self,
        datastore: PostgresDatastore,
        *,
        events_table_name: str = "ledger_events",
        clock: Clock | None = None,
        content: Callable[[bytes], bytes] = content_of,
    ) -> None:
        """``clock``: microseconds told by a simulated clock; None = the database's own clock.

        ``content``: what the Merkle leaf takes from a state, 64 bytes.
        """
        super().__init__(datastore, events_table_name=events_table_name)
        self.clock = clock
        self._content = content
        self._held = threading.local()
        # At most two threads hold a connection to write: one works, one waits for the head. Otherwise a full pool of
        # waiting threads would leave none for what the first one has to read.
        self._writers = threading.BoundedSemaphore(2)

    def create_table(self) -> None:
        with self.datastore.get_connection() as conn:
            migrate(conn)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The library's own way in: the same append, without references."""
        if not stored_events:
            return []
        rows = [(e.originator_id, e.originator_version, e.topic, e.state) for e in stored_events]
        try:
            appended = self.append(rows)  # type: ignore[arg-type]
        except StreamMoved as error:
            raise IntegrityError(str(error)) from error
        return list(range(appended.first, appended.last + 1))

    @contextmanager
    def exclusive(self) -> Iterator[Head]:
        """Hold the head until the block ends; an append inside joins the transaction."""
        if getattr(self._held, "conn", None) is not None:
            raise RuntimeError("this thread holds the journal already")
        with self._writers, connection(self.datastore) as conn, conn.transaction():
            head, _, _ = _lock(conn.cursor())
            self._held.conn = conn
            try:
                yield head
            finally:
                self._held.conn = None

    def append(
        self,
        rows: Sequence[tuple[UUID, int, str, bytes]],
        *,
        rulebook_seen: int | None = None,
        refs: Sequence[tuple[bytes, int]] = (),
        openings: Sequence[tuple[bytes, UUID]] = (),
        account_keys: Sequence[NewKey] = (),
        erasures: Sequence[UUID] = (),
        snapshots: Sequence[tuple[UUID, int, str, bytes]] = (),
        moves_rulebook: bool = False,
        decided_us: int | None = None,
        at_size: int | None = None,
        day_rows: DayRows | None = None,
    ) -> Appended:
        """Append rows (stream, version, topic, state) in this order.

        ``rulebook_seen`` None = the rows do not depend on the rulebook. ``refs``: key and index into ``rows``.
        ``decided_us``: an instant taken while the head was held, in the place of now.
        ``at_size``: how long the log must be. ``day_rows``: counted in the same transaction.
        Raises LogMoved, RulebookMoved, StreamMoved, RefTaken, DayFull, Unavailable ``keys_moved``, Corrupt
        ``log_behind_checkpoint``; then nothing was written.
        """
        held: Connection[Any] | None = getattr(self._held, "conn", None)
        # The dear half of the leaves needs no position: it is done before the head is held.
        contents = [self._content(state) for _, _, _, state in rows]
        moves = (moves_rulebook, decided_us, at_size, day_rows)
        args = (rows, contents, rulebook_seen, refs, openings, account_keys, erasures, snapshots, *moves)
        try:
            if held is not None:
                return self._append(held.cursor(row_factory=tuple_row), *args)
            with self._writers, connection(self.datastore) as conn, conn.transaction():
                return self._append(conn.cursor(row_factory=tuple_row), *args)
        except psycopg.errors.UniqueViolation as error:
            raise _moved(error) from error

    def _append(
        self,
        cursor: Cursor[Any],
        rows: Sequence[tuple[UUID, int, str, bytes]],
        contents: Sequence[bytes],
        rulebook_seen: int | None,
        refs: Sequence[tuple[bytes, int]],
        openings: Sequence[tuple[bytes, UUID]],
        account_keys: Sequence[NewKey],
        erasures: Sequence[UUID],
        snapshots: Sequence[tuple[UUID, int, str, bytes]],
        moves_rulebook: bool,
        decided_us: int | None,
        at_size: int | None,
        day_rows: DayRows | None,
    ) -> Appended:
        head, database_us, tree = _lock(cursor)
        if at_size is not None and at_size != head.size:
            raise LogMoved(f"the log has {head.size} events, decided at {at_size}")
        if rulebook_seen is not None and rulebook_seen != head.rulebook_position:
            raise RulebookMoved(f"rulebook is at {head.rulebook_position}, decided at {rulebook_seen}")
        clock_us = database_us if self.clock is None else self.clock()
        now_us = clock_us if decided_us is None else decided_us
        first, last = head.size + 1, head.size + len(rows)
        recorded_us = max(now_us, head.recorded_us + 1)
        epoch = _epoch(tree.key_epoch, account_keys)
        _copy_accounts(cursor, account_keys, openings)
        if erasures:
            erase(cursor, erasures)
        if refs:
            _copy(cursor, _COPY_REFS, (_REF.pack(2, 16, ref, 8, first + index) for ref, index in refs))
        _copy(cursor, _COPY_EVENTS, _event_rows(rows, first))
        if snapshots:
            _replace_snapshots(cursor, snapshots)
        rulebook_position = last if moves_rulebook else head.rulebook_position
        leaves = log_leaves(tree.book, first, recorded_us, rows, contents)
        frontier = extend(head.size, tree.frontier, leaves)
        # One message, so one round trip; the numbers are ours.
        counting = "" if day_rows is None else partner_days.counting(cursor, day_rows)
        cursor.execute(
            f"{counting}INSERT INTO journal.log_commits VALUES ({last:d}, {recorded_us:d});"
            f"UPDATE journal.log_head SET size = {last:d}, recorded_us = {recorded_us:d},"
            f" rulebook_position = {rulebook_position:d}, key_epoch = {epoch:d},"
            f" frontier = '\\x{b''.join(frontier).hex()}', root = '\\x{root_of(frontier).hex()}';"
            " NOTIFY ledger_events".encode()
        )
        if day_rows is not None:
            partner_days.refuse_uncounted(cursor, day_rows)
        return Appended(first, last, recorded_us)


class _Tree(NamedTuple):
    """What the head holds for the Merkle log, and the epoch of the keys."""

    book: bytes
    frontier: list[bytes]
    key_epoch: int


def _lock(cursor: Cursor[Any]) -> tuple[Head, int, _Tree]:
    cursor.row_factory = tuple_row
    row = cursor.execute(
        "SELECT size, rulebook_position, recorded_us, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,"
        " uuid_send(book), frontier, key_epoch, (SELECT coalesce(max(size), 0) FROM journal.checkpoints)"
        " FROM journal.log_head FOR UPDATE",
        prepare=True,
    ).fetchone()
    if row is None:
        raise head_missing()
    if row[0] < row[7]:
        raise log_behind_checkpoint(row[0], row[7])
    frontier = bytes(row[5])
    hashes = [frontier[start : start + HASH_BYTES] for start in range(0, len(frontier), HASH_BYTES)]
    return Head(row[0], row[1], row[2]), row[3], _Tree(bytes(row[4]), hashes, row[6])


def head_missing() -> Corrupt:
    """The one row of the head is gone."""
    return Corrupt(
        "log_head_missing",
        "the row that tells how long the log is, and what its tree is, is gone",
        field="journal.log_head",
        remedy="stop writing, keep the database as evidence, and restore the newest backup",
    )


def _epoch(stored: int, account_keys: Sequence[NewKey]) -> int:
    """The epoch of all keys after the append. A key of a destroyed epoch would be lost for ever."""
    epochs = {key.epoch for key in account_keys} | ({stored} if stored else set())
    if len(epochs) > 1:
        raise Unavailable(
            "keys_moved",
            f"the keys of this book are at epoch {stored}, this process still had an older or another key store",
            remedy="start the process again; if it stays, `carbon-ledger keys rewrap` finishes an interrupted one",
        )
    return max(epochs, default=0)


def _row(columns: int, stream: UUID, version: int, topic: str, state: bytes) -> bytes:
    """The first four columns of a row in PostgreSQL's binary COPY format."""
    name = topic.encode()
    head = _EVENT.pack(columns, 16, stream.bytes, 8, version, len(name))
    return b"".join((head, name, _LENGTH.pack(len(state)), state))


def _event_rows(rows: Sequence[tuple[UUID, int, str, bytes]], first: int) -> Iterator[bytes]:
    for position, row in enumerate(rows, start=first):
        yield _row(5, *row)
        yield _POSITION.pack(8, position)


def _copy_accounts(cursor: Cursor[Any], account_keys: Sequence[NewKey], openings: Sequence[tuple[bytes, UUID]]) -> None:
    if account_keys:
        keys = (_KEY.pack(2, 16, k.account.bytes, len(k.wrapped)) + k.wrapped for k in account_keys)
        _copy(cursor, _COPY_KEYS, keys)
    if openings:
        _copy(cursor, _COPY_OPENINGS, (_OPENING.pack(2, 16, key, 16, account.bytes) for key, account in openings))


def _copy(cursor: Cursor[Any], statement: str, rows: Iterator[bytes]) -> None:
    with cursor.copy(statement) as copy:
        copy.write(b"".join((_COPY_START, *rows, _COPY_END)))


def _replace_snapshots(cursor: Cursor[Any], snapshots: Sequence[tuple[UUID, int, str, bytes]]) -> None:
    streams = [stream for stream, _, _, _ in snapshots]
    cursor.execute("DELETE FROM journal.ledger_snapshots WHERE originator_id = ANY(%s)", (streams,))
    _copy(cursor, _COPY_SNAPSHOTS, (_row(4, *snapshot) for snapshot in snapshots))


def _moved(error: psycopg.errors.UniqueViolation) -> RefTaken | StreamMoved | Corrupt:
    constraint = error.diag.constraint_name or ""
    detail = error.diag.message_detail or constraint
    if constraint == "behavior_refs_pkey":
        return RefTaken(detail)
    if constraint in ("ledger_events_pkey", "account_refs_pkey", "account_refs_account_id_key", "account_keys_pkey"):
        return StreamMoved(detail)
    # Whoever holds the head alone gives out positions and instants: a taken one was not written through the head.
    return Corrupt(
        "log_beyond_head",
        f"the log holds more than its head knows: {detail}",
        field=constraint,
        remedy="stop writing, keep the database as it is, and find out who wrote around the ledger",
    )
