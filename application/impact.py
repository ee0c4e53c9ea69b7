"""What a revision does to the book, summed part by part from columns of lines (DESIGN 3, Revision run).

Keeps: every sum is an exact integer, whatever the width of the columns; the report depends on the lines alone, not on
how they were cut into parts or which kernel made them; memory grows with the months and regions that occur, never
with the number of accounts. The sums over months, over regions and over accounts are made apart and must agree.
Leaves to others: where lines come from (``application.impact_lines``), the words around the figures
(``application.impact_terms``), how it looks (``interfaces.reports``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import numpy as np

from application.exact_columns import Column, sums_by, sums_from, total
from application.ports.archive import Codes, Ints
from application.ports.kernel import REASONS, Lines
from domain.digest import sm3_hex
from domain.errors import Corrupt
from domain.values import EPOCH_ORDINAL

LARGEST: Final = 20
"""How many accounts are listed by name."""
STEPS: Final = 10
"""How many bins of the series 1, 2, 5, 10, ... the histogram keeps on each side, counted from the widest."""

_EPOCH_MONTH: Final = 1970 * 12
_BORDERS: Final = np.array([lead * 10**power for power in range(19) for lead in (1, 2, 5)], dtype=np.int64)


def canonical(report: dict[str, Any]) -> bytes:
    """The bytes of a report that its digest is taken of: JSON, keys sorted, no spaces, UTF-8."""
    return msgspec.json.encode(report, order="sorted")


def digest_of(report: dict[str, Any]) -> str:
    """SM3 of the canonical bytes; of a plan's report it is the ``plan_digest`` that the log records."""
    return sm3_hex(canonical(report))


class Sums(NamedTuple):
    """Credits and their masses in mg, before and after."""

    credits: int = 0
    before: int = 0
    after: int = 0

    def plus(self, credits: int, before: int, after: int) -> Sums:
        return Sums(self.credits + credits, self.before + before, self.after + after)

    def as_dict(self) -> dict[str, Any]:
        """Masses as strings, with the difference."""
        return {
            "credits": self.credits,
            "before_mg": str(self.before),
            "after_mg": str(self.after),
            "delta_mg": str(self.after - self.before),
        }


class Change(NamedTuple):
    """What happens to one account."""

    delta: int
    account: UUID
    sums: Sums


class ImpactReport:
    """The impact of one run (or of one candidate against another) on one behavior."""

    def __init__(self, behavior: str) -> None:
        self.behavior = behavior
        self.accounts = 0
        self._rising = 0
        self._falling = 0
        self._turned_negative = 0
        self._sums = Sums()
        self._regions: dict[str, Sums] = {}
        self._months: dict[int, Sums] = {}
        self._not_valued: dict[tuple[str, str], Sums] = {}
        self._bins: Counter[int] = Counter()
        self._largest: list[Change] = []

    def add(self, ids: Sequence[UUID], regions: Sequence[str], lines: Lines) -> None:
        """Add the lines of whole accounts; ``ids`` (ascending) and ``regions`` are what the lines' codes stand for.

        Every account must come once, in any part.
        """
        if not len(lines.account):
            return
        for code, sums in _grouped(lines.region, len(regions), lines):
            self._regions[regions[code]] = self._regions.get(regions[code], Sums()).plus(*sums)
        months = _months(lines.day)
        first = int(months.min())
        for offset, sums in _grouped(months - first, int(months.max()) - first + 1, lines):
            self._months[first + offset] = self._months.get(first + offset, Sums()).plus(*sums)
        self._add_not_valued(regions, lines)
        self._add_accounts(ids, lines)

    def _add_not_valued(self, regions: Sequence[str], lines: Lines) -> None:
        for reason in range(1, len(REASONS)):
            lost = np.flatnonzero(lines.reason == reason)
            if not len(lost):
                continue
            worth = lines.credited_mg[lost]
            part = lines._replace(before_mg=lines.before_mg[lost], credited_mg=worth)
            for code, sums in _grouped(lines.region[lost], len(regions), part):
                key = REASONS[reason], regions[code]
                self._not_valued[key] = self._not_valued.get(key, Sums()).plus(*sums)

    def _add_accounts(self, ids: Sequence[UUID], lines: Lines) -> None:
        starts = np.flatnonzero(np.diff(lines.account, prepend=-1))
        who = lines.account[starts]
        counts = np.diff(starts, append=len(lines.account))
        before, after = sums_from(lines.before_mg, starts), sums_from(lines.credited_mg, starts)
        delta = after - before
        self.accounts += len(who)
        self._rising += int(np.count_nonzero(delta > 0))
        self._falling += int(np.count_nonzero(delta < 0))
        balance = lines.balance_mg[who]
        # Compared, not added: a balance and a difference may each just fit.
        self._turned_negative += int(np.count_nonzero((balance >= 0) & (balance < -delta)))
        self._sums = self._sums.plus(len(lines.account), total(before), total(after))
        magnitude = np.abs(delta)
        signed = np.sign(delta).astype(np.int64) * _bin_numbers(magnitude)
        for number, accounts in zip(*np.unique(signed, return_counts=True), strict=True):
            self._bins[int(number)] += int(accounts)
        candidates = np.flatnonzero(magnitude > 0)
        if len(self._largest) == LARGEST:
            candidates = np.flatnonzero(magnitude >= abs(self._largest[-1].delta))
        # A stable sort leaves equal differences in the order of the account ids.
        chosen = candidates[np.argsort(-magnitude[candidates], kind="stable")[:LARGEST]]
        found = [
            Change(int(delta[i]), ids[who[i]], Sums(int(counts[i]), int(before[i]), int(after[i]))) for i in chosen
        ]
        self._largest = sorted([*self._largest, *found], key=lambda each: (-abs(each.delta), each.account))[:LARGEST]

    def sums(self) -> dict[str, Any]:
        """The totals alone, by the names that every answer about a revision uses."""
        return {
            "accounts": self.accounts,
            "changed_accounts": self._rising + self._falling,
            **self._sums.as_dict(),
        }

    def as_dict(self) -> dict[str, Any]:
        """The whole report, ready for JSON. Raises Corrupt ``impact_inconsistent`` when its sums do not agree."""
        self._check()
        return {
            **self.sums(),
            "rising_accounts": self._rising,
            "falling_accounts": self._falling,
            "unchanged_accounts": self.accounts - self._rising - self._falling,
            "turned_negative_accounts": self._turned_negative,
            "not_valued": sum(sums.credits for sums in self._not_valued.values()),
            "not_valued_by": [
                {"reason": reason, "region": region, "credits": sums.credits, "before_mg": str(sums.before)}
                for (reason, region), sums in sorted(self._not_valued.items())
            ],
            "by_behavior": [{"behavior": self.behavior, **self._sums.as_dict()}] if self.accounts else [],
            "by_region": [{"region": region, **sums.as_dict()} for region, sums in sorted(self._regions.items())],
            "by_month": [
                {"month": _month_text(month), **sums.as_dict()} for month, sums in sorted(self._months.items())
            ],
            "largest": [{"account_id": str(each.account), **each.sums.as_dict()} for each in self._largest],
            "histogram": _histogram(self._bins),
        }

    def _check(self) -> None:
        added = [_added(self._regions.values()), _added(self._months.values())]
        if added != [self._sums, self._sums] or sum(self._bins.values()) != self.accounts:
            raise Corrupt(
                "impact_inconsistent",
                "the sums over regions, months and accounts differ",
                field="report",
                remedy="this is a defect of the ledger; report it, and do not rely on this plan",
            )


def _added(parts: Iterable[Sums]) -> Sums:
    sums = Sums()
    for part in parts:
        sums = sums.plus(*part)
    return sums


def _grouped(keys: Codes | Ints, size: int, lines: Lines) -> list[tuple[int, Sums]]:
    """Sums of the lines of each key in 0..size-1 that occurs."""
    counts = np.bincount(keys, minlength=size)
    before, after = sums_by(keys, size, lines.before_mg), sums_by(keys, size, lines.credited_mg)
    return [(int(key), Sums(int(counts[key]), int(before[key]), int(after[key]))) for key in np.flatnonzero(counts)]


def _months(days: Codes) -> Ints:
    """Civil months as year * 12 + month - 1, by a table over the days from the first to the last."""
    first, last = int(days.min()), int(days.max())
    dates = (np.arange(first, last + 1) - EPOCH_ORDINAL).astype("datetime64[D]")
    table = dates.astype("datetime64[M]").astype(np.int64) + _EPOCH_MONTH
    months: Ints = table[days - first]
    return months


def _month_text(month: int) -> str:
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def _bin_numbers(magnitudes: Column) -> Ints:
    """0 for 0, else which step of 1, 2, 5, 10, 20, ... is the greatest that is not greater."""
    if magnitudes.dtype == object:
        return np.array([_bin_number(int(each)) for each in magnitudes], dtype=np.int64)
    return np.searchsorted(_BORDERS, magnitudes, side="right").astype(np.int64)


def _bin_number(magnitude: int) -> int:
    if magnitude == 0:
        return 0
    power = len(str(magnitude)) - 1
    ten: int = 10**power
    return 3 * power + 1 + (magnitude >= 2 * ten) + (magnitude >= 5 * ten)


def _border(number: int) -> int:
    """The least magnitude of bin ``number`` (from 1 on)."""
    power, step = divmod(number - 1, 3)
    ten: int = 10**power
    return (1, 2, 5)[step] * ten


def _histogram(bins: Counter[int]) -> list[dict[str, Any]]:
    """Accounts by difference, lowest first, without a gap from the first bin that has one to the last.

    Borders are inclusive integers of mg out of 1, 2, 5, 10, 20, ..., the same on both sides of 0, which is a bin of its
    own. Of the bins on each side the ``STEPS`` widest up to the greatest difference of either side are kept; smaller
    differences share one bin.
    """
    if not bins:
        return []
    floor = max(1, max(map(abs, bins)) - STEPS + 1)
    merged: Counter[int] = Counter()
    for number, accounts in bins.items():
        sign = (number > 0) - (number < 0)
        merged[sign * max(abs(number), floor - 1) if number else 0] += accounts
    shown = range(min(merged), max(merged) + 1)
    used = [number for number in shown if number == 0 or abs(number) >= max(1, floor - 1)]
    return [_bin(number, floor, merged[number]) for number in used]


def _bin(number: int, floor: int, accounts: int) -> dict[str, Any]:
    size = abs(number)
    least = 1 if 0 < size < floor else _border(size) if size else 0
    most = _border(size + 1) - 1 if size else 0
    if number < 0:
        least, most = -most, -least
    return {"least_mg": str(least), "most_mg": str(most), "accounts": accounts}
