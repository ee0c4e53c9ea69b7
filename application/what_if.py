"""What a revision would do, worked out without writing anything (DESIGN 3, Revision run; DOMAIN rules 6, 12).

Keeps: nothing is appended; everything is worked out on the log up to one size under one rulebook; versions that are
not published yet may be looked at, since the methodology owner wants to see the impact before publishing.
Leaves to ``application.revising``: recording a plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from application.book import Book
from application.impact import ImpactReport
from application.impact_lines import Parts, between, reference_parts
from application.impact_terms import terms_of
from domain import revision as rules
from domain.applicability import ChangeOfHand
from domain.errors import Rejected
from domain.methodology import find
from domain.revision import changes_by, scope_of
from domain.rulebook import RevisionRun, Rulebook

COMPARISON_FORMAT: Final = "carbon-ledger impact comparison 1"

Progress = Callable[[int], None]


class WorkedOut(NamedTuple):
    """``report``: words and figures, what a plan's digest is taken of; ``sums``: its totals; ``changes`` of hand."""

    report: dict[str, Any]
    sums: dict[str, Any]
    changes: list[ChangeOfHand]


class Candidate(NamedTuple):
    """A version to look at, with the factor releases that it would use."""

    methodology: str
    releases: dict[str, int]


def work_out(
    book: Book, rulebook: Rulebook, run: RevisionRun, progress: Progress | None = None, parts: Parts = reference_parts
) -> WorkedOut:
    """The impact of a run on the book as it stood at ``run.as_of``; ``progress`` gets the number of accounts."""
    impact = ImpactReport(run.behavior)
    for part in parts(book, [scope_of(rulebook, run)], run.as_of):
        impact.add(part.ids, part.regions, part.lines[0])
        if progress is not None:
            progress(impact.accounts)
    changes = changes_by(rulebook, run)
    return WorkedOut({**terms_of(rulebook, run, changes), **impact.as_dict()}, impact.sums(), changes)


def compare(
    book: Book,
    one: Candidate,
    other: Candidate,
    start: str | None,
    end: str | None,
    *,
    region: str = "*",
    progress: Progress | None = None,
    parts: Parts = reference_parts,
) -> dict[str, Any]:
    """Two candidates of one code for the same days and region: the impact of each, and of the second over the first.

    ``difference`` is a report of its own: "before" is what the first would credit, "after" what the second would.
    Raises Rejected as ``domain.revision.candidate_run``, and ``other_code``, ``same_candidate``.
    """
    rulebook = book.rulebook()
    as_of = book.journal.head().size
    _refuse_two_codes(rulebook, one, other)
    if one == other:
        raise Rejected(
            "same_candidate",
            f"{one.methodology} would be compared with itself",
            field="methodology",
            remedy="name two versions, or one version under two releases of its factor sets",
        )
    runs = [
        rules.candidate_run(rulebook, each.methodology, start, end, region, each.releases, "", as_of)
        for each in (one, other)
    ]
    behavior = runs[0].behavior
    impacts = [ImpactReport(behavior), ImpactReport(behavior)]
    difference = ImpactReport(behavior)
    for part in parts(book, [scope_of(rulebook, run) for run in runs], as_of):
        for impact, lines in zip(impacts, part.lines, strict=True):
            impact.add(part.ids, part.regions, lines)
        difference.add(part.ids, part.regions, between(*part.lines))
        if progress is not None:
            progress(difference.accounts)
    reports = [
        {**terms_of(rulebook, run, changes_by(rulebook, run)), **impact.as_dict()}
        for run, impact in zip(runs, impacts, strict=True)
    ]
    return {
        "format": COMPARISON_FORMAT,
        "as_of": as_of,
        "first": reports[0],
        "second": reports[1],
        "difference": difference.as_dict(),
    }


def _refuse_two_codes(rulebook: Rulebook, one: Candidate, other: Candidate) -> None:
    codes = [find(rulebook, each.methodology).method.code for each in (one, other)]
    if codes[0] != codes[1]:
        raise Rejected(
            "other_code",
            f"{one.methodology} and {other.methodology} are not versions of one code",
            field="methodology",
            remedy="compare two versions of the same methodology code",
        )
