"""Where messages are really sent, and how a bad receiver is dealt with: real sockets."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from application.ports.webhooks import Answer
from infrastructure.webhook_post import WebPost
from tests.e2e.test_http_process import certificate

HEADERS = {"content-type": "application/cloudevents+json", "webhook-id": "1"}
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


BODY = b"{}"


def message(conn: socket.socket) -> bytes:
    """One whole message, which may come in parts; "" where nobody sends any more."""
    came = b""
    while not came.endswith(BODY):
        part = conn.recv(65_536)
        if not part:
            return b""
        came += part
    return came


@contextmanager
def listening(answer: Callable[[socket.socket], None], *, reads: bool = True) -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads messages and answers each as a test wants; or leaves reading to it."""
    came = list[bytes]()

    def serve() -> None:
        with suppress(OSError):
            while True:
                conn, _ = listener.accept()
                threading.Thread(target=one, args=(conn,), daemon=True).start()

    def one(conn: socket.socket) -> None:
        with conn, suppress(OSError):
            if not reads:
                answer(conn)
                return
            while content := message(conn):
                came.append(content)
                answer(conn)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], came


def posted(url: str, *, is_private: bool = True, seconds: float = 5.0) -> tuple[str, int]:
    """What became of one message: error and status."""
    post = WebPost(seconds)
    line = post.line(url, is_private=is_private)
    try:
        answer = line.post(BODY, HEADERS)
    finally:
        line.close()
    return answer.error, answer.status


def says(text: bytes) -> Callable[[socket.socket], None]:
    return lambda conn: conn.sendall(text)


def test_an_address_of_the_house_is_not_even_connected_to_unless_it_was_meant() -> None:
    with listening(says(OK)) as (port, came):
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            assert posted(f"https://{host}:{port}/", is_private=False) == ("address_refused", 0)
        assert posted("https://169.254.169.254/", is_private=True) == ("address_refused", 0)
        assert posted("http://10.0.0.1/", is_private=True) == ("address_refused", 0)
        assert came == []
        assert posted(f"http://127.0.0.1:{port}/hook?a=b") == ("", 204)
        assert came[0].startswith(b"POST /hook?a=b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)


def test_what_was_judged_is_connected_to_though_the_name_turns_round(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()
    with listening(says(OK)) as (port, came):
        outside, inside = "9.9.9.9", "127.0.0.1"

        def turning(host: str, port: int, *rest: object, **more: object) -> list[object]:
            asked.append(host)
            address = (outside if len(asked) == 1 else inside, port)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

        def connected(sock: socket.socket, address: tuple[str, int]) -> None:
            asked.append(address[0])
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", turning)
        monkeypatch.setattr(socket.socket, "connect", connected)
        assert posted(f"https://hooks.example:{port}/", is_private=False) == ("connection_refused", 0)
        # One look, and what it said is where the connection went.
        assert asked == ["hooks.example", outside]
        assert posted(f"https://hooks.example:{port}/", is_private=False) == ("address_refused", 0)
        assert asked == ["hooks.example", outside, "hooks.example"]
        assert came == []


def test_a_name_with_one_address_of_the_house_among_others_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 443)) for host in ("9.9.9.9", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: both)
    assert posted("https://hooks.example/", is_private=False) == ("address_refused", 0)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(says(OK)) as (port, came), listening(says(OK)) as (proxy, over_proxy):
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        assert posted(f"http://127.0.0.1:{port}/") == ("", 204)
        assert (len(came), over_proxy) == (1, [])


def test_of_a_long_answer_no_more_than_some_kilobytes_are_read() -> None:
    sent = [0]

    def endless(conn: socket.socket) -> None:
        conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        conn.settimeout(1)
        for _ in range(10_000):
            sent[0] += conn.send(b"x" * 65_536)

    with listening(endless) as (port, _):
        began = time.monotonic()
        assert posted(f"http://127.0.0.1:{port}/") == ("", 200)
        assert time.monotonic() - began < 2
        time.sleep(0.1)
        assert sent[0] < 100_000_000


def test_an_answer_that_drips_is_cut_off_in_time() -> None:
    def drip(conn: socket.socket) -> None:
        conn.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while True:
            conn.sendall(b"x")
            time.sleep(0.05)

    with listening(drip) as (port, _):
        post = WebPost(0.3)
        line = post.line(f"http://127.0.0.1:{port}/", is_private=True)
        ended, began = threading.Event(), time.monotonic()

        def watch() -> None:
            while not ended.wait(0.05):
                post.expire()

        watcher = threading.Thread(target=watch)
        watcher.start()
        answer = line.post(BODY, HEADERS)
        ended.set()
        watcher.join()
        assert answer == Answer(0, "timed_out")
        assert 0.25 < time.monotonic() - began < 2


@pytest.mark.parametrize("looks", [ConnectionResetError, BrokenPipeError, http.client.IncompleteRead, None])
def test_what_was_cut_off_ran_out_of_time_however_it_looked_to_who_was_in_it(looks: type[Exception] | None) -> None:
    post = WebPost(60)
    ours, theirs = socket.socketpair()

    def exchange() -> None:
        with post.watched(ours):
            post.expire(everything=True)
            assert theirs.recv(1) == b""
            if looks is not None:
                raise looks(b"")

    with ours, theirs:
        with pytest.raises(TimeoutError):
            exchange()
        with post.watched(ours):
            post.expire()


@pytest.mark.parametrize(
    ("text", "error", "status"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "status_302", 302),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "status_500", 500),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "answer_malformed", 0),
        (b"HTTP/1.1 99999 x\r\n\r\n", "answer_malformed", 0),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "answer_malformed", 0),
    ],
)
def test_what_is_no_good_answer_has_a_name(text: bytes, error: str, status: int) -> None:
    with listening(says(text)) as (port, _):
        assert posted(f"http://127.0.0.1:{port}/") == (error, status)


def test_nobody_there_and_no_tls_there_have_names() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert posted(f"http://127.0.0.1:{port}/") == ("connection_refused", 0)

    def no_tls(conn: socket.socket) -> None:
        conn.recv(65_536)
        conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with listening(no_tls, reads=False) as (plain, _):
        assert posted(f"https://127.0.0.1:{plain}/") == ("tls_failed", 0)


def test_a_certificate_is_checked_against_the_authorities_and_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate(cert, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    def secured(conn: socket.socket) -> None:
        with context.wrap_socket(conn, server_side=True) as tls:
            came.append(message(tls))
            tls.sendall(OK)

    came = list[bytes]()
    with listening(secured, reads=False) as (port, _):
        assert posted(f"https://127.0.0.1:{port}/") == ("tls_failed", 0)
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        assert posted(f"https://127.0.0.1:{port}/") == ("", 204)
        # The certificate is for an address; its common name counts for nothing.
        assert posted(f"https://localhost:{port}/") == ("tls_failed", 0)
    assert [each[:15] for each in came] == [b"POST / HTTP/1.1"]


def test_a_connection_that_the_receiver_closed_is_made_anew() -> None:
    def once(conn: socket.socket) -> None:
        conn.sendall(OK)
        conn.shutdown(socket.SHUT_RDWR)

    with listening(once) as (port, came):
        line = WebPost(5).line(f"http://127.0.0.1:{port}/", is_private=True)
        assert [line.post(BODY, HEADERS).error for _ in range(3)] == ["", "", ""]
        line.close()
        # What was on its way when the connection ended may have come all the same.
        assert b"".join(came).count(b"POST / ") in (3, 4, 5)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        (" 120 ", 120),
        ("-1", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("9" * 40, 999_999_999),
    ],
)
def test_a_receiver_may_say_when_to_come_again(header: str, seconds: int | None) -> None:
    text = f"HTTP/1.1 503 Later\r\nretry-after: {header}\r\ncontent-length: 0\r\n\r\n".encode()
    with listening(says(text)) as (port, _):
        line = WebPost(5).line(f"http://127.0.0.1:{port}/", is_private=True)
        assert line.post(BODY, HEADERS).retry_after_s == seconds
        line.close()
