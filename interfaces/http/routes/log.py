"""The log's signed word, for everybody: checkpoints, and proofs against them.

Keeps: whoever asks makes nobody sign: answers are by the checkpoints that there are. A proof of an event shows the
event's facts, so those of accounts are for roles that may read accounts, and everybody may see that the rules are in
the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from application import checkpoints, proofs
from application.answers import checkpoint_json
from application.checkpoints import Signed
from application.cosignatures import cosigned_note
from domain.audit.proofs import consistency_proof_text, event_proof_text
from domain.errors import Rejected
from domain.events.registry import EVENTS
from interfaces.bootstrap import Ledger
from interfaces.http import schemas
from interfaces.http.asking import UNCHANGED, Asked, etag_of, is_known, no_parameters, unchanged
from interfaces.http.identity import AUDITOR, BANK_BACKEND, COMPLIANCE
from interfaces.http.security import Anybody, Serving, unauthenticated

router = APIRouter(prefix="/v1", tags=["log"])

_MAY_SEE_ACCOUNTS: Final = frozenset((AUDITOR, BANK_BACKEND, COMPLIANCE))
_PUBLIC: Final = frozenset(("book", "methodology", "factor_set", "decision", "revision", "signing keys"))
PUBLIC_TOPICS: Final = frozenset(each.TOPIC for each in EVENTS if each.STREAM in _PUBLIC)
"""Events of the rules, of the log's own keys and of the book. A kind of event that is new is not public by itself."""

Size = Annotated[int, Path(ge=1, lt=1 << 63, description="How many events the log had.")]
Plain = [Depends(no_parameters)]


class AskedCheckpoints(Asked):
    """How many."""

    limit: int = Field(20, ge=1, le=100, description="The newest so many. Each signature is checked.")


@router.get("/checkpoints", response_model=schemas.Checkpoints)
def list_checkpoints(asked: Annotated[AskedCheckpoints, Query()], service: Serving, caller: Anybody) -> Any:
    """The newest checkpoints, newest first, each with its signature checked."""
    with service.ledger() as ledger:
        return {"checkpoints": [checkpoint_json(each) for each in checkpoints.last(ledger.auditing, asked.limit)]}


@router.get("/checkpoints/latest", response_model=schemas.NotedCheckpoint, dependencies=Plain, responses=UNCHANGED)
def show_latest(request: Request, response: Response, service: Serving, caller: Anybody) -> Any:
    """The newest checkpoint with its note and the cosignatures of its witnesses."""
    with service.ledger() as ledger:
        return _noted(ledger, checkpoints.newest_signed(ledger.auditing), request, response)


@router.get("/checkpoints/{size}", response_model=schemas.NotedCheckpoint, dependencies=Plain, responses=UNCHANGED)
def show_checkpoint(size: Size, request: Request, response: Response, service: Serving, caller: Anybody) -> Any:
    """The checkpoint of a log size."""
    with service.ledger() as ledger:
        return _noted(ledger, checkpoints.signed_at(ledger.auditing, size), request, response)


@router.get(
    "/checkpoints/{size}/note",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=Plain,
)
def show_note(size: Size, service: Serving, caller: Anybody) -> Response:
    """Its note alone, byte for byte, as `verify`, witnesses and openssl read it."""
    with service.ledger() as ledger:
        note = cosigned_note(ledger.auditing, checkpoints.signed_at(ledger.auditing, size))
    return Response(note, media_type="text/plain; charset=utf-8")


@router.get("/checkpoints/{old}/consistency/{new}", response_model=schemas.Proof, dependencies=Plain)
def prove_consistency(old: Size, new: Size, service: Serving, caller: Anybody) -> Any:
    """That the log of one checkpoint begins with that of an older one."""
    with service.ledger() as ledger:
        proof, newer, _ = proofs.prove_signed_consistency(ledger.auditing, old, new)
        return _proof(newer, consistency_proof_text(proof, cosigned_note(ledger.auditing, newer)))


@router.get("/events/{position}/proof", response_model=schemas.Proof, dependencies=Plain)
def prove_event(position: Size, service: Serving, caller: Anybody) -> Any:
    """That an event is in the log: its facts, and the way from them to the newest signed root.

    Of events about accounts for roles that may read accounts; of all others for everybody.
    """
    with service.ledger() as ledger:
        may_see_accounts = caller is not None and caller.roles & _MAY_SEE_ACCOUNTS
        topics = [each.topic for each in ledger.auditing.log.logged(position - 1, position)]
        if not may_see_accounts and not _are_public(topics):
            raise unauthenticated() if caller is None else _forbidden()
        proof, signed = proofs.prove_signed_event(ledger.auditing, position)
        return _proof(signed, event_proof_text(proof, cosigned_note(ledger.auditing, signed)))


def _are_public(topics: Sequence[str]) -> bool:
    # A position beyond the log is nobody's event either way: who may not see accounts is not told which it is.
    return bool(topics) and all(topic in PUBLIC_TOPICS for topic in topics)


def _forbidden() -> Rejected:
    return Rejected(
        "forbidden", "this event is not for your roles", remedy=f"one of: {', '.join(sorted(_MAY_SEE_ACCOUNTS))}"
    )


def _noted(ledger: Ledger, signed: Signed, request: Request, response: Response) -> Any:
    note = cosigned_note(ledger.auditing, signed).decode()
    # Cosignatures are added to a checkpoint after it was signed.
    etag = etag_of(signed.checkpoint.size, signed.checkpoint.map_position, len(note))
    if is_known(request, etag):
        return unchanged(etag)
    response.headers["etag"] = etag
    return checkpoint_json(signed.checkpoint) | {"note": note}


def _proof(signed: Signed, text: str) -> dict[str, Any]:
    return {"size": signed.checkpoint.size, "root": signed.checkpoint.root.hex(), "proof": text}
