"""Kill -9 of the service under load, its workers and PostgreSQL: what was acknowledged is there once, nothing twice.

Clients send single behaviors as fast as they are answered, and know of each whether it was. Then everything is killed
at a random moment, started again as an operator would, and what was not answered is sent again.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interfaces.bootstrap import Settings, initialize, open_ledger
from interfaces.bootstrap.service import dev_credentials
from tests.contract.embedded_postgres_tools import kill_tree, server_of, temporary_home
from tests.fixtures.people import open_accounts
from tests.simulation.crashing import outcome
from tests.simulation.test_crashes_of_commands import PROGRAM

# Not at the same time as the other kills, which would make both slower.
pytestmark = pytest.mark.xdist_group("crashes")

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
ROUNDS = 30 if LONG else 3
CLIENTS, WORKERS, PEOPLE = 12, 2, 20
ADDRESS = re.compile(r"carbon-ledger serves on http://127\.0\.0\.1:([0-9]+)")


class Client(threading.Thread):
    """Sends behaviors one after the other until nobody answers any more. ``acknowledged``: position by reference."""

    def __init__(self, port: int, credential: str, refs: Iterator[str]) -> None:
        super().__init__(daemon=True)
        self._port, self._credential, self._refs = port, credential, refs
        self.sent: list[str] = []
        self.acknowledged: dict[str, int] = {}

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            for ref in self._refs:
                self.sent.append(ref)
                told = send(connection, self._credential, ref)
                self.acknowledged[ref] = (told if told["status"] == "credited" else told["first"])["position"]
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


def send(connection: http.client.HTTPConnection, credential: str, ref: str) -> dict[str, Any]:
    """What became of one behavior; its account follows from its reference."""
    body = {
        "source_ref": ref,
        "account_ref": f"person-{sum(ref.encode()) % PEOPLE}",
        "behavior": "cycling.shared_bike",
        "occurred_at": "2026-05-01T08:00:00+08:00",
        "quantity": "1.500",
        "unit": "km",
        "region": "",
    }
    headers = {"authorization": f"Bearer {credential}", "content-type": "application/json"}
    connection.request("POST", "/v1/behaviors", json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status in (429, 503):
        raise OSError("sent away")
    assert answer.status == 200, content
    (told,) = json.loads(content)["items"]
    assert told["status"] != "refused", told
    return dict(told)


@contextmanager
def serving(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The service with its workers in a process group of their own, and its port."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CARBON_LEDGER_")}
    environment["CARBON_LEDGER_HTTP_REQUESTS_PER_SECOND"] = "0"
    process = subprocess.Popen(
        [PROGRAM, "--home", str(home), "serve", "--port", "0", "--workers", str(WORKERS)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert process.stderr is not None
    stream = process.stderr
    try:
        lines: list[bytes] = []
        while (told := ADDRESS.search(b"".join(lines).decode())) is None:
            lines.append(stream.readline())
            assert lines[-1], lines
        threading.Thread(target=stream.read, daemon=True).start()
        yield process, int(told[1])
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def refs(number: int, client: int) -> Iterator[str]:
    return iter(f"{number}/{client}/{each}" for each in range(100_000))


def one_round(home: Path, credential: str, number: int, chance: random.Random) -> tuple[list[str], dict[str, int]]:
    """All references sent, and the positions of those that were acknowledged."""
    with serving(home) as (process, port):
        clients = [Client(port, credential, refs(number, each)) for each in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(chance.uniform(0.2, 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        server = server_of(home)
        assert server is not None
        kill_tree(server)
        for client in clients:
            client.join(60)
    acknowledged = {ref: at for client in clients for ref, at in client.acknowledged.items()}
    return [ref for client in clients for ref in client.sent], acknowledged


def sent_again(home: Path, credential: str, left: Sequence[str]) -> dict[str, int]:
    with serving(home) as (process, port):
        client = Client(port, credential, iter(left))
        client.start()
        client.join(120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    return client.acknowledged


def test_what_was_acknowledged_is_there_once_and_retries_settle_the_rest() -> None:
    chance = random.Random(12)
    with temporary_home("served") as home:
        settings = Settings(home=home, dsn=None)
        initialize(settings)
        credential = dev_credentials(settings).create(("bank_backend",))["bank_backend"]
        with open_ledger(settings) as ledger:
            open_accounts(ledger.book, [f"person-{number}" for number in range(PEOPLE)])
        everything: dict[str, int] = {}
        for number in range(ROUNDS):
            sent, acknowledged = one_round(home, credential, number, chance)
            assert acknowledged, "the kill came before any answer"
            left = [ref for ref in sent if ref not in acknowledged]
            settled = sent_again(home, credential, left + list(acknowledged))
            assert set(settled) == set(sent)
            assert {ref: settled[ref] for ref in acknowledged} == acknowledged, "what was acknowledged is elsewhere now"
            everything |= settled
        assert len(set(everything.values())) == len(everything)
        with open_ledger(settings) as ledger:
            _, credits, _ = outcome(ledger)
            assert credits == len(everything)
            for ref, position in list(everything.items())[:: max(1, len(everything) // 100)]:
                key = ledger.book.keys.ref("dev-bank-backend", ref)
                assert ledger.book.journal.find_refs([key])[key].position == position
