"""Commands that run until somebody ends them.

Keeps: SIGTERM or Ctrl-C lets the step that is under way finish, and the command answers as a finished one; a second one
ends it at once, as any other command.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether the command was asked to end."""

    def __init__(self, reading: int) -> None:
        self._reading = reading

    def wait(self, seconds: float) -> bool:
        """Sleep; True as soon as the command is asked to end. The request stays."""
        return bool(select.select([self._reading], [], [], seconds)[0])


@contextmanager
def stoppable() -> Iterator[Stop]:
    """For as long as the block lasts. Outside the main thread nothing is heard."""
    reading, writing = os.pipe()
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def asked(number: int, frame: FrameType | None) -> None:
        # A byte in a pipe, and no lock: a handler may run between any two instructions, of a waiting thread too.
        os.write(writing, b"x")
        restore()

    try:
        with suppress(ValueError):
            for each in _SIGNALS:
                before[each] = signal.signal(each, asked)
        yield Stop(reading)
    finally:
        restore()
        os.close(reading)
        os.close(writing)
