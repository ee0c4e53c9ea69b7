"""Webhooks: who is told what as it happens (docs/webhooks.md).

Keeps: the bank and each partner see and change their own subscriptions; an operator sees all, may tell again and end
them, and makes none, since a secret is its subscriber's. Where messages may go is not said over the network.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, Field, model_validator

from application import webhooks
from application.answers import dead_letter_json, webhook_json
from domain.access import LOGIN, Reader
from domain.errors import Rejected
from domain.webhooks import BANK
from interfaces.bootstrap.webhooks import hooks_of
from interfaces.http import written
from interfaces.http.asking import Asked, Position, no_parameters
from interfaces.http.identity import BANK_BACKEND, OPERATOR, PARTNER, Caller
from interfaces.http.security import Serving, allowed

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], dependencies=[Depends(no_parameters)])

Subscribers = Annotated[Caller, Depends(allowed(BANK_BACKEND, PARTNER))]
Keepers = Annotated[Caller, Depends(allowed(BANK_BACKEND, PARTNER, OPERATOR))]
_MOST_MG = (1 << 63) - 1


def _mass(text: str) -> str:
    if int(text) > _MOST_MG:
        raise ValueError("it is more than an account can hold")
    return text


class Subscribing(Asked):
    """What to be told of, and where."""

    url: str = Field(min_length=1, max_length=1024, description="Within an origin that the operator allowed.")
    kinds: list[Literal["credited", "reversed", "revised", "crossed"]] = Field(min_length=1, max_length=4)
    behaviors: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]] = Field(
        default_factory=list, max_length=100, description="Of these alone; empty: of all."
    )
    threshold_mg: Annotated[str, AfterValidator(_mass)] | None = Field(
        None, pattern=r"^[1-9][0-9]{0,18}$", description="For `crossed`: which balance."
    )
    from_position: Position | None = Field(None, description="Begin here; null: with what comes next.")


class Replaying(Asked):
    """Tell again from a log position on, or send what was given up; one of the two."""

    from_position: Annotated[int, Field(ge=1, lt=1 << 63)] | None = None
    dead_letters: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Replaying:
        if (self.from_position is None) != self.dead_letters:
            raise ValueError("give from_position or dead_letters, not both")
        return self


@router.get("")
def list_webhooks(service: Serving, caller: Keepers) -> written.Webhooks:
    """Your subscriptions, and how they stand; an operator's answer has everybody's."""
    with service.ledger() as ledger:
        found = webhooks.listed(hooks_of(ledger), _of(caller))
    return written.Webhooks(webhooks=[_told(webhook_json(each)) for each in found])


@router.post("", status_code=201)
def subscribe(wish: Subscribing, service: Serving, caller: Subscribers) -> written.NewWebhook:
    """Be told. The answer has the secret that messages are signed with, once."""
    after = None if wish.from_position is None else max(wish.from_position - 1, 0)
    threshold = None if wish.threshold_mg is None else int(wish.threshold_mg)
    asked = webhooks.Asked(wish.url, wish.kinds, wish.behaviors, threshold, after)
    owner = BANK if BANK_BACKEND in caller.roles else caller.name
    with service.ledger() as ledger:
        if owner != BANK and owner not in ledger.book.rulebook().partners.all:
            raise Rejected(
                "partner_unregistered",
                "no partner of your name is registered",
                field="authorization",
                remedy="let the ledger's operator register it: `carbon-ledger partner register`",
            )
        made, secret = webhooks.subscribe(hooks_of(ledger), owner, asked, _reader(caller))
    return written.NewWebhook(**webhook_json(made), secret=secret)


@router.get("/{webhook_id}")
def show_webhook(webhook_id: UUID, service: Serving, caller: Keepers) -> written.Webhook:
    """One subscription: how far it is, and what went wrong last."""
    with service.ledger() as ledger:
        return _told(webhook_json(webhooks.shown(hooks_of(ledger), webhook_id, _of(caller))))


@router.delete("/{webhook_id}")
def unsubscribe(webhook_id: UUID, service: Serving, caller: Keepers) -> written.Webhook:
    """End a subscription; what waited for it is not sent. The answer shows it as it was."""
    with service.ledger() as ledger:
        found = webhooks.unsubscribe(hooks_of(ledger), webhook_id, _of(caller), _reader(caller))
    return _told(webhook_json(found))


@router.post("/{webhook_id}/replay")
def replay_webhook(webhook_id: UUID, wish: Replaying, service: Serving, caller: Keepers) -> written.Webhook:
    """Be told again; a disabled subscription is active again."""
    with service.ledger() as ledger:
        hooks, by = hooks_of(ledger), _reader(caller)
        if wish.from_position is None:
            found, _ = webhooks.revive(hooks, webhook_id, _of(caller), by)
        else:
            found = webhooks.replay(hooks, webhook_id, _of(caller), wish.from_position, by)
    return _told(webhook_json(found))


@router.get("/{webhook_id}/dead-letters")
def dead_letters(webhook_id: UUID, service: Serving, caller: Keepers) -> written.DeadLetters:
    """What was given up, and why."""
    with service.ledger() as ledger:
        found = webhooks.dead_letters(hooks_of(ledger), webhook_id, _of(caller))
    return written.DeadLetters(dead_letters=[written.DeadLetter(**dead_letter_json(each)) for each in found])


def _of(caller: Caller) -> str | None:
    """Whose subscriptions a caller sees; None: everybody's."""
    if OPERATOR in caller.roles:
        return None
    return BANK if BANK_BACKEND in caller.roles else caller.name


def _reader(caller: Caller) -> Reader:
    return Reader(caller.name, LOGIN)


def _told(told: dict[str, Any]) -> written.Webhook:
    return written.Webhook(**told)
