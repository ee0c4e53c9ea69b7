"""Revisions: planned by one, approved by another, applied by a job.

Keeps: who acts is the name of the token; the law of two people is that of the use cases, whatever roles a caller has;
an approval is signed where the rulebook demands it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Response

from application import revising
from application.act_answers import changes_json, plan_json
from domain.revision import changes_by, find_run
from interfaces.http import rule_shapes as shapes
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
from interfaces.http.security import Serving, allowed
from interfaces.http.signing import NAME_ALONE, Signed
from interfaces.kernels import parts_by

router = APIRouter(prefix="/v1/revisions", tags=["rules"], dependencies=[Depends(no_parameters)])

Owner = Annotated[Caller, Depends(allowed(METHODOLOGY_OWNER))]
Approver = Annotated[Caller, Depends(allowed(APPROVER))]
Appliers = Annotated[Caller, Depends(allowed(METHODOLOGY_OWNER, APPROVER, OPERATOR))]
Insiders = Annotated[Caller, Depends(allowed(BANK_BACKEND, COMPLIANCE, AUDITOR, METHODOLOGY_OWNER, APPROVER, OPERATOR))]
RevisionId = Annotated[str, Path(pattern=r"^R[1-9][0-9]{0,8}$")]


@router.post("", status_code=201, response_model=shapes.Plan, responses={200: {"model": shapes.Plan}})
def plan_revision(
    planning: shapes.Planning, response: Response, service: Serving, caller: Owner, once: OnceOnly
) -> Any:
    """Work out what valuing days anew would do, and record the digest of that report. Changes no balance.

    A dry run (200) takes a version in any state and records nothing.
    """
    work_out = revising.dry_run if planning.dry_run else revising.plan

    def plan() -> dict[str, Any]:
        planned = work_out(
            ledger.book,
            planning.methodology,
            planning.from_,
            planning.to,
            caller.name,
            region=planning.region,
            releases=planning.releases,
            parts=parts_by("auto", ledger),
        )
        if planning.dry_run:
            response.status_code = 200
        return plan_json(planned)

    with service.ledger() as ledger:
        return once(plan)


@router.get("/{revision_id}/report", response_model=shapes.Plan)
def show_report(revision_id: RevisionId, service: Serving, caller: Insiders) -> Any:
    """What the plan answered, worked out again and held against its recorded digest: what an approver signs.

    It shows the book as it was when the revision was planned, whatever has happened since.
    """
    with service.ledger() as ledger:
        planned = revising.worked_out_again(ledger.book, revision_id, parts=parts_by("auto", ledger))
        run = find_run(ledger.book.rulebook(), revision_id)
    return plan_json(planned) | {"state": run.state}


@router.get("/{revision_id}/impact", response_model=shapes.Impact)
def show_impact(revision_id: RevisionId, service: Serving, caller: Insiders) -> Any:
    """What it did; before it is completed, what it would do to the log as it is. Reads the whole of it."""
    with service.ledger() as ledger:
        position = ledger.book.journal.head().size
        return {**revising.status(ledger.book, revision_id), "position": position}


@router.post("/{revision_id}/approval", response_model=shapes.ApprovedRevision | shapes.TextToSign)
def approve_revision(
    revision_id: RevisionId, service: Serving, caller: Approver, wish: Annotated[Signed, Body()] = NAME_ALONE
) -> Any:
    """Approve a planned revision; not by its planner. From here on it is a decision."""
    with service.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        # An approval is refused when the rulebook of its behavior moved, so these are the changes it makes.
        changes = changes_by(rulebook, find_run(rulebook, revision_id))
        done = revising.approve(ledger.book, revision_id, caller.name, wish.signing)
        status = revising.status(ledger.book, revision_id)
    return {**status, "changes": changes_json(changes), "position": done.position}


@router.post(
    "/{revision_id}/application",
    status_code=202,
    response_model=shapes.Application,
    responses={200: {"model": shapes.Application}},
)
def apply_revision(revision_id: RevisionId, response: Response, service: Serving, caller: Appliers) -> Any:
    """Post the differences of an approved revision to every account: a job. Once it is completed: 200."""
    with service.ledger() as ledger:
        service.applying.start(ledger.book, revision_id)
        job = service.applying.job(ledger.book, revision_id)
    response.headers["location"] = f"{router.prefix}/{revision_id}/application"
    if job["state"] == "completed":
        response.status_code = 200
    return job


@router.get("/{revision_id}/application", response_model=shapes.Application)
def show_application(revision_id: RevisionId, service: Serving, caller: Insiders) -> Any:
    """How far the job is, whichever worker, or command line, applies it."""
    with service.ledger() as ledger:
        return service.applying.job(ledger.book, revision_id)
