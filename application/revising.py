"""Revision use cases: plan, approve, apply, status (DESIGN 3, Revision run).

Keeps: a plan writes nothing but its digest; apply sweeps the accounts in order of their ids, is resumable and
idempotent, and gives the lines that the log up to the approval determines, whoever else writes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from application.acts import UNSIGNED, Signing
from application.book import Book, Done
from application.impact import digest_of
from application.impact_lines import Parts, reference_parts
from application.ports.journal import Append, Moved, StreamMoved
from application.run_accounts import RunAccount, RunAccounts, account_in, reference_accounts
from application.what_if import WorkedOut, work_out
from domain import revision as rules
from domain.actors import check_actor
from domain.applicability import ChangeOfHand
from domain.digest import MerkleRoot
from domain.errors import Corrupt, Rejected
from domain.events.base import NewEvent
from domain.events.rulebook import RevisionCompleted, RevisionPlanned
from domain.revision import Impact, Scope
from domain.rulebook import RevisionRun, Rulebook
from domain.streams import stream_id

_LINES_PER_APPEND = 5_000
Progress = Callable[[int], None]


class Planned(NamedTuple):
    """A plan: its run, digest, impact (masses in mg), and the sets that change hands or keep their own decision.

    ``not_valued``: credits that the version cannot value and that would be worth 0; ``not_valued_by`` counts them by
    reason and region. ``report``: all of it, what the digest is taken of.
    """

    revision_id: str
    plan_digest: str
    impact: dict[str, Any]
    not_valued: int
    not_valued_by: list[dict[str, Any]]
    changes: list[ChangeOfHand]
    left_out: list[str]
    position: int
    report: dict[str, Any]


def plan(
    book: Book,
    methodology: str,
    start: str | None,
    end: str | None,
    by: str,
    *,
    region: str = "*",
    releases: dict[str, int] | None = None,
    progress: Progress | None = None,
    parts: Parts = reference_parts,
) -> Planned:
    """Work out what a requantification would do, and record the digest of that report.

    ``parts``: where its lines come from. Raises Rejected as ``domain.revision.draft_run``; ``plan_stale`` when the
    rulebook moved while it was worked out.
    """
    rulebook = book.rulebook()
    # Read after the rulebook: credits as they stand under it, also when a run was completed a moment ago.
    as_of = book.journal.head().size
    run = rules.draft_run(rulebook, methodology, start, end, region, releases or {}, by, as_of)
    worked_out = work_out(book, rulebook, run, progress, parts)
    done = _record_plan(book, run, start, end, worked_out.report)
    event = cast(RevisionPlanned, done.new.event)
    return _planned(worked_out, event.revision, event.plan_digest, done.position)


def dry_run(
    book: Book,
    methodology: str,
    start: str | None,
    end: str | None,
    by: str,
    *,
    region: str = "*",
    releases: dict[str, int] | None = None,
    progress: Progress | None = None,
    parts: Parts = reference_parts,
) -> Planned:
    """What ``plan`` would answer, for a version in any state; records nothing, so its ``revision_id`` is empty.

    ``position``: the log size that it was worked out on. Raises Rejected as ``domain.revision.candidate_run``.
    """
    rulebook = book.rulebook()
    as_of = book.journal.head().size
    by = check_actor(by)
    run = rules.candidate_run(rulebook, methodology, start, end, region, releases or {}, by, as_of)
    worked_out = work_out(book, rulebook, run, progress, parts)
    return _planned(worked_out, "", digest_of(worked_out.report), as_of)


def worked_out_again(
    book: Book, revision: str, progress: Progress | None = None, parts: Parts = reference_parts
) -> Planned:
    """A recorded plan's report, from the log as it stood when it was planned, whatever has happened since.

    Raises Rejected ``revision_unknown``; Corrupt ``plan_differs`` when it does not have the recorded digest.
    """
    run = rules.find_run(book.rulebook(), revision)
    (recorded,) = book.journal.stream(stream_id("revision", revision))[:1]
    event = cast(RevisionPlanned, recorded.event)
    # The rulebook that the plan rests on: it was refused if the behavior's moved meanwhile.
    rulebook = book.rulebook(event.previous)
    again = rules.candidate_run(
        rulebook, run.methodology, event.start, event.end, run.region, run.releases, run.by, run.as_of
    )
    worked_out = work_out(book, rulebook, again, progress, parts)
    digest = digest_of(worked_out.report)
    if digest != event.plan_digest:
        raise Corrupt(
            "plan_differs",
            f"worked out again, the report of {revision} has the digest {digest}, but {event.plan_digest} is recorded",
            field=f"position {recorded.position}",
            remedy="compare `replay`; if the history matches, the plan was made by another release of this program",
        )
    return _planned(worked_out, revision, digest, recorded.position)


def _planned(worked_out: WorkedOut, revision_id: str, digest: str, position: int) -> Planned:
    report = worked_out.report
    lost, kept = (report["not_valued"], report["not_valued_by"]), report["left_out"]
    return Planned(revision_id, digest, worked_out.sums, *lost, worked_out.changes, kept, position, report)


def _record_plan(book: Book, run: RevisionRun, start: str | None, end: str | None, report: dict[str, Any]) -> Done:
    """Record the digest of the report, if the behavior is still valued as it was when the report was worked out."""

    def decide(now: Rulebook, _: int) -> tuple[NewEvent, None]:
        if now.behavior_position(run.behavior) != run.behavior_position:
            raise Rejected(
                "plan_stale",
                f"how {run.behavior} is valued changed while the plan was worked out",
                field="revision",
                remedy="plan it again",
            )
        final = rules.draft_run(now, run.methodology, start, end, run.region, run.releases, run.by, run.as_of)
        return rules.plan(now, final, start, end, report), None

    return book.act(decide)[0]


def approve(book: Book, revision: str, by: str, signing: Signing = UNSIGNED) -> Done:
    """Approve a planned run; from this position on it is a decision."""
    done, _ = book.act(lambda rulebook, _: (rules.approve(rulebook, revision, by), None), signing)
    return done


def apply(
    book: Book, revision: str, progress: Progress | None = None, accounts: RunAccounts = reference_accounts
) -> RevisionCompleted:
    """Give every account with an in-scope credit its lines, then complete the run; goes on where it was stopped.

    ``progress`` is called with the number of accounts done; ``accounts``: who works out the lines.
    Raises Rejected ``revision_unknown``, ``wrong_state``.
    """
    rulebook = book.rulebook()
    run = rules.find_run(rulebook, revision)
    if run.completed is not None:
        return run.completed
    if run.approved is None:
        raise Rejected(
            "wrong_state",
            f"{revision} is not approved",
            field="revision",
            remedy=f"somebody else approves it with `revision approve {revision}`",
        )
    impact = Impact()
    root = MerkleRoot()
    scope = rules.scope_of(rulebook, run)
    for account in _recorded(book, run, scope, accounts(book, run, scope)):
        impact.add(account.lines)
        root.add(rules.lines_entry(account.stream, account.lines))
        if progress is not None:
            progress(impact.accounts)

    def decide(now: Rulebook, _: int) -> tuple[NewEvent, None]:
        if now.revisions[revision].completed is not None:
            raise _AlreadyCompleted
        return rules.complete(now, now.revisions[revision], impact, root.hex()), None

    try:
        done, _ = book.act(decide)
    except _AlreadyCompleted:
        completed = book.rulebook().revisions[revision].completed
        assert completed is not None
        return completed
    return cast(RevisionCompleted, done.new.event)


def status(book: Book, revision: str) -> dict[str, Any]:
    """Where a run stands: the sums of the completed run, else those of applying it to the log as it is."""
    rulebook = book.rulebook()
    run = rules.find_run(rulebook, revision)
    if run.completed is not None:
        done = run.completed
        sums = {name: getattr(done, name) for name in Impact().as_dict()}
    else:
        sums = _impact(book, run, rules.scope_of(rulebook, run)).as_dict()
    return {"revision_id": run.id, "plan_digest": run.plan_digest, **sums, "state": run.state}


class _AlreadyCompleted(Exception):
    """Another process completed the run meanwhile."""


def _impact(book: Book, run: RevisionRun, scope: Scope) -> Impact:
    """The sums of a run: of what it has booked already, and of what it would do elsewhere."""
    impact = Impact()
    for account in reference_accounts(book, run, scope):
        impact.add(account.lines)
    return impact


def _recorded(book: Book, run: RevisionRun, scope: Scope, accounts: Iterator[RunAccount]) -> Iterator[RunAccount]:
    """Every account once its lines are recorded; those that nobody has recorded yet are recorded on the way."""
    while batch := _next_batch(accounts):
        _record(book, run, scope, [account for account in batch if not account.booked])
        yield from batch


def _next_batch(accounts: Iterator[RunAccount]) -> list[RunAccount]:
    """Whole accounts with as many lines as one append takes."""
    batch, size = list[RunAccount](), 0
    for account in accounts:
        batch.append(account)
        size += len(account.lines)
        if size >= _LINES_PER_APPEND:
            break
    return batch


def _record(book: Book, run: RevisionRun, scope: Scope, waiting: Sequence[RunAccount]) -> None:
    """Append the lines of several accounts; when one of them moved, look again at each of them by itself."""
    while waiting:
        new = [
            NewEvent(account.stream, account.version + part, event)
            for account in waiting
            for part, event in enumerate(rules.revision_events(run, account.lines), start=1)
        ]
        try:
            book.journal.append(Append(new, book.journal.head().rulebook_position))
            return
        except StreamMoved:
            again = (account_in(run, scope, each.stream, book.journal.stream(each.stream)) for each in waiting)
            waiting = [each for each in again if not each.booked]
        except Moved:
            continue
