"""Envelope, header and leaf of one event."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.leaves import (
    MAX_FACTS_BYTES,
    Envelope,
    content_hash,
    facts_hash,
    header,
    leaf,
    pack,
    sealed_hash,
    unpack,
)
from domain.digest import sm3_hex
from domain.errors import Corrupt

SALT = bytes(range(16))
BOOK, STREAM = b"B" * 16, b"S" * 16
FACTS = b'{"mg":"1"}'


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=1, max_size=80), st.binary(max_size=80))
def test_an_envelope_comes_back_as_it_was_packed(salt: bytes, facts: bytes, sealed: bytes) -> None:
    assert unpack(pack(salt, facts, sealed)) == Envelope(salt, facts, sealed)


@given(st.binary(max_size=60))
def test_whatever_is_read_as_an_envelope_has_one_spelling(state: bytes) -> None:
    try:
        envelope = unpack(state)
    except Corrupt:
        return
    assert pack(*envelope) == state


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (b"", "envelope_short"),
        (b"\x01" + SALT + b"\0\0\0", "envelope_short"),
        (b"\x02" + SALT + b"\0\0\0\x01x", "envelope_format"),
        (b"\x01" + SALT + b"\0\0\0\0x", "envelope_length"),
        (b"\x01" + SALT + b"\0\0\0\x02x", "envelope_length"),
        (b"\x01" + SALT + b"\xff\xff\xff\xffx", "envelope_length"),
        (b"\x01" + SALT + b"\x01\0\0\x01" + bytes(MAX_FACTS_BYTES + 1), "envelope_length"),
    ],
)
def test_bytes_that_are_no_envelope_are_refused_by_name(state: bytes, code: str) -> None:
    with pytest.raises(Corrupt) as refused:
        unpack(state)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda: pack(SALT[1:], FACTS), "envelope_salt"),
        (lambda: pack(SALT, b""), "envelope_facts"),
        (lambda: pack(SALT, bytes(MAX_FACTS_BYTES + 1)), "envelope_facts"),
        (lambda: facts_hash(SALT + b"{", FACTS[1:]), "envelope_salt"),
        (lambda: leaf(b"h", bytes(63)), "leaf_content"),
        (lambda: header(BOOK[1:], 1, STREAM, 1, "t", 0), "header_id"),
        (lambda: header(BOOK, 1, STREAM + b"x", 1, "t", 0), "header_id"),
        (lambda: header(BOOK, 0, STREAM, 1, "t", 0), "header_number"),
        (lambda: header(BOOK, 1, STREAM, -1, "t", 0), "header_number"),
        (lambda: header(BOOK, 1 << 63, STREAM, 1, "t", 0), "header_number"),
        (lambda: header(BOOK, 1, STREAM, 1, "t", 1 << 63), "header_number"),
        (lambda: header(BOOK, 1, STREAM, 1, "", 0), "header_topic"),
        (lambda: header(BOOK, 1, STREAM, 1, "碳", 0), "header_topic"),
        (lambda: header(BOOK, 1, STREAM, 1, "t" * 256, 0), "header_topic"),
    ],
)
def test_parts_of_the_wrong_size_are_never_hashed(act: Callable[[], bytes], code: str) -> None:
    with pytest.raises(Corrupt) as refused:
        act()
    assert refused.value.code == code


def test_the_leaf_is_what_the_specification_writes_out() -> None:
    envelope = Envelope(SALT, FACTS, b"sealed")
    content = bytes.fromhex(sm3_hex(b"\x02" + SALT + FACTS) + sm3_hex(b"\x03" + b"sealed"))
    head = b"\x01" + BOOK + bytes([0] * 7 + [7]) + STREAM + bytes([0] * 7 + [3]) + b"\xff" * 8 + b"\x01t"
    assert content_hash(envelope) == content
    assert header(BOOK, 7, STREAM, 3, "t", -1) == head
    assert leaf(head, content).hex() == sm3_hex(b"\x00" + head + content)
    assert sealed_hash(b"").hex() == sm3_hex(b"\x03")
    assert pack(*envelope) == b"\x01" + SALT + b"\0\0\0\x0a" + FACTS + b"sealed"
