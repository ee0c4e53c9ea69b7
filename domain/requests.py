"""Requests as they were received: what is kept of them as evidence, and what a partner signs.

Keeps: the body stands in the record as it came, character by character, so that the signature over its SM3 can be
checked again whenever somebody asks; requests that share a commit are the lines of one document, whose SM3 names the
intake. A document is read back to exactly these requests, or refused.
Source: DESIGN 3, Intake; ``docs/formats.md``, Received requests.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from domain.errors import Corrupt

MEDIA = "requests"
"""What an intake of such a document says it received."""
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_ITEMS = 10_000


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A partner's signature. ``key``: its id; ``timestamp``: RFC 3339; ``signature``: r and s, 64 bytes in hex.

    ``sealed``: the body as it was sent, where that was sealed; ``content_key``: what opens it, in hex.
    """

    key: str
    timestamp: str
    nonce: str
    signature: str
    sealed: str = ""
    content_key: str = ""


class ReceivedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One request. ``id``: the service's own, unique, so that no two requests are the same bytes.

    ``by``: whom the service took the sender for. ``signed``: None where the sender was known by its login alone.
    """

    id: str
    received_at: str
    by: str
    method: str
    path: str
    body: str
    signed: Signed | None = None


def document(requests: Iterable[ReceivedRequest]) -> bytes:
    """Requests as the bytes to keep: a line of JSON each, in the order of their rows."""
    return b"".join(msgspec.json.encode(request) + b"\n" for request in requests)


def request_of(line: bytes) -> ReceivedRequest:
    """One line of a document. Raises Corrupt ``request_malformed``."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(
            "request_malformed", f"no request as the service keeps it: {error}", remedy="compare it with a backup"
        ) from error


_decoder = msgspec.json.Decoder(ReceivedRequest)
