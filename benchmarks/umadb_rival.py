"""The umadb server that comes inside its wheel, on loopback with its default settings; and its client.

Keeps: the events carry the very bytes that the ledger stored, tagged with their account; ``conditional`` appends also
name each event's own reference as a tag that must be new, which is what the ledger's unique index does. The client's
events are made from prepared bytes and names within the time, as the rows of the COPY baseline are packed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domain.audit.leaves import unpack

_SERVER = "from umadb.umadb_server_cli import main; main()"
_START_SECONDS = 30


class NotRunning(Exception):
    """The server cannot run here; says why."""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """A server with its data below ``folder``, stopped at the end; yields its address. Raises NotRunning."""
    if importlib.util.find_spec("umadb") is None:
        raise NotRunning("it is not installed in this environment")
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        arguments = [sys.executable, "-c", _SERVER, "--listen", address, "--db-path", str(folder / "uma.db")]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_until_listening(process, port, folder / "server.log")
        yield f"http://{address}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def append(url: str, source: str, after: int, upto: int, batch_rows: int, conditional: bool) -> dict[str, Any]:
    """Append the ledger's events at positions (after, upto] in batches."""
    # The parent of all tasks needs this module too, and neither of these.
    import umadb

    from benchmarks.copying import log_rows
    from benchmarks.stopwatch import Stopwatch

    rows = [
        (topic, state, [str(stream), _ref(state, position)] if conditional else [str(stream)])
        for stream, _, topic, state, position in log_rows(source, after, upto)
    ]
    with umadb.Client(url) as client, Stopwatch() as watch:
        for start in range(0, len(rows), batch_rows):
            batch = rows[start : start + batch_rows]
            events = [umadb.Event(topic, state, tags) for topic, state, tags in batch]
            condition = None
            if conditional:
                items = [umadb.QueryItem(tags=[tags[1]]) for _, _, tags in batch]
                condition = umadb.AppendCondition(fail_if_events_match=umadb.Query(items=items))
            client.append(events, condition=condition)
    return watch.answer(len(rows))


def _ref(state: bytes, position: int) -> str:
    """The event's unique reference; events that have none are told apart by their position."""
    return str(json.loads(unpack(state).facts).get("ref", position))


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    words = log.read_text("utf-8", "replace").strip().splitlines()
    # The report names no folder of the machine it was made on.
    said = re.sub(r"(?:/[^/\s:]+)+/", "", words[-1]) if words else ""
    raise NotRunning(said or f"its server did not listen within {_START_SECONDS} s")
