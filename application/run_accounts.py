"""The accounts that a revision run touches, each with its lines: by the reference from the log, or by the fast kernel.

Keeps: an account that has recorded the run's lines already is given with exactly these; any other with the lines that
its stream up to the approval determines; accounts come in order of their ids, and all that have a line come.
Leaves to ``application.revising``: recording them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

import numpy as np

from application.book import Book
from application.fast_lines import lines_of
from application.ports.archive import LINE, NONE, REVISED, Archive, Rows
from application.ports.kernel import REASONS, KernelFactory, Lines
from domain import revision as rules
from domain.events.account import FactorRevised, RevisedLine
from domain.events.base import Recorded
from domain.events.registry import ACCOUNT_TOPICS
from domain.history import AccountHistory
from domain.revision import Scope
from domain.rulebook import RevisionRun, Rulebook
from domain.values import day_text


class RunAccount(NamedTuple):
    """An account in a run. ``version``: the newest of its stream; ``booked``: it has recorded these lines already."""

    stream: UUID
    version: int
    lines: Sequence[RevisedLine]
    booked: bool


RunAccounts: TypeAlias = Callable[[Book, RevisionRun, Scope], Iterator[RunAccount]]


def reference_accounts(book: Book, run: RevisionRun, scope: Scope) -> Iterator[RunAccount]:
    """From the log, by ``domain.revision.lines_for``."""
    for stream, recorded in book.journal.streams(ACCOUNT_TOPICS, book.journal.head().size):
        account = account_in(run, scope, stream, recorded)
        if account.lines:
            yield account


def account_in(run: RevisionRun, scope: Scope, stream: UUID, recorded: Sequence[Recorded]) -> RunAccount:
    """One account from its stream; without lines when nothing of it is in scope."""
    booked = [
        line
        for each in recorded
        if isinstance(each.event, FactorRevised) and each.event.revision == run.id
        for line in each.event.lines
    ]
    lines = booked or rules.lines_for(AccountHistory().extend(recorded), scope)
    return RunAccount(stream, recorded[-1].version, lines, bool(booked))


def fast_accounts(archive: Archive, kernels: KernelFactory) -> RunAccounts:
    """By the fast kernel, after the archive has followed the log."""

    def accounts(book: Book, run: RevisionRun, scope: Scope) -> Iterator[RunAccount]:
        upto = book.journal.head().size
        if archive.status().position < upto:
            archive.build()
        kernel = None
        for rows in archive.rows(upto):
            kernel = kernel or kernels(Rulebook(), [], rows.names)
            lines = lines_of(book, kernel, rows, scope, upto)
            booked = _booked(rows, run, lines)
            due = _due(rows, lines, set(booked))
            for account in sorted([*booked, *due]):
                yield booked[account] if account in booked else due[account]

    return accounts


def _booked(rows: Rows, run: RevisionRun, found_now: Lines) -> dict[int, RunAccount]:
    """The accounts whose rows hold the run's lines, by index."""
    names, code = rows.names, rows.names.code("decision", run.id)
    of_run = rows.decision == code
    found = np.flatnonzero(of_run & (rows.kind == LINE))
    found = found[np.lexsort((rows.refers_to[found], rows.account[found]))]
    accounts: dict[int, RunAccount] = {
        account: RunAccount(rows.ids[account], int(found_now.last_version[account]), [], True)
        for account in np.unique(rows.account[of_run & (rows.kind == REVISED)]).tolist()
    }
    lines: dict[int, list[RevisedLine]] = {account: [] for account in accounts}
    for row in found.tolist():
        computed, reason = int(rows.computed_mg[row]), names.words["terms"][rows.terms[row]].partition(";")[2]
        line = RevisedLine(
            int(rows.refers_to[row]),
            day_text(int(rows.day[row])),
            str(rows.before_mg[row]),
            None if computed == NONE else str(computed),
            str(rows.credited_mg[row]),
            reason,
        )
        lines[int(rows.account[row])].append(line)
    return {account: each._replace(lines=lines[account]) for account, each in accounts.items()}


def _due(rows: Rows, lines: Lines, booked: set[int]) -> dict[int, RunAccount]:
    """The accounts with lines that nobody has recorded yet, by index."""
    days = {day: day_text(day) for day in np.unique(lines.day).tolist()}
    made = [
        RevisedLine(
            credit, days[day], str(before), None if computed == NONE else str(computed), str(after), REASONS[why]
        )
        for credit, day, before, computed, after, why in zip(
            lines.credit.tolist(),
            lines.day.tolist(),
            lines.before_mg.tolist(),
            lines.computed_mg.tolist(),
            lines.credited_mg.tolist(),
            lines.reason.tolist(),
            strict=True,
        )
    ]
    accounts, starts = np.unique(lines.account, return_index=True)
    ends = np.append(starts, len(made))[1:]
    return {
        account: RunAccount(rows.ids[account], int(lines.last_version[account]), made[start:end], False)
        for account, start, end in zip(accounts.tolist(), starts.tolist(), ends.tolist(), strict=True)
        if account not in booked
    }
