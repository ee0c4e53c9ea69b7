"""Revision runs: which credits are in scope, what they become, and who may decide it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain import account as account_rules
from domain import revision
from domain.account import Account
from domain.digest import MerkleRoot, sm3_hex
from domain.events import account as events
from domain.events.rulebook import RevisionApproved
from domain.methodology import describe
from domain.revision import Impact, changes_by
from tests.unit.domain.documents import count_cap, day_cap, factor_row, metro, open_row, power, release
from tests.unit.domain.refusals import refusal
from tests.unit.domain.worlds import World, booked_lines, saving, trip

METRO = "travel.metro"
TWO = "TRAVEL-METRO@2"


def town(second: dict[str, Any] | None = None, *period_and_region: Any, **first: Any) -> World:
    """Version 1 (100 g/km) applies as told, version 2 (default 40 g/km) is published."""
    world = World("2026-01-01T00:00:00Z")
    world.introduce(metro(**({"rate": "100"} | first)), *period_and_region)
    world.publish(metro(2, "40") if second is None else second)
    world.tell("2026-03-01T00:00:00Z")
    return world


def lines(world: World, run: str, account_ref: str = "ann") -> list[tuple[int, str, str | None, str, str]]:
    """Version, mg before, computed, credited and reason of each line that the run booked."""
    booked = booked_lines(world.streams[world.account_id(account_ref)], run)
    return [(line.credit, line.before_mg, line.computed_mg, line.credited_mg, line.reason) for line in booked]


def in_scope(world: World, run_id: str, account_ref: str = "ann") -> list[int]:
    """Versions of the credits that the run takes."""
    run = world.rulebook.revisions[run_id]
    scope = revision.scope_of(world.rulebook, run)
    return [version for version, credit in world.history(account_ref).credits.items() if scope.holds(credit)]


# -- scope, rule by rule -----------------------------------------------------------------------------------------


def test_only_days_inside_the_period_are_revised_from_its_first_to_before_its_end() -> None:
    world = town()
    days = ("2026-01-04", "2026-01-05", "2026-01-06", "2026-01-07")
    world.credited(*(trip(f"t{day}", at=f"{day}T12:00:00+08:00") for day in days))
    world.revise(TWO, "2026-01-05", "2026-01-07")
    assert lines(world, "R1") == [(4, "100000", "40000", "40000", ""), (5, "100000", "40000", "40000", "")]
    assert world.history().balances() == {METRO: 280_000}


def test_a_reversed_credit_is_never_revised() -> None:
    world = town()
    world.credited(trip("t1"), trip("t2"))
    world.reverse("t1")
    world.revise(TWO)
    assert [line[0] for line in lines(world, "R1")] == [4]
    assert world.history().balances() == {METRO: 40_000}


def test_a_credit_recorded_after_the_approval_is_out_of_scope() -> None:
    world = town()
    world.credited(trip("t1"))
    run = world.plan(TWO)
    world.credited(trip("t2"))
    world.approve_run(run)
    world.credited(trip("t3"))
    assert in_scope(world, run) == [3, 4]
    assert [line[0] for line in lines(world, run)] == [3, 4]
    world.apply_run(run)
    assert world.complete(run).credits == 2


def test_the_very_next_event_after_the_approval_is_already_out_of_scope() -> None:
    world = town()
    world.open_account("ben", UUID(int=2))
    world.grant("ben")
    run, intake = world.plan(TWO), world.intake()
    world.approve_run(run)
    world.credit(intake, [trip("b1", "ben")])
    (credit,) = world.history("ben").credits.values()
    assert credit.position == (world.rulebook.revisions[run].approved or 0) + 1
    assert in_scope(world, run, "ben") == []
    assert credit.worth == 40_000


def test_a_more_specific_region_keeps_its_own_credits_and_the_plan_says_so() -> None:
    world = World("2025-12-01T00:00:00Z")
    world.introduce(metro(1, "100"), "2026-01-01")
    world.introduce(metro(3, "70"), "2026-01-01", None, "CN-44")
    world.decide("TRAVEL-METRO@1", "2026-01-01", "2026-01-04", "US")
    two = world.publish(metro(2, "40"))
    world.tell("2026-03-01T00:00:00Z")
    regions = ("CN-440300", "CN-44", "CN-31", "", "US", "US")
    at = [*("2026-01-05T00:00:00Z" for _ in range(5)), "2026-01-02T00:00:00Z"]
    world.credited(*(trip(f"t{n}", region=r, at=at[n]) for n, r in enumerate(regions)))
    run = world.plan(two, "2026-01-01", "2026-02-01")
    assert revision.left_out(world.rulebook, world.rulebook.revisions[run]) == ["CN-44", "US"]
    world.approve_run(run)
    assert in_scope(world, run) == [5, 6, 7]


def test_a_regions_own_decision_that_ends_before_the_run_begins_is_not_left_out() -> None:
    world = World("2025-12-01T00:00:00Z")
    world.introduce(metro(1, "100"), "2026-01-01")
    world.decide("TRAVEL-METRO@1", "2026-01-01", "2026-01-04", "US")
    two = world.publish(metro(2, "40"))
    asked = [("2026-01-03", None, ["US"]), ("2026-01-04", None, []), ("2025-12-01", "2026-01-01", [])]
    for start, end, kept in asked:
        run = world.rulebook.revisions[world.plan(two, start, end)]
        assert revision.left_out(world.rulebook, run) == kept


def test_a_run_in_a_province_leaves_out_only_what_lies_inside_the_province() -> None:
    world = World("2025-12-01T00:00:00Z")
    for name, region in (("1", "*"), ("2", "CN"), ("3", "CN-440300"), ("4", "US")):
        world.introduce(metro(int(name), "100"), "2026-01-01", None, region)
    two = world.publish(metro(5, "40"))
    world.tell("2026-03-01T00:00:00Z")
    run = world.plan(two, "2026-01-01", "2026-02-01", "CN-44")
    assert revision.left_out(world.rulebook, world.rulebook.revisions[run]) == ["CN-440300"]
    world.credited(trip("t1", region="CN-440100"), trip("t2", region="CN-31"), trip("t3", region="CN-440300"))
    world.approve_run(run)
    assert in_scope(world, run) == [3]


def test_credits_of_another_code_are_out_of_scope_even_on_days_of_the_run() -> None:
    world = World("2025-12-01T00:00:00Z")
    world.introduce(metro(1, "100", code="RIVAL"), "2026-01-01")
    world.tell("2026-01-10T00:00:00+08:00")
    world.credited(trip("t1", at="2026-01-09T00:00:00+08:00"))
    world.withdraw("RIVAL@1", leave_gap=True)
    world.introduce(metro(1, "90"), "2026-01-10")
    two = world.publish(metro(2, "40"))
    world.tell("2026-03-01T00:00:00Z")
    world.credited(trip("t2", at="2026-01-11T00:00:00+08:00"))
    run = world.plan(two, "2026-01-01")
    world.approve_run(run)
    assert in_scope(world, run) == [5]
    world.apply_run(run)
    assert world.history().balances() == {METRO: 140_000}


def test_a_run_does_not_take_days_that_another_code_values() -> None:
    world = World("2025-12-01T00:00:00Z")
    world.introduce(metro(1, "100"), "2026-01-01", "2026-02-01")
    world.introduce(metro(1, "100", code="RIVAL"), "2026-02-01")
    two = world.publish(metro(2, "40"))
    world.tell("2026-03-01T00:00:00Z")
    assert refusal(world.plan, two, "2026-01-01", "2026-02-02") == ("other_code", "methodology")
    assert refusal(world.plan, two, "2026-02-01", None, "CN") == ("other_code", "methodology")
    world.plan(two, "2026-01-01", "2026-02-01")


def test_days_that_another_code_holds_without_a_value_for_them_are_not_free_either() -> None:
    world = World("2025-12-01T00:00:00Z")
    world.introduce(metro(1, [open_row("100", "CN")], code="RIVAL"), "2026-01-01")
    two = world.publish(metro(2, "40"))
    world.tell("2026-03-01T00:00:00Z")
    assert refusal(world.plan, two, "2026-01-01", None, "US") == ("other_code", "methodology")
    assert refusal(world.plan, two, "2026-01-01") == ("other_code", "methodology")
    world.plan(two, None, "2026-01-01")


def test_a_planned_run_sees_what_it_would_take_if_it_were_approved_now() -> None:
    world = town()
    world.credited(trip("t1"))
    run = world.plan(TWO)
    assert in_scope(world, run) == [3]
    world.credited(trip("t2"))
    assert in_scope(world, run) == [3, 4]


# -- what the lines say ------------------------------------------------------------------------------------------


def test_an_account_whose_sum_does_not_change_gets_its_lines_all_the_same() -> None:
    world = town(metro(2, "100"))
    world.credited(trip("t1"))
    done = world.revise(TWO)
    assert lines(world, "R1") == [(3, "100000", "100000", "100000", "")]
    assert (done.accounts, done.changed_accounts, done.delta_mg) == (1, 0, "0")


def test_frozen_and_closed_accounts_are_revised_too() -> None:
    world = town()
    world.credited(trip("t1", "ann"), trip("t2", "ben"))
    world.on_account(account_rules.freeze(world.head("ann"), "olga", "check"), "ann")
    world.on_account(account_rules.close(world.head("ben"), "olga", "moved"), "ben")
    done = world.revise(TWO)
    assert (done.accounts, done.before_mg, done.after_mg, done.delta_mg) == (2, "200000", "80000", "-120000")
    assert world.history("ben").balances() == {METRO: 40_000}
    assert world.replayed().mismatches == []


def test_a_credit_outside_the_new_range_is_worth_nothing_and_says_why() -> None:
    narrow = metro(2, "40", inputs={"quantity": {"unit": "km", "scale": 3, "min": "1", "max": "10"}})
    world = town(narrow)
    world.credited(*(trip(f"t{q}", quantity=q) for q in ("0.999", "1", "10", "10.001")))
    world.revise(TWO)
    assert lines(world, "R1") == [
        (3, "99900", None, "0", "quantity_out_of_range"),
        (4, "100000", "40000", "40000", ""),
        (5, "1000000", "400000", "400000", ""),
        (6, "1000100", None, "0", "quantity_out_of_range"),
    ]
    assert world.replayed().mismatches == []


def test_a_credit_without_a_factor_row_is_worth_nothing_and_says_why() -> None:
    world = town(metro(2, [open_row("40", "CN", "2026-01-05")]))
    days = [("t1", "CN", "2026-01-04"), ("t2", "CN", "2026-01-05"), ("t3", "US", "2026-01-05")]
    world.credited(*(trip(ref, region=region, at=f"{day}T12:00:00Z") for ref, region, day in days))
    world.revise(TWO)
    assert lines(world, "R1") == [
        (3, "100000", None, "0", "no_factor_for_region"),
        (4, "100000", "40000", "40000", ""),
        (5, "100000", None, "0", "no_factor_for_region"),
    ]
    (line, *_) = world.history().credits.values()
    assert (line.worth, line.valuations[-1].reason) == (0, "no_factor_for_region")


def test_a_factor_release_revises_without_a_new_version() -> None:
    world = World()
    world.load(release(1, factor_row("0.5810")))
    name = world.introduce(power(1), releases={"CN-ELEC-AVG": 1})
    world.credited(saving("s1", quantity="2"))
    world.load(release(2, factor_row("0.5703")))
    done = world.revise(name, releases={"CN-ELEC-AVG": 2})
    assert (done.before_mg, done.after_mg) == ("1162000", "1140600")
    assert refusal(world.plan, name) == ("release_missing", "release")


def test_everything_out_of_scope_is_charged_to_the_caps_first() -> None:
    capped = metro(2, "40", caps=[day_cap("100", "month"), count_cap(4, "month")])
    world = town(capped)
    days = ("2026-01-04", "2026-01-05", "2026-01-06", "2026-01-07")
    world.credited(*(trip(day, at=f"{day}T12:00:00Z", quantity="0.5") for day in days))
    world.reverse("2026-01-05")
    world.revise(TWO, "2026-01-05", "2026-01-07")
    # 50 g booked out of scope on the 4th and the 7th, 50 g held by the reversed credit of the 5th: no room is left.
    assert lines(world, "R1") == [(5, "50000", "20000", "0", "")]
    assert world.replayed().mismatches == []


def test_in_scope_credits_take_the_room_in_log_order_not_in_time_order() -> None:
    world = town(metro(2, "40", caps=[day_cap("50", "month")]))
    world.credited(trip("late", at="2026-01-20T12:00:00Z"), trip("early", at="2026-01-02T12:00:00Z"))
    world.revise(TWO)
    assert [line[3] for line in lines(world, "R1")] == ["40000", "10000"]


def test_a_credit_without_a_value_still_uses_one_of_a_count_cap() -> None:
    partial = metro(2, [open_row("40", "CN")], caps=[count_cap(1)])
    world = town(partial)
    world.credited(trip("t1", region="US"), trip("t2", region="CN"))
    world.revise(TWO)
    assert [line[3:] for line in lines(world, "R1")] == [("0", "no_factor_for_region"), ("0", "")]


def test_two_revisions_lie_over_each_other_and_each_starts_from_the_one_before() -> None:
    world = town()
    world.publish(metro(3, "10"))
    days = ("2026-01-04", "2026-01-05", "2026-01-06")
    world.credited(*(trip(day, at=f"{day}T12:00:00Z") for day in days))
    world.revise(TWO, "2026-01-04", "2026-01-06")
    first = world.size
    world.reverse("2026-01-04")
    world.revise("TRAVEL-METRO@3", "2026-01-05")
    assert lines(world, "R2") == [(4, "40000", "10000", "10000", ""), (5, "100000", "10000", "10000", "")]
    assert world.history().balances(known=first) == {METRO: 180_000}
    assert world.history().balances() == {METRO: 20_000}
    # Going back to an older version is one more revision.
    world.revise("TRAVEL-METRO@1", "2026-01-05", "2026-01-06")
    assert lines(world, "R3") == [(4, "10000", "100000", "100000", "")]
    assert world.replayed().mismatches == []


def test_a_reversal_takes_back_what_the_credit_is_worth_when_it_comes() -> None:
    world = town()
    world.credited(trip("before"), trip("between"), trip("after"))
    assert world.reverse("before") == 100_000
    run = world.plan(TWO)
    world.approve_run(run)
    # A revision is owed: the reversal takes back the revised value.
    assert world.reverse("between") == 40_000
    world.apply_run(run)
    world.complete(run)
    assert world.reverse("after") == 40_000
    assert world.history().balances() == {METRO: 0}
    assert [line[0] for line in lines(world, run)] == [4, 5]
    assert world.replayed().mismatches == []


def test_the_lines_do_not_depend_on_when_the_run_is_applied() -> None:
    booked = []
    for early in (True, False):
        world = town(metro(2, "40", caps=[day_cap("130", "month")]))
        world.credited(trip("t1"), trip("t2"), trip("t3"))
        run = world.plan(TWO)
        world.approve_run(run)
        if early:
            world.apply_run(run)
        world.credited(trip("t4"))
        world.reverse("t1")
        world.apply_run(run)
        done = world.complete(run)
        booked.append((lines(world, run), done.after_mg, world.history().balances()))
        assert world.replayed().mismatches == []
    assert booked[0] == booked[1]
    assert [line[3] for line in booked[0][0]] == ["40000", "40000", "40000"]


def test_many_lines_continue_in_parts_and_count_only_when_the_last_is_there() -> None:
    world = town()
    world.credited(*(trip(f"t{n}") for n in range(5)))
    run = world.plan(TWO)
    world.approve_run(run)
    world.apply_run(run, lines_per_event=2)
    parts = world.all_of(events.FactorRevised)
    assert [(part.part, part.last, len(part.lines)) for part in parts] == [(1, False, 2), (2, False, 2), (3, True, 1)]
    account, history = Account(world.account_id()), world.history()
    stream = world.streams[world.account_id()]
    account.extend(stream[:-1])
    assert account.revised == {}
    assert account.extend(stream[-1:]).revised == {"TRAVEL-METRO": [run]}
    assert history.revised == {run}
    assert history.balances() == {METRO: 200_000}
    world.apply_run(run)
    assert world.complete(run).credits == 5
    assert world.replayed().mismatches == []


def test_an_event_holds_ten_thousand_lines_and_not_one_more() -> None:
    world = town()
    run = world.rulebook.revisions[world.plan(TWO)]
    line = events.RevisedLine(3, "2026-01-05", "1", "1", "1", "")
    parts = revision.revision_events(run, [line] * 20_001)
    assert [(part.part, len(part.lines), part.last) for part in parts] == [
        (1, 10_000, False),
        (2, 10_000, False),
        (3, 1, True),
    ]
    assert [part.last for part in revision.revision_events(run, [line] * 10_000)] == [True]
    assert revision.revision_events(run, []) == []


def test_an_account_without_lines_gets_no_event() -> None:
    world = town()
    world.credited(trip("t1", "ann"), trip("t2", "ben", at="2025-01-01T00:00:00Z"))
    done = world.revise(TWO, "2026-01-01")
    assert done.accounts == 1
    assert "ben" in {ref for ref in ("ann", "ben") if not booked_lines(world.streams[world.account_id(ref)], "R1")}


# -- who decides, and when ---------------------------------------------------------------------------------------


def test_planner_and_approver_are_two_people_and_a_run_is_approved_once() -> None:
    world = town()
    world.credited(trip("t1"))
    run = world.plan(TWO)
    assert refusal(world.approve_run, run, by="alice") == ("same_actor", "by")
    assert refusal(world.approve_run, run, by=" ") == ("actor_malformed", "by")
    assert refusal(world.approve_run, "R9") == ("revision_unknown", "revision")
    world.approve_run(run)
    assert world.rulebook.revisions[run].state == "approved"
    assert refusal(world.approve_run, run) == ("wrong_state", "revision")
    world.apply_run(run)
    world.complete(run)
    assert refusal(world.approve_run, run) == ("wrong_state", "revision")
    (approved,) = world.all_of(RevisionApproved)
    assert approved.plan_digest == world.rulebook.revisions[run].plan_digest


def test_a_plan_is_checked_like_a_decision() -> None:
    world = town()
    assert refusal(world.plan, "TRAVEL-METRO@9") == ("methodology_unknown", "methodology")
    world.draft(metro(3))
    assert refusal(world.plan, "TRAVEL-METRO@3") == ("wrong_state", "methodology")
    assert refusal(world.plan, TWO, "2026-02-01", "2026-01-01") == ("period_malformed", "from/to")
    assert refusal(world.plan, TWO, None, None, "中国") == ("region_malformed", "region")
    assert refusal(world.plan, TWO, releases={"X": 1}) == ("release_unknown", "release")
    draft = revision.draft_run
    nobody = refusal(draft, world.rulebook, TWO, None, None, "*", {}, "", world.size)
    assert nobody == ("actor_malformed", "by")


def test_a_plan_is_stale_when_the_valuing_of_its_behavior_has_changed() -> None:
    world = town()
    world.credited(trip("t1"))
    run = world.plan(TWO)
    # Another behavior, a release and a withdrawal merely proposed change nothing for it.
    world.introduce(power(1, "0.6"))
    world.load(release(1, factor_row("0.5")))
    world.decide("TRAVEL-METRO@1", "2026-06-01")
    assert refusal(world.approve_run, run) == ("plan_stale", "revision")
    world.approve_run(world.plan(TWO))


@pytest.mark.parametrize("change", ["publish", "withdraw", "decide", "revise"])
def test_every_change_of_the_look_up_makes_earlier_plans_stale(change: str) -> None:
    world = town()
    world.publish(metro(3, "9"))
    world.credited(trip("t1"))
    run = world.plan(TWO, "2026-01-01", "2026-02-01")
    if change == "publish":
        world.publish(metro(4))
    elif change == "withdraw":
        world.withdraw("TRAVEL-METRO@3")
    elif change == "decide":
        world.decide("TRAVEL-METRO@3", "2026-06-01")
    else:
        world.revise("TRAVEL-METRO@3", "2026-01-01", "2026-02-01")
    assert refusal(world.approve_run, run) == ("plan_stale", "revision")


def test_one_behavior_has_one_run_under_way_and_others_are_free() -> None:
    world = town()
    world.credited(trip("t1"))
    first, second = world.plan(TWO, "2026-01-01", "2026-02-01"), world.plan(TWO, "2025-01-01", "2025-02-01")
    world.approve_run(first)
    assert refusal(world.plan, TWO) == ("revision_in_progress", "behavior")
    assert refusal(world.approve_run, second) == ("revision_in_progress", "behavior")
    world.introduce(power(1, "0.6"), None, "2026-01-01")
    other = world.plan("LIVING-POWER-SAVING@1", None, "2026-01-01")
    world.approve_run(other)
    pending = [run.id for run in world.rulebook.pending_runs()]
    assert pending == [first, other]
    assert world.rulebook.pending_run("travel.bus") is None
    world.apply_run(first)
    world.complete(first)
    assert world.rulebook.pending_run(METRO) is None
    assert world.rulebook.revisions[first].state == "completed"


def test_which_runs_were_under_way_can_be_asked_for_any_position() -> None:
    world = town()
    run_id = world.plan(TWO)
    world.approve_run(run_id)
    approved = world.size
    world.complete(run_id)
    completed = world.size
    asked = [world.rulebook.pending_run(METRO, position) for position in (approved, approved + 1, completed)]
    assert [run and run.id for run in asked] == [None, run_id, run_id]
    assert world.rulebook.pending_runs(completed + 1) == []


def test_the_approval_of_a_run_is_the_decision_of_later_credits() -> None:
    world = town()
    world.revise(TWO, "2026-01-01", "2026-02-01")
    assert world.credited(trip("t1"), trip("t2", at="2026-02-20T00:00:00Z")) == [40_000, 100_000]
    decisions = [each.event.decision for each in world.streams[world.account_id()][2:]]
    assert decisions == ["R1", "D1"]


def test_a_plan_tells_what_its_approval_would_take_over() -> None:
    world = World("2025-12-01T00:00:00Z")
    world.introduce(metro(1, "100"), "2026-01-01")
    world.decide("TRAVEL-METRO@1", "2026-01-01", None, "CN-44")
    two = world.publish(metro(2, [open_row("40", "CN")]))
    world.tell("2026-03-01T00:00:00Z")
    run = world.rulebook.revisions[world.plan(two, "2026-01-15", "2026-02-01")]
    told = [(describe(c), c.before and c.before.id, c.after and c.after.id) for c in changes_by(world.rulebook, run)]
    # The province keeps its own decision; outside China the new version has no value, which leaves a gap.
    assert told == [
        ("region * from 2026-01-15 to 2026-02-01", "D1", None),
        ("region CN from 2026-01-15 to 2026-02-01", "D1", "R1"),
    ]


def test_a_withdrawal_between_plan_and_approval_is_noticed() -> None:
    world = town()
    run = world.plan(TWO)
    world.withdraw(TWO)
    assert refusal(world.approve_run, run) == ("plan_stale", "revision")


def test_the_digest_of_a_plan_follows_its_report() -> None:
    world = town()
    draft = revision.draft_run(world.rulebook, TWO, None, None, "*", {}, "alice", world.size)

    def digest(report: dict[str, Any]) -> str:
        event = revision.plan(world.rulebook, draft, None, None, report).event
        return str(getattr(event, "plan_digest", ""))

    assert digest({"a": 1, "b": "2"}) == digest({"b": "2", "a": 1}) == sm3_hex(b'{"a":1,"b":"2"}')
    assert digest({"a": 1}) != digest({"a": 2})


# -- sums --------------------------------------------------------------------------------------------------------


def test_the_impact_adds_up_accounts_credits_and_masses() -> None:
    impact = Impact()
    impact.add(
        [
            events.RevisedLine(3, "2026-01-05", "5", "4", "4", ""),
            events.RevisedLine(4, "2026-01-05", "1", None, "0", "x"),
        ]
    )
    impact.add([events.RevisedLine(3, "2026-01-05", "5", "5", "5", "")])
    assert impact.as_dict() == {
        "accounts": 2,
        "changed_accounts": 1,
        "credits": 3,
        "before_mg": "11",
        "after_mg": "9",
        "delta_mg": "-2",
    }
    assert impact.not_valued == 1


def test_a_completed_run_names_the_root_over_all_its_lines_by_account() -> None:
    world = town()
    world.credited(trip("t1", "ann"), trip("t2", "ben"), trip("t3", "cara"))
    done = world.revise(TWO)
    root = MerkleRoot()
    for stream in sorted(world.account_ids.values()):
        encoded = events_json(booked_lines(world.streams[stream], "R1"))
        root.add(f"{stream}:{sm3_hex(encoded)}".encode())
    assert done.lines_root == root.hex()


def events_json(lines_: list[events.RevisedLine]) -> bytes:
    """The lines as the format writes them: arrays in field order."""
    rows = [f'[{x.credit},"{x.day}","{x.before_mg}","{x.computed_mg}","{x.credited_mg}","{x.reason}"]' for x in lines_]
    return f"[{','.join(rows)}]".encode()
