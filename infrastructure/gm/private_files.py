"""Files that hold secrets: readable by their owner alone, whole or not there."""

from __future__ import annotations

import os
import secrets
import shlex
import stat
from pathlib import Path

from domain.errors import Unavailable


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
            remedy="put back the key files of this book from their backup; nothing else can open what they sealed",
        ) from error
    if exposed:
        raise Unavailable("key_exposed", f"{path} can be read by others", remedy=f"chmod 600 {shlex.quote(str(path))}")
    return content


def write_private(path: Path, content: bytes) -> None:
    """Mode 0600, durable; who reads meanwhile sees the old content or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
