"""Requests that partners sign: believed or refused, acknowledged, and looked at again whenever somebody asks.

Keeps (docs/spec/partner-api.md): the checks come in the order of that document; a number is used up only by a request
whose signature is good, so that nobody else can use up a partner's; a receipt is signed for what is durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from application.book import Book
from application.checkpoints import OpenKept, origin_of
from application.ports.audit_log import AuditLog
from application.ports.evidence import EvidenceStore
from application.ports.nonces import Nonces
from application.ports.signer import Signer
from application.ports.verifier import Verifier
from application.receiving import Answer, CreditedItem, DuplicateItem, Item
from domain.audit.leaves import leaf_of
from domain.digest import sm3_hex
from domain.errors import LedgerError
from domain.events.intake import IntakeOpened
from domain.events.registry import INTAKE_TOPICS
from domain.partner_protocol import (
    NONCE_KEPT_S,
    Acknowledged,
    Addressed,
    Headers,
    kept_text,
    outcomes_digest,
    receipt_text,
    refuse_stale,
    replayed,
    request_text,
    signature_wrong,
    signing_key,
)
from domain.partners import Partners
from domain.requests import MEDIA, ReceivedRequest, request_of


class Believed(NamedTuple):
    """A request whose signature is good. ``text``: what was signed; ``signature``: r, s."""

    partner: str
    headers: Headers
    text: bytes
    signature: bytes


def believe(
    partners: Partners,
    verifier: Verifier,
    where: Addressed,
    body: bytes,
    headers: Headers,
    signature: bytes | None,
    now_s: int,
) -> Believed:
    """Whose request it is. ``signature``: r, s; None where it was none.

    Raises Rejected ``request_late``, ``request_early``, ``signature_key_unknown``, ``partner_key_revoked``,
    ``signature_wrong``.
    """
    refuse_stale(headers, now_s)
    key = signing_key(partners, headers.key)
    signed = request_text(where, body, headers.timestamp, headers.nonce, headers.key)
    if signature is None or not verifier.verify(key.public_key, signed, signature):
        raise signature_wrong()
    return Believed(key.partner, headers, signed, signature)


def take_once(nonces: Nonces, headers: Headers) -> None:
    """Raises Rejected ``request_replayed``."""
    if not nonces.take(headers.key, headers.nonce, headers.sent_s + NONCE_KEPT_S):
        raise replayed()


class Receipt(NamedTuple):
    """What the ledger acknowledged, with its signature (r, s)."""

    said: Acknowledged
    key: str
    signature: bytes


def acknowledge(
    book_id: bytes, signer: Signer, log: AuditLog, believed: Believed, received_at: str, answer: Answer
) -> Receipt:
    """The receipt of a request that was recorded."""
    (opened,) = log.logged(answer.intake - 1, answer.intake)
    leaf = leaf_of(
        book_id,
        opened.position,
        opened.stream.bytes,
        opened.version,
        opened.topic,
        opened.recorded_us,
        opened.state,
    )
    said = Acknowledged(
        partner=believed.partner,
        request=sm3_hex(believed.text),
        received_at=received_at,
        intake=answer.intake,
        line=answer.line,
        digest=answer.digest,
        position=answer.position,
        leaf=leaf.hex(),
        outcomes=outcomes_digest(map(outcome_line, answer.items)),
    )
    return Receipt(said, signer.key_id, signer.sign(receipt_text(origin_of(book_id), said)))


def outcome_line(item: Item) -> str:
    """What a receipt says of an item."""
    if isinstance(item, CreditedItem):
        return f"credited {item.position} {item.credited_mg}"
    if isinstance(item, DuplicateItem):
        first = item.first
        return "duplicate" if first is None else f"duplicate {first.position} {first.credited_mg}"
    return f"refused {item.code}"


class KeptSignature(NamedTuple):
    """A signed request of the evidence. ``fault``: what is wrong with it, "" where nothing is."""

    intake: int
    partner: str
    request: ReceivedRequest
    fault: str


def kept_signatures(
    book: Book, store: EvidenceStore, verifier: Verifier, origin: str, open_kept: OpenKept | None = None
) -> Iterator[KeptSignature | LedgerError]:
    """Every kept signature, looked at again by the key that the rulebook had; what does not open is told instead.

    ``open_kept``: opens what was sent sealed; without it that is not compared with the body in clear.
    """
    head = book.journal.head()
    partners = book.rulebook(head.rulebook_position).partners
    for each in (event for _, events in book.journal.streams(INTAKE_TOPICS, head.size) for event in events):
        opened = each.event
        if not isinstance(opened, IntakeOpened) or opened.media != MEDIA or not store.holds(opened.digest):
            continue
        try:
            requests = _requests(store.read(opened.digest))
        except LedgerError as error:
            yield error
            continue
        for request in requests:
            fault = signature_fault(partners, verifier, origin, opened.partner, each.position, request)
            sealed = request.signed is not None and request.signed.sealed
            if not fault and sealed and open_kept is not None and open_kept(origin, request) != request.body.encode():
                fault = "what was sealed is another body than the one that is kept"
            yield KeptSignature(each.position, opened.partner, request, fault)


def signature_fault(
    partners: Partners, verifier: Verifier, origin: str, partner: str, position: int, request: ReceivedRequest
) -> str:
    """What is wrong with the signature of a kept request, "" where nothing is, or none was asked for."""
    if request.by != partner:
        return f"the request is {request.by}'s, the intake {partner}'s"
    if request.signed is None:
        return ""
    key = partners.key_at(partner, request.signed.key, position)
    if key is None:
        return f"the key {request.signed.key} did not count for {partner} at this position"
    try:
        signature = bytes.fromhex(request.signed.signature)
    except ValueError:
        return "the signature is no hex"
    if not verifier.verify(key.public_key, kept_text(origin, request), signature):
        return f"the signature is not that of key {key.key} over this request"
    return ""


def _requests(blocks: Iterable[bytes]) -> Sequence[ReceivedRequest]:
    """Raises Corrupt ``request_malformed``, and as the blocks."""
    content = b"".join(blocks)
    return [request_of(line) for line in content.split(b"\n") if line]
