"""Requests in real time: those that wait together are recorded together, by one commit (DESIGN 4, 2.11).

Keeps: an answer is given only when everything it tells is durable; a request is answered whole, or it fails whole and
may be sent again; what was accepted before ``close`` is answered. Nobody waits for a group to fill: while one is
recorded the next one gathers. Of one partner requests are recorded in the order in which they came. Memory is bounded:
who comes when too many rows wait is sent away.
Leaves to the caller: who sent it, whether he may, and reading the rows.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from typing import NamedTuple, TypeAlias

from application.book import Book
from application.crediting import Crediting
from application.left_out import KeysEnded, OverDay
from application.ports.behavior_source import ParsedRow, RefusedRow
from application.ports.evidence import EvidenceStore
from domain.behavior import Behavior, Refusal
from domain.crediting import Credited, Duplicate, Outcome
from domain.digest import sm3_hex
from domain.errors import LedgerError, Unavailable
from domain.events.intake import IntakeOpened
from domain.evidence import KEPT
from domain.instants import instant_text
from domain.partner_protocol import key_revoked
from domain.partners import over_day_quota
from domain.requests import MEDIA, ReceivedRequest, document

GROUP_ROWS = 1_000
"""A group is not made larger than this, unless one request alone is: who waits for one row waits for all of them."""
WAITING_ROWS = 20_000


class CreditedItem(NamedTuple):
    """``position``: of the credit in the log. ``credited_mg``: what it was booked with, in mg."""

    account: str
    version: int
    position: int
    credited_mg: int


class DuplicateItem(NamedTuple):
    """``first``: what its reference became before; None where that is erased."""

    first: CreditedItem | None


Item: TypeAlias = CreditedItem | DuplicateItem | Refusal


class Group(NamedTuple):
    """Requests that were recorded together, or refused, or failed. ``waited_s``: of each; ``recording_s``: of all."""

    rows: int
    waited_s: Sequence[float]
    recording_s: float


class Times(NamedTuple):
    """When a request was accepted, its group began to be recorded, and that was durable (seconds of a stopwatch)."""

    since_s: float
    began_s: float
    durable_s: float


class Answer(NamedTuple):
    """What became of each item, in order. ``intake``: position of the intake; ``line``: the first item's line in it.

    ``digest``: SM3 of the document that the intake received; ``position``: log size that shows all of it.
    """

    items: Sequence[Item]
    intake: int
    line: int
    digest: str
    position: int
    times: Times


@dataclass(slots=True)
class _Waiting:
    partner: str
    request: ReceivedRequest
    rows: Sequence[Behavior | Refusal]
    since_s: float = field(default_factory=time.monotonic)
    answer: Future[Answer] = field(default_factory=Future)

    @property
    def key(self) -> str:
        """The id of the key that signed it, "" where none did."""
        return "" if self.request.signed is None else self.request.signed.key


class Receiver:
    """Records requests of one process, in a thread of its own. ``with`` it: the end answers what was accepted."""

    def __init__(
        self,
        book: Book,
        evidence: EvidenceStore,
        *,
        group_rows: int = GROUP_ROWS,
        waiting_rows: int = WAITING_ROWS,
        tell: Callable[[Group], None] = lambda group: None,
    ) -> None:
        """``tell``: is told of each group before its requests are answered; it must not fail."""
        self._book, self._evidence = book, evidence
        self._crediting = Crediting(book)
        self._group_rows, self._waiting_rows, self._tell = group_rows, waiting_rows, tell
        self._waiting: deque[_Waiting] = deque()
        self._rows, self._began_s = 0, 0.0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="receiver")

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def waiting_rows(self) -> int:
        """How many rows wait to be recorded."""
        return self._rows

    def submit(self, partner: str, request: ReceivedRequest, rows: Sequence[ParsedRow]) -> Future[Answer]:
        """Accept a request with its rows, numbered from 1.

        Raises Unavailable ``too_busy``, ``stopping``: nothing was accepted. The future raises Rejected
        ``partner_key_revoked``, ``rows_over_day_quota``: nothing was recorded; and what recording raised: then nobody
        knows whether it was recorded, and sending it again settles it.
        """
        waiting = _Waiting(partner, request, [row.refusal if isinstance(row, RefusedRow) else row for row in rows])
        with self._changed:
            if self._closed:
                raise Unavailable("stopping", "the service is stopping", remedy="send it again in a moment")
            if self._rows and self._rows + len(rows) > self._waiting_rows:
                raise Unavailable("too_busy", f"{self._rows} rows wait already", remedy="send it again in a moment")
            self._waiting.append(waiting)
            self._rows += len(rows)
            self._changed.notify()
        return waiting.answer

    def _work(self) -> None:
        while (group := self._next()) is not None:
            if not group:
                continue
            try:
                answers = self._timed(group)
            except BaseException as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
                for each in group:
                    each.answer.set_exception(error)
            else:
                for each, answer in zip(group, answers, strict=True):
                    if isinstance(answer, LedgerError):
                        each.answer.set_exception(answer)
                    else:
                        each.answer.set_result(answer)

    def _timed(self, group: Sequence[_Waiting]) -> list[Answer | LedgerError]:
        began_s = self._began_s = time.monotonic()
        try:
            return self._record(group)
        finally:
            rows, waited = sum(len(each.rows) for each in group), [began_s - each.since_s for each in group]
            self._tell(Group(rows, waited, time.monotonic() - began_s))

    def _next(self) -> list[_Waiting] | None:
        """The oldest request and what can be recorded with it; None when the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            group: list[_Waiting] = []
            left: deque[_Waiting] = deque()
            rows, full = 0, False
            for each in self._waiting:
                mine = not group or each.partner == group[0].partner
                full = full or (mine and bool(group) and rows + len(each.rows) > self._group_rows)
                if mine and not full:
                    group.append(each)
                    rows += len(each.rows)
                else:
                    left.append(each)
            self._waiting = left
            self._rows -= rows
        # Whoever went away before his turn sent nothing; from here on nobody can go away any more.
        return [each for each in group if each.answer.set_running_or_notify_cancel()]

    def _record(self, group: Sequence[_Waiting]) -> list[Answer | LedgerError]:
        """Requests that the partner may not send any more are refused, and the others recorded without them.

        Each is one whose key was revoked since it was looked at, or for whose credits the day has no room.
        """
        refused: dict[int, LedgerError] = {}
        answers: list[Answer] = []
        while left := [each for each in group if id(each) not in refused]:
            try:
                answers = self._credit(left)
                break
            except KeysEnded as ended:
                refused.update((id(each), key_revoked()) for each in left if each.key in ended.keys)
            except OverDay as over:
                refused.update(_over_day(left, over, self._book.journal.now_us()))
        told = iter(answers)
        return [refused.get(id(each)) or next(told) for each in group]

    def _credit(self, group: Sequence[_Waiting]) -> list[Answer]:
        content = document([each.request for each in group])
        opened = IntakeOpened(
            partner=group[0].partner,
            digest=sm3_hex(content),
            size_bytes=len(content),
            media=MEDIA,
            received_at=instant_text(self._book.journal.now_us()),
            evidence=KEPT,
        )
        firsts = list(accumulate((len(each.rows) for each in group), initial=1))
        rows = [
            row._replace(line=row.line + first - 1)
            for first, each in zip(firsts, group, strict=False)
            for row in each.rows
        ]
        # Before the intake that names it, so that a credit never lacks its evidence.
        with self._evidence.keeping(opened.digest, [content]):
            done = self._crediting.credit_whole(opened, rows, {each.key for each in group} - {""})
        durable_s = time.monotonic()
        items = list(_items(rows, done.outcomes, done.positions))
        return [
            Answer(
                items[first - 1 : end - 1],
                done.intake,
                first,
                opened.digest,
                done.last,
                Times(each.since_s, self._began_s, durable_s),
            )
            for each, (first, end) in zip(group, pairwise(firsts), strict=True)
        ]


def _over_day(group: Sequence[_Waiting], over: OverDay, now_us: int) -> Iterator[tuple[int, LedgerError]]:
    """Those for which the day has no room, the first come first served; it is at least one."""
    left, outcomes = over.left, iter(over.outcomes)
    for each in group:
        credits = sum(1 for outcome in islice(outcomes, len(each.rows)) if isinstance(outcome, Credited))
        if credits <= left:
            left -= credits
        else:
            yield id(each), over_day_quota(credits, over.most, left, now_us)


def _items(rows: Sequence[Behavior | Refusal], outcomes: Sequence[Outcome], positions: Sequence[int]) -> Iterator[Item]:
    """What to tell of each row; a row that repeats one of the same group is told what that one became."""
    here: dict[str, CreditedItem] = {}
    for row, outcome, position in zip(rows, outcomes, positions, strict=True):
        if isinstance(outcome, Credited):
            item = CreditedItem(str(outcome.account), outcome.version, position, outcome.credited_mg)
            if isinstance(row, Behavior):
                here[row.source_ref] = item
            yield item
        elif isinstance(outcome, Duplicate):
            if outcome.first is not None:
                first = outcome.first
                mg = int(first.facts.credited_mg)
                yield DuplicateItem(CreditedItem(str(first.account), first.version, first.position, mg))
            else:
                yield DuplicateItem(here.get(row.source_ref) if isinstance(row, Behavior) else None)
        else:
            yield outcome
