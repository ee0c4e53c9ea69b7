"""Events of the keys that sign the log: one stream, beside the rulebook, which no key can change."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Event


class SigningKeyRegistered(Event, frozen=True, kw_only=True):
    """The first key that signs the log. ``signature`` is its own, over the statement that it begins with
    ``first_size``.

    ``key``: the first 32 hex digits of SM3 over the public key.
    """

    TOPIC: ClassVar[str] = "carbon.keys.signing-key-registered.v1"
    STREAM: ClassVar[str] = "signing keys"
    key: str
    public_key: str
    first_size: int
    by: str
    signature: str


class SigningKeyRotated(Event, frozen=True, kw_only=True):
    """Another key signs the log from ``first_size`` on. Both keys sign the statement of it.

    ``key``: the first 32 hex digits of SM3 over the public key. ``replaces``: the key that signed until here.
    ``signature``: by the new key.
    """

    TOPIC: ClassVar[str] = "carbon.keys.signing-key-rotated.v1"
    STREAM: ClassVar[str] = "signing keys"
    key: str
    public_key: str
    first_size: int
    replaces: str
    by: str
    signature_of_replaced: str
    signature: str
