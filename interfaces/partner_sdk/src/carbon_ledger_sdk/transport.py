"""HTTP/1.1 by Python's own library: connections are kept for a while and shared by threads. No redirect is followed."""

from __future__ import annotations

import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from queue import Empty, LifoQueue
from typing import Final
from urllib.parse import urlsplit

from carbon_ledger_sdk.errors import Misused
from carbon_ledger_sdk.flow import Lost
from carbon_ledger_sdk.protocol import HttpAnswer, HttpRequest

_IDLE_S: Final = 3.0
"""An idle connection is used that long: servers end theirs after some seconds, often just when it is used again."""
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024


class Transport:
    """One service. ``base_url``: with a path where a proxy that takes it away again wants one."""

    def __init__(self, base_url: str, timeout_s: float, context: ssl.SSLContext | None) -> None:
        """Raises Misused ``address_malformed``."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise Misused("address_malformed", "not an http or https address", field="base_url")
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._context = (context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._idle: LifoQueue[tuple[float, HTTPConnection]] = LifoQueue()

    def exchange(self, request: HttpRequest) -> HttpAnswer | Lost:
        """Send, and wait for the answer."""
        connection = self._connection()
        try:
            connection.request(request.method, self._prefix + request.path, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read(_MAX_ANSWER_BYTES + 1)
            if len(body) > _MAX_ANSWER_BYTES:
                raise HTTPException("the answer is too long")
        except (OSError, HTTPException) as error:
            connection.close()
            return Lost(f"{type(error).__name__}: {error}")
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._idle.put((time.monotonic(), connection))
        return HttpAnswer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)

    def close(self) -> None:
        """End the idle connections."""
        while True:
            try:
                self._idle.get_nowait()[1].close()
            except Empty:
                return

    def _connection(self) -> HTTPConnection:
        while True:
            try:
                since, connection = self._idle.get_nowait()
            except Empty:
                break
            if time.monotonic() - since < _IDLE_S:
                return connection
            connection.close()
        if self._context is not None:
            return HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._context)
        return HTTPConnection(self._host, self._port, timeout=self._timeout_s)
