"""What the bank does with accounts: open one, record a consent or its end, reverse a credit,
freeze it, close it.

Keeps: whoever acts is recorded by the name of its token; an account is named by its id, and a reference that looks like
one leads nowhere; what was done is durable when it is answered, with the position to ask for afterwards.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from application import accounts
from interfaces.http import written
from interfaces.http.asking import Asked, Instant, no_parameters
from interfaces.http.identity import BANK_BACKEND, COMPLIANCE, Caller
from interfaces.http.once import OnceOnly
from interfaces.http.routes.accounts import AccountId, Version
from interfaces.http.security import Serving, allowed

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], dependencies=[Depends(no_parameters)])

Bank = Annotated[Caller, Depends(allowed(BANK_BACKEND))]
Freezers = Annotated[Caller, Depends(allowed(BANK_BACKEND, COMPLIANCE))]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Sealed with what is personal of the account.")]
_BEHAVIOR: Final = r"^(\*|[a-z0-9][a-z0-9._-]{0,63})$"


class Opening(Asked):
    """A new account. ``account_ref``: the bank's own name for it, sealed and looked up by a keyed hash."""

    account_ref: str = Field(min_length=1, max_length=256)
    kind: Literal["individual", "household", "enterprise"] = "individual"


class Granting(Asked):
    """A direct consent. ``evidence``: SM3 of the document that proves it. Without bounds it holds for all time."""

    scope: list[Annotated[str, Field(pattern=_BEHAVIOR)]] = Field(min_length=1, max_length=100)
    terms_version: str = Field(min_length=1, max_length=64)
    evidence: str = Field(pattern=r"^[0-9a-f]{64}$")
    valid_from: Instant | None = None
    valid_to: Instant | None = None


class Withdrawing(Asked):
    """``consent``: which one; null: all that are active."""

    consent: int | None = Field(None, ge=1, lt=1 << 31)
    reason: Reason


class Reasoned(Asked):
    """Why a credit is reversed, an account frozen, unfrozen or closed."""

    reason: Reason


@router.post("", status_code=201)
def open_account(opening: Opening, service: Serving, caller: Bank) -> written.ActedOn:
    """Open an account; nothing is credited to it before a consent allows it."""
    with service.ledger() as ledger:
        return _told(accounts.open_account(ledger.book, opening.account_ref, opening.kind))


@router.post("/{account_id}/consents", status_code=201, response_model=written.ActedOn)
def grant_consent(account_id: AccountId, granting: Granting, service: Serving, caller: Bank, once: OnceOnly) -> Any:
    """Record that the person allows behaviors to be credited. Twice would be two consents: give an Idempotency-Key."""
    with service.ledger() as ledger:
        return once(
            lambda: _told(
                accounts.grant_consent(
                    ledger.book,
                    account_id,
                    scope=tuple(granting.scope),
                    terms_version=granting.terms_version,
                    valid_from=granting.valid_from,
                    valid_to=granting.valid_to,
                    evidence=granting.evidence,
                    by=caller.name,
                )
            ).model_dump()
        )


@router.post("/{account_id}/consents/withdrawal")
def withdraw_consent(account_id: AccountId, wish: Withdrawing, service: Serving, caller: Bank) -> written.ActedOn:
    """End a consent, or all of them: from here on nothing is credited under it, also of what is on its way."""
    with service.ledger() as ledger:
        return _told(accounts.withdraw_consent(ledger.book, account_id, caller.name, wish.reason, wish.consent))


@router.post("/{account_id}/credits/{version}/reversal", status_code=201)
def reverse_credit(
    account_id: AccountId, version: Version, reversing: Reasoned, service: Serving, caller: Bank
) -> written.Reversal:
    """Set a credit to nothing, once; its reference stays taken."""
    with service.ledger() as ledger:
        acted, worth = accounts.reverse_credit(ledger.book, account_id, version, caller.name, reversing.reason)
    return written.Reversal(account_id=str(acted.account_id), position=acted.position, reversed_mg=str(worth))


@router.post("/{account_id}/freeze")
def freeze_account(account_id: AccountId, why: Reasoned, service: Serving, caller: Freezers) -> written.ActedOn:
    """Credit nothing to it until it is unfrozen; revisions still apply."""
    with service.ledger() as ledger:
        return _told(accounts.freeze(ledger.book, account_id, caller.name, why.reason))


@router.post("/{account_id}/unfreeze")
def unfreeze_account(account_id: AccountId, why: Reasoned, service: Serving, caller: Freezers) -> written.ActedOn:
    """Let it be credited again."""
    with service.ledger() as ledger:
        return _told(accounts.unfreeze(ledger.book, account_id, caller.name, why.reason))


@router.post("/{account_id}/closure")
def close_account(account_id: AccountId, why: Reasoned, service: Serving, caller: Bank) -> written.ActedOn:
    """Close it for good; what it holds stays, and revisions still apply."""
    with service.ledger() as ledger:
        return _told(accounts.close(ledger.book, account_id, caller.name, why.reason))


def _told(acted: accounts.Acted) -> written.ActedOn:
    return written.ActedOn(account_id=str(acted.account_id), position=acted.position)
