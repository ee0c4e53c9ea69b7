"""Files that hold secrets: readable by their owner alone, whole or not there."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from domain.errors import Unavailable
from infrastructure.whole_files import write_whole


def read_private(path: Path) -> bytes:
    """Raises Unavailable ``key_missing``, ``key_exposed``."""
    try:
        with path.open("rb") as file:
            # Of the open file: what was looked at is what is read.
            exposed = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            content = file.read()
    except OSError as error:
        raise Unavailable(
            "key_missing",
            f"cannot read {path}: {error.strerror}",
            remedy="put back the key files of this book from their backup: nothing else can open what they sealed; "
            "where there is no book yet, make the file first, as docs/OPERATING.md says",
        ) from error
    if exposed:
        raise Unavailable("key_exposed", f"{path} can be read by others", remedy=f"chmod 600 {shlex.quote(str(path))}")
    return content


def refuse_writable(folder: Path) -> None:
    """Others must not be able to put files in the place of a folder's. Raises Unavailable ``key_exposed``."""
    if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        raise Unavailable(
            "key_exposed",
            f"others can put files into {folder}",
            field=str(folder),
            remedy=f"chmod 700 {shlex.quote(str(folder))}; if others could use it, look for what they changed",
        )


def write_private(path: Path, content: bytes) -> None:
    """Mode 0600, durable; who reads meanwhile sees the old content or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, content, 0o600)
