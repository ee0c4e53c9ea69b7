"""A book that a patched program wrote past the rules of the rulebook: whoever has an honest one finds it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain import decisions, methodology
from domain.digest import sm3_hex
from infrastructure import catalogue
from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures import independent_verifier


@contextmanager
def a_patched_program() -> Iterator[None]:
    """Who decides finds every version applicable, every day open, and nobody to be two people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decisions, "applicable_version", methodology.find)
        patch.setattr(decisions, "_refuse_past", lambda *_: None)
        patch.setattr(decisions, "refuse_same_actor", lambda *_, **__: None)
        yield


def generous() -> dict[str, Any]:
    """The next version of the metro methodology, with another baseline and no caps."""
    documents: list[dict[str, Any]] = json.loads(json.dumps(catalogue.documents()))
    (document,) = [each for each in documents if (each["code"], each["version"]) == ("TRAVEL-METRO", 1)]
    document["parameters"]["baseline"]["rows"][0]["value"] = "9104"
    return document | {"version": 2, "caps": []}


@pytest.fixture
def lawless(cli: CommandLine) -> CommandLine:
    """A draft that nobody reviewed values a ride, by a decision that one person made alone."""
    with a_patched_program():
        cli("methodology", "import", cli.json_file(generous()), "--by", "alice")
        terms = ("TRAVEL-METRO@2", "--from", "2026-01-01", "--to", "open", "--by", "alice")
        decision = cli("applicability", "propose", *terms)["decision_id"]
        cli("applicability", "approve", decision, "--by", "Alice")
        assert cli.credit(METRO)["credited"] == 1
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    return cli


def test_replay_check_and_both_verifiers_find_a_draft_that_was_applied_by_one_person(lawless: CommandLine) -> None:
    listed = {
        f"{each['code']}@{each['version']}": each["state"] for each in lawless("methodology", "list")["methodologies"]
    }
    assert listed["TRAVEL-METRO@2"] == "drafted"
    (booked,) = lawless("totals")["by_behavior"].values()
    assert int(booked) == 12_350 * (9_104 - 32)
    # The first refusal of each: proposed for a draft; approved by its proposer.
    laws = {"wrong_state: booked carbon.decision.proposed.v1", "same_actor: booked carbon.decision.approved.v1"}

    def of(texts: list[str]) -> set[str]:
        return {text.partition(",")[0] for text in texts}

    replayed = lawless("replay", code=3)
    details = replayed["details"]
    assert of([f"{each['what']}: booked {each['booked']}," for each in details]) == laws
    assert [each["version"] for each in details] == [1, 2]
    places = [f"{each['stream']}@{each['version']} position {each['position']}" for each in details]

    checked = [each for each in lawless("check", code=3)["findings"] if each["area"] == "replay"]
    assert of([each["message"] for each in checked]) == laws
    assert [each["place"] for each in checked] == places

    path, key = lawless.folder / "all.zip", str(lawless.folder / "log.pem")
    lawless("export", "bundle", str(path), "--redacted")
    found = lawless("verify", str(path), "--key", key, code=3)
    assert {each["step"] for each in found["findings"]} == {"rulebook"}
    assert of([each["message"] for each in found["findings"]]) == laws
    assert [each["place"] for each in found["findings"]] == places
    assert alone(lawless, path, key)["findings"] == found["findings"]
    with pytest.raises(independent_verifier.Wrong, match="mismatch"):
        independent_verifier.verify(path, lambda *_: True)


def alone(cli: CommandLine, path: Path, key: str) -> dict[str, Any]:
    """What the verifier that needs Python alone says, which ends as having found something."""
    with zipfile.ZipFile(path) as bundle:
        bundle.extract("carbon-ledger-verify.pyz", cli.folder)
    verifier = cli.folder / "carbon-ledger-verify.pyz"
    command = [sys.executable, "-I", "-S", str(verifier), "verify", str(path), "--key", key, "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd="/", timeout=120)
    assert (ran.returncode, ran.stderr) == (3, "")
    told: dict[str, Any] = json.loads(ran.stdout)
    assert told.pop("verifier_sm3") == sm3_hex(verifier.read_bytes())
    return told
