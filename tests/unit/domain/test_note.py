"""The signed note: one spelling, and no signature counted twice."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.checkpoint import parse_body
from domain.audit.note import (
    LAST_SECOND,
    MAX_NOTE_BYTES,
    NoteSignature,
    cosigned_message,
    cosigner_hash_of,
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
COSIGNED = NoteSignature("witness.example", b"\5\6\7\10", PAIR, 1_772_323_260)
WITNESSED = note_of(BODY, [*SIGNED, COSIGNED])

names = st.text(st.sampled_from("".join(map(chr, range(33, 127))).replace("+", "")), min_size=1, max_size=100)
signatures = st.lists(
    st.builds(
        NoteSignature,
        names,
        st.binary(min_size=4, max_size=4),
        st.binary(min_size=64, max_size=64),
        st.none() | st.integers(1, LAST_SECOND),
    ),
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
def test_a_note_comes_back_as_it_was_written(signed: list[NoteSignature]) -> None:
    assert parse_note(note_of(BODY, signed)) == (BODY, signed)


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


def test_a_cosignature_tells_its_time_between_the_hash_of_the_key_and_the_signature() -> None:
    time = (1_772_323_260).to_bytes(8, "big")
    line = "— witness.example ".encode() + b64encode(b"\5\6\7\10" + time + PAIR) + b"\n"
    assert NOTE + line == WITNESSED
    message = cosigned_message(BODY, 1_772_323_260)
    assert message == b"cosignature/v1\ntime 1772323260\n" + BODY
    expected = sm3_hex(b"witness.example\n\xffcarbon-ledger/cosignature-sm2-sm3/1" + KEY)[:8]
    assert cosigner_hash_of("witness.example", KEY).hex() == expected


def test_what_a_witness_signs_is_no_text_that_a_log_could_have_signed() -> None:
    with pytest.raises(Corrupt) as refused:
        parse_body(cosigned_message(BODY, 5))
    assert refused.value.code == "checkpoint_malformed"


@given(st.data())
def test_a_changed_byte_of_a_note_is_refused_or_read_as_what_it_then_says(data: st.DataObject) -> None:
    altered = bytearray(WITNESSED)
    altered[data.draw(st.integers(0, len(WITNESSED) - 1))] = data.draw(st.integers(0, 255))
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
        (WITNESSED.replace(b"==\n", b"=\n"), "signature"),
        (WITNESSED.replace(b"w==\n", b"x==\n"), "signature"),
        (WITNESSED + WITNESSED[WITNESSED.index(b"=\n") + 2 :], "signature"),
        (NOTE + b"\xe2\x80\x94 w " + b64encode(HASH + bytes(8) + PAIR) + b"\n", "time"),
        (NOTE + b"\xe2\x80\x94 w " + b64encode(HASH + b"\xff" * 8 + PAIR) + b"\n", "time"),
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
        (lambda: note_of(BODY, [COSIGNED._replace(signed_s=0)]), "time"),
        (lambda: cosigned_message(BODY, LAST_SECOND + 1), "time"),
        (lambda: cosigned_message(b"no line end", 5), "body"),
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
