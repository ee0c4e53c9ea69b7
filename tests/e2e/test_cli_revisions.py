"""Revisions, questions about the past, explanations and the audit, through the command line."""

from __future__ import annotations

import pytest

from tests.e2e.cli_tools import METRO, CommandLine, methodology
from tests.fixtures.tampering import replace_in_facts

BIKE = "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300"
OTHER_BIKE = "b2,bob,cycling.shared_bike,2018-10-01T00:00:00+08:00,2,km,"
OUTSIDE = "b3,bob,cycling.shared_bike,2019-04-01T00:00:00+08:00,2,km,"
PLAN = ("revision", "plan", "CYCLING-SHARED@2", "--from", "2018-10-01", "--to", "2019-04-01")

BEFORE, AFTER = 105_028, 150_970  # 3.1 km at 33.88 and at 48.7 g/km
OTHER_BEFORE, OTHER_AFTER = 67_760, 97_400  # 2 km


def revise(cli: CommandLine) -> None:
    cli(*PLAN, "--by", "alice")
    cli("revision", "approve", "R1", "--by", "bob")
    cli("revision", "apply", "R1")


def test_a_plan_shows_the_impact_and_changes_no_balance(cli: CommandLine) -> None:
    cli.credit(BIKE, OTHER_BIKE, OUTSIDE, METRO)
    before = cli("totals")
    planned = cli(*PLAN, "--by", "alice")
    assert {key: planned[key] for key in ("revision_id", "accounts", "changed_accounts", "credits", "state")} == {
        "revision_id": "R1",
        "accounts": 2,
        "changed_accounts": 2,
        "credits": 2,
        "state": "planned",
    }
    assert (planned["before_mg"], planned["after_mg"]) == (str(BEFORE + OTHER_BEFORE), str(AFTER + OTHER_AFTER))
    assert planned["delta_mg"] == str(AFTER + OTHER_AFTER - BEFORE - OTHER_BEFORE)
    (change,) = planned["changes"]
    assert (change["from"], change["to"], change["before"]["methodology"]) == (
        "2018-10-01",
        "2019-04-01",
        "CYCLING-SHARED@1",
    )
    assert cli("totals")["digest"] == before["digest"]


def test_the_planner_cannot_approve_and_nobody_applies_before_approval(cli: CommandLine) -> None:
    cli.credit(BIKE)
    cli(*PLAN, "--by", "alice")
    assert cli.refused("revision", "apply", "R1") == "wrong_state"
    assert cli.refused("revision", "approve", "R1", "--by", "alice") == "same_actor"
    approved = cli("revision", "approve", "R1", "--by", "bob")
    assert (approved["state"], len(approved["changes"])) == ("approved", 1)
    assert cli.refused("revision", "approve", "R1", "--by", "carol") == "wrong_state"
    assert cli.refused(*PLAN, "--by", "alice") == "revision_in_progress"
    assert cli("revision", "status", "R1")["state"] == "approved"
    assert cli("revision", "apply", "R1")["state"] == "completed"
    assert cli("revision", "apply", "R1") == cli("revision", "status", "R1")


def test_a_plan_that_the_rulebook_has_overtaken_is_stale(cli: CommandLine) -> None:
    cli.credit(BIKE)
    cli(*PLAN, "--by", "alice")
    cli(*PLAN, "--by", "alice")
    cli("revision", "approve", "R2", "--by", "bob")
    cli("revision", "apply", "R2")
    assert cli.refused("revision", "approve", "R1", "--by", "bob") == "plan_stale"


def test_credits_that_cannot_be_valued_and_regions_left_out_are_told(cli: CommandLine) -> None:
    first = cli.publish(methodology())
    quantity = {"unit": "km", "scale": 3, "min": "0.001", "max": "5"}
    second = cli.publish(methodology(version=2, inputs={"quantity": quantity}))
    cli.decide(first, "open", "open")
    cli.decide(first, "2999-01-01", "open", "--region", "HK")
    row = "t{n},ann,test.behavior,2026-03-01T08:15:00+08:00,{km},km,{region}"
    cli.credit(row.format(n=1, km=2, region=""), row.format(n=2, km=9, region=""), row.format(n=3, km=3, region="HK"))
    plan = ("revision", "plan", second, "--from", "open", "--to", "open", "--by", "alice")
    planned = cli(*plan)
    assert (planned["credits"], planned["not_valued"], planned["left_out"]) == (3, 1, ["HK"])
    assert (planned["before_mg"], planned["after_mg"]) == ("140000", "50000")
    text = cli.run(*plan).stdout
    assert "1 credits cannot be valued" in text
    assert "HK" in text
    assert "revision approve R2 --by SOMEBODY-ELSE" in text


def test_both_clocks_are_answered_after_a_revision(cli: CommandLine) -> None:
    imported = cli.credit(BIKE, OTHER_BIKE, OUTSIDE)["position"]
    revise(cli)
    show = ("account", "show", "ann")
    assert cli(*show)["credited_mg"] == str(AFTER)
    then = cli(*show, "--at-position", str(imported))
    assert (then["credited_mg"], then["position"], then["provisional"]) == (str(BEFORE), imported, False)
    entry = cli("account", "statement", "ann")["entries"][0]
    known = cli(*show, "--known-at", entry["recorded_at"])
    assert (known["credited_mg"], known["provisional"]) == (str(BEFORE), False)
    # A commit has one time: the answer shows all of it.
    assert entry["position"] <= known["position"] < imported
    assert cli(*show, "--known-at", "2999-01-01T00:00:00Z")["provisional"]
    assert cli("account", "show", "bob", "--occurred-before", "2019-04-01")["credited_mg"] == str(OTHER_AFTER)
    assert cli("account", "show", "bob", "--occurred-before", "2018-10-01")["credited_mg"] == "0"
    assert cli("totals", "--at-position", str(imported))["credited_mg"] == str(BEFORE + 2 * OTHER_BEFORE)


def test_the_statement_tells_every_change_with_the_running_balance(cli: CommandLine) -> None:
    cli.credit(BIKE)
    revise(cli)
    cli("behaviors", "reverse", "ann", "b1", "--reason", "never rode", "--by", "alice")
    statement = cli("account", "statement", "ann")
    told = [(e["kind"], e["change_mg"], e["balance_mg"], e["source_ref"]) for e in statement["entries"]]
    assert told == [
        ("credited", str(BEFORE), str(BEFORE), "b1"),
        ("revised", str(AFTER - BEFORE), str(AFTER), None),
        ("reversed", str(-AFTER), "0", "b1"),
    ]
    assert (statement["credited_mg"], statement["by_behavior"]) == ("0", {"cycling.shared_bike": "0"})


def test_explain_tells_every_valuation_a_credit_ever_had(cli: CommandLine) -> None:
    cli.credit(BIKE, options=("--open-accounts", "--partner", "bike-1"))
    revise(cli)
    cli("behaviors", "reverse", "ann", "b1", "--reason", "never rode", "--by", "alice", "--partner", "bike-1")
    explained = cli("account", "explain", "ann", "b1", "--partner", "bike-1")
    assert (explained["quantity"], explained["credited_mg"], explained["line"]) == ("3.100", "0", 2)
    first, second, third = explained["valuations"]
    assert (first["methodology"], first["exact"], first["computed_mg"]) == (
        "CYCLING-SHARED@1",
        "105.02800",
        str(BEFORE),
    )
    assert (second["methodology"], second["by"], second["credited_mg"]) == ("CYCLING-SHARED@2", "R1", str(AFTER))
    assert (third["by"], third["reason"], third["credited_mg"]) == ("reversal", "never rode", "0")
    text = cli.run("account", "explain", "ann", "b1", "--partner", "bike-1").stdout
    assert "saving = 33.88" in text
    assert "saving = 48.7 " in text
    assert "never rode" in text


def test_a_reversal_names_what_the_credit_is_worth_now_and_happens_once(cli: CommandLine) -> None:
    cli.credit(BIKE)
    revise(cli)
    reverse = ("behaviors", "reverse", "ann", "b1", "--reason", "never rode", "--by", "alice")
    assert cli(*reverse)["reversed_mg"] == str(AFTER)
    assert cli.refused(*reverse) == "already_reversed"
    assert cli.refused("behaviors", "reverse", "nobody", *reverse[3:]) == "account_unknown"
    assert cli("totals")["credited_mg"] == "0"


def test_a_rebuild_changes_nothing_and_one_view_can_be_rebuilt_alone(cli: CommandLine) -> None:
    cli.credit(BIKE, METRO)
    before = cli("totals")
    for names in ((), ("account_balance",), ("account_statement",), ("book_totals",)):
        rebuilt = cli("views", "rebuild", *names)
        assert (rebuilt["equal"], rebuilt["digest"]) == (True, before["digest"])
        if names:
            assert rebuilt["views"] == list(names)
    assert cli("totals") == before


TAMPER = {
    "the mass of a credit": (
        "behavior-credited",
        '"credited_mg":"105028"',
        '"credited_mg":"105029"',
        "105029",
        "105028",
    ),
    "the quantity of a credit": ("behavior-credited", '"quantity":"3100"', '"quantity":"3200"', "105028", "108416"),
    "a line of a revision": ("factor-revised", '"150970"', '"150971"', "150971", "150970"),
}


@pytest.mark.parametrize("what", TAMPER)
def test_tampering_with_one_stored_number_is_found_where_it_stands(what: str, cli: CommandLine) -> None:
    event, old, new, booked, recomputed = TAMPER[what]
    cli.credit(BIKE, OTHER_BIKE, METRO)
    revise(cli)
    assert cli("replay")["mismatches"] == 0
    with cli.sql() as conn:
        ((_, stream, version),) = replace_in_facts(conn, f"carbon.account.{event}.v1", old, new)
    replayed = cli("replay", code=3)
    assert replayed["mismatches"] == len(replayed["details"]) > 0
    found = [(d["stream"], d["version"], d["booked"], d["recomputed"]) for d in replayed["details"]]
    assert any(
        (where, at) == (str(stream), version) and booked in was and recomputed in should
        for where, at, was, should in found
    ), found
    ran = cli.run("replay")
    assert ran.code == 3
    for shown in ("THE HISTORY DOES NOT MATCH", str(stream), booked, recomputed):
        assert shown in ran.stdout


def test_a_view_that_differs_from_the_log_is_found_and_repaired(cli: CommandLine) -> None:
    cli.credit(BIKE, METRO)
    before = cli("totals")
    with cli.sql() as conn:
        conn.execute("UPDATE views.account_balance SET credited_mg = credited_mg + 1 WHERE behavior = 'travel.metro'")
    checked = cli("views", "check", code=3)
    assert not checked["equal"]
    assert [each["view"] for each in checked["details"] if each["differing"]] == ["account_balance"]
    ran = cli.run("views", "check")
    assert ran.code == 3
    assert "views rebuild" in ran.stdout
    assert not cli("views", "rebuild")["equal"]
    assert cli("views", "check")["equal"]
    assert cli("totals") == before


def test_a_broken_rulebook_stops_the_line_as_corrupt(cli: CommandLine) -> None:
    with cli.sql() as conn:
        assert replace_in_facts(conn, "carbon.decision.approved.v1", '"decision"', '"decided"')
    assert cli.refused("totals", code=3) == "undecodable_event"
