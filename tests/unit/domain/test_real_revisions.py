"""Revisions that really happened, and figures that real verification reports print (DOMAIN section c)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from domain.kernel.rounding import divide
from tests.unit.domain.documents import factor_row, open_row, power, release
from tests.unit.domain.worlds import World, saving

POWER = "living.power_saving"
IN_2021, IN_2022, IN_2023 = (f"{year}-05-20T20:00:00+08:00" for year in (2021, 2022, 2023))


def test_two_kilowatt_hours_saved_in_2022_have_three_lawful_answers_by_what_was_known() -> None:
    """R1, R2 and the change of series: 1.1620 kg, then 1.1406 kg, then 1.0732 kg, all answerable for ever."""
    world = World("2021-01-01T00:00:00Z")
    chain = ("0.6101", "0.5810", "0.5703", "0.5366")
    names = [world.publish(power(version, rate)) for version, rate in enumerate(chain, start=1)]
    world.decide(names[0], "2021-01-01")
    world.tell("2022-01-10T00:00:00Z")
    world.credited(saving("s2021", quantity="2", at=IN_2021))

    # R1: the notice of 2022 changes the accounting year 2021 after it has ended, and applies while 2022 is running.
    world.tell("2022-03-15T00:00:00Z")
    r1 = world.revise(names[1], "2021-01-01", "2022-01-01")
    world.revise(names[1], "2022-01-01", "2022-03-16")
    world.decide(names[1], "2022-03-16")
    assert (r1.before_mg, r1.after_mg) == ("1220200", "1162000")
    world.tell("2022-06-01T00:00:00Z")
    world.credited(saving("s2022", "ben", quantity="2", at=IN_2022))
    june_2022 = world.size

    # R2: from 2023-02-15 the accounting year 2022 is valued with 0.5703.
    world.tell("2023-02-15T00:00:00Z")
    r2 = world.revise(names[2], "2022-01-01", "2023-01-01")
    world.tell("2023-03-01T00:00:00Z")
    march_2023 = world.size
    assert (r2.before_mg, r2.after_mg, r2.delta_mg) == ("1162000", "1140600", "-21400")

    # The other series is adopted.
    world.tell("2024-12-20T00:00:00Z")
    r3 = world.revise(names[3], "2022-01-01", "2023-01-01")
    assert (r3.after_mg, r3.delta_mg) == ("1073200", "-67400")

    answers = [world.history("ben").balances(known=known)[POWER] for known in (june_2022, march_2023, world.size)]
    assert answers == [1_162_000, 1_140_600, 1_073_200]
    (credit,) = world.history("ben").credits.values()
    assert [valuation.methodology for valuation in credit.valuations] == names[1:]
    # The saving of 2021 follows its own chain and no other.
    assert world.history("ann").balances() == {POWER: 1_162_000}
    assert world.replayed().mismatches == []
    assert world.replayed(until=june_2022).mismatches == []


REAL_REVISIONS: list[tuple[str, str, str, str, str]] = [
    ("R1", "0.6101", "0.5810", IN_2021, "-4.77"),
    ("R2", "0.5810", "0.5703", IN_2022, "-1.84"),
    ("R3", "0.5568", "0.5366", IN_2022, "-3.63"),
    ("R4", "0.5366", "0.5306", IN_2023, "-1.12"),
    ("R5 Yunnan", "0.1073", "0.1333", IN_2023, "24.23"),
    ("R5 Guizhou", "0.4989", "0.5683", IN_2023, "13.91"),
    ("R6 Anhui", "0.7075", "0.6553", IN_2023, "-7.38"),
    ("R7 North grid", "0.7120", "0.6361", IN_2023, "-10.66"),
]


@pytest.mark.parametrize(
    ("name", "before", "after", "at", "percent"), REAL_REVISIONS, ids=lambda value: str(value)[:12]
)
def test_a_real_revision_of_a_factor_moves_the_book_by_its_published_effect(
    name: str, before: str, after: str, at: str, percent: str
) -> None:
    world = World()
    world.load(release(1, factor_row(before)))
    world.load(release(2, factor_row(after)))
    version = world.introduce(power(1), releases={"CN-ELEC-AVG": 1})
    world.credited(saving("s1", quantity="1234.567", at=at))
    year = at[:4]
    done = world.revise(version, f"{year}-01-01", f"{int(year) + 1}-01-01", releases={"CN-ELEC-AVG": 2})
    kwh = Fraction("1234.567")
    assert int(done.before_mg) == int(kwh * Fraction(before) * 1_000_000), name
    assert int(done.after_mg) == int(kwh * Fraction(after) * 1_000_000)
    effect = (Fraction(after) - Fraction(before)) / Fraction(before) * 100
    assert abs(effect - Fraction(percent)) <= Fraction(5, 1000)
    assert world.replayed().mismatches == []


def test_a_term_that_a_revision_deletes_is_gone_from_past_periods_too() -> None:
    """R8 changes the formula: purchased electricity leaves the scope for the whole of 2026."""
    direct = {"unit": "kg/kWh", "rows": [open_row("0.2")]}
    bought = {"unit": "kg/kWh", "rows": [open_row("0.5366")]}
    world = World("2026-06-23T00:00:00Z")
    old = power(1, parameters={"direct": direct, "bought": bought}, formula="quantity * (direct + bought)")
    world.introduce(old)
    world.credited(saving("s1", quantity="10", at="2026-02-01T00:00:00Z"))
    new = world.publish(power(2, parameters={"direct": direct}, formula="quantity * direct"))
    done = world.revise(new, "2026-01-01", "2027-01-01")
    assert (done.before_mg, done.after_mg) == ("7366000", "2000000")


def report(version: int, kg_per_mwh: str, **changes: Any) -> dict[str, Any]:
    """Purchased electricity of a verified company in MWh; the result in kg, exact to the mg."""
    document = power(version, code="PURCHASED-POWER", behavior="industry.electricity")
    document["inputs"] = {"quantity": {"unit": "MWh", "scale": 3, "min": "0.001", "max": "1000000"}}
    document["parameters"] = {"grid": {"unit": "kg/MWh", "rows": [open_row(kg_per_mwh)]}}
    return document | changes


def tonnes(mg: str) -> str:
    """Tonnes with two decimals, half up, as the reports print them."""
    hundredths = divide(int(mg), 10_000_000, "half_up")
    return f"{hundredths // 100}.{hundredths % 100:02d}"


REPORTS = [
    # Company, MWh, t/MWh before and after (here kg/MWh), exact mg before and after, tonnes as printed.
    ("8157", "792.1", "703.5", "6461159700000", "5738449500000", "6461.16", "5738.45"),
    ("173.502", "563.3", "536.6", "97733676600", "93101173200", "97.73", "93.10"),
]


@pytest.mark.parametrize(("mwh", "before", "after", "exact", "exact_after", "printed", "printed_after"), REPORTS)
def test_a_verified_report_is_reproduced_exactly_and_as_printed(
    mwh: str, before: str, after: str, exact: str, exact_after: str, printed: str, printed_after: str
) -> None:
    """Ningbo 2020, and Henan 2024, whose report listed 0.5633 although 93.1 t follow only from 0.5366."""
    world = World()
    world.introduce(report(1, before))
    row = saving("bill", behavior="industry.electricity", unit="MWh", quantity=mwh, at="2020-12-31T00:00:00Z")
    world.credited(row)
    done = world.revise(world.publish(report(2, after)))
    assert (done.before_mg, done.after_mg) == (exact, exact_after)
    assert (tonnes(done.before_mg), tonnes(done.after_mg)) == (printed, printed_after)
    assert world.replayed().mismatches == []


def test_a_verified_report_with_a_second_source_of_emissions_is_reproduced() -> None:
    """Ningbo 2021: 2129.4 MWh and 10.16 t from diesel; the revision touches the electricity alone."""
    diesel = {"unit": "kg", "rows": [open_row("10160")]}

    def with_diesel(version: int, kg_per_mwh: str) -> dict[str, Any]:
        grid = {"unit": "kg/MWh", "rows": [open_row(kg_per_mwh)]}
        parameters = {"grid": grid, "diesel": diesel}
        return report(version, kg_per_mwh, parameters=parameters, formula="quantity * grid + diesel")

    world = World()
    world.introduce(with_diesel(1, "703.5"))
    world.credited(saving("bill", behavior="industry.electricity", unit="MWh", quantity="2129.4"))
    done = world.revise(world.publish(with_diesel(2, "640")))
    assert (done.before_mg, done.after_mg) == ("1508192900000", "1372976000000")
    assert (tonnes(done.before_mg), tonnes(done.after_mg)) == ("1508.19", "1372.98")
