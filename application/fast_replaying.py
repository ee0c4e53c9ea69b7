"""Replay of the whole book with the fast kernel over the archive (DESIGN 4, Replay path).

Keeps: the same result as ``application.replaying``, digest and mismatches alike: what the kernel cannot prove is
recomputed from the log by the reference, which names what is wrong. The result does not depend on the engine, nor on
where it cuts its parts. Memory stays flat: the archive comes in parts.
Leaves to ``archive verify``: that the archive is what the log says. Leaves to the reference replay: what only the log
holds, which is exact instants, references and names in clear, the evidence of consents, and snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import numpy as np

from application.book import Book
from application.exact_columns import sums_by
from application.ports.archive import Archive
from application.ports.engine import Engine, Part, Task
from application.ports.kernel import KernelFactory
from application.recomputing import Recomputing
from application.replaying import Replaying, ReplayResult
from domain.revision import digest_entry, lines_entry


class LocalEngine:
    """Engine port: the kernel in this process."""

    def __init__(self, archive: Archive, kernels: KernelFactory) -> None:
        self._archive = archive
        self._kernels = kernels

    def parts(self, task: Task) -> Generator[Part]:
        recomputing = None
        # A file that was changed is told at the end, and even where its rows made something stumble before.
        with closing(self._archive.rows(task.until, eager=True)) as parts:
            for rows in parts:
                if recomputing is None:
                    recomputing = Recomputing(task, self._kernels, rows.names)
                yield recomputing.part(rows)


def replay_fast(
    book: Book,
    archive: Archive,
    kernels: KernelFactory,
    until: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplayResult:
    """Recompute the first ``until`` events (default: all) on this machine; see ``replay_on``."""
    return replay_on(LocalEngine(archive, kernels), book, archive, until, progress)


def replay_on(
    engine: Engine,
    book: Book,
    archive: Archive,
    until: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplayResult:
    """Recompute the first ``until`` events (default: all), after the archive has followed the log that far.

    Raises Corrupt when the rulebook is unreadable, ``archive_file_changed`` or ``archive_manifest_broken``; Unavailable
    when the engine is.
    """
    replaying = Replaying(book, until)
    if archive.status().position < replaying.until:
        archive.build()
    task = Task(replaying.rulebook, replaying.runs, replaying.until, replaying.intakes.partners)
    with closing(engine.parts(task)) as parts:
        for part in parts:
            _add(replaying, part)
            if progress is not None:
                progress(replaying.result.credits)
    return replaying.finish()


def _add(replaying: Replaying, part: Part) -> None:
    """Join what was proven with what the reference says of the rest, by account id."""
    asked = dict[int, dict[str, int]]()
    ids = part.ids.texts() if any(sums.digests for sums in part.recomputed.runs.values()) else []
    entries = {
        run: [(account, digest_entry(ids[account].decode(), digest.hex())) for account, digest in sums.digests]
        for run, sums in part.recomputed.runs.items()
    }
    for account in part.recomputed.unproven.tolist():
        stream = part.ids[account]
        recorded = replaying.book.journal.stream(stream, replaying.until, personal=True)
        found, asked[account] = replaying.by_reference(stream, recorded)
        for revised in found.revised:
            entry = lines_entry(stream, revised.lines)
            entries.setdefault(revised.revision, []).append((account, entry))
    if asked:
        for account, by_behavior in _by_account(part, asked):
            replaying.add_balances(part.ids[account], by_behavior)
    else:
        _add_proven(replaying, part)
    for run, found_entries in entries.items():
        for _, entry in sorted(found_entries):
            replaying.totals[run].root.add(entry)
    for run, sums in part.recomputed.runs.items():
        replaying.totals[run].impact.add_sums(
            sums.accounts, sums.changed_accounts, sums.credits, sums.before_mg, sums.after_mg
        )
    for intake, credits in part.intakes.items():
        replaying.intakes.add_credits(intake, credits)
    replaying.result.credits += int(part.recomputed.balances.credits.sum())


def _add_proven(replaying: Replaying, part: Part) -> None:
    """The balances of a part that is proven as a whole, the usual one: no object is made of an account."""
    balances = part.recomputed.balances
    sums = sums_by(balances.behavior, len(part.behaviors), balances.credited_mg).tolist()
    met = np.bincount(balances.behavior, minlength=len(part.behaviors)).tolist()
    by_behavior = {word: mg for word, mg, rows in zip(part.behaviors, sums, met, strict=True) if rows}
    accounts = np.count_nonzero(np.diff(balances.account)) + bool(len(balances.account))
    replaying.add_written(int(accounts), by_behavior, part.recomputed.lines)


def _by_account(part: Part, asked: dict[int, dict[str, int]]) -> Iterator[tuple[int, dict[str, int]]]:
    """By account: what the kernel or the reference says, behaviors in byte order."""
    waiting = sorted(asked.items(), reverse=True)
    balances = part.recomputed.balances
    account, by_behavior = -1, dict[str, int]()
    columns = (balances.account.tolist(), balances.behavior.tolist(), balances.credited_mg.tolist())
    for each, behavior, mg in zip(*columns, strict=True):
        if each != account:
            if by_behavior:
                yield account, by_behavior
            while waiting and waiting[-1][0] < each:
                yield waiting.pop()
            account, by_behavior = each, {}
        by_behavior[part.behaviors[behavior]] = mg
    if by_behavior:
        yield account, by_behavior
    yield from reversed(waiting)
