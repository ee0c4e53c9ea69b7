"""Revision use cases: plan, approve, apply, status (DESIGN 3, Revision run).

Keeps: a plan writes nothing but its digest; apply sweeps the accounts in order of their ids, is resumable and
idempotent, and gives the lines that the log up to the approval determines, whoever else writes meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from application.book import Book, Done
from application.ports.journal import Append, Moved, StreamMoved
from domain import revision as rules
from domain.applicability import ChangeOfHand
from domain.digest import MerkleRoot
from domain.errors import Rejected
from domain.events.account import FactorRevised, RevisedLine
from domain.events.base import NewEvent, Recorded
from domain.events.registry import ACCOUNT_TOPICS
from domain.events.rulebook import RevisionCompleted, RevisionPlanned
from domain.history import AccountHistory
from domain.methodology import describe
from domain.revision import Impact, Scope
from domain.rulebook import RevisionRun, Rulebook

_LINES_PER_APPEND = 5_000
Progress = Callable[[int], None]


class Planned(NamedTuple):
    """A plan: its run, digest, impact (masses in mg), and the sets that change hands or keep their own decision.

    ``not_valued``: credits that the version cannot value and that would be worth 0; ``not_valued_by`` counts them by
    reason and region.
    """

    revision_id: str
    plan_digest: str
    impact: dict[str, Any]
    not_valued: int
    not_valued_by: list[dict[str, Any]]
    changes: list[ChangeOfHand]
    left_out: list[str]
    position: int


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
) -> Planned:
    """Work out what a requantification would do, and record the digest of that report.

    Raises Rejected as ``domain.revision.draft_run``; ``plan_stale`` when the rulebook moved while it was worked out.
    """
    rulebook = book.rulebook()
    # Read after the rulebook: credits as they stand under it, also when a run was completed a moment ago.
    as_of = book.journal.head().size
    run = rules.draft_run(rulebook, methodology, start, end, region, releases or {}, by, as_of)
    lost: Counter[tuple[str, str]] = Counter()
    impact = _impact(book, rules.scope_of(rulebook, run), as_of, progress, lost=lost)
    not_valued_by = [
        {"reason": reason, "region": region, "credits": credits} for (reason, region), credits in sorted(lost.items())
    ]
    changes, left_out = rules.changes_by(rulebook, run), rules.left_out(rulebook, run)
    report = {
        "methodology": methodology,
        "from": start,
        "to": end,
        "region": region,
        "releases": releases or {},
        "as_of": as_of,
        "left_out": left_out,
        "changes": [describe(change) for change in changes],
        "not_valued": not_valued_by,
        **impact.as_dict(),
    }

    done = _record_plan(book, run, start, end, report)
    event = cast(RevisionPlanned, done.new.event)
    return Planned(
        event.revision,
        event.plan_digest,
        impact.as_dict(),
        impact.not_valued,
        not_valued_by,
        changes,
        left_out,
        done.position,
    )


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


def approve(book: Book, revision: str, by: str) -> Done:
    """Approve a planned run; from this position on it is a decision."""
    done, _ = book.act(lambda rulebook, _: (rules.approve(rulebook, revision, by), None))
    return done


def apply(book: Book, revision: str, progress: Progress | None = None) -> RevisionCompleted:
    """Give every account with an in-scope credit its lines, then complete the run; goes on where it was stopped.

    ``progress`` is called with the number of accounts done. Raises Rejected ``revision_unknown``, ``wrong_state``.
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
    for stream, lines in _sweep(book, run, rules.scope_of(rulebook, run)):
        impact.add(lines)
        root.add(rules.lines_entry(stream, lines))
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
        sums = _impact(book, rules.scope_of(rulebook, run), book.journal.head().size, None, run.id).as_dict()
    return {"revision_id": run.id, "plan_digest": run.plan_digest, **sums, "state": run.state}


class _AlreadyCompleted(Exception):
    """Another process completed the run meanwhile."""


def _impact(
    book: Book,
    scope: Scope,
    upto: int,
    progress: Progress | None,
    revision: str | None = None,
    lost: Counter[tuple[str, str]] | None = None,
) -> Impact:
    """``lost`` is filled with the credits that cannot be valued, by reason and region."""
    impact = Impact()
    for _, recorded in book.journal.streams(ACCOUNT_TOPICS, upto):
        history = AccountHistory().extend(recorded)
        lines = _booked(recorded, revision) if revision is not None else []
        lines = lines or rules.lines_for(history, scope)
        if not lines:
            continue
        impact.add(lines)
        if lost is not None:
            lost.update((line.reason, history.credits[line.credit].facts.region) for line in lines if line.reason)
        if progress is not None:
            progress(impact.accounts)
    return impact


def _booked(recorded: Sequence[Recorded], revision: str) -> list[RevisedLine]:
    lines: list[RevisedLine] = []
    for each in recorded:
        if isinstance(each.event, FactorRevised) and each.event.revision == revision:
            lines.extend(each.event.lines)
    return lines


def _sweep(book: Book, run: RevisionRun, scope: Scope) -> Iterator[tuple[UUID, Sequence[RevisedLine]]]:
    """Every account with lines, by account id; those that nobody has recorded yet are recorded on the way."""
    waiting: list[tuple[UUID, int, list[RevisedLine]]] = []
    done: list[tuple[UUID, list[RevisedLine]]] = []
    size = 0
    for stream, recorded in book.journal.streams(ACCOUNT_TOPICS, book.journal.head().size):
        lines = _booked(recorded, run.id)
        if not lines:
            lines = rules.lines_for(AccountHistory().extend(recorded), scope)
            if not lines:
                continue
            waiting.append((stream, recorded[-1].version, lines))
            size += len(lines)
        done.append((stream, lines))
        if size >= _LINES_PER_APPEND:
            _record(book, run, scope, waiting)
            yield from done
            waiting, done, size = [], [], 0
    _record(book, run, scope, waiting)
    yield from done


def _record(book: Book, run: RevisionRun, scope: Scope, waiting: Sequence[tuple[UUID, int, list[RevisedLine]]]) -> None:
    """Append the lines of several accounts; when one of them moved, look again at each of them by itself."""
    while waiting:
        new = [
            NewEvent(stream, version + part, event)
            for stream, version, lines in waiting
            for part, event in enumerate(rules.revision_events(run, lines), start=1)
        ]
        try:
            book.journal.append(Append(new, book.rulebook().position))
            return
        except StreamMoved:
            waiting = [again for stream, _, _ in waiting if (again := _look_again(book, run, scope, stream))]
        except Moved:
            continue


def _look_again(book: Book, run: RevisionRun, scope: Scope, stream: UUID) -> tuple[UUID, int, list[RevisedLine]] | None:
    recorded = book.journal.stream(stream)
    if _booked(recorded, run.id):
        return None
    return stream, recorded[-1].version, rules.lines_for(AccountHistory().extend(recorded), scope)
