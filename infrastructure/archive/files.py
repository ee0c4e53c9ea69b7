"""Files that are there whole or not at all, their digests, and the lock of whoever writes.

Keeps: a file appears under its name only when all its bytes are on disk; one process at a time changes the archive.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from domain.digest import new_sm3
from domain.errors import Unavailable

UNFINISHED = ".unfinished"
_READ_BYTES = 1 << 20


class DurableFile(io.RawIOBase):
    """A new file that is written in order; ``size_bytes`` and ``sm3`` are those of what was handed to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(path.name + UNFINISHED)
        self._file = os.fdopen(os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._state = new_sm3()
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._state.update(view)
        self._file.write(view)
        self.size_bytes += len(view)
        return len(view)

    @property
    def sm3(self) -> str:
        return self._state.hexdigest()

    def finish(self) -> None:
        """Make it durable under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._unfinished.replace(self._path)
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Without ``finish`` nothing stays under the name."""
        self._file.close()
        super().close()


def write_durably(path: Path, content: bytes) -> None:
    """Replace a small file as a whole."""
    with DurableFile(path) as file:
        file.write(content)
        file.finish()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> tuple[int, str]:
    """Size in bytes and SM3 of a file."""
    state, size = new_sm3(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_READ_BYTES):
            state.update(block)
            size += len(block)
    return size, state.hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock file, then hold it. A process that dies lets it go."""
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What the file system refuses becomes Unavailable ``archive_unusable``."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "archive_unusable",
            f"{error.filename or path}: {error.strerror or error}",
            remedy="check the disk and the permissions of the home folder; nothing in the log is affected",
        ) from error
