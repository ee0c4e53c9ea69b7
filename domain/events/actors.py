"""Events of the keys of people: which key an actor signs acts with. Part of the rulebook, so none can be withheld."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import ActSignature, RulebookEvent


class ActorKeyRegistered(RulebookEvent, frozen=True, kw_only=True):
    """A key is said to be an actor's; it signs nothing before somebody else approves it.

    ``key``: the first 32 hex digits of SM3 over the public key. ``replaces``: the actor's key until then, "" if none.
    ``possession``: by the new key itself. ``signature_of_replaced``: by the key it replaces, "" if none.
    """

    TOPIC: ClassVar[str] = "carbon.actor.key-registered.v1"
    STREAM: ClassVar[str] = "actor"
    actor: str
    key: str
    public_key: str
    replaces: str
    by: str
    possession: str
    signature_of_replaced: str


class ActorKeyApproved(RulebookEvent, frozen=True, kw_only=True):
    """From here on the actor signs with this key, and with no other.

    ``by``: neither the actor nor who registered it.
    """

    TOPIC: ClassVar[str] = "carbon.actor.key-approved.v1"
    STREAM: ClassVar[str] = "actor"
    actor: str
    key: str
    by: str
    signed: ActSignature | None = None


class ActorKeyRevoked(RulebookEvent, frozen=True, kw_only=True):
    """The key signs nothing from here on; the actor cannot act before another one is registered and approved."""

    TOPIC: ClassVar[str] = "carbon.actor.key-revoked.v1"
    STREAM: ClassVar[str] = "actor"
    actor: str
    key: str
    reason: str
    by: str
    signed: ActSignature | None = None
