"""Where what is uploaded lies until it is imported: private files of the home, gone when that is done.

Keeps: files are their owner's alone (0600, in a folder 0700). What a killed process left goes with the next upload,
once it is a day old.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_LEFT_SECONDS: Final = 24 * 60 * 60


class Uploads:
    """``folder``: made when something is uploaded first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def file(self, suffix: str, now_s: float) -> Iterator[tuple[Path, IO[bytes]]]:
        """An empty file to write and read by its name, until the block ends. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for left in self._folder.iterdir():
            if left.stat().st_mtime < now_s - _LEFT_SECONDS:
                left.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(suffix, dir=self._folder)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)
