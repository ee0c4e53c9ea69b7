"""One bit flipped anywhere: ``check`` finds it in the database, ``verify`` in a bundle, and each says where.

Every column of every table of the ledger is tried, so that a table that is added later is tried too. What a bit of a
column cannot matter for is listed in ``MEANINGLESS``, with the reason.
"""

from __future__ import annotations

import os
import random
import zipfile
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from application.book import Book
from application.checking import Checked, check
from application.verification.bundle import verify_bundle
from application.verification.notes import Trusted
from domain.audit.bundle import REQUIRED
from domain.errors import LedgerError
from interfaces.bootstrap import Ledger, open_ledger, public_key_of, signature_to_der, verifier
from tests.e2e.cli_tools import METRO, CommandLine

pytestmark = pytest.mark.xdist_group("tampering")

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
FLIPS_OF_TABLES = 3_000 if LONG else 250
FLIPS_OF_BUNDLES = 3_000 if LONG else 250

MEANINGLESS = {
    ("journal.ledger_snapshots", "topic"): "nobody reads it; the library's table has it",
    ("views.progress", "position"): "a lower one matters only if it leaves out what the views show: tried on its own",
}


class Column(NamedTuple):
    """A column that holds something: table, name, type."""

    table: str
    name: str
    kind: str


class Flip(NamedTuple):
    """One bit of one value."""

    column: Column
    row: str
    before: Any
    after: Any


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


def columns(conn: psycopg.Connection[Any]) -> list[Column]:
    """Every column of the ledger's tables."""
    found = conn.execute(
        "SELECT table_schema || '.' || table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema IN ('journal', 'views') AND column_name <> 'only_row' ORDER BY 1, 2"
    ).fetchall()
    return [Column(*each) for each in found if tuple(each[:2]) not in MEANINGLESS]


def drawn(conn: psycopg.Connection[Any], column: Column, chance: random.Random) -> Flip | None:
    """A row in which the column holds something, and what it is to become."""
    schema, _, table = column.table.partition(".")
    names = {"t": sql.Identifier(schema, table), "c": sql.Identifier(column.name)}
    query = sql.SQL("SELECT ctid::text, {c} FROM {t} WHERE {c} IS NOT NULL AND {c}::text NOT IN ('', '\\x')").format(
        **names
    )
    rows = conn.execute(query).fetchall()
    if not rows:
        return None
    row, before = chance.choice(sorted(rows, key=str))
    return Flip(column, row, before, flipped(column.kind, before, chance))


def write(conn: psycopg.Connection[Any], column: Column, row: str, value: Any) -> str:
    """Store a value in a row; returns where the row is then."""
    schema, _, table = column.table.partition(".")
    names = {"t": sql.Identifier(schema, table), "c": sql.Identifier(column.name)}
    query = sql.SQL("UPDATE {t} SET {c} = %s WHERE ctid = %s::tid RETURNING ctid::text").format(**names)
    (moved,) = conn.execute(query, (value, row)).fetchone() or ("",)
    return str(moved)


@pytest.fixture
def lived(cli: CommandLine) -> CommandLine:
    """A small book in which everything happened once: credits, a revision, a reversal, a rotation, two checkpoints."""
    rows = [METRO.replace("t1", f"t{number}").replace("-01T", f"-{number:02}T") for number in range(1, 8)]
    rides = [
        f"c{number},cat,cycling.shared_bike,2026-03-0{number}T09:15:00+08:00,3.{number},km,CN-440300"
        for number in range(1, 6)
    ]
    cli.credit(*rows, *rides, METRO.replace("t1", "b1").replace("ann", "bob"))
    cli("checkpoint", "sign", "--with-map")
    days = ("--from", "2026-01-01", "--to", "2026-07-01")
    cli("revision", "plan", "CYCLING-SHARED@2", *days, "--by", "alice")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")
    cli("behaviors", "reverse", "ann", "t2", "--reason", "wrong train", "--by", "alice")
    cli("keys", "rotate", "--by", "alice")
    cli("account", "freeze", "bob", "--reason", "lost card", "--by", "alice")
    cli("totals")
    cli("checkpoint", "sign", "--with-map")
    cli("archive", "build")
    return cli


def found_by_check(ledger: Ledger) -> Checked | LedgerError:
    """What a check finds, or why it cannot even begin."""
    try:
        return check(ledger.auditing, ledger.views, None)
    except LedgerError as error:
        return error


def test_a_bit_flipped_in_any_column_of_any_table_is_found_and_named(lived: CommandLine) -> None:
    chance = random.Random(20261129)
    missed: list[Flip] = []
    nameless: list[Flip] = []
    tried: dict[str, int] = {}
    with open_ledger(lived.settings) as ledger, lived.sql() as conn:
        clean = found_by_check(ledger)
        assert isinstance(clean, Checked)
        assert clean.findings == []
        all_columns = columns(conn)
        while sum(tried.values()) < FLIPS_OF_TABLES:
            flip = drawn(conn, chance.choice(all_columns), chance)
            if flip is None:
                continue
            try:
                moved = write(conn, flip.column, flip.row, flip.after)
            except psycopg.Error:
                continue  # the database itself does not hold such a value
            found = found_by_check(_again(ledger))
            if isinstance(found, Checked):
                if not found.total:
                    missed.append(flip)
                elif not all(each.place and each.message for each in found.findings):
                    nameless.append(flip)
            write(conn, flip.column, moved, flip.before)
            tried[flip.column.table] = tried.get(flip.column.table, 0) + 1
        after = found_by_check(_again(ledger))
        assert isinstance(after, Checked)
        assert after.findings == []
    assert missed == []
    assert nameless == []
    assert len(tried) >= 12, tried


def _again(ledger: Ledger) -> Ledger:
    """The same ledger as a process that has just started sees it."""
    return replace(ledger, book=Book(ledger.book.journal, ledger.book.keys))


def test_a_position_of_the_views_that_shows_too_little_or_too_much_is_found(lived: CommandLine) -> None:
    with open_ledger(lived.settings) as ledger, lived.sql() as conn:
        size = ledger.book.journal.head().size
        for position in (0, 60, size + 1, 1 << 40):
            conn.execute("UPDATE views.progress SET position = %s", (position,))
            found = found_by_check(ledger)
            assert isinstance(found, Checked)
            assert {each.code for each in found.findings} == {"view_differs"}, position
    lived("views", "rebuild")
    assert lived("check")["ok"]


def test_a_bit_flipped_in_any_member_of_a_bundle_is_found_and_named(lived: CommandLine) -> None:
    chance = random.Random(20261130)
    refs = lived.bytes(b"ann\ncat\n", name="refs.txt")
    bundles = {"all.zip": (), "some.zip": ("--accounts", refs)}
    trusted = Trusted([public_key_of(lived("keys", "show")["public_pem"])])
    members: dict[str, dict[str, bytes]] = {}
    for name, options in bundles.items():
        path = lived.folder / name
        lived("export", "bundle", str(path), "--redacted", "--sample-seed", "s", *options)
        assert verify_bundle(path, trusted, verifier().verify, signature_to_der).findings.kept == []
        with zipfile.ZipFile(path) as bundle:
            members[name] = {member: bundle.read(member) for member in bundle.namelist()}
    path, tried = lived.folder / "flipped.zip", set[str]()
    for _ in range(FLIPS_OF_BUNDLES):
        name = chance.choice(sorted(members))
        member = chance.choice(sorted(member for member, content in members[name].items() if content))
        tried.add(member)
        with zipfile.ZipFile(path, "w") as bundle:
            for each, content in members[name].items():
                bundle.writestr(each, flipped("bytea", content, chance) if each == member else content)
        found = verify_bundle(path, trusted, verifier().verify, signature_to_der).findings
        assert found.total > 0, (name, member)
        assert all(each.step and each.message for each in found.kept)
    assert tried >= {*REQUIRED}
