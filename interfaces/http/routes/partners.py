"""Partners: what each may send and with which keys; proposed by one, approved by another, stopped at once.

Keeps: who acts is the name of the token; whatever lets a partner send takes two people, whatever stops it one; a key
proves that its owner has it, and no private key comes here.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Response

from application import partners
from application.partner_answers import partner_json, partners_json
from application.partners import PartnerAct
from domain.partners import Terms
from interfaces.bootstrap import Ledger, public_key_of, verifier
from interfaces.http import partner_shapes as shapes
from interfaces.http.asking import no_parameters
from interfaces.http.identity import (
    APPROVER,
    AUDITOR,
    BANK_BACKEND,
    COMPLIANCE,
    METHODOLOGY_OWNER,
    OPERATOR,
    Caller,
)
from interfaces.http.once import OnceOnly
from interfaces.http.rule_shapes import TextToSign
from interfaces.http.security import Serving, allowed
from interfaces.http.signing import NAME_ALONE, Signed, raw_signature

router = APIRouter(prefix="/v1", tags=["partners"], dependencies=[Depends(no_parameters)])

Operator = Annotated[Caller, Depends(allowed(OPERATOR))]
Approver = Annotated[Caller, Depends(allowed(APPROVER))]
Stoppers = Annotated[Caller, Depends(allowed(OPERATOR, APPROVER))]
Insiders = Annotated[Caller, Depends(allowed(BANK_BACKEND, COMPLIANCE, AUDITOR, METHODOLOGY_OWNER, APPROVER, OPERATOR))]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9.-]{1,64}$")]
KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
ProposalId = Annotated[str, Path(pattern=r"^P[1-9][0-9]{0,8}$")]
TO_SIGN: Final[dict[int | str, dict[str, Any]]] = {200: {"model": shapes.KeyText}}
"""Asked without a proof of possession, nothing is recorded: this is what the key signs."""


@router.get("/partners", response_model=shapes.Partners)
def list_partners(service: Serving, caller: Insiders) -> Any:
    """All registered partners with their terms, and those that wait to be."""
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        return {"partners": partners_json(rulebook.partners), "position": rulebook.position}


@router.get("/partners/{partner}", response_model=shapes.WholePartner)
def show_partner(partner: Name, service: Serving, caller: Insiders) -> Any:
    """One partner: its terms, every key it had, everything that was proposed about it."""
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        return partner_json(rulebook.partners, partner) | {"position": rulebook.position}


@router.post("/partners", status_code=201, response_model=shapes.PartnerAsked | shapes.KeyText, responses=TO_SIGN)
def register_partner(
    asked: shapes.Registering, response: Response, service: Serving, caller: Operator, once: OnceOnly
) -> Any:
    """Propose a partner with its terms and its first key; it is one once somebody else approves."""
    key = public_key_of(asked.public_key)
    with service.ledger() as ledger:
        if asked.possession is None:
            return _text(ledger, response, asked.partner, key)
        proof = (raw_signature(asked.possession), verifier().verify)
        return once(
            lambda: _asked(partners.propose(ledger.book, asked.partner, _terms(asked), key, caller.name, *proof))
        )


@router.post(
    "/partners/{partner}/keys",
    status_code=201,
    response_model=shapes.PartnerAsked | shapes.KeyText,
    responses=TO_SIGN,
)
def add_partner_key(
    partner: Name, asked: shapes.KeyAsked, response: Response, service: Serving, caller: Operator, once: OnceOnly
) -> Any:
    """Propose a further key. Once approved it is good beside the others."""
    key = public_key_of(asked.public_key)
    with service.ledger() as ledger:
        if asked.possession is None:
            return _text(ledger, response, partner, key)
        proof = (raw_signature(asked.possession), verifier().verify)
        return once(lambda: _asked(partners.propose_key(ledger.book, partner, key, caller.name, *proof)))


@router.post("/partners/{partner}/terms", status_code=201, response_model=shapes.PartnerAsked)
def change_partner_terms(
    partner: Name, asked: shapes.TermsAsked, service: Serving, caller: Operator, once: OnceOnly
) -> Any:
    """Propose other terms, in whole: what is not given again is gone, once somebody else approves."""
    with service.ledger() as ledger:
        return once(lambda: _asked(partners.propose_terms(ledger.book, partner, _terms(asked), caller.name)))


@router.post("/partners/{partner}/resumption", status_code=201, response_model=shapes.PartnerAsked)
def resume_partner(partner: Name, asked: shapes.Reasoned, service: Serving, caller: Operator, once: OnceOnly) -> Any:
    """Propose the end of a suspension; rows are credited again once somebody else approves."""
    with service.ledger() as ledger:
        return once(lambda: _asked(partners.propose_resumption(ledger.book, partner, caller.name, asked.reason)))


@router.post("/partner-proposals/{proposal}/approval", response_model=shapes.PartnerActed | TextToSign)
def approve_partner(proposal: ProposalId, service: Serving, caller: Approver, wish: Signed = NAME_ALONE) -> Any:
    """Approve what was proposed about a partner; not by its proposer. Compare a key's id with the partner first."""
    with service.ledger() as ledger:
        done = partners.approve(ledger.book, proposal, caller.name, wish.signing)
    return _acted(done) | {"proposal": proposal}


@router.post("/partners/{partner}/suspension", response_model=shapes.PartnerActed | TextToSign)
def suspend_partner(partner: Name, wish: shapes.Stopping, service: Serving, caller: Stoppers) -> Any:
    """Stop a partner, at once and by one person: its rows are refused from here on, also those on their way."""
    with service.ledger() as ledger:
        return _acted(partners.suspend(ledger.book, partner, caller.name, wish.reason, wish.signing))


@router.post("/partners/{partner}/keys/{key}/revocation", response_model=shapes.PartnerActed | TextToSign)
def revoke_partner_key(partner: Name, key: KeyId, wish: shapes.Stopping, service: Serving, caller: Stoppers) -> Any:
    """End one of a partner's keys, at once. Its other keys go on."""
    with service.ledger() as ledger:
        done = partners.revoke_key(ledger.book, partner, key, caller.name, wish.reason, wish.signing)
    return _acted(done) | {"key": key}


def _terms(asked: shapes.TermsAsked) -> Terms:
    behaviors = None if asked.behaviors is None else tuple(asked.behaviors)
    return Terms(behaviors, asked.rows_per_day, asked.rows_per_request)


def _text(ledger: Ledger, response: Response, partner: str, key: bytes) -> dict[str, Any]:
    """What the key signs that it is the partner's."""
    response.status_code = 200
    text = partners.to_prove(ledger.book, partner, key)
    return {"partner": partner, "text": base64.b64encode(text).decode()}


def _asked(done: PartnerAct) -> dict[str, Any]:
    event = done.event
    told = {"partner": event.partner, "proposal": event.proposal, "state": done.state, "position": done.position}
    return told | {"key": getattr(event, "key", None)}


def _acted(done: PartnerAct) -> dict[str, Any]:
    return {"partner": done.event.partner, "state": done.state, "position": done.position}
