"""The example and the vectors of docs/spec/partner-api.md, made by the code that the document describes.

Keeps: what is random (signatures, the content key, what SM2 draws to wrap it, nonces) was drawn once and stands here.
One key of the standard's example plays the partner, the log and the service.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from domain.digest import sm3_hex
from domain.partner_protocol import (
    PLAIN,
    SEALED,
    Acknowledged,
    Addressed,
    Headers,
    answer_aad,
    outcomes_digest,
    receipt_text,
    request_text,
    seal_aad,
    service_key_text,
)
from infrastructure.gm import vectors
from infrastructure.gm.sm2_format import key_id
from infrastructure.gm.sm4 import SM4Key, seal_with
from tests.unit.gm.transport_vectors import OWN_KEY, WRAPPED

ORIGIN = "carbon-ledger/00112233445566778899aabbccddeeff"
BODY = (
    b'{"source_ref":"ride-77","account_ref":"ann-01","behavior":"travel.metro",'
    b'"occurred_at":"2026-03-01T08:15:00+08:00","quantity":"12.350","unit":"km","region":"CN-440300"}'
)
PUBLIC, KEY = vectors.SM2_PUBLIC, key_id(vectors.SM2_PUBLIC)
HEADERS = Headers(KEY, "2026-03-01T00:15:02Z", "9f1c2e7a4b5d60718293a4b5c6d7e8f9", "", 1_772_324_102)
PLACE, SEALED_PLACE = (Addressed(ORIGIN, "POST", "/v1/behaviors", kind) for kind in (PLAIN, SEALED))
NONCE, ANSWER_NONCE = bytes(range(12)), bytes(range(12, 24))
OUTCOMES = ["credited 54 889200", "duplicate 31 889200", "duplicate", "refused malformed"]
ANSWER = b'{"intake":53}'
SIGNATURES = {
    "request": "MEQCIH0CghDPqR2nV2SGgy3x72B6AsiFt92mCz4Jc0pfqOggAiBRxL6cFi4QWd7nG9zv4aGAjRbDKaALsex0suou0dBx9g==",
    "sealed": "MEUCIQDjWn7QY2ft436g16b5VDuVhGFoRaMNh56U37Gk3YjsXAIgQIiFdtkorwSfagZQjdtFpf2861qC/vfSRFpqFFCLnVE=",
    "service_key": "MEQCIF6WwKsuTTIzyY+IsWEyFPZchqaP2QfqW79ayw/FHCElAiBLSPS9y9EbxF9/h4xkQgFe+mprku0eJG7IpgZgTIHPDw==",
    "receipt": "MEYCIQDdKTaYJo9132F5Xcg5D8mFeTYTUEv5b9yK19eS6WIsagIhAJMUHY4Hd2VSYNVo1TUMLH6PJeD41e+rP3OlF2112uJv",
}
"""Base64 of DER, by what is signed."""


def example() -> str:
    return signed()["request"].decode().replace("\0", "<00>")


def sealed_body() -> bytes:
    sealed = seal_with(SM4Key(OWN_KEY, 0), NONCE, BODY, seal_aad(SEALED_PLACE, HEADERS, KEY))
    told = {"to": KEY, "key": _text(WRAPPED), "nonce": _text(NONCE), "sealed": _text(sealed)}
    return json.dumps(told, separators=(",", ":")).encode()


def sealed_answer() -> bytes:
    sealed = seal_with(SM4Key(OWN_KEY, 0), ANSWER_NONCE, ANSWER, answer_aad(ORIGIN, HEADERS))
    return json.dumps({"nonce": _text(ANSWER_NONCE), "sealed": _text(sealed)}, separators=(",", ":")).encode()


def signed() -> dict[str, bytes]:
    """What is signed, by what it is."""
    named = (HEADERS.timestamp, HEADERS.nonce, HEADERS.key)
    request = request_text(PLACE, BODY, *named)
    said = Acknowledged(
        partner="metro",
        request=sm3_hex(request),
        received_at="2026-03-01T00:15:03Z",
        intake=53,
        line=1,
        digest=sm3_hex(b"the document of the intake"),
        position=55,
        leaf=sm3_hex(b"the leaf of the intake"),
        outcomes=outcomes_digest(OUTCOMES),
    )
    return {
        "request": request,
        "sealed": request_text(SEALED_PLACE, sealed_body(), *named),
        "service_key": service_key_text(ORIGIN, "receipt", PUBLIC),
        "receipt": receipt_text(ORIGIN, said),
    }


def vector_text() -> str:
    told: dict[str, Any] = {
        "private_key": vectors.SM2_PRIVATE.hex(),
        "public_key": PUBLIC.hex(),
        "key": KEY,
        "signed": [
            {
                "what": what,
                "text": text.decode().replace("\0", "<00>"),
                "sm3": sm3_hex(text),
                "signature": SIGNATURES[what],
            }
            for what, text in signed().items()
        ],
        "body": BODY.decode(),
        "outcomes": {"lines": OUTCOMES, "sm3": outcomes_digest(OUTCOMES)},
        "sealed": {
            "content_key": OWN_KEY.hex(),
            "additional_data": seal_aad(SEALED_PLACE, HEADERS, KEY).decode().replace("\0", "<00>"),
            "body": sealed_body().decode(),
            "answer_additional_data": answer_aad(ORIGIN, HEADERS).decode().replace("\0", "<00>"),
            "answer": sealed_answer().decode(),
            "answer_inside": ANSWER.decode(),
        },
    }
    return json.dumps(told, indent=1, ensure_ascii=False)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
