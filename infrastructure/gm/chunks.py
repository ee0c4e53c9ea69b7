"""Bytes of any length as a row of sealed chunks, written in one pass, read from anywhere (the STREAM construction).

Every chunk has the same length but the last, which may be shorter, and empty only where there is nothing at all. How
one is sealed is the caller's: with its number and whether it is the last, so that chunks cannot be changed, exchanged,
left out, repeated or added.

Keeps: one chunk is in memory; nothing leaves that was not authentic.
Leaves to the caller: keys, what stands before the chunks, and what else they are bound to.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from domain.errors import Corrupt, LedgerError

SealOne = Callable[[bytes, int, bool], bytes]
"""A chunk, its number from 0, whether it is the last -> its record; or the other way round."""


class Sizes(NamedTuple):
    """How long a chunk is at most, and how much longer its record."""

    chunk_bytes: int
    overhead_bytes: int

    @property
    def record_bytes(self) -> int:
        return self.chunk_bytes + self.overhead_bytes


class Sink(Protocol):
    """Where records are written to."""

    def write(self, content: bytes, /) -> object: ...


class ChunkSealer:
    """What is written to it is written on as sealed records; complete only after ``finish``."""

    def __init__(self, file: Sink, chunk_bytes: int, seal_one: SealOne) -> None:
        self._file, self._chunk_bytes, self._seal_one = file, chunk_bytes, seal_one
        self._waiting, self._number = bytearray(), 0

    def write(self, block: bytes) -> int:
        """The next bytes, as many as there are."""
        self._waiting += block
        # Only what follows a chunk tells that it is not the last: a whole one is held back.
        while len(self._waiting) > self._chunk_bytes:
            self._put(last=False)
        return len(block)

    def flush(self) -> None:
        """Nothing: a chunk is written when it is full."""

    def finish(self) -> None:
        """The last chunk."""
        self._put(last=True)

    def _put(self, *, last: bool) -> None:
        with memoryview(self._waiting) as waiting:
            chunk = bytes(waiting[: self._chunk_bytes])
        del self._waiting[: self._chunk_bytes]
        self._file.write(self._seal_one(chunk, self._number, last))
        self._number += 1


class ChunkedFile(io.RawIOBase):
    """What was sealed, as a file to read. ``file`` is closed with it; the records stand from ``start`` to its end.

    ``broken``: the error to raise for what is not as it was sealed, by what is wrong.
    """

    def __init__(
        self, file: BinaryIO, start: int, sizes: Sizes, open_one: SealOne, broken: Callable[[str], LedgerError]
    ) -> None:
        super().__init__()
        self._file, self._start, self._sizes = file, start, sizes
        self._open_one, self._broken = open_one, broken
        size = file.seek(0, io.SEEK_END) - start
        self._count, rest = -(-size // sizes.record_bytes), size % sizes.record_bytes
        self.size_bytes = size - self._count * sizes.overhead_bytes
        least = sizes.overhead_bytes
        if not (size > 0 and (rest == 0 or rest > least or (rest == least and self._count == 1))):
            raise broken("the file does not end as it was sealed")
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
        number, start = divmod(self._place, self._sizes.chunk_bytes)
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
            self._file.seek(self._start + number * self._sizes.record_bytes)
            record, last = self._file.read(self._sizes.record_bytes), number == self._count - 1
            try:
                self._opened = (number, self._open_one(record, number, last))
            except Corrupt:
                raise self._broken(self._wrong(record, number, last=last)) from None
        return self._opened[1]

    def _wrong(self, record: bytes, number: int, *, last: bool) -> str:
        """What is wrong with a record that does not open: it may be whole, in a file that was cut or made longer."""
        try:
            self._open_one(record, number, not last)
        except Corrupt:
            return f"part {number + 1} of {self._count} is not the one that was sealed there"
        return "the file was cut: its end is missing" if last else "something was added behind its end"
