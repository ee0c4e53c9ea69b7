"""What every request passes first and last: its id, its limits, log and metrics, the headers of its answer.

Keeps: nothing larger or slower than allowed reaches a route; not more requests are under way than allowed; every
answer has a request id and says to browsers that it is data and nothing else; whatever a route lets through becomes a
problem.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import Rejected, Unavailable
from domain.partner_protocol import KINDS
from interfaces.http import logs, problems
from interfaces.http.arriving import Arriving, shows_credentials
from interfaces.http.metrics import METHODS, Metrics
from interfaces.http.traces import Traces, identity_of_span

if TYPE_CHECKING:
    from opentelemetry.trace import Span

REQUEST_ID: Final = "x-request-id"
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_WITH_BODY: Final = {"POST", "PUT", "PATCH"}
_LOGGED_IDS: Final = ("account_id", "version", "position", "size", "old", "new")
_SHAPE_OF_ID: Final = re.compile(r"[0-9]{1,19}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_JSON: Final = "application/json"
_PROBES: Final = {"/healthz", "/readyz", "/metrics"}
HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_HSTS: Final = "max-age=31536000"


class Gate:
    """ASGI middleware around all routes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        traces: Traces,
        in_flight: int,
        arriving: Arriving,
        body_bytes: int,
        body_seconds: float,
        larger: Mapping[str, int],
        sealed: Collection[str],
        streamed: Mapping[str, tuple[str, int]],
    ) -> None:
        """``larger``: the paths that take larger bodies, and how large. ``sealed``: those that take sealed ones too.

        ``streamed``: those whose route reads the body itself, with its media type, and how large it may say that it is.
        """
        self._app, self._metrics, self._traces = app, metrics, traces
        self._larger, self._sealed, self._streamed = larger, sealed, streamed
        self._most, self._body_bytes, self._body_seconds = in_flight, body_bytes, body_seconds
        self._arriving = arriving
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passing = _Passing(scope, send)
        if scope["path"] not in _PROBES:
            passing.begin(self._traces)
        self._metrics.in_flight.inc()
        try:
            await self._answer(passing, scope, receive)
        finally:
            self._arriving.release(passing.held_bytes)
            self._metrics.in_flight.dec()
            self._tell(passing, scope)

    async def _answer(self, passing: _Passing, scope: Scope, receive: Receive) -> None:
        try:
            admitted = await self._admitted(passing, scope, receive)
            with self._place(scope):
                await self._app(scope, admitted, passing.send)
        except (Rejected, Unavailable) as error:
            await problems.problem_of(error, passing.request_id)(scope, receive, passing.send)
        except ClientDisconnect:
            return  # whoever sent it has gone, and hears nothing any more
        except Exception as error:  # a defect: it is told without its message, and others go on
            logs.defect(error, passing.request_id)
            if passing.status:
                raise  # the answer has begun: all that is left is to cut it off
            await problems.defect(passing.request_id)(scope, receive, passing.send)

    @contextmanager
    def _place(self, scope: Scope) -> Iterator[None]:
        """While a request is answered. Raises Unavailable ``service_busy``."""
        if self._under_way >= self._most and scope["path"] not in _PROBES:
            raise Unavailable("service_busy", "too many requests are under way", remedy="try again a little later")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _admitted(self, passing: _Passing, scope: Scope, receive: Receive) -> Receive:
        """Where a request that may go on is read from: its whole body is here, but where it is streamed."""
        headers = Headers(scope=scope)
        larger = self._larger if shows_credentials(headers) else {}
        media, most = self._streamed.get(scope["path"], (_JSON, larger.get(scope["path"], self._body_bytes)))
        told, is_streamed = headers.get("content-length", "0"), scope["path"] in self._streamed
        if not told.isascii() or not told.isdigit() or int(told) > most:
            raise _too_large(most)
        body = b""
        if not is_streamed and (told != "0" or "transfer-encoding" in headers):
            with self._arriving.place(headers):
                body = await self._body(passing, receive, most)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        kinds = KINDS if scope["path"] in self._sealed else (media,)
        if (body or is_streamed) and scope["method"] in _WITH_BODY and kind not in kinds:
            raise Rejected(
                "media_type_unsupported",
                f"the body is not said to be {'JSON' if media == _JSON else media}",
                field="content-type",
                remedy=f"send it with `content-type: {media}`",
            )
        return receive if is_streamed else _replayed(body, receive)

    async def _body(self, passing: _Passing, receive: Receive, most: int) -> bytes:
        try:
            return await asyncio.wait_for(self._read(passing, receive, most), self._body_seconds)
        except TimeoutError:
            raise Rejected(
                "body_slow", "the body did not arrive in time", remedy=f"send it within {self._body_seconds} s"
            ) from None

    async def _read(self, passing: _Passing, receive: Receive, most: int) -> bytes:
        parts, size = list[bytes](), 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""  # whoever asked has gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise _too_large(most)
            self._arriving.hold(len(parts[-1]))
            passing.held_bytes += len(parts[-1])
            if not message.get("more_body", False):
                return b"".join(parts)

    def _tell(self, passing: _Passing, scope: Scope) -> None:
        seconds = time.monotonic() - passing.began
        route, code = getattr(scope.get("route"), "path", ""), scope["state"].get("refused", "")
        self._metrics.answered(scope["method"], route, passing.status, seconds, code)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._traces.end(passing.span, method, route or "none", passing.status, code)
        caller = getattr(passing.state, "caller", None)
        logs.note(
            "request",
            logging.DEBUG if scope["path"] in _PROBES else logging.INFO,
            request_id=passing.request_id,
            method=scope["method"] if scope["method"].isalpha() else "?",
            route=route or "none",
            **_ids(scope.get("path_params", {})),
            status=passing.status,
            ms=round(seconds * 1000),
            by=None if caller is None else caller.name,
            roles=None if caller is None else sorted(caller.roles),
        )


def _too_large(most: int) -> Rejected:
    return Rejected("body_too_large", "the body is too large", remedy=f"send at most {most} bytes in one request")


class _Passing:
    """One request on its way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = Headers(scope=scope).get(REQUEST_ID, "")
        # A given id goes into logs and answers: only what is surely an id is taken over.
        self.request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        self.began, self.status, self.held_bytes = time.monotonic(), 0, 0
        self._send, self._is_tls = send, scope.get("scheme") == "https"
        self._scope = scope
        self.span: Span | None = None
        scope.setdefault("state", {})["request_id"] = self.request_id

    def begin(self, traces: Traces) -> None:
        """From here on it is traced, where traces are wanted."""
        self.span = self._scope["state"]["span"] = traces.begin(
            "request", Headers(scope=self._scope).get("traceparent", "")
        )

    @property
    def state(self) -> Any:
        return _Attributes(self._scope["state"])

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            if self.span is not None:
                headers["traceresponse"] = identity_of_span(self.span)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._is_tls:
                headers.setdefault("strict-transport-security", _HSTS)
        await self._send(message)


class _Attributes:
    """The state of a request as attributes."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def __getattr__(self, name: str) -> Any:
        try:
            return self._state[name]
        except KeyError:
            raise AttributeError(name) from None


def _ids(params: dict[str, Any]) -> dict[str, str]:
    """What may be logged of a path: what has the shape of an id, and nothing that only stands where one should."""
    told = {name: str(params[name]) for name in _LOGGED_IDS if name in params}
    return {name: value for name, value in told.items() if _SHAPE_OF_ID.fullmatch(value)}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body again; after it whatever the server has to say."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
