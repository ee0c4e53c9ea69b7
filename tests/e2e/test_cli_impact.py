"""Impact reports and comparisons, through the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from application.impact import canonical
from domain.digest import sm3_hex
from interfaces.cli.options import releases_of
from tests.e2e.cli_tools import METRO, CommandLine, methodology
from tests.fixtures.tampering import replace_in_facts

RIDES = (
    "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300",
    "b2,bob,cycling.shared_bike,2018-10-01T00:00:00+08:00,2,km,",
    METRO,
)
DAYS = ("--from", "2018-10-01", "--to", "2019-04-01")
PLAN = ("revision", "plan", "CYCLING-SHARED@2", *DAYS, "--by", "alice")
COMPARE = ("revision", "compare", "CYCLING-SHARED@1", "CYCLING-SHARED@2", *DAYS)


def size(cli: CommandLine) -> int:
    """How many events the log has."""
    with cli.sql() as conn:
        row = conn.execute("SELECT count(*) FROM journal.ledger_events").fetchone()
    assert row is not None
    return int(row[0])


def test_the_report_of_a_plan_is_written_and_its_digest_is_the_one_that_is_approved(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    planned = cli(*PLAN, "--report", "impact")
    assert planned["files"] == [str(Path("impact") / name) for name in ("report.json", "report.csv", "report.html")]
    raw = Path("impact/report.json").read_bytes()
    assert sm3_hex(raw) == planned["plan_digest"] == sm3_hex(canonical(planned["report"]))
    assert cli("revision", "approve", planned["revision_id"], "--by", "bob")["plan_digest"] == sm3_hex(raw)
    with Path("impact/report.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["section"], row["key"], row["metric"]): row["value"] for row in csv.DictReader(file)}
    assert rows["month", "2019-03", "delta_mg"] == str(150_970 - 105_028)
    assert rows["region", "CN-440300", "after_mg"] == "150970"
    assert rows["total", "", "delta_mg"] == planned["delta_mg"]
    html = Path("impact/report.html").read_text("utf-8")
    for told in (planned["revision_id"], planned["plan_digest"], f"{int(planned['delta_mg']):,} mg", "共享单车骑行"):
        assert told in html


def test_the_sums_of_a_plan_are_those_that_applying_it_gives(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    planned = cli(*PLAN)
    cli("revision", "approve", "R1", "--by", "bob")
    applied = cli("revision", "apply", "R1")
    for key in ("accounts", "changed_accounts", "credits", "before_mg", "after_mg", "delta_mg"):
        assert applied[key] == planned[key] == planned["report"][key]
    assert (planned["rising_accounts"], planned["falling_accounts"], planned["unchanged_accounts"]) == (2, 0, 0)


def test_the_report_of_a_plan_can_be_worked_out_again_after_everything_has_moved(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    planned = cli(*PLAN, "--report", "then")
    cli.credit("b3,cat,cycling.shared_bike,2019-01-01T09:15:00+08:00,9,km,", name="later.csv")
    assert cli("revision", "report", "R1") == {**planned, "files": []}
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")
    assert "R1: CYCLING-SHARED@2" in cli.run("revision", "report", "R1").stdout
    again = cli("revision", "report", "R1", "--report", "now")
    assert (again["state"], again["report"]) == ("completed", planned["report"])
    for name in ("report.json", "report.csv", "report.html"):
        assert (Path("now") / name).read_bytes() == (Path("then") / name).read_bytes()
    assert cli.refused("revision", "report", "R2") == "revision_unknown"


def test_a_recorded_plan_whose_credits_were_altered_is_found_out(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    cli(*PLAN)
    with cli.sql() as conn:
        replace_in_facts(
            conn, "carbon.account.behavior-credited.v1", '"credited_mg":"105028"', '"credited_mg":"105029"'
        )
    assert cli.refused("revision", "report", "R1", code=3) == "plan_differs"


def test_a_dry_run_records_nothing_and_may_look_at_a_draft(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    dry = cli(*PLAN, "--dry-run")
    before = size(cli)
    assert (dry["revision_id"], dry["state"]) == (None, "dry_run")
    assert cli(*PLAN, "--dry-run", "--report", "dry")["plan_digest"] == dry["plan_digest"]
    assert "A dry run: nothing was recorded." in cli.run(*PLAN, "--dry-run").stdout
    assert size(cli) == before
    assert cli(*PLAN)["plan_digest"] == dry["plan_digest"]
    drafted = cli("methodology", "import", cli.json_file(methodology()), "--by", "ann")
    name = f"{drafted['code']}@{drafted['version']}"
    assert cli.refused("revision", "plan", name, *DAYS, "--by", "ann") == "wrong_state"
    assert cli("revision", "plan", name, *DAYS, "--by", "ann", "--dry-run")["credits"] == 0


def test_a_comparison_writes_nothing_to_the_log_and_three_files_on_request(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    before = size(cli)
    compared = cli(*COMPARE, "--report", "comparison")
    assert size(cli) == before
    raw = Path("comparison/report.json").read_bytes()
    assert sm3_hex(raw) == compared["digest"]
    assert json.loads(raw)["difference"] == compared["difference"]
    assert compared["difference"]["delta_mg"] == compared["second"]["delta_mg"]
    assert compared["first"]["delta_mg"] == "0"
    assert compared["position"] == compared["as_of"] == before
    text = cli.run(*COMPARE).stdout
    for told in ("CYCLING-SHARED@1 or CYCLING-SHARED@2", "Of 2 accounts 2 would hold more", compared["digest"]):
        assert told in text
    rows = [line.split() for line in text.splitlines()]
    assert ["credits", "2", "2", "0"] in rows
    assert ["rising", "accounts", "0", "2", "2"] in rows
    assert "The last column is what the second would make more than the first" in text


def test_a_version_is_not_compared_with_itself_but_under_two_releases(cli: CommandLine) -> None:
    twice = ("revision", "compare", "CYCLING-SHARED@2", "CYCLING-SHARED@2", *DAYS)
    assert cli.refused(*twice) == "same_candidate"
    assert cli.refused(*twice, "--release-b", "NO-SET=1") == "release_unknown"


def test_a_plan_that_changes_no_balance_says_so(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    remark = "This changes no account's balance."
    same = ("revision", "plan", "CYCLING-SHARED@1", *DAYS, "--by", "alice", "--dry-run")
    assert cli(*same)["changed_accounts"] == 0
    assert remark in cli.run(*same).stdout
    assert remark not in cli.run(*PLAN, "--dry-run").stdout


def test_a_comparison_asks_for_the_releases_that_each_version_uses(cli: CommandLine) -> None:
    assert cli.refused(*COMPARE, "--release-b", "NO-SET=1") == "release_unknown"
    assert cli.refused("revision", "compare", "CYCLING-SHARED@1", "TRAVEL-METRO@1", *DAYS) == "other_code"
    assert cli.refused("revision", "compare", "CYCLING-SHARED@1", "CYCLING-SHARED@9", *DAYS) == "methodology_unknown"
    assert cli(*COMPARE, "--release-a", "A=1", "--release-a", "A=2", code=2)["error"]["field"] == "--release-a"
    assert releases_of(["A=1", "B=2"]) == {"A": 1, "B": 2}


def test_a_report_is_refused_before_anything_is_recorded_where_one_is_already(cli: CommandLine) -> None:
    cli.credit(*RIDES)
    cli(*PLAN, "--report", "impact")
    before = size(cli)
    assert cli.refused(*PLAN, "--report", "impact") == "report_exists"
    assert cli.refused(*COMPARE, "--report", "impact/report.json", code=4) == "report_folder_unusable"
    assert size(cli) == before
