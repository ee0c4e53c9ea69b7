"""Receivers of webhooks: real HTTP servers on loopback that note what came, and answer as a test wants them to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from infrastructure.settings import WebhookSettings
from interfaces.bootstrap import Settings, open_ledger
from interfaces.bootstrap.webhooks import deliverer
from tests.simulation.test_crashes_of_commands import PROGRAM

SOON_S = 20.0


class Came(NamedTuple):
    """A message as it came. ``headers``: by their names in small letters."""

    at_s: float
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def position(self) -> int:
        position: int = self.event["data"]["position"]
        return position


Reaction = Callable[[Came], tuple[int, Mapping[str, str]]]


def take(came: Came) -> tuple[int, Mapping[str, str]]:
    return 204, {}


class Receiver:
    """``reaction``: status and headers for each message, and how long it takes."""

    def __init__(self, server: ThreadingHTTPServer, reaction: Reaction) -> None:
        self._server, self.reaction = server, reaction
        self._news = threading.Condition()
        self.came: list[Came] = []
        self.taken: list[Came] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def note(self, came: Came) -> tuple[int, Mapping[str, str]]:
        with self._news:
            self.came.append(came)
            self._news.notify_all()
        status, headers = self.reaction(came)
        if 200 <= status < 300:
            with self._news:
                self.taken.append(came)
                self._news.notify_all()
        return status, headers

    def wait(self, enough: Callable[[Receiver], bool], seconds: float = SOON_S) -> None:
        """Until what came is enough."""
        with self._news:
            assert self._news.wait_for(lambda: enough(self), seconds), [
                (each.path, each.headers.get("webhook-id")) for each in self.came
            ]

    def wait_for(self, count: int, seconds: float = SOON_S) -> None:
        self.wait(lambda r: len(r.taken) >= count, seconds)

    def by_account(self) -> dict[str, list[int]]:
        """Positions in the order in which they were taken for the first time, by account."""
        found: dict[str, list[int]] = defaultdict(list)
        for each in list(self.taken):
            positions = found[each.event["data"]["account_id"]]
            if each.position not in positions:
                positions.append(each.position)
        return found


@contextmanager
def receiving(reaction: Reaction = take) -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:
                return  # whoever sent it was killed; its signature would not be right either
            named = {name.lower(): value for name, value in self.headers.items()}
            status, headers = receiver.note(Came(time.monotonic(), self.path, named, body))
            self.send_response(status)
            for name, value in {"content-length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a deliverer that was killed says no goodbye

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server, reaction)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield receiver
        finally:
            server.shutdown()


def is_signed(secret: str, came: Came) -> bool:
    """What a receiver does that read the document and has nothing of ours (Standard Webhooks)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = b".".join((came.headers["webhook-id"].encode(), came.headers["webhook-timestamp"].encode(), came.body))
    made = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(f"v1,{made}", came.headers["webhook-signature"])


QUICK = {
    "CARBON_LEDGER_WEBHOOKS_FIRST_PAUSE_SECONDS": "0.05",
    "CARBON_LEDGER_WEBHOOKS_LONGEST_PAUSE_SECONDS": "0.2",
    "CARBON_LEDGER_WEBHOOKS_TRIES": "4",
    "CARBON_LEDGER_WEBHOOKS_ANSWER_SECONDS": "5",
}


@contextmanager
def delivering(settings: Settings, patience: Mapping[str, str] = QUICK) -> Iterator[subprocess.Popen[bytes]]:
    """``webhooks run`` as a process of its own; whoever does not end it sees that it ends well."""
    process = subprocess.Popen(
        deliverer_command(settings.home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(settings, patience),
        start_new_session=True,
    )
    assert process.stderr is not None
    told = process.stderr
    try:
        first = told.readline()
        assert b"sending messages" in first, first + told.read()
        threading.Thread(target=told.read, daemon=True).start()
        yield process
        if process.poll() is None:
            process.terminate()
            assert process.wait(SOON_S) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        told.close()


def deliverer_command(home: Path) -> Sequence[str]:
    return [PROGRAM, "--home", str(home), "webhooks", "run"]


def environment(settings: Settings, patience: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CARBON_LEDGER_")}
    if settings.dsn is not None:
        kept["CARBON_LEDGER_DSN"] = settings.dsn.get_secret_value()
    return {**kept, **patience}


@contextmanager
def delivering_here(settings: Settings, **patience: float) -> Iterator[None]:
    """A deliverer in a thread of this process, with a ledger of its own."""
    quick = {"first_pause_seconds": 0.05, "longest_pause_seconds": 0.2, "tries": 4, "answer_seconds": 5.0}
    asked, failed = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            with open_ledger(settings) as ledger:
                chosen = WebhookSettings.model_validate({**quick, **patience})
                deliverer(ledger, chosen, lambda text: None).run(asked.is_set)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test is told
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        asked.set()
        thread.join(SOON_S)
    assert not thread.is_alive()
    assert failed == []
