"""Replay of the whole book with the reference kernel (DESIGN 2.5; DOMAIN rule 12).

Keeps: the book is read account by account in order of their ids, so memory stays flat; positions, the rulebook chain,
every decision, credit, reversal, revision line and run total are recomputed and compared; nothing is read from views.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from application.book import Book
from domain.digest import MerkleRoot, new_sm3
from domain.events.base import Recorded
from domain.events.intake import IntakeOpened
from domain.events.registry import ACCOUNT_TOPICS
from domain.replay import AccountReplay, Mismatch, approved_runs, check_rulebook
from domain.revision import Impact, lines_entry
from domain.streams import BOOK, stream_id

MISMATCHES_KEPT = 1_000


@dataclass
class ReplayResult:
    """What was replayed and what differed. ``digest``: SM3 over the balances as recomputed (DESIGN 7)."""

    until: int
    events: int = 0
    credits: int = 0
    revisions: int = 0
    accounts: int = 0
    mismatches: int = 0
    details: list[Mismatch] = field(default_factory=list)
    balances: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    seconds: float = 0

    @property
    def credited_mg(self) -> int:
        return sum(self.balances.values())

    def report(self, *mismatches: Mismatch) -> None:
        """Count all, keep the first ones."""
        self.mismatches += len(mismatches)
        self.details.extend(mismatches[: max(0, MISMATCHES_KEPT - len(self.details))])


class _RunTotals:
    """Sums and root of one run, recomputed account by account."""

    def __init__(self) -> None:
        self.impact = Impact()
        self.root = MerkleRoot()


def replay(book: Book, until: int | None = None, progress: Callable[[int], None] | None = None) -> ReplayResult:
    """Recompute the first ``until`` events (default: all) and compare.

    Raises Corrupt when the rulebook is unreadable.
    """
    started = time.monotonic()
    head = book.journal.head()
    upto = head.size if until is None else min(until, head.size)
    rulebook = book.rulebook(head.rulebook_position)
    runs = approved_runs(rulebook, upto)
    totals = {run.id: _RunTotals() for run, _ in runs}
    result = ReplayResult(upto)
    result.events = _check_positions(book, upto, result)
    result.report(*check_rulebook(rulebook))
    intakes = _intakes(book, upto)
    digest = new_sm3()
    for stream, recorded in book.journal.streams(ACCOUNT_TOPICS, upto):
        account = AccountReplay(rulebook, runs, stream, upto)
        balances = account.run(recorded)
        _check_intakes(recorded, intakes, result)
        result.report(*account.mismatches)
        result.credits += account.credits
        _add_balances(result, digest, stream, balances)
        for revised in account.revised:
            total = totals[revised.revision]
            total.impact.add(revised.lines)
            total.root.add(lines_entry(stream, revised.lines))
        if progress is not None:
            progress(result.credits)
    for run, _ in runs:
        if run.completed is not None and run.completed_position <= upto:
            result.revisions += 1
            _check_totals(run.id, run.completed, run.completed_position, totals[run.id], result)
    _check_refs(book, upto, result)
    result.digest = digest.hexdigest()
    result.seconds = time.monotonic() - started
    return result


def _add_balances(result: ReplayResult, digest: hashlib._Hash, stream: UUID, balances: dict[str, int]) -> None:
    result.accounts += bool(balances)
    for behavior, mg in balances.items():
        result.balances[behavior] = result.balances.get(behavior, 0) + mg
        digest.update(f"{stream},{behavior},{mg}\n".encode())


def _check_positions(book: Book, upto: int, result: ReplayResult) -> int:
    """The log holds positions 1..upto, each once."""
    count, first, last = book.journal.span(upto)
    if upto and (count, first, last) != (upto, 1, upto):
        result.report(Mismatch(BOOK, 0, last, "positions", f"{count} events from {first} to {last}", f"1 to {upto}"))
    return count


def _check_refs(book: Book, upto: int, result: ReplayResult) -> None:
    """Each credit holds one reference: a removed one would let the same behavior be credited again."""
    taken = book.journal.count_refs(upto)
    if taken != result.credits:
        result.report(Mismatch(BOOK, 0, upto, "references", str(taken), f"{result.credits}, one for each credit"))


def _intakes(book: Book, upto: int) -> dict[int, str]:
    return {
        each.position: each.event.partner
        for _, recorded in book.journal.streams((IntakeOpened.TOPIC,), upto)
        for each in recorded
    }


def _check_intakes(recorded: list[Recorded], intakes: dict[int, str], result: ReplayResult) -> None:
    for each in recorded:
        intake = getattr(each.event, "intake", None)
        if intake is not None and intakes.get(intake) != each.event.partner:
            booked = f"{each.event.partner} {intake}"
            named = intakes.get(intake, "no such intake")
            result.report(Mismatch(each.stream, each.version, each.position, "intake", booked, named))


def _check_totals(revision: str, completed: Any, position: int, total: _RunTotals, result: ReplayResult) -> None:
    expected = {**total.impact.as_dict(), "lines_root": total.root.hex()}
    for name, value in expected.items():
        if getattr(completed, name) != value:
            stream = stream_id("revision", revision)
            result.report(Mismatch(stream, 0, position, name, str(getattr(completed, name)), str(value)))
