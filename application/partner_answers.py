"""Partners and what is proposed about them, as JSON: by the command line and over HTTP alike."""

from __future__ import annotations

from typing import Any, Final

from domain.applicability import NEVER
from domain.errors import Rejected
from domain.events import partners as events
from domain.partners import Partner, PartnerKey, PartnerProposal, Partners, Terms, terms_of

_ABOUT: Final[dict[type[Any], str]] = {
    events.PartnerProposed: "registration",
    events.PartnerKeyProposed: "key",
    events.PartnerTermsProposed: "terms",
    events.PartnerResumptionProposed: "resumption",
}

_ASKS = ("behaviors", "rows_per_day", "rows_per_request", "key", "public_key", "reason")


def partners_json(known: Partners) -> list[dict[str, Any]]:
    """All registered partners with their terms, and those that wait to be."""
    waiting = [each for each in known.waiting() if each.event.partner not in known.all]
    return [_partner(known, each) for each in known.all.values()] + [_not_yet(each) for each in waiting]


def partner_json(known: Partners, name: str) -> dict[str, Any]:
    """One partner: its terms, every key it had, everything that was proposed. Raises Rejected ``partner_unknown``."""
    proposals = [each for each in known.proposals.values() if each.event.partner == name]
    if not proposals:
        raise Rejected(
            "partner_unknown", f"nobody has proposed {name}", field="partner", remedy="`partner list` shows all"
        )
    registered = known.all.get(name)
    told = _not_yet(proposals[0]) if registered is None else _partner(known, registered)
    del told["waiting"]
    keys = [_key(each) for each in known.keys_of(name)]
    return told | {"keys": keys, "proposals": [_proposal(known, each) for each in proposals]}


def _partner(known: Partners, partner: Partner) -> dict[str, Any]:
    waiting = [each.event.proposal for each in known.waiting() if each.event.partner == partner.name]
    keys = [each.key for each in known.keys_of(partner.name) if known.key_at(partner.name, each.key) is not None]
    told = _told(partner.name, partner.state, partner.now.terms, keys, waiting)
    return told | {"since": partner.now.since, "reason": partner.now.reason or None}


def _not_yet(proposal: PartnerProposal) -> dict[str, Any]:
    """A partner that waits to be registered."""
    event: Any = proposal.event
    return _told(event.partner, "proposed", terms_of(event), [], [event.proposal])


def _told(name: str, state: str, terms: Terms, keys: list[str], waiting: list[str]) -> dict[str, Any]:
    return {
        "partner": name,
        "state": state,
        "behaviors": None if terms.behaviors is None else list(terms.behaviors),
        "rows_per_day": terms.rows_per_day,
        "rows_per_request": terms.rows_per_request,
        "since": None,
        "reason": None,
        "keys": keys,
        "waiting": waiting,
    }


def _key(key: PartnerKey) -> dict[str, Any]:
    return {
        "key": key.key,
        "public_key": key.public_key.hex(),
        "state": key.state,
        "approved": key.approved,
        "ended": None if key.ended == NEVER else key.ended,
    }


def _proposal(known: Partners, proposal: PartnerProposal) -> dict[str, Any]:
    event: Any = proposal.event
    state = "approved" if proposal.approved is not None else "waiting" if known.waits(proposal) else "void"
    return {
        "proposal": event.proposal,
        "about": _ABOUT[type(event)],
        "asks": {name: getattr(event, name) for name in _ASKS if hasattr(event, name)},
        "state": state,
        "by": event.by,
        "proposed": proposal.position,
        "approved_by": proposal.approver or None,
        "approved": proposal.approved,
    }
