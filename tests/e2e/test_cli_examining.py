"""`reconcile` and `anomalies` by the command line: answers, exit codes, reports."""

from __future__ import annotations

import csv
import stat
from pathlib import Path

from tests.e2e.cli_tools import HEADER, METRO, CommandLine

OTHER = "t2,bob,travel.metro,2026-03-02T09:00:00+08:00,4.500,km,CN-440300"
LATER = "t3,bob,travel.metro,2026-04-02T09:00:00+08:00,4.500,km,CN-440300"
MARCH = ("--from", "2026-03-01", "--to", "2026-04-01")
PARTNER = ("--partner", "metro", "--open-accounts")


def report(name: str) -> list[dict[str, str]]:
    with Path(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_partners_own_list_equals_the_log_and_the_command_says_so(cli: CommandLine) -> None:
    cli.credit(METRO, OTHER, LATER, options=PARTNER)
    answer = cli("reconcile", "metro", cli.file(OTHER, METRO), *MARCH)
    assert (answer["equal"], answer["listed"], answer["booked"], answer["matched"]) == (True, 2, 2, 2)
    assert (answer["matched_mg"], answer["missing_in_list"]) == ("1213200", 0)
    assert answer["by_behavior"]["travel.metro"]["matched"] == 2
    ran = cli.run("reconcile", "metro", cli.file(OTHER, METRO), *MARCH)
    assert (ran.code, "the list says what the log says" in ran.stdout, "1.213200 kg" in ran.stdout) == (0, True, True)


def test_differences_exit_with_one_and_stand_in_the_report_with_their_code(cli: CommandLine) -> None:
    cli.credit(METRO, OTHER, options=PARTNER)
    listed = cli.file(METRO.replace("12.350", "12.351"), LATER.replace("04-02", "03-03"), "t9,x,y,z,1,km,")
    answer = cli("reconcile", "metro", listed, *MARCH, "--out", "differences.csv", code=1)
    assert not answer["equal"]
    assert {name: answer[name] for name in ("differs", "missing_in_log", "missing_in_list", "refused")} == {
        "differs": 1,
        "missing_in_log": 1,
        "missing_in_list": 1,
        "refused": 1,
    }
    assert answer["refused_by_code"] == {"malformed": 1}
    rows = {row["code"]: row for row in report("differences.csv")}
    assert (rows["differs"]["column"], rows["differs"]["listed"], rows["differs"]["booked"]) == (
        "quantity",
        "12.351",
        "12.350",
    )
    assert (rows["missing_in_log"]["source_ref"], rows["missing_in_log"]["line"]) == ("t3", "3")
    assert rows["missing_in_list"]["source_ref"] == "t2"
    assert int(rows["missing_in_list"]["position"]) > 0
    assert (rows["refused"]["line"], "malformed" in rows["refused"]["message"]) == ("4", True)
    assert stat.S_IMODE(Path("differences.csv").stat().st_mode) == 0o600
    refused = cli.refused("reconcile", "metro", listed, *MARCH, "--out", "differences.csv")
    assert refused == "report_file_exists"
    ran = cli.run("reconcile", "metro", listed, *MARCH)
    assert (ran.code, "LIST AND LOG DIFFER" in ran.stdout, "--out FILE" in ran.stdout) == (1, True, True)


def test_a_misspelled_partner_and_an_empty_period_are_refused(cli: CommandLine) -> None:
    cli.credit(METRO, options=PARTNER)
    listed = cli.file(METRO)
    assert cli.refused("reconcile", "metor", listed, *MARCH) == "partner_unknown"
    assert cli.refused("reconcile", "metro", listed, "--from", "2026-03-01", "--to", "2026-03-01", code=2) == "usage"
    assert cli.refused("reconcile", "metro", "missing.csv", *MARCH) == "file_not_found"
    assert cli.refused("reconcile", "metro", cli.bytes(HEADER.encode(), name="x.csv")) == "no_rows"


def test_reconciling_changes_nothing_and_the_original_file_always_agrees(cli: CommandLine) -> None:
    answer = cli.credit(METRO, OTHER, LATER, METRO.replace("t1", "t4").replace("12.350", "-1"), options=PARTNER)
    cli("evidence", "show", str(answer["intake_id"]), "--out", "original.csv")
    before = cli("totals")
    found = cli("reconcile", "metro", "original.csv", code=1)
    assert (found["matched"], found["refused"], found["missing_in_log"], found["missing_in_list"]) == (3, 1, 0, 0)
    assert cli("totals") == before


BIKES = (
    "b1,ann,cycling.shared_bike,2026-03-01T08:00:00+08:00,3.1,km,",
    "b2,ann,cycling.shared_bike,2026-03-01T08:01:00+08:00,3.1,km,",
    "b3,ann,cycling.shared_bike,2026-03-02T08:00:00+08:00,3.1,km,",
    "b4,ann,cycling.shared_bike,2026-03-02T08:00:00+08:00,2.0,km,",
    "b5,bob,cycling.shared_bike,2026-03-03T08:00:00+08:00,3.1,km,",
    "b6,bob,cycling.shared_bike,2026-03-03T08:10:00+08:00,3.1,km,",
)


def test_anomalies_tell_what_is_odd_with_the_assumptions_and_always_exit_with_zero(cli: CommandLine) -> None:
    cli.credit(*BIKES, METRO.replace("ann", "cat"))
    before = cli("totals")
    answer = cli("anomalies", "--out", "odd.csv")
    assert answer["by_code"] == {"same_instant": 1, "impossible_speed": 1, "impossible_day": 0, "overlap": 1}
    assert (answer["found"], answer["accounts"], answer["odd_accounts"], answer["rides"]) == (3, 3, 2, 7)
    assert answer["assumed"]["travel.metro"]["stamped"] == "end"
    rows = {row["code"]: row for row in report("odd.csv")}
    assert sorted(rows) == ["impossible_speed", "overlap", "same_instant"]
    assert (rows["impossible_speed"]["seconds"], rows["impossible_speed"]["needed_seconds"]) == ("60", "195")
    assert {finding["code"] for finding in answer["findings"]} == set(rows)
    text = Path("odd.csv").read_text("utf-8")
    assert not [word for word in ("ann", "bob", "cat", "T08:00") if word in text]
    assert stat.S_IMODE(Path("odd.csv").stat().st_mode) == 0o600
    assert cli("totals") == before
    ran = cli.run("anomalies")
    assert (ran.code, "3 anomalies" in ran.stdout, "Capital Bikeshare" in ran.stdout) == (0, True, True)


def test_other_speeds_and_a_period_change_what_is_odd(cli: CommandLine) -> None:
    cli.credit(*BIKES)
    assert cli("anomalies", "--speed", "cycling.shared_bike=25:300")["by_code"] == {
        "same_instant": 1,
        "impossible_speed": 0,
        "impossible_day": 0,
        "overlap": 1,
    }
    assert cli("anomalies", "--from", "2026-03-03", "--to", "2026-03-04")["found"] == 1
    assert cli("anomalies", "--partner", "metro")["found"] == 0
    nothing = cli.run("anomalies", "--partner", "metro")
    assert "nothing odd" in nothing.stdout
    for wrong in ("cycling.shared_bike", "x=0", "x=9:8", "x=1.5", "=5"):
        assert cli.refused("anomalies", "--speed", wrong, code=2) == "usage"
