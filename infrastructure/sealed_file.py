"""A sealed file of the evidence store: any length of bytes under one SM4 key, each chunk with a nonce of its own.

    mark | record | record | ...      record = a chunk sealed by ``gm.sm4``: 33 bytes more than the chunk

Bound to each chunk are the name of the file, the chunk's number and whether it is the last: so no other file's can take
its place either.

Keeps: what ``gm.chunks`` keeps.
Leaves to the caller: the key, one for each file; comparing a digest of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Final

from domain.errors import Corrupt
from infrastructure.gm.chunks import ChunkedFile, ChunkSealer, Sizes
from infrastructure.gm.sm4 import OVERHEAD_BYTES, SM4Key, aad_of, open_sealed, seal

MARK: Final = b"carbon-ledger sealed file 1\n"
CHUNK_BYTES: Final = 1 << 20
RECORD_BYTES: Final = CHUNK_BYTES + OVERHEAD_BYTES


def seal_file(key: SM4Key, name: bytes, blocks: Iterable[bytes], file: BinaryIO) -> None:
    """Write the bytes, in blocks of any length, as a sealed file."""
    file.write(MARK)
    sealer = ChunkSealer(file, CHUNK_BYTES, lambda chunk, number, last: seal(key, chunk, _aad(name, number, last=last)))
    for block in blocks:
        sealer.write(block)
    sealer.finish()


class SealedFile(ChunkedFile):
    """What was sealed, as a file to read. ``file`` is closed with it; ``where``: what messages call it.

    Raises Corrupt ``evidence_broken`` when it is opened or read.
    """

    def __init__(self, file: BinaryIO, key: SM4Key, name: bytes, where: str) -> None:
        def broken(what: str) -> Corrupt:
            remedy = (
                "restore it from its backup and keep the changed one; importing the same file again stores it again"
            )
            return Corrupt("evidence_broken", what, field=where, remedy=remedy)

        if file.read(len(MARK)) != MARK:
            raise broken("the file does not begin as it was sealed")
        super().__init__(
            file,
            len(MARK),
            Sizes(CHUNK_BYTES, OVERHEAD_BYTES),
            lambda record, number, last: open_sealed(key, record, _aad(name, number, last=last)),
            broken,
        )


def _aad(name: bytes, number: int, *, last: bool) -> bytes:
    return aad_of(b"carbon-ledger/sealed-file/1", name, number.to_bytes(8, "big"), bytes([last]))
