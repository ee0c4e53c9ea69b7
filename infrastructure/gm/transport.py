"""A file sealed whole to the SM2 key of its recipient, for transport: docs/spec/transport.md.

    header in text, with the file's own SM4 key wrapped by SM2 | record | record | ...    record = ciphertext | tag(16)

Keeps: every file has a fresh SM4 key, so that the number of a chunk is its nonce; the whole header is bound to each
chunk; one chunk is in memory; nothing leaves that was not authentic.
Leaves to others: who sealed it. Anybody can, who has the public key: what must be believed is signed inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from domain.errors import Corrupt, Rejected
from infrastructure.gm import self_test
from infrastructure.gm.chunks import ChunkedFile, ChunkSealer, Sink, Sizes
from infrastructure.gm.sm2 import Sm2Key, wrap_for
from infrastructure.gm.sm2_format import check_public_key, key_id
from infrastructure.gm.sm4 import NONCE_BYTES, TAG_BYTES, SM4Key, aad_of, new_key, open_with, seal_with

CHUNK_BYTES: Final = 1 << 20
MAX_CHUNK_BYTES: Final = 1 << 24
MAX_HEADER_BYTES: Final = 1024

_FORMAT: Final = b"carbon-ledger/transport/1\n"
_HEADER = re.compile(
    _FORMAT + rb"sm2-sm4-gcm\nto ([0-9a-f]{32})\nchunk ([1-9][0-9]{0,7})\nkey ((?:[0-9a-f]{2}){1,255})\n\n"
)
_REMEDY = "fetch it again and compare its digest with the sender's; if it stays so, have it sealed again"


def sealer_for(public_key: bytes, file: Sink, chunk_bytes: int = CHUNK_BYTES) -> ChunkSealer:
    """What is written to it is written to ``file``, sealed; complete only after ``finish``.

    Raises Rejected ``public_key_malformed``.
    """
    self_test.run_once()
    key = new_key(0)
    header = header_of(public_key, wrap_for(public_key, key.exposed()), chunk_bytes)
    file.write(header)
    return ChunkSealer(file, chunk_bytes, lambda chunk, number, last: sealed_chunk(key, header, chunk, number, last))


@contextmanager
def sealing_for(public_key: bytes, file: Sink) -> Iterator[ChunkSealer]:
    """The same as a block: what it is left with an error is not complete, and opens nowhere."""
    sealer = sealer_for(public_key, file)
    yield sealer
    sealer.finish()


def header_of(public_key: bytes, wrapped: bytes, chunk_bytes: int) -> bytes:
    """The lines in front of the chunks."""
    to = key_id(check_public_key(public_key)).encode()
    return _FORMAT + b"sm2-sm4-gcm\nto %b\nchunk %d\nkey %b\n\n" % (to, chunk_bytes, wrapped.hex().encode())


def sealed_chunk(key: SM4Key, header: bytes, chunk: bytes, number: int, last: bool) -> bytes:
    """The record of a chunk."""
    return seal_with(key, number.to_bytes(NONCE_BYTES, "big"), chunk, _aad(header, last=last))


def opened_by(key: Sm2Key, file: BinaryIO, where: str) -> ChunkedFile:
    """What was sealed to a key, to be read; ``file`` is closed with it.

    Raises Rejected ``not_sealed``, ``seal_format_unknown``, ``sealed_for_another``, ``key_wrap_broken``; Corrupt
    ``seal_header_malformed``, and ``seal_broken`` here or while it is read.
    """
    self_test.run_once()
    began = file.read(MAX_HEADER_BYTES)
    found = _HEADER.match(began)
    if found is None or int(found[2]) > MAX_CHUNK_BYTES:
        raise _no_header(began, where)
    header, to = found[0], found[1].decode()
    if to != key.key_id:
        raise Rejected(
            "sealed_for_another",
            f"the file is sealed to the key {to}, and this is the key {key.key_id}",
            field=where,
            remedy="open it with that key, or ask for it again, sealed to yours",
        )
    try:
        own = SM4Key(key.unwrap(bytes.fromhex(found[3].decode())), 0)
    except ValueError:
        raise _no_header(began, where) from None

    def broken(what: str) -> Corrupt:
        return Corrupt("seal_broken", what, field=where, remedy=_REMEDY)

    def open_one(record: bytes, number: int, last: bool) -> bytes:
        return open_with(own, number.to_bytes(NONCE_BYTES, "big"), record, _aad(header, last=last))

    return ChunkedFile(file, len(header), Sizes(int(found[2]), TAG_BYTES), open_one, broken)


def _aad(header: bytes, *, last: bool) -> bytes:
    return aad_of(header, bytes([last]))


def _no_header(began: bytes, where: str) -> Rejected | Corrupt:
    if began.startswith(_FORMAT):
        return Corrupt("seal_header_malformed", "its first lines are not a header", field=where, remedy=_REMEDY)
    if began.startswith(_FORMAT[:-2]):
        remedy = "open it with a newer release of carbon-ledger"
        return Rejected(
            "seal_format_unknown", "it is sealed in a format of another release", field=where, remedy=remedy
        )
    remedy = "name a file that `carbon-ledger seal` or `export bundle --seal-to` wrote"
    return Rejected("not_sealed", "this is no file sealed for transport", field=where, remedy=remedy)
