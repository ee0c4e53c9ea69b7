"""SM2 (GB/T 32918) on the wire: public keys, signatures, PEM and DER, and the digest that is signed.

Keeps: every thing has one accepted encoding; a public key is a point of the curve before anybody computes with it;
the user id is always 1234567812345678. Needs Python's library and the digest only, so that it can live inside the
offline verifier. Leaves to the adapters: the arithmetic.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from domain.audit.note import signature_der
from domain.digest import Sm3, new_sm3, sm3_hex
from domain.errors import Rejected

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
USER_ID = b"1234567812345678"
PUBLIC_BYTES = SIGNATURE_BYTES = 64

# SubjectPublicKeyInfo: id-ecPublicKey on curve 1.2.156.10197.1.301, then the point, uncompressed.
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*")


def check_public_key(key: bytes) -> bytes:
    """The 64 bytes of a public key given as 64 bytes, or as 65 with 04 in front.

    Raises Rejected ``public_key_malformed``: another length, a coordinate of p or more, not on the curve.
    """
    if len(key) == PUBLIC_BYTES + 1 and key[0] == 4:
        key = key[1:]
    if len(key) != PUBLIC_BYTES:
        raise _malformed("an SM2 public key has 64 bytes, or 65 with 04 in front")
    x, y = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    if x >= P or y >= P or (y * y - (x * x * x + A * x + B)) % P:
        raise _malformed("the point is not on the curve of SM2")
    return bytes(key)


def key_id(public_key: bytes) -> str:
    """The name of a key: the first 32 hex digits of SM3 over its 64 bytes."""
    return sm3_hex(public_key)[:32]


def signature_numbers(signature: bytes) -> tuple[int, int] | None:
    """r and s; None unless there are 64 bytes with 0 < r, s < n and r + s not n."""
    if len(signature) != SIGNATURE_BYTES:
        return None
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return (r, s) if 0 < r < N and 0 < s < N and r + s != N else None


def message_digest(public_key: bytes, message: bytes) -> bytes:
    """e = SM3(ZA, message), which is what SM2 signs."""
    state = _za(bytes(public_key)).copy()
    state.update(message)
    return state.digest()


def za(public_key: bytes) -> bytes:
    """ZA of a key under the user id (GB/T 32918.2, 5.5)."""
    curve = b"".join(number.to_bytes(32, "big") for number in (A, B, *G))
    bits = (len(USER_ID) * 8).to_bytes(2, "big")
    return new_sm3(bits + USER_ID + curve + public_key).digest()


@lru_cache(maxsize=1024)
def _za(public_key: bytes) -> Sm3:
    return new_sm3(za(public_key))


def signature_to_der(signature: bytes) -> bytes:
    """SEQUENCE of two INTEGERs, as openssl reads it. Raises Rejected ``signature_malformed``."""
    if signature_numbers(signature) is None:
        raise Rejected(
            "signature_malformed", "r or s is out of range", remedy="give the 64 bytes r, s as they were made"
        )
    return signature_der(signature)


def signature_from_der(der: bytes) -> bytes:
    """The 64 bytes of a DER signature; only the one shortest encoding. Raises Rejected ``signature_malformed``."""
    numbers, rest = [], der[2:]
    for _ in range(2):
        length = rest[1] if len(rest) > 1 else 0
        numbers.append(int.from_bytes(rest[2 : 2 + length], "big"))
        rest = rest[2 + length :]
    if all(number < N for number in numbers):
        raw = b"".join(number.to_bytes(32, "big") for number in numbers)
        # Whatever is odd about the encoding (tags, lengths, signs, leading zeros, what follows) shows here.
        if signature_numbers(raw) is not None and signature_to_der(raw) == der:
            return raw
    raise Rejected(
        "signature_malformed", "not the DER encoding of an SM2 signature", remedy="take it as openssl wrote it"
    )


def public_key_to_pem(public_key: bytes) -> str:
    """SubjectPublicKeyInfo as PEM, as openssl reads it."""
    text = base64.b64encode(_SPKI + check_public_key(public_key)).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(("-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""))


def public_key_from_pem(pem: str) -> bytes:
    """The 64 bytes of a PEM public key. Raises Rejected ``public_key_malformed``."""
    found = _PEM.fullmatch(pem)
    if found is None:
        raise _malformed("not a PEM file with exactly one PUBLIC KEY")
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True)
    except binascii.Error as error:
        raise _malformed("the PEM file is not base64") from error
    if der[: len(_SPKI)] != _SPKI:
        raise _malformed("not an SM2 public key (curve 1.2.156.10197.1.301, uncompressed)")
    return check_public_key(der[len(_SPKI) :])


def _malformed(message: str) -> Rejected:
    return Rejected(
        "public_key_malformed",
        message,
        remedy="take a public key: what `keys show --public` wrote for a log, `witness show --public` for a witness, "
        "the .pem file of `transport-key new` for a recipient",
    )
