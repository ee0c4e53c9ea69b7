"""Who opens what was sealed to the ledger: a key in the home, or a cipher machine in its place."""

from __future__ import annotations

from typing import Protocol


class KeyUnwrap(Protocol):
    """Port of one SM2 key that others wrap keys for."""

    @property
    def public_key(self) -> bytes:
        """x followed by y, 64 bytes."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The wrapped key. Raises Rejected ``key_wrap_broken``."""
