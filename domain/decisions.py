"""Applicability decisions: proposed by one actor, approved by another.

Keeps (DESIGN 3; DOMAIN rules 4, 5, 6, 8): only a published version can be applied; a *forward* decision never reaches
back to a (region, day) before its approval that any decision has ever covered (past periods change only by a
revision); a gap is left only on purpose; nothing is decided while a revision of the behavior is under way.
"""

from __future__ import annotations

import re

from domain.actors import check_actor, refuse_same_actor
from domain.applicability import ChangeOfHand, changes_of_hand, overlap, regions_touch
from domain.errors import Rejected
from domain.events.base import NewEvent
from domain.events.rulebook import DecisionApproved, DecisionProposed
from domain.methodology import find, refuse_during_revision, refuse_gap
from domain.rulebook import MethodologyVersion, Proposal, Rulebook, period_of
from domain.values import FIRST_DAY, Period, civil_day, day_text

_REGION = re.compile(r"\*|[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


def propose(
    rulebook: Rulebook,
    methodology: str,
    start: str | None,
    end: str | None,
    region: str,
    releases: dict[str, int],
    by: str,
    *,
    leave_gap: bool,
) -> NewEvent:
    """A proposal that ``methodology`` values civil days [start, end) in ``region``.

    Raises Rejected ``methodology_unknown``, ``wrong_state``, ``period_malformed``, ``region_malformed``,
    ``release_missing``, ``release_unknown``.
    """
    version = applicable_version(rulebook, methodology)
    checked_period(start, end)
    check_region(region)
    check_releases(rulebook, version, releases)
    decision = f"D{len(rulebook.proposals) + 1}"
    event = DecisionProposed(
        previous=rulebook.position,
        decision=decision,
        methodology=methodology,
        start=start,
        end=end,
        region=region,
        releases=releases,
        leave_gap=leave_gap,
        by=check_actor(by),
    )
    return rulebook.record("decision", decision, event)


def approve(rulebook: Rulebook, decision: str, by: str, now_us: int) -> tuple[NewEvent, list[ChangeOfHand]]:
    """The approval and the (region, period) sets that change hands.

    ``now_us``: instant of the approval, which decides what lies in the past.
    Raises Rejected ``decision_unknown``, ``already_approved``, ``same_actor``, ``wrong_state``,
    ``revision_in_progress``,
    ``use_revision``, ``gap_left``.
    """
    proposal = _find(rulebook, decision)
    refuse_same_actor(by, proposer=proposal.by)
    version = applicable_version(rulebook, proposal.methodology)
    behavior = version.method.behavior
    refuse_during_revision(rulebook, behavior)
    _refuse_past(rulebook, proposal, behavior, civil_day(now_us, version.method.utc_offset_minutes))
    before = rulebook.decisions(behavior)
    after = [*before, rulebook.decision_from(proposal, rulebook.position + 1)]
    changes = changes_of_hand(before, after, proposal.region, proposal.period)
    refuse_gap(changes, leave_gap=proposal.leave_gap)
    event = DecisionApproved(previous=rulebook.position, decision=decision, by=check_actor(by))
    return rulebook.record("decision", decision, event), changes


def applicable_version(rulebook: Rulebook, name: str) -> MethodologyVersion:
    """A version that may be applied. Raises Rejected ``methodology_unknown``, ``wrong_state``."""
    version = find(rulebook, name)
    if version.state != "published":
        raise Rejected(
            "wrong_state",
            f"{name} is {version.state}; only a published version can be applied",
            field="methodology",
            remedy=_TO_BE_APPLIED[version.state],
        )
    return version


_TO_BE_APPLIED = {
    "drafted": "review, certify and publish it first",
    "reviewed": "certify and publish it first",
    "certified": "publish it first",
    "withdrawn": "a withdrawn version stays withdrawn; import the next version",
}
"""What to do about a version that cannot be applied in its state."""


def checked_period(start: str | None, end: str | None) -> Period:
    """Raises Rejected ``period_malformed``."""
    try:
        period = period_of(start, end)
    except ValueError as error:
        raise Rejected(
            "period_malformed", str(error), field="from/to", remedy="give civil dates as YYYY-MM-DD, or open"
        ) from error
    if period.start >= period.end:
        raise Rejected(
            "period_malformed",
            f"{start} is not before {end}",
            field="from/to",
            remedy="give a --to later than --from",
        )
    return period


def check_region(region: str) -> None:
    """Raises Rejected ``region_malformed``."""
    if len(region) > 32 or not _REGION.fullmatch(region):
        raise Rejected("region_malformed", f"{region!r} is not a region", field="region", remedy="such as CN-44, or *")


def check_releases(rulebook: Rulebook, version: MethodologyVersion, releases: dict[str, int]) -> None:
    """Every factor set that the version names has exactly one known release.

    Raises ``release_missing``, ``release_unknown``.
    """
    needed = {p.factor_set for p in version.method.parameters if p.factor_set is not None}
    for name in sorted(needed - set(releases)):
        raise Rejected(
            "release_missing",
            f"{version.name} uses factor set {name}",
            field="release",
            remedy=f"say --release {name}=N",
        )
    for name, number in releases.items():
        if not needed:
            raise Rejected(
                "release_unknown",
                f"{version.name} uses no factor set",
                field="release",
                remedy="leave --release out",
            )
        if name not in needed or (name, number) not in rulebook.releases:
            raise Rejected(
                "release_unknown",
                f"{name}={number} is not a loaded release that {version.name} uses",
                field="release",
                remedy="`factors list` shows what is loaded",
            )
    rulebook.factors_for(version.method, releases)


def _find(rulebook: Rulebook, decision: str) -> Proposal:
    proposal = rulebook.proposals.get(decision)
    if proposal is None:
        raise Rejected(
            "decision_unknown",
            f"there is no proposal {decision}",
            field="decision",
            remedy="`applicability list` shows them",
        )
    if proposal.approved is not None:
        raise Rejected(
            "already_approved",
            f"{decision} was approved by {proposal.approver}",
            field="decision",
            remedy="nothing to do; propose a new decision to change it",
        )
    return proposal


def _refuse_past(rulebook: Rulebook, proposal: Proposal, behavior: str, today: int) -> None:
    past = overlap(proposal.period, Period(FIRST_DAY, today))
    if past is None:
        return
    for earlier in rulebook.all_decisions(behavior):
        both = overlap(past, earlier.period)
        if both is not None and regions_touch(proposal.region, earlier.region):
            raise Rejected(
                "use_revision",
                f"decision {earlier.id} has covered days before {day_text(both.end)} in region {earlier.region}",
                field="from",
                remedy=f"apply it from {day_text(today)} on, and change the past with `revision plan`",
            )
