"""The export bundle: verified without the ledger, whatever was selected; refused when anything in it was changed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli_tools import METRO, CommandLine

ROWS = (
    METRO,
    METRO.replace("t1", "t2").replace("2026-03-01", "2026-04-02"),
    METRO.replace("t1", "t3").replace("ann", "bob"),
    "c1,cat,cycling.shared_bike,2026-03-05T09:15:00+08:00,3.1,km,CN-440300",
)
DAYS = ("--from", "2026-01-01", "--to", "2026-07-01")


@pytest.fixture
def lived(cli: CommandLine) -> CommandLine:
    """A book with credits, a revision and a reversal."""
    cli.credit(*ROWS)
    cli("revision", "plan", "CYCLING-SHARED@2", *DAYS, "--by", "alice")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")
    cli("behaviors", "reverse", "ann", "t2", "--reason", "wrong train", "--by", "alice")
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    return cli


def export(cli: CommandLine, name: str, *options: str) -> Path:
    path = cli.folder / name
    cli("export", "bundle", str(path), *options)
    return path


def verified(cli: CommandLine, path: Path, code: int = 0) -> dict[str, Any]:
    return cli("verify", str(path), "--key", str(cli.folder / "log.pem"), code=code)


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy with each member as ``change`` says; None leaves it out."""
    copy = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            content = change(info.filename, source.read(info))
            if content is not None:
                target.writestr(info.filename, content)
    return copy


def test_the_whole_book_is_verified_to_the_digest_that_the_ledger_tells(
    lived: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = lived("totals")
    path = export(lived, "all.zip", "--redacted", "--sample-seed", "of the auditor")
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(lived.folder / "nothing here"))
    found = verified(lived, path)
    assert (found["ok"], found["count"], found["complete"]) == (True, 0, True)
    assert (found["digest"], found["by_behavior"]) == (totals["digest"], totals["by_behavior"])
    assert (found["accounts"], found["credits"]) == (totals["accounts"], totals["credits"])
    text = lived.run("verify", str(path), "--key", str(lived.folder / "log.pem")).stdout
    assert text.startswith("verified: everything holds\n")


def test_nothing_personal_is_in_a_redacted_bundle(lived: CommandLine) -> None:
    with zipfile.ZipFile(export(lived, "redacted.zip", "--redacted")) as bundle:
        content = b"".join(bundle.read(name) for name in bundle.namelist())
        assert "personal.jsonl" not in bundle.namelist()
    for personal in (b'"t1"', b'"c1"', b'"cat"', b"08:15:00", b"09:15:00", b"wrong train"):
        assert personal not in content
    with zipfile.ZipFile(export(lived, "clear.zip")) as bundle:
        told = [json.loads(line) for line in bundle.read("personal.jsonl").splitlines()]
    assert {each["personal"].get("account_ref") for each in told} >= {"ann", "bob", "cat"}


@pytest.mark.parametrize("options", [("--accounts", "refs.txt"), ("--from", "2026-04-01"), ("--to", "2026-03-05")])
def test_a_selection_is_verified_as_fully(lived: CommandLine, options: tuple[str, ...]) -> None:
    lived.bytes(b"ann\n", name="refs.txt")
    options = tuple(str(lived.folder / each) if each == "refs.txt" else each for each in options)
    found = verified(lived, export(lived, "some.zip", "--redacted", *options))
    assert (found["ok"], found["complete"]) == (True, False)
    assert found["accounts"] == (2 if options[0] == "--to" else 1)


def test_a_selection_of_nobody_is_refused_and_leaves_no_file(lived: CommandLine) -> None:
    assert lived.refused("export", "bundle", str(lived.folder / "x.zip"), "--from", "2027-01-01") == "nothing_selected"
    assert not (lived.folder / "x.zip").exists()
    for content, code in ((b"\xff\xfe", "file_not_text"), (b"nobody\n", "account_unknown")):
        refs = lived.bytes(content, name="refs.txt")
        assert lived.refused("export", "bundle", str(lived.folder / "x.zip"), "--accounts", refs) == code
        assert not (lived.folder / "x.zip").exists()
    path = export(lived, "all.zip", "--redacted")
    before = path.read_bytes()
    assert lived.refused("export", "bundle", str(path)) == "bundle_exists"
    assert path.read_bytes() == before


def without_line(number: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        del lines[number]
        return b"".join(lines)

    return change


@pytest.mark.parametrize(
    ("member", "change", "step"),
    [
        ("accounts.jsonl", lambda c: c.replace(b'"quantity":"12350"', b'"quantity":"12351"', 1), "log"),
        ("accounts.jsonl", lambda c: c.replace(b'"credited_mg":"', b'"credited_mg":"1', 1), "accounts"),
        ("accounts.jsonl", without_line(-1), "map"),
        ("accounts.jsonl", without_line(1), "accounts"),
        ("accounts.jsonl", lambda c: c + c.splitlines(keepends=True)[-1], "accounts"),
        ("accounts.jsonl", lambda c: c.replace(b'{"position":', b'{ "position":', 1), "accounts"),
        ("accounts.jsonl", lambda c: c.replace(b'"recorded_us":1', b'"recorded_us":2', 1), "log"),
        ("accounts.jsonl", lambda c: c[:-1], "accounts"),
        ("rulebook.jsonl", without_line(-1), "rulebook"),
        ("rulebook.jsonl", without_line(5), "rulebook"),
        ("keys.jsonl", lambda _: b"", "keys"),
        ("intakes.jsonl", without_line(0), "references"),
        ("checkpoint", lambda c: c.replace(b"\ntime 20", b"\ntime 21"), "checkpoint"),
        ("checkpoint.body", lambda c: c + b"x", "checkpoint"),
        ("samples.jsonl", without_line(0), "samples"),
        ("methodologies/TRAVEL-METRO@1.json", lambda c: c.replace(b"104", b"105"), "dossiers"),
        ("bundle.json", lambda _: b"[]", "checkpoint"),
    ],
)
def test_one_thing_changed_in_a_bundle_is_found(
    lived: CommandLine, member: str, change: Callable[[bytes], bytes], step: str
) -> None:
    path = export(lived, "all.zip", "--redacted", "--sample-seed", "s")

    def only(name: str, content: bytes) -> bytes:
        changed = change(content) if name == member else content
        assert name != member or changed != content
        return changed

    found = verified(lived, rewritten(path, only), code=3)
    assert step in {each["step"] for each in found["findings"]}
    assert found["count"] >= len(found["findings"]) > 0


def test_a_bundle_of_another_key_is_refused(lived: CommandLine) -> None:
    path = export(lived, "all.zip", "--redacted")
    lived("keys", "rotate", "--by", "alice")
    assert verified(lived, path)["ok"]
    lived.bytes(lived("keys", "show")["public_pem"].encode(), name="log.pem")
    found = verified(lived, path, code=3)
    assert [each["code"] for each in found["findings"]] == ["key_unknown"]
    assert verified(lived, export(lived, "new.zip", "--redacted"))["ok"]
