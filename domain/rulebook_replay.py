"""The rulebook decided again: every event of it must be what its own rule gives (DESIGN 3, DOMAIN).

Keeps: there is one law. Each event is asked for once more of the very function that decided it, on the rulebook as it
stood just before, at the instant with which it was recorded; what that refuses, or decides otherwise, is a mismatch
where it stands. A mismatch does not spread: the recorded event goes on, as everything after it was decided on it.
Leaves to ``acts``: the signatures of people and of their keys; to ``worked_out_again``: the report behind the digest
of a plan; to the replay of all accounts: sums and root of a completed run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from domain import decisions, factors, methodology, opening, partnering, registering, revision
from domain.digest import sm3_hex
from domain.errors import LedgerError
from domain.events import actors, partners
from domain.events import rulebook as events
from domain.events.base import NewEvent, Recorded
from domain.partners import terms_of
from domain.replay import Mismatch
from domain.revision import Impact
from domain.rulebook import Rulebook
from domain.values import integer_of

_SHOWN_CHARACTERS = 200


def check_rulebook(recorded: Iterable[Recorded], recorded_us: Mapping[int, int]) -> list[Mismatch]:
    """What in the rulebook was decided against its rules.

    ``recorded``: the whole chain from its first event on, oldest first. ``recorded_us``: by position, the instant with
    which each was recorded, in microseconds. Raises Corrupt when the rulebook cannot be folded.
    """
    before, found = Rulebook(), list[Mismatch]()
    for each in recorded:
        found += _differing(before, each, recorded_us)
        before.extend([each])
    return found


def _differing(before: Rulebook, each: Recorded, recorded_us: Mapping[int, int]) -> list[Mismatch]:
    def mismatch(what: str, booked: object, recomputed: object) -> Mismatch:
        return Mismatch(each.stream, each.version, each.position, what, _shown(booked), _shown(recomputed))

    try:
        decided = _DECIDE[type(each.event)](before, each, recorded_us)
    except LedgerError as refused:
        return [mismatch(refused.code, each.event.TOPIC, f"refused: {refused.message}")]
    except (KeyError, ValueError) as error:
        return [mismatch("unreadable facts", repr(error), "facts that can be decided again")]
    booked: dict[str, Any] = {"stream": each.stream, "version": each.version} | msgspec.structs.asdict(each.event)
    expected = {"stream": decided.stream, "version": decided.version} | msgspec.structs.asdict(decided.event)
    return [
        mismatch(what, booked[what], value)
        for what, value in expected.items()
        if what != "signed" and booked[what] != value
    ]


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"a text of SM3 {sm3_hex(text.encode())}"


# -- each event, asked for once more of the function that decides it ------------------------------------------------

_Again = Callable[[Rulebook, Recorded, Mapping[int, int]], NewEvent]


def _step(decide: Callable[[Rulebook, str, str], NewEvent]) -> _Again:
    """A step in the life cycle of a methodology version."""
    return lambda before, each, _: decide(before, each.event.methodology, each.event.by)


def _opened(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: events.BookOpened = each.event
    return opening.open_book(
        before, event.book, event.clock, event.pepper_check, event.retention_days, signed_acts=event.signed_acts
    )


def _drafted(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    return methodology.draft(before, json.loads(each.event.document), each.event.by)


def _withdrawn(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: events.MethodologyWithdrawn = each.event
    return methodology.approve_withdrawal(before, event.methodology, event.by, leave_gap=event.leave_gap)[0]


def _loaded(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: events.FactorReleaseLoaded = each.event
    return factors.release(before, event.factor_set, event.release, event.rows, event.by)


def _proposed(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: events.DecisionProposed = each.event
    terms = (event.methodology, event.start, event.end, event.region, event.releases)
    return decisions.propose(before, *terms, event.by, leave_gap=event.leave_gap)


def _approved(before: Rulebook, each: Recorded, recorded_us: Mapping[int, int]) -> NewEvent:
    event: events.DecisionApproved = each.event
    return decisions.approve(before, event.decision, event.by, recorded_us[each.position])[0]


def _planned(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: events.RevisionPlanned = each.event
    as_of = min(event.as_of, each.position - 1)
    terms = (event.methodology, event.start, event.end, event.region, event.releases)
    run = revision.draft_run(before, *terms, event.by, as_of)
    return revision.planned(before, run, event.start, event.end, event.plan_digest)


def _run_approved(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    return revision.approve(before, each.event.revision, each.event.by)


def _completed(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: events.RevisionCompleted = each.event
    impact, masses = Impact(), (integer_of(event.before_mg), integer_of(event.after_mg))
    impact.add_sums(event.accounts, event.changed_accounts, event.credits, *masses)
    return revision.complete(before, revision.find_run(before, event.revision), impact, event.lines_root)


def _key_registered(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: actors.ActorKeyRegistered = each.event
    public_key, possession = bytes.fromhex(event.public_key), bytes.fromhex(event.possession)
    signatures = (possession, bytes.fromhex(event.signature_of_replaced))
    return registering.register(before, event.actor, public_key, event.by, *signatures, _verified_elsewhere)


def _verified_elsewhere(_: bytes, __: bytes, ___: bytes) -> bool:
    """``acts.ActJudge`` checks every signature, and has the arithmetic."""
    return True


def _key_approved(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    return registering.approve(before, each.event.actor, each.event.by)


def _key_revoked(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: actors.ActorKeyRevoked = each.event
    return registering.revoke(before, event.actor, event.by, event.reason, event.key)


def _partner_proposed(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: partners.PartnerProposed = each.event
    public_key, possession = bytes.fromhex(event.public_key), bytes.fromhex(event.possession)
    proof = (possession, _verified_elsewhere)
    return partnering.propose(before, event.partner, terms_of(event), public_key, event.by, *proof)


def _partner_key_proposed(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: partners.PartnerKeyProposed = each.event
    public_key, possession = bytes.fromhex(event.public_key), bytes.fromhex(event.possession)
    return partnering.propose_key(before, event.partner, public_key, event.by, possession, _verified_elsewhere)


def _partner_terms_proposed(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: partners.PartnerTermsProposed = each.event
    return partnering.propose_terms(before, event.partner, terms_of(event), event.by)


def _resumption_proposed(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: partners.PartnerResumptionProposed = each.event
    return partnering.propose_resumption(before, event.partner, event.by, event.reason)


def _partner_approved(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    return partnering.approve(before, each.event.proposal, each.event.by)


def _partner_key_revoked(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    event: partners.PartnerKeyRevoked = each.event
    return partnering.revoke_key(before, event.partner, event.key, event.by, event.reason)


def _partner_suspended(before: Rulebook, each: Recorded, _: Mapping[int, int]) -> NewEvent:
    return partnering.suspend(before, each.event.partner, each.event.by, each.event.reason)


_DECIDE: Mapping[type[Any], _Again] = {
    events.BookOpened: _opened,
    events.MethodologyDrafted: _drafted,
    events.MethodologyReviewed: _step(methodology.review),
    events.MethodologyCertified: _step(methodology.certify),
    events.MethodologyPublished: _step(methodology.publish),
    events.WithdrawalProposed: _step(methodology.propose_withdrawal),
    events.MethodologyWithdrawn: _withdrawn,
    events.FactorReleaseLoaded: _loaded,
    events.DecisionProposed: _proposed,
    events.DecisionApproved: _approved,
    events.RevisionPlanned: _planned,
    events.RevisionApproved: _run_approved,
    events.RevisionCompleted: _completed,
    actors.ActorKeyRegistered: _key_registered,
    actors.ActorKeyApproved: _key_approved,
    actors.ActorKeyRevoked: _key_revoked,
    partners.PartnerProposed: _partner_proposed,
    partners.PartnerKeyProposed: _partner_key_proposed,
    partners.PartnerTermsProposed: _partner_terms_proposed,
    partners.PartnerResumptionProposed: _resumption_proposed,
    partners.PartnerProposalApproved: _partner_approved,
    partners.PartnerKeyRevoked: _partner_key_revoked,
    partners.PartnerSuspended: _partner_suspended,
}
