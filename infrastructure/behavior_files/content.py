"""The bytes of a behavior file: digested once, then read again in blocks, and the same bytes each time.

Keeps: memory is bounded whatever the file holds, also by one endless line; line numbers stay exact; a file that is
written to or replaced after its digest was taken is noticed before the rows read from it are handed on.
Leaves to others: what the bytes mean.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from application.ports.behavior_source import ParsedRow, RefusedRow
from domain.behavior import COLUMNS, malformed
from domain.errors import LedgerError, Rejected, Unavailable

BLOCK_BYTES: Final = 1 << 17
MAX_RECORD_BYTES: Final = 1 << 16
"""A row is a few hundred bytes. The bound keeps one unclosed quote or missing line end from eating the file."""
HEAD_BYTES: Final = MAX_RECORD_BYTES + 16
"""Enough to find a byte order mark and a whole header."""

_RAW_CHARACTERS: Final = 4_096
_NO_COLUMNS: Final = ("",) * len(COLUMNS)


class _Identity(NamedTuple):
    """What changes when a file is written to or replaced."""

    device: int
    inode: int
    size: int
    modified_ns: int


class Content:
    """Bytes of known length and SM3 digest that can be read again and again.

    ``head`` is their beginning, ``HEAD_BYTES`` or a block more, or all of them. ``path``: what messages name.
    """

    path: Path
    digest: str
    size_bytes: int
    bytes_read = 0
    head = b""

    def blocks(self) -> Iterator[bytes]:
        """All bytes from the start, in blocks; each is handed on only while they are still the same."""
        raise NotImplementedError

    def reading(self) -> BinaryIO:
        """A file over the bytes, for one more pass."""
        raise NotImplementedError

    def check_unchanged(self, file: BinaryIO) -> None:
        """Raise ``Rejected`` ``file_changed`` unless the open file has these bytes."""
        raise NotImplementedError

    def whole_lines(self) -> Iterator[bytes]:
        """All bytes, cut after line ends (LF); only the last piece may lack one.

        Of a line longer than ``MAX_RECORD_BYTES`` at least that many bytes and one more come out, never all of an
        endless one; so the reader can tell that it is too long.
        """
        begun = b""
        for block in self.blocks():
            end = block.rfind(b"\n") + 1
            if end:
                yield begun + block[:end]
                begun = block[end:]
            else:
                begun = (begun + block)[: MAX_RECORD_BYTES + 1]
        if begun:
            yield begun


class FileContent(Content):
    """A regular file, its length and its SM3 digest, taken in one streaming pass when it is opened.

    Raises ``Rejected`` (``file_not_found``, ``not_a_file``, ``file_empty``, ``file_changed``) or ``Unavailable``
    (``file_unreadable``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identity_of_regular_file(path)
        if self._identity.size == 0:
            raise Rejected("file_empty", "the file is empty", field=str(path), remedy="name a file with behaviors")
        digest = hashlib.new("sm3")
        for block in self.blocks():
            if len(self.head) < HEAD_BYTES:
                self.head += block
            digest.update(block)
        self.digest = digest.hexdigest()
        self.size_bytes = self._identity.size

    def blocks(self) -> Iterator[bytes]:
        """All bytes from the start, in blocks; each is handed on only while the file is still the same."""
        self.bytes_read = 0
        with self.reading() as file:
            while block := self._read(file):
                self.check_unchanged(file)
                self.bytes_read += len(block)
                yield block
        if self.bytes_read != self._identity.size:
            raise _changed(self.path)

    def reading(self) -> BinaryIO:
        """The file, opened for one more pass."""
        try:
            file = self.path.open("rb", buffering=0)
        except FileNotFoundError as error:
            raise _changed(self.path) from error
        except OSError as error:
            raise _unreadable(self.path, error) from error
        try:
            self.check_unchanged(file)
        except LedgerError:
            file.close()
            raise
        return file

    def check_unchanged(self, file: BinaryIO) -> None:
        """Raise ``Rejected`` ``file_changed`` unless the open file is what it was when it was first looked at."""
        if _identity(os.fstat(file.fileno())) != self._identity:
            raise _changed(self.path)

    def _read(self, file: BinaryIO) -> bytes:
        try:
            return file.read(BLOCK_BYTES)
        except OSError as error:
            raise _unreadable(self.path, error) from error


class StoredContent(Content):
    """Bytes that lie in a store, which vouches for them: ``opened`` gives a file over them each time it is asked."""

    def __init__(self, path: Path, digest: str, size_bytes: int, opened: Callable[[], BinaryIO]) -> None:
        self.path, self.digest, self.size_bytes = path, digest, size_bytes
        self._opened = opened
        with self.reading() as file:
            self.head = file.read(HEAD_BYTES)

    def blocks(self) -> Iterator[bytes]:
        self.bytes_read = 0
        with self.reading() as file:
            while block := file.read(BLOCK_BYTES):
                self.bytes_read += len(block)
                yield block

    def reading(self) -> BinaryIO:
        return self._opened()

    def check_unchanged(self, file: BinaryIO) -> None:
        """Nothing to do: what is not as it was stored does not open."""


def in_batches(pieces: Iterable[list[ParsedRow]], batch_rows: int) -> Iterator[list[ParsedRow]]:
    """The same rows in the same order, ``batch_rows`` at a time."""
    if batch_rows < 1:
        raise ValueError(f"a batch has at least one row, not {batch_rows}")
    waiting: list[ParsedRow] = []
    for piece in pieces:
        waiting += piece
        whole = len(waiting) - len(waiting) % batch_rows
        for start in range(0, whole, batch_rows):
            yield waiting[start : start + batch_rows]
        del waiting[:whole]
    if waiting:
        yield waiting


def refused_whole(line: int, raw: bytes | str, message: str, remedy: str, *, field: str = "") -> RefusedRow:
    """A row that could not be taken apart: its sender gets its text back, in no column that could be imported."""
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")
    return RefusedRow(malformed(line, field, message, remedy), _NO_COLUMNS, text.rstrip("\r")[:_RAW_CHARACTERS])


def refused_too_long(line: int, raw: bytes) -> RefusedRow:
    """A row over the bound; only its beginning is kept."""
    return refused_whole(
        line,
        raw[:_RAW_CHARACTERS],
        f"the row is longer than {MAX_RECORD_BYTES} bytes; only its beginning is kept here",
        "check its line ends and quotes, or shorten its further columns",
    )


def refused_encoding(line: int, raw: bytes) -> RefusedRow:
    """A row that is no UTF-8; its text shows every wrong byte as an escape."""
    return refused_whole(
        line,
        raw,
        "the row is not valid UTF-8; wrong bytes are shown as \\x escapes",
        "save the file as UTF-8; Chinese text may have been saved as GBK",
    )


def _identity_of_regular_file(path: Path) -> _Identity:
    # Looked at before it is opened: opening a pipe would wait for its writer.
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise Rejected(
            "file_not_found", "there is no such file", field=str(path), remedy="check the path and its spelling"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        remedy = "name one regular file; it is read twice, so a pipe must be saved to a file first"
        raise Rejected("not_a_file", f"this is {kind}", field=str(path), remedy=remedy)
    return _identity(status)


def _identity(status: os.stat_result) -> _Identity:
    return _Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _changed(path: Path) -> Rejected:
    return Rejected(
        "file_changed",
        "the file changed while it was read",
        field=str(path),
        remedy="wait until its writer has finished, then import it again; rows already credited become duplicates",
    )


def _unreadable(path: Path, error: OSError) -> Unavailable:
    reason = error.strerror or type(error).__name__
    remedy = "check the permissions of the file and its folders, and the disk"
    return Unavailable("file_unreadable", f"the file cannot be read: {reason}", field=str(path), remedy=remedy)
