"""One account: what it holds and why, on both clocks, and the proof of it.

Keeps: an account is named by its id; its reference comes in a body alone, where no address, log or browser history
keeps it. Whoever is shown what is personal is in the access log before the answer; who may not be shown it sees the
same answer without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from application import access, accounts, proofs, queries, statements
from application.answers import account_json, explanation_json, statement_json
from application.cosignatures import cosigned_note
from application.queries import Known
from domain.audit.proofs import balance_proof_text
from domain.errors import Rejected
from interfaces.bootstrap import Ledger
from interfaces.http import schemas
from interfaces.http.asking import (
    UNCHANGED,
    Asked,
    AsOf,
    Fresh,
    Paged,
    cursor_of,
    etag_of,
    is_known,
    no_parameters,
    unchanged,
)
from interfaces.http.identity import AUDITOR, BANK_BACKEND, COMPLIANCE, Caller
from interfaces.http.security import Serving, allowed

T = TypeVar("T")

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

Readers = Annotated[Caller, Depends(allowed(BANK_BACKEND, COMPLIANCE, AUDITOR))]
Finders = Annotated[Caller, Depends(allowed(BANK_BACKEND, COMPLIANCE))]
AccountId = Annotated[UUID, Path(description="The account's id, which says nothing of whose it is.")]
Version = Annotated[int, Path(ge=1, lt=1 << 31, description="`credit` of an entry of the statement.")]
_REMEDY: Final = "GET its statement: `credit` of each entry names it"


class SoughtAccount(Asked):
    """An account by its reference."""

    account_ref: str = Field(min_length=1, max_length=256)


class SoughtCredit(Asked):
    """A credit by its reference."""

    partner: str = Field("local", pattern=r"^[A-Za-z0-9.-]{1,64}$")
    source_ref: str = Field(min_length=1, max_length=256)


@router.post("/lookup", dependencies=[Depends(no_parameters)])
def find_account(sought: SoughtAccount, service: Serving, caller: Finders) -> schemas.FoundAccount:
    """The id of the account with this reference. That it was looked up is recorded."""
    with service.ledger() as ledger:
        found = accounts.referred(ledger.book, sought.account_ref)
        if found is None:
            raise Rejected(
                "account_unknown",
                "there is no account with this reference",
                field="account_ref",
                remedy="check the reference; an erased account has its id alone",
            )
        access.opened_for(ledger.book, caller.reader, "POST /v1/accounts/lookup", found)
    return schemas.FoundAccount(account_id=str(found))


@router.get("/{account_id}", response_model=schemas.Account, responses=UNCHANGED)
def show_account(
    account_id: AccountId,
    asked: Annotated[AsOf, Query()],
    request: Request,
    response: Response,
    service: Serving,
    caller: Readers,
) -> Any:
    """What the account holds: now or as the ledger knew it, of all its days or of those before one."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        found = accounts.account_named(ledger.book, account_id)
        known = queries.known_at(ledger.book, position=asked.at_position, instant_us=asked.known_us)
        view = queries.account_at(ledger.book, found, known, asked.before_day, personal=False)
        etag = _etag(ledger, caller, view.changed, view.provisional)
        if is_known(request, etag):
            return unchanged(etag)
        if personal := access.opened_for(ledger.book, caller.reader, "GET /v1/accounts/{id}", found):
            view = queries.account_at(ledger.book, found, known, asked.before_day, personal=True)
        answer = account_json(view, ledger.key_epoch, occurred_before=asked.occurred_before, known_at=asked.known_at)
    response.headers["etag"] = etag
    return {**answer, "personal": personal}


@router.get("/{account_id}/statement", response_model=schemas.Statement, responses=UNCHANGED)
def show_statement(
    account_id: AccountId,
    asked: Annotated[Paged, Query()],
    request: Request,
    response: Response,
    service: Serving,
    caller: Readers,
) -> Any:
    """Its credits, reversals and revisions in the order in which they were recorded, a page at a time."""
    service.wait_for(asked.min_position)
    after = asked.after
    with service.ledger() as ledger:
        found = accounts.account_named(ledger.book, account_id)
        # As far as the views are: a role that may not write them is shown an older statement, under its older tag.
        shown_to = ledger.views.advance(ledger.book.journal.head().size)
        queries.refuse_behind(shown_to, asked.min_position or 0)
        view = queries.account_at(ledger.book, found, Known(shown_to, provisional=False), personal=False)
        etag = _etag(ledger, caller, view.changed)
        if is_known(request, etag):
            return unchanged(etag)
        personal = access.opened_for(ledger.book, caller.reader, "GET /v1/accounts/{id}/statement", found)
        shown = statements.statement(ledger.book, ledger.views, found, personal=personal, after=after, most=asked.limit)
    response.headers["etag"] = etag
    return {**statement_json(shown), "next": cursor_of(shown.following), "personal": personal}


@router.get("/{account_id}/credits/{version}", response_model=schemas.Explanation)
def explain_credit(
    account_id: AccountId, version: Version, asked: Annotated[Fresh, Query()], service: Serving, caller: Readers
) -> Any:
    """Why a credit is worth what it is: formula, inputs, factors, sources, decision, every valuation over time."""
    service.wait_for(asked.min_position)
    with service.ledger() as ledger:
        found = accounts.account_named(ledger.book, account_id)
        position = ledger.book.journal.head().size
        facts = _found(lambda: queries.explain_credit(ledger.book, found, version, personal=False))
        name = "GET /v1/accounts/{id}/credits/{version}"
        if personal := access.opened_for(ledger.book, caller.reader, name, found):
            facts = queries.explain_credit(ledger.book, found, version, personal=True)
    return {**explanation_json(facts, position), "personal": personal}


@router.post("/{account_id}/credits/lookup", dependencies=[Depends(no_parameters)])
def find_credit(account_id: AccountId, sought: SoughtCredit, service: Serving, caller: Finders) -> schemas.FoundCredit:
    """Which of its credits a partner's reference is of. That it was looked up is recorded."""
    with service.ledger() as ledger:
        found = accounts.account_named(ledger.book, account_id)
        version = _found(lambda: queries.credit_of(ledger.book, found, sought.partner, sought.source_ref))
        access.opened_for(ledger.book, caller.reader, "POST /v1/accounts/{id}/credits/lookup", found)
    return schemas.FoundCredit(account_id=str(found), version=version)


@router.get("/{account_id}/proof", dependencies=[Depends(no_parameters)])
def prove_balance(account_id: AccountId, service: Serving, caller: Readers) -> schemas.Proof:
    """What it held at the newest checkpoint that names a map, with every event behind it; nothing personal is shown."""
    with service.ledger() as ledger:
        found = accounts.account_named(ledger.book, account_id)
        proof, signed = proofs.prove_signed_balance(ledger.auditing, found)
        text = balance_proof_text(proof, cosigned_note(ledger.auditing, signed))
    checkpoint = signed.checkpoint
    return schemas.Proof(size=checkpoint.size, root=checkpoint.root.hex(), proof=text)


def _etag(ledger: Ledger, caller: Caller, changed: int, *more: object) -> str:
    """Of what an account's stream ends with, of who may see how much, and of the keys that erasure depends on."""
    sees = "p" if caller.reader is not None and ledger.book.opens else "f"
    return etag_of(changed, sees, ledger.key_epoch, *more)


def _found(ask: Callable[[], T]) -> T:
    """What is asked for; a credit that is not there is told as callers of this service find credits."""
    try:
        return ask()
    except Rejected as error:
        if error.code == "credit_unknown":
            error.remedy = _REMEDY
        raise
