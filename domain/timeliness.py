"""What the time of a record says of the day that a credit is for, which lies not ahead and not before the late
window, and of an erasure, which lies not before the end of the retention period.

Keeps: by civil day, since the exact instant is a personal fact. Only what cannot have been is told (DESIGN 5,
``occurred_in_future`` and ``too_late``).
Leaves to others: whether the day is that of the exact instant, where it is known (``domain.replay``).
"""

from __future__ import annotations

from uuid import UUID

from domain.erasure import is_entry, refuse_retained
from domain.errors import Rejected
from domain.events.account import BehaviorCredited, PersonalDataErased
from domain.events.base import Recorded
from domain.kernel.method import Method
from domain.rulebook import Rulebook
from domain.values import civil_day, day_number, day_text


class Retention:
    """Erasures before the law allows them, in streams that follow each other, each from its first event on."""

    def __init__(self) -> None:
        self._stream: UUID | None = None
        self._entry_us = 0

    def early(self, rulebook: Rulebook, each: Recorded, recorded_us: int) -> str | None:
        """Why an erasure was not to be recorded yet; None when it was, and for other events."""
        if each.stream != self._stream:
            self._stream, self._entry_us = each.stream, recorded_us
        if is_entry(each):
            self._entry_us = recorded_us
        if isinstance(each.event, PersonalDataErased) and rulebook.genesis is not None:
            try:
                refuse_retained(self._entry_us, rulebook.genesis.retention_days, recorded_us)
            except Rejected as refused:
                return refused.message
        return None


_APPENDING_DAYS = 1
"""A row is judged before it is recorded: midnight may lie between the two."""


def untimely(rulebook: Rulebook, each: Recorded, recorded_us: int) -> str | None:
    """Why a credit cannot have been recorded at this time; None when it can, and for other events.

    Raises ValueError when its day is none.
    """
    facts = each.event
    version = rulebook.methodologies.get(facts.methodology) if isinstance(facts, BehaviorCredited) else None
    if version is None:  # a credit by no methodology is told of as such
        return None
    day = day_number(facts.day)
    recorded = civil_day(recorded_us, version.method.utc_offset_minutes)
    if day > recorded:
        return f"a credit for {facts.day} was recorded on {day_text(recorded)}"
    if is_late_for(day, recorded_us, version.method):
        window = version.method.late_window_days
        return f"a credit for {facts.day} was recorded on {day_text(recorded)}: the late window has {window} days"
    return None


def is_late_for(day: int, recorded_us: int, method: Method) -> bool:
    """Whether a civil day is beyond the late window of what is recorded at this time."""
    return civil_day(recorded_us, method.utc_offset_minutes) - day > method.late_window_days + _APPENDING_DAYS
