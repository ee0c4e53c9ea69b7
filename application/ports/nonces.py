"""Numbers used once: remembered by all processes of a ledger together, for as long as their requests would count."""

from __future__ import annotations

from typing import Protocol


class Nonces(Protocol):
    """Port of what remembers them."""

    def take(self, key: str, nonce: str, until_s: int) -> bool:
        """Whether this key uses the nonce for the first time; it is remembered until then, seconds since 1970."""
