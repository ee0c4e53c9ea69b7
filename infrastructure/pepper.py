"""The pepper: the secret under which references and account names are hashed before they are stored.

Keeps (DESIGN 3, Idempotency): never rotated, since taken references must stay taken; 32 random bytes in a file only
its owner can read; never printed. ``check`` tells a wrong pepper from the right one and nothing about either.
Leaves to the key store (issue: provable): wrapping it under a key-encryption key.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC

from domain.errors import Unavailable

KEY_BYTES = 16
"""128 bits of the HMAC serve as a key: collisions are out of reach, and it fits PostgreSQL's uuid type."""

_REMEMBERED_ACCOUNTS = 100_000


class Pepper:
    """HMAC-SM3 (GB/T 15852.2, RFC 2104) under the pepper; port ``application.ports.keys``."""

    def __init__(self, secret: bytes) -> None:
        self._mac = HMAC(secret, SM3())
        self._partners: dict[str, HMAC] = {}
        self._account = self._domain("account")
        self._accounts: dict[str, bytes] = {}

    def ref(self, partner: str, source_ref: str) -> bytes:
        """Key of a partner's reference."""
        state = self._partners.get(partner)
        if state is None:
            state = self._partners[partner] = self._domain(f"ref\0{partner}")
        state = state.copy()
        state.update(source_ref.encode())
        return state.finalize()[:KEY_BYTES]

    def account(self, account_ref: str) -> bytes:
        """Key of an account reference; those seen lately are remembered, since accounts come again and again."""
        key = self._accounts.get(account_ref)
        if key is None:
            if len(self._accounts) >= _REMEMBERED_ACCOUNTS:
                self._accounts.clear()
            state = self._account.copy()
            state.update(account_ref.encode())
            key = self._accounts[account_ref] = state.finalize()[:KEY_BYTES]
        return key

    def check(self) -> str:
        """A public check value of the pepper."""
        return self._domain("check").finalize()[:KEY_BYTES].hex()

    def _domain(self, name: str) -> HMAC:
        # Domain separation: a name of a partner can never collide with one of an account.
        state = self._mac.copy()
        state.update(f"{len(name)}\0{name}\0".encode())
        return state


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
            remedy="put back the key file of this book from its backup; without it no reference can be recognized",
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise Unavailable("pepper_exposed", f"{path} can be read by others", remedy=f"chmod 600 {path}")
    if len(secret) != 32:
        raise Unavailable("pepper_damaged", f"{path} does not hold 32 bytes", remedy="restore it from its backup")
    return Pepper(secret)
