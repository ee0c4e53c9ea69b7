"""docs/spec/canonical-event.md is what the code makes, and enough to write a reader that finds the same leaves."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from domain.audit.leaves import unpack
from domain.audit.merkle import subtree_root
from domain.digest import new_sm3
from domain.errors import Corrupt
from domain.events.registry import decode_facts, decode_personal, encode_part
from infrastructure.gm.sm4 import SM4Key
from infrastructure.postgres.account_keys import wrapped
from tests.architecture.project import ROOT
from tests.unit.domain import event_vectors
from tests.unit.domain.test_spec_vectors import blocks, vectors

DOCUMENT = "canonical-event.md"
KNOWN = vectors(DOCUMENT)
EVENTS = KNOWN["events"]
SEALED = [each for each in EVENTS if each["personal"] is not None]
_hex = bytes.fromhex


class Reader(NamedTuple):
    """The document read word by word, sharing no code with the ledger but the digest."""

    salt: bytes
    facts: bytes
    sealed: bytes

    @classmethod
    def of(cls, envelope: bytes) -> Reader:
        assert envelope[0] == 1
        size = int.from_bytes(envelope[17:21], "big")
        assert 0 < size <= 16_777_216
        assert len(envelope) >= 21 + size
        return cls(envelope[1:17], envelope[21 : 21 + size], envelope[21 + size :])

    def leaf(self, header: bytes) -> bytes:
        facts = new_sm3(b"\2" + self.salt + self.facts).digest()
        return new_sm3(b"\0" + header + facts + new_sm3(b"\3" + self.sealed).digest()).digest()

    def opened(self, key: bytes, version: int, *parts: bytes) -> bytes:
        assert self.sealed[:5] == struct.pack(">BI", 1, version)
        nonce, body, tag = self.sealed[5:17], self.sealed[17:-16], self.sealed[-16:]
        decryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce, tag)).decryptor()
        bound = b"".join(struct.pack(">I", len(part)) + part for part in (b"carbon-ledger/personal/1", *parts))
        decryptor.authenticate_additional_data(self.sealed[:5] + bound)
        return decryptor.update(body) + decryptor.finalize()


def header(book: bytes, position: int, stream: bytes, version: int, topic: str, recorded_us: int) -> bytes:
    name = topic.encode("ascii")
    return struct.pack(">B16sQ16sQqB", 1, book, position, stream, version, recorded_us, len(name)) + name


def parts_of(each: dict[str, Any]) -> tuple[bytes, bytes, bytes, bytes]:
    """What a sealed part is bound to."""
    return _hex(KNOWN["book"]), _hex(each["stream"]), struct.pack(">Q", each["version"]), each["topic"].encode()


def test_the_document_shows_what_the_code_makes() -> None:
    assert blocks(DOCUMENT, "event") == [event_vectors.event_text()]
    assert blocks(DOCUMENT, "json") == [event_vectors.event_vectors() + "\n"]
    shown = EVENTS[1]
    text = (ROOT / "docs" / "spec" / DOCUMENT).read_text("utf-8")
    for value in (shown["facts_hash"], shown["sealed_hash"], shown["leaf"]):
        assert f"= {value[:8]}…{value[-4:]}\n" in text


def test_a_reader_with_the_document_alone_finds_the_same_leaves_and_root() -> None:
    leaves = []
    for each in EVENTS:
        reader = Reader.of(_hex(each["envelope"]))
        assert reader.facts.decode() == each["facts"]
        made = header(
            _hex(KNOWN["book"]), each["position"], _hex(each["stream"]), each["version"], each["topic"],
            each["recorded_us"],
        )  # fmt: skip
        assert made.hex() == each["header"]
        leaves.append(reader.leaf(made))
    assert [leaf.hex() for leaf in leaves] == [each["leaf"] for each in EVENTS]
    assert subtree_root(leaves).hex() == KNOWN["root"]


def test_a_reader_with_the_document_and_the_key_opens_the_personal_parts() -> None:
    assert len(SEALED) == 2
    for each in SEALED:
        reader = Reader.of(_hex(each["envelope"]))
        assert reader.opened(_hex(KNOWN["key"]), KNOWN["key_version"], *parts_of(each)).decode() == each["personal"]
        with pytest.raises(InvalidTag):
            reader.opened(_hex(KNOWN["kek"]), KNOWN["key_version"], *parts_of(each))


def test_the_ledger_reads_what_it_stored_and_without_the_key_the_facts_alone() -> None:
    rows = event_vectors.rows()
    with_key = event_vectors.read(rows, event_vectors.stored_events(_hex(KNOWN["wrapped_key"])))
    without = event_vectors.read(rows, event_vectors.stored_events(None))
    assert [(each.event, each.personal) for each in with_key] == [(e.event, e.personal) for e in event_vectors.log()]
    assert [each.event for each in without] == [each.event for each in event_vectors.log()]
    assert {each.personal for each in without} == {None}


@pytest.mark.parametrize("place", [1, 2])
def test_a_sealed_part_opens_only_in_its_book_stream_version_and_topic(place: int) -> None:
    stored = event_vectors.stored_events(_hex(KNOWN["wrapped_key"]))
    stream, version, topic, state = event_vectors.rows()[place]
    other_topic = SEALED[2 - place]["topic"]
    assert stored.recorded([(stream, version, 1, topic, state)], personal=True)[0].personal is not None
    _, facts_of_other, _ = unpack(event_vectors.rows()[3 - place][3])
    swapped = state[:17] + struct.pack(">I", len(facts_of_other)) + facts_of_other + unpack(state).sealed
    moved = [(stream, version + 1, 1, topic, state), (stream, version, 1, other_topic, swapped)]
    for row in moved:
        with pytest.raises(Corrupt, match="seal_broken"):
            stored.recorded([row], personal=True)
    elsewhere = event_vectors.stored_events(_hex(KNOWN["wrapped_key"]), UUID(int=1))
    with pytest.raises(Corrupt, match="seal_broken"):
        elsewhere.recorded([(stream, version, 1, topic, state)], personal=True)


def test_a_sealed_part_in_another_accounts_row_opens_under_neither_key() -> None:
    other = UUID(int=7)
    key = wrapped(event_vectors.KEK, other, SM4Key(bytes(16), 1))
    stored = event_vectors.stored_events(key)
    stored.keys._fetch = lambda query, params: [(other, key), (event_vectors.ACCOUNT, _hex(KNOWN["wrapped_key"]))]
    _, version, topic, state = event_vectors.rows()[1]
    with pytest.raises(Corrupt, match="seal_broken"):
        stored.recorded([(other, version, 1, topic, state)], personal=True)


def test_facts_and_personal_parts_have_the_one_spelling_of_the_document() -> None:
    for each in EVENTS:
        assert encode_part(decode_facts(each["topic"], each["facts"].encode())).decode() == each["facts"]
    for each in SEALED:
        assert encode_part(decode_personal(each["topic"], each["personal"].encode())).decode() == each["personal"]
    assert encode_part(_hex(KNOWN["text_hex"]).decode()) == _hex(KNOWN["text_in_json_hex"])
    for each in KNOWN["respelled_facts"]:
        facts = each["facts"].encode()
        assert encode_part(decode_facts(each["topic"], facts)) != facts


def test_what_the_document_refuses_is_refused_by_its_code() -> None:
    for each in KNOWN["refused_envelopes"]:
        with pytest.raises(Corrupt) as refused:
            unpack(_hex(each["envelope"]))
        assert refused.value.code == each["code"]
    for each in KNOWN["refused_facts"]:
        with pytest.raises(Corrupt) as refused:
            decode_facts(each["topic"], each["facts"].encode())
        assert refused.value.code == each["code"]
