"""Clients of the service: many at a time with one behavior each, few with a thousand each, one who waits to see it.

Keeps: real HTTP over kept connections, one request at a time on each; every answer is read and believed only when each
of its items was credited. The client is as thin as it can be, for it runs on the same machine; what it costs is told.
"""

from __future__ import annotations

import asyncio
import csv
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.stopwatch import Stopwatch

_HOST: Final = "127.0.0.1"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ([0-9]+)", re.IGNORECASE)


def singles(port: int, credential: str, file: str, clients: int) -> dict[str, Any]:
    """One behavior for each request, ``clients`` at a time; ``latencies_ms`` of all of them."""
    bodies = [json.dumps(row).encode() for row in _rows(file)]
    return _sent(port, credential, bodies, clients, lambda answer: _require(answer, 1))


def batches(port: int, credential: str, file: str, clients: int, batch_rows: int) -> dict[str, Any]:
    """``batch_rows`` behaviors for each request."""
    rows, bodies = _rows(file), list[bytes]()
    while items := list(islice(rows, batch_rows)):
        bodies.append(json.dumps({"items": items}).encode())
    return _sent(port, credential, bodies, clients, lambda answer: _require(answer, batch_rows))


def visible(port: int, credential: str, file: str) -> dict[str, Any]:
    """One after the other: a behavior, then the balance that has it; ``latencies_ms`` from the one to the other."""
    bodies = [json.dumps(row).encode() for row in _rows(file)]
    return asyncio.run(_visible(port, credential, bodies))


def insert(conninfo: str, file: str, rows: int) -> dict[str, Any]:
    """The least that a durable answer costs on this disk: one row of a bare table, one commit."""
    bodies, latencies = [json.dumps(row) for row in islice(_rows(file), rows)], list[float]()
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS bare (id bigserial PRIMARY KEY, body text)")
        with Stopwatch() as watch:
            for body in bodies:
                began = time.perf_counter()
                conn.execute("INSERT INTO bare (body) VALUES (%s)", (body,))
                latencies.append(1_000 * (time.perf_counter() - began))
    return watch.answer(rows, latencies_ms=latencies)


def _rows(file: str) -> Iterator[dict[str, str]]:
    with Path(file).open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _sent(
    port: int, credential: str, bodies: Sequence[bytes], clients: int, believe: Callable[[Any], int]
) -> dict[str, Any]:
    waiting, credited, latencies = iter(bodies), list[int](), list[float]()

    async def client() -> None:
        connection = await _Connection.to(port, credential)
        # One iterator for all: whoever is free takes what is next.
        for body in waiting:
            began = time.perf_counter()
            answer = await connection.ask("POST", "/v1/behaviors", body)
            latencies.append(1_000 * (time.perf_counter() - began))
            credited.append(believe(answer))
        connection.close()

    async def everybody() -> None:
        await asyncio.gather(*(client() for _ in range(clients)))

    with Stopwatch() as watch:
        asyncio.run(everybody())
    return watch.answer(sum(credited), latencies_ms=latencies)


async def _visible(port: int, credential: str, bodies: Sequence[bytes]) -> dict[str, Any]:
    connection, latencies = await _Connection.to(port, credential), list[float]()
    with Stopwatch() as watch:
        for body in bodies:
            began = time.perf_counter()
            answer = await connection.ask("POST", "/v1/behaviors", body)
            _require(answer, 1)
            account, position = answer["items"][0]["account_id"], answer["position"]
            balance = await connection.ask("GET", f"/v1/accounts/{account}?min_position={position}")
            latencies.append(1_000 * (time.perf_counter() - began))
            if balance["position"] < position:
                raise RuntimeError("the balance does not show what was answered")
    connection.close()
    return watch.answer(len(bodies), latencies_ms=latencies)


def _require(answer: Any, items: int) -> int:
    wrong = [item for item in answer["items"] if item["status"] != "credited"]
    if wrong or len(answer["items"]) > items:
        raise RuntimeError(f"{len(wrong)} items were not credited, the first: {wrong[:1]}")
    return len(answer["items"])


class _Connection:
    """A kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, credential: str) -> None:
        self._reader, self._writer = reader, writer
        self._head = f" HTTP/1.1\r\nhost: {_HOST}\r\nauthorization: Bearer {credential}\r\n".encode()

    @classmethod
    def to(cls, port: int, credential: str) -> Awaitable[_Connection]:
        async def opened() -> _Connection:
            return cls(*await asyncio.open_connection(_HOST, port), credential)

        return opened()

    async def ask(self, method: str, path: str, body: bytes = b"") -> Any:
        """The JSON of an answer. Raises RuntimeError for any other than 200."""
        told = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) if body else b"\r\n"
        self._writer.write(b"%s %s%s%s%s" % (method.encode(), path.encode(), self._head, told, body))
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        content = await self._reader.readexactly(int(length[1])) if length else b""
        if head.split(b" ", 2)[1] != b"200":
            raise RuntimeError(f"{head[:40]!r}: {content[:400]!r}")
        return json.loads(content)

    def close(self) -> None:
        self._writer.close()
