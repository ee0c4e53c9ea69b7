"""Events of partners: who may send which behaviors, with which keys. Part of the rulebook, so none can be withheld.

A partner's registration, further keys, other terms and its resumption are proposed by one and approved by another; a
suspension and the end of a key take effect at once.
"""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import ActSignature, RulebookEvent


class PartnerProposed(RulebookEvent, frozen=True, kw_only=True):
    """Somebody asks to register a partner; it is none before somebody else approves.

    ``behaviors``: which it may send, in ascending order; null = all. ``rows_per_day``: rows per civil day of receipt at
    +08:00 at most; null = no quota. ``rows_per_request``: rows of one request at most; null = no quota. ``key``: the
    first 32 hex digits of SM3 over its first public key. ``possession``: r and s by that key itself over the partner's
    name and the key.
    """

    TOPIC: ClassVar[str] = "carbon.partner.proposed.v1"
    STREAM: ClassVar[str] = "partner"
    proposal: str
    partner: str
    behaviors: tuple[str, ...] | None
    rows_per_day: int | None
    rows_per_request: int | None
    key: str
    public_key: str
    possession: str
    by: str


class PartnerKeyProposed(RulebookEvent, frozen=True, kw_only=True):
    """Somebody asks for a further key of a partner, which is good beside the others until one is revoked.

    ``key``: the first 32 hex digits of SM3 over the public key. ``possession``: r and s by the new key itself over the
    partner's name and the key.
    """

    TOPIC: ClassVar[str] = "carbon.partner.key-proposed.v1"
    STREAM: ClassVar[str] = "partner"
    proposal: str
    partner: str
    key: str
    public_key: str
    possession: str
    by: str


class PartnerTermsProposed(RulebookEvent, frozen=True, kw_only=True):
    """Somebody asks for other terms; they take the place of those that stand, as a whole.

    ``behaviors``: which it may send, in ascending order; null = all. ``rows_per_day``: rows per civil day of receipt at
    +08:00 at most; null = no quota. ``rows_per_request``: rows of one request at most; null = no quota.
    """

    TOPIC: ClassVar[str] = "carbon.partner.terms-proposed.v1"
    STREAM: ClassVar[str] = "partner"
    proposal: str
    partner: str
    behaviors: tuple[str, ...] | None
    rows_per_day: int | None
    rows_per_request: int | None
    by: str


class PartnerResumptionProposed(RulebookEvent, frozen=True, kw_only=True):
    """Somebody asks to end a suspension."""

    TOPIC: ClassVar[str] = "carbon.partner.resumption-proposed.v1"
    STREAM: ClassVar[str] = "partner"
    proposal: str
    partner: str
    reason: str
    by: str


class PartnerProposalApproved(RulebookEvent, frozen=True, kw_only=True):
    """What was proposed holds for every row positioned after this event; ``by`` is not the proposer."""

    TOPIC: ClassVar[str] = "carbon.partner.proposal-approved.v1"
    STREAM: ClassVar[str] = "partner"
    proposal: str
    partner: str
    by: str
    signed: ActSignature | None = None


class PartnerKeyRevoked(RulebookEvent, frozen=True, kw_only=True):
    """The key of a partner is good for nothing from here on. ``key``: its id."""

    TOPIC: ClassVar[str] = "carbon.partner.key-revoked.v1"
    STREAM: ClassVar[str] = "partner"
    partner: str
    key: str
    reason: str
    by: str
    signed: ActSignature | None = None


class PartnerSuspended(RulebookEvent, frozen=True, kw_only=True):
    """No row of the partner is credited from here on, until its resumption is approved; one person does this alone."""

    TOPIC: ClassVar[str] = "carbon.partner.suspended.v1"
    STREAM: ClassVar[str] = "partner"
    partner: str
    reason: str
    by: str
    signed: ActSignature | None = None
