"""Sealing with SM4-GCM (GB/T 32907, RFC 8998): whoever lacks the key reads nothing and changes nothing.

Keeps: record = format(1) | key version(4, big-endian) | nonce(12, random) | ciphertext | tag(16); format and key
version are authenticated with the caller's AAD; plaintext leaves only after the tag was checked; keys are never shown.
Leaves to the caller: what the AAD binds (``aad_of``), and fewer than 2^32 records under one key.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from domain.errors import Corrupt

FORMAT = 1
KEY_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
_HEADER_BYTES = 5
OVERHEAD_BYTES = _HEADER_BYTES + NONCE_BYTES + TAG_BYTES
"""How much longer a record is than what it seals."""


class SM4Key:
    """A key of 16 bytes and the version it is known under. Making the cipher object is dear, so it is kept."""

    __slots__ = ("_algorithm", "_header", "_key", "version")

    def __init__(self, key: bytes, version: int) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"an SM4 key has {KEY_BYTES} bytes")
        self.version = version
        self._key = bytes(key)
        self._algorithm = algorithms.SM4(self._key)
        self._header = bytes([FORMAT]) + version.to_bytes(4, "big")

    def __repr__(self) -> str:
        return f"SM4Key(version={self.version})"

    def __reduce__(self) -> tuple[object, ...]:
        # A key that can be pickled ends up in a message or a file some day.
        raise TypeError("a key is not passed on")

    def exposed(self) -> bytes:
        """The key itself, to be sealed under another one. Never for messages."""
        return self._key


def new_key(version: int) -> SM4Key:
    """A fresh random key."""
    return SM4Key(secrets.token_bytes(KEY_BYTES), version)


def aad_of(*parts: bytes) -> bytes:
    """Parts as one byte string that no other parts give: each is preceded by its length (4 bytes, big-endian)."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def fresh_nonces(count: int) -> list[bytes]:
    """Random nonces for ``count`` records, each to be used once.

    One call for many: asking the system lets go of the interpreter, and another thread then has it for a whole turn.
    """
    drawn = secrets.token_bytes(NONCE_BYTES * count)
    return [drawn[start : start + NONCE_BYTES] for start in range(0, len(drawn), NONCE_BYTES)]


def seal(key: SM4Key, plaintext: bytes, aad: bytes, nonce: bytes | None = None) -> bytes:
    """The sealed record; two of the same plaintext differ. ``nonce``: one of ``fresh_nonces``, used nowhere else."""
    nonce = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
    return b"".join((key._header, nonce, *_encrypted(key, nonce, plaintext, key._header + aad)))


def seal_with(key: SM4Key, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Ciphertext and tag alone. A nonce that is used twice under one key gives everything away: the caller counts."""
    return b"".join(_encrypted(key, nonce, plaintext, aad))


def open_with(key: SM4Key, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What ``seal_with`` sealed. Raises Corrupt ``seal_broken``."""
    return _decrypted(key, nonce, sealed[:-TAG_BYTES], sealed[-TAG_BYTES:], aad)


def _encrypted(key: SM4Key, nonce: bytes, plaintext: bytes, aad: bytes) -> tuple[bytes, bytes]:
    encryptor = Cipher(key._algorithm, modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(aad)
    sealed = encryptor.update(plaintext)
    encryptor.finalize()
    return sealed, encryptor.tag


def key_version(sealed: bytes) -> int:
    """Which version of the key a record was sealed under. Raises Corrupt ``sealed_malformed``."""
    if len(sealed) < OVERHEAD_BYTES or sealed[0] != FORMAT:
        raise Corrupt(
            "sealed_malformed",
            "not a sealed record of a known format",
            remedy="read with the release that wrote it, or restore the row from a backup",
        )
    return int.from_bytes(sealed[1:_HEADER_BYTES], "big")


def open_sealed(key: SM4Key, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext of a record.

    Raises Corrupt: ``sealed_malformed``, ``sealed_under_another_key`` (its version is not this key's),
    ``seal_broken`` (another key, other AAD, or a changed byte: which of them, nobody can tell).
    """
    version = key_version(sealed)
    if version != key.version:
        raise Corrupt(
            "sealed_under_another_key",
            f"the record is sealed under version {version} of the key, not {key.version}",
            remedy="use the key of that version; an erased one is gone for good",
        )
    body = _HEADER_BYTES + NONCE_BYTES
    nonce, tag = sealed[_HEADER_BYTES:body], sealed[-TAG_BYTES:]
    return _decrypted(key, nonce, sealed[body:-TAG_BYTES], tag, key._header + aad)


def _decrypted(key: SM4Key, nonce: bytes, sealed: bytes, tag: bytes, aad: bytes) -> bytes:
    if len(tag) < TAG_BYTES:
        raise _broken()
    decryptor = Cipher(key._algorithm, modes.GCM(nonce, tag)).decryptor()
    decryptor.authenticate_additional_data(aad)
    plaintext = decryptor.update(sealed)
    try:
        decryptor.finalize()
    except InvalidTag:
        # Without the chain: a traceback with this frame's locals must not show what was not authentic.
        del plaintext
        raise _broken() from None
    return plaintext


def _broken() -> Corrupt:
    return Corrupt(
        "seal_broken",
        "the record was changed, moved to another place, or belongs to another key",
        remedy="restore the row from a backup; keep the changed one as evidence",
    )
