"""Brings a database to the newest schema, one numbered SQL file after the other.

Keeps: each file runs once, in order, all or nothing; two processes that start together do not run one twice; a
database that is newer than the program is refused.
"""

from __future__ import annotations

from importlib.resources import files

from psycopg import Connection
from psycopg.rows import tuple_row

from domain.errors import Unavailable

_LOCK = 0x6361_7262_6F6E


def migrate(conn: Connection[object]) -> None:
    """Apply what is missing. Raises Unavailable ``schema_newer``."""
    scripts = sorted(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in files("infrastructure.postgres").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    )
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        conn.execute("CREATE TABLE IF NOT EXISTS public.ledger_migrations (name text PRIMARY KEY)")
        with conn.cursor(row_factory=tuple_row) as cursor:
            done = {row[0] for row in cursor.execute("SELECT name FROM public.ledger_migrations")}
        unknown = done - {name for name, _ in scripts}
        if unknown:
            raise Unavailable(
                "schema_newer",
                f"the database has {', '.join(sorted(unknown))}, which this release does not know",
                remedy="use the release that created it, or a newer one",
            )
        for name, script in scripts:
            if name not in done:
                conn.execute(script.encode())
                conn.execute("INSERT INTO public.ledger_migrations VALUES (%s)", (name,))
