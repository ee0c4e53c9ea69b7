"""File locks that the kernel releases when their holder dies, however it dies.

Keeps: each lock is an open file of its own, so two users inside one process count as two; a child made by ``fork``
shares its parent's lock and never lets go of it; a lock handed to a started program is held until it and all its
children are gone.
Leaves to others: what the locks protect.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from domain.errors import Unavailable

_PAUSE_SECONDS = 0.02


class FileLock:
    """One flock on one file: free, shared or exclusive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._process = 0

    @property
    def held(self) -> bool:
        """Whether this process itself took the lock and still has it."""
        return self._file >= 0 and self._process == os.getpid()

    def share(self, seconds: float) -> None:
        """Take the lock shared; Unavailable ``home_busy`` after the given time."""
        self._take(fcntl.LOCK_SH, seconds)

    def exclude(self, seconds: float) -> None:
        """Take the lock alone; Unavailable ``home_busy`` after the given time."""
        self._take(fcntl.LOCK_EX, seconds)

    def try_exclude(self) -> bool:
        """Take the lock alone if that is possible at once; if not, a shared lock that was held is lost."""
        if not self.held:
            self._open()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True

    def fileno(self) -> int:
        """The open file, to be inherited by a program that shall hold the lock."""
        return self._file

    def hand_over(self) -> None:
        """Leave the lock to the program that inherited the file."""
        os.close(self._file)
        self._file = -1

    def release(self) -> None:
        """Let go; in a forked child only the child's copy of the file is closed."""
        if self._file < 0:
            return
        if self._process == os.getpid():
            # A forked child may still hold a copy of the file, so closing alone would not free the lock.
            fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
        self._file = -1

    def _open(self) -> None:
        self.release()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self._process = os.getpid()

    def _take(self, kind: int, seconds: float) -> None:
        self._open()
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self._file, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self.release()
                    raise Unavailable(
                        "home_busy",
                        f"another process is starting or stopping the database of {self._path.parent.parent}",
                        remedy="wait for it to finish and try again",
                    ) from None
                time.sleep(_PAUSE_SECONDS)
