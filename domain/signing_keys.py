"""Which key signs the log at which size.

Keeps: every key is valid for one range of log sizes, the ranges follow each other without a gap, and each change is
signed by the old key and the new one, so that whoever trusts the first key can trust all that follow.
Leaves to infrastructure: the arithmetic, behind the function that checks a signature.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

from domain.digest import sm3_hex
from domain.errors import Corrupt
from domain.events.base import Recorded
from domain.events.keys import SigningKeyRegistered, SigningKeyRotated
from domain.signing import signed_bytes
from domain.streams import stream_id

SIGNING_KEYS = stream_id("keys", "signing")
PURPOSE = "signing-key"

Verify = Callable[[bytes, bytes, bytes], bool]
"""Public key, message, signature -> whether it is that key's."""


class SigningKey(NamedTuple):
    """A key and the log sizes it signs: from ``first_size`` to ``last_size``, None while it is in use."""

    key: str
    public_key: bytes
    first_size: int
    last_size: int | None


def statement(book: str, public_key: bytes, first_size: int, replaces: str, by: str) -> bytes:
    """What is signed when a key begins; ``replaces`` is "" for the first key."""
    told = {"book": book, "by": by, "first_size": first_size, "public_key": public_key.hex(), "replaces": replaces}
    return signed_bytes(PURPOSE, json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode())


def signing_keys(book: str, events: Iterable[Recorded], verify: Verify) -> list[SigningKey]:
    """All keys of the log in order, with every signature checked. Raises Corrupt ``signing_key_forged``."""
    keys: list[SigningKey] = []
    for recorded in events:
        keys = continued(book, keys, recorded, verify)
    return keys


def continued(book: str, keys: list[SigningKey], recorded: Recorded, verify: Verify) -> list[SigningKey]:
    """The keys after one more change, its signatures checked. Raises Corrupt ``signing_key_forged``."""
    event = recorded.event
    try:
        public_key = bytes.fromhex(event.public_key)
        own = bytes.fromhex(event.signature)
        earlier = bytes.fromhex(event.signature_of_replaced) if isinstance(event, SigningKeyRotated) else b""
    except ValueError as error:
        raise _forged(recorded) from error
    replaced = keys[-1] if keys else None
    message = statement(book, public_key, event.first_size, "" if replaced is None else replaced.key, event.by)
    if replaced is None:
        follows = isinstance(event, SigningKeyRegistered)
    else:
        follows = isinstance(event, SigningKeyRotated) and event.replaces == replaced.key
        follows = follows and verify(replaced.public_key, message, earlier)
    in_place = event.first_size == recorded.position and event.key == sm3_hex(public_key)[:32]
    if not (follows and in_place and verify(public_key, message, own)):
        raise _forged(recorded)
    closed = [] if replaced is None else [*keys[:-1], replaced._replace(last_size=event.first_size - 1)]
    return [*closed, SigningKey(event.key, public_key, event.first_size, None)]


def key_at(keys: Iterable[SigningKey], size: int) -> SigningKey | None:
    """The key that signs a log of this size; None before the first."""
    return next((k for k in keys if k.first_size <= size and (k.last_size is None or size <= k.last_size)), None)


def _forged(recorded: Recorded) -> Corrupt:
    return Corrupt(
        "signing_key_forged",
        "the change of the signing key is not signed by the old key and the new one, or is out of order",
        field=f"position {recorded.position}",
        remedy="keep the database as evidence, and compare the log with the last checkpoint that a witness holds",
    )
