"""SM2, SM3 and SM4-GCM, by ``gmssl-pyx``.

Keeps: a public key is a point of the curve before it is used; a signature has one spelling and is verified before it
leaves, since a fault while signing could reveal the key; what the library lets through (r = e) is refused here.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from pathlib import Path

import gmssl_pyx

from carbon_ledger_sdk.errors import Misused, untrusted

_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_A = _P - 3
_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
_GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0
_USER_ID = b"1234567812345678"
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
# PKCS #8 of an SM2 key as `openssl genpkey -algorithm SM2` writes it: private number, then the point.
_PKCS8 = bytes.fromhex("308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420")
_POINT = bytes.fromhex("a14403420004")
_PEM = re.compile(r"-----BEGIN ((?:PRIVATE|PUBLIC) KEY)-----\s+([A-Za-z0-9+/=\s]+)-----END \1-----\s*")
_TAG_BYTES = 16


def sm3(content: bytes) -> bytes:
    """32 bytes."""
    digest: bytes = gmssl_pyx.sm3_hash(content)
    return digest


def key_id(public_key: bytes) -> str:
    """The first 32 hex digits of SM3 over the 64 bytes x, y."""
    return sm3(public_key).hex()[:32]


def public_key_of(text: str | bytes) -> bytes:
    """The 64 bytes x, y of a PEM text, or of the bytes themselves. Raises Misused ``public_key_malformed``."""
    if isinstance(text, str):
        der = _der(text, "PUBLIC KEY", "public_key_malformed")
        key = der.removeprefix(_SPKI) if der.startswith(_SPKI) else b""
    else:
        key = text
    x, y = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    if len(key) != 64 or max(x, y) >= _P or (y * y - (x * x * x + _A * x + _B)) % _P:
        raise Misused("public_key_malformed", "not an SM2 public key", remedy="give the PEM of `keys show --public`")
    return bytes(key)


class PartnerKey:
    """A partner's SM2 key pair. It shows its public half, never the private one."""

    def __init__(self, private: bytes, public_key: bytes) -> None:
        """Raises Misused ``partner_key_malformed``: the halves do not belong together."""
        self.public_key = public_key_of(public_key)
        self.id = key_id(self.public_key)
        self._private = bytes(private)
        if len(private) != 32 or not 0 < int.from_bytes(private, "big") < _N - 1:
            raise _malformed()
        self.sign(secrets.token_bytes(16))

    def __repr__(self) -> str:
        return f"PartnerKey({self.id})"

    @classmethod
    def from_pem(cls, pem: str) -> PartnerKey:
        """From PKCS #8, as ``openssl genpkey -algorithm SM2`` writes it. Raises Misused ``partner_key_malformed``."""
        der = _der(pem, "PRIVATE KEY", "partner_key_malformed")
        start = len(_PKCS8)
        if len(der) != start + 32 + len(_POINT) + 64 or der[:start] != _PKCS8 or der[start + 32 : -64] != _POINT:
            raise _malformed()
        return cls(der[start : start + 32], der[-64:])

    @classmethod
    def from_file(cls, path: str | Path) -> PartnerKey:
        """From a PEM file. Raises Misused ``partner_key_malformed``, OSError."""
        return cls.from_pem(Path(path).read_text("ascii"))

    def sign(self, message: bytes) -> str:
        """Base64 of the DER signature over ``message``."""
        der: bytes = gmssl_pyx.sm2_sign_sm3_digest(self._private, _digest(self.public_key, message))
        signature = base64.b64encode(der).decode()
        if not verifies(self.public_key, message, signature):
            raise _malformed()
        return signature


def verifies(public_key: bytes, message: bytes, signature: str) -> bool:
    """Whether ``signature`` (base64 of DER, in its one spelling) is this key's over ``message``."""
    try:
        der = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    digest = _digest(public_key, message)
    numbers = _numbers(der)
    # gmssl-pyx 2.1.0 takes the point at infinity for one with x = 0: r = e would pass there and nowhere else.
    if numbers is None or base64.b64encode(der).decode() != signature or numbers[0] == int.from_bytes(digest) % _N:
        return False
    try:
        return gmssl_pyx.sm2_verify_sm3_digest(public_key, digest, der) is True
    except gmssl_pyx.GmsslInnerError:
        return False


def _numbers(der: bytes) -> tuple[int, int] | None:
    """r and s of the one shortest DER; None for everything else."""
    numbers, rest = [], der[2:]
    for _ in range(2):
        length = rest[1] if len(rest) > 1 else 0
        numbers.append(int.from_bytes(rest[2 : 2 + length], "big"))
        rest = rest[2 + length :]
    r, s = numbers
    if not (0 < r < _N and 0 < s < _N and r + s != _N):
        return None
    body = b"".join(b"\x02" + bytes([n.bit_length() // 8 + 1]) + n.to_bytes(n.bit_length() // 8 + 1) for n in numbers)
    return (r, s) if der == b"\x30" + bytes([len(body)]) + body else None


def _digest(public_key: bytes, message: bytes) -> bytes:
    """e = SM3(ZA, message); GB/T 32918.2, 5.5."""
    curve = b"".join(number.to_bytes(32, "big") for number in (_A, _B, _GX, _GY))
    return sm3(sm3((len(_USER_ID) * 8).to_bytes(2, "big") + _USER_ID + curve + public_key) + message)


def wrap(public_key: bytes, secret: bytes) -> bytes:
    """DER C1, C3, C2 (GM/T 0009), readable by the owner of the key alone."""
    wrapped: bytes = gmssl_pyx.sm2_encrypt(public_key, secret)
    return wrapped


def seal(key: bytes, nonce: bytes, content: bytes, aad: bytes) -> bytes:
    """SM4-GCM: ciphertext and tag. A nonce once for each key."""
    ciphertext, tag = gmssl_pyx.sm4_gcm_encrypt(key, nonce, aad, content)
    return bytes(ciphertext) + bytes(tag)


def unseal(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What ``seal`` sealed. Raises Untrusted ``seal_broken``."""
    try:
        content: bytes = gmssl_pyx.sm4_gcm_decrypt(key, nonce, aad, sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:])
    except (gmssl_pyx.GmsslInnerError, gmssl_pyx.InvalidValueError, ValueError):
        raise untrusted("seal_broken", "the sealed answer does not open") from None
    return content


def _der(pem: str, kind: str, code: str) -> bytes:
    found = _PEM.fullmatch(pem.strip() + "\n")
    try:
        return base64.b64decode("".join(found[2].split()), validate=True) if found and found[1] == kind else b""
    except binascii.Error:
        raise Misused(code, "the PEM file is not base64") from None


def _malformed() -> Misused:
    return Misused(
        "partner_key_malformed",
        "not an SM2 key pair",
        remedy="give what `openssl genpkey -algorithm SM2` wrote, without a passphrase",
    )
