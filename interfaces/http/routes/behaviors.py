"""Behaviors in real time: one or a batch, recorded with whatever else waits, answered when they are durable.

Keeps: the body is kept as evidence exactly as it came; each item stands alone and has its answer; sending the same
again is safe, since a reference counts once. A caller sends under its own name and nobody else's.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, Request, Response

from application.partner_requests import acknowledge
from application.ports.behavior_source import ParsedRow
from application.receiving import Answer, CreditedItem, DuplicateItem, Item
from domain.behavior import Refusal
from domain.errors import Rejected
from domain.instants import instant_text
from domain.partner_protocol import SEALED
from domain.partners import PARTNER_NAME
from domain.requests import MAX_ITEMS, ReceivedRequest
from interfaces.bootstrap.service import rows_of_body, signature_text, system_seconds
from interfaces.http import written
from interfaces.http.asking import no_parameters
from interfaces.http.identity import BANK_BACKEND, Caller
from interfaces.http.security import Anybody, Serving
from interfaces.http.service import Service
from interfaces.http.signatures import Sender, SignedRequest, require_signature, sender

PATH: Final = "/v1/behaviors"
_READ_HERE_CHARACTERS: Final = 16_384
"""A longer body is read in a thread, so that others are answered meanwhile."""

router = APIRouter(tags=["behaviors"])

Senders = Annotated[Sender, Depends(sender)]

_HEADERS: Final = [
    {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": told}
    for name, told in (
        ("Carbon-Key", "Of who signs: the id of the key."),
        ("Carbon-Timestamp", "The time of sending, UTC, as 2026-03-01T00:15:02Z."),
        ("Carbon-Nonce", "16 to 64 characters of A-Z a-z 0-9 - _, never used twice."),
        ("Carbon-Signature", "Base64 of the DER signature (docs/spec/partner-api.md)."),
    )
]

_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "anyOf": [
                    {"$ref": "#/components/schemas/SentBehavior"},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["items"],
                        "properties": {
                            "items": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": MAX_ITEMS,
                                "items": {"$ref": "#/components/schemas/SentBehavior"},
                            }
                        },
                    },
                ]
            }
        },
        SEALED: {"schema": {"$ref": "#/components/schemas/SealedBody"}},
    },
}


@router.post(
    PATH,
    response_model=written.Received,
    responses={200: {"content": {SEALED: {"schema": {"$ref": "#/components/schemas/SealedAnswer"}}}}},
    dependencies=[Depends(no_parameters)],
    openapi_extra={"requestBody": _BODY, "parameters": _HEADERS},
)
async def send_behaviors(service: Serving, sender: Senders, request: Request) -> Any:
    """Credit a behavior, or a batch of them. Each has an answer of its own, in the order in which they were sent.

    Partners sign (docs/spec/partner-api.md), are answered with a receipt, and may seal what they send.
    """
    caller, signed = sender.caller, sender.signed
    if signed is None:
        await refuse_strangers(service, caller)
    body, rows = await _read(sender.body)
    if BANK_BACKEND not in caller.roles:
        await anyio.to_thread.run_sync(_refuse_too_many, service, caller.name, len(rows))
    received = ReceivedRequest(
        id=uuid.uuid4().hex,
        received_at=instant_text(system_seconds() * 1_000_000),
        by=caller.name,
        method=request.method,
        path=request.url.path if signed is None else signed.target,
        body=body,
        signed=None if signed is None else signed.kept,
    )
    answer = await asyncio.wrap_future(service.receive(caller.name, received, rows))
    told = [_told(item, caller) for item in answer.items]
    for each in told:
        became = each.code if isinstance(each, written.RefusedBehavior) else each.status
        service.metrics.behaviors.labels(became).inc()
    whole = written.Received(
        intake=answer.intake,
        line=answer.line,
        digest=answer.digest,
        position=answer.position,
        items=told,
        receipt=None,
    )
    if signed is None:
        told_in = _answer(whole)
    else:
        told_in = await anyio.to_thread.run_sync(_acknowledged, service, signed, received.received_at, answer, whole)
    service.traces.steps(request.state.span, answer.times)
    return told_in


async def _read(sent: bytes) -> tuple[str, list[ParsedRow]]:
    """The body as text, and its rows. Raises Rejected ``body_malformed`` and as ``rows_of_body``."""
    try:
        body = sent.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("body_malformed", "the body is not UTF-8", field="body", remedy="send UTF-8") from None
    if len(body) > _READ_HERE_CHARACTERS:
        return body, await anyio.to_thread.run_sync(rows_of_body, body)
    return body, rows_of_body(body)


def _acknowledged(
    service: Service, signed: SignedRequest, received_at: str, answer: Answer, whole: written.Received
) -> Response:
    """The answer with its receipt; sealed where the request was."""
    protocol = service.protocol
    with service.ledger() as ledger:
        signer, log = protocol.receipt[0].key, ledger.auditing.log
        receipt = acknowledge(protocol.book_id, signer, log, signed.believed, received_at, answer)
    said = receipt.said
    whole.receipt = written.Receipt(
        request=said.request,
        received_at=said.received_at,
        partner=said.partner,
        leaf=said.leaf,
        outcomes=said.outcomes,
        key=receipt.key,
        signature=signature_text(receipt.signature),
    )
    if signed.opened is None:
        return _answer(whole)
    content = whole.model_dump_json().encode()
    sealed = protocol.seal_answer(signed.opened.content_key, content, signed.believed.headers)
    return Response(sealed, media_type=SEALED)


def _answer(whole: written.Received) -> Response:
    # It is of the model that the document shows; to let the framework make sure again took a tenth of a request.
    return Response(whole.model_dump_json(), media_type="application/json")


@router.get("/v1/partner-protocol", response_model=written.PartnerProtocol, dependencies=[Depends(no_parameters)])
async def show_partner_protocol(service: Serving, caller: Anybody) -> Any:
    """What a partner that signs has to know: the name of the ledger's log, and the keys of the service."""
    return service.protocol.described()


async def refuse_strangers(service: Service, caller: Caller) -> None:
    """Whoever is neither the bank nor registered may not send; a partner that signs may not come unsigned.

    Raises Rejected ``partner_malformed``, ``partner_unregistered``, ``signature_missing``.
    """
    if not PARTNER_NAME.fullmatch(caller.name):
        raise Rejected(
            "partner_malformed",
            "your name cannot be that of a partner",
            field="authorization",
            remedy="let the issuer give a `sub` of up to 64 letters, digits, dots and hyphens",
        )
    if BANK_BACKEND not in caller.roles:
        await anyio.to_thread.run_sync(_require_registration, service, caller.name)
        require_signature(service, caller.name)


def _require_registration(service: Service, partner: str) -> None:
    """Nobody else may send: what a registered one may is judged row by row when it is recorded."""
    with service.ledger() as ledger:
        if partner not in ledger.book.rulebook().partners.all:
            raise Rejected(
                "partner_unregistered",
                "no partner of your name is registered",
                field="authorization",
                remedy="let the ledger's operator register it: `carbon-ledger partner register`",
            )


def _refuse_too_many(service: Service, partner: str, rows: int) -> None:
    """Raises Rejected ``rows_over_request_quota``."""
    with service.ledger() as ledger:
        standing = ledger.book.rulebook().partners.standing(partner)
    most = None if standing is None else standing.terms.rows_per_request
    if most is not None and rows > most:
        raise Rejected(
            "rows_over_request_quota",
            f"{rows} items in one request are more than your terms allow",
            field="items",
            remedy=f"send at most {most} in one request",
        )


def _told(item: Item, caller: Caller) -> written.CreditedBehavior | written.DuplicateBehavior | written.RefusedBehavior:
    if isinstance(item, CreditedItem):
        return _credited(item, caller)
    if isinstance(item, DuplicateItem):
        first = None if item.first is None else _credited(item.first, caller)
        return written.DuplicateBehavior(status="duplicate", first=first)
    assert isinstance(item, Refusal)
    return written.RefusedBehavior(
        status="refused", code=item.code, field=item.field, message=item.message, remedy=item.remedy
    )


def _credited(item: CreditedItem, caller: Caller) -> written.CreditedBehavior:
    # An account's id would let partners find out together whom they have in common.
    account = item.account if BANK_BACKEND in caller.roles else None
    return written.CreditedBehavior(
        status="credited", position=item.position, credited_mg=str(item.credited_mg), account_id=account
    )
