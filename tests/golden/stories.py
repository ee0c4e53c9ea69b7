"""Small complete histories, told once by the real code and then kept for ever.

Keeps: nothing is left to chance or to the clock, so telling a story again gives the same bytes; together the stories
hold every kind of event (a test sees to it).
Leaves to ``regenerate``: the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch
from uuid import UUID

from domain import account as account_rules
from domain import methodology
from domain.behavior import Refusal
from tests.golden.acting_story import tell_of_acts
from tests.golden.partner_story import tell_of_partners
from tests.golden.signing_story import tell_of_keys
from tests.unit.domain.documents import count_cap, day_cap, factor_row, metro, open_row, power, release
from tests.unit.domain.worlds import World, saving, trip

HOUSEHOLD = UUID("00000000-0000-4000-8000-00000000aa01")
COMPANY = UUID("00000000-0000-4000-8000-00000000aa02")


@contextmanager
def numbered_accounts() -> Iterator[None]:
    """Account ids are random by design; here they are 1, 2, 3 ... so that a story is told in the same bytes again."""
    numbers = count(1)
    with patch("domain.crediting.uuid4", lambda: UUID(f"00000000-0000-4000-8000-{next(numbers):012d}")):
        yield


def town() -> World:
    """Three kinds of accounts, consents, refusals, caps, a province of its own, a withdrawal, a reversal."""
    world = World("2026-01-01T00:00:00Z")
    world.introduce(metro(1, "100", caps=[day_cap("150"), count_cap(3)]), "2025-01-01")
    world.introduce(metro(1, "80.5", code="TRAVEL-BUS", behavior="travel.bus", caps=[day_cap("1", "year")]))
    world.open_account("the Lees", HOUSEHOLD, "household")
    world.grant("the Lees", ("travel.metro", "travel.bus"), "2026-01-01T00:00:00+08:00", "2026-06-01T00:00:00+08:00")
    world.open_account("ACME 有限公司", COMPANY, "enterprise")
    world.grant("ACME 有限公司", ("*",))
    world.tell("2026-01-06T01:02:03.000004Z")
    unreadable = Refusal(9, "malformed", "quantity", "it is empty", "send plain ASCII digits")
    world.send(
        *(trip(f"t{n}", "ann") for n in range(4)),
        trip("t0", "ann", quantity="1.000"),
        trip("t1", "ann", quantity="2"),
        unreadable,
        trip("t4", "ann", quantity="0.0001"),
        trip("z1", "张三", region="CN-440300"),
        trip("z2", "张三", behavior="travel.bus", quantity="12.35"),
        trip("l1", "the Lees"),
        trip("l2", "the Lees", at="2025-12-31T23:59:59+08:00"),
    )
    world.send(trip("x1", "a stranger"), partner="bus-co", opens=False)
    world.on_account(account_rules.freeze(world.head("ann"), "olga", "two phones at once"), "ann")
    world.send(trip("t5", "ann"), trip("t0", "ann"))
    world.on_account(account_rules.unfreeze(world.head("ann"), "olga", "cleared"), "ann")
    world.reverse("t1")
    world.on_account(account_rules.withdraw_consent(world.head("the Lees"), 2, "the Lees", "moved"), "the Lees")
    world.send(trip("l3", "the Lees", at="2026-01-05T09:00:00+08:00"))
    two = world.publish(metro(2, "60", rounding="half_even"))
    world.decide(two, "2026-02-01", None, "CN-44", leave_gap=True)
    world.tell("2026-02-10T00:00:00Z")
    world.send(
        *(
            trip(f"z{n}", "张三", region=region, at="2026-02-05T10:00:00Z")
            for n, region in ((3, "CN-440300"), (4, "CN"))
        )
    )
    world.withdraw(two)
    world.send(trip("z5", "张三", region="CN-440300", at="2026-02-06T10:00:00Z"), trip("a1", "ACME 有限公司"))
    world.on_account(account_rules.close(world.head("张三"), "olga", "at the holder's request"), "张三")
    world.send(trip("z6", "张三"))
    # A late row of a year that has left the head.
    world.send(trip("t9", "ann", at="2026-02-05T10:00:00Z"), trip("t10", "ann", at="2025-03-05T10:00:00Z"))
    world.erase("ann")
    world.send(trip("t0", "ann"), trip("t11", "ann", at="2026-02-05T10:00:00Z"))
    world.draft(metro(3, "1"))
    world.act(methodology.review(world.rulebook, "TRAVEL-METRO@3", "rita"))
    return world


def grid() -> World:
    """Factor releases, a run in parts with a credit and a reversal in the middle, runs over each other, open runs."""
    world = World("2022-01-01T00:00:00Z")
    world.load(release(1, factor_row("0.5810"), factor_row("0.4512", "CN-44", page=None, document_sm3="5e" * 32)))
    name = world.introduce(power(1, caps=[day_cap("5000", "month")]), "2022-01-01", releases={"CN-ELEC-AVG": 1})
    world.publish(power(2, "0.6101"))
    world.decide("LIVING-POWER-SAVING@2", "2022-01-01", None, "US", leave_gap=True)
    world.tell("2022-06-01T00:00:00Z")
    for day in range(10, 15):
        world.send(
            saving(f"a{day}", "ann", quantity="2", at=f"2022-05-{day}T12:00:00Z", region="CN-31"),
            saving(f"b{day}", "ben", quantity="1.5", at=f"2022-05-{day}T12:00:00Z", region="CN-440300"),
            saving(f"c{day}", "cara", quantity="0.125", at=f"2022-05-{day}T12:00:00Z", region="US-CA"),
        )
    world.reverse("a11")
    world.tell("2023-02-15T00:00:00Z")
    world.load(release(2, factor_row("0.5703"), factor_row("0.4326", "CN-44")))
    first = world.plan(name, "2022-01-01", "2022-05-14", releases={"CN-ELEC-AVG": 2})
    world.approve_run(first)
    world.apply_run(first, "ann", lines_per_event=2)
    world.reverse("b10")
    world.send(saving("b15", "ben", quantity="3", at="2022-05-13T12:00:00Z", region="CN-440300"))
    world.apply_run(first)
    world.complete(first)
    world.tell("2023-03-01T00:00:00Z")
    narrow = power(3, inputs={"quantity": {"unit": "kWh", "scale": 3, "min": "0.5", "max": "2"}})
    narrow["parameters"] = {"grid": {"unit": "kg/kWh", "rows": [open_row("0.5366", "CN")]}}
    world.revise(world.publish(narrow), "2022-05-12", None, "CN")
    world.plan("LIVING-POWER-SAVING@2", None, None, "CN-44")
    last = world.plan(name, "2022-01-01", None, releases={"CN-ELEC-AVG": 1})
    world.approve_run(last)
    world.apply_run(last, "ben")
    return world


def edges() -> World:
    """Numbers at their edges: beyond 63 bits, below zero, ties, another offset, caps of years long closed."""
    world = World("2020-03-01T00:00:00Z")
    huge = metro(1, "999999999.999999999", behavior="industry.heat", code="HEAT", result_unit="kg", utc_offset="-05:30")
    huge["inputs"] = {"quantity": {"unit": "GJ", "scale": 9, "min": "0.000000001", "max": "9" * 29}}
    huge["parameters"]["rate"]["unit"] = "kg/GJ"
    world.introduce(huge)
    bound = metro(1, "0.0005", formula="max(0 - rate * quantity, min(quantity * rate, quantity * rate * 3))")
    world.introduce(bound | {"rounding": "half_even"}, None, "2019-01-01")
    world.introduce(metro(2, "-0.0005", rounding="half_up"), "2019-01-01", "2020-01-01")
    world.introduce(metro(3, "100", caps=[day_cap("250", "year")]), "2020-01-01")
    world.send(
        trip("h1", "plant", behavior="industry.heat", unit="GJ", quantity="9" * 29, at="2020-02-29T05:29:59Z"),
        trip("h2", "plant", behavior="industry.heat", unit="GJ", quantity="0.000000001", at="2020-02-29T05:30:00Z"),
        *(trip(f"e{q}", "ann", quantity=q, at="2018-12-31T15:59:59.999999Z") for q in ("1", "3", "5", "0.999")),
        *(trip(f"u{q}", "ann", quantity=q, at="2018-12-31T16:00:00Z") for q in ("1", "3")),
    )
    for year in (2020, 2021, 2022):
        world.tell(f"{year}-12-31T00:00:00Z")
        world.send(*(trip(f"y{year}-{n}", "ann", at=f"{year}-06-30T00:00:00Z") for n in range(2)))
    world.send(
        *(trip(f"late{n}", "ann", at=f"{year}-02-28T00:00:00Z") for n, year in enumerate((2020, 2021, 2020, 2022)))
    )
    world.reverse("late0")
    world.publish(metro(4, "50", caps=[day_cap("120", "year"), count_cap(4, "year")]))
    world.revise("TRAVEL-METRO@4", "2020-03-01", "2022-01-01")
    world.revise("TRAVEL-METRO@3", None, None)
    world.tell("2025-03-02T00:00:00Z")
    world.expire("2020-03-02")
    tell_of_keys(world)
    return world


def acts() -> World:
    """People with keys: registered, changed, revoked; every act once with a signature; reads and an export."""
    world = World("2026-01-01T00:00:00Z")
    tell_of_acts(world)
    return world


def partners() -> World:
    """Registered partners: keys side by side, other terms, a suspension; what they may send and what not."""
    world = World("2026-01-10T00:00:00Z")
    tell_of_partners(world)
    return world


STORIES: dict[str, Callable[[], World]] = {
    "town": town,
    "grid": grid,
    "edges": edges,
    "acts": acts,
    "partners": partners,
}


def told(name: str) -> World:
    """A story, told again from its beginning."""
    with numbered_accounts():
        return STORIES[name]()
