"""Balances on two clocks: when it happened, and when the ledger knew."""

from __future__ import annotations

from domain.events import account as events
from domain.history import AccountHistory
from domain.values import day_number
from tests.unit.domain.documents import metro
from tests.unit.domain.worlds import World, trip

METRO = "travel.metro"


def town() -> World:
    world = World()
    world.introduce(metro(rate="100"))
    return world


def test_an_empty_history_has_no_balance() -> None:
    assert AccountHistory().balances() == {}


def test_a_balance_is_the_sum_of_what_is_known_at_a_position() -> None:
    world = town()
    world.credited(trip("t1", quantity="1"))
    first = world.size
    world.credited(trip("t2", quantity="2"))
    second = world.size
    world.reverse("t1")
    history = world.history()
    assert history.balances(known=0) == {}
    assert history.balances(known=first) == {METRO: 100_000}
    assert history.balances(known=second) == {METRO: 300_000}
    assert history.balances(known=world.size) == history.balances() == {METRO: 200_000}


def test_a_balance_may_stop_before_a_civil_day() -> None:
    world = town()
    world.credited(trip("t1", at="2026-01-05T23:59:59.999999+08:00"), trip("t2", at="2026-01-06T00:00:00+08:00"))
    history = world.history()
    assert history.balances(before_day=day_number("2026-01-05")) == {}
    assert history.balances(before_day=day_number("2026-01-06")) == {METRO: 100_000}
    assert history.balances(before_day=day_number("2026-01-07")) == {METRO: 200_000}


def test_a_behavior_appears_with_its_first_credit_even_when_it_is_worth_nothing() -> None:
    world = town()
    world.credited(trip("t1"))
    world.reverse("t1")
    assert world.history().balances() == {METRO: 0}


def test_a_credit_is_worth_nothing_before_it_was_recorded() -> None:
    world = town()
    world.credited(trip("t1"))
    (credit,) = world.history().credits.values()
    assert credit.worth_at(credit.position - 1) == 0
    assert credit.worth_at(credit.position) == 100_000


def test_every_valuation_of_a_credit_stays_readable() -> None:
    world = town()
    world.publish(metro(2, rate="50"))
    world.credited(trip("t1"))
    world.revise("TRAVEL-METRO@2")
    world.reverse("t1")
    (credit,) = world.history().credits.values()
    told = [(v.by, v.methodology, v.computed_mg, v.credited_mg, v.reason) for v in credit.valuations]
    assert told == [
        ("D1", "TRAVEL-METRO@1", 100_000, 100_000, ""),
        ("R1", "TRAVEL-METRO@2", 50_000, 50_000, ""),
        ("reversal", "TRAVEL-METRO@2", None, 0, "sent by mistake"),
    ]
    worth = [credit.worth_at(v.position) for v in credit.valuations]
    assert worth == [100_000, 50_000, 0]
    assert (credit.mass, credit.worth) == (50_000, 0)


def test_the_reference_of_an_account_is_gone_where_its_personal_part_is() -> None:
    world = town()
    world.credited(trip("t1", "ann"))
    world.reverse("t1")
    stream = world.streams[world.account_id("ann")]
    assert AccountHistory().extend(stream).account_ref == "ann"
    erased = [each._replace(personal=None) for each in stream]
    history = AccountHistory().extend(erased)
    assert history.account_ref is None
    (credit,) = history.credits.values()
    assert credit.personal is None
    assert (credit.valuations[-1].by, credit.valuations[-1].reason) == ("reversal", "")
    assert history.balances() == world.history().balances()


def test_cap_use_over_all_days_counts_reversed_credits_of_the_code_and_no_other() -> None:
    world = town()
    world.introduce(metro(1, "9", code="OTHER", behavior="travel.bus"))
    world.credited(trip("t1"), trip("t2", quantity="2"), trip("t3", behavior="travel.bus"))
    world.reverse("t1")
    assert world.history().use_of("TRAVEL-METRO").days == {day_number("2026-01-05"): (300_000, 2)}
    assert world.history().use_of("OTHER").days == {day_number("2026-01-05"): (9_000, 1)}


def test_events_that_move_no_mass_only_move_the_version() -> None:
    world = town()
    world.credited(trip("t1"))
    world.on_account(events.AccountFrozen(by="olga"))
    history = world.history()
    assert history.version == world.head().version == 4
    assert history.balances() == {METRO: 100_000}


def test_a_credit_of_two_behaviors_is_told_by_behavior_in_order_of_names() -> None:
    world = town()
    world.introduce(metro(1, "9", code="BUS", behavior="travel.bus"))
    world.credited(trip("t1"), trip("t3", behavior="travel.bus"))
    assert list(world.history().balances().items()) == [("travel.bus", 9_000), (METRO, 100_000)]
