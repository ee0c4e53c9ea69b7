"""The floor and the ceiling: what PostgreSQL itself takes to store the ledger's event rows, and to hand them out.

Keeps (DESIGN 8): the baseline is binary COPY of the very rows that the ledger wrote, into a table with the same
columns, primary key and unique position index, one commit per batch, on the same server. The rows are in memory
before the clock starts; packing them by hand is part of it. Nothing is checked, locked, decided or announced.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, ServerCursor

from benchmarks.stopwatch import Stopwatch, untimed

Row = tuple[UUID, int, str, bytes, int]

_COLUMNS = "originator_id, originator_version, topic, state, notification_id"
_TABLE = """
CREATE TABLE twin (
    originator_id uuid NOT NULL, originator_version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL,
    notification_id bigint NOT NULL, PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_analyze_scale_factor = 0.01);
CREATE UNIQUE INDEX ON twin (notification_id)
"""
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_START = struct.Struct(">hi16siqi").pack
_LENGTH = struct.Struct(">i").pack
_END = struct.Struct(">iq").pack
_READ_PAGE = 5_000


def create(target: str) -> dict[str, Any]:
    """The table that rows are copied into."""
    with psycopg.connect(target, autocommit=True) as conn:
        conn.execute(_TABLE)
    return untimed()


def copy(source: str, target: str, after: int, upto: int, batch_rows: int) -> dict[str, Any]:
    """Copy the events at positions (after, upto] from the log into the table."""
    rows = log_rows(source, after, upto)
    with psycopg.connect(target, autocommit=True) as conn, Stopwatch() as watch:
        for start in range(0, len(rows), batch_rows):
            _copy_batch(conn, rows[start : start + batch_rows])
    return watch.answer(len(rows))


def read(conninfo: str) -> dict[str, Any]:
    """The whole log through a binary cursor, in log order, as Python values that nobody looks at."""
    count = 0
    with psycopg.connect(conninfo) as conn, ServerCursor(conn, "log") as cursor, Stopwatch() as watch:
        cursor.execute(f"SELECT {_COLUMNS} FROM journal.ledger_events ORDER BY notification_id".encode(), binary=True)
        while page := cursor.fetchmany(_READ_PAGE):
            count += len(page)
    return watch.answer(count)


def log_rows(conninfo: str, after: int, upto: int) -> list[Row]:
    """The stored events at positions (after, upto]."""
    query = f"SELECT {_COLUMNS} FROM journal.ledger_events WHERE notification_id > %s AND notification_id <= %s"
    with psycopg.connect(conninfo) as conn, conn.cursor(binary=True) as cursor:
        rows: list[Row] = cursor.execute(f"{query} ORDER BY notification_id".encode(), (after, upto)).fetchall()
    return rows


def _copy_batch(conn: Connection[Any], rows: Sequence[Row]) -> None:
    topics: dict[str, bytes] = {}
    packed = [_HEADER]
    for stream, version, topic, state, position in rows:
        name = topics.get(topic) or topics.setdefault(topic, topic.encode())
        packed += (
            _START(5, 16, stream.bytes, 8, version, len(name)),
            name,
            _LENGTH(len(state)),
            state,
            _END(8, position),
        )
    packed.append(_TRAILER)
    with conn.cursor().copy(f"COPY twin ({_COLUMNS}) FROM STDIN (FORMAT BINARY)".encode()) as copying:
        copying.write(b"".join(packed))
