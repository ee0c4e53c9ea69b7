"""What partners sign when they send, and what the ledger signs and binds for them: docs/spec/partner-api.md.

Keeps: a signature names the ledger, the address, the body, the time, the number used once and the key, so it is good
for this request alone; each text has a purpose of its own in front; no part holds the line end that separates them.
Leaves to infrastructure: the arithmetic, and remembering numbers used once; to ``partners``: whose a key is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.instants import instant_of
from domain.partners import PartnerKey, Partners
from domain.requests import ReceivedRequest
from domain.signing import signed_bytes

PLAIN: Final = "application/json"
SEALED: Final = "application/vnd.carbon-ledger.sealed+json"
KINDS: Final = (PLAIN, SEALED)

KEY, TIMESTAMP, NONCE, SIGNATURE = "carbon-key", "carbon-timestamp", "carbon-nonce", "carbon-signature"
RECEIPT, SEAL = "receipt", "seal"
PURPOSES: Final = (RECEIPT, SEAL)
"""What keys of the service are for; a key is for one of them."""

WINDOW_S: Final = 300
"""How far the time of a request may be from the ledger's clock."""
NONCE_KEPT_S: Final = 2 * WINDOW_S
"""How long after the time of its request a nonce is kept: clocks of several processes may differ by a window."""

_GRAMMAR: Final[Mapping[str, re.Pattern[str]]] = {
    KEY: re.compile(r"[0-9a-f]{32}"),
    TIMESTAMP: re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"),
    NONCE: re.compile(r"[A-Za-z0-9_-]{16,64}"),
    SIGNATURE: re.compile(r"[A-Za-z0-9+/]{4,100}={0,2}"),
}
HEADERS: Final = tuple(_GRAMMAR)


class Headers(NamedTuple):
    """The four headers of a signed request, each of its grammar. ``sent_s``: the time, in seconds since 1970."""

    key: str
    timestamp: str
    nonce: str
    signature: str
    sent_s: int


class Addressed(NamedTuple):
    """What a request is besides its body. ``target``: path and query as they came; ``kind``: of the body."""

    origin: str
    method: str
    target: str
    kind: str


def headers_of(given: Mapping[str, Sequence[str]]) -> Headers | None:
    """The headers of a signed request, by lower-case name; None where there is none of them.

    Raises Rejected ``signature_incomplete``, ``signature_malformed``.
    """
    if not any(given.get(name) for name in HEADERS):
        return None
    for name, grammar in _GRAMMAR.items():
        values = given.get(name, ())
        if not values:
            raise Rejected(
                "signature_incomplete", f"a signed request needs the header {name}", field=name, remedy=_SEND_ALL
            )
        if len(values) != 1 or not grammar.fullmatch(values[0]):
            raise _malformed(name)
    key, timestamp, nonce, signature = (given[name][0] for name in HEADERS)
    try:
        sent_s = instant_of(timestamp) // 1_000_000
    except ValueError:
        raise _malformed(TIMESTAMP) from None
    return Headers(key, timestamp, nonce, signature, sent_s)


def refuse_stale(headers: Headers, now_s: int) -> None:
    """Raises Rejected ``request_late``, ``request_early``."""
    behind_s = now_s - headers.sent_s
    if behind_s > WINDOW_S:
        raise Rejected(
            "request_late",
            f"it says that it was sent {behind_s} s ago",
            field=TIMESTAMP,
            remedy=f"sign it again when it is sent; it counts for {WINDOW_S} s. Is the clock right?",
        )
    if behind_s < -WINDOW_S:
        raise Rejected(
            "request_early",
            f"it says that it will be sent in {-behind_s} s",
            field=TIMESTAMP,
            remedy="set the clock of the machine that signs",
        )


def signing_key(partners: Partners, key: str) -> PartnerKey:
    """The key that a request names. Raises Rejected ``signature_key_unknown``, ``partner_key_revoked``."""
    found = partners.keys.get(key)
    if found is None:
        raise Rejected(
            "signature_key_unknown",
            "no partner has this key",
            field=KEY,
            remedy="have it registered and approved: `carbon-ledger partner register`, `partner add-key`",
        )
    if found.state != "active":
        raise key_revoked()
    return found


def key_revoked() -> Rejected:
    """The key was a partner's."""
    return Rejected(
        "partner_key_revoked", "this key was revoked", field=KEY, remedy="sign with another key of yours that is active"
    )


def signature_wrong() -> Rejected:
    """The signature is not over what arrived; by which of its parts, nobody can tell."""
    return Rejected(
        "signature_wrong",
        "the signature is not this key's over what arrived here",
        field=SIGNATURE,
        remedy="sign exactly what is sent, as docs/spec/partner-api.md says, for the origin of this ledger",
    )


def replayed() -> Rejected:
    """The same request came before."""
    return Rejected(
        "request_replayed",
        "a request with this nonce was taken before",
        field=NONCE,
        remedy="to send it again, sign it with a new time and a new nonce: what was recorded is answered as duplicate",
    )


def request_text(where: Addressed, body: bytes, timestamp: str, nonce: str, key: str) -> bytes:
    """What a partner signs."""
    return text("partner-request", *where, sm3_hex(body), timestamp, nonce, key)


def kept_text(origin: str, request: ReceivedRequest) -> bytes:
    """What the partner of a kept request signed, made again. It must be a signed one."""
    signed = request.signed
    assert signed is not None
    kind, body = (SEALED, signed.sealed) if signed.sealed else (PLAIN, request.body)
    where = Addressed(origin, request.method, request.path, kind)
    return request_text(where, body.encode(), signed.timestamp, signed.nonce, signed.key)


def seal_aad(where: Addressed, headers: Headers, to: str) -> bytes:
    """What a sealed body is bound to."""
    bound = (where.origin, where.method, where.target, headers.timestamp, headers.nonce, headers.key)
    return text("partner-sealed-request", *bound, to)


def answer_aad(origin: str, headers: Headers) -> bytes:
    """What a sealed answer is bound to."""
    return text("partner-sealed-answer", origin, headers.nonce, headers.key)


def service_key_text(origin: str, purpose: str, public_key: bytes) -> bytes:
    """What the log's key signs of a key of the service."""
    return text("service-key", origin, purpose, public_key.hex())


class Acknowledged(NamedTuple):
    """What a receipt says. ``request``: SM3 of what the partner signed; ``leaf``: of the event at ``intake``.

    ``outcomes``: as ``outcomes_digest``. All digests in hex.
    """

    partner: str
    request: str
    received_at: str
    intake: int
    line: int
    digest: str
    position: int
    leaf: str
    outcomes: str


def receipt_text(origin: str, receipt: Acknowledged) -> bytes:
    """What the ledger signs when it has recorded a request."""
    return text("partner-receipt", origin, *map(str, receipt))


def outcomes_digest(lines: Iterable[str]) -> str:
    """SM3 over what became of each item: ``credited POSITION MG``, ``duplicate POSITION MG``, ``refused CODE`` ..."""
    return sm3_hex("".join(f"{line}\n" for line in lines).encode())


def text(purpose: str, *parts: str) -> bytes:
    """Parts as lines, with their purpose in front. No part holds a line end: each was checked, or is ours."""
    if any("\n" in part for part in parts):
        raise ValueError("a part of what is signed has a line end")
    return signed_bytes(purpose, "".join(f"{part}\n" for part in parts).encode())


_SEND_ALL: Final = f"send all of {', '.join(HEADERS)}, or none of them"


def _malformed(name: str) -> Rejected:
    return Rejected(
        "signature_malformed",
        f"the header {name} is not as it must be",
        field=name,
        remedy="send it once, spelled as docs/spec/partner-api.md says",
    )
