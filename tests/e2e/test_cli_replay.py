"""What a replay says that it has judged, and how it may be asked for."""

from __future__ import annotations

import os

import pytest

from interfaces import kernels
from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures.tampering import replace_in_facts

# One worker compiles the kernel, the others load it.
pytestmark = pytest.mark.xdist_group("fast kernel")

CREDIT = "carbon.account.behavior-credited.v1"


def test_a_fast_replay_says_that_it_judged_the_archive_and_not_an_edited_log(cli: CommandLine) -> None:
    cli.credit(METRO)
    position = cli("archive", "build")["position"]
    with cli.sql() as conn:
        assert replace_in_facts(conn, CREDIT, '"quantity":"12350"', '"quantity":"12351"')
    told = cli("replay", "--kernel", "fast")
    assert (told["judged"], told["until"], told["mismatches"]) == ("archive", position, 0)
    text = cli.run("replay", "--kernel", "fast").stdout
    assert f"The fast kernel judged the archive, up to position {position}." in text
    assert "were not compared with the log's: `carbon-ledger archive verify` does that" in text
    assert "the history is what it was" not in text
    assert cli("archive", "verify", code=3)["equal"] is False
    by_law = cli("replay", code=3)
    assert (by_law["judged"], by_law["kernel"]) == ("log", "reference")
    assert by_law["mismatches"] > 0


def test_a_replay_by_the_law_says_that_the_history_is_what_it_was(cli: CommandLine) -> None:
    cli.credit(METRO)
    text = cli.run("replay").stdout
    assert text.startswith("replayed: the history is what it was\n")
    assert "archive" not in text


def test_the_kernel_of_a_replay_may_be_left_to_the_size_of_the_log(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.credit(METRO)
    assert cli("replay", "--kernel", "auto")["kernel"] == "reference"
    monkeypatch.setattr(kernels, "FAST_FROM_EVENTS", 1)
    assert cli("replay", "--kernel", "auto")["kernel"] == "fast"
    assert cli("replay")["kernel"] == "reference"


def test_more_processes_than_the_cores_are_worth_are_refused(cli: CommandLine) -> None:
    most = 4 * (os.cpu_count() or 1)
    fast = ("replay", "--kernel", "fast", "--processes")
    error = cli(*fast, str(most + 1), code=2)["error"]
    assert (error["code"], error["field"]) == ("usage", "--processes")
    assert f"at most {most}" in error["message"]
    assert cli.refused(*fast, "0", code=2) == "usage"
    cli.credit(METRO)
    assert cli(*fast, "2")["mismatches"] == 0
