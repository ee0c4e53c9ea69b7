"""Who checks signatures."""

from __future__ import annotations

from typing import Protocol


class Verifier(Protocol):
    """Port of SM2 verification: messages, never digests (for a chosen digest anybody can make a signature)."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the 64-byte signature is this key's over the message. False for everything else, it never raises."""
