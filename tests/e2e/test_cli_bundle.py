"""The export bundle: verified without the ledger, whatever was selected; refused when anything in it was changed."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.digest import sm3_hex
from interfaces.cli import exporting
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
    answer = cli("verify", str(path), "--key", str(cli.folder / "log.pem"), code=code)
    # The verifier in one file tells its digest in that place.
    assert answer.pop("verifier").startswith("carbon-ledger ")
    return answer


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
        content = b"".join(bundle.read(name) for name in bundle.namelist() if not name.endswith(".pyz"))
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
    assert lived.refused("export", "bundle", str(path)) == "bundle_file_exists"
    assert path.read_bytes() == before


def test_a_bundle_is_for_its_owner_alone_and_takes_its_name_when_it_is_complete(lived: CommandLine) -> None:
    """A process that is killed while it exports leaves nothing that looks like a bundle."""
    path = lived.folder / "killed.zip"
    partial, before = path.with_name("killed.zip.partial"), os.umask(0)
    try:
        child = os.fork()
        if not child:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(exporting, "bundle_page", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
                lived.run("export", "bundle", str(path))
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert (path.exists(), stat.S_IMODE(partial.stat().st_mode)) == (False, 0o600)
        export(lived, path.name)
        assert (stat.S_IMODE(path.stat().st_mode), partial.exists()) == (0o600, False)
    finally:
        os.umask(before)
    assert verified(lived, path)["ok"]


def without_line(number: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        del lines[number]
        return b"".join(lines)

    return change


def subtree(level: int = 0, number: int = 0) -> bytes:
    return b'{"level":%d,"number":%d,"root":"%b"}\n' % (level, number, b"0" * 64)


CHANGES: tuple[tuple[str, Callable[[bytes], bytes], str], ...] = (
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
    ("samples.jsonl", lambda c: c * 100_000, "samples"),
    ("checkpoint.sig.der", lambda c: c[:-1] + bytes([c[-1] ^ 1]), "checkpoint"),
    ("bundle.json", lambda _: b"[]", "checkpoint"),
    ("bundle.json", lambda c: c.replace(b'"redacted": true', b'"redacted": 1'), "checkpoint"),
    ("bundle.json", lambda c: c.replace(b'"redacted": true', b'"redacted": false'), "about"),
    ("bundle.json", lambda c: c.replace(b'"accounts": ', b'"accounts": 1'), "about"),
    # Numbers that a reader must not compute with before it looked at them.
    ("tree.jsonl", lambda _: subtree(level=9_999_999_999), "log"),
    ("tree.jsonl", lambda _: subtree(level=63), "log"),
    ("tree.jsonl", lambda _: subtree(number=(1 << 63)), "log"),
    ("map.jsonl", lambda _: b'{"depth":9999999999,"prefix":"%b","root":"%b"}\n' % (b"0" * 64, b"1" * 64), "map"),
    ("map.jsonl", lambda _: b'{"depth":0,"prefix":"%b","root":"%b"}\n' % (b"0" * 64, b"0" * 64), "map"),
    (
        "accounts.jsonl",
        lambda c: re.sub(rb'"position":[0-9]+', b'"position":9223372036854775808', c, count=1),
        "accounts",
    ),
    ("accounts.jsonl", lambda c: re.sub(rb'"version":[0-9]+', b'"version":01', c, count=1), "accounts"),
    ("intakes.jsonl", lambda c: c * 1_000, "intakes"),
    ("intakes.jsonl", lambda _: b"\n" * 10_000, "intakes"),
)
"""Member, change, and the step that must find it."""


def test_one_thing_changed_in_a_bundle_is_found(lived: CommandLine) -> None:
    path = export(lived, "all.zip", "--redacted", "--sample-seed", "s")
    for number, (member, change, step) in enumerate(CHANGES):

        def only(name: str, content: bytes, member: str = member, change: Callable[[bytes], bytes] = change) -> bytes:
            changed = change(content) if name == member else content
            assert name != member or changed != content
            return changed

        found = verified(lived, rewritten(path, only), code=3)
        assert step in {each["step"] for each in found["findings"]}, (number, member, found["findings"])
        assert "unreadable" not in {each["code"] for each in found["findings"]}, (number, member)
        assert found["count"] >= len(found["findings"]) > 0
        # However long a member is, no more of it is read than the signed log can have.
        assert found["size"] is None or found["events"] <= found["size"] + 4, (number, member)


def test_a_bundle_of_another_key_is_refused(lived: CommandLine) -> None:
    path = export(lived, "all.zip", "--redacted")
    lived("keys", "rotate", "--by", "alice")
    assert verified(lived, path)["ok"]
    lived.bytes(lived("keys", "show")["public_pem"].encode(), name="log.pem")
    found = verified(lived, path, code=3)
    assert [each["code"] for each in found["findings"]] == ["key_unknown"]
    assert verified(lived, export(lived, "new.zip", "--redacted"))["ok"]


def test_the_verifier_in_the_bundle_needs_nothing_but_python_and_says_the_same(lived: CommandLine) -> None:
    path = export(lived, "all.zip", "--redacted", "--sample-seed", "s")
    with zipfile.ZipFile(path) as bundle:
        bundle.extract("carbon-ledger-verify.pyz", lived.folder)
        page = bundle.read("report.html").decode()
    key, alone = str(lived.folder / "log.pem"), str(lived.folder / "carbon-ledger-verify.pyz")

    def run(file: Path, code: int) -> dict[str, Any]:
        command = [sys.executable, "-I", "-S", alone, "verify", str(file), "--key", key, "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd="/", timeout=120)
        assert (ran.returncode, ran.stderr) == (code, "")
        told: dict[str, Any] = json.loads(ran.stdout)
        assert told.pop("verifier_sm3") == sm3_hex(Path(alone).read_bytes())
        return told

    assert run(path, 0) == verified(lived, path)
    changed = rewritten(path, lambda name, content: content.replace(b'"quantity":"12350"', b'"quantity":"12351"'))
    assert run(changed, 3) == verified(lived, changed, code=3)
    proof = lived.folder / "balance.json"
    lived("prove", "balance", "ann", "--out", str(proof))
    assert run(proof, 0) == verified(lived, proof)
    assert "How to check it" in page
    assert f"{sum(int(mg) for mg in verified(lived, path)['by_behavior'].values()):,}" in page
