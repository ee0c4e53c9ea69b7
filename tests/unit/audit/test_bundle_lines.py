"""The lines of a bundle have one spelling, and what a bundle says of itself has one form."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.book_map import MapPart
from domain.audit.bundle import (
    About,
    about_text,
    event_line,
    parse_about,
    parse_event,
    parse_part,
    parse_subtree,
    part_line,
    subtree_line,
)
from domain.audit.leaves import leaf_of, pack
from domain.audit.merkle import Subtree
from domain.errors import Corrupt, Rejected

BOOK = bytes(range(16))
STREAM = UUID(bytes=bytes(range(16, 32)))
numbers = st.integers(0, (1 << 63) - 1)
hashes = st.binary(min_size=32, max_size=32)
texts = st.text(max_size=20)


@given(st.integers(1, (1 << 63) - 1), numbers, numbers, st.dictionaries(texts, texts), st.binary(max_size=40))
def test_the_leaf_of_a_line_is_that_of_the_stored_event(
    position: int, version: int, recorded_us: int, facts: dict[str, str], sealed: bytes
) -> None:
    state = pack(bytes(16), json.dumps(facts, ensure_ascii=False).encode(), sealed)
    place = (position, STREAM, version, "a.b-c.v1", recorded_us)
    line = event_line(*place, state)
    assert json.loads(line)["facts"] == facts
    read = parse_event(line)
    assert read.leaf(BOOK) == leaf_of(BOOK, position, STREAM.bytes, version, "a.b-c.v1", recorded_us, state)


@given(st.integers(0, 62), numbers, hashes, st.integers(0, 256))
def test_subtrees_and_parts_come_back_as_they_were_written(level: int, number: int, root: bytes, depth: int) -> None:
    subtree, part = Subtree(level, number, root), MapPart(depth, root, root)
    assert parse_subtree(subtree_line(subtree)) == subtree
    assert parse_part(part_line(part)) == part


EVENT = event_line(1, STREAM, 1, "a.v1", 5, pack(bytes(16), b'{"a":1}', b""))
SUBTREE, PART = subtree_line(Subtree(1, 2, bytes(32))), part_line(MapPart(1, bytes(32), bytes(32)))


@pytest.mark.parametrize(
    ("parse", "line"),
    [
        (parse_event, EVENT.replace(b'"position":1', b'"position":01')),
        (parse_event, EVENT.replace(b'"position":1', b'"position":-1')),
        (parse_event, EVENT.replace(b'"position":1', b'"position":1.0')),
        (parse_event, EVENT.replace(b'"position":1', b'"position":9223372036854775808')),
        (parse_event, EVENT.replace(b'"version":1', b'"version":99999999999999999999')),
        (parse_event, EVENT.replace(b'"version":1', b'"version":\xd9\xa1')),
        (parse_event, EVENT.replace(b'"recorded_us":5', b'"recorded_us":9999999999999999999')),
        (parse_event, EVENT.replace(b"10111213", b"1011121G")),
        (parse_event, EVENT.replace(b"1c1d1e1f", b"1C1D1E1F")),
        (parse_event, EVENT.replace(b'"facts":{"a":1}', b'"facts":1')),
        (parse_event, EVENT.replace(b"a.v1", b"")),
        (parse_event, EVENT.replace(b"a.v1", b"a" * 256)),
        (parse_event, EVENT.replace(b"a.v1", b"A.v1")),
        (parse_event, EVENT + b" "),
        (parse_event, EVENT + b"\n"),
        (parse_event, b"\xef\xbb\xbf" + EVENT),
        (parse_event, b" " + EVENT),
        (parse_event, EVENT[:-1]),
        (parse_event, EVENT.replace(b'"sealed_sm3"', b'"sealed"')),
        (parse_event, b""),
        (parse_subtree, SUBTREE.replace(b'"level":1', b'"level":63')),
        (parse_subtree, SUBTREE.replace(b'"level":1', b'"level":9999999999999999999')),
        (parse_subtree, SUBTREE.replace(b'"number":2', b'"number":9223372036854775808')),
        (parse_subtree, SUBTREE.replace(b"00", b"0")),
        (parse_subtree, PART),
        (parse_part, PART.replace(b'"depth":1', b'"depth":257')),
        (parse_part, PART.replace(b'"depth":1', b'"depth":')),
        (parse_part, SUBTREE),
    ],
)
def test_a_line_of_another_spelling_is_refused(parse: Callable[[bytes], object], line: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        parse(line)
    assert refused.value.code == "line_malformed"
    assert refused.value.remedy


def test_a_stored_event_that_is_none_makes_no_line() -> None:
    with pytest.raises(Corrupt, match="envelope_short"):
        event_line(1, STREAM, 1, "a.v1", 5, b"")


ABOUT = About("carbon-ledger/x", 23, 1, 17, all_accounts=False, redacted=True, sample_seed='"ö\n')


def test_what_a_bundle_says_of_itself_comes_back_as_it_was_written() -> None:
    assert parse_about(about_text(ABOUT)) == ABOUT
    assert json.loads(about_text(ABOUT))["format"] == "carbon-ledger/bundle/1"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"1",
        b"[" * 100_000,
        b"\xff",
        about_text(ABOUT)[:-3],
        about_text(ABOUT).replace(b'"format": "carbon-ledger/bundle/1"', b'"format": "carbon-ledger/bundle/2"'),
        about_text(ABOUT).replace(b'"format"', b'"form"'),
        about_text(ABOUT).replace(b'"origin"', b'"size"'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": 23, "size": 23'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": 23, "more": 1'),
        about_text(ABOUT).replace(b'"size": 23,', b""),
        about_text(ABOUT).replace(b'"size": 23', b'"size": "23"'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": 23.0'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": true'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": null'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": NaN'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": -1'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": 9223372036854775808'),
        about_text(ABOUT).replace(b'"size": 23', b'"size": ' + b"9" * 5_000),
        about_text(ABOUT).replace(b'"redacted": true', b'"redacted": 1'),
        about_text(ABOUT).replace(b'"sample_seed": "', b'"sample_seed": "\\ud800'),
        about_text(ABOUT).replace(b'"carbon-ledger/x"', b'["carbon-ledger/x"]'),
    ],
)
def test_what_a_bundle_says_of_itself_in_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        parse_about(content)
    assert refused.value.code == "about_malformed"
    assert len(refused.value.message) <= 200
