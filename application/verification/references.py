"""What credits and consents refer to, held together: intakes and evidence that are shown, rows that count once.

Keeps (DESIGN 3, Idempotency): a partner's reference, and a line of an intake, is credited once in a book, whatever
tables the ledger looked them up in; an intake's counts fit the credits that name it. Sorted on disk: memory is flat.
Leaves to the caller: whether what it hands in was signed, and whether it is the whole log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from struct import Struct
from types import TracebackType
from typing import Self

from application.verification.disk_sort import DiskSort
from application.verification.findings import Findings, Step
from domain.digest import new_sm3
from domain.events.account import BehaviorCredited, ConsentGranted
from domain.events.base import Recorded
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.intakes import Miscount, credits_miscounted, is_named_after_its_bytes, rows_unaccounted

_KEY, _TAIL = 32, Struct(">BQQ")
"""A digest of what is named; then what is said of it, a number, and the position of the event that says it."""
_SHOWN, _CREDIT, _CONSENT, _CREDITED, _READ, _REFERENCE = range(6)
"""What a record says of its key, in the order in which the records of one key are read."""
_MOST = (1 << 64) - 1


class References:
    """Takes whole streams, and tells afterwards what does not fit together."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._records = DiskSort(_KEY + _TAIL.size)

    def __enter__(self) -> Self:
        self._records.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._records.__exit__(kind, error, trace)

    def intake(self, step: Step, events: Iterable[Recorded]) -> None:
        """The stream of an intake: what it says of itself is judged at once."""
        opened: Recorded | None = None
        for each in events:
            event = each.event
            if isinstance(event, IntakeOpened):
                opened = each
                self._add(f"intake {each.position} {event.partner}", _SHOWN, each)
                self._add(f"evidence {event.digest}", _SHOWN, each)
                if not is_named_after_its_bytes(each.stream, event):
                    found = Miscount("stream", str(each.stream), "the one of its partner and digest")
                    self._mismatch(step, each.position, found)
            elif isinstance(event, IntakeClosed):
                wrong = rows_unaccounted(event)
                if opened is None:
                    wrong = Miscount("intake", "closed", "never opened")
                else:
                    intake = f"intake {opened.position} {opened.event.partner}"
                    self._add(intake, _CREDITED, opened, event.credited)
                    self._add(intake, _READ, opened, event.read)
                if wrong is not None:
                    self._mismatch(step, each.position, wrong)

    def account(self, events: Iterable[Recorded]) -> None:
        """The stream of an account."""
        for each in events:
            event = each.event
            if isinstance(event, BehaviorCredited):
                self._add(f"intake {event.intake} {event.partner}", _CREDIT, each, event.line)
                self._add(f"reference {event.ref}", _REFERENCE, each)
            elif isinstance(event, ConsentGranted) and event.basis == "imported":
                self._add(f"evidence {event.evidence}", _CONSENT, each)

    def check(self, step: Step, *, whole: bool) -> None:
        """Everything that was handed in. ``whole``: it is the whole log, so that nothing else can be counted."""
        for _, group in groupby(self._records.sorted(), key=lambda record: record[:_KEY]):
            self._check(step, group, whole=whole)

    def _check(self, step: Step, group: Iterator[bytes], *, whole: bool) -> None:
        """All that is said of one intake, evidence or reference."""
        shown, credits, credited = 0, 0, 0
        before: tuple[int, int, int] | None = None
        for record in group:
            step.checked += 1
            kind, number, position = _TAIL.unpack_from(record, _KEY)
            if kind in (_CREDIT, _CONSENT) and not shown:
                text = "the intake or evidence it names is not shown"
                self._findings.add(step, "intake_missing", f"position {position}", text)
            elif kind in (_CREDIT, _CONSENT) and position < shown:
                text = f"the intake or evidence it names came later, at position {shown}"
                self._findings.add(step, "intake_missing", f"position {position}", text)
            if kind == _SHOWN:
                shown = shown or position
            elif kind == _CREDIT:
                credits += 1
                if before is not None and before[:2] == (kind, number):
                    text = f"line {number} of its intake was credited at position {before[2]} already"
                    self._findings.add(step, "line_twice", f"position {position}", text)
            elif kind == _CREDITED:
                credited = number
            elif kind == _READ:
                wrong = credits_miscounted(number, credited, credits, all_shown=whole)
                if wrong is not None:
                    self._mismatch(step, position, wrong)
            elif kind == _REFERENCE and before is not None:
                text = f"its reference was credited at position {before[2]} already"
                self._findings.add(step, "reference_twice", f"position {position}", text)
            before = (kind, number, position)

    def _add(self, what: str, kind: int, each: Recorded, number: int = 0) -> None:
        # Beyond 64 bits there are no lines and no rows: such numbers may fall together.
        if not 0 <= number <= _MOST:
            number = 0 if number < 0 else _MOST
        self._records.add(new_sm3(what.encode()).digest() + _TAIL.pack(kind, number, each.position))

    def _mismatch(self, step: Step, position: int, wrong: Miscount) -> None:
        text = f"{wrong.what}: booked {wrong.booked}, recomputed {wrong.recomputed}"
        self._findings.add(step, "mismatch", f"position {position}", text)
