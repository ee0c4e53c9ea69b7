"""Random but dense: methodology versions, releases, decisions and behavior rows that meet at every edge.

Keeps: everything follows from the seed. Few accounts, few days and small caps, so that windows fill up; days lie around
month and year ends at the offset, times at midnight; regions have parents and children; values tie in rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from tests.simulation.law import MALFORMED
from tests.simulation.plain import FORMULAS, Cap, Release, Report, Row, Version

REGIONS = ("", "CN", "CN-44", "CN-440300", "CN-11", "SG", "SG-01")
VALUES = ("0.1", "0.25", "0.333", "0.0005", "1", "1.5", "0.07", "0.0335")
QUANTITIES = {0: ("1", "2", "3", "7"), 1: ("1", "1.0", "0.5", "2.5", "7"), 3: ("1", "1.5", "0.333", "2.50", "12.345")}
ODD_QUANTITIES = ("0", "-1", "0.0001", "500", *MALFORMED)
LIMITS_MG = (60, 150, 400, 1000, 2500)
OFFSETS = (480, 480, 0, -300, 330)
STARTS = ("2023-12-28", "2024-01-30", "2024-02-27", "2024-12-30")
_TIMES = (time(0, 0), time(23, 59, 59, 999_999), time(12, 30), time(0, 0, 0, 1), time(7, 59, 59), time(16, 0))


@dataclass(frozen=True)
class Code:
    """What is fixed per methodology code."""

    code: str
    behavior: str
    unit: str
    scale: int
    offset_minutes: int


def draw_codes(rng: Random) -> list[Code]:
    """One or two behaviors, the first with one or two codes."""
    codes: list[Code] = []
    for behavior in ("travel.metro", "living.power")[: rng.choice((1, 1, 2))]:
        offset, usual = rng.choice(OFFSETS), rng.choice(("km", "km", "trip"))
        for number in range(rng.choice((1, 1, 2)) if not codes else 1):
            name = f"{behavior.split('.')[1].upper()}-{number}"
            unit = usual if rng.random() < 0.8 else "trip"
            codes.append(Code(name, behavior, unit, rng.choice((0, 1, 3)), offset))
    return codes


def edge_days(around: date) -> list[date]:
    """Days on both sides of month and year ends, near and a year before."""
    first = around.replace(day=1)
    new_year = around.replace(month=1, day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    edges = [first, following, new_year, new_year.replace(year=around.year + 1), new_year.replace(year=around.year - 1)]
    if first.month > 1:
        edges.append(first.replace(month=first.month - 1))
    return sorted({edge + timedelta(days=shift) for edge in edges for shift in (-1, 0)})


def _draw_rows(rng: Random, around: date) -> tuple[Row, ...]:
    def value() -> str:
        return rng.choice(VALUES)

    def split(region: str) -> list[Row]:
        if rng.random() < 0.6:
            return [Row(region, None, None, value())]
        edge = rng.choice(edge_days(around))
        later = edge + timedelta(days=rng.choice((0, 0, 0, 1, 31)))
        return [Row(region, None, edge, value()), Row(region, later, None, value())]

    rows = split("*") if rng.random() < 0.85 else []
    for region in rng.sample(("CN", "CN-44", "CN-440300", "SG"), rng.choice((0, 0, 1, 2))):
        rows += split(region)
    return tuple(rows or split("*"))


def draw_version(rng: Random, code: Code, number: int, around: date, factor_sets: Sequence[str]) -> Version:
    """A version of a code. Its parameters may have holes in region and time."""
    formula = rng.choice(tuple(FORMULAS))
    names = [name for name in ("baseline", "project") if name in formula]
    parameters: dict[str, tuple[Row, ...] | str] = {name: _draw_rows(rng, around) for name in names}
    if factor_sets and rng.random() < 0.25:
        parameters["baseline"] = rng.choice(factor_sets)
    kinds = [(window, kind) for window in ("day", "month", "year") for kind in ("mass", "count")]
    caps = tuple(
        Cap(window, kind, rng.choice(LIMITS_MG) if kind == "mass" else rng.choice((1, 2, 3, 5)))
        for window, kind in rng.sample(kinds, rng.choice((0, 1, 1, 2, 2, 3, 4)))
    )
    smallest = "1" if code.scale == 0 else "0.1"
    return Version(
        code=code.code,
        number=number,
        behavior=code.behavior,
        unit=code.unit,
        scale=code.scale,
        minimum=smallest if rng.random() < 0.8 else "1",
        maximum=rng.choice(("20", "20", "7")),
        parameters=parameters,
        formula=formula,
        rounding=rng.choice(("down", "half_even", "half_up")),
        offset_minutes=code.offset_minutes,
        late_days=rng.choice((20, 400, 1000, 1000, 1000, 1000)),
        caps=caps,
    )


def draw_release(rng: Random, factor_set: str, number: int, unit: str) -> Release:
    """A release with a value for everywhere, or with a hole."""
    regions = ["*"] if rng.random() < 0.8 else []
    regions += rng.sample(("CN", "CN-44", "CN-11"), rng.choice((0, 1, 2)))
    return Release(factor_set, number, f"g/{unit}", tuple((r, rng.choice(VALUES)) for r in regions or ["*"]))


def draw_period(rng: Random, today: date) -> tuple[date | None, date | None]:
    """Half-open, often open, often touching today or an edge."""
    days = [*edge_days(today), today, today, today - timedelta(days=1)]
    start = None if rng.random() < 0.35 else rng.choice(days)
    end = None if rng.random() < 0.4 else rng.choice(days)
    if start is not None and end is not None and start >= end:
        start, end = (end, start) if end < start else (start, start + timedelta(days=1))
    return start, end


def draw_report(
    rng: Random,
    line: int,
    source_ref: str,
    account_ref: str,
    codes: Sequence[Code],
    regions: Sequence[str],
    now: datetime,
) -> Report:
    """A row; one in eight is wrong in some way."""
    code = rng.choice(codes)
    local_now = now + timedelta(minutes=code.offset_minutes)
    days = [day for day in edge_days(local_now.date()) if day < local_now.date()]
    day = rng.choice([*days, *(local_now.date() - timedelta(days=n) for n in (0, 1, 1, 2))])
    moment = datetime.combine(day, rng.choice(_TIMES), UTC) - timedelta(minutes=code.offset_minutes)
    if moment > now and rng.random() < 0.9:
        moment -= timedelta(days=1)
    shift = rng.choice((0, code.offset_minutes, -300))
    sign, size = ("-" if shift < 0 else "+"), abs(shift)
    local = (moment + timedelta(minutes=shift)).replace(tzinfo=None)
    text = local.isoformat() + ("Z" if shift == 0 else f"{sign}{size // 60:02}:{size % 60:02}")
    quantity, unit, behavior = rng.choice(QUANTITIES[code.scale]), code.unit, code.behavior
    odd = rng.randrange(64)
    if odd == 0:
        text = local.isoformat()
    elif odd == 1:
        unit = "kg"
    elif odd == 2:
        behavior = "travel.unknown"
    elif odd < 8:
        quantity = rng.choice(ODD_QUANTITIES)
    return Report(line, source_ref, account_ref, behavior, text, quantity, unit, rng.choice(regions))


def altered(rng: Random, first: Report, line: int) -> Report:
    """The same reference again: equal content, differently written, or not equal."""
    again = first._replace(line=line)
    if first.quantity in MALFORMED:
        return again
    return rng.choice(
        (
            again,
            again._replace(quantity=first.quantity + ("0" if "." in first.quantity else ".00")),
            again._replace(quantity="3" if first.quantity != "3" else "2"),
            again._replace(quantity="500"),
            again._replace(region="CN-31" if first.region != "CN-31" else ""),
            again._replace(account_ref=first.account_ref + "x"),
        )
    )
