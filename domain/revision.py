"""Revision runs: past periods valued anew, without overwriting anything (DESIGN 3, Revision run; DOMAIN rules 5-7).

Keeps: plan, approval by another actor, apply, completion; a run's lines for an account are a function of the account's
stream up to the approval; in scope are the unreversed credits of the code, positioned before the approval, that look-up
just after the approval gives to the run; everything else of the code is charged to the caps first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from domain.account import Account
from domain.actors import check_actor, refuse_same_actor
from domain.applicability import NEVER, ChangeOfHand, Decision, LookUp, build_lookup, changes_of_hand
from domain.decisions import applicable_version, check_region, check_releases, checked_period
from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.events.account import FactorRevised, RevisedLine
from domain.events.base import NewEvent
from domain.events.rulebook import RevisionApproved, RevisionCompleted, RevisionPlanned
from domain.history import AccountHistory, Credit
from domain.kernel.caps import CapUse, requantify
from domain.kernel.valuation import RULE
from domain.methodology import describe, find, refuse_during_revision
from domain.rulebook import RevisionRun, Rulebook
from domain.values import integer_of, region_chain

LINES_PER_EVENT = 10_000


class Scope:
    """What decides whether a credit belongs to a run: the run's decision and the look-up just after its approval."""

    def __init__(self, decision: Decision, decisions: Sequence[Decision]) -> None:
        self.decision = decision
        self.decisions = decisions
        self._lookups: dict[str, LookUp] = {}

    def holds(self, credit: Credit) -> bool:
        """In scope: unreversed, of the code, before the approval, and given to the run by look-up."""
        if credit.reversed_at is not None or credit.code != self.decision.method.code:
            return False
        if credit.position >= self.decision.position or not self.decision.period.covers(credit.day):
            return False
        region = credit.facts.region
        lookup = self._lookups.get(region)
        if lookup is None:
            lookup = self._lookups[region] = build_lookup(self.decisions, region)
        return lookup.on(credit.day) is self.decision


def scope_of(rulebook: Rulebook, run: RevisionRun) -> Scope:
    """Scope of an approved run, or of a planned one as if it were approved now."""
    position = run.approved if run.approved is not None else NEVER - 1
    known = rulebook.decisions(run.behavior, position + 1)
    for decision in known:
        if decision.id == run.id and decision.is_revision:
            return Scope(decision, known)
    decision = rulebook.decision_from(run, position)
    return Scope(decision, [*known, decision])


def lines_for(history: AccountHistory, scope: Scope) -> list[RevisedLine]:
    """The run's lines for one account, in log order; empty when no credit is in scope.

    ``history`` must be the account's stream up to the run's ``FactorRevised``: no credit or reversal stands between
    the approval and that, so it equals the stream at the approval.
    """
    code = scope.decision.method.code
    inside: list[Credit] = []
    outside = CapUse()
    for credit in history.credits.values():
        if credit.code != code:
            continue
        if scope.holds(credit):
            inside.append(credit)
        else:
            outside.charge(credit.day, credit.mass)
    if not inside:
        return []
    return _revalue(inside, outside, scope.decision)


def _revalue(inside: Sequence[Credit], outside: CapUse, decision: Decision) -> list[RevisedLine]:
    valuer, method = decision.valuer, decision.method
    days = [c.day for c in inside]
    computed = valuer.compute([c.facts.region for c in inside], days, [c.quantity for c in inside])
    reasons = ["" if mg is not None else "no_factor_for_region" for mg in computed]
    for index, credit in enumerate(inside):
        if not valuer.in_range(credit.quantity):
            computed[index], reasons[index] = None, "quantity_out_of_range"
    credited = requantify(method.caps, days, computed, outside)
    return [
        RevisedLine(c.version, c.facts.day, str(c.mass), None if mg is None else str(mg), str(final), reason)
        for c, mg, final, reason in zip(inside, computed, credited, reasons, strict=True)
    ]


def revision_events(
    run: RevisionRun, lines: Sequence[RevisedLine], lines_per_event: int = LINES_PER_EVENT
) -> list[FactorRevised]:
    """The account's ``FactorRevised``, in parts when there are many lines."""
    parts = [lines[i : i + lines_per_event] for i in range(0, len(lines), lines_per_event)]
    return [
        FactorRevised(
            revision=run.id,
            behavior=run.behavior,
            methodology=run.methodology,
            rule=RULE,
            part=number,
            last=number == len(parts),
            lines=tuple(part),
        )
        for number, part in enumerate(parts, start=1)
    ]


def pending_revision(
    account: Account, run: RevisionRun, scope: Scope, load_history: Callable[[UUID], AccountHistory]
) -> list[FactorRevised]:
    """What an account with a pending run must record before its next credit or reversal; empty when nothing.

    ``load_history`` reads the account's stream as recorded; it is asked only where a credit may be in scope.
    """
    code = scope.decision.method.code
    if code not in account.uses or run.id in account.revised.get(code, ()) or run.id in account.nothing_in_scope:
        return []
    events = revision_events(run, lines_for(load_history(account.id), scope))
    if not events:
        account.nothing_in_scope.add(run.id)
    return events


def lines_entry(account_id: object, lines: Sequence[RevisedLine]) -> bytes:
    """The account's entry under the run's ``lines_root``: ``account_id:`` and the SM3 of its lines as JSON."""
    return digest_entry(account_id, sm3_hex(msgspec.json.encode(lines)))


def digest_entry(account_id: object, lines_digest: str) -> bytes:
    """The same from the digest of the lines, in hex."""
    return f"{account_id}:{lines_digest}".encode()


class Impact:
    """What a run does to the book, summed account by account (masses in mg)."""

    def __init__(self) -> None:
        self.accounts = 0
        self.changed_accounts = 0
        self.credits = 0
        self.before_mg = 0
        self.after_mg = 0
        self.not_valued = 0

    def add(self, lines: Sequence[RevisedLine]) -> None:
        """Add one account with at least one line."""
        before = sum(integer_of(line.before_mg) for line in lines)
        after = sum(integer_of(line.credited_mg) for line in lines)
        self.accounts += 1
        self.changed_accounts += before != after
        self.credits += len(lines)
        self.before_mg += before
        self.after_mg += after
        self.not_valued += sum(1 for line in lines if line.computed_mg is None)

    def add_sums(self, accounts: int, changed_accounts: int, credits: int, before_mg: int, after_mg: int) -> None:
        """Add several accounts that were summed already."""
        self.accounts += accounts
        self.changed_accounts += changed_accounts
        self.credits += credits
        self.before_mg += before_mg
        self.after_mg += after_mg

    def as_dict(self) -> dict[str, Any]:
        """The sums, masses as strings."""
        return {
            "accounts": self.accounts,
            "changed_accounts": self.changed_accounts,
            "credits": self.credits,
            "before_mg": str(self.before_mg),
            "after_mg": str(self.after_mg),
            "delta_mg": str(self.after_mg - self.before_mg),
        }


def draft_run(
    rulebook: Rulebook,
    methodology: str,
    start: str | None,
    end: str | None,
    region: str,
    releases: dict[str, int],
    by: str,
    as_of: int,
) -> RevisionRun:
    """A run to be planned at log size ``as_of``.

    Raises Rejected as ``decisions.propose`` does, and ``revision_in_progress``, ``other_code``; ``plan_stale`` when the
    behavior has been valued otherwise since ``as_of``.
    """
    applicable_version(rulebook, methodology)
    run = candidate_run(rulebook, methodology, start, end, region, releases, check_actor(by), as_of)
    if as_of < run.behavior_position:
        raise Rejected(
            "plan_stale",
            f"how {run.behavior} is valued changed while the plan was worked out",
            field="revision",
            remedy="plan it again",
        )
    return run


def candidate_run(
    rulebook: Rulebook,
    methodology: str,
    start: str | None,
    end: str | None,
    region: str,
    releases: dict[str, int],
    by: str,
    as_of: int,
) -> RevisionRun:
    """The same with a version in any state: to look at what it would do, never to be recorded.

    Raises Rejected as ``draft_run`` does, but not for the version's state; ``by`` is not checked.
    """
    version = find(rulebook, methodology)
    period = checked_period(start, end)
    check_region(region)
    check_releases(rulebook, version, releases)
    behavior = version.method.behavior
    refuse_during_revision(rulebook, behavior)
    run = RevisionRun(
        f"R{len(rulebook.revisions) + 1}",
        methodology,
        behavior,
        period,
        region,
        releases,
        as_of,
        rulebook.behavior_position(behavior),
        "",
        by,
    )
    _refuse_other_code(rulebook, run)
    return run


def changes_by(rulebook: Rulebook, run: RevisionRun) -> list[ChangeOfHand]:
    """The (region, period) sets that the run's approval takes over."""
    before = rulebook.decisions(run.behavior)
    return changes_of_hand(before, [*before, rulebook.decision_from(run, NEVER - 1)], run.region, run.period)


def left_out(rulebook: Rulebook, run: RevisionRun) -> list[str]:
    """Regions below the run's whose own decision keeps some of its days."""
    scope = scope_of(rulebook, run)
    named = {d.region for d in scope.decisions if d.region != run.region and run.region in region_chain(d.region)}
    kept = []
    for region in sorted(named):
        lookup = build_lookup(scope.decisions, region)
        inside = [run.period.start, *(s for s in lookup.starts if run.period.covers(s))]
        if any(d.region == region and lookup.on(day) is d for day in inside for d in scope.decisions):
            kept.append(region)
    return kept


def plan(rulebook: Rulebook, run: RevisionRun, start: str | None, end: str | None, report: dict[str, Any]) -> NewEvent:
    """The run's plan; only the digest of its impact report is recorded."""
    return planned(rulebook, run, start, end, sm3_hex(msgspec.json.encode(report, order="sorted")))


def planned(rulebook: Rulebook, run: RevisionRun, start: str | None, end: str | None, plan_digest: str) -> NewEvent:
    """The same from the digest of the report, in hex."""
    event = RevisionPlanned(
        previous=rulebook.position,
        revision=run.id,
        methodology=run.methodology,
        start=start,
        end=end,
        region=run.region,
        releases=run.releases,
        as_of=run.as_of,
        behavior_position=run.behavior_position,
        plan_digest=plan_digest,
        by=run.by,
    )
    return rulebook.record("revision", run.id, event)


def find_run(rulebook: Rulebook, revision: str) -> RevisionRun:
    """Raises Rejected ``revision_unknown``."""
    run = rulebook.revisions.get(revision)
    if run is None:
        raise Rejected(
            "revision_unknown", f"there is no revision {revision}", field="revision", remedy="`revision plan` makes one"
        )
    return run


def approve(rulebook: Rulebook, revision: str, by: str) -> NewEvent:
    """The approval, by somebody other than the planner.

    Raises Rejected ``revision_unknown``, ``wrong_state``, ``same_actor``, ``revision_in_progress``, ``plan_stale``,
    ``other_code``.
    """
    run = find_run(rulebook, revision)
    if run.state != "planned":
        raise Rejected(
            "wrong_state", f"{run.id} is {run.state}", field="revision", remedy="only a planned revision is approved"
        )
    refuse_same_actor(by, planner=run.by)
    refuse_during_revision(rulebook, run.behavior)
    if rulebook.behavior_position(run.behavior) != run.behavior_position:
        raise Rejected(
            "plan_stale",
            f"how {run.behavior} is valued has changed since {run.id} was planned",
            field="revision",
            remedy="plan it again and look at the new impact",
        )
    applicable_version(rulebook, run.methodology)
    _refuse_other_code(rulebook, run)
    event = RevisionApproved(
        previous=rulebook.position, revision=run.id, plan_digest=run.plan_digest, by=check_actor(by)
    )
    return rulebook.record("revision", run.id, event)


def complete(rulebook: Rulebook, run: RevisionRun, impact: Impact, lines_root: str) -> NewEvent:
    """The run's end, with its sums and the root over all its lines. Raises Rejected ``wrong_state``."""
    if run.state != "approved":
        raise Rejected(
            "wrong_state", f"{run.id} is {run.state}", field="revision", remedy="only an approved revision is completed"
        )
    event = RevisionCompleted(previous=rulebook.position, revision=run.id, lines_root=lines_root, **impact.as_dict())
    return rulebook.record("revision", run.id, event)


def _refuse_other_code(rulebook: Rulebook, run: RevisionRun) -> None:
    code = rulebook.methodologies[run.methodology].method.code
    before = rulebook.decisions(run.behavior)
    after = [*before, rulebook.decision_from(run, NEVER - 1)]
    # By look-up alone: a decision holds its region and days also where its version has no value for them.
    for change in changes_of_hand(before, after, run.region, run.period, also_unvalued=True):
        if change.before is not None and change.before.method.code != code:
            raise Rejected(
                "other_code",
                f"{describe(change)} belongs to {change.before.methodology}",
                field="methodology",
                remedy="a revision stays within its code; change codes with a forward decision",
            )
