"""A sealed file: any length of bytes under one SM4 key, written in one pass, read from anywhere, whole or not at all.

    mark | record | record | ...      record = a chunk sealed by ``gm.sm4``: 33 bytes more than the chunk

Every chunk has ``CHUNK_BYTES`` but the last, which may be shorter, and empty only in an empty file. Bound to each chunk
are the name of the file, the chunk's number and whether it is the last: so chunks cannot be changed, exchanged, left
out, repeated or added, and no other file's can take their place.

Keeps: one chunk is in memory; nothing leaves that was not authentic.
Leaves to the caller: the key, one for each file; comparing a digest of the whole.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from domain.errors import Corrupt
from infrastructure.gm.sm4 import OVERHEAD_BYTES, SM4Key, aad_of, open_sealed, seal

MARK: Final = b"carbon-ledger sealed file 1\n"
CHUNK_BYTES: Final = 1 << 20
RECORD_BYTES: Final = CHUNK_BYTES + OVERHEAD_BYTES


def seal_file(key: SM4Key, name: bytes, blocks: Iterable[bytes], file: BinaryIO) -> None:
    """Write the bytes, in blocks of any length, as a sealed file."""
    file.write(MARK)
    chunks = _chunks(blocks)
    number, held = 0, next(chunks, b"")
    for chunk in chunks:
        file.write(seal(key, held, _aad(name, number, last=False)))
        number, held = number + 1, chunk
    file.write(seal(key, held, _aad(name, number, last=True)))


class SealedFile(io.RawIOBase):
    """What was sealed, as a file to read. ``file`` is closed with it; ``where``: what messages call it.

    Raises Corrupt ``evidence_broken`` when it is opened or read.
    """

    def __init__(self, file: BinaryIO, key: SM4Key, name: bytes, where: str) -> None:
        super().__init__()
        self._file, self._key, self._name, self._where = file, key, name, where
        size = file.seek(0, io.SEEK_END) - len(MARK)
        self._count, rest = -(-size // RECORD_BYTES), size % RECORD_BYTES
        self.size_bytes = size - self._count * OVERHEAD_BYTES
        file.seek(0)
        whole = size > 0 and (rest == 0 or rest > OVERHEAD_BYTES or (rest == OVERHEAD_BYTES and self._count == 1))
        if file.read(len(MARK)) != MARK or not whole:
            raise self._broken("the file does not begin or does not end as it was sealed")
        self._place = 0
        self._opened: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size_bytes}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # the library says Buffer, passes this
        number, start = divmod(self._place, CHUNK_BYTES)
        part = self._chunk(number)[start : start + len(buffer)] if self._place < self.size_bytes else b""
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()

    def chunks(self) -> Iterator[bytes]:
        """All bytes in order, chunk by chunk."""
        return map(self._chunk, range(self._count))

    def _chunk(self, number: int) -> bytes:
        if self._opened[0] != number:
            self._file.seek(len(MARK) + number * RECORD_BYTES)
            record = self._file.read(RECORD_BYTES)
            try:
                chunk = open_sealed(self._key, record, _aad(self._name, number, last=number == self._count - 1))
            except Corrupt:
                raise self._broken(f"part {number + 1} of {self._count} is not the one that was sealed there") from None
            self._opened = (number, chunk)
        return self._opened[1]

    def _broken(self, what: str) -> Corrupt:
        remedy = "restore it from its backup and keep the changed one; importing the same file again stores it again"
        return Corrupt("evidence_broken", what, field=self._where, remedy=remedy)


def _chunks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for block in blocks:
        waiting += block
        while len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting[:CHUNK_BYTES])
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)


def _aad(name: bytes, number: int, *, last: bool) -> bytes:
    return aad_of(b"carbon-ledger/sealed-file/1", name, number.to_bytes(8, "big"), bytes([last]))
