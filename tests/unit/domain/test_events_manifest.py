"""The manifest of exported events: one spelling, no contradiction, and never taken for a checkpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit import checkpoint
from domain.audit.checkpoint import Checkpoint
from domain.audit.event_rows import FORMATS
from domain.audit.events_manifest import Accounts, Chosen, Manifest, accounts_of, body_of, parse_body
from domain.errors import Corrupt

HASH = bytes(range(32))
EVERYTHING = Chosen("", "", None, (), 1, 9)
MANIFEST = Manifest(
    "carbon-ledger/" + "0" * 32, 9, HASH, "csv", False, EVERYTHING, 9, 1234, HASH, "carbon-ledger 0.1.0"
)

days = st.just("") | st.dates().map(str)
topics = st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,9}\.[a-z0-9.-]{1,9}", fullmatch=True), unique=True, max_size=4)
hashes = st.binary(min_size=32, max_size=32)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    size = draw(st.integers(0, (1 << 63) - 1))
    last = draw(st.integers(0, size))
    first = draw(st.integers(1, last + 1))
    accounts = draw(st.none() | st.builds(Accounts, st.integers(0, 9), hashes))
    chosen = Chosen(draw(days), draw(days), accounts, tuple(sorted(draw(topics))), first, last)
    rows = draw(st.integers(0, last + 1 - first))
    form, personal = draw(st.sampled_from(FORMATS)), draw(st.booleans())
    return Manifest(
        "log/1", size, draw(hashes), form, personal, chosen, rows, draw(st.integers(0, 99)), draw(hashes), "x"
    )


def fault(manifest: Manifest) -> str:
    with pytest.raises(Corrupt) as error:
        body_of(manifest)
    assert error.value.code == "manifest_malformed"
    assert error.value.remedy
    return error.value.field


@given(manifests())
def test_a_manifest_comes_back_as_it_was_written(manifest: Manifest) -> None:
    assert parse_body(body_of(manifest)) == manifest


def test_a_manifest_that_contradicts_itself_is_not_written() -> None:
    chosen = EVERYTHING
    for wrong, place in (
        (MANIFEST._replace(log="a log"), "log"),
        (MANIFEST._replace(format="xlsx"), "format"),
        (MANIFEST._replace(size=1 << 63), "size"),
        (MANIFEST._replace(size_bytes=-1), "size"),
        (MANIFEST._replace(size=8), "positions"),
        (MANIFEST._replace(chosen=chosen._replace(first=0)), "positions"),
        (MANIFEST._replace(chosen=chosen._replace(first=11)), "positions"),
        (MANIFEST._replace(rows=10), "rows"),
        (MANIFEST._replace(root=b""), "root"),
        (MANIFEST._replace(sm3=b""), "root"),
        (MANIFEST._replace(chosen=chosen._replace(accounts=Accounts(1, b""))), "accounts"),
        (MANIFEST._replace(chosen=chosen._replace(accounts=Accounts(-1, HASH))), "accounts"),
        (MANIFEST._replace(chosen=chosen._replace(topics=("b.v1", "a.v1"))), "topics"),
        (MANIFEST._replace(chosen=chosen._replace(topics=("all",))), "topics"),
        (MANIFEST._replace(software="two  spaces"), "software"),
        (MANIFEST._replace(chosen=chosen._replace(from_day="2026-02-30")), "recorded"),
        (MANIFEST._replace(chosen=chosen._replace(to_day="2026-W01-1")), "recorded"),
    ):
        assert fault(wrong) == place


def test_a_text_in_any_other_spelling_is_not_read() -> None:
    right = body_of(MANIFEST)
    lines = right.splitlines(keepends=True)
    texts = [b"".join([*lines[:place], *lines[place + 1 :]]) for place in range(len(lines))]
    texts += [b"".join([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]) for place in range(13)]
    texts += [right + b"more\n", right[:-1], right.replace(b"\n", b"\r\n")]
    texts += [right.replace(b"size 9", each) for each in (b"size 09", b"size +9", b"size 9223372036854775808")]
    texts += [right.replace(b"personal left out", b"personal no"), right.replace(b"open open", b"open 2026-13-01")]
    # The last bits of base64 that stand for nothing.
    texts += [right.replace(b"Hh8=\n", b"Hh9=\n")]
    for text in texts:
        assert text != right
        with pytest.raises(Corrupt):
            parse_body(text)


def test_neither_a_checkpoint_nor_a_manifest_is_taken_for_the_other() -> None:
    for origin in ("log/1", "carbon-ledger/events/1"):
        text = checkpoint.body_of(Checkpoint(origin, 9, HASH, 1, 5))
        with pytest.raises(Corrupt):
            parse_body(text)
    with pytest.raises(Corrupt):
        checkpoint.parse_body(body_of(MANIFEST))


def test_accounts_are_told_by_a_digest_that_no_order_changes() -> None:
    ids = [bytes([each]) * 16 for each in (3, 1, 2, 1)]
    assert accounts_of(ids) == accounts_of(sorted(ids)) == accounts_of(ids[:3])
    assert accounts_of(ids).number == 3
    assert accounts_of(ids[:2]).sm3 != accounts_of(ids).sm3


@pytest.mark.parametrize(
    ("chosen", "whole"),
    [
        (EVERYTHING, True),
        (EVERYTHING._replace(last=8), False),
        (EVERYTHING._replace(first=2), False),
        (EVERYTHING._replace(topics=("a.v1",)), False),
        (EVERYTHING._replace(accounts=Accounts(0, HASH)), False),
    ],
)
def test_rows_are_the_whole_log_only_where_nothing_was_chosen(chosen: Chosen, whole: bool) -> None:
    assert MANIFEST._replace(chosen=chosen).is_whole_log is whole
