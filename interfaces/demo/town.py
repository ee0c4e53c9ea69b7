"""The generated town: who lives there, and the behavior files that its partner sends month by month.

Keeps: nobody here is real; integers only; every draw depends on nothing but the seed and its own name, so the files
are the same bytes on every machine, and a further habit would change no other row.
Leaves to the ledger: which rows are good. The mistakes below are the usual ones; the town does not know their codes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from hashlib import blake2b
from io import StringIO
from typing import NamedTuple

from domain.behavior import COLUMNS

SEED = "carbon-ledger demo town 1"
PARTNER = "demo-town"
REGION = "CN"

LINLIN = "demo-linlin"
LINLIN_READING = "linlin-20220116-power"
"""Lin Lin's one row: 2 kWh, in the week that ends on 2022-01-16."""

MISREAD = "demo-saver-09"
MISREAD_READING = "saver-09-20220116-power"
"""A reading of 8.8 kWh that was sent as 88 kWh."""

EXAMPLES = (LINLIN, "demo-saver-01", "demo-bike-02")
"""Accounts with one reading, with weekly and with monthly ones."""

WITHDREW = "demo-saver-05"
"""Withdraws the consent on 2022-02-20."""

HABITS = {"metro": 80, "bus": 55, "bike": 45, "walker": 40, "saver": 79}
"""How many people of each habit; Lin Lin comes on top."""

PEOPLE = sum(HABITS.values()) + 1

_MONTHS = ("2021-11", "2021-12", "2022-01", "2022-02", "2022-03", "2022-04", "2022-05", "2022-06")
_READING_DAY = date(2022, 1, 16)
_HOLIDAYS = (
    (date(2022, 1, 31), date(2022, 2, 6)),
    (date(2022, 4, 3), date(2022, 4, 5)),
    (date(2022, 4, 30), date(2022, 5, 4)),
    (date(2022, 6, 3), date(2022, 6, 5)),
)
_SUNDAY = 6


class Row(NamedTuple):
    """One row of a behavior file, in ``domain.behavior.COLUMNS`` order."""

    source_ref: str
    account_ref: str
    behavior: str
    occurred_at: str
    quantity: str
    unit: str
    region: str = REGION


class MonthFile(NamedTuple):
    """What the partner sends about a month (``2021-11``) on the third of the next one, at 09:30 (+08:00)."""

    month: str
    arrives: str
    rows: Sequence[Row]


def month_files() -> list[MonthFile]:
    """All files, oldest first."""
    late: list[Row] = []
    files = []
    for month in _MONTHS:
        first = date.fromisoformat(f"{month}-01")
        following = (first + timedelta(days=31)).replace(day=1)
        days = [first + timedelta(days=n) for n in range((following - first).days)]
        rows = sorted([*late, *_month_rows(days)], key=lambda row: (row.occurred_at, row.source_ref))
        late = [] if month == _MONTHS[-1] else [row for row in rows if _is_late(row, month)]
        rows = [row for row in rows if row not in late]
        files.append(MonthFile(month, f"{following.replace(day=3)}T09:30:00+08:00", _with_mistakes(rows, month)))
    return files


def correction() -> Row:
    """The misread reading as it should have been, under a reference of its own."""
    return _power(MISREAD, _READING_DAY, "8.8")._replace(source_ref=f"{MISREAD_READING}-corrected")


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """The rows as a CSV file with a header, in UTF-8."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()


def _draw(limit: int, *name: object) -> int:
    """An integer from 0 to ``limit`` - 1 that belongs to this name."""
    text = "/".join(map(str, (SEED, *name)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % limit


def _month_rows(days: Sequence[date]) -> Iterator[Row]:
    for habit, people in HABITS.items():
        for number in range(1, people + 1):
            ref = f"demo-{habit}-{number:02}"
            if habit != "saver":
                percent = 10 + _draw(40, ref, "how often")
                for day in days:
                    if _draw(100, ref, day, "today") < percent:
                        yield from _day_rows(habit, ref, day)
            yield from _household_rows(habit, ref, days)
    if _READING_DAY in days:
        yield _power(LINLIN, _READING_DAY, "2")


def _day_rows(habit: str, ref: str, day: date) -> Iterator[Row]:
    """What one person does on a day with anything to report; commuters rest on weekends and holidays."""
    works = day.weekday() < 5 and not any(first <= day <= last for first, last in _HOLIDAYS)
    if habit == "walker":
        yield _row(ref, day, 1, "travel.walking", 20, _km(600 + _draw(4_200, ref, day, "metres")), "km")
    elif habit == "bike":
        metres = 900 + _draw(3_600, ref, "way") + _draw(400, ref, day, "detour")
        yield _row(ref, day, 1, "cycling.shared_bike", 8 if works else 15, _km(metres), "km")
    elif works and habit == "metro":
        metres = 3_000 + _draw(17_000, ref, "way")
        yield _row(ref, day, 1, "travel.metro", 8, _km(metres), "km")
        yield _row(ref, day, 2, "travel.metro", 18, _km(metres), "km")
    elif works and habit == "bus":
        yield _row(ref, day, 1, "travel.bus", 7, "1", "trip")
        yield _row(ref, day, 2, "travel.bus", 17, str(1 + _draw(2, ref, day, "changes")), "trip")


def _household_rows(habit: str, ref: str, days: Sequence[date]) -> Iterator[Row]:
    """Electricity saved against the household's own baseline (savers: weekly), and bills paid online."""
    if habit == "saver":
        for day in days:
            if day.weekday() == _SUNDAY:
                kwh = "88" if (ref, day) == (MISREAD, _READING_DAY) else _kwh(5 + _draw(75, ref, day, "power"))
                yield _power(ref, day, kwh)
    elif _draw(10, ref, "reads a meter") < 3:
        yield _power(ref, days[-1], _kwh(10 + _draw(140, ref, days[-1], "power")))
    if _draw(10, ref, "pays online") < 6:
        day = days[4 + _draw(12, ref, days[0], "bill")]
        yield _row(ref, day, 1, "living.online_bill", 21, "1", "event", name="bill")


def _power(ref: str, day: date, kwh: str) -> Row:
    return _row(ref, day, 1, "living.power_saving", 20, kwh, "kWh", name="power")


def _row(ref: str, day: date, nth: int, behavior: str, hour: int, quantity: str, unit: str, name: str = "") -> Row:
    minute, second = divmod(_draw(3_600, ref, day, behavior, nth), 60)
    source_ref = f"{ref.removeprefix('demo-')}-{day:%Y%m%d}-{name or nth}"
    return Row(source_ref, ref, behavior, f"{day}T{hour:02}:{minute:02}:{second:02}+08:00", quantity, unit)


def _km(metres: int) -> str:
    return f"{metres // 1000}.{metres % 1000:03}"


def _kwh(tenths: int) -> str:
    return f"{tenths // 10}.{tenths % 10}"


def _is_late(row: Row, month: str) -> bool:
    """A few rows of a month come with the next file. Lin Lin's and the misread one are on time."""
    on_time = row.source_ref in (LINLIN_READING, MISREAD_READING) or not row.occurred_at.startswith(month)
    return not on_time and _draw(200, row.source_ref, "late") == 0


def _with_mistakes(rows: Sequence[Row], month: str) -> list[Row]:
    """The month's rows with a few wrong ones among them, and a few that are sent twice at the end."""
    mixed = list(rows)
    for kind, spoil in enumerate(_SPOILERS):
        for nth in range(_draw(3, month, "mistakes", kind)):
            row = rows[_draw(len(rows), month, "mistake", kind, nth)]
            wrong = spoil(row)._replace(source_ref=f"{row.source_ref}-{kind}{nth}")
            mixed.insert(_draw(len(mixed), month, "place", kind, nth), wrong)
    again = [row for row in rows if _draw(250, row.source_ref, "again") == 0]
    changed = rows[_draw(len(rows), month, "changed")]
    return [*mixed, *again, changed._replace(quantity="7")]


_SPOILERS: Sequence[Callable[[Row], Row]] = (
    lambda row: row._replace(quantity=row.quantity + ",0"),
    lambda row: row._replace(quantity="0"),
    lambda row: row._replace(quantity="99999"),
    lambda row: row._replace(quantity="1.23456"),
    lambda row: row._replace(unit="minute"),
    lambda row: row._replace(behavior="travel.ferry"),
    lambda row: row._replace(occurred_at=row.occurred_at.removesuffix("+08:00")),
    lambda row: row._replace(occurred_at=f"2032{row.occurred_at[4:]}"),
)
"""Decimal comma, nothing measured, beyond any range, too many places, wrong unit, unknown, no offset, a wrong year."""
