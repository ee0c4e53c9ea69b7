"""Edits of everything that a ledger stores, drawn by chance, and what of a check may be said to name each of them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from application.checking import Checked
from domain.errors import LedgerError


# By table: what may name an edit of it. ``areas``: those of ``check``; ``place``: what its place then says; ``codes``:
# of what is refused before a check can begin.
class Naming(NamedTuple):
    """How an edit of a table or a file is named. ``unopened``: codes with which a check cannot even begin."""

    findings: tuple[tuple[str, str], ...]
    unopened: tuple[str, ...] = ()


_LOG = (
    ("log", r"position|\bjournal\.|@|log"),
    ("checkpoints", r"positions"),
    ("replay", r"position|rulebook|@"),
)
NAMED_BY: dict[str, Naming] = {
    "journal.ledger_events": Naming(_LOG),
}


class Column(NamedTuple):
    """A column that holds something: table, name, type."""

    table: str
    name: str
    kind: str


class Edit(NamedTuple):
    """What was done to a table: ``how``: flip, insert, delete or swap; ``column``: "" where it is of whole rows."""

    how: str
    table: str
    column: str
    what: str


def flipped(kind: str, value: Any, chance: random.Random) -> Any:
    """The value with one bit, or for text one character, changed."""
    if kind == "bytea":
        content = bytearray(value)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        return bytes(content)
    if kind == "uuid":
        return UUID(int=value.int ^ 1 << chance.randrange(128))
    if kind in ("bigint", "integer", "smallint"):
        return value ^ 1 << chance.randrange(14 if kind == "smallint" else 30)
    if kind == "numeric":
        return value + chance.choice((-1, 1)) * 10 ** chance.randrange(6)
    if kind == "date":
        return value.replace(year=value.year + chance.choice((-1, 1)))
    place = chance.randrange(len(value))
    return value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :]


class Tables:
    """The tables of a ledger past its triggers; every edit can be taken back, row by row."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        found = conn.execute(
            "SELECT table_schema || '.' || table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema IN ('journal', 'views') OR table_name = 'ledger_migrations'"
            " ORDER BY 1, ordinal_position"
        ).fetchall()
        self.columns = [Column(*each) for each in found]
        self.names = sorted({each.table for each in self.columns})
        conn.execute("CREATE SCHEMA was")
        for name in self.names:
            conn.execute(f"CREATE TABLE {self._was(name)} AS SELECT * FROM {name}".encode())
        self.held = {name: conn.execute(f"SELECT * FROM {name}".encode()).fetchall() for name in self.names}

    def of(self, table: str) -> list[Column]:
        return [each for each in self.columns if each.table == table]

    @contextmanager
    def edited(self, table: str, removed: list[Any], added: list[Any]) -> Iterator[bool]:
        """With other rows until the block ends; False where the database does not hold such rows."""
        keys = [sql.Identifier(each.name) for each in self.of(table)]
        name = sql.Identifier(*table.split("."))
        same = sql.SQL(" AND ").join(sql.SQL("{} IS NOT DISTINCT FROM %s").format(key) for key in keys)
        values = sql.SQL(", ").join([sql.Placeholder()] * len(keys))
        try:
            with self._conn.transaction():
                for row in removed:
                    self._conn.execute(sql.SQL("DELETE FROM {} WHERE {}").format(name, same), row)
                for row in added:
                    self._conn.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(name, values), row)
        except psycopg.Error:
            yield False
            return
        yield True
        with self._conn.transaction():
            self._conn.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {self._was(table)}".encode())

    def _was(self, table: str) -> str:
        return "was." + table.replace(".", "_")


def flip_of(tables: Tables, column: Column, chance: random.Random) -> tuple[Edit, list[Any], list[Any]] | None:
    """One bit of one value of a column; None where no row holds anything there."""
    place = [each.name for each in tables.of(column.table)].index(column.name)
    rows = [row for row in tables.held[column.table] if row[place] not in (None, "", b"", True)]
    if not rows:
        return None
    row = chance.choice(rows)
    after = flipped(column.kind, row[place], chance)
    edit = Edit("flip", column.table, column.name, f"{row} to {after!r}"[:300])
    return edit, [row], [(*row[:place], after, *row[place + 1 :])]


def rows_of(tables: Tables, table: str, how: str, chance: random.Random) -> tuple[Edit, list[Any], list[Any]] | None:
    """A row deleted, a row inserted that is like another, or a value swapped between two rows."""
    rows, columns = tables.held[table], tables.of(table)
    if not rows:
        return None
    row = chance.choice(rows)
    if how == "delete":
        return Edit(how, table, "", str(row)[:300]), [row], []
    if how == "insert":
        changed = chance.sample(range(len(columns)), chance.randint(1, len(columns)))
        new = tuple(
            flipped(column.kind, value, chance)
            if place in changed and value not in (None, "", b"") and column.kind != "boolean"
            else value
            for place, (column, value) in enumerate(zip(columns, row, strict=True))
        )
        return Edit(how, table, "", str(new)[:300]), [], [new]
    other, place = chance.choice(rows), chance.randrange(len(columns))
    if row[place] == other[place]:
        return None
    swapped = [(*one[:place], another[place], *one[place + 1 :]) for one, another in ((row, other), (other, row))]
    return Edit(how, table, columns[place].name, f"{row} and {other}"[:400]), [row, other], swapped


def names(naming: Naming, found: Checked | LedgerError) -> bool:
    """Whether something of what was found is said of what was edited."""
    if isinstance(found, LedgerError):
        return found.code in naming.unopened
    return any(
        each.area == area and re.search(place, each.place) and each.message and each.remedy
        for each in found.findings
        for area, place in naming.findings
    )


def same_store(one: bytes, other: bytes) -> bool:
    """Whether two key stores mean the same: hex digits of either case, what a generated root key does not ask for."""
    try:
        stores = [json.loads(each.decode().lower()) for each in (one, other)]
    except ValueError:
        return False
    for each in stores:
        if each.get("root") == "generated":
            each.pop("salt", None), each.pop("iterations", None)
    return bool(stores[0] == stores[1])


def files_of(folder: Path) -> list[Path]:
    """Every file in a folder that is not a lock."""
    return sorted(each for each in folder.rglob("*") if each.is_file() and not each.name.startswith("."))
