"""The answers that the service keeps for whoever sends a request again.

Keeps: what is older than a day is forgotten, now and then.
"""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from typing import Final

from interfaces.bootstrap.service import AnsweredOnce, KeptAnswer, system_seconds

KEPT_SECONDS: Final = 24 * 60 * 60
_EXPIRES_EVERY_S: Final = 3_600


class Answered:
    """``folder``: where they are kept."""

    def __init__(self, folder: AnsweredOnce) -> None:
        self._folder, self._lock, self._next_s = folder, threading.Lock(), 0.0

    def holding(self, caller: str, key: str) -> AbstractContextManager[KeptAnswer | None]:
        """As ``AnsweredOnce.holding``."""
        with self._lock:
            due = time.monotonic() >= self._next_s
            self._next_s = time.monotonic() + _EXPIRES_EVERY_S if due else self._next_s
        if due:
            self._folder.expire(system_seconds() - KEPT_SECONDS)
        return self._folder.holding(caller, key)
