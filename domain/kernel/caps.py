"""Caps: how much of a computed mass may be credited.

Keeps: caps are consumed in the order given (log order), by the final credited mg and one count for each recorded
credit, whatever its mg; every cap must leave room; what is charged already, by whatever version and even if
reversed, comes first, so a window's total never exceeds max(limit, what was charged before).
Leaves to others: which credits are in scope, and storing the use.
Source: DESIGN section 3 (Caps, Reversal). A published rule is never edited: a change is a new rule version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from domain.errors import Corrupt
from domain.kernel.method import Cap
from domain.values import FIRST_DAY, Period, month_period, year_period


@lru_cache(maxsize=100_000)
def _day_period(day: int) -> Period:
    return Period(day, day + 1)


WINDOWS: Mapping[str, Callable[[int], Period]] = MappingProxyType(
    {"day": _day_period, "month": month_period, "year": year_period}
)


class CapUse:
    """What one account has used under one methodology code, by civil day: credited mg and recorded credits.

    Days before ``since`` were forgotten (they are in the account's stream): charges to them are not kept here, and a
    total that would need them is refused rather than answered too low.
    """

    __slots__ = ("_totals", "days", "since")

    def __init__(self, since: int = FIRST_DAY) -> None:
        self.since = since
        self.days: dict[int, tuple[int, int]] = {}
        # Totals of the windows asked for, kept up by ``charge``: adding up a year for each credit would be slow.
        self._totals: dict[Period, tuple[int, int]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CapUse) and (self.since, self.days) == (other.since, other.days)

    def charge(self, day: int, mg: int, count: int = 1) -> None:
        """Adds a recorded credit (``count=0``: mg only, as when a booked credit is restored)."""
        if day >= self.since:
            used_mg, used_count = self.days.get(day, (0, 0))
            self.days[day] = (used_mg + mg, used_count + count)
            for period, (total_mg, total_count) in self._totals.items():
                start, end = period
                if start <= day < end:
                    self._totals[period] = (total_mg + mg, total_count + count)

    def used(self, window: str, day: int) -> tuple[int, int]:
        """The mg and the count of the civil window that contains the day. Raises as ``total``."""
        if window == "day" and day >= self.since:
            return self.days.get(day, (0, 0))
        period = WINDOWS[window](day)
        total = self._totals.get(period)
        if total is None:
            total = self._totals[period] = self.total(period)
        return total

    def adjust(self, day: int, delta_mg: int) -> None:
        """Changes the mg of credits already recorded, as a requantification does; counts stay."""
        self.charge(day, delta_mg, 0)

    def total(self, period: Period) -> tuple[int, int]:
        """The mg and the count of all days of ``[start, end)``.

        Raises Corrupt ``cap_use_incomplete`` when some of these days were forgotten.
        """
        if period.start < self.since:
            raise Corrupt(
                "cap_use_incomplete",
                f"the days before {self.since} are not held here",
                field=f"days [{period.start}, {period.end})",
                remedy="read the cap use from the account's stream",
            )
        total_mg = total_count = 0
        for day, (mg, count) in self.days.items():
            if period.covers(day):
                total_mg += mg
                total_count += count
        return total_mg, total_count

    def forget(self, before_day: int) -> None:
        """Drops the days before ``before_day``; it should open a civil year, else that year cannot be totaled."""
        self.since = max(self.since, before_day)
        self.days = {day: used for day, used in self.days.items() if day >= self.since}
        self._totals.clear()

    def copy(self) -> CapUse:
        """An equal use that changes on its own."""
        twin = CapUse(self.since)
        twin.days = dict(self.days)
        return twin

    def to_list(self) -> list[list[int]]:
        """``[day, mg, count]`` by day, for snapshots (``since`` is stored beside it)."""
        return [[day, mg, count] for day, (mg, count) in sorted(self.days.items())]

    @classmethod
    def from_list(cls, rows: Iterable[Sequence[int]], since: int = FIRST_DAY) -> CapUse:
        """The use that ``to_list`` wrote."""
        use = cls(since)
        for day, mg, count in rows:
            use.charge(day, mg, count)
        return use


def credit_one(caps: Sequence[Cap], day: int, computed_mg: int, use: CapUse) -> int:
    """Credited mg of the next credit of one account and code, in log order; charges ``use`` with it.

    credited = min(max(0, computed), room of each mass cap, 0 if a count cap is used up).
    Raises Corrupt ``cap_use_incomplete`` as ``CapUse.total`` does.
    """
    mg = max(0, computed_mg)
    for cap in caps:
        used_mg, used_count = use.used(cap.window, day)
        if cap.kind == "mass":
            mg = min(mg, max(0, cap.limit - used_mg))
        elif used_count >= cap.limit:
            mg = 0
    use.charge(day, mg)
    return mg


def credit(caps: Sequence[Cap], days: Sequence[int], computed: Sequence[int], use: CapUse) -> list[int]:
    """``credit_one`` down a column, in log order."""
    return [credit_one(caps, day, computed_mg, use) for day, computed_mg in zip(days, computed, strict=True)]


def requantify(caps: Sequence[Cap], days: Sequence[int], computed: Sequence[int | None], outside: CapUse) -> list[int]:
    """Credited mg of the in-scope credits of one account and code, in log order, under a new version's caps.

    ``outside`` holds the booked mg and counts of out-of-scope and of reversed credits; they are charged first, and
    ``outside`` itself is not changed. A credit without a value (None) is worth 0 and keeps its count.
    """
    return credit(caps, days, [0 if mg is None else mg for mg in computed], outside.copy())
