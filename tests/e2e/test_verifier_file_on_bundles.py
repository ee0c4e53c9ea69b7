"""A real bundle, good and changed: the verifier's file says of it what the service's own command says."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from interfaces.verifier import build
from tests.e2e.cli_tools import METRO, CommandLine

ROWS = (
    METRO,
    METRO.replace("t1", "t2").replace("2026-03-01", "2026-04-02"),
    METRO.replace("t1", "t3").replace("ann", "bob"),
    "c1,cat,cycling.shared_bike,2026-03-05T09:15:00+08:00,3.1,km,CN-440300",
    "c2,张三,cycling.shared_bike,2026-03-06T09:15:00+08:00,2.4,km,CN-440300",
)
DAYS = ("--from", "2026-01-01", "--to", "2026-07-01")


@pytest.fixture(scope="module")
def lived(shared_cli: CommandLine) -> CommandLine:
    """A book with credits, a revision and a reversal, and the verifier's file beside it."""
    cli = shared_cli
    cli.credit(*ROWS)
    cli("revision", "plan", "CYCLING-SHARED@2", *DAYS, "--by", "alice")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")
    cli("behaviors", "reverse", "ann", "t2", "--reason", "wrong train", "--by", "alice")
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    cli.bytes(build.archive(build.contents()), name=build.NAME)
    return cli


@pytest.fixture(scope="module")
def redacted(lived: CommandLine) -> Path:
    """A bundle of all of it."""
    path = lived.folder / "bundle.zip"
    lived("export", "bundle", str(path), "--redacted")
    return path


def told_by_the_file(cli: CommandLine, path: Path, code: int = 0) -> dict[str, Any]:
    words = [str(cli.folder / build.NAME), "verify", str(path), "--key", str(cli.folder / "log.pem"), "--json"]
    ran = subprocess.run(
        [sys.executable, "-I", "-S", *words], env={}, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ran.returncode, ran.stderr) == (code, "")
    answer: dict[str, Any] = json.loads(ran.stdout)
    answer.pop("verifier_sm3", None)
    return answer


def told_by_the_service(cli: CommandLine, path: Path, code: int = 0) -> dict[str, Any]:
    answer = cli("verify", str(path), "--key", str(cli.folder / "log.pem"), code=code)
    assert answer.pop("verifier").startswith("carbon-ledger ")
    return answer


def without_messages(answer: dict[str, Any]) -> dict[str, Any]:
    """What msgspec says of bytes that it cannot read, its stand-in says in other words."""
    found = [{name: value for name, value in each.items() if name != "message"} for each in answer["findings"]]
    return {**answer, "findings": found}


@pytest.mark.parametrize("options", [(), ("--redacted", "--sample-seed", "s"), ("--redacted", "--to", "2026-03-05")])
def test_a_good_bundle_has_the_same_answer_from_both(
    lived: CommandLine, options: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "bundle.zip"
    lived("export", "bundle", str(path), *options)
    answer = told_by_the_file(lived, path)
    assert answer["ok"]
    assert answer == told_by_the_service(lived, path)


CHANGES: list[tuple[str, bytes, bytes]] = [
    ("accounts.jsonl", b'"quantity":"12350"', b'"quantity":"12351"'),
    ("accounts.jsonl", b'"credited_mg":"', b'"credited_mg":"1'),
    ("accounts.jsonl", b'"scale":3', b'"scale":3.0'),
    ("accounts.jsonl", b'"scale":3', b'"scale":3,"scale":3'),
    ("accounts.jsonl", b'"unit":"km"', b'"unit":"\\u006bm"'),
    ("accounts.jsonl", b'"unit":"km"', b'"unit":"k\\ud800"'),
    ("accounts.jsonl", b'"last":true', b'"last":1'),
    ("accounts.jsonl", b'"last":true', b'"last": true'),
    ("accounts.jsonl", b'"region":"CN-440300"', b'"region":"CN-440300","more":null'),
    ("rulebook.jsonl", b'"leave_gap":false', b'"leave_gap":null'),
    ("checkpoint", b"\ntime 20", b"\ntime 21"),
]


@pytest.mark.parametrize(("member", "old", "new"), CHANGES)
def test_a_changed_bundle_has_the_same_findings_from_both(
    lived: CommandLine, redacted: Path, tmp_path: Path, member: str, old: bytes, new: bytes
) -> None:
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(redacted) as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            content = source.read(info)
            if info.filename == member:
                assert old in content
                content = content.replace(old, new, 1)
            target.writestr(info.filename, content)
    answer = told_by_the_file(lived, changed, code=3)
    assert answer["findings"]
    assert without_messages(answer) == without_messages(told_by_the_service(lived, changed, code=3))


def test_proofs_of_an_event_and_of_balances_are_good_for_both_and_not_for_another_key(lived: CommandLine) -> None:
    lived("checkpoint", "sign", "--with-map")
    for number, words in enumerate((("event", "1"), ("balance", "ann"))):
        path = lived.folder / f"proof-{number}"
        lived("prove", *words, "--out", str(path))
        assert told_by_the_file(lived, path) == told_by_the_service(lived, path)
        changed = lived.folder / f"changed-{number}"
        changed.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
        assert told_by_the_file(lived, changed, code=3)["ok"] is False


def test_what_is_no_bundle_is_a_finding_and_what_is_not_there_is_wrong_usage(lived: CommandLine) -> None:
    nothing = lived.folder / "empty.zip"
    nothing.write_bytes(b"PK")
    assert told_by_the_file(lived, nothing, code=3) == told_by_the_service(lived, nothing, code=3)
    assert told_by_the_file(lived, lived.folder / "missing", code=2)["error"]["code"] == "usage"
