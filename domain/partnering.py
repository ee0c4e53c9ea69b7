"""Partners registered, given keys and terms, suspended and resumed.

Keeps: whatever lets a partner send, or send more, is proposed by one actor and approved by another, and approved only
while nothing of the partner has taken effect since it was proposed; whatever stops it takes one person and holds at
once. A key is one partner's, once, and signs for itself that its owner has it. Names differ by more than capitals.
Leaves to ``partners``: what follows for rows; to infrastructure: the arithmetic, behind the function that checks a
signature.
"""

from __future__ import annotations

import json
from typing import Final

from domain.actors import check_actor, check_reason, refuse_same_actor
from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.events.base import NewEvent
from domain.events.partners import (
    PartnerKeyProposed,
    PartnerKeyRevoked,
    PartnerProposalApproved,
    PartnerProposed,
    PartnerResumptionProposed,
    PartnerSuspended,
    PartnerTermsProposed,
)
from domain.partners import PARTNER_NAME, Partner, PartnerProposal, Terms
from domain.rulebook import Rulebook
from domain.signing import signed_bytes
from domain.signing_keys import Verify

PURPOSE = "partner-key"
MAX_QUOTA_ROWS: Final = 1_000_000_000


def statement(book: str, partner: str, public_key: bytes) -> bytes:
    """What a key signs when it is proposed for a partner."""
    told = {"book": book, "partner": partner, "public_key": public_key.hex()}
    return signed_bytes(PURPOSE, json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode())


def to_prove(rulebook: Rulebook, partner: str, public_key: bytes) -> bytes:
    """What the key is to sign, be it the first one or a further one.

    Raises Rejected ``partner_malformed``, ``partner_key_known``.
    """
    if not PARTNER_NAME.fullmatch(partner):
        raise Rejected(
            "partner_malformed",
            f"{partner!r} is not the name of a partner",
            field="partner",
            remedy="give 1 to 64 ASCII letters, digits, hyphens and dots",
        )
    _refuse_known_key(rulebook, sm3_hex(public_key)[:32])
    return statement(_book(rulebook), partner, public_key)


def propose(
    rulebook: Rulebook, partner: str, terms: Terms, public_key: bytes, by: str, possession: bytes, verify: Verify
) -> NewEvent:
    """The proposal to register a partner.

    Raises Rejected as ``to_prove``, ``partner_exists``, ``behaviors_malformed``, ``unknown_behavior``,
    ``quota_malformed``, ``partner_key_not_proven``.
    """
    to_prove(rulebook, partner, public_key)
    _refuse_registered(rulebook, partner)
    checked = _checked_terms(rulebook, terms)
    event = PartnerProposed(
        previous=rulebook.position,
        proposal=_next_proposal(rulebook),
        partner=partner,
        behaviors=checked.behaviors,
        rows_per_day=checked.rows_per_day,
        rows_per_request=checked.rows_per_request,
        key=sm3_hex(public_key)[:32],
        public_key=public_key.hex(),
        possession=possession.hex(),
        by=check_actor(by),
    )
    return _proven(rulebook, event, verify)


def propose_key(
    rulebook: Rulebook, partner: str, public_key: bytes, by: str, possession: bytes, verify: Verify
) -> NewEvent:
    """The proposal of a further key.

    Raises Rejected as ``to_prove``, ``partner_unknown``, ``partner_key_not_proven``.
    """
    _registered(rulebook, partner)
    to_prove(rulebook, partner, public_key)
    event = PartnerKeyProposed(
        previous=rulebook.position,
        proposal=_next_proposal(rulebook),
        partner=partner,
        key=sm3_hex(public_key)[:32],
        public_key=public_key.hex(),
        possession=possession.hex(),
        by=check_actor(by),
    )
    return _proven(rulebook, event, verify)


def propose_terms(rulebook: Rulebook, partner: str, terms: Terms, by: str) -> NewEvent:
    """The proposal of other terms.

    Raises Rejected ``partner_unknown``, ``behaviors_malformed``, ``unknown_behavior``, ``quota_malformed``.
    """
    _registered(rulebook, partner)
    checked = _checked_terms(rulebook, terms)
    event = PartnerTermsProposed(
        previous=rulebook.position,
        proposal=_next_proposal(rulebook),
        partner=partner,
        behaviors=checked.behaviors,
        rows_per_day=checked.rows_per_day,
        rows_per_request=checked.rows_per_request,
        by=check_actor(by),
    )
    return rulebook.record("partner", partner, event)


def propose_resumption(rulebook: Rulebook, partner: str, by: str, reason: str) -> NewEvent:
    """The proposal to end a suspension. Raises Rejected ``partner_unknown``, ``wrong_state``, ``reason_malformed``."""
    if not _registered(rulebook, partner).now.suspended:
        raise Rejected(
            "wrong_state", f"{partner} is not suspended", field="partner", remedy="nothing to do: its rows are credited"
        )
    event = PartnerResumptionProposed(
        previous=rulebook.position,
        proposal=_next_proposal(rulebook),
        partner=partner,
        reason=check_reason(reason),
        by=check_actor(by),
    )
    return rulebook.record("partner", partner, event)


def approve(rulebook: Rulebook, proposal: str, by: str) -> NewEvent:
    """The approval of what was proposed.

    Raises Rejected ``proposal_unknown``, ``already_approved``, ``same_actor``, ``partner_exists``, ``proposal_stale``,
    ``partner_key_known``.
    """
    found = _proposal(rulebook, proposal)
    event = found.event
    refuse_same_actor(by, proposer=event.by)
    if isinstance(event, PartnerProposed):
        _refuse_registered(rulebook, event.partner)
    elif not rulebook.partners.waits(found):
        raise Rejected(
            "proposal_stale",
            f"something about {event.partner} took effect after {proposal} was proposed",
            field="proposal",
            remedy="look at it with `partner show`, and propose again what is still wanted",
        )
    if isinstance(event, PartnerProposed | PartnerKeyProposed):
        _refuse_known_key(rulebook, event.key)
    approval = PartnerProposalApproved(
        previous=rulebook.position, proposal=proposal, partner=event.partner, by=check_actor(by)
    )
    return rulebook.record("partner", event.partner, approval)


def revoke_key(rulebook: Rulebook, partner: str, key: str, by: str, reason: str) -> NewEvent:
    """The end of a key, at once. Raises Rejected ``partner_unknown``, ``partner_key_unknown``, ``reason_malformed``."""
    _registered(rulebook, partner)
    if rulebook.partners.key_at(partner, key) is None:
        raise Rejected(
            "partner_key_unknown",
            f"{partner} has no key {key} that is in force",
            field="key",
            remedy="`partner show` tells the keys of a partner",
        )
    event = PartnerKeyRevoked(
        previous=rulebook.position, partner=partner, key=key, reason=check_reason(reason), by=check_actor(by)
    )
    return rulebook.record("partner", partner, event)


def suspend(rulebook: Rulebook, partner: str, by: str, reason: str) -> NewEvent:
    """The suspension, at once. Raises Rejected ``partner_unknown``, ``wrong_state``, ``reason_malformed``."""
    if _registered(rulebook, partner).now.suspended:
        raise Rejected(
            "wrong_state",
            f"{partner} is suspended already",
            field="partner",
            remedy="nothing to do; `partner resume` proposes the end of it",
        )
    event = PartnerSuspended(
        previous=rulebook.position, partner=partner, reason=check_reason(reason), by=check_actor(by)
    )
    return rulebook.record("partner", partner, event)


def possession_fault(rulebook: Rulebook, event: PartnerProposed | PartnerKeyProposed, verify: Verify) -> str:
    """Why a key that is proposed is not shown to be its owner's; "" when it is."""
    try:
        public_key, possession = bytes.fromhex(event.public_key), bytes.fromhex(event.possession)
    except ValueError:
        return "its key or signature are not hex digits"
    message = statement(_book(rulebook), event.partner, public_key)
    if event.key != sm3_hex(public_key)[:32] or not verify(public_key, message, possession):
        return "nothing shows that the partner has the key: the key has not signed its name"
    return ""


def _proven(rulebook: Rulebook, event: PartnerProposed | PartnerKeyProposed, verify: Verify) -> NewEvent:
    fault = possession_fault(rulebook, event, verify)
    if fault:
        raise Rejected(
            "partner_key_not_proven",
            fault,
            field="key",
            remedy="the partner signs the text that --to-sign writes, with the key that is proposed",
        )
    return rulebook.record("partner", event.partner, event)


def _checked_terms(rulebook: Rulebook, terms: Terms) -> Terms:
    """The terms in their one spelling. A name nobody has drafted is a slip: with it a partner could send nothing."""
    for what, rows in (("rows per day", terms.rows_per_day), ("rows per request", terms.rows_per_request)):
        if rows is not None and not 1 <= rows <= MAX_QUOTA_ROWS:
            raise Rejected(
                "quota_malformed",
                f"{rows} {what} are no quota",
                field=what.replace(" ", "_"),
                remedy=f"give 1 to {MAX_QUOTA_ROWS:,} rows, or no quota; `partner suspend` stops a partner",
            )
    if terms.behaviors is None:
        return terms
    if not terms.behaviors:
        raise Rejected(
            "behaviors_malformed",
            "a partner that may send nothing needs no registration",
            field="behaviors",
            remedy="name at least one behavior, or allow all",
        )
    known = {version.method.behavior for version in rulebook.methodologies.values()}
    for behavior in terms.behaviors:
        if behavior not in known:
            raise Rejected(
                "unknown_behavior",
                f"no methodology names the behavior {behavior}",
                field="behaviors",
                remedy="check the spelling, or import its methodology first; `methodology list` shows all",
            )
    return terms._replace(behaviors=tuple(sorted(set(terms.behaviors))))


def _registered(rulebook: Rulebook, name: str) -> Partner:
    partner = rulebook.partners.all.get(name)
    if partner is None:
        raise Rejected(
            "partner_unknown",
            f"there is no registered partner {name}",
            field="partner",
            remedy="register it with `partner register`; `partner list` shows all",
        )
    return partner


def _refuse_registered(rulebook: Rulebook, name: str) -> None:
    alike = rulebook.partners.spelled_alike(name)
    if alike is not None:
        raise Rejected(
            "partner_exists",
            f"{alike.name} is a registered partner",
            field="partner",
            remedy="`partner add-key` and `partner terms` change it; another partner takes a name of its own",
        )


def _refuse_known_key(rulebook: Rulebook, key: str) -> None:
    known = rulebook.partners.keys.get(key)
    if known is not None:
        raise Rejected(
            "partner_key_known",
            f"the key {key} was approved for {known.partner} at position {known.approved}",
            field="key",
            remedy="the partner makes a new one: a key is one partner's, once",
        )


def _proposal(rulebook: Rulebook, proposal: str) -> PartnerProposal:
    found = rulebook.partners.proposals.get(proposal)
    if found is None:
        raise Rejected(
            "proposal_unknown",
            f"nobody has proposed {proposal} about a partner",
            field="proposal",
            remedy="`partner list` shows what waits for approval",
        )
    if found.approved is not None:
        raise Rejected(
            "already_approved",
            f"{proposal} was approved by {found.approver}",
            field="proposal",
            remedy="nothing to do; propose something new to change it",
        )
    return found


def _next_proposal(rulebook: Rulebook) -> str:
    return f"P{len(rulebook.partners.proposals) + 1}"


def _book(rulebook: Rulebook) -> str:
    return "" if rulebook.genesis is None else rulebook.genesis.book
