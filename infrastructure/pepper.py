"""The pepper: the secret under which references and account names are hashed before they are stored.

Keeps (DESIGN 3, Idempotency): never rotated, since taken references must stay taken; 32 random bytes in a file only
its owner can read; never printed. ``check`` tells a wrong pepper from the right one and nothing about either.
Leaves to the key store (issue: provable): wrapping it under a key-encryption key.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path
from uuid import UUID

from domain.errors import Unavailable

_BLOCK = 64


class Pepper:
    """HMAC-SM3 (RFC 2104) under the pepper, with both key pads absorbed once; 128 bits of it serve as a key."""

    def __init__(self, secret: bytes) -> None:
        padded = secret.ljust(_BLOCK, b"\0")
        self._inner = hashlib.new("sm3", bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.new("sm3", bytes(b ^ 0x5C for b in padded))
        self._partners: dict[str, hashlib._Hash] = {}
        self._account = self._domain("account")

    def ref(self, partner: str, source_ref: str) -> UUID:
        """Key of a partner's reference."""
        state = self._partners.get(partner)
        if state is None:
            state = self._partners[partner] = self._domain(f"ref\0{partner}")
        return self._finish(state, source_ref)

    def account(self, account_ref: str) -> UUID:
        """Key of an account reference."""
        return self._finish(self._account, account_ref)

    def check(self) -> str:
        """A public check value of the pepper."""
        return self._finish(self._domain("check"), "").hex

    def _domain(self, name: str) -> hashlib._Hash:
        # Domain separation: a name of a partner can never collide with one of an account.
        state = self._inner.copy()
        state.update(f"{len(name)}\0{name}\0".encode())
        return state

    def _finish(self, state: hashlib._Hash, text: str) -> UUID:
        inner = state.copy()
        inner.update(text.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return UUID(bytes=outer.digest()[:16])


def create_pepper(path: Path) -> Pepper:
    """A new pepper in a new file, mode 0600, durable before it is used."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = secrets.token_bytes(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return Pepper(secret)


def load_pepper(path: Path) -> Pepper:
    """The pepper of a home. Raises Unavailable ``pepper_missing``, ``pepper_exposed``, ``pepper_damaged``."""
    try:
        mode = path.stat().st_mode
        secret = path.read_bytes()
    except OSError as error:
        raise Unavailable(
            "pepper_missing",
            f"cannot read {path}: {error.strerror}",
            remedy="run `init` for a new home, or put back the key file of this book from its backup",
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise Unavailable("pepper_exposed", f"{path} can be read by others", remedy=f"chmod 600 {path}")
    if len(secret) != 32:
        raise Unavailable("pepper_damaged", f"{path} does not hold 32 bytes", remedy="restore it from its backup")
    return Pepper(secret)
