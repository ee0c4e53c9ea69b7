"""The main job on real behaviors: files credited, a factor revised, everything replayed, figures as expected."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.e2e.cli_tools import CommandLine
from tests.fixtures.real_data import REAL_DATA, needs_real_data

FILES = ("metro", "bus", "walking", "bike")


def figures(totals: dict[str, Any]) -> dict[str, Any]:
    """The answer of ``totals`` as the file of expected figures writes it."""
    return {
        "credited_mg": int(totals["credited_mg"]),
        "by_behavior": {behavior: int(mg) for behavior, mg in totals["by_behavior"].items()},
        "accounts": totals["accounts"],
    }


def import_all(cli: CommandLine) -> dict[str, Any]:
    """Import the four files; returns their sums. Each accounts for every row."""
    sums: Counter[str] = Counter()
    by_code: Counter[str] = Counter()
    for name in FILES:
        answer = cli("behaviors", "import", str(REAL_DATA / f"behaviors_{name}.csv"), "--open-accounts")
        assert answer["read"] == answer["credited"] + answer["duplicates"] + answer["rejected"]
        sums.update({key: int(answer[key]) for key in ("read", "credited", "duplicates", "rejected", "credited_mg")})
        by_code.update(answer["rejected_by_code"])
    return {**sums, "rejected_by_code": dict(by_code)}


# Half a minute alone; several when other tests share the machine.
@pytest.mark.timeout(900)
@needs_real_data
def test_real_behaviors_are_credited_revised_and_replayed_to_the_expected_figures(cli: CommandLine) -> None:
    expected = json.loads((REAL_DATA / "expected.json").read_text("utf-8"))
    after_import = expected["after_import"]
    imported = import_all(cli)
    assert imported == {key: after_import[key] for key in imported}
    before = cli("totals")
    assert figures(before) == {key: after_import[key] for key in figures(before)}

    again = import_all(cli)
    assert (again["credited"], again["duplicates"], again["credited_mg"]) == (0, after_import["credited"], 0)
    assert cli("totals")["digest"] == before["digest"]

    plan = ("revision", "plan", "CYCLING-SHARED@2", "--from", "2018-10-01", "--to", "2019-04-01", "--by", "alice")
    planned = cli(*plan)
    assert {key: int(planned[key]) for key in expected["revisions"][0]} == expected["revisions"][0]
    assert cli.refused("revision", "approve", "R1", "--by", "alice") == "same_actor"
    cli("revision", "approve", "R1", "--by", "bob")
    applied = cli("revision", "apply", "R1")
    assert {key: int(applied[key]) for key in expected["revisions"][0]} == expected["revisions"][0]

    final = cli("totals")
    assert figures(final) == expected["final"]
    assert cli("totals", "--at-position", str(before["position"])) == before
    replayed, fast, checked = cli("replay"), cli("replay", "--kernel", "fast"), cli("views", "check")
    assert (replayed["mismatches"], fast["mismatches"], checked["equal"]) == (0, 0, True)
    assert replayed["digest"] == fast["digest"] == checked["digest"] == final["digest"]
    assert cli("views", "rebuild")["equal"]
    assert cli("totals") == final
    for account, mg in expected["top"]:
        assert cli("account", "show", account)["credited_mg"] == str(mg)
