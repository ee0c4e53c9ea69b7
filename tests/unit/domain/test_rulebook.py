"""The rulebook is a chain: what was recorded once can be judged for ever, and nothing can be left out of it."""

from __future__ import annotations

import pytest

from domain.errors import Corrupt
from domain.events.base import Recorded, RulebookEvent
from domain.rulebook import Rulebook, period_of
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, day_number
from tests.unit.domain.documents import factor_row, metro, power, release
from tests.unit.domain.worlds import World, trip


def chain(world: World) -> list[Recorded]:
    return [each for each in world.events() if isinstance(each.event, RulebookEvent)]


def eventful() -> World:
    world = World()
    world.introduce(metro(1), "2026-04-01")
    world.publish(metro(2))
    world.load(release(1, factor_row("0.5366")))
    world.introduce(power(1), releases={"CN-ELEC-AVG": 1})
    world.credited(trip("t1", behavior="living.power_saving", unit="kWh"))
    world.revise("TRAVEL-METRO@2", "2026-01-01", "2026-02-01")
    world.withdraw("TRAVEL-METRO@2", leave_gap=True)
    return world


def test_each_rulebook_event_names_the_one_before_it() -> None:
    events = chain(eventful())
    assert [each.event.previous for each in events] == [0, *(each.position for each in events[:-1])]


def test_a_rulebook_with_a_missing_event_is_refused() -> None:
    events = chain(eventful())
    for gone in range(len(events) - 1):
        with pytest.raises(Corrupt) as refused:
            Rulebook().extend(events[:gone] + events[gone + 1 :])
        assert refused.value.code == "rulebook_chain_broken"
        assert refused.value.field == f"position {events[gone + 1].position}"


def test_two_folds_of_the_same_events_are_equal() -> None:
    events = chain(eventful())
    whole, step_by_step = Rulebook(), Rulebook()
    whole.extend(events)
    for each in events:
        step_by_step.extend([each])
    for name in ("position", "genesis", "methodologies", "releases", "proposals", "revisions"):
        assert getattr(whole, name) == getattr(step_by_step, name), name
    told = [
        [(d.id, d.methodology, d.period, d.region, d.position, d.ended) for d in book.all_decisions("travel.metro")]
        for book in (whole, step_by_step)
    ]
    assert told[0] == told[1]
    assert [decision[0] for decision in told[0]] == ["D1", "R1"]


def test_the_genesis_of_a_book_says_whether_its_clock_is_simulated() -> None:
    rulebook = World().rulebook
    assert rulebook.genesis is not None
    assert rulebook.genesis.clock == "simulated"
    assert Rulebook().genesis is None


def test_an_open_side_of_a_period_reaches_to_the_end_of_the_calendar() -> None:
    day = day_number("2026-01-01")
    assert period_of(None, None) == Period(FIRST_DAY, AFTER_LAST_DAY)
    assert period_of("2026-01-01", None) == Period(day, AFTER_LAST_DAY)
    assert period_of(None, "2026-01-01") == Period(FIRST_DAY, day)


def test_the_position_of_a_behavior_moves_only_with_what_changes_its_valuing() -> None:
    world = World()
    seen = [world.rulebook.behavior_position("travel.metro")]
    name = world.publish(metro(1))
    seen.append(world.rulebook.behavior_position("travel.metro"))
    decision = world.propose(name)
    world.load(release(1, factor_row("0.5366")))
    world.publish(power(1))
    seen.append(world.rulebook.behavior_position("travel.metro"))
    world.approve(decision)
    seen.append(world.rulebook.behavior_position("travel.metro"))
    assert seen[0] == 0
    assert seen[1] == seen[2] == 5
    assert seen[3] == world.size


def test_look_up_at_a_past_position_is_the_same_before_and_after_later_events() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one, "2026-04-01")
    day, asked = day_number("2026-05-01"), world.size + 1
    before = world.rulebook.lookup("travel.metro", "CN", asked).on(day)
    world.decide(two, "2026-04-01")
    world.withdraw(one)
    after = world.rulebook.lookup("travel.metro", "CN", asked).on(day)
    assert before is not None
    assert after is not None
    assert before.id == after.id == "D1"
    afresh = Rulebook()
    afresh.extend(chain(world))
    found = afresh.lookup("travel.metro", "CN", asked).on(day)
    assert found is not None
    assert found.id == "D1"
