"""docs/spec/transport.md is what the code makes, and what a reader written from the document alone accepts."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import LedgerError
from infrastructure.gm.sm2 import Sm2Key, new_sm2_key
from infrastructure.gm.transport import opened_by, sealer_for
from tests.fixtures import independent_unsealer
from tests.fixtures.independent_unsealer import Wrong
from tests.unit.domain.test_spec_vectors import blocks, vectors
from tests.unit.gm import transport_vectors

_hex = bytes.fromhex
KNOWN: Any = vectors("transport.md")
PRIVATE, PUBLIC = _hex(KNOWN["private_key"]), _hex(KNOWN["public_key"])


def ours(file: bytes) -> bytes:
    with opened_by(Sm2Key(PRIVATE, PUBLIC), io.BytesIO(file), "here") as found:
        return b"".join(found.chunks())


def theirs(file: bytes) -> bytes:
    return independent_unsealer.opened(file, PRIVATE, PUBLIC)


def code_of(reader: Callable[[bytes], bytes], file: bytes) -> str:
    try:
        reader(file)
    except LedgerError as error:
        return error.code
    except Wrong as error:
        return str(error)
    return ""


def test_the_document_shows_what_the_code_makes() -> None:
    assert blocks("transport.md", "transport") == [transport_vectors.example()]
    assert blocks("transport.md", "json") == [transport_vectors.vector_text() + "\n"]


@pytest.mark.parametrize("reader", [ours, theirs])
def test_every_vector_opens_or_is_refused_as_the_document_says(reader: Callable[[bytes], bytes]) -> None:
    assert [reader(_hex(each["sealed"])) for each in KNOWN["opened"]] == [
        _hex(each["plain"]) for each in KNOWN["opened"]
    ]
    told = {each["what"]: each["code"] for each in KNOWN["refused"]}
    assert {each["what"]: code_of(reader, _hex(each["sealed"])) for each in KNOWN["refused"]} == told


def test_a_reader_of_the_document_opens_what_the_ledger_seals() -> None:
    key, file = new_sm2_key(), io.BytesIO()
    sealer = sealer_for(key.public_key, file, 64)
    sealer.write(bytes(range(256)))
    sealer.finish()
    assert independent_unsealer.opened(file.getvalue(), key.exposed(), key.public_key) == bytes(range(256))


def test_both_readers_agree_on_every_flip_of_a_bit() -> None:
    file = _hex(KNOWN["opened"][0]["sealed"])
    for place in range(0, len(file), 3):
        changed = bytearray(file)
        changed[place] ^= 1
        # What a wrapped key is refused for, a parser of DER may see before SM2 does.
        found = code_of(ours, bytes(changed))
        if found != "key_wrap_broken":
            assert code_of(theirs, bytes(changed)) == found, place
