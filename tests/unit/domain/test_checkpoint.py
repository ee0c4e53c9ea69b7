"""The checkpoint: one spelling, and nothing that contradicts itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.checkpoint import Checkpoint, body_of, parse_body
from domain.audit.merkle import empty_root
from domain.behavior import LAST_INSTANT_US
from domain.errors import Corrupt

ROOT, MAP = b"r" * 32, b"m" * 32
FULL = Checkpoint("ledger.example/book", 12, ROOT, 7, 1_772_323_200_000_001, 9, MAP)
EMPTY = Checkpoint("ledger.example/book", 0, empty_root(), 0, 0)
BODY = body_of(FULL)


def fault(body: bytes) -> str:
    with pytest.raises(Corrupt) as refused:
        parse_body(body)
    assert refused.value.code == "checkpoint_malformed"
    assert refused.value.remedy
    return refused.value.field


def test_a_checkpoint_is_the_lines_of_the_specification() -> None:
    assert BODY.decode().splitlines() == [
        "ledger.example/book",
        "12",
        "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=",
        "rulebook 7",
        "time 2026-03-01T00:00:00.000001Z",
        "map 9 bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW0=",
    ]
    assert body_of(FULL._replace(map_position=0, map_root=b"")) == BODY[: BODY.index(b"map")]
    assert b"time 1970-01-01T00:00:00.000000Z\n" in body_of(EMPTY)
    assert parse_body(body_of(EMPTY)) == EMPTY


@given(
    st.integers(1, (1 << 63) - 1),
    st.binary(min_size=32, max_size=32),
    st.integers(0, LAST_INSTANT_US),
    st.none() | st.binary(min_size=32, max_size=32),
    st.data(),
)
def test_a_checkpoint_comes_back_as_it_was_written(
    size: int, root: bytes, recorded_us: int, map_root: bytes | None, data: st.DataObject
) -> None:
    mapped = (0, b"") if map_root is None else (data.draw(st.integers(1, size)), map_root)
    checkpoint = Checkpoint("log", size, root, data.draw(st.integers(0, size)), recorded_us, *mapped)
    assert parse_body(body_of(checkpoint)) == checkpoint


@given(st.data())
def test_a_changed_byte_of_a_checkpoint_is_refused_or_read_as_what_it_then_says(data: st.DataObject) -> None:
    altered = bytearray(BODY)
    altered[data.draw(st.integers(0, len(BODY) - 1))] = data.draw(st.integers(0, 255))
    try:
        checkpoint = parse_body(bytes(altered))
    except Corrupt:
        return
    assert body_of(checkpoint) == altered


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b"12\n", b"012\n", "body"),
        (b"12\n", b"+12\n", "body"),
        (b"12\n", b"12 \n", "body"),
        (b"12\n", b"12\r\n", "body"),
        (b"\n12\n", b"\n", "body"),
        (b"12\n", b"9999999999999999999\n", "size"),
        (b"12\n", b"0\n", "root"),
        (b"nI=\n", b"nJ=\n", "body"),
        (b"nI=\n", b"n==\n", "body"),
        (b"rulebook 7", b"rulebook 13", "rulebook"),
        (b"rulebook 7", b"rulebook -7", "body"),
        (b"ledger", b"the+ledger", "origin"),
        (b"ledger", b"the ledger", "body"),
        (b"ledger", "碳".encode(), "body"),
        (b"000001Z", b"Z", "body"),
        (b".000001Z", b"Z", "body"),
        (b"000001Z", b"000001+00:00", "body"),
        (b"03-01T", b"02-30T", "time"),
        (b"T00:", b"T24:", "time"),
        (b"2026", b"1969", "time"),
        (b"map 9", b"map 0", "map"),
        (b"map 9", b"map 13", "map"),
        (b"map 9", b"witness 9", "body"),
        (b"bW0=\n", b"bW0=\nmore\n", "body"),
        (b"bW0=\n", b"bW0=", "body"),
    ],
)
def test_a_checkpoint_in_any_other_spelling_is_refused(old: bytes, new: bytes, field: str) -> None:
    assert old in BODY
    assert fault(BODY.replace(old, new)) == field


@pytest.mark.parametrize(
    ("checkpoint", "field"),
    [
        (FULL._replace(origin=""), "origin"),
        (FULL._replace(size=-1), "size"),
        (FULL._replace(root=ROOT[1:]), "root"),
        (FULL._replace(root=empty_root()), "root"),
        (EMPTY._replace(root=ROOT), "root"),
        (FULL._replace(rulebook_position=-1), "rulebook"),
        (FULL._replace(recorded_us=-1), "time"),
        (FULL._replace(recorded_us=LAST_INSTANT_US + 1), "time"),
        (FULL._replace(map_position=-1), "map"),
        (FULL._replace(map_position=0), "map"),
        (FULL._replace(map_root=b""), "map"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_not_written(checkpoint: Checkpoint, field: str) -> None:
    with pytest.raises(Corrupt) as refused:
        body_of(checkpoint)
    assert (refused.value.code, refused.value.field) == ("checkpoint_malformed", field)
