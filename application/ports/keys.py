"""Keyed hashing of names that must not be stored in clear."""

from __future__ import annotations

from typing import Protocol


class Keys(Protocol):
    """Port of the pepper: equal names give equal 16-byte keys, and a key tells nothing about its name."""

    def ref(self, partner: str, source_ref: str) -> bytes: ...

    def account(self, account_ref: str) -> bytes: ...

    def check(self) -> str:
        """A public check value of the secret behind the keys."""

    def secret(self, purpose: str, name: str) -> bytes:
        """32 bytes for one purpose and name, the same each time; they tell nothing about each other or the pepper."""
