"""Replay of the whole book with the fast kernel over the archive (DESIGN 4, Replay path).

Keeps: the same result as ``application.replaying``, digest and mismatches alike: what the kernel cannot prove is
recomputed from the log by the reference, which names what is wrong. Memory stays flat: the archive comes in parts.
Leaves to ``archive verify``: that the archive is what the log says. Leaves to the reference replay: what only the log
holds, which is exact instants, references and names in clear, the evidence of consents, and snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from application.book import Book
from application.ports.archive import CREDITED, Archive, Rows
from application.ports.kernel import KernelFactory, Recomputed
from application.replaying import Replaying, ReplayResult
from domain.replay import Mismatch, RevisedAccount
from domain.revision import digest_entry, lines_entry


def replay_fast(
    book: Book,
    archive: Archive,
    kernels: KernelFactory,
    until: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplayResult:
    """Recompute the first ``until`` events (default: all), after the archive has followed the log that far.

    Raises Corrupt when the rulebook is unreadable, ``archive_file_changed`` or ``archive_manifest_broken``.
    """
    replaying = Replaying(book, until)
    if archive.status().position < replaying.until:
        archive.build()
    kernel = None
    for rows in archive.rows(replaying.until):
        if kernel is None:
            kernel = kernels(replaying.rulebook, replaying.runs, rows.names)
        _Part(replaying, rows, kernel.replay(rows, replaying.until)).add()
        if progress is not None:
            progress(replaying.result.credits)
    return replaying.finish()


class _Reference(NamedTuple):
    """What the reference found for one account that the kernel did not prove."""

    balances: dict[str, int]
    revised: list[RevisedAccount]


class _Part:
    """Some whole accounts: what the kernel proved, joined with what the reference had to recompute."""

    def __init__(self, replaying: Replaying, rows: Rows, recomputed: Recomputed) -> None:
        self._replaying = replaying
        self._rows = rows
        self._recomputed = recomputed
        self._asked: dict[int, _Reference] = {}

    def add(self) -> None:
        """Add this part to the replay, by account id."""
        replaying, unproven = self._replaying, self._recomputed.unproven
        for account in unproven.tolist():
            stream = self._rows.ids[account]
            found, balances = replaying.by_reference(stream, replaying.book.journal.stream(stream, replaying.until))
            self._asked[account] = _Reference(balances, found.revised)
        self._check_intakes()
        for account, by_behavior in self._balances():
            replaying.add_balances(self._rows.ids[account], by_behavior)
        replaying.result.credits += int(self._recomputed.balances.credits.sum())
        for run, sums in self._recomputed.runs.items():
            replaying.totals[run].impact.add_sums(
                sums.accounts, sums.changed_accounts, sums.credits, sums.before_mg, sums.after_mg
            )
        self._add_roots()

    def _balances(self) -> Iterator[tuple[int, dict[str, int]]]:
        """By account: what the kernel or the reference says, behaviors in byte order."""
        words, balances = self._rows.names.words["behavior"], self._recomputed.balances
        asked = iter(sorted(self._asked.items()))
        waiting = next(asked, None)
        account, by_behavior = -1, dict[str, int]()
        columns = (balances.account.tolist(), balances.behavior.tolist(), balances.credited_mg.tolist())
        for each, behavior, mg in zip(*columns, strict=True):
            if each != account:
                if by_behavior:
                    yield account, by_behavior
                while waiting is not None and waiting[0] < each:
                    yield waiting[0], waiting[1].balances
                    waiting = next(asked, None)
                account, by_behavior = each, {}
            by_behavior[words[behavior]] = mg
        if by_behavior:
            yield account, by_behavior
        while waiting is not None:
            yield waiting[0], waiting[1].balances
            waiting = next(asked, None)

    def _add_roots(self) -> None:
        digests = {
            run: [(a, digest.hex()) for a, digest in sums.digests] for run, sums in self._recomputed.runs.items()
        }
        entries = {
            run: [(account, digest_entry(self._rows.ids[account], digest)) for account, digest in found]
            for run, found in digests.items()
        }
        for account, reference in self._asked.items():
            for revised in reference.revised:
                entry = lines_entry(self._rows.ids[account], revised.lines)
                entries.setdefault(revised.revision, []).append((account, entry))
        for run, found in entries.items():
            for _, entry in sorted(found):
                self._replaying.totals[run].root.add(entry)

    def _check_intakes(self) -> None:
        """Every credit names an intake of its partner; the credits of each intake are counted."""
        rows, intakes = self._rows, self._replaying.intakes
        proven = np.ones(len(rows.ids), np.bool_)
        proven[self._recomputed.unproven] = False
        partners = rows.names.words["partner"]
        credits = np.flatnonzero((rows.kind == CREDITED) & proven[rows.account])
        pairs, first, counts = np.unique(
            rows.intake[credits] * len(partners) + rows.partner[credits], return_index=True, return_counts=True
        )
        for pair, row, count in zip(pairs.tolist(), credits[first].tolist(), counts.tolist(), strict=True):
            intake, partner = int(rows.intake[row]), partners[rows.partner[row]]
            intakes.add_credits(intake, count)
            if not intakes.fits(intake, partner):
                wrong = credits[rows.intake[credits] * len(partners) + rows.partner[credits] == pair]
                self._replaying.result.report(*(self._misfit(int(each)) for each in wrong))

    def _misfit(self, row: int) -> Mismatch:
        rows = self._rows
        stream, intake, partner = rows.ids[rows.account[row]], int(rows.intake[row]), int(rows.partner[row])
        named = rows.names.words["partner"][partner]
        return self._replaying.intakes.misfit(stream, int(rows.version[row]), int(rows.position[row]), intake, named)
