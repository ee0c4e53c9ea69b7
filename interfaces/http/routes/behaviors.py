"""Behaviors in real time: one or a batch, recorded with whatever else waits, answered when they are durable.

Keeps: the body is kept as evidence exactly as it came; each item stands alone and has its answer; sending the same
again is safe, since a reference counts once. A caller sends under its own name and nobody else's.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, Request

from application.receiving import CreditedItem, DuplicateItem, Item
from domain.behavior import Refusal
from domain.errors import Rejected
from domain.instants import instant_text
from domain.partners import PARTNER_NAME
from domain.requests import MAX_ITEMS, ReceivedRequest
from interfaces.bootstrap.service import rows_of_body, system_seconds
from interfaces.http import written
from interfaces.http.asking import no_parameters
from interfaces.http.identity import BANK_BACKEND, PARTNER, Caller
from interfaces.http.security import Serving, allowed
from interfaces.http.service import Service

PATH: Final = "/v1/behaviors"
_READ_HERE_CHARACTERS: Final = 16_384
"""A longer body is read in a thread, so that others are answered meanwhile."""

router = APIRouter(tags=["behaviors"])

Senders = Annotated[Caller, Depends(allowed(BANK_BACKEND, PARTNER))]

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
        }
    },
}


@router.post(PATH, dependencies=[Depends(no_parameters)], openapi_extra={"requestBody": _BODY})
async def send_behaviors(request: Request, service: Serving, caller: Senders) -> written.Received:
    """Credit a behavior, or a batch of them. Each has an answer of its own, in the order in which they were sent."""
    await refuse_strangers(service, caller)
    try:
        body = (await request.body()).decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("body_malformed", "the body is not UTF-8", field="body", remedy="send UTF-8") from None
    if len(body) > _READ_HERE_CHARACTERS:
        rows = await anyio.to_thread.run_sync(rows_of_body, body)
    else:
        rows = rows_of_body(body)
    received = ReceivedRequest(
        id=uuid.uuid4().hex,
        received_at=instant_text(system_seconds() * 1_000_000),
        by=caller.name,
        method=request.method,
        path=request.url.path,
        body=body,
    )
    answer = await asyncio.wrap_future(service.receive(caller.name, received, rows))
    told = [_told(item, caller) for item in answer.items]
    for each in told:
        became = each.code if isinstance(each, written.RefusedBehavior) else each.status
        service.metrics.behaviors.labels(became).inc()
    return written.Received(
        intake=answer.intake,
        line=answer.line,
        digest=answer.digest,
        position=answer.position,
        items=told,
    )


async def refuse_strangers(service: Service, caller: Caller) -> None:
    """Whoever is neither the bank nor registered may not send.

    Raises Rejected ``partner_malformed``, ``partner_unregistered``.
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
