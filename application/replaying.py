"""Replay of the whole book with the reference kernel (DESIGN 2.5; DOMAIN rule 12).

Keeps: the book is read account by account in order of their ids, so memory stays flat; positions, the rulebook chain,
every decision, credit, reversal, revision line and run total are recomputed and compared; nothing is read from views.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from application.book import Book
from application.log_checks import IntakeChecks, check_head, check_names, check_rulebook_chain, check_snapshots
from domain.digest import MerkleRoot, new_sm3
from domain.events.registry import ACCOUNT_TOPICS
from domain.replay import AccountReplay, Mismatch, approved_runs, check_rulebook
from domain.revision import Impact, lines_entry
from domain.streams import BOOK, stream_id

MISMATCHES_KEPT = 1_000
STREAMS_PER_BATCH = 200


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
    result.events = book.journal.span(upto)[0]
    result.report(*check_head(book, upto), *check_rulebook_chain(book, upto), *check_rulebook(rulebook))
    intakes = IntakeChecks(book, upto)
    digest = new_sm3()
    streams = book.journal.streams(ACCOUNT_TOPICS, upto)
    while batch := list(islice(streams, STREAMS_PER_BATCH)):
        result.report(*check_names(book, batch), *check_snapshots(book, batch))
        for stream, recorded in batch:
            account = AccountReplay(rulebook, runs, stream, upto)
            balances = account.run(recorded)
            result.report(*(wrong for each in recorded for wrong in intakes.check(each)), *account.mismatches)
            result.credits += account.credits
            _add_balances(result, digest, stream, balances)
            for revised in account.revised:
                total = totals[revised.revision]
                total.impact.add(revised.lines)
                total.root.add(lines_entry(stream, revised.lines))
        if progress is not None:
            progress(result.credits)
    result.report(*intakes.wrong, *intakes.finish())
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


def _check_refs(book: Book, upto: int, result: ReplayResult) -> None:
    """Each credit holds one reference: a removed one would let the same behavior be credited again."""
    taken = book.journal.count_refs(upto)
    if taken != result.credits:
        result.report(Mismatch(BOOK, 0, upto, "references", str(taken), f"{result.credits}, one for each credit"))


def _check_totals(revision: str, completed: Any, position: int, total: _RunTotals, result: ReplayResult) -> None:
    expected = {**total.impact.as_dict(), "lines_root": total.root.hex()}
    for name, value in expected.items():
        if getattr(completed, name) != value:
            stream = stream_id("revision", revision)
            result.report(Mismatch(stream, 0, position, name, str(getattr(completed, name)), str(value)))
