"""Replay of the whole book (DESIGN 2.5; DOMAIN rule 12): with the reference kernel here, and what every replay shares.

Keeps: the book is gone through account by account in order of their ids, so memory stays flat; positions, the rulebook
and its chain, every decision, credit, reversal, revision line and run total are recomputed and compared; nothing is
read from views.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from application.book import Book
from application.log_checks import (
    IntakeChecks,
    check_erasures,
    check_head,
    check_names,
    check_rulebook_events,
    check_snapshots,
)
from domain.digest import MerkleRoot, new_sm3
from domain.events.base import Recorded
from domain.events.registry import ACCOUNT_TOPICS
from domain.replay import AccountReplay, Mismatch, approved_runs
from domain.revision import Impact, lines_entry
from domain.streams import BOOK, stream_id

MISMATCHES_KEPT = 1_000
STREAMS_PER_BATCH = 200


@dataclass
class ReplayResult:
    """What was replayed and what differed. ``digest``: SM3 over the balances as recomputed (DESIGN 7).

    ``by_reference``: the accounts that the reference kernel recomputed.
    """

    until: int
    events: int = 0
    credits: int = 0
    revisions: int = 0
    accounts: int = 0
    by_reference: int = 0
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

    def report_first(self, *mismatches: Mismatch) -> None:
        """Count all, and keep them before the others."""
        self.mismatches += len(mismatches)
        self.details = [*mismatches, *self.details][:MISMATCHES_KEPT]


class _Tables(NamedTuple):
    """What the tables hold: events and references up to a position, and what does not agree with the head."""

    events: int
    references: int
    wrong: list[Mismatch]


class RunTotals:
    """Sums and root of one run, recomputed account by account."""

    def __init__(self) -> None:
        self.impact = Impact()
        self.root = MerkleRoot()


class Replaying:
    """What a replay of the first ``until`` events has found so far; accounts must come in order of their ids.

    Raises Corrupt when the rulebook is unreadable.
    """

    def __init__(self, book: Book, until: int | None) -> None:
        self._started = time.monotonic()
        head = book.journal.head()
        self.book = book
        self.until = head.size if until is None else min(until, head.size)
        self.rulebook = book.rulebook(head.rulebook_position)
        self.runs = approved_runs(self.rulebook, self.until)
        self.totals = {run.id: RunTotals() for run, _ in self.runs}
        self.result = ReplayResult(self.until)
        # Counting what is in the tables is the server's work; the accounts are recomputed meanwhile.
        self._beside = ThreadPoolExecutor(1)
        self._tables = self._beside.submit(self._check_tables)
        self.intakes = IntakeChecks(book, self.until)
        self._digest = new_sm3()

    def _check_tables(self) -> _Tables:
        beside = list(check_head(self.book, self.until))
        # Where positions are without a gap there is nothing to count once more, which takes as long as the kernel.
        events = self.book.journal.span(self.until)[0] if beside else self.until
        wrong = [*beside, *check_rulebook_events(self.book, self.until)]
        return _Tables(events, self.book.journal.count_refs(self.until), wrong)

    def by_reference(self, stream: UUID, recorded: Sequence[Recorded]) -> tuple[AccountReplay, dict[str, int]]:
        """Recompute one account with the law; mismatches are reported, its balance by behavior is given."""
        account = AccountReplay(self.rulebook, self.runs, stream, self.until)
        balances = account.run(recorded)
        self.result.report(*(wrong for each in recorded for wrong in self.intakes.check(each)), *account.mismatches)
        self.result.credits += account.credits
        self.result.by_reference += 1
        for revised in account.revised:
            self.totals[revised.revision].impact.add(revised.lines)
        return account, balances

    def add_balances(self, account: object, balances: dict[str, int]) -> None:
        """One account's balance, behaviors in byte order."""
        self.result.accounts += bool(balances)
        for behavior, mg in balances.items():
            self.result.balances[behavior] = self.result.balances.get(behavior, 0) + mg
            self._digest.update(f"{account},{behavior},{mg}\n".encode())

    def add_written(self, accounts: int, balances: Mapping[str, int], lines: bytes) -> None:
        """The same for several accounts: how many, their sums by behavior, and their lines under the digest."""
        self.result.accounts += accounts
        for behavior, mg in balances.items():
            self.result.balances[behavior] = self.result.balances.get(behavior, 0) + mg
        self._digest.update(lines)

    def finish(self) -> ReplayResult:
        """Compare sums, references and intakes; the whole result."""
        result = self.result
        result.report(*self.intakes.wrong, *self.intakes.finish())
        for run, _ in self.runs:
            if run.completed is not None and run.completed_position <= self.until:
                result.revisions += 1
                _check_totals(run.id, run.completed, run.completed_position, self.totals[run.id], result)
        tables = self._tables.result()
        self._beside.shutdown()
        result.events = tables.events
        result.report_first(*tables.wrong)
        # Each credit holds one reference: a removed one would let the same behavior be credited again.
        if tables.references != result.credits:
            found, expected = str(tables.references), f"{result.credits}, one for each credit"
            result.report(Mismatch(BOOK, 0, self.until, "references", found, expected))
        result.digest = self._digest.hexdigest()
        result.seconds = time.monotonic() - self._started
        return result


def replay(book: Book, until: int | None = None, progress: Callable[[int], None] | None = None) -> ReplayResult:
    """Recompute the first ``until`` events (default: all) with the law, from the log, and compare.

    Raises Corrupt when the rulebook is unreadable.
    """
    replaying = Replaying(book, until)
    result = replaying.result
    streams = book.journal.streams(ACCOUNT_TOPICS, replaying.until, personal=True)
    while batch := list(islice(streams, STREAMS_PER_BATCH)):
        result.report(*check_names(book, batch), *check_erasures(book, batch), *check_snapshots(book, batch))
        for stream, recorded in batch:
            account, balances = replaying.by_reference(stream, recorded)
            replaying.add_balances(stream, balances)
            for revised in account.revised:
                replaying.totals[revised.revision].root.add(lines_entry(stream, revised.lines))
        if progress is not None:
            progress(result.credits)
    return replaying.finish()


def _check_totals(revision: str, completed: Any, position: int, total: RunTotals, result: ReplayResult) -> None:
    expected = {**total.impact.as_dict(), "lines_root": total.root.hex()}
    for name, value in expected.items():
        if getattr(completed, name) != value:
            stream = stream_id("revision", revision)
            result.report(Mismatch(stream, 0, position, name, str(getattr(completed, name)), str(value)))
