"""Signing keys: each vouches for the next, and each has its range of log sizes."""

from __future__ import annotations

import msgspec
import pytest

from domain.digest import sm3_hex
from domain.errors import Corrupt
from domain.events.base import Event, Recorded
from domain.events.keys import SigningKeyRegistered, SigningKeyRotated
from domain.signing_keys import SIGNING_KEYS, key_at, signing_keys, statement

BOOK = "book"
ONE, TWO, THREE = b"\1" * 64, b"\2" * 64, b"\3" * 64


def sign(public_key: bytes, message: bytes) -> bytes:
    return bytes.fromhex(sm3_hex(public_key + message))


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    return signature == sign(public_key, message)


def name(public_key: bytes) -> str:
    return sm3_hex(public_key)[:32]


def registered(key: bytes, size: int) -> SigningKeyRegistered:
    own = sign(key, statement(BOOK, key, size, "", "init"))
    return SigningKeyRegistered(key=name(key), public_key=key.hex(), first_size=size, by="init", signature=own.hex())


def rotated(old: bytes, key: bytes, size: int) -> SigningKeyRotated:
    message = statement(BOOK, key, size, name(old), "alice")
    return SigningKeyRotated(
        key=name(key),
        public_key=key.hex(),
        first_size=size,
        replaces=name(old),
        by="alice",
        signature_of_replaced=sign(old, message).hex(),
        signature=sign(key, message).hex(),
    )


def log(*events: Event) -> list[Recorded]:
    return [Recorded(SIGNING_KEYS, n, e.first_size, e, None) for n, e in enumerate(events, 1)]  # type: ignore[attr-defined]


CHAIN = (registered(ONE, 2), rotated(ONE, TWO, 10), rotated(TWO, THREE, 11))


def test_every_size_from_the_first_key_on_has_exactly_one_key() -> None:
    keys = signing_keys(BOOK, log(*CHAIN), verify)
    assert [(k.public_key, k.first_size, k.last_size) for k in keys] == [(ONE, 2, 9), (TWO, 10, 10), (THREE, 11, None)]
    found = [key_at(keys, size) for size in (1, 2, 9, 10, 11, 10**12)]
    assert [None if key is None else key.public_key for key in found] == [None, ONE, ONE, TWO, THREE, THREE]


def test_a_log_without_keys_has_none() -> None:
    assert signing_keys(BOOK, [], verify) == []


@pytest.mark.parametrize(
    "field", ["key", "public_key", "first_size", "replaces", "by", "signature", "signature_of_replaced"]
)
def test_one_altered_field_of_a_rotation_is_found(field: str) -> None:
    value = getattr(CHAIN[1], field)
    altered = value + 1 if field == "first_size" else ("0" if value[0] != "0" else "1") + value[1:]
    events = log(CHAIN[0], msgspec.structs.replace(CHAIN[1], **{field: altered}))
    with pytest.raises(Corrupt) as refused:
        signing_keys(BOOK, events, verify)
    assert (refused.value.code, refused.value.field) == ("signing_key_forged", f"position {events[1].position}")


@pytest.mark.parametrize(
    "events",
    [
        (rotated(ONE, TWO, 2),),
        (registered(ONE, 2), registered(TWO, 3)),
        (registered(ONE, 2), rotated(TWO, THREE, 3)),
        (registered(ONE, 2), rotated(ONE, TWO, 3), rotated(ONE, THREE, 4)),
        (msgspec.structs.replace(registered(ONE, 2), signature="zz"),),
        (msgspec.structs.replace(registered(ONE, 2), signature="00"),),
    ],
)
def test_a_key_that_the_one_before_did_not_sign_for_is_refused(events: tuple[Event, ...]) -> None:
    with pytest.raises(Corrupt, match="signing_key_forged"):
        signing_keys(BOOK, log(*events), verify)


def test_a_key_recorded_elsewhere_than_it_says_is_refused() -> None:
    moved = [each._replace(position=each.position + 1) for each in log(CHAIN[0])]
    with pytest.raises(Corrupt, match="signing_key_forged"):
        signing_keys(BOOK, moved, verify)


def test_a_chain_of_another_book_is_refused() -> None:
    with pytest.raises(Corrupt, match="signing_key_forged"):
        signing_keys("another", log(*CHAIN), verify)
