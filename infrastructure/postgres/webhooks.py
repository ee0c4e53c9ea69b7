"""Subscriptions, targets and waiting messages in the schema ``webhooks``.

Keeps: messages and position move in one transaction, and only from the position that the messages were made from; a
lease is a lock of a session, so that it ends with the session, and no transaction stays open while somebody else's
machine is waited for: that would keep dead rows of the head of the log alive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection
from psycopg.rows import tuple_row

from application.ports.webhooks import Counts, Dead, Leases, Settled, Subscription, Target, Waiting, Wakes
from domain.errors import Unavailable
from domain.webhooks import Message, Wish
from infrastructure.postgres.connecting import connection, session

_LEASE = 0x7765_6268
_SELECT = """
SELECT s.id, s.owner, s.url, s.kinds, s.behaviors, s.threshold_mg, s.made_by, s.made_us, s.position, s.state, s.reason,
    s.delivered, s.failed, count(m.kind) FILTER (WHERE m.dead_us = 0), count(m.kind) FILTER (WHERE m.dead_us > 0),
    s.rounds_failed, s.next_us, s.failing_since_us, s.succeeded_us
FROM webhooks.subscriptions AS s LEFT JOIN webhooks.messages AS m ON m.subscription = s.id
WHERE {} GROUP BY s.id ORDER BY s.made_us, s.id
"""
_DUE = """
SELECT s.id FROM webhooks.subscriptions AS s
WHERE s.state = 'active' AND s.next_us <= %(now)s AND (
    s.position < %(head)s AND (
        SELECT count(*) FROM webhooks.messages AS m WHERE m.subscription = s.id AND m.dead_us = 0) < %(window)s
    OR EXISTS (SELECT FROM (
        SELECT DISTINCT ON (lane) next_us FROM webhooks.messages AS m WHERE m.subscription = s.id AND m.dead_us = 0
        ORDER BY lane, position, kind = 'crossed') AS f WHERE f.next_us <= %(now)s))
ORDER BY s.next_us, s.id
"""
_PUT = """
INSERT INTO webhooks.messages (subscription, position, kind, name, lane, body)
SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::text[]) ON CONFLICT DO NOTHING
"""
_FAILED = """
UPDATE webhooks.messages AS m SET tries = m.tries + 1, first_us = f.first_us, next_us = f.next_us, error = f.error,
    dead_us = CASE WHEN f.dead THEN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint ELSE 0 END
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::boolean[])
    AS f(position, kind, first_us, next_us, error, dead)
WHERE m.subscription = %s AND m.position = f.position AND m.kind = f.kind
"""
_STANDS = """
UPDATE webhooks.subscriptions SET delivered = delivered + %s, failed = failed + %s, state = %s, reason = %s,
    rounds_failed = %s, next_us = %s, failing_since_us = %s, succeeded_us = greatest(succeeded_us, %s)
WHERE id = %s AND state = 'active'
"""
_COUNTS = """
SELECT (SELECT coalesce(sum(delivered), 0) FROM webhooks.subscriptions),
    (SELECT coalesce(sum(failed), 0) FROM webhooks.subscriptions),
    (SELECT count(*) FROM webhooks.messages WHERE dead_us = 0),
    (SELECT count(*) FROM webhooks.messages WHERE dead_us > 0),
    (SELECT count(*) FROM webhooks.subscriptions WHERE state <> 'active'),
    (SELECT coalesce(max(%s - position), 0) FROM webhooks.subscriptions WHERE state = 'active')
"""
_BEFORE = """
SELECT a.id, coalesce(b.mg, 0) FROM unnest(%s::uuid[], %s::bigint[]) AS a(id, position) LEFT JOIN LATERAL (
    SELECT sum(change_mg) AS mg FROM views.account_statement WHERE account_id = a.id AND position < a.position) AS b
ON true
"""
_AGAIN = "state = 'active', reason = '', rounds_failed = 0, next_us = 0, failing_since_us = 0"


class PostgresWebhooks:
    """Port ``WebhookStore``."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def targets(self) -> list[Target]:
        query = "SELECT origin, owner, is_private, allowed_by, allowed_us FROM webhooks.targets ORDER BY owner, origin"
        return [Target(*row) for row in self._fetch(query, ())]

    def target(self, origin: str, owner: str) -> Target | None:
        return next((each for each in self.targets() if (each.origin, each.owner) == (origin, owner)), None)

    def allow(self, target: Target) -> None:
        self._change(
            "INSERT INTO webhooks.targets VALUES (%s, %s, %s, %s, %s) ON CONFLICT (origin, owner) DO UPDATE SET"
            " is_private = EXCLUDED.is_private, allowed_by = EXCLUDED.allowed_by, allowed_us = EXCLUDED.allowed_us",
            target,
        )

    def disallow(self, origin: str, owner: str) -> bool:
        return self._change("DELETE FROM webhooks.targets WHERE origin = %s AND owner = %s", (origin, owner)) > 0

    def subscriptions(self, owner: str | None = None) -> list[Subscription]:
        condition, params = ("true", ()) if owner is None else ("s.owner = %s", (owner,))
        return [_subscription(row) for row in self._fetch(_SELECT.format(condition), params)]

    def subscription(self, subscription: UUID) -> Subscription | None:
        rows = self._fetch(_SELECT.format("s.id = %s"), (subscription,))
        return _subscription(rows[0]) if rows else None

    def add(self, subscription: Subscription) -> None:
        s, wish = subscription, subscription.wish
        self._change(
            "INSERT INTO webhooks.subscriptions"
            " (id, owner, url, kinds, behaviors, threshold_mg, made_by, made_us, position)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                s.id,
                s.owner,
                s.url,
                list(wish.kinds),
                list(wish.behaviors),
                wish.threshold_mg,
                s.by,
                s.since_us,
                s.position,
            ),
        )

    def remove(self, subscription: UUID) -> bool:
        return self._change("DELETE FROM webhooks.subscriptions WHERE id = %s", (subscription,)) > 0

    def rewind(self, subscription: UUID, position: int) -> None:
        with self._transaction() as conn:
            conn.execute(
                f"UPDATE webhooks.subscriptions SET position = least(position, %s), {_AGAIN} WHERE id = %s".encode(),
                (position, subscription),
            )
            conn.execute(
                "DELETE FROM webhooks.messages WHERE subscription = %s AND position > %s", (subscription, position)
            )

    def revive(self, subscription: UUID) -> int:
        with self._transaction() as conn:
            conn.execute(f"UPDATE webhooks.subscriptions SET {_AGAIN} WHERE id = %s".encode(), (subscription,))
            # What only waits for its turn need not wait longer either.
            conn.execute("UPDATE webhooks.messages SET next_us = 0 WHERE subscription = %s", (subscription,))
            again = conn.execute(
                "UPDATE webhooks.messages SET tries = 0, first_us = 0, dead_us = 0"
                " WHERE subscription = %s AND dead_us > 0",
                (subscription,),
            )
            return again.rowcount

    def dead(self, subscription: UUID, limit: int) -> list[Dead]:
        query = (
            "SELECT position, kind, tries, first_us, dead_us, error FROM webhooks.messages"
            " WHERE subscription = %s AND dead_us > 0 ORDER BY position, kind LIMIT %s"
        )
        return [Dead(*row) for row in self._fetch(query, (subscription, limit))]

    def counts(self, head: int) -> Counts:
        return Counts(*map(int, self._fetch(_COUNTS, (head,))[0]))

    def due(self, head: int, now_us: int, window: int) -> list[UUID]:
        return [row[0] for row in self._fetch(_DUE, {"head": head, "now": now_us, "window": window})]

    def put(self, subscription: UUID, position: int, upto: int, messages: Sequence[Message]) -> bool:
        with self._transaction() as conn:
            moved = conn.execute(
                "UPDATE webhooks.subscriptions SET position = %s WHERE id = %s AND position = %s AND state = 'active'",
                (upto, subscription, position),
            )
            if moved.rowcount == 0:
                return False
            if messages:
                columns = zip(*((m.position, m.kind, m.id, m.lane, m.body) for m in messages), strict=True)
                conn.execute(_PUT, (subscription, *map(list, columns)))
            return True

    def waiting(self, subscription: UUID, limit: int) -> list[Waiting]:
        query = (
            "SELECT position, kind, name, lane, body, tries, next_us, first_us FROM webhooks.messages"
            " WHERE subscription = %s AND dead_us = 0 ORDER BY position, kind = 'crossed' LIMIT %s"
        )
        return [Waiting(Message(*row[:5]), *row[5:]) for row in self._fetch(query, (subscription, limit))]

    def settle(self, subscription: UUID, settled: Settled) -> None:
        with self._transaction() as conn:
            if settled.delivered:
                conn.execute(
                    "DELETE FROM webhooks.messages WHERE subscription = %s AND (position, kind) IN"
                    " (SELECT * FROM unnest(%s::bigint[], %s::text[]))",
                    (subscription, [m.position for m in settled.delivered], [m.kind for m in settled.delivered]),
                )
            if settled.failures:
                columns = zip(*((f.message.position, f.message.kind, *f[1:]) for f in settled.failures), strict=True)
                conn.execute(_FAILED, (*map(list, columns), subscription))
            stands = (settled.state, settled.reason, settled.rounds_failed, settled.next_us)
            since = (settled.failing_since_us, settled.succeeded_us)
            conn.execute(_STANDS, (len(settled.delivered), len(settled.failures), *stands, *since, subscription))

    def balances_before(self, places: Sequence[tuple[UUID, int]]) -> Mapping[UUID, int]:
        rows = self._fetch(_BEFORE, ([account for account, _ in places], [position for _, position in places]))
        return {account: int(mg) for account, mg in rows}

    @contextmanager
    def leases(self) -> Iterator[Leases]:
        with session(self._datastore) as conn:
            yield _Leases(conn)

    @contextmanager
    def wakes(self) -> Iterator[Wakes]:
        with session(self._datastore) as conn:
            conn.execute("LISTEN ledger_events")
            yield _Wakes(conn)

    @contextmanager
    def _transaction(self) -> Iterator[Connection[Any]]:
        with connection(self._datastore) as conn, conn.transaction():
            yield conn

    def _change(self, statement: str, params: Sequence[object]) -> int:
        with self._transaction() as conn:
            return conn.execute(statement.encode(), params).rowcount

    def _fetch(self, query: str, params: Any) -> list[Any]:
        with self._transaction() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), params).fetchall()


class _Leases:
    """Locks of one session. Two subscriptions that share the 32 bits of a lock wait for each other, and no more."""

    def __init__(self, conn: Connection[Any]) -> None:
        self._conn = conn

    def take(self, subscription: UUID) -> bool:
        return bool(self._ask("pg_try_advisory_lock", subscription))

    def give(self, subscription: UUID) -> None:
        self._ask("pg_advisory_unlock", subscription)

    def _ask(self, function: str, subscription: UUID) -> Any:
        number = int.from_bytes(subscription.bytes[:4], "big", signed=True)
        try:
            with self._conn.cursor(row_factory=tuple_row) as cursor:
                row = cursor.execute(f"SELECT {function}(%s, %s)".encode(), (_LEASE, number)).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _lost(error) from error
        return row is not None and row[0]


class _Wakes:
    def __init__(self, conn: Connection[Any]) -> None:
        self._conn = conn

    def wait(self, seconds: float) -> None:
        try:
            for _ in self._conn.notifies(timeout=seconds, stop_after=1):
                pass
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _lost(error) from error


def _lost(error: Exception) -> Unavailable:
    return Unavailable("server_lost", f"the database no longer answers: {error}", remedy="run the command again")


def _subscription(row: Sequence[Any]) -> Subscription:
    identity, owner, url, kinds, behaviors, threshold, *rest = row
    return Subscription(identity, owner, url, Wish(tuple(kinds), tuple(behaviors), threshold), *rest)
