"""The whole book: its totals and the access log."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, Field

from application import queries
from application.access import accesses
from application.answers import access_json, totals_json
from domain.actors import check_actor
from domain.errors import Rejected
from domain.instants import instant_of
from interfaces.http import schemas
from interfaces.http.asking import UNCHANGED, Instant, KnownAs, Paged, cursor_of, etag_of, is_known, unchanged
from interfaces.http.identity import (
    APPROVER,
    AUDITOR,
    BANK_BACKEND,
    COMPLIANCE,
    METHODOLOGY_OWNER,
    OPERATOR,
    Caller,
)
from interfaces.http.security import Serving, allowed

router = APIRouter(prefix="/v1", tags=["book"])

Insiders = Annotated[Caller, Depends(allowed(BANK_BACKEND, COMPLIANCE, AUDITOR, METHODOLOGY_OWNER, APPROVER, OPERATOR))]
Compliance = Annotated[Caller, Depends(allowed(COMPLIANCE))]


def _actor(text: str) -> str:
    try:
        return check_actor(text)
    except Rejected as error:
        raise ValueError(error.remedy) from None


class AskedAccesses(Paged):
    """Which accesses."""

    account_id: UUID | None = Field(None, description="Only what is about this account.")
    actor: Annotated[str, AfterValidator(_actor)] | None = Field(None, description="Only what this actor did.")
    from_: Instant | None = Field(None, alias="from", description="Recorded at this time or later.")
    to: Instant | None = Field(None, description="Recorded before this time.")


@router.get("/totals", response_model=schemas.Totals, responses=UNCHANGED)
def show_totals(
    asked: Annotated[KnownAs, Query()], request: Request, response: Response, service: Serving, caller: Insiders
) -> Any:
    """What the whole book holds: now, or as the ledger knew it."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        known = queries.known_at(ledger.book, position=asked.at_position, instant_us=asked.known_us)
        etag = etag_of(known.position, known.provisional)
        if is_known(request, etag):
            return unchanged(etag)
        now = asked.at_position is None and asked.known_at is None
        found = queries.totals(ledger.book, ledger.views, at=None if now else known.position, least=asked.min_position)
    response.headers["etag"] = etag_of(found.position, known.provisional)
    return totals_json(found, known, known_at=asked.known_at)


@router.get("/access-log", response_model=schemas.Accesses)
def list_accesses(asked: Annotated[AskedAccesses, Query()], service: Serving, caller: Compliance) -> Any:
    """Who was shown personal facts, exported records, erased people, and reviewed or approved what; oldest first."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        position = ledger.book.journal.head().size
        found = list(
            islice(
                accesses(
                    ledger.book,
                    account=asked.account_id,
                    actor=asked.actor,
                    from_us=0 if asked.from_ is None else instant_of(asked.from_),
                    to_us=None if asked.to is None else instant_of(asked.to),
                    after=asked.after,
                ),
                asked.limit + 1,
            )
        )
    page = found[: asked.limit]
    following = cursor_of(page[-1].position) if len(found) > len(page) else None
    return {"accesses": [access_json(each) for each in page], "position": position, "next": following}
