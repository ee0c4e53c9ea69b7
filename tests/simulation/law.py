"""The words and the small rules of the model: what a decision, a credit, a window and a region level are.

Keeps: as ``model``, written from DESIGN sections 3 and 6 alone; every function fits the sentence it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any, NamedTuple

from tests.simulation.plain import Cap, Report, Row, Version

MALFORMED = ("1e3", "+1", "1.", "")
"""Quantities that break the grammar; the model knows them by heart."""


class Refused(Exception):
    """The rules refuse an act, for each of the reasons ``codes``."""

    def __init__(self, *codes: str) -> None:
        super().__init__(*codes)
        self.codes = frozenset(codes)


def refuse_if(**reasons: bool) -> None:
    """Raises Refused with every reason that holds."""
    codes = [code for code, holds in reasons.items() if holds]
    if codes:
        raise Refused(*codes)


class Fact(NamedTuple):
    """What stands at a log position: event class, whom it is about (an account_ref, or ""), what matters of it."""

    position: int
    kind: str
    subject: str
    details: tuple[Any, ...] = ()

    def __deepcopy__(self, _: object) -> Fact:
        return self


@dataclass(eq=False)
class Decision:
    """``version`` values days of [start, end) in ``region`` from ``position`` on, until ``ended``."""

    id: str
    version: Version
    start: date | None
    end: date | None
    region: str
    releases: Mapping[str, int]
    by: str
    leave_gap: bool = False
    position: int | None = None
    ended: int | None = None

    def covers(self, day: date) -> bool:
        return (self.start is None or self.start <= day) and (self.end is None or day < self.end)

    def in_force(self, position: int) -> bool:
        """Whether an event at ``position`` may rest on it."""
        return self.position is not None and self.position < position and (self.ended is None or position <= self.ended)


@dataclass(eq=False)
class Run(Decision):
    """A revision run; its approval is a decision."""

    stands_on: int = 0
    completed: bool = False


@dataclass(eq=False)
class Credit:
    """A recorded credit. ``valuations``: (position, mg) by the credit itself and by revisions."""

    position: int
    version: int
    report: Report
    behavior: str
    code: str
    day: date
    quantity: Fraction
    valuations: list[tuple[int, int]]
    intake: int
    reversed_at: int | None = None
    erased: bool = False

    @property
    def mass(self) -> int:
        """What the caps are charged with: the last mg other than by reversal."""
        return self.valuations[-1][1]

    def worth(self, position: int) -> int:
        """mg as known when the log had ``position`` events."""
        if self.reversed_at is not None and self.reversed_at <= position:
            return 0
        return [mg for at, mg in self.valuations if at <= position][-1]


@dataclass(eq=False)
class Consent:
    version: int
    scope: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    direct: bool
    active: bool = True


@dataclass(eq=False)
class Account:
    """``asked_by``, ``asked``: who wants it erased, by which version. ``last``: when an entry was last recorded."""

    version: int = 0
    status: str = "open"
    consents: list[Consent] = field(default_factory=list)
    credits: list[Credit] = field(default_factory=list)
    revised: list[str] = field(default_factory=list)
    asked_by: str | None = None
    asked: int = 0
    last: datetime = datetime(1970, 1, 1, tzinfo=UTC)


class Intake(NamedTuple):
    position: int
    partner: str
    digest: str
    received: datetime
    opens_accounts: bool


class Outcome(NamedTuple):
    """``credited`` with its mg, ``duplicate``, or a refusal code."""

    answer: str
    mg: int | None = None


class Line(NamedTuple):
    """One in-scope credit revalued; ``credit`` is its stream version."""

    credit: int
    day: date
    before_mg: int
    computed_mg: int | None
    credited_mg: int
    reason: str


def levels(region: str) -> list[str]:
    """Region levels, most specific first (DESIGN 6)."""
    if region in ("", "*"):
        return ["*"]
    if len(region) == 9 and region.startswith("CN-") and region[3:].isdigit():
        return [region, region[:5], "CN", "*"]
    if "-" in region:
        return [region, region.split("-")[0], "*"]
    return [region, "*"]


def window(kind: str, day: date) -> tuple[int, ...]:
    """Name of the civil day, month or year."""
    return {"day": (day.year, day.month, day.day), "month": (day.year, day.month), "year": (day.year,)}[kind]


def rounded(exact: Fraction, mode: str) -> int:
    if mode == "down":
        return int(exact)
    if mode == "half_even":
        return round(exact)
    size = int(abs(exact) + Fraction(1, 2))
    return -size if exact < 0 else size


def capped(caps: Iterable[Cap], day: date, computed: int, charged: Sequence[tuple[date, int]]) -> int:
    """credited = min(max(0, computed), room of each mass cap, 0 if a count cap is used up)."""
    mg = max(0, computed)
    for cap in caps:
        inside = [used for when, used in charged if window(cap.window, when) == window(cap.window, day)]
        if cap.kind == "mass":
            mg = min(mg, max(0, cap.limit - sum(inside)))
        elif len(inside) >= cap.limit:
            mg = 0
    return mg


def value_in(rows: Sequence[Row], region: str, day: date) -> Fraction | None:
    """The first level with a row covering the day wins."""
    for level in levels(region):
        for row in rows:
            if row.region == level and (row.start is None or row.start <= day) and (row.end is None or day < row.end):
                return Fraction(row.value)
    return None
