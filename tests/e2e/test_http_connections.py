"""Connections that are no requests, or never become one: each is told so in bounded time, and harms nobody."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from typing import Any

import pytest

from interfaces.http import connection
from tests.e2e.cli_tools import CommandLine
from tests.e2e.http_tools import Served, serving
from tests.e2e.test_cli_background import until

REQUEST = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    with serving(cli.settings) as served:
        yield served
        # Whatever came, others are answered.
        assert served("/healthz").status == 200
        assert [line for line in served.logged if line["level"] == "error"] == []


def opened(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def answered(sock: socket.socket) -> tuple[int, Any]:
    """Status and body of an answer, after which the connection ends."""
    answer = HTTPResponse(sock)
    answer.begin()
    body = json.loads(answer.read())
    assert answer.getheader("content-type") == "application/problem+json"
    assert answer.getheader("connection") == "close"
    assert answer.getheader("cache-control") == "no-store"
    assert answer.getheader("x-request-id") == body["request_id"]
    assert body["remedy"]
    with suppress(ConnectionResetError):  # it had not read all that we sent
        assert sock.recv(1) == b""
    return answer.status, body["code"]


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a handshake of TLS\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/behaviors HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    ],
    ids=["tls", "ssh", "version", "no-host", "two-hosts", "colon", "length-and-chunks", "two-lengths", "negative"],
)
def test_what_is_no_request_is_told_so(served: Served, text: bytes) -> None:
    with opened(served) as sock:
        sock.sendall(text)
        assert answered(sock) == (400, "head_malformed")


@pytest.mark.parametrize("piece", [1_000, 100_000], ids=["in pieces", "at once"])
@pytest.mark.parametrize(
    "head",
    [
        REQUEST + b"x-long: " + b"x" * 40_000,
        REQUEST + b"".join(b"x-%d: y\r\n" % number for number in range(4_000)) + b"\r\n",
        b"GET /healthz?" + b"x" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["one header", "many headers", "address"],
)
def test_a_head_has_a_greatest_length(served: Served, head: bytes, piece: int) -> None:
    with opened(served) as sock:
        with suppress(BrokenPipeError, ConnectionResetError):  # it was refused before all had come
            for start in range(0, len(head), piece):
                sock.sendall(head[start : start + piece])
        assert answered(sock) == (431, "head_too_large")


def test_a_head_just_below_it_is_read_and_a_long_body_in_the_same_piece_is_no_head(served: Served) -> None:
    assert served("/healthz", headers={"x-long": "x" * 16_000}).status == 200
    body = b"{" + b" " * 100_000 + b"}"
    head = b"POST /v1/behaviors HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    token = b"host: x\r\nauthorization: Bearer " + served.credentials["bank_backend"].encode()
    with opened(served) as sock:
        sock.sendall((head % len(body)).replace(b"host: x", token) + body)
        answer = HTTPResponse(sock)
        answer.begin()
        assert answer.status == 200


CHUNKED = (
    b"POST /v1/accounts/lookup HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
LOOKUP = b'{"account_ref":"ann"}'


def test_nobody_is_believed_by_what_stands_behind_the_body(served: Served) -> None:
    token = b"authorization: Bearer " + served.credentials["bank_backend"].encode() + b"\r\n"
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(LOOKUP), LOOKUP)
    for text, status in (
        (CHUNKED + chunk + token + b"\r\n", 401),
        (CHUNKED.replace(b"host", token + b"host", 1) + chunk + b"x-trailer: y\r\n\r\n", 404),
    ):
        with opened(served) as sock:
            sock.sendall(text)
            answer = HTTPResponse(sock)
            answer.begin()
            assert answer.status == status


@pytest.mark.parametrize(
    "endless",
    [b"0\r\n" + b"x-trailer: " + b"y" * 100_000, b"0\r\n" + b"x: y\r\n" * 20_000, b"1;" + b"x" * 100_000],
    ids=["one field", "many fields", "words of a chunk"],
)
def test_what_stands_around_a_body_has_a_greatest_length_too(served: Served, endless: bytes) -> None:
    with opened(served) as sock:
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(CHUNKED + endless)
        text = b""
        with suppress(ConnectionResetError):
            while part := sock.recv(65_536):
                text += part
        # It is ended; there may be an answer to the request under way, and nothing in the middle of it.
        assert text.count(b"HTTP/1.1 ") <= 1


def test_a_body_in_the_smallest_chunks_is_a_body(served: Served) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in LOOKUP + b" " * 9_000)
    token = b"authorization: Bearer " + served.credentials["bank_backend"].encode() + b"\r\n"
    with opened(served) as sock:
        sock.sendall(CHUNKED.replace(b"host", token + b"host", 1) + chunks + b"0\r\n\r\n")
        answer = HTTPResponse(sock)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (404, "account_unknown")


def test_a_head_that_drips_and_one_that_never_comes_are_ended_in_time(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.3)
    with opened(served) as silent, opened(served) as dripping:
        began = time.monotonic()
        dripping.sendall(REQUEST)
        assert silent.recv(1) == b""
        assert answered(dripping) == (408, "head_slow")
        assert time.monotonic() - began < 5
    with opened(served) as kept:
        # The second request of a connection has its own time.
        for _ in range(2):
            kept.sendall(REQUEST + b"\r\n")
            answer = HTTPResponse(kept)
            answer.begin()
            assert (answer.status, len(answer.read()) > 0) == (200, True)
            time.sleep(0.4)
        kept.sendall(REQUEST)
        assert answered(kept) == (408, "head_slow")


def test_who_reads_no_answers_is_cut_off_and_holds_nobody_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READER_S", 2.0)
    monkeypatch.setattr(connection, "MOST_WAITING", 100)
    ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
    with ExitStack() as held:
        for _ in range(8):
            sock = held.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.connect(("127.0.0.1", served.port))
            # More than the system keeps for a connection, of which nothing is read.
            sock.sendall(ask * 100)
        until(lambda: served("/metrics").body.count("carbon_ledger_http_requests_in_flight 9.0"))
        until(lambda: served("/metrics").body.count("carbon_ledger_http_requests_in_flight 1.0"))


def test_a_connection_may_not_ask_for_more_and_more_before_it_is_answered(served: Served) -> None:
    with opened(served) as sock, suppress(ConnectionResetError):
        sock.sendall((REQUEST + b"\r\n") * 1_000)
        text = b""
        while part := sock.recv(65_536):
            text += part
        assert text.count(b"HTTP/1.1 200") <= connection.MOST_WAITING + 1


def test_there_is_room_for_so_many_connections_and_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    with ExitStack() as held:
        kept = [held.enter_context(opened(served)) for _ in range(3)]
        kept[0].sendall(REQUEST + b"\r\n")
        assert kept[0].recv(12) == b"HTTP/1.1 200"
        beyond, told = held.enter_context(opened(served)), b""
        with suppress(BrokenPipeError, ConnectionResetError):
            beyond.sendall(REQUEST + b"\r\n")
            told = beyond.recv(1)
        assert told == b""


def test_requests_that_come_at_once_are_answered_in_their_order(served: Served) -> None:
    asked = [REQUEST + b"\r\n", b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n", REQUEST + b"connection: close\r\n\r\n"]
    with opened(served) as sock:
        sock.sendall(b"".join(asked))
        text = b""
        while part := sock.recv(65_536):
            text += part
    first, second, third = re.findall(rb"HTTP/1\.1 ([0-9]+) ", text)
    assert (first, third) == (b"200", b"200")
    assert second in (b"401", b"404")
