"""`behaviors import`: every code of DESIGN 5, dirty files, the rejects file, doing it again."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from domain.screening import REFUSALS
from tests.e2e.cli_tools import HEADER, METRO, CommandLine, methodology, rejects

TIME = "2026-03-01T08:15:00+08:00"

ROWS = {
    "malformed": f"t1,ann,travel.metro,{TIME},1e3,km,",
    "unknown_behavior": f"t1,ann,travel.rocket,{TIME},1,km,",
    "timestamp_without_offset": "t1,ann,travel.metro,2026-03-01T08:15:00,1,km,",
    "unit_mismatch": f"t1,ann,travel.metro,{TIME},1,mile,",
    "quantity_not_positive": f"t1,ann,travel.metro,{TIME},-0.5,km,",
    "quantity_out_of_range": f"t1,ann,travel.metro,{TIME},200.001,km,",
    "quantity_too_precise": f"t1,ann,travel.metro,{TIME},1.0005,km,",
    "occurred_in_future": "t1,ann,travel.metro,2999-01-01T00:00:00Z,1,km,",
    "too_late": "t1,ann,travel.metro,1901-01-01T00:00:00Z,1,km,",
}
"""One row for every code that needs no preparation."""


@pytest.mark.parametrize("code", ROWS)
def test_a_row_that_breaks_a_rule_is_refused_with_its_code(code: str, cli: CommandLine) -> None:
    answer = cli.credit(ROWS[code], "good,ann,travel.metro," + TIME + ",1,km,", options=refused_to(code))
    assert answer["rejected_by_code"] == {code: 1}
    assert (answer["credited"], answer["credited_mg"]) == (1, "72000")
    (refused,) = rejects(f"{code}.csv")
    assert (refused["code"], refused["line"]) == (code, "2")
    assert refused["field"] in HEADER.split(",")
    assert refused["message"]
    assert refused["remedy"]


def refused_to(name: str) -> tuple[str, ...]:
    return "--open-accounts", "--rejects", f"{name}.csv"


def test_the_same_row_again_is_a_duplicate_and_other_content_a_conflict(cli: CommandLine) -> None:
    cli.credit(METRO)
    again = cli.credit(
        "t1,ann,travel.metro,2026-03-01T00:15:00Z,12.35,km,CN-440300",
        "t1,ann,travel.metro,2026-03-01T08:15:00+08:00,12.351,km,CN-440300",
        name="again.csv",
    )
    assert (again["duplicates"], again["rejected_by_code"]) == (1, {"conflicting_duplicate": 1})
    assert cli("totals")["credited_mg"] == "889200"


def test_the_same_reference_of_another_partner_is_another_behavior(cli: CommandLine) -> None:
    cli.credit(METRO)
    assert cli.credit(METRO, options=("--partner", "metro-2", "--open-accounts"), name="b.csv")["credited"] == 1


def test_a_second_import_of_a_file_reports_every_credited_row_as_duplicate(cli: CommandLine) -> None:
    rows = (METRO, ROWS["malformed"].replace("t1", "t2"), f"t3,bob,travel.bus,{TIME},1,trip,")
    first, second = cli.credit(*rows), cli.credit(*rows)
    assert (first["credited"], first["duplicates"], first["rejected"]) == (2, 0, 1)
    assert (second["credited"], second["duplicates"], second["rejected"]) == (0, 2, 1)
    assert second["credited_mg"] == "0"


def test_an_account_that_nobody_opened_is_unknown_unless_the_partner_opens_it(cli: CommandLine) -> None:
    assert cli.credit(METRO, options=())["rejected_by_code"] == {"account_unknown": 1}
    assert cli.credit(METRO)["accounts_opened"] == 1


def test_a_refused_row_opens_no_account(cli: CommandLine) -> None:
    assert cli.credit(ROWS["quantity_not_positive"])["accounts_opened"] == 0
    assert cli.refused("account", "show", "ann") == "account_unknown"


def test_an_account_without_consent_takes_no_credit(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    assert cli.credit(METRO, options=())["rejected_by_code"] == {"no_consent": 1}
    cli.consent("ann", "--scope", "travel.bus")
    assert cli.credit(METRO, options=())["rejected_by_code"] == {"no_consent": 1}
    cli.consent("ann", "--scope", "travel.bus", "--scope", "travel.metro", "--from", "2026-03-01T09:00:00+08:00")
    assert cli.credit(METRO, options=())["rejected_by_code"] == {"no_consent": 1}
    cli.consent("ann", "--to", "2026-03-01T08:15:00+08:00")
    assert cli.credit(METRO, options=())["rejected_by_code"] == {"no_consent": 1}
    number = cli.consent("ann", "--to", "2026-03-01T09:00:00+08:00")["consent"]
    assert cli.credit(METRO, options=())["credited"] == 1
    cli("consent", "withdraw", "ann", "--by", "x", "--reason", "y", "--consent", str(number))
    later = METRO.replace("t1", "t2").replace("08:15:00", "08:20:00")
    assert cli.credit(later, options=(), name="later.csv")["rejected_by_code"] == {"no_consent": 1}


@pytest.mark.parametrize(("step", "code"), [("freeze", "account_frozen"), ("close", "account_closed")])
def test_a_frozen_or_closed_account_takes_no_credit_but_still_answers_duplicate(
    step: str, code: str, cli: CommandLine
) -> None:
    cli.credit(METRO)
    cli("account", step, "ann", "--by", "alice", "--reason", "a check")
    answer = cli.credit(METRO, METRO.replace("t1", "t2"), name="again.csv")
    assert (answer["credited"], answer["duplicates"], answer["rejected_by_code"]) == (0, 1, {code: 1})


def test_an_unfrozen_account_takes_the_row_that_was_refused(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    cli.consent("ann")
    for step, expected in (("freeze", 0), ("unfreeze", 1)):
        cli("account", step, "ann", "--by", "alice", "--reason", "a check")
        assert cli.credit(METRO)["credited"] == expected


def test_a_behavior_with_a_methodology_that_is_not_applied_is_not_credited(cli: CommandLine) -> None:
    name = cli.publish(methodology())
    row = f"t1,ann,test.behavior,{TIME},1,km,"
    assert cli.credit(row)["rejected_by_code"] == {"no_applicable_methodology": 1}
    cli.decide(name, "2026-02-01", "open")
    assert cli.credit(row.replace("-03-", "-01-"))["rejected_by_code"] == {"no_applicable_methodology": 1}
    assert cli.credit(row)["credited"] == 1


def test_a_region_without_a_factor_is_not_credited(cli: CommandLine) -> None:
    rows = [{"region": "CN-44", "from": None, "to": None, "value": "10"}]
    name = cli.publish(methodology(parameters={"saving": {"unit": "g/km", "rows": rows}}))
    cli.decide(name, "open", "open")
    row = f"t1,ann,test.behavior,{TIME},1,km,CN-110000"
    assert cli.credit(row)["rejected_by_code"] == {"no_factor_for_region": 1}
    assert cli.credit(row.replace("110000", "440300"))["credited_mg"] == "10000"


def test_no_code_of_a_refusal_is_left_without_a_test() -> None:
    """Those about partners are in test_cli_partners."""
    stories = {
        "conflicting_duplicate",
        "partner_suspended",
        "behavior_not_allowed",
        "account_unknown",
        "account_frozen",
        "account_closed",
        "no_consent",
        "no_applicable_methodology",
        "no_factor_for_region",
    }
    assert set(ROWS) | stories == set(REFUSALS) | {"malformed"}


def test_repairing_the_rejects_file_and_importing_it_again_credits_the_rest(cli: CommandLine) -> None:
    first = cli.credit(METRO, ROWS["quantity_not_positive"].replace("t1", "t2"), options=refused_to("refused"))
    assert (first["credited"], first["rejected"]) == (1, 1)
    refused = Path("refused.csv")
    assert stat.S_IMODE(refused.stat().st_mode) == 0o600
    refused.write_text(refused.read_text().replace("-0.5", "0.5"))
    second = cli("behaviors", "import", "refused.csv", "--open-accounts", "--rejects", "refused-2.csv")
    assert (second["credited"], second["rejected"], second["credited_mg"]) == (1, 0, "36000")
    assert rejects("refused-2.csv") == []


def test_a_rejects_file_is_never_overwritten(cli: CommandLine) -> None:
    Path("kept.csv").write_text("mine")
    before = cli("totals")["position"]
    assert cli.refused("behaviors", "import", cli.file(METRO), "--rejects", "kept.csv") == "rejects_file_exists"
    assert Path("kept.csv").read_text() == "mine"
    assert cli("totals")["position"] == before


def test_strict_tells_by_its_exit_code_that_rows_were_refused(cli: CommandLine) -> None:
    bad = cli.file(METRO, ROWS["malformed"].replace("t1", "t2"), name="bad.csv")
    answer = cli("behaviors", "import", bad, "--open-accounts", "--strict", code=1)
    assert (answer["credited"], answer["rejected"]) == (1, 1)
    cli("behaviors", "import", cli.file(METRO, name="good.csv"), "--strict")
    cli("behaviors", "import", bad, "--open-accounts")


GOOD = METRO.encode()

DIRTY = {
    "a byte order mark": (b"\xef\xbb\xbf" + HEADER.encode() + b"\n" + GOOD + b"\n", 0),
    "line ends of another system": (HEADER.encode() + b"\r\n" + GOOD + b"\r\n", 0),
    "a line break inside quotes": (HEADER.encode() + b'\n"t\n9",ann,travel.metro,x,1,km,\n' + GOOD + b"\n", 1),
    "an exponent": (HEADER.encode() + b"\n" + GOOD + b"\nt2,ann,travel.metro,2026-03-01T08:15:00Z,1e3,km,\n", 1),
    "not a number": (HEADER.encode() + b"\n" + GOOD + b"\nt2,ann,travel.metro,2026-03-01T08:15:00Z,NaN,km,\n", 1),
    "full-width digits": (
        f"{HEADER}\n{METRO}\nt2,ann,travel.metro,2026-03-01T08:15:00Z,\uff11\uff12,km,\n".encode(),
        1,
    ),
    "a truncated last line": (HEADER.encode() + b"\n" + GOOD + b"\nt2,ann,travel.met", 1),
    "bytes that are no UTF-8": (HEADER.encode() + b"\n" + GOOD + b"\nt2,\xff\xfe,travel.metro,x,1,km,\n", 1),
    "a stray quote": (HEADER.encode() + b'\nt2,"ann,travel.metro,x,1,km,\n' + GOOD + b"\n", 1),
    "an empty column": (HEADER.encode() + b"\n" + GOOD + b"\nt2,ann,travel.metro,,1,km,\n", 1),
    "more columns and blank lines": (HEADER.encode() + b",note\n\n" + GOOD + b",hello\n\n", 0),
}


@pytest.mark.parametrize("kind", DIRTY)
def test_a_dirty_file_gets_a_clear_answer_and_its_good_row_is_credited(kind: str, cli: CommandLine) -> None:
    content, refused = DIRTY[kind]
    answer = cli("behaviors", "import", cli.bytes(content), *refused_to("refused"))
    assert (answer["credited"], answer["credited_mg"]) == (1, "889200")
    assert answer["rejected_by_code"] == ({"malformed": refused} if refused else {})
    for row in rejects("refused.csv"):
        assert row["message"]
        assert row["remedy"]


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (METRO.encode(), "x.csv", "missing_column"),
        (HEADER.replace(",unit", "").encode() + b"\n" + GOOD, "x.csv", "missing_column"),
        (b"", "x.csv", "file_empty"),
        (HEADER.encode() + b"\n", "x.csv", "no_rows"),
        (b"PK\x03\x04 an archive", "x.csv", "unknown_format"),
        ((HEADER + "\n" + METRO).encode("utf-16"), "x.csv", "unknown_format"),
        (b"PAR1 not really", "x.parquet", "file_damaged"),
        (b"hello", "x.dat", "unknown_format"),
    ],
)
def test_a_file_that_cannot_be_read_as_behaviors_is_refused_as_a_whole(
    content: bytes, name: str, code: str, cli: CommandLine
) -> None:
    before = cli("totals")["position"]
    assert cli.refused("behaviors", "import", cli.bytes(content, name=name)) == code
    assert cli("totals")["position"] == before


def test_json_lines_and_parquet_are_credited_like_csv(cli: CommandLine) -> None:
    columns = HEADER.split(",")
    texts = METRO.split(",")
    line = json.dumps(dict(zip(columns, ["j1", *texts[1:]], strict=True)))
    assert cli("behaviors", "import", cli.bytes(line.encode(), name="a.jsonl"), "--open-accounts")["credited"] == 1
    values = ["p1", *texts[1:]]
    pq.write_table(pa.table({name: [text] for name, text in zip(columns, values, strict=True)}), "b.parquet")
    answer = cli("behaviors", "import", "b.parquet")
    assert (answer["credited"], answer["credited_mg"]) == (1, "889200")


def test_a_terminal_without_json_names_the_codes_and_how_to_see_the_rows(cli: CommandLine) -> None:
    ran = cli.run("behaviors", "import", cli.file(METRO, ROWS["malformed"].replace("t1", "t2")), "--open-accounts")
    assert ran.code == 0
    assert "malformed" in ran.stdout
    assert "--rejects FILE" in ran.stdout
    assert ran.stderr == ""
