"""Bodies on their way: how many there may be, and how much of them is in memory, of one process.

Keeps: a body takes none of the places of requests that are answered; whoever shows no credentials has a quarter of the
places for bodies, and whose credentials nobody looked at have a half together, so that callers are served while
strangers send as slowly as they like; what is in memory is bounded, however many send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.datastructures import Headers

from domain.errors import Unavailable
from domain.partner_protocol import KEY

MOST_BYTES: Final = 64 * 1024 * 1024
_SHOWN: Final = ("authorization", "cookie", KEY)


def shows_credentials(headers: Headers) -> bool:
    """Whether there is something to believe; nobody looked at it yet."""
    return any(name in headers for name in _SHOWN)


class Arriving:
    """``most``: bodies on their way. ``knows``: whether the token in a header ``authorization`` is a good one."""

    def __init__(self, most: int, knows: Callable[[str], bool]) -> None:
        self._most, self._knows = most, knows
        self._all = self._unknown = self._strangers = self._bytes = 0

    @contextmanager
    def place(self, headers: Headers) -> Iterator[None]:
        """While a body comes. Raises Unavailable ``service_busy``."""
        is_stranger = not shows_credentials(headers)
        # Looking costs as much as a small request: it is done where it makes a difference.
        is_known = (
            not is_stranger and self._unknown >= self._most // 2 and self._knows(headers.get("authorization", ""))
        )
        if (
            self._all >= self._most
            or (not is_known and self._unknown >= max(1, self._most // 2))
            or (is_stranger and self._strangers >= max(1, self._most // 4))
        ):
            raise _busy("too many bodies are on their way")
        self._all, self._unknown = self._all + 1, self._unknown + (not is_known)
        self._strangers += is_stranger
        try:
            yield
        finally:
            self._all, self._unknown = self._all - 1, self._unknown - (not is_known)
            self._strangers -= is_stranger

    def hold(self, size: int) -> None:
        """So many more bytes are in memory. Raises Unavailable ``service_busy``."""
        if self._bytes + size > MOST_BYTES:
            raise _busy("too much is being sent at once")
        self._bytes += size

    def release(self, size: int) -> None:
        """They are not any more."""
        self._bytes -= size


def _busy(why: str) -> Unavailable:
    return Unavailable("service_busy", why, remedy="try again a little later")
