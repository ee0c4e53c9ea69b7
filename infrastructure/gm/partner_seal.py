"""Bodies that partners seal to the ledger, and the answers to them: docs/spec/partner-api.md, Sealed bodies.

Keeps: exactly one spelling of the JSON's members; nothing leaves that was not authentic for this request; an answer is
sealed under the key that its request brought, bound to it by other additional data.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from application.ports.key_unwrap import KeyUnwrap
from domain.errors import Corrupt, LedgerError, Rejected
from domain.partner_protocol import SEALED, Addressed, Headers, seal_aad
from domain.requests import ReceivedRequest
from infrastructure.gm.sm2 import wrap_for
from infrastructure.gm.sm2_format import key_id
from infrastructure.gm.sm4 import KEY_BYTES, NONCE_BYTES, TAG_BYTES, SM4Key, new_key, open_with, seal_with

Aad = Callable[[str], bytes]
"""The additional data, by the id of the key that a body is sealed to."""


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    key: str
    nonce: str
    sealed: str


class _Sealed(msgspec.Struct, forbid_unknown_fields=True):
    nonce: str
    sealed: str


class Opened(NamedTuple):
    """``body``: what was sealed; ``content_key``: under which key, 16 bytes, which also seals the answer."""

    body: bytes
    content_key: bytes


def open_body(body: bytes, keys: Sequence[KeyUnwrap], aad: Aad) -> Opened:
    """What a partner sealed to one of these keys.

    Raises Rejected ``sealed_malformed``, ``sealed_for_another``, ``key_wrap_broken``, ``seal_broken``.
    """
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _malformed("it is no object with to, key, nonce and sealed alone") from None
    wrapped, nonce, sealed = _bytes(read.key, "key"), _bytes(read.nonce, "nonce"), _bytes(read.sealed, "sealed")
    if len(nonce) != NONCE_BYTES or len(sealed) < TAG_BYTES:
        raise _malformed("nonce or sealed has another length")
    key = next((each for each in keys if key_id(each.public_key) == read.to), None)
    if key is None:
        raise Rejected(
            "sealed_for_another",
            "it is sealed to a key that this ledger does not have",
            field="to",
            remedy="GET /v1/partner-protocol, check the certificate, and seal to the first key of the purpose `seal`",
        )
    content_key = key.unwrap(wrapped)
    if len(content_key) != KEY_BYTES:
        raise _malformed(f"an SM4 key has {KEY_BYTES} bytes")
    try:
        return Opened(open_with(SM4Key(content_key, 0), nonce, sealed, aad(read.to)), content_key)
    except Corrupt:
        raise Rejected(
            "seal_broken",
            "the body does not open: it was changed, or sealed for another request",
            field="sealed",
            remedy="seal it for this very request, and sign it then",
        ) from None


def seal_body(public_key: bytes, body: bytes, aad: Aad) -> tuple[bytes, bytes]:
    """As a partner does it: the JSON to send, and the content key."""
    content, to = new_key(0), key_id(public_key)
    nonce = secrets.token_bytes(NONCE_BYTES)
    wrapped, sealed = wrap_for(public_key, content.exposed()), seal_with(content, nonce, body, aad(to))
    return msgspec.json.encode(_Body(to, _text(wrapped), _text(nonce), _text(sealed))), content.exposed()


def seal_answer(content_key: bytes, answer: bytes, aad: bytes) -> bytes:
    """The answer to a sealed request."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = seal_with(SM4Key(content_key, 0), nonce, answer, aad)
    return msgspec.json.encode(_Sealed(_text(nonce), _text(sealed)))


def open_answer(content_key: bytes, answer: bytes, aad: bytes) -> bytes:
    """As a partner does it. Raises Corrupt ``seal_broken``."""
    read = msgspec.json.decode(answer, type=_Sealed)
    return open_with(SM4Key(content_key, 0), base64.b64decode(read.nonce), base64.b64decode(read.sealed), aad)


def kept_body(origin: str, request: ReceivedRequest) -> bytes | None:
    """What was sealed in a kept request; None where it does not open by the content key that is kept with it."""
    signed = request.signed
    assert signed is not None
    headers = Headers(signed.key, signed.timestamp, signed.nonce, "", 0)
    where = Addressed(origin, request.method, request.path, SEALED)
    try:
        read = msgspec.json.decode(signed.sealed, type=_Body)
        key = SM4Key(bytes.fromhex(signed.content_key), 0)
        aad = seal_aad(where, headers, read.to)
        return open_with(key, _bytes(read.nonce, "nonce"), _bytes(read.sealed, "sealed"), aad)
    except (msgspec.MsgspecError, LedgerError, ValueError):
        return None


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str, name: str) -> bytes:
    """Base64 in its one spelling."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not found or _text(found) != text:
        raise _malformed(f"{name} is not base64")
    return found


def _malformed(why: str) -> Rejected:
    return Rejected(
        "sealed_malformed",
        f"the body is not sealed as it must be: {why}",
        field="body",
        remedy="seal it as docs/spec/partner-api.md says",
    )
