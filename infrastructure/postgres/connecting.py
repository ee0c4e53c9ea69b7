"""Connections from the pool, and what a lost one means to the caller.

Keeps: a failure of the server reaches the application as ``Unavailable`` with a remedy, never as an error of the
driver; after one the pool replaces its dead connections, so the next attempt is not made to fail for each of them.
Leaves to the caller: refusals of the database that have a meaning in the ledger (a taken key, a missing view).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection
from psycopg.errors import (
    DeadlockDetected,
    IdleInTransactionSessionTimeout,
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
)

from domain.errors import Unavailable
from infrastructure.embedded.safety import explain


@contextmanager
def connection(datastore: PostgresDatastore) -> Iterator[Connection[Any]]:
    """A connection in autocommit mode. Raises Unavailable: ``server_lost``, ``right_missing``, ``disk_full`` ..."""
    # Not datastore.get_connection(): it turns a unique violation into the library's error and loses its constraint.
    datastore.pool.open()
    try:
        with datastore.pool.connection() as conn:
            yield conn
    except InsufficientPrivilege as error:
        raise _understood(error) or error from error
    except (psycopg.OperationalError, psycopg.InterfaceError, IdleInTransactionSessionTimeout) as error:
        datastore.pool.check()
        understood = _understood(error)
        if understood is None:
            raise
        raise understood from error


@contextmanager
def session(datastore: PostgresDatastore) -> Iterator[Connection[Any]]:
    """A connection in autocommit mode beside the pool, for what lasts long. Raises Unavailable as ``connection``."""
    parts = datastore.pool.kwargs
    assert isinstance(parts, dict)
    try:
        with psycopg.connect(**{**parts, "autocommit": True}) as conn:
            conn.execute("SET idle_session_timeout = 0")
            yield conn
    except (psycopg.OperationalError, psycopg.InterfaceError, InsufficientPrivilege) as error:
        understood = _understood(error)
        if understood is None:
            raise
        raise understood from error


def _understood(error: psycopg.Error) -> Unavailable | None:
    if isinstance(error, LockNotAvailable | DeadlockDetected):
        return Unavailable(
            "ledger_busy",
            f"others hold what is needed here: {error}",
            remedy="run the command again; if it fails again, look for a transaction that was left open",
        )
    if isinstance(error, QueryCanceled):
        return Unavailable(
            "statement_ended",
            f"the database ended a statement: {error}",
            remedy="ask for less, or let statements take longer (statement_timeout of the DSN, the role or the server)",
        )
    if isinstance(error, psycopg.InterfaceError | IdleInTransactionSessionTimeout):
        return Unavailable("server_lost", f"the database no longer answers: {error}", remedy="run the command again")
    return explain(error)
