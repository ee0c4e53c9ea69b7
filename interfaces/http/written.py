"""The shapes of what is sent to be recorded, and of the answers to it.

Keeps: as ``schemas``: masses are decimal text, positions are integers.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from interfaces.http.schemas import Digest, Mass, Shape, Time


class CreditedBehavior(Shape):
    """``position``: of the credit in the log. ``account_id``: for the bank alone."""

    status: Literal["credited"]
    position: int
    credited_mg: Mass
    account_id: str | None


class DuplicateBehavior(Shape):
    """The reference was taken by the same behavior. ``first``: what it became then; null where that is erased."""

    status: Literal["duplicate"]
    first: CreditedBehavior | None


class RefusedBehavior(Shape):
    """Why an item was not credited; its reference stays free."""

    status: Literal["refused"]
    code: str
    field: str
    message: str
    remedy: str


ReceivedItem = Annotated[CreditedBehavior | DuplicateBehavior | RefusedBehavior, Field(discriminator="status")]


class Receipt(Shape):
    """What the ledger signs of a request that was signed (docs/spec/partner-api.md, The receipt)."""

    request: Digest
    received_at: Time
    partner: str
    leaf: Digest
    outcomes: Digest
    key: str
    signature: str


class Received(Shape):
    """What became of each item, in the order in which they were sent.

    ``intake``: the position that names the intake; ``line``: of the first item in it; ``digest``: SM3 of what the
    intake received; ``position``: give it as ``min_position``, and an answer shows all of this. ``receipt``: for who
    signed the request, else null.
    """

    intake: int
    line: int
    digest: Digest
    position: int
    items: list[ReceivedItem]
    receipt: Receipt | None


class SealedBody(Shape):
    """What a sealed request holds (docs/spec/partner-api.md, Sealed bodies): texts, in base64 but for the id ``to``."""

    to: str
    key: str
    nonce: str
    sealed: str


class SealedAnswer(Shape):
    """What the answer to a sealed request holds."""

    nonce: str
    sealed: str


class ServiceKey(Shape):
    """A key of the service. ``purpose``: ``receipt`` or ``seal``; ``certificate``: by the log's key ``log_key``."""

    purpose: str
    key: str
    public_key: str
    public_pem: str
    log_key: str
    certificate: str


class PartnerProtocol(Shape):
    """What a partner that signs has to know; it checks the certificates with the log's public key."""

    origin: str
    now: Time
    keys: list[ServiceKey]


class SentBehavior(BaseModel):
    """A behavior as it is sent: seven texts (docs/formats.md, Behavior file). Further members are ignored."""

    source_ref: str = Field(min_length=1, max_length=256)
    account_ref: str = Field(min_length=1, max_length=256)
    behavior: str = Field(examples=["travel.metro"])
    occurred_at: str = Field(examples=["2026-03-01T08:15:00+08:00"], json_schema_extra={"format": "date-time"})
    quantity: str = Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["12.350"])
    unit: str = Field(examples=["km"])
    region: str | None = Field("", examples=["CN-440300"])


class ActedOn(Shape):
    """What was done is in the log at ``position``."""

    account_id: str
    position: int


class Reversal(ActedOn):
    """``reversed_mg``: what the credit was worth."""

    reversed_mg: Mass


class Webhook(Shape):
    """A subscription. ``partner``: whose; null: the bank's. ``position``: the log up to here is sent or waits."""

    id: str
    partner: str | None
    url: str
    kinds: list[str]
    behaviors: list[str]
    threshold_mg: Mass | None
    by: str
    since: Time
    state: Literal["active", "disabled"]
    reason: str
    position: int
    delivered: int
    failed: int
    waiting: int
    dead: int
    failing_since: Time | None


class NewWebhook(Webhook):
    """``secret``: of the header ``webhook-signature``; it is told here and nowhere else."""

    secret: str


class Webhooks(Shape):
    """Subscriptions, oldest first."""

    webhooks: list[Webhook]


class DeadLetter(Shape):
    """A message that was given up."""

    position: int
    kind: str
    tries: int
    first_failed_at: Time
    given_up_at: Time
    error: str


class DeadLetters(Shape):
    """Those of a subscription, the oldest five hundred."""

    dead_letters: list[DeadLetter]
