"""The way into a database: is the server safe, is the schema there, and what do its failures mean.

Keeps: nothing is done on a server that may forget a commit; whatever the server or the disk does to somebody inside
``explained`` comes out as Unavailable with a remedy, and everything else as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from eventsourcing.persistence import PersistenceError
from psycopg.conninfo import conninfo_to_dict

from domain.errors import Unavailable
from infrastructure.embedded.safety import check_server_settings
from infrastructure.postgres.migrating import Migrated, may_migrate, migrate, refuse_older


def prepare_database(conninfo: str) -> str:
    """Check the server; bring the schema up to date if it is this role's, or refuse one that does not fit.

    Returns the server's version as it names it. Raises Unavailable ``server_version_unsupported``,
    ``unsafe_server_setting``, ``schema_older``, ``schema_newer``, ``right_missing``.
    """
    with psycopg.connect(conninfo, autocommit=True) as conn:
        check_server_settings(conn)
        if may_migrate(conn):
            migrate(conn)
        else:
            refuse_older(conn)
        return conn.info.parameter_status("server_version") or str(conn.info.server_version)


def migrate_database(conninfo: str) -> Migrated:
    """Bring the schema up to date. Raises as ``prepare_database``, and ``right_missing`` for who may not."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        check_server_settings(conn)
        return migrate(conn)


def checked_dsn(dsn: str) -> str:
    """The connection string as it was given. Raises Unavailable ``dsn_malformed``."""
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # The message and its chain may repeat a password.
        raise Unavailable(
            "dsn_malformed",
            "CARBON_LEDGER_DSN is not a PostgreSQL connection string",
            field="CARBON_LEDGER_DSN",
            remedy='such as "host=db dbname=ledger user=ledger" or postgresql://ledger@db/ledger',
        ) from None
    return dsn


@contextmanager
def explained(explain: Callable[[BaseException], Unavailable | None]) -> Iterator[None]:
    """Raise what ``explain`` makes of a failure of the server or the disk; let the rest pass."""
    try:
        yield
    except (psycopg.Error, PersistenceError, OSError, Unavailable) as error:
        # The pool, which has no log of the server, can only tell that a connection was lost: ask again what it met.
        met = error.__cause__ if isinstance(error, Unavailable) else error
        understood = None if met is None else explain(met)
        if understood is None:
            raise
        raise understood from error
