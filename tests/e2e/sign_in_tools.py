"""Signing in as a test does it: a real provider in a process of its own, one that lies, and a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from infrastructure.gm.private_files import write_private
from interfaces.bootstrap import Settings
from interfaces.bootstrap.service import system_seconds
from interfaces.bootstrap.signing_in import SignInSettings, sign_in_parts
from interfaces.http.signing_in import SigningIn
from tests.e2e.http_tools import SOON_S, Reply

CLIENT, REDIRECT = "ledger", "http://127.0.0.1:8080/signed-in"
ORIGIN = {"origin": "http://127.0.0.1:8080"}
ROLES = {"ledger-owners": "methodology_owner", "ledger-approvers": "approver", "ledger-compliance": "compliance"}
PEOPLE = {"olga": "ledger-owners", "bob": "ledger-approvers", "carl": "ledger-compliance", "eve": "gardeners"}


def signing_in(settings: Settings, issuer: str, now_s: Callable[[], int] = system_seconds, **changes: Any) -> SigningIn:
    """Where people sign in, as an operator configures it."""
    secret = settings.home / "client-secret"
    write_private(secret, b"of the test\n")
    own: dict[str, Any] = {"issuer": issuer, "client_id": CLIENT, "client_secret_file": secret}
    own |= {"redirect_uri": REDIRECT, "roles_claim": "groups", "roles": ROLES}
    chosen = SignInSettings(**own | changes)
    parts = sign_in_parts(settings, chosen)
    assert parts is not None
    return SigningIn(parts, now_s)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def provider_process(port: int) -> Iterator[str]:
    """`oidc-provider-mock` with the people above; its keys are made anew at each start."""
    people = [f"--user-claims={json.dumps({'sub': name, 'groups': [group]})}" for name, group in PEOPLE.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *people],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SOON_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class Browser:
    """Keeps cookies, and goes where it is sent."""

    def __init__(self, served: Callable[..., Reply]) -> None:
        self.served, self.cookies = served, dict[str, str]()
        self.set: list[str] = []

    def __call__(self, path: str, *, method: str = "GET", body: object = None, headers: Any = None) -> Reply:
        sent = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **(headers or {})}
        answer = self.served(path, method=method, body=body, headers=sent)
        for told in answer.headers.get("set-cookie", "").splitlines():
            self.set.append(told)
            for name, each in SimpleCookie(told).items():
                self.cookies[name] = each.value
                if not each.value:
                    del self.cookies[name]
        return answer

    def begin(self, return_to: str = "") -> str:
        """The address at the provider."""
        answer = self("/sign-in" + (f"?{urlencode({'return_to': return_to})}" if return_to else ""))
        assert answer.status == 303, answer
        return answer.headers["location"]

    def sign_in(self, person: str, return_to: str = "") -> Reply:
        """All of it."""
        return self(came_back(self.begin(return_to), person))


def came_back(address: str, person: str) -> str:
    """What the provider sends a browser back to, once somebody has signed in there: path and query here."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=SOON_S)
    try:
        form = {"content-type": "application/x-www-form-urlencoded"}
        connection.request("POST", f"{parts.path}?{parts.query}", urlencode({"sub": person}), form)
        answer = connection.getresponse()
        location = answer.headers["location"]
        assert location, answer.read()
    finally:
        connection.close()
    assert location.startswith(REDIRECT)
    return location.removeprefix("http://127.0.0.1:8080")


class LyingProvider:
    """One that answers to a code with whatever a test wants to see refused.

    ``changes``: of the claims, None leaves one out. ``key``: what it signs with; ``published``: what it shows.
    ``pause_s``: before each byte of an answer. It checks PKCE as the protocol has it, and takes a code once.
    """

    def __init__(self) -> None:
        self.changes: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "k1"}
        self.key: Any = RSAKey.generate_key(2048, {"kid": "k1"})
        self.published: list[Any] = [self.key]
        self.metadata: dict[str, Any] = {}
        self.pause_s, self.asked = 0.0, list[str]()
        self.codes: dict[str, dict[str, str]] = {}
        lying = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lying.asked.append(self.path)
                lying.tell(self, 200, lying.document(urlsplit(self.path).path))

            def do_POST(self) -> None:
                lying.asked.append(self.path)
                sent = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                asked = {name: values[0] for name, values in sent.items()}
                status, told = lying.token(asked)
                lying.tell(self, status, told)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"

    def tell(self, handler: BaseHTTPRequestHandler, status: int, told: object) -> None:
        content = json.dumps(told).encode()
        try:
            handler.send_response(status)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(content)))
            handler.end_headers()
            for each in content if self.pause_s else ():
                time.sleep(self.pause_s)
                handler.wfile.write(bytes((each,)))
                handler.wfile.flush()
            handler.wfile.write(b"" if self.pause_s else content)
        except OSError:
            pass  # whoever asked has gone

    def document(self, path: str) -> object:
        if path == "/keys":
            return KeySet(self.published).as_dict(private=False)
        found = {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize"}
        found |= {"token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys"}
        return found | self.metadata

    def back(self, address: str) -> str:
        """Where it sends a browser back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return "/signed-in?" + urlencode({"code": code, "state": asked["state"], "iss": self.issuer})

    def token(self, asked: Mapping[str, str]) -> tuple[int, object]:
        if asked["grant_type"] == "client_credentials":
            claims = {"iss": self.issuer, "aud": "carbon-ledger", "sub": "core-banking", "roles": ["bank_backend"]}
            claims["exp"] = int(time.time()) + 60  # type: ignore[assignment]
            return 200, {"access_token": self.signed(claims), "token_type": "Bearer", "expires_in": 60}
        begun = self.codes.pop(asked["code"], None)
        digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if begun is None or begun["code_challenge_method"] != "S256" or begun["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        now_s = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "olga", "groups": ["ledger-owners"]}
        told: dict[str, Any] = claims | {"nonce": begun["nonce"], "iat": now_s, "exp": now_s + 60} | self.changes
        told = {name: value for name, value in told.items() if value is not None}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self.signed(told)}

    def signed(self, claims: Mapping[str, Any]) -> str:
        if self.header["alg"] == "none":
            parts = (json.dumps(self.header), json.dumps(claims), "")
            return ".".join(base64.urlsafe_b64encode(each.encode()).decode().rstrip("=") for each in parts)
        return jwt.encode(self.header, dict(claims), self.key, algorithms=[self.header["alg"]])


@contextmanager
def lying_provider() -> Iterator[LyingProvider]:
    lying = LyingProvider()
    thread = threading.Thread(target=lying.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield lying
    finally:
        lying.server.shutdown()
        lying.server.server_close()
