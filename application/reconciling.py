"""Reconciliation: a partner's list of behaviors against the log, both ways, by the keys of their references.

Keeps: every row of the list is matched, different, refused, missing in the log, repeated or outside the period; every
credit of the partner in the period is matched, different or missing in the list. Nothing is changed. Both sides are
sorted on disk, so memory stays flat whatever their size.
Leaves to the caller: who is wrong.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

from application.book import Book
from application.lookups import known_of
from application.ports.behavior_source import BehaviorSource, RefusedRow
from application.verification.disk_sort import DiskSort
from domain.behavior import Behavior, Refusal
from domain.crediting import Known
from domain.errors import Rejected
from domain.events.account import BehaviorCredited
from domain.events.intake import IntakeOpened
from domain.reconciliation import Difference, differences
from domain.screening import Rules, Valued, refuse_row, screen
from domain.values import (
    EPOCH_ORDINAL,
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_MINUTE,
    Period,
    day_number,
    integer_of,
)

BATCH_ROWS = 1_000
KEY_BYTES, LINE_BYTES = 16, 8
_UNKNOWN_OFFSET_MINUTES = 480
"""The civil day of a behavior that no methodology names: China's."""

MATCHED, DIFFERS, REFUSED, REPEATED, MISSING_IN_LOG, MISSING_IN_LIST = (
    "matched",
    "differs",
    "refused",
    "repeated",
    "missing_in_log",
    "missing_in_list",
)


class Found(NamedTuple):
    """One difference. ``line``: in the list, ``position``: in the log; 0 where there is none."""

    code: str
    line: int
    position: int
    source_ref: str
    behavior: str
    column: str
    listed: str
    booked: str
    message: str


class FoundSink(Protocol):
    """Takes differences."""

    def put(self, cells: Sequence[object]) -> None:
        """Keep one, as ``Found``."""


@dataclass
class Tally:
    """Rows and credits by what became of them; mg as they were first booked, before revisions and reversals."""

    count: Counter[str] = field(default_factory=Counter)
    mg: Counter[str] = field(default_factory=Counter)


@dataclass
class Reconciled:
    """``listed``: rows of the list; ``outside``: those, and their credits, of days outside the period."""

    position: int
    listed: int = 0
    outside: int = 0
    all: Tally = field(default_factory=Tally)
    by_behavior: dict[str, Tally] = field(default_factory=dict)
    refused_by_code: Counter[str] = field(default_factory=Counter)
    seconds: float = 0

    @property
    def booked(self) -> int:
        """Credits compared: those of the period, and those that a row of the period has the reference of."""
        return sum(self.all.count[kind] for kind in (MATCHED, DIFFERS, MISSING_IN_LIST))

    @property
    def is_equal(self) -> bool:
        return self.all.count.total() == self.all.count[MATCHED]

    def add(self, kind: str, behavior: str, mg: int = 0) -> None:
        """Count one row or credit."""
        for tally in (self.all, self.by_behavior.setdefault(behavior, Tally())):
            tally.count[kind] += 1
            tally.mg[kind] += mg


def reconcile(
    book: Book,
    source: BehaviorSource,
    partner: str,
    period: Period,
    *,
    sink: FoundSink | None = None,
    progress: Callable[[str], None] | None = None,
) -> Reconciled:
    """Compare a list with the log as it stands. Raises Rejected ``partner_unknown``, and as ``BehaviorSource``."""
    started, head = time.monotonic(), book.journal.head()
    _refuse_unknown(book, partner, head.size)
    tell = progress or (lambda _: None)
    comparison = _Comparison(book, Rules(book.rulebook(head.rulebook_position)), partner, period, sink, head.size)
    with (
        DiskSort(KEY_BYTES + LINE_BYTES) as listed,
        DiskSort(KEY_BYTES) as booked,
        DiskSort(LINE_BYTES) as repeated,
        DiskSort(KEY_BYTES) as unlisted,
    ):
        tell("the references of the list")
        for rows in source.rows(BATCH_ROWS):
            for row in rows:
                if isinstance(row, Behavior):
                    listed.add(book.keys.ref(partner, row.source_ref) + row.line.to_bytes(LINE_BYTES, "big"))
        tell("the credits of the log")
        for ref in comparison.refs_of_the_period():
            booked.add(ref)
        _join(listed.sorted(), booked.sorted(), repeated, unlisted)
        tell("row by row")
        comparison.compare(source, repeated.sorted())
        comparison.add_unlisted(unlisted.sorted())
    comparison.result.seconds = time.monotonic() - started
    return comparison.result


def _join(listed: Iterator[bytes], booked: Iterator[bytes], repeated: DiskSort, unlisted: DiskSort) -> None:
    """Lines whose reference stands on an earlier line, and keys of credits whose reference stands on no line.

    Both sides come sorted; of one key the credit, which is shorter, comes first.
    """
    key, waiting = b"", b""
    for record in heapq.merge(booked, listed):
        if waiting and record[:KEY_BYTES] != waiting:
            unlisted.add(waiting)
        waiting = b""
        if len(record) == KEY_BYTES:
            waiting = record
        elif record[:KEY_BYTES] == key:
            repeated.add(record[KEY_BYTES:])
        else:
            key = record[:KEY_BYTES]
    if waiting:
        unlisted.add(waiting)


class _Comparison:
    def __init__(
        self, book: Book, rules: Rules, partner: str, period: Period, sink: FoundSink | None, size: int
    ) -> None:
        self.result = Reconciled(size)
        self._book, self._rules, self._partner, self._period = book, rules, partner, period
        self._sink, self._now_us = sink, book.journal.now_us()

    def refs_of_the_period(self) -> Iterator[bytes]:
        """Keys of the partner's credits of the period.

        What happened on a day is recorded when that day has begun, somewhere: before it there is nothing to read.
        """
        begins_us = (self._period.start - 1 - EPOCH_ORDINAL) * MICROSECONDS_PER_DAY
        first = self._book.journal.position_at(begins_us)
        for each in self._book.journal.log(first, self.result.position, [BehaviorCredited.TOPIC]):
            if each.event.partner == self._partner and self._period.covers(day_number(each.event.day)):
                yield bytes.fromhex(each.event.ref)

    def compare(self, source: BehaviorSource, repeated: Iterator[bytes]) -> None:
        """Every row of the list in turn; ``repeated``: lines, ascending."""
        again = next(repeated, None)
        for rows in source.rows(BATCH_ROWS):
            self.result.listed += len(rows)
            first: list[Behavior] = []
            for row in rows:
                if isinstance(row, RefusedRow):
                    self._refused(row.refusal, row.columns[0], "")
                elif again == row.line.to_bytes(LINE_BYTES, "big"):
                    again = next(repeated, None)
                    self._repeated(row)
                else:
                    first.append(row)
            self._compare_rows(first)

    def add_unlisted(self, refs: Iterator[bytes]) -> None:
        """Credits of the period that no row has the reference of."""
        while batch := list(islice(refs, BATCH_ROWS)):
            found = known_of(self._book.journal, batch)
            for credit in sorted(found.values(), key=lambda each: each.position):
                facts = credit.facts
                self.result.add(MISSING_IN_LIST, facts.behavior, integer_of(facts.credited_mg))
                ref = "" if credit.personal is None else credit.personal.source_ref
                message = f"credited from line {facts.line} of intake {facts.intake}, and not in the list"
                self._tell(MISSING_IN_LIST, 0, credit.position, ref, facts.behavior, message)

    def _compare_rows(self, rows: Sequence[Behavior]) -> None:
        refs = [self._book.keys.ref(self._partner, row.source_ref) for row in rows]
        keys = [self._book.keys.account(row.account_ref) for row in rows]
        credits, accounts = known_of(self._book.journal, refs), self._book.journal.find_accounts(keys)
        unknown: list[Behavior] = []
        for row, ref, key in zip(rows, refs, keys, strict=True):
            day, credit = self._day_of(row), credits.get(ref)
            # What was recorded after we began is not there yet.
            if credit is not None and credit.position > self.result.position:
                credit = None
            if not self._is_inside(day, credit):
                self.result.outside += 1
            elif credit is None:
                unknown.append(row)
            else:
                self._compared(row, credit, differences(row, credit, accounts.get(key), day))
        for row, screened in zip(unknown, screen(self._rules, self._partner, unknown, self._now_us), strict=True):
            self._not_in_log(row, screened)

    def _compared(self, row: Behavior, credit: Known, found: Sequence[Difference]) -> None:
        kind = DIFFERS if found else MATCHED
        self.result.add(kind, row.behavior, integer_of(credit.facts.credited_mg))
        for each in found:
            message = f"{each.column} differs"
            self._tell(DIFFERS, row.line, credit.position, row.source_ref, row.behavior, message, each)

    def _not_in_log(self, row: Behavior, screened: Valued | Refusal) -> None:
        """Refused by the rules as they are now, or simply not there."""
        if isinstance(screened, Valued):
            if screened.decision is None:
                screened = refuse_row(row, "no_applicable_methodology")
            elif screened.computed is None:
                screened = refuse_row(row, "no_factor_for_region")
        if isinstance(screened, Refusal):
            self._refused(screened, row.source_ref, row.behavior)
            return
        self.result.add(MISSING_IN_LOG, row.behavior)
        self._tell(MISSING_IN_LOG, row.line, 0, row.source_ref, row.behavior, "no credit has this reference")

    def _refused(self, refusal: Refusal, source_ref: str, behavior: str) -> None:
        self.result.add(REFUSED, behavior)
        self.result.refused_by_code[refusal.code] += 1
        column = Difference(refusal.field, "", "")
        message = f"not credited, and refused now: {refusal.code}: {refusal.message}"
        self._tell(REFUSED, refusal.line, 0, source_ref, behavior, message, column)

    def _repeated(self, row: Behavior) -> None:
        if not self._is_inside(self._day_of(row), None):
            self.result.outside += 1
            return
        self.result.add(REPEATED, row.behavior)
        message = "an earlier line of the list has the same reference"
        self._tell(REPEATED, row.line, 0, row.source_ref, row.behavior, message)

    def _is_inside(self, day: int | None, credit: Known | None) -> bool:
        """A row without a day is looked at: nobody can say that it is outside."""
        booked = credit is not None and self._period.covers(day_number(credit.facts.day))
        return booked or day is None or self._period.covers(day)

    def _day_of(self, row: Behavior) -> int | None:
        if row.instant_us is None:
            return None
        table = self._rules.table(row.behavior, row.region)
        offset_us = _UNKNOWN_OFFSET_MINUTES * MICROSECONDS_PER_MINUTE if table is None else table[0]
        return (row.instant_us + offset_us) // MICROSECONDS_PER_DAY + EPOCH_ORDINAL

    def _tell(
        self,
        code: str,
        line: int,
        position: int,
        source_ref: str,
        behavior: str,
        message: str,
        difference: Difference = Difference("", "", ""),  # noqa: B008  # a tuple, which nobody can change
    ) -> None:
        if self._sink is not None:
            self._sink.put(Found(code, line, position, source_ref, behavior, *difference, message))


def _refuse_unknown(book: Book, partner: str, size: int) -> None:
    """Raises Rejected ``partner_unknown``: a misspelled name would make everything missing."""
    if not any(each.event.partner == partner for each in book.journal.log(0, size, [IntakeOpened.TOPIC])):
        raise Rejected(
            "partner_unknown",
            f"no intake of the log is from {partner}",
            field="partner",
            remedy="check the name: `evidence list` tells whose files were received",
        )
