"""A real book for races, put back to a saved state within milliseconds.

Keeps: one database per test process; what is saved is every row of journal and views, so a state put back is the
state that was saved, whoever keeps connections to it. (Making a database anew for each race would cost more than the
race. Triggers are off only while rows are put back.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from application import methodologies
from application.book import Book
from interfaces.bootstrap import Ledger, Settings, initialize, open_ledger
from tests.fixtures.ledgers import Server
from tests.simulation.plain import Cap, Row, Version

RIDE, WALK = "race.ride", "race.walk"


def _version(code: str, number: int, behavior: str, rows: tuple[Row, ...], caps: tuple[Cap, ...]) -> Version:
    return Version(
        code=code,
        number=number,
        behavior=behavior,
        unit="km",
        scale=1,
        minimum="0.1",
        maximum="50",
        parameters={"baseline": rows},
        formula="quantity * baseline",
        rounding="down",
        offset_minutes=480,
        late_days=36_500,
        caps=caps,
    )


_EVERYWHERE = Row("*", None, None, "1")
_RIDE_2 = (Row("*", None, None, "1.5"), Row("CN-44", None, None, "0.5"))
_RIDE_3 = (Row("CN", None, None, "0.7"), Row("*", None, None, "0.9"))

VERSIONS = {
    version.name: version
    for version in (
        _version("RIDE", 1, RIDE, (_EVERYWHERE,), (Cap("day", "mass", 4_000), Cap("day", "count", 3))),
        _version("RIDE", 2, RIDE, _RIDE_2, (Cap("month", "mass", 9_000),)),
        _version("RIDE", 3, RIDE, _RIDE_3, (Cap("day", "count", 2), Cap("year", "mass", 15_000))),
        _version("WALK", 1, WALK, (_EVERYWHERE,), ()),
        _version("WALK", 2, WALK, (_EVERYWHERE._replace(value="2.5"),), (Cap("month", "count", 4),)),
    )
}


def begin(book: Book) -> None:
    """Every version published; version 1 of each code values everything from 2025 on."""
    for name, version in VERSIONS.items():
        methodologies.import_methodology(book, version.document(), "ann")
        methodologies.review(book, name, "bob")
        methodologies.certify(book, name, "cid")
        methodologies.publish(book, name, "dee")
    for code in ("RIDE", "WALK"):
        decision, _ = methodologies.propose_decision(book, f"{code}@1", "2025-01-01", None, "ann")
        methodologies.approve_decision(book, decision, "bob")


class RaceBook:
    """The database of the races. ``settings`` open it, in this process or in others.

    ``simulated``: an empty book that is told its times, for worlds that begin it themselves.
    """

    def __init__(self, server: Server, name: str, *, simulated: bool = False) -> None:
        self.settings: Settings = server.settings(name)
        self._conninfo = self.settings.dsn.get_secret_value() if self.settings.dsn is not None else ""
        server.execute("CREATE DATABASE {name} TEMPLATE template0", name=name)
        initialize(self.settings, with_catalogue=False, simulated_start_us=0 if simulated else None, retention_days=0)
        if not simulated:
            with open_ledger(self.settings) as ledger:
                begin(ledger.book)
        self.save("begun")

    @contextmanager
    def ledgers(self, count: int) -> Iterator[list[Ledger]]:
        """So many ledgers on the book, each with connections of its own."""
        if count == 0:
            yield []
            return
        with open_ledger(self.settings) as ledger, self.ledgers(count - 1) as more:
            yield [ledger, *more]

    def save(self, state: str) -> None:
        """Remember the book as it is."""
        with self._as_owner() as conn:
            conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(state)))
            conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(state)))
            for schema, table in self._tables(conn):
                copy = "CREATE TABLE {}.{} AS TABLE {}.{}"
                conn.execute(sql.SQL(copy).format(*map(sql.Identifier, (state, table, schema, table))))

    def restore(self, state: str) -> None:
        """Put the book back."""
        with self._as_owner() as conn:
            for schema, table in self._tables(conn):
                conn.execute(sql.SQL("DELETE FROM {}.{}").format(*map(sql.Identifier, (schema, table))))
                copy = "INSERT INTO {}.{} TABLE {}.{}"
                conn.execute(sql.SQL(copy).format(*map(sql.Identifier, (schema, table, state, table))))

    @contextmanager
    def _as_owner(self) -> Iterator[psycopg.Connection[tuple[str, str]]]:
        with psycopg.connect(self._conninfo) as conn:
            conn.execute("SET session_replication_role = replica")
            yield conn

    @staticmethod
    def _tables(conn: psycopg.Connection[tuple[str, str]]) -> list[tuple[str, str]]:
        query = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('journal', 'views') ORDER BY 1, 2"
        return conn.execute(query).fetchall()
