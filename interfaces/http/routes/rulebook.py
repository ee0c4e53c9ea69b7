"""The rules: methodology versions, factor releases, decisions and revisions, as they stand."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from application.answers import decisions_json, methodology_json, release_json, revision_json
from domain import methodology as rules
from domain.errors import Rejected
from domain.revision import find_run
from domain.rulebook import Rulebook
from interfaces.http import schemas
from interfaces.http.asking import UNCHANGED, Fresh, etag_of, is_known, unchanged
from interfaces.http.identity import (
    APPROVER,
    AUDITOR,
    BANK_BACKEND,
    COMPLIANCE,
    METHODOLOGY_OWNER,
    OPERATOR,
    ROLES,
    Caller,
)
from interfaces.http.security import Serving, allowed

router = APIRouter(prefix="/v1", tags=["rules"])

Everybody = Annotated[Caller, Depends(allowed(*ROLES))]
Insiders = Annotated[Caller, Depends(allowed(BANK_BACKEND, COMPLIANCE, AUDITOR, METHODOLOGY_OWNER, APPROVER, OPERATOR))]
Wanted = Annotated[Fresh, Query()]


@router.get("/methodologies", response_model=schemas.Methodologies, responses=UNCHANGED)
def list_methodologies(asked: Wanted, request: Request, response: Response, service: Serving, caller: Everybody) -> Any:
    """All versions and where they stand."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        if same := _same(rulebook, request, response):
            return same
        versions = [methodology_json(rulebook, version) for version in rulebook.methodologies.values()]
        return {"methodologies": versions, "position": rulebook.position}


@router.get("/methodologies/{code}/{version}", response_model=schemas.WholeMethodology, responses=UNCHANGED)
def show_methodology(
    code: Annotated[str, Path(pattern=r"^[A-Z0-9-]{1,64}$")],
    version: Annotated[int, Path(ge=1, lt=1 << 31)],
    asked: Wanted,
    request: Request,
    response: Response,
    service: Serving,
    caller: Everybody,
) -> Any:
    """One version in full: who did what, its formula, values, caps and sources."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        if same := _same(rulebook, request, response):
            return same
        found = rules.find(rulebook, f"{code}@{version}")
        answer = methodology_json(rulebook, found)
        return answer | {"document": json.loads(found.document), "position": rulebook.position}


@router.get("/factor-releases", response_model=schemas.Releases, responses=UNCHANGED)
def list_releases(asked: Wanted, request: Request, response: Response, service: Serving, caller: Everybody) -> Any:
    """All releases of factor sets that are loaded."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        if same := _same(rulebook, request, response):
            return same
        return {"releases": [release_json(each) for each in rulebook.releases.values()], "position": rulebook.position}


@router.get("/decisions", response_model=schemas.Decisions, responses=UNCHANGED)
def list_decisions(asked: Wanted, request: Request, response: Response, service: Serving, caller: Insiders) -> Any:
    """All proposals, decisions and revisions with their state."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        if same := _same(rulebook, request, response):
            return same
        return {"decisions": decisions_json(rulebook), "position": rulebook.position}


@router.get("/decisions/{decision_id}", response_model=schemas.Decision)
def show_decision(
    decision_id: Annotated[str, Path(pattern=r"^[DR][1-9][0-9]{0,18}$")],
    asked: Wanted,
    service: Serving,
    caller: Insiders,
) -> Any:
    """One of them."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        for each in decisions_json(ledger.book.rulebook()):
            if each["decision_id"] == decision_id:
                return each
    raise Rejected(
        "decision_unknown",
        "there is no decision of this name",
        field="decision_id",
        remedy="GET /v1/decisions lists them",
    )


@router.get("/revisions", response_model=schemas.Revisions, responses=UNCHANGED)
def list_revisions(asked: Wanted, request: Request, response: Response, service: Serving, caller: Insiders) -> Any:
    """All revisions with their state."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        if same := _same(rulebook, request, response):
            return same
        return {"revisions": [revision_json(run) for run in rulebook.revisions.values()], "position": rulebook.position}


@router.get("/revisions/{revision_id}", response_model=schemas.Revision)
def show_revision(
    revision_id: Annotated[str, Path(pattern=r"^R[1-9][0-9]{0,8}$")], asked: Wanted, service: Serving, caller: Insiders
) -> Any:
    """One of them."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        return revision_json(find_run(ledger.book.rulebook(), revision_id))


def _same(rulebook: Rulebook, request: Request, response: Response) -> Response | None:
    """The answer to whoever has it. The rulebook changes by its own events alone: its position is its version."""
    etag = etag_of("rulebook", rulebook.position)
    if is_known(request, etag):
        return unchanged(etag)
    response.headers["etag"] = etag
    return None
