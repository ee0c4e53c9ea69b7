"""Plain data that a simulated world is made of, and how it is written for the ledger: no rule of the ledger is used.

Keeps: amounts are ``Fraction`` or integers in mg, days are ``date``; a version knows how to write its own methodology
file (DESIGN section 6), so that the model and the ledger start from the same facts and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

FORMULAS: Mapping[str, Callable[[Fraction, Mapping[str, Fraction]], Fraction]] = {
    "quantity * (baseline - project)": lambda q, p: q * (p["baseline"] - p["project"]),
    "quantity * baseline - quantity * project": lambda q, p: q * p["baseline"] - q * p["project"],
    "-(quantity * project) + quantity * baseline": lambda q, p: -(q * p["project"]) + q * p["baseline"],
    "quantity * min(baseline, project)": lambda q, p: q * min(p["baseline"], p["project"]),
    "quantity * baseline": lambda q, p: q * p["baseline"],
}
"""Formula text -> the same in fractions."""


class Row(NamedTuple):
    """A parameter row: ``value`` in ``region`` on the days of [start, end); None = open."""

    region: str
    start: date | None
    end: date | None
    value: str


class Cap(NamedTuple):
    """At most ``limit`` mg (``mass``) or recorded credits (``count``) in each day, month or year."""

    window: str
    kind: str
    limit: int


@dataclass(frozen=True)
class Version:
    """A methodology version. ``parameters``: rows, or the name of the factor set that the decision's release fills."""

    code: str
    number: int
    behavior: str
    unit: str
    scale: int
    minimum: str
    maximum: str
    parameters: Mapping[str, tuple[Row, ...] | str]
    formula: str
    rounding: str
    offset_minutes: int
    late_days: int
    caps: tuple[Cap, ...]

    def __deepcopy__(self, _: object) -> Version:
        return self

    @property
    def name(self) -> str:
        return f"{self.code}@{self.number}"

    def document(self) -> dict[str, Any]:
        """The version as a methodology file."""
        sign, minutes = ("-" if self.offset_minutes < 0 else "+"), abs(self.offset_minutes)
        return {
            "code": self.code,
            "version": self.number,
            "behavior": self.behavior,
            "title": {"en": "simulated"},
            "inputs": {"quantity": {"unit": self.unit, "scale": self.scale, "min": self.minimum, "max": self.maximum}},
            "parameters": {name: self._parameter(rows) for name, rows in self.parameters.items()},
            "formula": self.formula,
            "result_unit": "g",
            "rounding": self.rounding,
            "utc_offset": f"{sign}{minutes // 60:02}:{minutes % 60:02}",
            "late_window_days": self.late_days,
            "caps": [_cap(cap) for cap in self.caps],
            "leakage": {"value": "0", "unit": "g", "reason": "simulated"},
            "sources": [{"title": "simulated", "page": None, "document_sm3": None, "grade": "C"}],
        }

    def _parameter(self, rows: tuple[Row, ...] | str) -> dict[str, Any]:
        unit = f"g/{self.unit}"
        if isinstance(rows, str):
            return {"unit": unit, "factor_set": rows}
        return {
            "unit": unit,
            "rows": [
                {"region": row.region, "from": _day(row.start), "to": _day(row.end), "value": row.value} for row in rows
            ],
        }


class Release(NamedTuple):
    """A release of a factor set: one value per region."""

    factor_set: str
    number: int
    unit: str
    values: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        """The release as a factors file."""
        rows = [
            {
                "statistic": "average",
                "region": region,
                "data_year": 2023,
                "value": value,
                "unit": self.unit,
                "source": "simulated",
                "page": None,
                "document_sm3": None,
                "grade": "C",
            }
            for region, value in self.values
        ]
        return {"factor_set": self.factor_set, "release": self.number, "rows": rows}


class Report(NamedTuple):
    """A behavior as a partner sends it; ``quantity`` is a decimal, ``occurred_at`` RFC 3339 text."""

    line: int
    source_ref: str
    account_ref: str
    behavior: str
    occurred_at: str
    quantity: str
    unit: str
    region: str

    def __deepcopy__(self, _: object) -> Report:
        return self

    @property
    def instant(self) -> datetime | None:
        """None when the text names no offset."""
        moment = datetime.fromisoformat(self.occurred_at)
        return None if moment.tzinfo is None else moment.astimezone(UTC)

    @property
    def content(self) -> tuple[object, ...]:
        """What makes two reports of one reference the same (DESIGN 3, Idempotency)."""
        return (self.account_ref, self.behavior, self.instant, Fraction(self.quantity), self.unit, self.region)


def instant_us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def local_day(moment: datetime, offset_minutes: int) -> date:
    """The civil day at a fixed offset."""
    return (moment.astimezone(UTC) + timedelta(minutes=offset_minutes)).date()


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _cap(cap: Cap) -> dict[str, Any]:
    if cap.kind == "count":
        return {"window": cap.window, "kind": "count", "limit": cap.limit}
    grams = f"{cap.limit // 1000}.{cap.limit % 1000:03}"
    return {"window": cap.window, "kind": "mass", "limit": grams, "unit": "g"}
