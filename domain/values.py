"""Small exact values that everything else is made of.

Keeps: no floats, no time zones with history. A civil day is an integer (proleptic Gregorian ordinal,
``datetime.date.toordinal``) at a *fixed* UTC offset; an instant is an integer number of microseconds since
1970-01-01T00:00:00Z; a scaled decimal is an integer and a number of decimal places.
Source: DESIGN section 3 (caps, civil day) and section 6 (region levels).
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

MICROSECONDS_PER_DAY = 86_400_000_000
MICROSECONDS_PER_MINUTE = 60_000_000
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
CIVIL_OFFSET_MINUTES = 480
"""The book's own days, those of retention and of partners' quotas, are civil days of China: +08:00."""
FIRST_DAY = date.min.toordinal()
AFTER_LAST_DAY = date.max.toordinal() + 1

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CHINESE_COUNTY = re.compile(r"CN-([0-9]{2})[0-9]{4}")


class Scaled(NamedTuple):
    """An exact decimal: ``value`` x 10^-``scale``; 12.350 is ``Scaled(12350, 3)``."""

    value: int
    scale: int


class Period(NamedTuple):
    """Half-open range of civil days ``[start, end)``; an open side is FIRST_DAY or AFTER_LAST_DAY."""

    start: int
    end: int

    def covers(self, day: int) -> bool:
        return self.start <= day < self.end


def integer_of(text: str) -> int:
    """The integer of wire text; raises ValueError for what ``int`` would also take: spaces, ``_``, other digits."""
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"not an integer: {text!r}")
    return int(text)


def civil_day(instant_us: int, utc_offset_minutes: int) -> int:
    """The civil day (ordinal) on which an instant falls at a fixed offset."""
    shifted = instant_us + utc_offset_minutes * MICROSECONDS_PER_MINUTE
    return shifted // MICROSECONDS_PER_DAY + EPOCH_ORDINAL


def day_start_us(day: int, utc_offset_minutes: int) -> int:
    """The instant at which a civil day begins at a fixed offset."""
    return (day - EPOCH_ORDINAL) * MICROSECONDS_PER_DAY - utc_offset_minutes * MICROSECONDS_PER_MINUTE


@lru_cache(maxsize=100_000)
def day_text(day: int) -> str:
    """``YYYY-MM-DD`` of a civil day."""
    return date.fromordinal(day).isoformat()


@lru_cache(maxsize=100_000)
def day_number(text: str) -> int:
    """Civil day of ``YYYY-MM-DD``; raises ValueError for anything else."""
    if not _DATE.fullmatch(text):
        # fromisoformat also takes week dates and basic formats.
        raise ValueError(f"not a civil date: {text!r}")
    return date.fromisoformat(text).toordinal()


@lru_cache(maxsize=100_000)
def month_period(day: int) -> Period:
    """The civil month that contains the day."""
    d = date.fromordinal(day)
    start = d.replace(day=1).toordinal()
    if d.year == date.max.year and d.month == 12:
        return Period(start, AFTER_LAST_DAY)
    following = date(d.year + d.month // 12, d.month % 12 + 1, 1)
    return Period(start, following.toordinal())


@lru_cache(maxsize=100_000)
def year_period(day: int) -> Period:
    """The civil year that contains the day."""
    year = date.fromordinal(day).year
    end = AFTER_LAST_DAY if year == date.max.year else date(year + 1, 1, 1).toordinal()
    return Period(date(year, 1, 1).toordinal(), end)


@lru_cache(maxsize=10_000)
def region_chain(region: str) -> tuple[str, ...]:
    """Region levels from the most specific to ``*`` (DESIGN section 6).

    ``CN-440300`` -> ``CN-440300, CN-44, CN, *``; any other code: itself, the part before its first ``-``, ``*``;
    an empty region matches only ``*``.
    """
    if region in ("", "*"):
        return ("*",)
    county = _CHINESE_COUNTY.fullmatch(region)
    if county:
        return (region, f"CN-{county[1]}", "CN", "*")
    country = region.split("-", 1)[0]
    return (region, "*") if country == region else (region, country, "*")
