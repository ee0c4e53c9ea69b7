"""Signed acts: what a person signs when he reviews, certifies, publishes, approves, withdraws, suspends or erases.

Keeps (docs/spec/acts.md): the text names the book, the act, its object, the actor, the SM3 of what was shown to him and
the rulebook position he saw; it follows from the event and from what stands before it, so whoever reads the log can
make it again. Live, ``check`` and the verifier ask the one function ``fault``. Whoever has a registered key acts by
signature; in a book of signed acts everybody does.
Leaves to ``registering``: the keys; to infrastructure: the arithmetic, behind the function that checks a signature.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.actors import person_of
from domain.digest import sm3_hex
from domain.events import account, actors, partners
from domain.events import rulebook as events
from domain.events.base import ActSignature, Event, Recorded, RulebookEvent
from domain.partnering import possession_fault
from domain.registering import registration_fault
from domain.rulebook import Rulebook, period_texts
from domain.signing import signed_bytes
from domain.signing_keys import Verify

PURPOSE = "act"
_KEY_ACTS = ("actor.approve-key", "actor.revoke")


class Act(NamedTuple):
    """What an actor does. ``shown``: SM3 of what he has to see; ``content``: that, as text, where it is at hand here.

    ``since``: the rulebook position at which what he sees became what it is; he must not have signed before.
    """

    name: str
    object: str
    actor: str
    shown: str
    content: str = ""
    since: int = 0


class Fault(NamedTuple):
    """Why an act is not signed as it must be."""

    code: str
    message: str
    remedy: str


class WrongAct(NamedTuple):
    """An act of the log that is not signed as it must be."""

    position: int
    name: str
    actor: str
    fault: Fault


def text_of(rulebook: Rulebook, act: Act, seen: int) -> bytes:
    """What the actor signs; ``seen``: the rulebook position he saw."""
    told = {
        "act": act.name,
        "actor": act.actor,
        "book": "" if rulebook.genesis is None else rulebook.genesis.book,
        "object": act.object,
        "rulebook": seen,
        "shown": act.shown,
    }
    return signed_bytes(PURPOSE, _canonical(told).encode())


def rulebook_act(rulebook: Rulebook, event: RulebookEvent) -> Act | None:
    """The act that an event of the rulebook is; None when it needs no signature. ``rulebook``: as it was before it."""
    found = _ACTS.get(type(event))
    return None if found is None else found(rulebook, event)


def erasure_act(
    stream: UUID, event: account.ErasureRequested | account.PersonalDataErased, request: account.ErasureRequested | None
) -> Act:
    """Asking to erase a person, or approving it. ``request``: what is approved."""
    told: dict[str, Any] = {"account": str(stream)}
    if isinstance(event, account.ErasureRequested):
        return _showing("account.erase", str(stream), event.by, told | {"ground": event.ground})
    told |= {"request": event.request}
    if request is not None:
        told |= {"ground": request.ground, "requested_by": request.by}
    return _showing("account.approve-erasure", str(stream), event.by, told)


def fault(rulebook: Rulebook, act: Act, signed: ActSignature | None, verify: Verify, position: int) -> Fault | None:
    """What is wrong with the signature of an act at a log position, or with its absence; None when nothing is."""
    keys, genesis = rulebook.actor_keys, rulebook.genesis
    if signed is None:
        # Somebody has to approve the first key; after that there is somebody who can sign.
        everybody = genesis is not None and genesis.signed_acts and (act.name not in _KEY_ACTS or keys.begun(position))
        if keys.signs(act.actor, position):
            return Fault("act_unsigned", f"{act.actor} has a registered key and has not signed", _SIGN)
        return Fault("act_unsigned", "in this book every such act is signed", _SIGN) if everybody else None
    key = keys.active(act.actor, position)
    if key is None:
        return _wrong(f"{act.actor} has no active key", "register one with `actor register`; `actor list` shows all")
    if signed.key != key.key:
        return _wrong(f"it is signed with the key {signed.key}, and {act.actor} signs with {key.key}", _OWN)
    if not act.since <= signed.rulebook < position:
        message = f"it was signed at rulebook position {signed.rulebook}; what was shown dates from {act.since}"
        return Fault("act_stale", message, "look at it again, and sign what it is now")
    try:
        signature = bytes.fromhex(signed.signature)
    except ValueError:
        signature = b""
    if not verify(key.public_key, text_of(rulebook, act, signed.rulebook), signature):
        return _wrong(f"it is not the signature of {act.actor} over this act and what was shown", _OWN)
    return None


class ActJudge:
    """All acts of a log held against the registered keys: counts, and what is wrong.

    ``pinned``: for some people, by ``person_of`` their names, the public keys that they have told somebody of: in their
    names nothing else counts.
    """

    def __init__(self, verify: Verify, pinned: Mapping[str, frozenset[bytes]] | None = None) -> None:
        self.signed = self.wrong = 0
        self.unsigned: dict[str, int] = {}
        self._verify = verify
        self._pinned = pinned or {}

    def rulebook(self, recorded: Iterable[Recorded]) -> Iterator[WrongAct]:
        """Judge the whole rulebook, oldest event first."""
        before = Rulebook()
        for each in recorded:
            event = each.event
            yield from self._forged_key(before, each)
            act = rulebook_act(before, event)
            if act is not None:
                yield from self._judge(before, each, act)
            before.extend([each])

    def account(self, rulebook: Rulebook, recorded: Iterable[Recorded]) -> Iterator[WrongAct]:
        """Judge the acts on one account, oldest event first. ``rulebook``: of the whole log."""
        requests: dict[int, account.ErasureRequested] = {}
        for each in recorded:
            event = each.event
            if isinstance(event, account.ErasureRequested):
                requests[each.version] = event
                yield from self._judge(rulebook, each, erasure_act(each.stream, event, None))
            elif isinstance(event, account.PersonalDataErased):
                yield from self._judge(rulebook, each, erasure_act(each.stream, event, requests.get(event.request)))

    def _forged_key(self, before: Rulebook, each: Recorded) -> Iterator[WrongAct]:
        """A key that comes into the book must sign for itself."""
        event = each.event
        if isinstance(event, actors.ActorKeyRegistered):
            message = registration_fault(before, event, self._verify)
            if message:
                yield self._found(each, "actor.register", event.actor, Fault("actor_key_forged", message, _KEEP))
        elif isinstance(event, partners.PartnerProposed | partners.PartnerKeyProposed):
            message = possession_fault(before, event, self._verify)
            if message:
                yield self._found(each, "partner.propose", event.by, Fault("partner_key_forged", message, _KEEP))

    def _judge(self, rulebook: Rulebook, each: Recorded, act: Act) -> Iterator[WrongAct]:
        signed = each.event.signed
        wrong = fault(rulebook, act, signed, self._verify, each.position)
        wrong = wrong or self._other_key(rulebook, act, signed)
        if wrong is not None:
            yield self._found(each, act.name, act.actor, wrong)
        elif signed is None:
            self.unsigned[act.actor] = self.unsigned.get(act.actor, 0) + 1
        else:
            self.signed += 1

    def _other_key(self, rulebook: Rulebook, act: Act, signed: ActSignature | None) -> Fault | None:
        pinned = self._pinned.get(person_of(act.actor))
        if pinned is None:
            return None
        if signed is None:
            return Fault("act_unsigned", f"nothing shows that it was {act.actor}, whose key was given", _KEEP)
        if rulebook.actor_keys.all[signed.key].public_key not in pinned:
            message = f"the key {signed.key}, registered for {act.actor}, is not the one that was given"
            return Fault("actor_key_other", message, _KEEP)
        return None

    def _found(self, each: Recorded, name: str, actor: str, wrong: Fault) -> WrongAct:
        self.wrong += 1
        return WrongAct(each.position, name, actor, wrong)


def _wrong(message: str, remedy: str) -> Fault:
    return Fault("act_signature_wrong", message, remedy)


_SIGN = "give --actor-key FILE, or --signature FILE made elsewhere over what --to-sign writes"
_OWN = "sign it with the actor's own key, and say --signed-at as the signed text does"
_KEEP = "keep the log as evidence, and ask the person by another way"


def _canonical(told: Mapping[str, Any]) -> str:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _showing(name: str, about: str, actor: str, told: Mapping[str, Any], since: int = 0) -> Act:
    content = _canonical(told)
    return Act(name, about, actor, sm3_hex(content.encode()), content, since)


def _document(name: str) -> Callable[[Rulebook, Any], Act]:
    """An act on a methodology version as such: its document is shown."""

    def act(rulebook: Rulebook, event: Any) -> Act:
        version = rulebook.methodologies[event.methodology]
        return Act(f"methodology.{name}", version.name, event.by, sm3_hex(version.document.encode()), version.document)

    return act


def _withdrawal(rulebook: Rulebook, event: events.MethodologyWithdrawn) -> Act:
    version = rulebook.methodologies[event.methodology]
    told = {
        "document": version.digest,
        "leave_gap": event.leave_gap,
        "methodology": version.name,
        "proposed_by": version.withdrawal_proposer,
    }
    since = rulebook.behavior_position(version.method.behavior)
    return _showing("methodology.approve-withdrawal", version.name, event.by, told, since)


def _decision(rulebook: Rulebook, event: events.DecisionApproved) -> Act:
    proposal = rulebook.proposals[event.decision]
    version = rulebook.methodologies[proposal.methodology]
    releases = proposal.releases.items()
    start, end = period_texts(proposal.period)
    told = {
        "decision": proposal.id,
        "document": version.digest,
        "from": start,
        "leave_gap": proposal.leave_gap,
        "methodology": version.name,
        "proposed_by": proposal.by,
        "region": proposal.region,
        "releases": {name: [number, rulebook.releases[name, number].digest] for name, number in releases},
        "to": end,
    }
    since = rulebook.behavior_position(version.method.behavior)
    return _showing("applicability.approve", proposal.id, event.by, told, since)


def _revision(rulebook: Rulebook, event: events.RevisionApproved) -> Act:
    run = rulebook.revisions[event.revision]
    return Act("revision.approve", run.id, event.by, run.plan_digest, since=rulebook.behavior_position(run.behavior))


def _key_approval(rulebook: Rulebook, event: actors.ActorKeyApproved) -> Act:
    key = rulebook.actor_keys.all[event.key]
    told = {
        "actor": key.actor,
        "key": key.key,
        "public_key": key.public_key.hex(),
        "registered_by": key.by,
        "replaces": key.replaces,
    }
    return _showing("actor.approve-key", key.actor, event.by, told)


def _revocation(_: Rulebook, event: actors.ActorKeyRevoked) -> Act:
    told = {"actor": event.actor, "key": event.key, "reason": event.reason}
    return _showing("actor.revoke", event.actor, event.by, told)


def _partner_approval(rulebook: Rulebook, event: partners.PartnerProposalApproved) -> Act:
    """What was proposed is shown: all facts of it but its place in the chain and the key's signature."""
    proposal = rulebook.partners.proposals[event.proposal]
    told = msgspec.structs.asdict(proposal.event)
    shown = {name: value for name, value in told.items() if name not in ("previous", "possession", "by")}
    shown |= {"proposed_by": proposal.event.by, "topic": proposal.event.TOPIC}
    return _showing("partner.approve", event.proposal, event.by, shown, proposal.position)


def _partner_key_revocation(_: Rulebook, event: partners.PartnerKeyRevoked) -> Act:
    told = {"key": event.key, "partner": event.partner, "reason": event.reason}
    return _showing("partner.revoke-key", event.partner, event.by, told)


def _suspension(_: Rulebook, event: partners.PartnerSuspended) -> Act:
    return _showing("partner.suspend", event.partner, event.by, {"partner": event.partner, "reason": event.reason})


_ACTS: Mapping[type[RulebookEvent], Callable[[Rulebook, Any], Act]] = {
    events.MethodologyReviewed: _document("review"),
    events.MethodologyCertified: _document("certify"),
    events.MethodologyPublished: _document("publish"),
    events.WithdrawalProposed: _document("propose-withdrawal"),
    events.MethodologyWithdrawn: _withdrawal,
    events.DecisionApproved: _decision,
    events.RevisionApproved: _revision,
    actors.ActorKeyApproved: _key_approval,
    actors.ActorKeyRevoked: _revocation,
    partners.PartnerProposalApproved: _partner_approval,
    partners.PartnerKeyRevoked: _partner_key_revocation,
    partners.PartnerSuspended: _suspension,
}

ACT_EVENTS: tuple[type[Event], ...] = (*_ACTS, account.ErasureRequested, account.PersonalDataErased)
"""The events that carry a signature."""
