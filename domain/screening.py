"""Screening: every check and the computation that need no account, for a column of rows.

Keeps (DESIGN 5): the checks run in the order of DESIGN section 5 and the first failure is the answer; what a registered
partner may send comes first (ADR 0028); unit and range are those of the version that values the row, or of the newest
published one where none does.
Leaves to ``crediting``: references, accounts, consent, caps.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from domain.applicability import Decision, LookUp
from domain.behavior import Behavior, Refusal
from domain.kernel.method import Method
from domain.partners import Standing
from domain.revision import scope_of
from domain.rulebook import Rulebook
from domain.timeliness import is_late_for
from domain.values import EPOCH_ORDINAL, MICROSECONDS_PER_DAY, MICROSECONDS_PER_MINUTE


class Valued(msgspec.Struct, gc=False):
    """A row that passed all checks that need no account."""

    decision: Decision | None
    method: Method
    day: int
    quantity: int
    computed: int | None = None
    """mg; None where the version has no parameter value for the region and day."""


class Rules:
    """The rulebook as crediting asks it, with look-ups kept per (behavior, region).

    ``position``: the rulebook position that they stand for; the rulebook itself may go on while they are kept.
    """

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self.position = rulebook.position
        self.runs = [(run, scope_of(rulebook, run)) for run in rulebook.pending_runs()]
        self._tables: dict[tuple[str, str], tuple[int, LookUp, Method] | None] = {}

    def table(self, behavior: str, region: str) -> tuple[int, LookUp, Method] | None:
        """Offset in microseconds, look-up, and newest published method; None when the behavior is unknown."""
        key = (behavior, region)
        try:
            return self._tables[key]
        except KeyError:
            if len(self._tables) > 10_000:
                self._tables.clear()
            found = self._tables[key] = self._build(behavior, region)
            return found

    def standing(self, partner: str) -> Standing | None:
        """How the partner stands; None for a name that was never registered."""
        return self.rulebook.partners.standing(partner, self.position + 1)

    def _build(self, behavior: str, region: str) -> tuple[int, LookUp, Method] | None:
        published = self.rulebook.published(behavior)
        if not published:
            return None
        newest = published[-1].method
        offset_us = newest.utc_offset_minutes * MICROSECONDS_PER_MINUTE
        return offset_us, self.rulebook.lookup(behavior, region, self.position + 1), newest


def screen(
    rules: Rules, partner: str, rows: Sequence[Behavior], now_us: int, recorded_us: int = 0
) -> list[Valued | Refusal]:
    """The checks and the computation that need no account, for a column of rows of one partner.

    ``recorded_us``: when the log was last written to. Its time never goes back as a clock may: what is credited is
    recorded after it, and must not be too late then.
    """
    standing = rules.standing(partner)
    results: list[Valued | Refusal] = []
    columns: dict[Decision, list[tuple[Valued, str]]] = {}
    for row in rows:
        checked = _check(rules, standing, row, now_us, recorded_us)
        results.append(checked)
        if isinstance(checked, Valued) and checked.decision is not None:
            columns.setdefault(checked.decision, []).append((checked, row.region))
    for decision, column in columns.items():
        computed = decision.valuer.compute(
            [region for _, region in column],
            [value.day for value, _ in column],
            [value.quantity for value, _ in column],
        )
        for (value, _), mg in zip(column, computed, strict=True):
            value.computed = mg
    return results


def _check(rules: Rules, standing: Standing | None, row: Behavior, now_us: int, recorded_us: int) -> Valued | Refusal:
    if standing is not None and (barred := standing.refusal(row.behavior)):
        return refuse_row(row, barred)
    table = rules.table(row.behavior, row.region)
    if table is None:
        return refuse_row(row, "unknown_behavior")
    instant = row.instant_us
    if instant is None:
        return refuse_row(row, "timestamp_without_offset")
    offset_us, lookup, newest = table
    day = (instant + offset_us) // MICROSECONDS_PER_DAY + EPOCH_ORDINAL
    decision = lookup.on(day)
    method = newest if decision is None else decision.method
    if row.unit != method.unit:
        return refuse_row(row, "unit_mismatch", method.unit)
    quantity, shift = row.quantity, method.scale - row.scale
    if quantity <= 0:
        return refuse_row(row, "quantity_not_positive")
    if shift >= 0:
        quantity *= 10**shift
        inside = method.minimum <= quantity <= method.maximum
    else:
        inside = method.minimum * 10**-shift <= quantity <= method.maximum * 10**-shift
    if not inside:
        return refuse_row(row, "quantity_out_of_range")
    if shift < 0:
        return refuse_row(row, "quantity_too_precise", str(method.scale))
    if instant > now_us:
        return refuse_row(row, "occurred_in_future")
    is_late = now_us - instant > method.late_window_days * MICROSECONDS_PER_DAY
    if is_late or (recorded_us > now_us and is_late_for(day, recorded_us, method)):
        return refuse_row(row, "too_late", str(method.late_window_days))
    return Valued(decision, method, day, quantity)


def refuse_row(row: Behavior, code: str, detail: str = "") -> Refusal:
    """The refusal of a well-formed row; ``detail`` completes the message."""
    field, message, remedy = REFUSALS[code]
    return Refusal(row.line, code, field, message.format(detail), remedy)


REFUSALS: dict[str, tuple[str, str, str]] = {
    "conflicting_duplicate": (
        "source_ref",
        "this reference was used before with other content",
        "reverse the first credit and send the correction under a new reference",
    ),
    "partner_suspended": (
        "partner",
        "the partner is suspended",
        "send it again once its resumption is approved; `partner show` tells since when and why",
    ),
    "behavior_not_allowed": (
        "behavior",
        "the partner may not send this behavior",
        "check the spelling, or have it added to the partner's terms with `partner terms`",
    ),
    "unknown_behavior": (
        "behavior",
        "no published methodology names this behavior",
        "check the spelling, or publish a methodology for it",
    ),
    "timestamp_without_offset": (
        "occurred_at",
        "the time has no UTC offset, so its civil day is unknown",
        "send it with an offset, such as 2026-01-31T08:00:00+08:00",
    ),
    "unit_mismatch": ("unit", "the methodology counts in {}", "convert the quantity and name that unit"),
    "quantity_not_positive": ("quantity", "the quantity is not above zero", "send measured quantities only"),
    "quantity_out_of_range": (
        "quantity",
        "the quantity is outside the range of the methodology",
        "check the measurement; `methodology show` tells the range",
    ),
    "quantity_too_precise": (
        "quantity",
        "the methodology takes at most {} decimal places",
        "round the quantity by your own documented rule before sending",
    ),
    "occurred_in_future": ("occurred_at", "the behavior has not happened yet", "check the clock of the source"),
    "too_late": (
        "occurred_at",
        "the behavior is older than the late window of {} days",
        "late behaviors need a methodology version with a wider window",
    ),
    "account_unknown": (
        "account_ref",
        "there is no account with this reference",
        "open it first, or import with --open-accounts",
    ),
    "account_frozen": ("account_ref", "the account is frozen", "send it again after the account is unfrozen"),
    "account_closed": ("account_ref", "the account is closed", "a closed account takes no more credits"),
    "no_consent": (
        "account_ref",
        "no active consent covers this behavior at that time",
        "give --open-accounts with every file for which the partner asserts consent, or record consents with "
        "`consent grant`; what the person granted or withdrew directly is never overruled",
    ),
    "no_applicable_methodology": (
        "behavior",
        "no decision in force covers this civil day and region",
        "propose and approve an applicability decision for it",
    ),
    "no_factor_for_region": (
        "region",
        "the methodology has no parameter value for this region and day",
        "publish a version or release with a row for the region",
    ),
}
"""Code -> column, message ({} takes a detail), remedy. ``malformed`` is answered by ``domain.behavior``."""
