"""Answers that are kept so that the same request gets the same one: a private file for each caller's key.

Keeps: a file says that an act has begun before it is done, and what was answered after it; whoever finds it begun and
held by nobody knows that its outcome is not known. A file is held by one process at a time, and given up by one that
dies. Names of files are digests, of requests there is a salted digest alone.
Leaves to others: what is done, and what is told.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from domain.digest import sm3_hex


class Kept:
    """What is kept for one key, while it is held. ``answer``: None where nothing was answered."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        first, whole, second = file.read().partition(b"\n")
        if not whole:
            # A crash before the act: nothing was begun.
            first = b""
            file.seek(0)
            file.truncate()
        self._told: dict[str, Any] | None = json.loads(first) if first else None
        self._answer: dict[str, Any] | None = json.loads(second) if second.endswith(b"\n") else None

    @property
    def is_new(self) -> bool:
        """Nobody used this key before."""
        return self._told is None

    @property
    def answer(self) -> dict[str, Any] | None:
        """What was answered; None where that is not known."""
        return self._answer

    def is_of(self, request: bytes) -> bool:
        """Whether it was the same request."""
        return self._told is not None and self._told["request"] == sm3_hex(bytes.fromhex(self._told["salt"]) + request)

    def begin(self, request: bytes) -> None:
        """Durable before the act is done."""
        salt = secrets.token_bytes(16)
        self._told = {"salt": salt.hex(), "request": sm3_hex(salt + request)}
        self._write(self._told)

    def finish(self, answer: dict[str, Any]) -> None:
        """The act was done, and this is the answer to it."""
        self._answer = answer
        self._write(answer)

    def forget(self) -> None:
        """Nothing was done."""
        self._path.unlink(missing_ok=True)

    def _write(self, told: dict[str, Any]) -> None:
        # A line more: what a crash cuts off has no end and reads as not known.
        self._file.write(json.dumps(told).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


class AnsweredOnce:
    """``folder``: made when a key is used first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def holding(self, caller: str, key: str) -> Iterator[Kept | None]:
        """What is kept for a key of a caller, until the block ends; None where somebody else holds it."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / sm3_hex(json.dumps([caller, key]).encode())
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it may have forgotten it meanwhile: then this file is nobody's any more.
                held = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.lstat())
            except (BlockingIOError, FileNotFoundError):
                held = False
            yield Kept(file, path) if held else None

    def expire(self, before_s: float) -> None:
        """Forget what was kept before this time (seconds since 1970)."""
        for each in self._folder.glob("*"):
            if each.stat().st_mtime < before_s:
                each.unlink(missing_ok=True)
