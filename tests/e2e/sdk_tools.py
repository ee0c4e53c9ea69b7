"""Around the SDK of partners: the rows that it sends, and a wire that loses answers."""

from __future__ import annotations

import csv
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from application import checkpoints
from carbon_ledger_sdk import Behavior
from infrastructure.eventsourcing_journal import EventsourcingJournal
from interfaces.bootstrap import open_ledger
from tests.e2e.cli_tools import CommandLine
from tests.fixtures.real_data import REAL_DATA

NAMES = ("metro", "bus", "walking", "bike")


def real_behaviors(count: int | None, names: Sequence[str] = NAMES) -> list[Behavior]:
    """The first rows of each file of recorded behaviors; None: all of them."""
    found: list[Behavior] = []
    for name in names:
        with (Path(REAL_DATA) / f"behaviors_{name}.csv").open(encoding="utf-8", newline="") as file:
            found += (Behavior(*row[:7]) for row in islice(csv.reader(file), 1, None if count is None else count + 1))
    return found


class Wire:
    """Between a client and a service. ``lost``: how many answers to a POST were thrown away; ``port``: its own."""

    def __init__(self, service_port: int, lose: int) -> None:
        self.lost, self._lose, self._service_port = 0, lose, service_port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        sent = bytearray()
        with client, socket.create_connection(("127.0.0.1", self._service_port)) as service, suppress(OSError):
            threading.Thread(target=_pour, args=(client, service, sent), daemon=True).start()
            while data := service.recv(65_536):
                if b"POST" in sent and self.lost < self._lose:
                    # The service has recorded the request and answered; nobody will hear it.
                    self.lost += 1
                    break
                client.sendall(data)
            # The other thread still reads from it: without this the client would not see an end.
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def losing_wire(service_port: int, lose: int) -> Iterator[Wire]:
    wire = Wire(service_port, lose)
    try:
        yield wire
    finally:
        wire.close()


def _pour(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            seen += data
            target.sendall(data)


def origin_of(cli: CommandLine) -> str:
    """The name of a book's log."""
    with open_ledger(cli.settings) as ledger:
        journal = ledger.book.journal
        assert isinstance(journal, EventsourcingJournal)
        return checkpoints.origin_of(journal.book_id().bytes)
