"""The service as a test calls it: in this process, on a free port, over real HTTP."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple

import uvicorn

from interfaces.bootstrap import Settings, open_ledger
from interfaces.bootstrap.service import ServiceSettings, dev_credentials
from interfaces.http import logs
from interfaces.http.app import create_app
from interfaces.http.identity import ROLES, Identity
from interfaces.http.server import Bind, config
from interfaces.http.service import Service
from interfaces.http.signing_in import SigningIn
from tests.e2e.cli_tools import CommandLine

SOON_S = 30


class Reply(NamedTuple):
    """An answer. ``body``: the JSON, else the text."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The code of a problem, which has everything that a problem has."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.body["status"] == self.status
        assert {"type", "title", "detail", "field", "remedy", "request_id"} <= set(self.body)
        assert self.body["request_id"] == self.headers["x-request-id"]
        found: str = self.body["code"]
        return found


class Served:
    """A service that runs. ``credentials``: one for each role."""

    def __init__(
        self, server: uvicorn.Server, service: Service, credentials: Mapping[str, str], log: io.StringIO
    ) -> None:
        self.port: int = server.servers[0].sockets[0].getsockname()[1]
        self.service, self.credentials, self._server, self._log = service, credentials, server, log

    def stop(self) -> None:
        """As a signal would: no more is taken, and what is under way is answered."""
        self._server.should_exit = True

    def __call__(
        self,
        path: str,
        role: str | None = None,
        *,
        method: str = "GET",
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask, as somebody in a role; ``body``: JSON, or bytes as they are."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("authorization", f"Bearer {self.credentials.get(role, role)}")
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None and not isinstance(body, bytes):
            sent.setdefault("content-type", "application/json")
        return exchange(self.port, path, method, content, sent)

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The lines of the service's log."""
        return [json.loads(line) for line in self._log.getvalue().splitlines()]

    @property
    def log_text(self) -> str:
        return self._log.getvalue()


def exchange(port: int, path: str, method: str, content: bytes | None, sent: Mapping[str, str]) -> Reply:
    """One request to a service of this machine, over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SOON_S)
    try:
        connection.request(method, path, content, dict(sent))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    kind = answer.headers.get("content-type", "")
    named = {name.lower(): value for name, value in answer.headers.items()}
    # The one header that comes several times and must not be put together: one a line here.
    if cookies := answer.headers.get_all("set-cookie"):
        named["set-cookie"] = "\n".join(cookies)
    return Reply(answer.status, named, json.loads(text) if "json" in kind else text.decode())


@contextmanager
def serving(
    settings: Settings, identity: Identity | None = None, signing_in: SigningIn | None = None, **limits: Any
) -> Iterator[Served]:
    """A service on a book. ``limits``: settings of the service."""
    dev = dev_credentials(settings)
    made = dev.create(ROLES)
    chosen = ServiceSettings(**{"patience_seconds": 2, "unsigned_partners": "dev-partner", **limits})
    service = Service(chosen, identity or Identity(None, dev), lambda: open_ledger(settings), signing_in)
    server, log = uvicorn.Server(config(create_app(service), Bind("127.0.0.1", 0), chosen.drain_seconds)), io.StringIO()
    with logs.written_to(log):
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            deadline = time.monotonic() + SOON_S
            while not server.started:
                assert thread.is_alive(), log.getvalue()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield Served(server, service, made, log)
        finally:
            server.should_exit = True
            thread.join(SOON_S)


def register(cli: CommandLine, partner: str, *terms: str) -> None:
    """A partner, as two people make one."""
    key = str(cli.folder / f"{partner}.key")
    cli("actor", "key", "new", key)
    proposed = cli("partner", "register", partner, "--partner-key", key, "--by", "alice", *terms)
    cli("partner", "approve", proposed["proposal"], "--by", "bob")
