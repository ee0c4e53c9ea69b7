"""The pepper: the secret under which references and account names are hashed before they are stored.

Keeps (DESIGN 3, Idempotency): never rotated, since taken references must stay taken; 32 random bytes; never
printed. ``check`` tells a wrong pepper from the right one and nothing about either.
Leaves to the key store: keeping it, wrapped under a key-encryption key.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC

KEY_BYTES = 16
"""128 bits of the HMAC serve as a key: collisions are out of reach, and it fits PostgreSQL's uuid type."""

SECRET_BYTES = 32

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

    def secret(self, purpose: str, name: str) -> bytes:
        """A secret of 32 bytes for one purpose and name, which follows from the pepper and is kept nowhere."""
        return self._domain(f"secret\0{purpose}\0{name}").finalize()

    def _domain(self, name: str) -> HMAC:
        # Domain separation: a name of a partner can never collide with one of an account.
        state = self._mac.copy()
        state.update(f"{len(name)}\0{name}\0".encode())
        return state
