"""What is sent and what comes back, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Behavior(NamedTuple):
    """One behavior, as a line of a behavior file: all texts, exactly as they are recorded (docs/formats.md).

    ``source_ref``: the sender's own name of it; it counts once. ``occurred_at``: RFC 3339 with an offset.
    ``quantity``: a decimal text in ``unit``. ``region``: as ``CN-440300``.
    """

    source_ref: str
    account_ref: str
    behavior: str
    occurred_at: str
    quantity: str
    unit: str
    region: str


class Credited(NamedTuple):
    """Recorded at ``position`` of the log, for ``credited_mg`` milligrams of CO2e. ``account_id``: for a bank only."""

    source_ref: str
    position: int
    credited_mg: int
    account_id: str | None = None


class Duplicate(NamedTuple):
    """Recorded before; ``first``: what it became then, where the ledger tells."""

    source_ref: str
    first: Credited | None


class RefusedItem(NamedTuple):
    """Not credited; ``code`` is stable, ``remedy`` says what helps."""

    source_ref: str
    code: str
    field: str
    message: str
    remedy: str


Result = Credited | Duplicate | RefusedItem


class Receipt(NamedTuple):
    """What the ledger signed (docs/spec/partner-api.md, The receipt); digests in hex, ``signature`` base64 of DER."""

    request: str
    received_at: str
    partner: str
    leaf: str
    outcomes: str
    key: str
    signature: str


class Kept(NamedTuple):
    """What shows later what the ledger acknowledged: the text that was signed, body and answer in clear."""

    signed: bytes
    signature: str
    body: bytes
    answer: bytes


class Acknowledged(NamedTuple):
    """A request that is recorded. ``items``: in the order of what was sent. ``receipt``: verified; None if unsigned."""

    intake: int
    line: int
    digest: str
    position: int
    items: tuple[Result, ...]
    receipt: Receipt | None
    kept: Kept | None


def result_of(sent: Behavior, told: Mapping[str, Any]) -> Result:
    """The result of an item. Raises KeyError, TypeError, ValueError: it is none."""
    match told["status"]:
        case "credited":
            return _credited(sent, told)
        case "duplicate":
            return Duplicate(sent.source_ref, None if told["first"] is None else _credited(sent, told["first"]))
        case "refused":
            return RefusedItem(sent.source_ref, *(str(told[name]) for name in ("code", "field", "message", "remedy")))
    raise ValueError("no such status")


def outcome_line(item: Result) -> str:
    """The line of an item in what a receipt is about."""
    match item:
        case Credited():
            return f"credited {item.position} {item.credited_mg}"
        case Duplicate(first=None):
            return "duplicate"
        case Duplicate(first=Credited() as first):
            return f"duplicate {first.position} {first.credited_mg}"
        case RefusedItem():
            return f"refused {item.code}"
    raise AssertionError(item)


def _credited(sent: Behavior, told: Mapping[str, Any]) -> Credited:
    account = told.get("account_id")
    return Credited(
        sent.source_ref, int(told["position"]), int(told["credited_mg"]), None if account is None else str(account)
    )
