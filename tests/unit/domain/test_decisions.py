"""Applicability decisions: two people, no silent gap, and the past only by a revision."""

from __future__ import annotations

from typing import Any

import pytest

from domain import decisions
from tests.unit.domain.documents import factor_row, metro, open_row, power, release
from tests.unit.domain.refusals import refusal
from tests.unit.domain.worlds import World, trip

TODAY = "2026-03-01"
"""Civil day of the world's clock (2026-03-01T00:00Z) at +08:00."""


def test_a_proposal_changes_nothing_until_somebody_else_approves_it() -> None:
    world = World()
    decision = world.propose(world.publish(metro()))
    assert world.rulebook.decisions("travel.metro") == []
    assert refusal(world.approve, decision, by="alice") == ("same_actor", "by")
    world.approve(decision, by="bob")
    proposal = world.rulebook.proposals[decision]
    assert (proposal.by, proposal.approver, proposal.approved) == ("alice", "bob", world.size)
    assert [d.id for d in world.rulebook.decisions("travel.metro")] == [decision]


def test_a_decision_is_approved_once_and_only_if_it_was_proposed() -> None:
    world = World()
    decision = world.decide(world.publish(metro()))
    assert refusal(world.approve, decision) == ("already_approved", "decision")
    assert refusal(world.approve, "D9") == ("decision_unknown", "decision")


@pytest.mark.parametrize("state", ["drafted", "reviewed", "certified"])
def test_only_a_published_version_can_be_applied(state: str) -> None:
    world = World()
    name = world.publish(metro(), upto=state)
    assert world.rulebook.methodologies[name].state == state
    assert refusal(world.propose, name) == ("wrong_state", "methodology")
    assert refusal(world.propose, "TRAVEL-METRO@9") == ("methodology_unknown", "methodology")


def test_a_withdrawn_version_is_never_applied_again() -> None:
    world = World()
    name = world.publish(metro())
    waiting = world.propose(name, "2026-06-01")
    world.withdraw(name)
    assert refusal(world.approve, waiting) == ("wrong_state", "methodology")
    assert refusal(world.propose, name) == ("wrong_state", "methodology")


def test_after_a_withdrawal_another_version_can_take_the_future() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one, TODAY)
    world.withdraw(one, leave_gap=True)
    decision = world.decide(two, TODAY)
    winner = world.rulebook.lookup("travel.metro", "").on(decisions.checked_period(TODAY, None).start)
    assert winner is not None
    assert winner.id == decision


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01", "2026-03-01"),
        ("2026-03-02", "2026-03-01"),
        ("2026-02-29", None),
        ("2026-3-1", None),
        ("2026-W10-1", None),
        (None, "20260301"),
        (None, "0001-01-01"),
        ("open", None),
    ],
)
def test_a_period_is_two_civil_dates_in_order(start: str | None, end: str | None) -> None:
    world = World()
    name = world.publish(metro())
    assert refusal(world.propose, name, start, end) == ("period_malformed", "from/to")


@pytest.mark.parametrize("region", ["", "CN--44", "CN-", "-CN", "中国", "CN 44", "**", "C" * 33])
def test_a_region_is_a_code_or_everywhere(region: str) -> None:
    world = World()
    name = world.publish(metro())
    assert refusal(world.propose, name, None, None, region) == ("region_malformed", "region")


def test_a_nameless_actor_decides_nothing() -> None:
    world = World()
    name = world.publish(metro())
    decision = world.propose(name)
    assert refusal(world.approve, decision, by=" ") == ("actor_malformed", "by")
    propose = decisions.propose
    assert refusal(propose, world.rulebook, name, None, None, "*", {}, "", leave_gap=False) == ("actor_malformed", "by")


def test_a_version_with_a_factor_set_needs_a_loaded_release_of_it() -> None:
    world = World()
    name, plain = world.publish(power(1)), world.publish(metro())
    assert refusal(world.propose, name) == ("release_missing", "release")
    assert refusal(world.propose, name, releases={"CN-ELEC-AVG": 1}) == ("release_unknown", "release")
    world.load(release(1, factor_row("0.5366")))
    assert refusal(world.propose, name, releases={"CN-ELEC-AVG": 2}) == ("release_unknown", "release")
    assert refusal(world.propose, plain, releases={"CN-ELEC-AVG": 1}) == ("release_unknown", "release")
    decision = world.decide(name, releases={"CN-ELEC-AVG": 1})
    assert world.rulebook.proposals[decision].releases == {"CN-ELEC-AVG": 1}


def test_a_release_in_another_unit_is_refused_before_it_is_proposed() -> None:
    world = World()
    name = world.publish(power(1))
    world.load(release(1, factor_row("536.6", unit="g/kWh")))
    assert refusal(world.propose, name, releases={"CN-ELEC-AVG": 1}) == ("factor_unit_differs", "rows[0].unit")


def test_the_past_that_a_decision_covered_changes_only_by_a_revision() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one, "2026-02-01")
    assert refusal(world.approve, world.propose(two, "2026-02-28")) == ("use_revision", "from")
    assert refusal(world.approve, world.propose(two)) == ("use_revision", "from")
    world.approve(world.propose(two, TODAY))


def test_the_past_ends_with_the_civil_day_of_the_approval_at_the_offset() -> None:
    world = World(now="2026-02-27T00:00:00Z")
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one)
    proposal = world.propose(two, "2026-02-28")
    world.tell("2026-02-28T16:00:00Z")
    # Midnight in +08:00: the day that was today is past now.
    assert refusal(world.approve, proposal) == ("use_revision", "from")
    world.now_us -= 1
    world.approve(proposal)


def test_a_past_that_nothing_ever_covered_may_be_decided_forward() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one, "2026-02-01", None, "CN-44")
    world.decide(two, "2025-01-01", "2026-02-01", "CN-44")
    world.decide(two, "2020-01-01", None, "CN-31")
    assert refusal(world.approve, world.propose(two, "2026-02-27", None, "CN")) == ("use_revision", "from")
    assert refusal(world.approve, world.propose(two, "2026-02-27", None, "CN-440300")) == ("use_revision", "from")


def test_a_withdrawn_decision_still_guards_the_past_it_covered() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one, "2026-02-01", "2026-02-10")
    world.withdraw(one, leave_gap=True)
    assert refusal(world.approve, world.propose(two, "2026-02-09", "2026-02-11")) == ("use_revision", "from")
    world.approve(world.propose(two, "2026-02-10", "2026-02-11"))


def test_a_gap_is_left_only_by_somebody_who_says_so() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2, [open_row("70", "CN", None, "2026-06-01")]))
    world.decide(one)
    assert refusal(world.approve, world.propose(two, "2026-05-01")) == ("gap_left", "leave_gap")
    changes = world.approve(world.propose(two, "2026-05-01", leave_gap=True))
    assert {change.region for change in changes if change.after is None} == {"*", "CN"}


@pytest.mark.parametrize(
    ("periods", "message"),
    [
        (("2026-05-01", "2026-06-01"), "nothing would value region * from 2026-05-01 to 2026-06-01"),
        (("2026-05-01", None), "nothing would value region * from 2026-05-01 to open end"),
    ],
)
def test_a_refused_gap_says_what_would_no_longer_be_valued(periods: tuple[Any, Any], message: str) -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2, [open_row("70", "US")]))
    world.decide(one)
    proposal = world.propose(two, *periods)
    with pytest.raises(Exception, match="gap_left") as refused:
        world.approve(proposal)
    assert message in str(refused.value)


def test_no_decision_is_approved_while_a_revision_of_its_behavior_is_under_way() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one)
    waiting = world.propose(two, "2026-06-01")
    world.credited(trip("t1"))
    run = world.plan(two, "2026-01-01", "2026-02-01")
    world.approve_run(run)
    assert refusal(world.approve, waiting) == ("revision_in_progress", "behavior")
    # Another behavior is not concerned.
    world.decide(world.publish(power(1, "0.61")))
    world.apply_run(run)
    world.complete(run)
    world.approve(waiting)
