"""The signed note: one spelling, and no signature counted twice."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.note import (
    MAX_NOTE_BYTES,
    NoteSignature,
    is_name,
    key_hash_of,
    note_of,
    parse_note,
    signed_message,
)
from domain.digest import sm3_hex
from domain.errors import Corrupt

BODY = b"ledger.example/book\n3\n"
HASH, PAIR = b"\1\2\3\4", bytes(range(64))
SIGNED = [("bank.example", HASH, PAIR)]
NOTE = note_of(BODY, SIGNED)
KEY = b"\4" + bytes(range(64))

names = st.text(st.sampled_from("".join(map(chr, range(33, 127))).replace("+", "")), min_size=1, max_size=100)
signatures = st.lists(
    st.tuples(names, st.binary(min_size=4, max_size=4), st.binary(min_size=64, max_size=64)),
    min_size=1,
    max_size=16,
    unique_by=lambda each: each[:2],
)


def fault(act: Callable[[], object]) -> str:
    with pytest.raises(Corrupt) as refused:
        act()
    assert refused.value.code == "note_malformed"
    assert refused.value.remedy
    return refused.value.field


@given(signatures)
def test_a_note_comes_back_as_it_was_written(signed: list[tuple[str, bytes, bytes]]) -> None:
    assert parse_note(note_of(BODY, signed)) == (BODY, [NoteSignature(*each) for each in signed])


def test_a_note_is_the_text_an_empty_line_and_the_signatures() -> None:
    line = "— bank.example ".encode() + b64encode(HASH + PAIR) + b"\n"
    assert BODY + b"\n" + line == NOTE
    assert signed_message(BODY) == BODY


def test_the_hash_of_a_key_is_bound_to_its_name_and_its_algorithm() -> None:
    expected = sm3_hex(b"bank.example\n\xffcarbon-ledger/sm2-sm3/1" + KEY)[:8]
    assert key_hash_of("bank.example", KEY).hex() == expected
    assert key_hash_of("bank.example2", KEY).hex() != expected
    assert fault(lambda: key_hash_of("a b", KEY)) == "name"
    assert fault(lambda: key_hash_of("a", KEY[1:])) == "public_key"
    assert fault(lambda: key_hash_of("a", b"\3" + KEY[1:])) == "public_key"


@given(st.data())
def test_a_changed_byte_of_a_note_is_refused_or_read_as_what_it_then_says(data: st.DataObject) -> None:
    altered = bytearray(NOTE)
    altered[data.draw(st.integers(0, len(NOTE) - 1))] = data.draw(st.integers(0, 255))
    try:
        body, signed = parse_note(bytes(altered))
    except Corrupt:
        return
    assert note_of(body, signed) == altered


def sixteen(count: int) -> bytes:
    lines = "".join(f"— n{number} {b64encode(HASH + PAIR).decode()}\n" for number in range(count))
    return BODY + b"\n" + lines.encode()


@pytest.mark.parametrize(
    ("note", "field"),
    [
        (b"", "note"),
        (BODY, "note"),
        (BODY + b"\n", "note"),
        (NOTE[:-1], "note"),
        (NOTE + b"\n", "note"),
        (NOTE + bytes(MAX_NOTE_BYTES), "note"),
        (NOTE.replace(b"\n\n", b"\n\n\n"), "body"),
        (b"a\n\n" + NOTE, "body"),
        (b"\n" + NOTE, "body"),
        (b"a\r\n" + NOTE, "body"),
        (b"\xff" + NOTE, "body"),
        (NOTE.replace("—".encode(), b"-"), "signature"),
        (NOTE.replace(b"bank.", b"bank+"), "signature"),
        (NOTE.replace(b"bank.", b"bank "), "signature"),
        (NOTE.replace(b"bank.example", b"b" * 101), "signature"),
        (NOTE.replace(b"bank.", "b\xe4nk.".encode()), "signature"),
        (NOTE.replace(b"=\n", b"==\n"), "signature"),
        (NOTE.replace(b"8=\n", b"9=\n"), "signature"),
        (NOTE + NOTE[NOTE.index(b"\n\n") + 2 :], "signature"),
        (sixteen(17), "signature"),
    ],
)
def test_a_note_in_any_other_spelling_is_refused(note: bytes, field: str) -> None:
    assert fault(lambda: parse_note(note)) == field


def test_sixteen_signatures_are_read_and_more_are_not_written() -> None:
    assert len(parse_note(sixteen(16))[1]) == 16
    assert fault(lambda: note_of(BODY, [(f"n{number}", HASH, PAIR) for number in range(17)])) == "signature"


@pytest.mark.parametrize(
    ("act", "field"),
    [
        (lambda: note_of(BODY, []), "signature"),
        (lambda: note_of(BODY, [("a b", HASH, PAIR)]), "name"),
        (lambda: note_of(BODY, [("a", HASH[1:], PAIR + b"x")]), "signature"),
        (lambda: note_of(BODY, [("a", HASH, PAIR[1:])]), "signature"),
        (lambda: note_of(BODY, SIGNED * 2), "signature"),
        (lambda: note_of(b"a" * (MAX_NOTE_BYTES - 1) + b"\n", SIGNED), "note"),
        (lambda: note_of(b"a" * MAX_NOTE_BYTES + b"\n", SIGNED), "body"),
        (lambda: signed_message(b"\n"), "body"),
        (lambda: signed_message(b"no line end"), "body"),
    ],
)
def test_what_is_no_note_is_not_written(act: Callable[[], object], field: str) -> None:
    assert fault(act) == field


@pytest.mark.parametrize("text", ["", "a b", "a+b", "a\n", "碳", "a\x7f", "a" * 101])
def test_a_name_is_short_visible_ascii_text(text: str) -> None:
    assert not is_name(text)
    assert is_name("ledger.example/book-1")
