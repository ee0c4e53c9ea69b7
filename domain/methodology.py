"""Life cycle of a methodology version: drafted -> reviewed -> certified -> published -> withdrawn.

Keeps (DESIGN 3; DOMAIN rules 1, 10, 12, 17, 20): immutable once published; drafter, reviewer and certifier are three
actors; behavior, unit, scale and UTC offset are fixed per code, and the UTC offset per behavior, since look-up goes
by civil day across codes; a withdrawal is proposed by one actor and approved by another.
Leaves to ``kernel.method_file``: what a methodology document may say.
"""

from __future__ import annotations

import json

from domain.actors import check_actor, refuse_same_actor
from domain.applicability import NEVER, ChangeOfHand, changes_of_hand, gaps
from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.events.base import NewEvent
from domain.events.rulebook import (
    MethodologyCertified,
    MethodologyDrafted,
    MethodologyPublished,
    MethodologyReviewed,
    MethodologyWithdrawn,
    WithdrawalProposed,
)
from domain.kernel.method import Method
from domain.kernel.method_file import method_from_document
from domain.rulebook import MethodologyVersion, Rulebook
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, day_text


def find(rulebook: Rulebook, name: str) -> MethodologyVersion:
    """The version named CODE@V. Raises Rejected ``methodology_unknown``."""
    version = rulebook.methodologies.get(name)
    if version is None:
        raise Rejected(
            "methodology_unknown",
            f"there is no methodology version {name}",
            field="methodology",
            remedy="name it CODE@VERSION as `methodology list` shows it, or import it first",
        )
    return version


def draft(rulebook: Rulebook, document: object, by: str) -> NewEvent:
    """A new version from its file.

    Raises Rejected: what the file breaks, ``version_exists``, ``fixed_per_code``, ``offset_per_behavior``.
    """
    method = method_from_document(document)
    name = f"{method.code}@{method.version}"
    if name in rulebook.methodologies:
        raise Rejected(
            "version_exists", f"{name} was imported before", field="version", remedy="take the next version number"
        )
    _check_fixed(rulebook, method)
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    event = MethodologyDrafted(
        previous=rulebook.position,
        code=method.code,
        version=method.version,
        document=text,
        digest=sm3_hex(text.encode()),
        by=check_actor(by),
    )
    return rulebook.record("methodology", name, event)


def review(rulebook: Rulebook, name: str, by: str) -> NewEvent:
    """Raises Rejected ``wrong_state``, ``same_actor``."""
    version = _in_state(rulebook, name, "drafted", "reviewed")
    refuse_same_actor(by, drafter=version.drafter)
    return rulebook.record(
        "methodology", name, MethodologyReviewed(previous=rulebook.position, methodology=name, by=check_actor(by))
    )


def certify(rulebook: Rulebook, name: str, by: str) -> NewEvent:
    """Raises Rejected ``wrong_state``, ``same_actor``."""
    version = _in_state(rulebook, name, "reviewed", "certified")
    refuse_same_actor(by, drafter=version.drafter, reviewer=version.reviewer)
    return rulebook.record(
        "methodology", name, MethodologyCertified(previous=rulebook.position, methodology=name, by=check_actor(by))
    )


def publish(rulebook: Rulebook, name: str, by: str) -> NewEvent:
    """Raises Rejected ``wrong_state``."""
    _in_state(rulebook, name, "certified", "published")
    return rulebook.record(
        "methodology", name, MethodologyPublished(previous=rulebook.position, methodology=name, by=check_actor(by))
    )


def propose_withdrawal(rulebook: Rulebook, name: str, by: str) -> NewEvent:
    """Raises Rejected ``wrong_state``, ``withdrawal_already_proposed``."""
    version = _in_state(rulebook, name, "published", "withdrawn")
    if version.withdrawal_proposer:
        raise Rejected(
            "withdrawal_already_proposed",
            f"{version.withdrawal_proposer} has proposed it",
            field="methodology",
            remedy="somebody else approves it with `methodology approve-withdrawal`",
        )
    return rulebook.record(
        "methodology", name, WithdrawalProposed(previous=rulebook.position, methodology=name, by=check_actor(by))
    )


def approve_withdrawal(
    rulebook: Rulebook, name: str, by: str, *, leave_gap: bool
) -> tuple[NewEvent, list[ChangeOfHand]]:
    """The withdrawal and the (region, period) sets that change hands.

    Raises Rejected ``wrong_state``, ``withdrawal_not_proposed``, ``same_actor``, ``revision_in_progress``,
    ``gap_left``.
    """
    version = _in_state(rulebook, name, "published", "withdrawn")
    if not version.withdrawal_proposer:
        raise Rejected(
            "withdrawal_not_proposed",
            f"nobody has proposed to withdraw {name}",
            field="methodology",
            remedy="propose it first with `methodology propose-withdrawal`",
        )
    refuse_same_actor(by, proposer=version.withdrawal_proposer)
    refuse_during_revision(rulebook, version.method.behavior)
    before = rulebook.decisions(version.method.behavior)
    after = [d for d in before if d.methodology != name]
    changes = changes_of_hand(before, after, "*", Period(FIRST_DAY, AFTER_LAST_DAY))
    refuse_gap(changes, leave_gap=leave_gap)
    event = MethodologyWithdrawn(previous=rulebook.position, methodology=name, leave_gap=leave_gap, by=check_actor(by))
    return rulebook.record("methodology", name, event), changes


def refuse_during_revision(rulebook: Rulebook, behavior: str) -> None:
    """Raises Rejected ``revision_in_progress`` between a run's approval and its completion."""
    run = rulebook.pending_run(behavior, NEVER)
    if run is not None:
        raise Rejected(
            "revision_in_progress",
            f"revision {run.id} of {behavior} is approved but not completed",
            field="behavior",
            remedy=f"finish it first with `revision apply {run.id}`",
        )


def refuse_gap(changes: list[ChangeOfHand], *, leave_gap: bool) -> None:
    """Raises Rejected ``gap_left`` when something would no longer be valued and nobody said that this is meant."""
    lost = gaps(changes)
    if lost and not leave_gap:
        raise Rejected(
            "gap_left",
            f"nothing would value {describe(lost[0])}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else ""),
            field="leave_gap",
            remedy="approve another decision for it first, or say --leave-gap",
        )


def describe(change: ChangeOfHand) -> str:
    """The (region, period) of a change as people read it."""
    start = "the beginning" if change.period.start == FIRST_DAY else day_text(change.period.start)
    end = "open end" if change.period.end == AFTER_LAST_DAY else day_text(change.period.end)
    return f"region {change.region} from {start} to {end}"


def _in_state(rulebook: Rulebook, name: str, needed: str, to: str) -> MethodologyVersion:
    version = find(rulebook, name)
    if version.state != needed:
        raise Rejected(
            "wrong_state",
            f"{name} is {version.state}; only a {needed} version can become {to}",
            field="state",
            remedy="`methodology show` tells its state; drafted -> reviewed -> certified -> published -> withdrawn",
        )
    return version


def _check_fixed(rulebook: Rulebook, method: Method) -> None:
    for other in rulebook.methodologies.values():
        for field in ("behavior", "unit", "scale", "utc_offset_minutes"):
            ours, theirs = getattr(method, field), getattr(other.method, field)
            if other.method.code == method.code and ours != theirs:
                raise Rejected(
                    "fixed_per_code",
                    f"{field} is {theirs} in {other.name} and {ours} here",
                    field=field,
                    remedy="behavior, unit, scale and UTC offset never change within a code; take a new code",
                )
        same_behavior = other.method.behavior == method.behavior
        if same_behavior and other.method.utc_offset_minutes != method.utc_offset_minutes:
            raise Rejected(
                "offset_per_behavior",
                f"{other.name} counts the days of {method.behavior} at another UTC offset",
                field="utc_offset",
                remedy="all codes of one behavior share one offset, since look-up goes by civil day",
            )
