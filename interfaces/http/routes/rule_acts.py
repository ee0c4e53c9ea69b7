"""The life of rules: methodology versions, factor releases, decisions on which version values what.

Keeps: who acts is the name of the token; that several people must act is the law of the use cases, whatever roles a
caller has; acts that people sign are signed here too where the rulebook demands it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Path, Request

from application import methodologies
from application.act_answers import changes_json
from application.acts import Signing
from application.answers import release_json
from application.book import Book
from application.methodologies import Standing
from interfaces.http import rule_shapes as shapes
from interfaces.http.asking import no_parameters
from interfaces.http.identity import APPROVER, METHODOLOGY_OWNER, Caller
from interfaces.http.once import OnceOnly
from interfaces.http.security import Serving, allowed
from interfaces.http.service import Service
from interfaces.http.signing import NAME_ALONE, Signed
from interfaces.strict_json import strict_json

router = APIRouter(prefix="/v1", tags=["rules"], dependencies=[Depends(no_parameters)])

DOCUMENTS: Final = {"/v1/methodologies": 1_000_000, "/v1/factor-releases": 16_000_000}
"""The paths that take documents, and how many bytes of one."""

Owner = Annotated[Caller, Depends(allowed(METHODOLOGY_OWNER))]
Approver = Annotated[Caller, Depends(allowed(APPROVER))]
Code = Annotated[str, Path(pattern=r"^[A-Z0-9-]{1,64}$")]
Number = Annotated[int, Path(ge=1, lt=1 << 31)]
DecisionId = Annotated[str, Path(pattern=r"^D[1-9][0-9]{0,18}$")]
Wish = Annotated[Signed, Body()]

_DOCUMENT: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "description": "As its file: docs/formats.md."}}},
    }
}
_NO_GAP: Final = shapes.Withdrawing()
_SIGNED: Final = shapes.Standing | shapes.TextToSign
_WITHDRAWN: Final = shapes.Withdrawn | shapes.TextToSign
_DECIDED: Final = shapes.Decided | shapes.TextToSign


async def _document(request: Request) -> Any:
    """The body, read as strictly as a file on the command line."""
    return strict_json(await request.body(), "body")


Document = Annotated[Any, Depends(_document)]


@router.post("/methodologies", status_code=201, response_model=shapes.Standing, openapi_extra=_DOCUMENT)
def draft_methodology(service: Serving, caller: Owner, document: Document) -> Any:
    """Draft a version from the document of its file."""
    with service.ledger() as ledger:
        return methodologies.import_methodology(ledger.book, document, caller.name)._asdict()


@router.post("/methodologies/{code}/{version}/review", response_model=_SIGNED)
def review_methodology(code: Code, version: Number, service: Serving, caller: Approver, wish: Wish = NAME_ALONE) -> Any:
    """Review a drafted version; not by its drafter."""
    return _stepped(service, methodologies.review, f"{code}@{version}", caller, wish)


@router.post("/methodologies/{code}/{version}/certification", response_model=_SIGNED)
def certify_methodology(
    code: Code, version: Number, service: Serving, caller: Approver, wish: Wish = NAME_ALONE
) -> Any:
    """Certify a reviewed version; neither by its drafter nor by its reviewer."""
    return _stepped(service, methodologies.certify, f"{code}@{version}", caller, wish)


@router.post("/methodologies/{code}/{version}/publication", response_model=_SIGNED)
def publish_methodology(
    code: Code, version: Number, service: Serving, caller: Approver, wish: Wish = NAME_ALONE
) -> Any:
    """Publish a certified version. It is then known, and not yet applicable to anything."""
    return _stepped(service, methodologies.publish, f"{code}@{version}", caller, wish)


@router.post("/methodologies/{code}/{version}/withdrawal", response_model=_SIGNED)
def propose_withdrawal(code: Code, version: Number, service: Serving, caller: Owner, wish: Wish = NAME_ALONE) -> Any:
    """Propose that a published version's decisions end; it stays in force until somebody else approves it."""
    return _stepped(service, methodologies.propose_withdrawal, f"{code}@{version}", caller, wish)


@router.post("/methodologies/{code}/{version}/withdrawal/approval", response_model=_WITHDRAWN)
def approve_withdrawal(
    code: Code,
    version: Number,
    service: Serving,
    caller: Approver,
    wish: Annotated[shapes.Withdrawing, Body()] = _NO_GAP,
) -> Any:
    """Approve a withdrawal; not by its proposer. Look-up falls back to the next older decision from here on."""
    with service.ledger() as ledger:
        standing, changes = methodologies.approve_withdrawal(
            ledger.book, f"{code}@{version}", caller.name, wish.signing, leave_gap=wish.leave_gap
        )
    return standing._asdict() | {"changes": changes_json(changes)}


@router.post("/factor-releases", status_code=201, response_model=shapes.LoadedRelease, openapi_extra=_DOCUMENT)
def load_release(service: Serving, caller: Owner, document: Document) -> Any:
    """Load a factor release from the document of its file. It is then known, and applies to nothing yet."""
    with service.ledger() as ledger:
        loaded = methodologies.import_factors(ledger.book, document, caller.name)
        return release_json(loaded) | {"position": ledger.book.rulebook().position}


@router.post("/decisions", status_code=201, response_model=shapes.Proposed)
def propose_decision(proposing: shapes.Proposing, service: Serving, caller: Owner, once: OnceOnly) -> Any:
    """Propose that a version values days to come."""

    def propose() -> dict[str, Any]:
        decision, position = methodologies.propose_decision(
            ledger.book,
            proposing.methodology,
            proposing.from_,
            proposing.to,
            caller.name,
            region=proposing.region,
            releases=proposing.releases,
            leave_gap=proposing.leave_gap,
        )
        return {"decision_id": decision, "position": position, "state": "proposed"}

    with service.ledger() as ledger:
        return once(propose)


@router.post("/decisions/{decision_id}/approval", response_model=_DECIDED)
def approve_decision(decision_id: DecisionId, service: Serving, caller: Approver, wish: Wish = NAME_ALONE) -> Any:
    """Approve a proposal; not by its proposer. It holds from this log position on; tells what changes hands."""
    with service.ledger() as ledger:
        done, changes = methodologies.approve_decision(ledger.book, decision_id, caller.name, wish.signing)
    return {
        "decision_id": decision_id,
        "position": done.position,
        "state": "approved",
        "changes": changes_json(changes),
    }


def _stepped(
    service: Service, step: Callable[[Book, str, str, Signing], Standing], name: str, caller: Caller, wish: Signed
) -> dict[str, Any]:
    with service.ledger() as ledger:
        return step(ledger.book, name, caller.name, wish.signing)._asdict()
