"""A connection to the service: uvicorn's, over the compiled parser, with bounds on what comes and on how it is read.

Keeps: whoever sends a head that is too long, too slow or none at all is answered with a problem, as everybody is, and
loses the connection; before a head is whole nothing of it reaches the application. Who reads no answers is cut off.
Source: RFC 9110 15.5 (400, 408), RFC 6585 5 (431).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from domain.errors import Rejected
from interfaces.http import logs
from interfaces.http.gate import HEADERS, REQUEST_ID
from interfaces.http.problems import problem_of

MOST_HEAD_BYTES: Final = 16_384
HEAD_S: Final = 10.0
READER_S: Final = 20.0
"""How long a reader may leave an answer lying before the connection is cut."""
MOST_WAITING: Final = 16
"""Requests of one connection behind the one that is answered."""
MOST_CONNECTIONS: Final = 800
"""Of one process."""
_LINE_OVERHEAD: Final = len(b": \r\n")
_MOST_WIRE_BYTES_PER_BYTE: Final = 8
"""A chunk of one byte takes six."""

_MALFORMED: Final = Rejected("head_malformed", "this is no HTTP request", remedy="send HTTP/1.1 as RFC 9112 says")
_TOO_LARGE: Final = Rejected(
    "head_too_large",
    "the head of the request is too large",
    remedy=f"send at most {MOST_HEAD_BYTES} bytes before the body",
)
_SLOW: Final = Rejected(
    "head_slow", "the head of the request did not arrive in time", remedy=f"send it within {HEAD_S:.0f} s"
)


class Connection(HttpToolsProtocol):
    """One connection, for as many requests as come over it."""

    _is_within_head = False
    """A head has begun and is not whole."""
    _unfinished_bytes = 0
    """What came of it since, but for its first piece, which may hold the end of what was before it."""
    _clock: asyncio.TimerHandle | None = None
    _wire_bytes = 0
    """What came since the head of the request at hand was whole, as it came."""
    _body_bytes = 0
    """What of it is body."""

    _reader_clock: asyncio.TimerHandle | None = None
    _under_way: RequestResponseCycle | None = None
    """The request that is answered; others may wait behind it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MOST_CONNECTIONS:
            self.transport.abort()
            return
        self._clock = self.loop.call_later(HEAD_S, self._on_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        self._stop_reader_clock()
        self._leave_unanswered()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More of an answer waits than the connection takes: whoever reads so slowly holds a request under way."""
        super().pause_writing()
        self._reader_clock = self.loop.call_later(READER_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_reader_clock()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), MOST_HEAD_BYTES):
            self._read(data[start : start + MOST_HEAD_BYTES])

    def _read(self, piece: bytes) -> None:
        if self.transport.is_closing():
            return
        was_within = self._is_within_head
        self._wire_bytes += len(piece)
        super().data_received(piece)
        if self.transport.is_closing():
            return
        if not self._is_within_head:
            # Chunks have lengths, and may have words of their own and fields behind them, of whatever size.
            if self._wire_bytes > MOST_HEAD_BYTES * 2 + self._body_bytes * _MOST_WIRE_BYTES_PER_BYTE:
                self._refuse(_TOO_LARGE)
            return
        if self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._on_slow)
        if was_within:
            self._unfinished_bytes += len(piece)
            if self._unfinished_bytes > MOST_HEAD_BYTES:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_within_head, self._unfinished_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_within_head:
            super().on_header(name, value)
        # Fields behind a body would else be taken for the head's, past whoever judged the head on its way here.

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + _LINE_OVERHEAD for name, value in self.headers)
        if size > MOST_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
            raise ValueError("the head is too large")  # ends the parser's work
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError("what came before HTTP/1.0 has no status to be told")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            raise ValueError("RFC 9112 3.2: one host")
        self._is_within_head = False
        if len(self.pipeline) >= MOST_WAITING:
            self._leave_unanswered()
            self.transport.close()
            raise ValueError("too many requests wait for the answer to the one before them")
        self._wire_bytes = self._body_bytes = 0
        self._stop_clock()
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._under_way = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """The parser found no request, or was ended."""
        if not self.transport.is_closing():
            self._refuse(_MALFORMED)

    def _on_slow(self) -> None:
        self._clock = None
        if self._is_within_head:
            self._refuse(_SLOW)
        else:
            self.transport.close()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _leave_unanswered(self) -> None:
        """What is said from now on to the request under way is said to nobody, and is no defect."""
        if self._under_way is not None:
            self._under_way.disconnected = True

    def _stop_reader_clock(self) -> None:
        if self._reader_clock is not None:
            self._reader_clock.cancel()
            self._reader_clock = None

    def _refuse(self, why: Rejected) -> None:
        """Nothing more is read. An answer that is under way is left as it is: ours would stand in the middle of it."""
        if self._under_way is None or self._under_way.response_complete:
            request_id = uuid.uuid4().hex
            answer = problem_of(why, request_id)
            headers = {**HEADERS, REQUEST_ID: request_id, "connection": "close"}
            told = [(name.encode(), value.encode()) for name, value in headers.items()]
            lines = [b"%s: %s\r\n" % each for each in (*answer.raw_headers, *told)]
            self.transport.write(b"".join((STATUS_LINE[answer.status_code], *lines, b"\r\n", answer.body)))
            logs.note("refused_head", logging.INFO, request_id=request_id, code=why.code)
        else:
            self._leave_unanswered()
        self.transport.close()
