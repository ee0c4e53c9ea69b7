"""Who signs for the ledger: a key in the home, or a certified cipher machine in its place (SDF, GM/T 0018)."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """Port of one SM2 signing key; the private half never leaves it."""

    @property
    def key_id(self) -> str:
        """Names the key: the first 32 hex digits of SM3 over its public key."""

    @property
    def public_key(self) -> bytes:
        """x followed by y, 64 bytes."""

    def sign(self, message: bytes) -> bytes:
        """r followed by s, 64 bytes, over SM3(ZA, message). The message names its purpose (``domain.signing``)."""
