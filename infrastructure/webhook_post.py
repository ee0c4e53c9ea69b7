"""Sending messages over HTTP, to allowed places and no others (port ``application.ports.webhooks.Post``).

Keeps: a name is resolved here, what it leads to is judged, and that address is connected to, so that nobody can turn a
name round in between; nothing follows a redirect, and no proxy of the environment is used; of an answer some
kilobytes are read at most; whatever takes longer than it may is cut off, however slowly it drips.
Python's own client does all that is asked of one here, and leaves connecting to us.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Final

from application.ports.webhooks import Answer
from domain.errors import Rejected
from domain.webhook_targets import Place, place_of, refuses_address
from infrastructure.clock import system_seconds

_MOST_ANSWER_BYTES: Final = 4_096
_MOST_ADDRESSES: Final = 4
_CONNECT_S: Final = 5.0


class WebPost:
    """``answer_s``: how long one message may take from the first byte of the connection to the last of the answer."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[float, socket.socket]] = {}
        self._cut = set[int]()
        self._tls = ssl.create_default_context()
        # The common name says what people call it, not where it is (RFC 9525).
        self._tls.hostname_checks_common_name = False

    def line(self, url: str, *, is_private: bool) -> WebLine:
        """A connection to a place, made when it is needed. Raises Rejected ``target_malformed``."""
        return WebLine(self, place_of(url), is_private=is_private)

    def expire(self, *, everything: bool = False) -> None:
        """End what takes longer than it may."""
        now = time.monotonic()
        with self._lock:
            late = {key: each for key, (until, each) in self._under_way.items() if everything or until < now}
            self._cut |= late.keys()
        for each in late.values():
            with suppress(OSError):
                # Not its own way: a TLS socket would go on in clear text for a moment.
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    @contextmanager
    def watched(self, sock: socket.socket) -> Iterator[None]:
        """An exchange that may be cut off. Raises TimeoutError where it was, however it looked to who was in it."""
        key = id(sock)
        with self._lock:
            self._under_way[key] = (time.monotonic() + self._answer_s, sock)
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[key]
                was_cut = key in self._cut
                self._cut.discard(key)
            if was_cut:
                raise TimeoutError

    def connected(self, place: Place, *, is_private: bool) -> socket.socket:
        """A socket to a judged address of a place. Raises Rejected ``address_refused``, OSError."""
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        is_plain = place.scheme == "http"
        if any(refuses_address(str(at[0]), is_private=is_private, is_plain=is_plain) for _, at in addresses):
            raise Rejected("address_refused", "the name leads to a network that nothing is sent to")
        failed: OSError = OSError("the name has no address")
        for family, address in addresses[:_MOST_ADDRESSES]:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(min(_CONNECT_S, self._answer_s))
                sock.connect(address)
                sock.settimeout(self._answer_s)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock if is_plain else self._secured(sock, place.host)
            except OSError as error:
                sock.close()
                failed = error
        raise failed

    def _secured(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        secured = self._tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        try:
            with self.watched(secured):
                secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured


class _Connection(http.client.HTTPConnection):
    """One that is connected by ``WebPost`` alone."""

    def __init__(self, post: WebPost, place: Place, *, is_private: bool) -> None:
        # What the port is by default is left out of the header Host.
        self.default_port = 443 if place.scheme == "https" else 80
        super().__init__(place.host, place.port)
        self._post, self._place, self._is_private = post, place, is_private

    def connect(self) -> None:
        self.sock = self._post.connected(self._place, is_private=self._is_private)


class WebLine:
    """Port ``application.ports.webhooks.Line``; used by one thread."""

    def __init__(self, post: WebPost, place: Place, *, is_private: bool) -> None:
        self._post, self._place, self._is_private = post, place, is_private
        self._connection: _Connection | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a message; a connection that the receiver closed meanwhile is made anew once."""
        is_kept = self._connection is not None
        try:
            return self._exchange(body, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self.close()
            if not is_kept:
                return Answer(0, _named(error))
        except (OSError, http.client.HTTPException, Rejected, ValueError) as error:
            self.close()
            return Answer(0, _named(error))
        return self.post(body, headers)

    def close(self) -> None:
        """Until the next message."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        if self._connection is None:
            self._connection = _Connection(self._post, self._place, is_private=self._is_private)
        connection = self._connection
        if connection.sock is None:
            connection.connect()
        # What is cut off within its headers looks like a whole answer, and elsewhere like a lost connection.
        with self._post.watched(connection.sock):
            connection.request("POST", self._place.path, body, dict(headers))
            response = connection.getresponse()
            response.read(_MOST_ANSWER_BYTES)
            is_read = response.isclosed()
            answer = Answer(response.status, _error_of(response.status), _patience(response.getheader("retry-after")))
        if not is_read:
            # Whatever else it has to say, nobody listens.
            self.close()
        return answer


def _error_of(status: int) -> str:
    return "" if 200 <= status < 300 else f"status_{status}"


def _named(error: Exception) -> str:
    """What went wrong, in one word: messages of the system name machines."""
    if isinstance(error, Rejected):
        return error.code
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (socket.gaierror, "name_unresolved"),
        (TimeoutError, "timed_out"),
        (ssl.SSLError, "tls_failed"),
        (ConnectionRefusedError, "connection_refused"),
        (OSError, "connection_lost"),
    )
    return next((name for kind, name in kinds if isinstance(error, kind)), "answer_malformed")


def _patience(text: str | None) -> int | None:
    """Seconds of a header Retry-After: a number, or a time; None for what is neither."""
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        return min(int(text.strip()[:9]), 1 << 30)
    try:
        return max(int(parsedate_to_datetime(text).timestamp()) - system_seconds(), 0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
