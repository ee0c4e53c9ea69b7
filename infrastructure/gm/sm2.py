"""SM2 of the service, by ``gmssl-pyx`` (C): keys, signatures, key wrap.

Keeps: keys and signatures are checked here before C sees them; the nonce of a signature comes from the C library's
system random source; a signature is verified before it leaves; private keys are never shown. What the C library
prints to stderr for every bad signature does not reach the log.
"""

from __future__ import annotations

import ctypes
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gmssl_pyx

from domain.errors import Rejected, Unavailable
from infrastructure.gm.sm2_format import (
    N,
    check_public_key,
    key_id,
    message_digest,
    signature_from_der,
    signature_numbers,
    signature_to_der,
)

PRIVATE_BYTES = 32
MAX_WRAPPED_BYTES = 255


class Sm2Key:
    """A key pair: signer and key unwrap (ports ``signer`` and ``key_unwrap``)."""

    __slots__ = ("_private", "key_id", "public_key")

    def __init__(self, private: bytes, public_key: bytes) -> None:
        """Raises Rejected ``public_key_malformed``, Unavailable ``signing_key_damaged``."""
        self.public_key = check_public_key(public_key)
        self.key_id = key_id(self.public_key)
        self._private = bytes(private)
        # Both halves are stored; that they belong together is tried rather than computed in variable time.
        if len(private) != PRIVATE_BYTES or not 0 < int.from_bytes(private, "big") < N - 1:
            raise _damaged(self.key_id)
        self.sign(secrets.token_bytes(16))

    def __repr__(self) -> str:
        return f"Sm2Key({self.key_id})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is not passed on")

    def exposed(self) -> bytes:
        """The private half, to be sealed. Never for messages."""
        return self._private

    def sign(self, message: bytes) -> bytes:
        """64 bytes r, s over the message. Raises Unavailable ``signing_key_damaged``."""
        with _quiet():
            der = gmssl_pyx.sm2_sign_sm3_digest(self._private, message_digest(self.public_key, message))
        signature = signature_from_der(der)
        # A fault while signing could reveal the key, and a wrong signature in the log could not be taken back.
        if not PyxVerifier().verify(self.public_key, message, signature):
            raise _damaged(self.key_id)
        return signature

    def unwrap(self, wrapped: bytes) -> bytes:
        """What was wrapped for this key. Raises Rejected ``key_wrap_broken``."""
        try:
            with _quiet():
                secret: bytes = gmssl_pyx.sm2_decrypt(self._private, wrapped)
        except gmssl_pyx.GmsslInnerError:
            raise Rejected(
                "key_wrap_broken",
                "the wrapped key was changed, or is for another recipient",
                remedy="ask for it again, sealed to the public key that `keys show --public` prints",
            ) from None
        return secret


def new_sm2_key() -> Sm2Key:
    """A fresh key pair."""
    while True:
        public_key, private = gmssl_pyx.sm2_key_generate()
        if 0 < int.from_bytes(private, "big") < N - 1:
            return Sm2Key(private, public_key)


def wrap_for(public_key: bytes, secret: bytes) -> bytes:
    """A key of 1 to 255 bytes, readable by the owner of the public key alone (DER C1, C3, C2; GM/T 0009)."""
    if not 0 < len(secret) <= MAX_WRAPPED_BYTES:
        raise ValueError(f"1 to {MAX_WRAPPED_BYTES} bytes can be wrapped")
    with _quiet():
        wrapped: bytes = gmssl_pyx.sm2_encrypt(check_public_key(public_key), secret)
    return wrapped


class PyxVerifier:
    """Port ``application.ports.verifier``."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the message; False for everything else."""
        numbers = signature_numbers(signature)
        if numbers is None:
            return False
        try:
            public_key = check_public_key(public_key)
            digest = message_digest(public_key, message)
            # gmssl-pyx 2.1.0 takes the point at infinity for one with x = 0, so the owner of a key could make r = e
            # pass here and nowhere else. Any honest r = e would need the logarithm of the point with x = 0.
            if numbers[0] == int.from_bytes(digest, "big") % N:
                return False
            with _quiet():
                verified = gmssl_pyx.sm2_verify_sm3_digest(public_key, digest, signature_to_der(signature))
        except (Rejected, gmssl_pyx.GmsslInnerError):
            return False
        return verified is True


def _damaged(name: str) -> Unavailable:
    return Unavailable(
        "signing_key_damaged",
        f"the private half of key {name} does not belong to its public half",
        remedy="restore the key files of this book from their backup",
    )


class _CStderr:
    """C's own ``stderr``, which can point to nothing while a C function runs.

    Python writes to the file descriptor and does not notice; only C libraries of other threads could lose a line.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._place, self._nothing = self._find()

    @staticmethod
    def _find() -> tuple[Any, Any]:
        process = ctypes.CDLL(None)
        process.fopen.restype = ctypes.c_void_p
        for name in ("stderr", "__stderrp"):  # glibc and musl, macOS
            try:
                return ctypes.c_void_p.in_dll(process, name), process.fopen(b"/dev/null", b"w")
            except ValueError:
                continue
        return None, None

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing of what C prints to stderr inside is seen."""
        if self._place is None or self._nothing is None:
            yield
            return
        with self._lock:
            before = self._place.value
            self._place.value = self._nothing
            try:
                yield
            finally:
                self._place.value = before


_quiet = _CStderr().quiet
