"""Whatever is changed: ``check`` finds it in database and home, ``verify`` in a bundle, and each says where.

Every column of every table is tried, so that a table that is added later is tried too: with a bit flipped, rows put in,
taken out and values exchanged. So is every file of the home. What cannot be found is listed, with the reason
(``tampering_tools.NOT_FOUND``, ``same_store``).
"""

from __future__ import annotations

import os
import random
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from application.book import Book
from application.checking import Checked, check
from application.verification.bundle import verify_bundle
from application.verification.notes import Trusted
from domain.audit.bundle import OPTIONAL, REQUIRED
from domain.errors import LedgerError
from infrastructure.archive import ParquetArchive
from interfaces.bootstrap import Ledger, open_ledger, public_key_of, verifier
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.tampering_tools import (
    NAMED_BY,
    NOT_FOUND,
    Change,
    Naming,
    Tables,
    files_of,
    flip_of,
    flipped,
    names,
    rows_of,
    same_store,
)
from tests.e2e.witness_tools import WitnessLine

pytestmark = pytest.mark.xdist_group("tampering")

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
FLIPS_OF_TABLES, EDITS_OF_ROWS, FLIPS_OF_FILES, FLIPS_OF_BUNDLES = (2_500,) * 4 if LONG else (75, 85, 40, 150)


@pytest.fixture
def lived(cli: CommandLine) -> CommandLine:
    """A small book in which everything happened once: credits, a revision, a reversal, a rotation, checkpoints."""
    rows = [METRO.replace("t1", f"t{number}").replace("-01T", f"-{number:02}T") for number in range(1, 8)]
    rides = [
        f"c{number},cat,cycling.shared_bike,2026-03-0{number}T09:15:00+08:00,3.{number},km,CN-440300"
        for number in range(1, 6)
    ]
    cli.credit(*rows, *rides, METRO.replace("t1", "b1").replace("ann", "bob"))
    cli("checkpoint", "sign", "--with-map", "--out", str(cli.folder / "given"))
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    witness = WitnessLine.made(cli, "w1", "exchange.example/w1")
    cosigned = witness.cosign(cli("prove", "consistency", str(witness.size))["proof"])["note"]
    cli("checkpoint", "collect", cli.bytes(cosigned.encode(), name="cosigned"), "--witness", witness.pem)
    days = ("--from", "2026-01-01", "--to", "2026-07-01")
    cli("revision", "plan", "CYCLING-SHARED@2", *days, "--by", "alice")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")
    cli("behaviors", "reverse", "ann", "t2", "--reason", "wrong train", "--by", "alice")
    cli("keys", "rotate", "--by", "alice")
    cli("account", "freeze", "bob", "--reason", "lost card", "--by", "alice")
    # Enough for a subtree that is kept.
    many = (f"m{n},dan,travel.metro,2026-03-{n % 28 + 1:02}T08:15:00+08:00,1.350,km,CN-440300" for n in range(180))
    cli.credit(*many, name="many.csv")
    cli("totals")
    cli("checkpoint", "sign", "--with-map")
    cli("archive", "build")
    return cli


def found_by_check(ledger: Ledger) -> Checked | LedgerError:
    """What a check of the database finds, as a process that has just started, or why it cannot even begin."""
    again = replace(ledger, book=Book(ledger.book.journal, ledger.book.keys))
    try:
        return check(again.auditing, ledger.views, None)
    except LedgerError as error:
        return error


def findings_of(found: Checked | LedgerError) -> list[str]:
    return [str(found)] if isinstance(found, LedgerError) else [str(tuple(each)) for each in found.findings]


def edit_and_check(lived: CommandLine, draw: Callable[[Tables], Change | None], edits: int) -> Counter[str]:
    """So many edits, each taken back: every one is found, and named by what is about its table. Returns how many."""
    missed, misnamed, tried = list[str](), list[str](), Counter[str]()
    with open_ledger(lived.settings) as ledger, lived.sql() as conn:
        assert findings_of(found_by_check(ledger)) == []
        tables = Tables(conn)
        while tried.total() < edits:
            change = draw(tables)
            if change is None or sorted(change.added, key=str) == sorted(change.removed, key=str):
                continue
            with tables.changed(change) as is_held:
                if not is_held:
                    continue  # the database itself does not hold such rows
                found = found_by_check(ledger)
            tried[change.table] += 1
            if not findings_of(found):
                if (change.how, change.table, change.column) not in NOT_FOUND:
                    missed.append(str(change))
            elif not names(NAMED_BY[change.table], found):
                misnamed.append(f"{change} {findings_of(found)}")
        assert findings_of(found_by_check(ledger)) == []
    assert not missed, "\n".join(missed)
    assert not misnamed, "\n".join(misnamed)
    return tried


def test_a_bit_flipped_in_any_column_of_any_table_is_found_and_named(lived: CommandLine) -> None:
    chance = random.Random(20261129)

    def draw(tables: Tables) -> Change | None:
        return flip_of(tables, chance.choice([each for each in tables.columns if each.kind != "boolean"]), chance)

    assert len(edit_and_check(lived, draw, FLIPS_OF_TABLES)) >= 12


def test_rows_put_in_taken_out_or_exchanged_in_any_table_are_found_and_named(lived: CommandLine) -> None:
    chance, turn = random.Random(20261201), count()

    def draw(tables: Tables) -> Change | None:
        table = tables.names[next(turn) % len(tables.names)]
        return rows_of(tables, table, chance.choice(("delete", "insert", "swap")), chance)

    tried = edit_and_check(lived, draw, EDITS_OF_ROWS)
    assert set(tried) == set(NAMED_BY)


def test_a_bit_flipped_in_any_file_of_the_home_is_found_and_named(lived: CommandLine) -> None:
    chance = random.Random(20261202)
    home, tried = lived.settings.home, Counter[str]()
    folders = {name: files_of(home / name) for name in ("archive", "evidence", "keys")}
    missed, misnamed = list[str](), list[str]()
    while tried.total() < FLIPS_OF_FILES:
        folder = chance.choice(sorted(folders))
        path = chance.choice(folders[folder])
        before, mode = path.read_bytes(), path.stat().st_mode
        after = flipped("bytea", before, chance)
        if folder == "keys" and same_store(before, after):
            continue
        path.write_bytes(after)
        found = whole_check(lived)
        path.write_bytes(before)
        assert path.stat().st_mode == mode
        tried[folder] += 1
        if not findings_of(found):
            missed.append(f"{path} {before!r} {after!r}"[:300])
        elif not names(_naming(folder, path.name), found):
            misnamed.append(f"{path} {findings_of(found)}")
    assert findings_of(whole_check(lived)) == []
    assert not missed, "\n".join(missed)
    assert not misnamed, "\n".join(misnamed)
    assert len(tried) == 3


def whole_check(lived: CommandLine) -> Checked | LedgerError:
    """Everything opened anew, and held against each other."""
    try:
        with open_ledger(lived.settings) as ledger:
            archive = ParquetArchive(lived.settings.home / "archive", ledger.book)
            return check(ledger.auditing, ledger.views, archive, ledger.evidence)
    except LedgerError as error:
        return error


def _naming(folder: str, name: str) -> Naming:
    if folder == "archive":
        # What says which description is the newest contradicts that one.
        return Naming({"archive": r"\.json" if name == "newest.json" else name.split(".")[0]})
    if folder == "evidence":
        return Naming({"evidence": name})
    return Naming({"keys": r"store\.json"}, ("key_wrong", "key_damaged"))


def test_a_position_of_the_views_that_shows_too_little_or_too_much_is_found(lived: CommandLine) -> None:
    with open_ledger(lived.settings) as ledger, lived.sql() as conn:
        size = ledger.book.journal.head().size
        for position in (0, 60, size + 1, 1 << 40):
            conn.execute("UPDATE views.progress SET position = %s", (position,))
            found = found_by_check(ledger)
            assert isinstance(found, Checked)
            assert {each.code for each in found.findings} == {"view_differs"}, position
    assert not lived("views", "rebuild")["equal"]
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
        assert verify_bundle(path, trusted, verifier().verify).findings.kept == []
        with zipfile.ZipFile(path) as bundle:
            # Page and verifier are a convenience; nothing rests on them.
            members[name] = {member: bundle.read(member) for member in bundle.namelist() if member not in OPTIONAL}
    path, tried = lived.folder / "flipped.zip", set[str]()
    for _ in range(FLIPS_OF_BUNDLES):
        name = chance.choice(sorted(members))
        member = chance.choice(sorted(member for member, content in members[name].items() if content))
        tried.add(member)
        with zipfile.ZipFile(path, "w") as bundle:
            for each, content in members[name].items():
                bundle.writestr(each, flipped("bytea", content, chance) if each == member else content)
        found = verify_bundle(path, trusted, verifier().verify).findings
        assert found.total > 0, (name, member)
        assert all(each.step and each.message for each in found.kept)
    assert tried >= {*REQUIRED}
