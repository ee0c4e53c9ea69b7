"""Which decision values a behavior: region, civil day and log position decide, nothing else."""

from __future__ import annotations

import pytest

from domain.applicability import LookUp, build_lookup, changes_of_hand, gaps, overlap, regions_touch
from domain.rulebook import Rulebook
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, day_number
from tests.unit.domain.documents import metro, open_row
from tests.unit.domain.worlds import World

METRO = "travel.metro"
DAY = day_number("2026-05-01")


def winner(world: World, region: str = "", day: int = DAY, known: int | None = None) -> str | None:
    lookup = world.rulebook.lookup(METRO, region) if known is None else world.rulebook.lookup(METRO, region, known)
    decision = lookup.on(day)
    return None if decision is None else decision.id


def test_the_most_specific_region_wins_even_against_a_newer_decision() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    province, world_wide = world.decide(one, "2026-04-01", None, "CN-44"), world.decide(two, "2026-04-01")
    assert winner(world, "CN-440300") == province
    assert winner(world, "CN-44") == province
    assert winner(world, "CN-31") == world_wide
    assert winner(world, "US") == world_wide


def test_among_decisions_of_one_region_the_greatest_position_wins() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    first, second = world.propose(two, "2026-04-01"), world.propose(one, "2026-04-01")
    world.approve(second)
    world.approve(first)
    assert winner(world) == first


def test_an_empty_region_matches_only_the_decision_for_everywhere() -> None:
    world = World()
    one = world.publish(metro(1))
    world.decide(one, "2026-04-01", None, "CN")
    assert winner(world, "") is None
    assert winner(world, "*") is None
    everywhere = world.decide(one, "2026-04-01")
    assert winner(world, "") == everywhere


def test_the_first_day_of_a_decision_is_in_and_the_last_is_out() -> None:
    world = World()
    decision = world.decide(world.publish(metro(1)), "2026-04-01", "2026-05-01")
    days = ["2026-03-31", "2026-04-01", "2026-04-30", "2026-05-01"]
    assert [winner(world, "", day_number(day)) for day in days] == [None, decision, decision, None]


def test_look_up_covers_every_day_of_the_calendar() -> None:
    world = World()
    decision = world.decide(world.publish(metro(1)))
    assert winner(world, "", FIRST_DAY) == decision
    assert winner(world, "", AFTER_LAST_DAY - 1) == decision
    assert build_lookup([], "CN") == LookUp((FIRST_DAY,), (None,))


def test_a_credit_rests_only_on_decisions_recorded_before_it() -> None:
    world = World()
    decision = world.decide(world.publish(metro(1)), "2026-04-01")
    approved = world.size
    assert winner(world, known=approved) is None
    assert winner(world, known=approved + 1) == decision


def test_several_codes_may_value_one_behavior_and_look_up_goes_across_them() -> None:
    world = World()
    metro_code = world.publish(metro(1))
    rival = world.publish(metro(1, "50", code="TRAVEL-METRO-SZ"))
    everywhere, shenzhen = world.decide(metro_code, "2026-04-01"), world.decide(rival, "2026-04-01", None, "CN-440300")
    assert winner(world, "CN-440300") == shenzhen
    assert winner(world, "CN-440100") == everywhere
    later = world.decide(rival, "2026-06-01")
    assert winner(world, "CN-31", day_number("2026-06-01")) == later
    assert winner(world, "CN-31", day_number("2026-05-31")) == everywhere


def test_a_withdrawal_falls_back_to_the_next_older_decision() -> None:
    world = World()
    oldest, middle, newest = (world.publish(metro(n)) for n in (1, 2, 3))
    first, second, third = (world.decide(name, "2026-04-01") for name in (oldest, middle, newest))
    assert winner(world) == third
    before = world.size
    world.withdraw(newest)
    assert winner(world) == second
    world.withdraw(middle)
    assert winner(world) == first
    # What was recorded before the withdrawals still rests on the newest.
    assert winner(world, known=before + 1) == third


def test_all_decisions_of_a_withdrawn_version_end_together() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    base = world.decide(one, "2026-04-01")
    world.decide(two, "2026-04-01", "2026-05-10")
    world.decide(two, "2026-04-01", None, "CN")
    world.withdraw(two)
    assert winner(world, "CN-11") == base
    assert winner(world, "") == base


def test_regions_touch_when_one_contains_the_other() -> None:
    assert regions_touch("CN", "CN-440300")
    assert regions_touch("CN-440300", "CN-44")
    assert regions_touch("*", "US")
    assert regions_touch("CN-44", "CN-44")
    assert not regions_touch("CN-44", "CN-31")
    assert not regions_touch("CN-440300", "CN-440100")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Period(1, 5), Period(3, 9), Period(3, 5)),
        (Period(1, 9), Period(3, 5), Period(3, 5)),
        (Period(1, 3), Period(3, 5), None),
        (Period(1, 2), Period(4, 5), None),
    ],
)
def test_periods_that_only_touch_share_no_day(one: Period, other: Period, both: Period | None) -> None:
    assert overlap(one, other) == both
    assert overlap(other, one) == both


def test_an_approval_tells_each_region_and_period_that_changes_hands() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    first = world.decide(one, "2026-04-01", "2026-07-01")
    province = world.decide(one, "2026-04-01", "2026-05-01", "CN-44")
    changes = world.approve(world.propose(two, "2026-04-15", "2026-06-01"))
    found = [(c.region, c.period, c.before and c.before.id, c.after and c.after.id) for c in changes]
    april, may, june = day_number("2026-04-15"), day_number("2026-05-01"), day_number("2026-06-01")
    # In CN-44 the province's own decision stays until it ends.
    assert found == [("*", Period(april, june), first, "D3"), ("CN-44", Period(may, june), first, "D3")]
    assert province == "D2"


def test_neighboring_periods_with_the_same_winners_are_told_as_one() -> None:
    world = World()
    one = world.publish(metro(1))
    world.decide(one, "2026-04-01", "2026-05-01", "CN-44")
    changes = world.approve(world.propose(one, "2026-03-15", "2026-08-01", "CN"))
    assert [(c.region, c.period.end) for c in changes] == [
        ("CN", day_number("2026-08-01")),
        ("CN-44", day_number("2026-04-01")),
        ("CN-44", day_number("2026-08-01")),
    ]


def test_a_version_without_a_row_for_a_region_or_day_leaves_a_gap_there() -> None:
    world = World()
    partial = [open_row("70", "CN-44"), open_row("60", "CN", "2026-04-01", "2026-06-01")]
    one, two = world.publish(metro(1)), world.publish(metro(2, partial))
    world.decide(one, "2026-04-01")
    before = world.rulebook.decisions(METRO)
    proposal = world.rulebook.proposals[world.propose(two, "2026-05-01", None, leave_gap=True)]
    after = [*before, world.rulebook.decision_from(proposal, world.size + 1)]
    changes = changes_of_hand(before, after, proposal.region, proposal.period)
    may, june = day_number("2026-05-01"), day_number("2026-06-01")
    assert [(gap.region, gap.period) for gap in gaps(changes)] == [
        ("*", Period(may, AFTER_LAST_DAY)),
        ("CN", Period(june, AFTER_LAST_DAY)),
    ]
    taken = [(c.region, c.period) for c in changes if c.after is not None]
    assert taken == [("CN", Period(may, june)), ("CN-44", Period(may, AFTER_LAST_DAY))]


def test_what_nothing_valued_before_is_no_gap_afterwards() -> None:
    world = World()
    two = world.publish(metro(2, [open_row("70", "CN")]))
    changes = world.approve(world.propose(two, "2026-04-01"))
    assert [(c.region, c.before) for c in changes] == [("CN", None)]
    assert gaps(changes) == []


def test_look_ups_are_remembered_but_not_without_limit() -> None:
    rulebook = Rulebook()
    for number in range(10_002):
        assert rulebook.lookup(METRO, f"R{number}").on(DAY) is None
    assert rulebook.lookup(METRO, "R1") is rulebook.lookup(METRO, "R1")
    assert len(rulebook._lookups) < 10_000
