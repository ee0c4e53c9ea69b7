"""Brings a database to the newest schema, one numbered SQL file after the other.

Keeps: each file runs once, in order, all or nothing; two processes that start together do not run one twice; a
database that is newer than the program is refused. The owner of the schema changes it and nobody else: any other role
is told whether it fits, and who can help.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.errors import DuplicateFunction, DuplicateObject, DuplicateSchema, DuplicateTable
from psycopg.rows import tuple_row

from domain.errors import Corrupt, Unavailable

_LOCK = 0x6361_7262_6F6E
_MAY_MIGRATE = """
SELECT CASE WHEN m.oid IS NULL
    THEN has_database_privilege(current_database(), 'CREATE') AND has_schema_privilege('public', 'CREATE')
    ELSE pg_has_role(m.relowner, 'USAGE') END
FROM (SELECT to_regclass('public.ledger_migrations') AS found) AS f LEFT JOIN pg_class AS m ON m.oid = f.found
"""

# Whoever may be the owner makes things as the owner: functions that run as their owner must not become a superuser's.
_OWNER = """
SELECT coalesce(m.relowner, CASE WHEN pg_has_role(d.datdba, 'MEMBER') THEN d.datdba END)::regrole::text
FROM pg_database AS d LEFT JOIN pg_class AS m ON m.oid = to_regclass('public.ledger_migrations')
WHERE d.datname = current_database()
"""


class Migrated(NamedTuple):
    """Schema versions before and after; 0 = there was none. ``applied``: the files that ran."""

    before: int
    after: int
    applied: list[str]


def migrate(conn: Connection[Any]) -> Migrated:
    """Apply what is missing, as the owner of the schema or of the database.

    Raises Unavailable ``schema_newer``, Corrupt ``migration_missing``.
    """
    scripts = _scripts()
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        with conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(_OWNER).fetchone()
        if row is not None and row[0] is not None:
            conn.execute(f"SET LOCAL ROLE {row[0]}".encode())
        conn.execute("CREATE TABLE IF NOT EXISTS public.ledger_migrations (name text PRIMARY KEY)")
        done = _done(conn)
        _refuse_newer(done)
        # What came before the last one did run, whether a row still tells it or not: `check` names what is missing.
        applied = [name for name, _ in scripts if int(name[:4]) > _version(done)]
        for name, script in scripts:
            if name in applied:
                _apply(conn, name, script)
    return Migrated(_version(done), _version(name for name, _ in scripts), applied)


def known_migrations() -> list[str]:
    """The names of this release's migrations, in order."""
    return [name for name, _ in _scripts()]


def may_migrate(conn: Connection[Any]) -> bool:
    """Whether the schema is this role's, or would be: its owner, a member of it, or who may make it."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_MAY_MIGRATE).fetchone()
    assert row is not None
    return bool(row[0])


def schema_version(conn: Connection[Any]) -> int:
    """The number of the last migration that ran; 0 = none did. Raises Unavailable ``schema_newer``."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT to_regclass('public.ledger_migrations') IS NULL").fetchone()
    if row is not None and row[0]:
        return 0
    done = _done(conn)
    _refuse_newer(done)
    return _version(done)


def refuse_older(conn: Connection[Any]) -> int:
    """The schema's version where it is this release's. Raises Unavailable ``schema_older``, ``schema_newer``."""
    found, newest = schema_version(conn), _version(name for name, _ in _scripts())
    if found < newest:
        raise Unavailable(
            "schema_older",
            f"the database is at schema version {found}, this release needs {newest}, and this role may not change it",
            field="public.ledger_migrations",
            remedy="run `carbon-ledger database migrate` with the role that owns the database, then `database grant`",
        )
    return found


def _apply(conn: Connection[Any], name: str, script: str) -> None:
    try:
        conn.execute(script.encode())
    except (DuplicateSchema, DuplicateTable, DuplicateFunction, DuplicateObject) as error:
        raise Corrupt(
            "migration_missing",
            f"the database has what {name} makes, and no row that tells so: {error.diag.message_primary}",
            field="public.ledger_migrations",
            remedy=f"find out who removed the row; if nothing else is missing, insert {name} again as the owner",
        ) from error
    conn.execute("INSERT INTO public.ledger_migrations VALUES (%s)", (name,))


def _scripts() -> list[tuple[str, str]]:
    return sorted(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in files("infrastructure.postgres").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    )


def _done(conn: Connection[Any]) -> set[str]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return {row[0] for row in cursor.execute("SELECT name FROM public.ledger_migrations")}


def _refuse_newer(done: set[str]) -> None:
    unknown = done - {name for name, _ in _scripts()}
    if unknown:
        raise Unavailable(
            "schema_newer",
            f"the database has {', '.join(sorted(unknown))}, which this release does not know",
            field="public.ledger_migrations",
            remedy="use the release that created it, or a newer one",
        )


def _version(names: Iterable[str]) -> int:
    return max((int(name[:4]) for name in names), default=0)
