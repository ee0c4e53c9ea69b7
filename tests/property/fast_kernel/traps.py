"""Books made for one trap each: what random stories meet too seldom.

Keeps: every book is right, written by the domain itself, and the fast kernel must prove all of it.
Leaves to ``wide``: numbers of more than 63 bits; to ``wrong``: events that the ledger would not have written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from domain import account as account_rules
from tests.unit.domain.documents import count_cap, day_cap, metro, open_row
from tests.unit.domain.worlds import World, trip

ANN, BOB = UUID(int=1), UUID(int=2)


def book(now: str = "2019-06-01T00:00:00Z", opened: tuple[str, ...] = ("ann",)) -> World:
    world = World(now)
    for number, ref in enumerate(opened, start=1):
        world.open_account(ref, UUID(int=number))
        world.grant(ref)
    return world


def quantities(least: int, most: int, scale: int = 0) -> dict[str, Any]:
    return {"quantity": {"unit": "km", "scale": scale, "min": str(least), "max": str(most)}}


def ties_in_every_rounding() -> World:
    """Exact halves of a milligram, on both sides of 0, under each rounding; revised twice."""
    world = book()
    for number, rounding in enumerate(("down", "half_even", "half_up"), start=1):
        code = {"code": f"TIE-{number}", "behavior": f"tie.case{number}", "rounding": rounding}
        world.introduce(metro(1, "0.5", **code))
        kilometers = [f"0.00{n}" for n in range(1, 10)]
        rows = [
            trip(f"{number} {n}", at="2019-05-01T08:00:00+08:00", quantity=q, behavior=code["behavior"])
            for n, q in enumerate(kilometers)
        ]
        world.credited(*rows)
        for version, rate in ((2, "1.5"), (3, "-0.5"), (4, "-1.5"), (5, "2.5")):
            world.revise(world.publish(metro(version, rate, **code)))
    return world


def a_summer_night_of_1988() -> World:
    """15:30 UTC on 1 July 1988 is the same day at +08:00, and the next one by the daylight saving of Shanghai."""
    world = book("1988-08-01T00:00:00Z")
    world.introduce(metro(1, "1", caps=[day_cap("5")]))
    world.open_account("bob", BOB)
    world.grant("bob", end="1988-07-01T15:45:00Z")
    for ref in ("ann", "bob"):
        world.credited(trip(f"{ref} 1", ref, at="1988-07-01T15:30:00Z", quantity="4"))
    world.credited(
        trip("ann 2", at="1988-07-01T15:59:59.999999Z", quantity="4"),
        trip("ann 3", at="1988-07-01T16:00:00Z", quantity="4"),
    )
    world.revise(world.publish(metro(2, "2", caps=[day_cap("6")])), "1988-07-01", "1988-07-02")
    return world


def consents_that_end_within_a_day() -> World:
    """The validity is an instant; the credit's day at the offset must touch it."""
    world = book(opened=())
    world.introduce(metro(1, "1"))
    world.introduce(metro(1, "1", code="WEST", behavior="west.case", utc_offset="-05:00"))
    world.open_account("ann", ANN)
    world.grant(start="2019-04-30T15:30:00Z", end="2019-04-30T16:30:00Z")
    world.credited(
        trip("1", at="2019-04-30T15:30:00Z"), trip("2", at="2019-04-30T16:00:00Z"), trip("3", at="2019-04-30T16:29:59Z")
    )
    world.open_account("bob", BOB)
    world.grant("bob", start="2019-05-01T03:00:00Z", end="2019-05-01T06:00:00Z")
    world.credited(
        trip("4", "bob", at="2019-05-01T03:00:00Z", behavior="west.case"),
        trip("5", "bob", at="2019-05-01T05:59:59Z", behavior="west.case"),
    )
    return world


def an_account_frozen_and_opened_again() -> World:
    """Statuses and consents come and go between credits."""
    world = book()
    world.introduce(metro(1, "1"))
    for number in range(3):
        world.credited(trip(f"a{number}", at="2019-05-01T08:00:00+08:00"))
        world.on_account(account_rules.freeze(world.head(), "olga", "a check"))
        world.on_account(account_rules.unfreeze(world.head(), "olga", "done"))
        (consent, *_) = world.head().consents
        world.on_account(account_rules.withdraw_consent(world.head(), consent.version, "olga", "asked"))
        world.grant()
    world.credited(trip("last", at="2019-05-01T08:00:00+08:00"))
    world.on_account(account_rules.close(world.head(), "olga", "asked"))
    world.revise(world.publish(metro(2, "2")))
    return world


def caps_under_two_revisions() -> World:
    """Windows partly in scope; a late row of the year before; credits cut to 0 that use a count."""
    caps = [day_cap("5"), day_cap("9", "month"), count_cap(4, "month"), day_cap("12", "year"), count_cap(7, "year")]
    world = book("2019-01-02T00:00:00Z")
    world.introduce(metro(1, "1", caps=caps))
    days = ("2018-12-31", "2019-01-01", "2018-12-30", "2018-12-31", "2018-12-01", "2018-11-30", "2018-12-31")
    world.credited(*(trip(f"{n}", at=f"{day}T09:00:00+08:00", quantity="4") for n, day in enumerate(days)))
    world.reverse("2")
    world.revise(world.publish(metro(2, "2", caps=caps[1:])), "2018-12-31", "2019-01-01")
    world.credited(trip("8", at="2018-12-30T09:00:00+08:00", quantity="3"), trip("9", at="2018-11-02T09:00:00+08:00"))
    world.reverse("0")
    world.revise(world.publish(metro(3, "0.5", caps=[day_cap("3", "month"), count_cap(2)])), "2018-12-01", "2019-02-01")
    world.credited(trip("10", at="2018-12-31T23:00:00+08:00", quantity="1"))
    return world


def a_count_cap_of_credits_out_of_scope() -> World:
    """A credit out of scope takes the only count although it was recorded last."""
    world = book()
    world.introduce(metro(1, "1", caps=[day_cap("100")]))
    world.credited(*(trip(f"{n}", at="2019-05-01T08:00:00+08:00", region=r) for n, r in enumerate(("CN", "CN", "US"))))
    world.revise(world.publish(metro(2, "2", caps=[count_cap(2), day_cap("3.5")])), region="CN")
    return world


def a_run_that_waits() -> World:
    """Approved, given to one account of three, not completed."""
    world = book(opened=("ann", "bob", "cid"))
    world.introduce(metro(1, "1", caps=[day_cap("3")]))
    for ref in ("ann", "bob", "cid"):
        world.credited(trip(f"{ref} 1", ref, quantity="2", at="2019-05-01T08:00:00+08:00"))
    run = world.plan(world.publish(metro(2, "2", caps=[day_cap("3")])))
    world.approve_run(run)
    world.apply_run(run, "bob")
    world.credited(trip("late", "cid", at="2019-05-01T08:00:00+08:00"))
    return world


def a_run_over_the_second_year() -> World:
    """The first credit is worth something and stays out of scope; lines with and without a value."""
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2018-05-01T08:00:00Z"))
    world.credited(*(trip(f"2 {region}", at="2019-05-01T08:00:00Z", region=region) for region in ("US", "CN")))
    world.revise(world.publish(metro(2, [open_row("2", "US")])), "2019-01-01")
    world.credited(trip("3", at="2019-05-02T08:00:00Z", region="US"))
    return world


def the_first_year_and_the_last(now: str, days: tuple[str, ...]) -> World:
    world = book(now)
    caps = [day_cap("6", "month"), day_cap("9", "year"), count_cap(3)]
    world.introduce(metro(1, "1", caps=caps, utc_offset="+00:00"))
    world.credited(*(trip(f"{n}", at=f"{day}T00:00:00Z", quantity="4") for n, day in enumerate(days)))
    world.revise(world.publish(metro(2, "2", caps=caps, utc_offset="+00:00")))
    return world


def the_first_year() -> World:
    return the_first_year_and_the_last("0001-03-01T00:00:00Z", ("0001-01-01", "0001-01-31", "0001-02-01", "0001-01-02"))


def the_last_year() -> World:
    days = ("9999-12-31", "9999-12-01", "9999-11-30", "9999-12-31", "9999-12-30")
    return the_first_year_and_the_last("9999-12-31T12:00:00Z", days)


def leap_days() -> World:
    """The last day of February, of years that have one more and of those that have not."""
    world = book("2020-03-02T12:00:00Z")
    world.introduce(metro(1, "1", caps=[day_cap("6", "month"), day_cap("20", "year"), count_cap(1)]))
    days = ("2020-02-29", "2020-03-01", "2020-02-28", "2019-02-28", "2019-03-01", "2020-02-29", "2019-12-31")
    world.credited(*(trip(f"{n}", at=f"{day}T09:00:00+08:00", quantity="4") for n, day in enumerate(days)))
    world.revise(world.publish(metro(2, "1.5", caps=[day_cap("7", "month")])), "2020-02-29", "2020-03-01")
    return world


def a_withdrawn_version() -> World:
    """Look-up falls back to the older decision; what was credited before stays."""
    world = book("2019-01-01T00:00:00Z")
    world.introduce(metro(1, "1"))
    world.introduce(metro(2, "2"), "2019-02-01", None, "CN")
    world.introduce(metro(1, "3", code="OTHER-METRO"), "2019-03-01", None, "CN-44")
    world.tell("2019-06-01T00:00:00Z")
    regions = ("", "CN", "CN-44", "CN-440300", "CN-11")
    rows = [(n, f"2019-0{month}-01T09:00:00+08:00", r) for month in (1, 2, 3) for n, r in enumerate(regions)]
    world.credited(*(trip(f"{n} {at}", at=at, region=r) for n, at, r in rows))
    world.withdraw("TRAVEL-METRO@2", leave_gap=True)
    world.credited(*(trip(f"again {n} {at}", at=at, region=r) for n, at, r in rows))
    world.withdraw("OTHER-METRO@1", leave_gap=True)
    world.credited(*(trip(f"at last {n} {at}", at=at, region=r) for n, at, r in rows))
    return world


def formulas_that_are_no_line() -> World:
    """Minus, differences, squares and choices of what the quantity makes."""
    world = book()
    units = {"rate": "g/km", "most": "g", "square": "g/km/km"}
    values = {"rate": "-1.5", "most": "0.25", "square": "0.1"}
    parameters = {name: {"unit": unit, "rows": [open_row(values[name])]} for name, unit in units.items()}
    formulas = (
        "max(-(quantity * rate), most)",
        "min(most - quantity * rate, -(quantity * rate) * 0.5)",
        "max(most * 0, -min(quantity * rate, most), quantity * quantity * square)",
        "quantity * quantity * square - quantity * rate",
        "-quantity * (rate - quantity * square)",
    )
    for number, formula in enumerate(formulas, start=1):
        used = {name: parameter for name, parameter in parameters.items() if name in formula}
        document = metro(
            number, parameters=used, formula=formula, rounding=("down", "half_even", "half_up")[number % 3]
        )
        if number > 1:
            world.revise(world.publish(document))
            continue
        world.introduce(document)
        world.credited(*(trip(q, at="2019-05-01T08:00:00Z", quantity=q) for q in ("0.001", "0.5", "1", "3.333", "7")))
    return world


RIGHT: tuple[Callable[[], World], ...] = (
    ties_in_every_rounding,
    a_summer_night_of_1988,
    consents_that_end_within_a_day,
    an_account_frozen_and_opened_again,
    caps_under_two_revisions,
    a_count_cap_of_credits_out_of_scope,
    a_run_that_waits,
    a_run_over_the_second_year,
    the_first_year,
    the_last_year,
    leap_days,
    a_withdrawn_version,
    formulas_that_are_no_line,
)
