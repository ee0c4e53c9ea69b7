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


class Naming(NamedTuple):
    """How an edit is named: by area of ``check``, what a place in it says; codes with which it cannot even begin."""

    places: dict[str, str]
    unopened: tuple[str, ...] = ()


NAMED_BY: dict[str, Naming] = {
    "journal.ledger_events": Naming(
        {
            "log": r"position|@|^journal\.account_keys|^state$",
            "checkpoints": r"^positions|^journal\.checkpoints",
            "replay": r"position|@",
            "acts": r"position|@",
            "keys": r"position|@",
        }
    ),
    "journal.ledger_snapshots": Naming({"lookups": r"^journal\.ledger_snapshots", "replay": r"@"}),
    "journal.log_head": Naming(
        {"log": r"^position \d", "checkpoints": r"^journal\.checkpoints", "keys": r"^journal\.log_head"},
        ("log_head_missing", "not_initialized"),
    ),
    "journal.log_commits": Naming(
        {"log": r"^positions? \d", "checkpoints": r"^positions", "lookups": r"^journal\.log_commits"}
    ),
    "journal.behavior_refs": Naming({"lookups": r"^journal\.behavior_refs", "replay": r"@\d+ position \d"}),
    "journal.account_refs": Naming({"lookups": r"^journal\.account_refs", "replay": r"@\d+ position \d"}),
    "journal.account_keys": Naming({"keys": r"^journal\.account_keys", "log": r"@\d+ position \d"}),
    "journal.checkpoints": Naming(
        {
            "checkpoints": r"^journal\.checkpoints",
            "log": r"^position \d|^journal\.cosignatures",
            "lookups": r"^journal\.checkpoints|^views\.tree_nodes",
            "map": r"^journal\.checkpoints|^views\.map_",
        }
    ),
    "journal.cosignatures": Naming({"checkpoints": r"^journal\.cosignatures", "log": r"^journal\.cosignatures"}),
    "public.ledger_migrations": Naming({"guards": r"^public\.ledger_migrations"}),
    "views.tree_nodes": Naming({"log": r"^positions \d", "lookups": r"^views\.tree_nodes"}),
    "views.map_streams": Naming({"map": r"^stream|^prefix|^views\.map_streams", "lookups": r"^views\.map_streams"}),
    "views.map_parts": Naming({"map": r"^prefix|^views\.map_(streams, views\.map_)?parts|^map$"}),
    "views.progress": Naming({"views": r"^views"}),
    **{
        f"views.{name}": Naming({"views": rf"^views\.{name}$"})
        for name in ("account_balance", "account_statement", "book_totals")
    },
}
"""By table, what may name an edit of it."""

NOT_FOUND = {
    ("flip", "journal.ledger_snapshots", "topic"): "nobody reads it; the library's table has it",
    ("swap", "journal.ledger_snapshots", "topic"): "as above",
    ("flip", "views.progress", "position"): "a lower one matters only if it leaves out what the views show",
    ("delete", "journal.ledger_snapshots", ""): "snapshots are made anew; what they say is in the log",
    (
        "delete",
        "journal.cosignatures",
        "",
    ): "what a witness gave can be asked for again; nothing here says it was given",
    (
        "delete",
        "journal.checkpoints",
        "",
    ): "but for the last with a map: whoever was given it has it; a witness holds on",
    ("swap", "journal.checkpoints", "map_position"): "two that name no map say the same",
}
"""What cannot be found, and why; everything else must be."""


class Column(NamedTuple):
    """A column that holds something: table, name, type."""

    table: str
    name: str
    kind: str


class Change(NamedTuple):
    """``how``: flip, insert, delete or swap; ``column``: "" where it is of whole rows."""

    how: str
    table: str
    column: str
    removed: list[Any]
    added: list[Any]


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
    def changed(self, change: Change) -> Iterator[bool]:
        """With other rows until the block ends; False where the database does not hold such rows."""
        table = change.table
        keys = [sql.Identifier(each.name) for each in self.of(table)]
        name = sql.Identifier(*table.split("."))
        same = sql.SQL(" AND ").join(sql.SQL("{} IS NOT DISTINCT FROM %s").format(key) for key in keys)
        values = sql.SQL(", ").join([sql.Placeholder()] * len(keys))
        try:
            with self._conn.transaction():
                for row in change.removed:
                    self._conn.execute(sql.SQL("DELETE FROM {} WHERE {}").format(name, same), row)
                for row in change.added:
                    self._conn.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(name, values), row)
        except psycopg.Error:
            yield False
            return
        yield True
        with self._conn.transaction():
            self._conn.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {self._was(table)}".encode())

    def _was(self, table: str) -> str:
        return "was." + table.replace(".", "_")


def flip_of(tables: Tables, column: Column, chance: random.Random) -> Change | None:
    """One bit of one value of a column; None where no row holds anything there."""
    place = [each.name for each in tables.of(column.table)].index(column.name)
    rows = [row for row in tables.held[column.table] if row[place] not in (None, "", b"")]
    if not rows:
        return None
    row = chance.choice(rows)
    after = (*row[:place], flipped(column.kind, row[place], chance), *row[place + 1 :])
    return Change("flip", column.table, column.name, [row], [after])


def rows_of(tables: Tables, table: str, how: str, chance: random.Random) -> Change | None:
    """A row taken out, a row put in that is like another, or a value exchanged between two rows."""
    rows, columns = tables.held[table], tables.of(table)
    if not rows:
        return None
    row = chance.choice(rows)
    if how == "delete":
        return Change(how, table, "", [row], [])
    if how == "insert":
        other = set(chance.sample(range(len(columns)), chance.randint(1, len(columns))))
        new = tuple(
            flipped(column.kind, value, chance)
            if place in other and value not in (None, "", b"") and column.kind != "boolean"
            else value
            for place, (column, value) in enumerate(zip(columns, row, strict=True))
        )
        return Change(how, table, "", [], [new])
    other_row, place = chance.choice(rows), chance.randrange(len(columns))
    if row == other_row:
        return None
    pair = ((row, other_row), (other_row, row))
    swapped = [(*one[:place], another[place], *one[place + 1 :]) for one, another in pair]
    return Change(how, table, columns[place].name, [row, other_row], swapped)


def names(naming: Naming, found: Checked | LedgerError) -> bool:
    """Whether something of what was found is said of what was edited."""
    if isinstance(found, LedgerError):
        return found.code in naming.unopened
    return any(
        re.search(naming.places.get(each.area, "(?!)"), each.place) and each.message and each.remedy
        for each in found.findings
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
