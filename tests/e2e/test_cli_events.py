"""`export events`: the same rows in every format, verified by their manifest; what was changed on the way is found."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from application import accounts
from domain.events.account import BehaviorCredited
from domain.instants import instant_of
from interfaces.bootstrap import open_ledger
from interfaces.verifier.main import main as verifier_main
from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures.ledgers import Server

CREDITED = BehaviorCredited.TOPIC
FORMATS = ("jsonl", "csv", "parquet")
ROWS = (
    METRO,
    METRO.replace("t1", "=HYPERLINK(1)").replace("ann", "@bob"),
    METRO.replace("t1", "t3").replace("ann", "cat"),
)


@pytest.fixture
def book(cli: CommandLine) -> CommandLine:
    """A book with three people, of whom one was erased."""
    cli.credit(*ROWS)
    cli("account", "erase", "cat", "--by", "alice", "--reason", "a letter of hers")
    cli("account", "approve-erasure", "cat", "--by", "bob")
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    return cli


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows as somebody else's library reads them, all as texts."""
    if path.suffix == ".jsonl":
        read = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return [{name: told(value) for name, value in row.items()} for row in read]
    if path.suffix == ".csv":
        csv.field_size_limit(1 << 24)
        return list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))
    read = pq.read_table(path).to_pylist()
    return [
        {name: str(value) for name, value in row.items()}
        | {"recorded_at": row["recorded_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        for row in read
    ]


def told(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return "" if value is None else str(value)


def verified(cli: CommandLine, path: Path, code: int = 0) -> dict[str, Any]:
    return cli("verify", f"{path}.manifest", "--key", "log.pem", code=code)


def codes(answer: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in answer["findings"]}


def test_the_three_formats_hold_the_same_rows_and_are_verified(book: CommandLine) -> None:
    first = book("checkpoint", "sign")["size"]
    for options in ((), ("--personal",)):
        shown = {}
        for each in FORMATS:
            path = book.folder / f"events{len(options)}.{each}"
            # That it was exported is the log's next event.
            size = book("totals")["position"]
            answer = book("export", "events", str(path), "--format", each, *options)
            found = verified(book, path)
            assert (answer["rows"], answer["size"], found["events"]) == (size, size, size)
            assert (found["ok"], found["complete"], found["format"]) == (True, True, each)
            shown[each] = rows_of(path)[:first]
        assert shown["jsonl"] == shown["csv"] == shown["parquet"]
        assert [int(row["position"]) for row in shown["csv"]] == list(range(1, first + 1))
        assert ("personal" in shown["csv"][0]) == bool(options)
    text = book.run("verify", "events1.csv.manifest", "--key", "log.pem").stdout
    assert "the whole log" in text
    assert "the operator's word" in text


def test_erased_people_read_as_erased_nobody_is_in_plain_files_and_no_cell_begins_as_a_formula(
    book: CommandLine,
) -> None:
    book("export", "events", "clear.jsonl", "--personal")
    personal = [row["personal"] for row in rows_of(Path("clear.jsonl"))]
    assert personal.count("erased") >= 2
    assert any('"account_ref":"ann"' in each for each in personal)
    assert b"a letter of hers" not in Path("clear.jsonl").read_bytes()
    book("export", "events", "plain.csv", "--format", "csv")
    for word in (b"HYPERLINK", b"@bob", b"08:15:00"):
        assert word not in Path("plain.csv").read_bytes()
    book("export", "events", "clear.csv", "--format", "csv", "--personal")
    cells = [cell for row in csv.reader(io.StringIO(Path("clear.csv").read_text("utf-8"))) for cell in row]
    assert any("=HYPERLINK(1)" in cell for cell in cells)
    assert {cell[0] for cell in cells if cell} <= set("0123456789abcdefghijklmnopqrstuvwxyz{"), "read as a formula"


def test_what_was_asked_for_is_what_is_there_and_stands_in_the_manifest(book: CommandLine) -> None:
    refs = book.bytes(b"ann\n", name="refs.txt")
    everything = book("checkpoint", "sign")["size"]
    asked: list[tuple[tuple[str, ...], int]] = [
        (("--topics", CREDITED), 3),
        (("--topics", CREDITED, "--accounts", refs), 1),
        (("--until", "5"), 5),
        (("--until", "0"), 0),
        (("--from", "2999-01-01"), 0),
        (("--to", "2020-01-01"), 0),
        # With the six exports before it.
        (("--from", "2020-01-01", "--to", "2999-01-01"), everything + 6),
        (("--accounts", book.bytes(b"\n", name="nobody.txt")), 0),
    ]
    for number, (options, rows) in enumerate(asked):
        each = FORMATS[number % 3]
        path = book.folder / f"some{number}.{each}"
        assert book("export", "events", str(path), "--format", each, *options)["rows"] == rows, options
        found = verified(book, path)
        assert (found["ok"], found["events"], len(rows_of(path))) == (True, rows, rows)
        assert found["complete"] is (rows > everything)
        assert found["complete"] or any("a bundle" in each for each in found["not_shown"])
    assert f"topics {CREDITED}\n" in Path("some1.csv.manifest").read_text()


@pytest.fixture
def midnight(
    server: Server, simulated_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """A book where something happens at the first instant of the third of March, and just before the fourth."""
    server.copy(simulated_template, "midnight")
    settings = server.settings("midnight")
    with open_ledger(settings) as ledger:
        assert ledger.clock is not None
        for instant in ("2026-03-03T00:00:00Z", "2026-03-03T23:59:59.999999Z", "2026-03-04T00:00:00Z"):
            ledger.clock.tell(instant_of(instant))
            accounts.open_account(ledger.book, instant)
    assert settings.dsn is not None
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(settings.home))
    monkeypatch.setenv("CARBON_LEDGER_DSN", settings.dsn.get_secret_value())
    monkeypatch.chdir(tmp_path)
    yield CommandLine(settings, tmp_path)
    server.execute("DROP DATABASE {name} WITH (FORCE)", name="midnight")


def test_a_day_begins_with_its_first_instant_and_ends_before_the_next_day(midnight: CommandLine) -> None:
    midnight.bytes(midnight("keys", "show")["public_pem"].encode(), name="log.pem")
    for number, (first, after, times) in enumerate(
        (
            ("2026-03-03", "2026-03-04", ["2026-03-03T00:00:00.000000Z", "2026-03-03T23:59:59.999999Z"]),
            ("2026-03-04", "2026-03-05", ["2026-03-04T00:00:00.000000Z"]),
            ("2026-03-05", "2026-03-06", []),
        )
    ):
        path = Path(f"day{number}.jsonl")
        midnight("export", "events", str(path), "--from", first, "--to", after)
        rows = [row for row in rows_of(path) if not row["topic"].startswith("carbon.access.")]
        assert [row["recorded_at"] for row in rows] == times
        assert verified(midnight, path)["ok"]


def test_what_cannot_be_asked_for_is_refused_and_leaves_no_file(book: CommandLine) -> None:
    for options, code in (
        (("--topics", "carbon.nothing.v1"), "topic_unknown"),
        (("--until", "999"), "position_unknown"),
        (("--accounts", book.bytes(b"nobody\n", name="refs.txt")), "account_unknown"),
    ):
        assert book.refused("export", "events", "x.jsonl", *options) == code
    for words in ("--format xlsx", "--from 2026-02-30", "--from 2026-03-01 --to 2026-03-01"):
        assert book.refused("export", "events", "x.jsonl", *words.split(), code=2) == "usage"
    assert not list(Path().glob("x*"))
    book("export", "events", ".", "--format", "csv")
    assert verified(book, Path("events.csv"))["ok"]
    before = Path("events.csv").read_bytes()
    assert book.refused("export", "events", "events.csv", "--format", "csv") == "manifest_file_exists"
    Path("events.csv.manifest").unlink()
    assert book.refused("export", "events", "events.csv", "--format", "csv") == "events_file_exists"
    assert Path("events.csv").read_bytes() == before


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], set[str]]] = {
    "a value": (lambda rows: [*rows[:2], rows[2].replace(b'"version":', b'"version":1', 1), *rows[3:]], {"leaf_wrong"}),
    "a fact": (lambda rows: [*rows[:-1], rows[-1].replace(b'"facts":{', b'"facts":{"x":1,', 1)], {"leaf_wrong"}),
    "a row dropped": (lambda rows: [*rows[:3], *rows[4:]], {"rows_missing", "root_differs"}),
    "the last row dropped": (lambda rows: rows[:-1], {"rows_missing", "root_differs"}),
    "a row twice": (lambda rows: [*rows[:3], *rows[2:]], {"rows_out_of_order", "rows_missing", "root_differs"}),
    "rows swapped": (lambda rows: [rows[1], rows[0], *rows[2:]], {"rows_out_of_order", "root_differs"}),
    "no row": (lambda rows: [b"nothing\n", *rows[1:]], {"row_malformed"}),
    "half a row": (lambda rows: [*rows[:-1], rows[-1][:-20]], {"row_malformed"}),
}


def test_an_edited_dropped_or_moved_row_is_found_and_named(book: CommandLine) -> None:
    path = book.folder / "events.jsonl"
    book("export", "events", str(path))
    right = path.read_bytes()
    for name, (change, expected) in CHANGES.items():
        path.write_bytes(b"".join(change(right.splitlines(keepends=True))))
        assert path.read_bytes() != right, name
        found = codes(verified(book, path, code=3))
        assert found >= {"file_differs"} | expected, name
    path.unlink()
    assert "file_missing" in codes(verified(book, path, code=3))


def test_a_swapped_file_another_key_and_a_changed_manifest_are_found(book: CommandLine) -> None:
    book("export", "events", "one.jsonl")
    book("export", "events", "two.jsonl", "--until", "4")
    shutil.copy("two.jsonl", "one.jsonl")
    assert codes(verified(book, Path("one.jsonl"), code=3)) == {"file_differs", "rows_missing", "root_differs"}
    manifest = Path("two.jsonl.manifest")
    right = manifest.read_bytes()
    for old, new, code in (
        (b"rows 4", b"rows 3", "signature_wrong"),
        (b"positions 1 4", b"positions 1 5", "signature_wrong"),
        (b"format jsonl", b"format xlsx", "manifest_malformed"),
        (b"topics all", b"topics", "manifest_malformed"),
        (b"log carbon-ledger/", b"log another-ledger/", "key_unknown"),
    ):
        manifest.write_bytes(right.replace(old, new, 1))
        assert codes(verified(book, Path("two.jsonl"), code=3)) == {code}
    manifest.write_bytes(right)
    book.bytes(book("keys", "rotate", "--by", "alice")["key"].encode(), name="unused")
    book.bytes(book("keys", "show")["public_pem"].encode(), name="log.pem")
    assert codes(verified(book, Path("two.jsonl"), code=3)) == {"key_unknown"}
    book.bytes(right, name="renamed")
    assert book.refused("verify", "renamed", "--key", "log.pem") == "manifest_misnamed"


def test_the_verifier_in_one_file_finds_the_same_and_says_that_it_reads_no_parquet(
    book: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in FORMATS:
        path = f"events.{each}"
        book("export", "events", path, "--format", each, "--personal")
        mine = verified(book, Path(path))
        assert verifier_main(["verify", f"{path}.manifest", "--key", "log.pem", "--json"]) == 0
        theirs = json.loads(capsys.readouterr().out)
        assert theirs.pop("verifier_sm3") == ""
        assert mine.pop("verifier").startswith("carbon-ledger ")
        if each == "parquet":
            assert (theirs["events"], theirs["complete"]) == (0, False)
            assert any("pyarrow" in told for told in theirs["not_shown"])
        else:
            assert theirs == mine
        content = bytearray(Path(path).read_bytes())
        content[len(content) // 2] ^= 1
        Path(path).write_bytes(content)
        assert verifier_main(["verify", f"{path}.manifest", "--key", "log.pem"]) == 3
        assert "file_differs" in capsys.readouterr().out
        assert "file_differs" in codes(verified(book, Path(path), code=3))


def test_an_event_that_was_changed_in_the_database_is_not_signed_away(book: CommandLine) -> None:
    book("checkpoint", "sign")
    with book.sql() as conn:
        conn.execute(
            "UPDATE journal.ledger_events SET state = set_byte(state, 3, get_byte(state, 3) # 1) WHERE topic = %s",
            (CREDITED,),
        )
    assert book.refused("export", "events", "x.jsonl", code=3) == "log_changed"
    assert not list(Path().glob("x*"))
