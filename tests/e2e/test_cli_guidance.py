"""What a newcomer reads and runs: the README's commands, the examples, and what the command line proposes next."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.cli_tools import METRO, CommandLine, methodology

ROOT = Path(__file__).resolve().parents[2]
BIKE_2019 = "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300"


def test_the_commands_of_the_readme_work_as_written(cli: CommandLine) -> None:
    (block,) = re.findall(r"(?ms)^```\n(carbon-ledger init.*?)^```", (ROOT / "README.md").read_text("utf-8"))
    commands = [shlex.split(line, comments=True)[1:] for line in block.splitlines()]
    (cli.folder / "docs" / "examples").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "examples" / "trips.csv", cli.folder / "docs" / "examples")
    answers: dict[str, dict[str, Any]] = {}
    for command in commands:
        if ">" in command:
            cut = command.index(">")
            Path(command[cut + 1]).write_text(cli.run(*command[:cut]).stdout, encoding="ascii")
            continue
        earlier = str(answers["behaviors import"]["position"]) if "N" in command else ""
        answers[" ".join(command[:2])] = cli(*(earlier if word == "N" else word for word in command))
    imported = answers["behaviors import"]
    assert (imported["credited"], imported["rejected_by_code"]) == (5, {"timestamp_without_offset": 1})
    assert answers["revision plan"]["credits"] == 4
    assert [each["by"] for each in answers["account explain"]["valuations"]] == ["D1", "R1"]
    assert answers["totals --at-position"]["credited_mg"] == imported["credited_mg"]
    assert answers["replay"]["mismatches"] == 0
    assert [answers[name]["ok"] for name in ("check", "verify ann-01.json", "verify exchange.zip")] == [True] * 3
    assert answers["verify exchange.zip"]["digest"] == answers["check"]["digest"]
    (recipe,) = re.findall(r"(?ms)^```\n(openssl.*?)^```", (ROOT / "README.md").read_text("utf-8"))
    ran = subprocess.run(["sh", "-ec", recipe], capture_output=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, b"Signature Verified Successfully"), ran
    assert ran.stdout.splitlines()[2].decode() == str(answers["checkpoint sign"]["size"])


def test_the_factor_set_example_of_the_formats_credits_with_its_release(cli: CommandLine) -> None:
    formats = (ROOT / "docs" / "formats.md").read_text("utf-8")
    _, document, release, _ = map(json.loads, re.findall(r"(?ms)^```json\n(.*?)^```", formats))
    cli("factors", "import", cli.json_file(release), "--by", "ann")
    cli.decide(cli.publish(document), "open", "open", "--release", "CN-ELEC-AVG=1")
    row = "p1,ann,home.power_saving,2026-03-01T08:15:00+08:00,2,kWh,CN-440300"
    assert cli.credit(row)["credited_mg"] == "880600"


def test_the_next_import_that_is_proposed_repeats_the_options_under_a_fresh_rejects_name(cli: CommandLine) -> None:
    file = cli.file(METRO.replace("+08:00", ""))
    options = ("--partner", "metro", "--open-accounts", "--rejects")
    told = cli.run("behaviors", "import", file, *options, "no.csv").stdout
    assert "behaviors import no.csv --partner metro --open-accounts --rejects no-2.csv   (" in told
    told = cli.run("behaviors", "import", "no.csv", *options, "no-2.csv").stdout
    assert "behaviors import no-2.csv --partner metro --open-accounts --rejects no-3.csv   (" in told
    Path("no-3.csv").touch()
    told = cli.run("behaviors", "import", "no-2.csv", "--rejects", "x.csv").stdout
    assert "behaviors import x.csv --rejects x-2.csv   (" in told


def test_a_proposed_withdrawal_is_told_as_one_and_an_approved_one_says_what_it_leaves(cli: CommandLine) -> None:
    name = cli.publish(methodology())
    decision = cli.decide(name, "open", "open")["decision_id"]
    assert cli("methodology", "show", name)["in_force"] == [decision]
    told = cli.run("methodology", "propose-withdrawal", name, "--by", "alice").stdout.splitlines()
    assert told[0] == f"withdrawal of {name} is proposed by alice; it stays in force until somebody else approves it"
    told_all = cli.run("methodology", "approve-withdrawal", name, "--by", "bob", "--leave-gap").stdout
    assert "What values new rows from here on" in told_all
    assert "Booked credits keep their value" in told_all
    propose = ("applicability", "propose", name, "--from", "open", "--to", "open", "--by", "ann")
    assert "stays withdrawn" in cli(*propose, code=1)["error"]["remedy"]
    assert cli("methodology", "show", name)["in_force"] == []


def test_a_superseded_version_shows_the_decisions_that_go_on(cli: CommandLine) -> None:
    first = cli.publish(methodology())
    decision = cli.decide(first, "open", "open")["decision_id"]
    cli.publish(methodology(version=2))
    (line,) = (each for each in cli.run("methodology", "list").stdout.splitlines() if each.startswith(first))
    assert line.split()[:5] == [first, "test.behavior", "km", "superseded", decision]


def test_a_revision_tells_who_planned_and_approved_what(cli: CommandLine) -> None:
    plan = ("revision", "plan", "CYCLING-SHARED@2", "--from", "2018-10-01", "--to", "2019-04-01", "--by", "alice")
    assert "No booked credit is in scope" in cli.run(*plan).stdout
    cli.credit(BIKE_2019)
    assert "No booked credit is in scope" not in cli.run(*plan).stdout
    cli("revision", "approve", "R2", "--by", "bob")
    told = cli.run("revision", "status", "R2").stdout.splitlines()[0]
    dates = "from 2018-10-01 to 2019-04-01 in region *"
    assert told == f"R2 is approved: CYCLING-SHARED@2 {dates}, planned by alice, approved by bob"
    listed = [
        (each["revision_id"], each["state"], each["approved_by"]) for each in cli("revision", "list")["revisions"]
    ]
    assert listed == [("R1", "planned", None), ("R2", "approved", "bob")]
    assert "requantify" not in cli.run("applicability", "list").stdout
    cli("revision", "apply", "R2")
    assert "revised by R2 (1 credit) " in cli.run("account", "statement", "ann").stdout


def test_entries_of_different_partners_are_told_apart(cli: CommandLine) -> None:
    for partner in ("metro-1", "metro-2"):
        cli.credit(METRO, options=("--open-accounts", "--partner", partner), name=f"{partner}.csv")
    told = cli.run("account", "statement", "ann").stdout
    positions = [str(each["position"]) for each in cli("account", "statement", "ann")["entries"]]
    lines = [line.split() for line in told.splitlines() if "travel.metro" in line][:2]
    assert [line[0] for line in lines] == positions
    assert ["metro-1" in lines[0], "metro-2" in lines[1]] == [True, True]


def test_a_consent_for_a_behavior_that_nothing_names_is_recorded_with_a_warning(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    assert cli.consent("ann", "--scope", "travel.metro", "--scope", "travel.rocket")["unknown_behaviors"] == [
        "travel.rocket"
    ]
    assert cli.consent("ann")["unknown_behaviors"] == []
    withdraw = ("consent", "withdraw", "ann", "--by", "branch", "--reason", "by letter")
    assert "all consents of account ann are withdrawn" in cli.run(*withdraw).stdout
    again = cli(*withdraw, code=1)["error"]
    assert (again["message"], again["remedy"]) == ("the account has no active consent", "nothing to withdraw")


def test_remedies_of_decisions_name_what_can_be_done(cli: CommandLine) -> None:
    propose = ("applicability", "propose", "TRAVEL-METRO@1", "--by", "ann", "--from")
    backwards = cli(*propose, "2026-02-01", "--to", "2026-01-01", code=1)["error"]
    assert backwards["remedy"] == "give a --to later than --from"
    needless = cli(*propose, "open", "--to", "open", "--release", "CN-ELEC-AVG=1", code=1)["error"]
    assert (needless["message"], needless["remedy"]) == ("TRAVEL-METRO@1 uses no factor set", "leave --release out")
