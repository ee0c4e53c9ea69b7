"""The process that listens: sockets, TLS, workers, and how it stops.

Keeps: what is under way when the process is asked to end is answered, for as long as settings say, and no new request
is taken; where credentials for trying things out exist, nobody but this machine can connect; the address is told
once, when requests are answered.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import uvicorn
from uvicorn.supervisors import Multiprocess

from domain.errors import Unavailable
from interfaces.bootstrap import Ledger, Settings, open_ledger
from interfaces.bootstrap.service import ServiceSettings, dev_credentials, read_token_keys, system_seconds
from interfaces.bootstrap.signing_in import sign_in_parts
from interfaces.http import logs
from interfaces.http.app import create_app
from interfaces.http.connection import Connection
from interfaces.http.identity import Identity, TokenRules
from interfaces.http.metrics import SHARED
from interfaces.http.service import Service
from interfaces.http.signing_in import SigningIn

_KEEP_ALIVE_S: Final = 5
_BACKLOG: Final = 256
_START_S: Final = 60
_WITH_DEV: Final = "CARBON_LEDGER_HTTP_WORKER_WITH_DEV_CREDENTIALS"

Tell = Callable[[str], None]


class Bind(NamedTuple):
    """Where to listen, and with which certificate."""

    host: str
    port: int
    workers: int = 1
    certificate: Path | None = None
    key: Path | None = None


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can connect there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def signing_in_of(settings: Settings) -> SigningIn | None:
    """Where people sign in, if somewhere. Raises as ``sign_in_parts``."""
    parts = sign_in_parts(settings)
    return None if parts is None else SigningIn(parts)


def identity_of(settings: Settings, service: ServiceSettings, signing_in: SigningIn | None) -> Identity:
    """Who is believed. Raises Unavailable ``nobody_may_ask``, and as ``read_token_keys``."""
    dev, tokens = dev_credentials(settings), _tokens_of(service)
    if tokens is None and signing_in is None and not dev.exist:
        raise Unavailable(
            "nobody_may_ask",
            "no issuer of tokens and no provider is configured, and there are no credentials for trying things out",
            field="CARBON_LEDGER_HTTP_JWKS_FILE",
            remedy="set CARBON_LEDGER_HTTP_JWKS_FILE, _ISSUER and _AUDIENCE, or CARBON_LEDGER_OIDC_ISSUER, _CLIENT_ID "
            "and _REDIRECT_URI; to try it on this machine, run `carbon-ledger dev-credentials create`",
        )
    return Identity(tokens, dev if dev.exist else None)


def _tokens_of(service: ServiceSettings) -> TokenRules | None:
    path = service.jwks_file
    if path is None:
        return None
    return TokenRules(
        service.issuer, service.audience, service.roles_claim, lambda: read_token_keys(path), system_seconds
    )


def serve(settings: Settings, bind: Bind, tell: Tell) -> int:
    """Answer until SIGTERM or Ctrl-C; returns the port. Raises Unavailable for everything that stands against it."""
    of_service = service_settings()
    # Said by the library of each token of an issuer that still calls its algorithm so; it is no less sound for that.
    warnings.filterwarnings("ignore", message="EdDSA is deprecated")
    signing_in = signing_in_of(settings)
    identity = identity_of(settings, of_service, signing_in)
    _refuse_exposure(bind.host, identity)
    _check_certificate(bind)
    with _listening(bind) as listener, logs.written_to(sys.stderr):
        host, port = listener.getsockname()[:2]
        # A name may lead anywhere: what counts is where it led.
        _refuse_exposure(host, identity)
        said = _said(host, port, bind, identity)
        with open_ledger(settings) as ledger:
            if bind.workers == 1:
                served = Service(of_service, identity, lambda: _opened(ledger), signing_in)
                _serve_here(served, bind, listener, lambda: tell(said))
            else:
                # The ledger stays open here, so that an embedded server outlives the restart of a worker.
                with _environment(settings, with_dev=identity.has_dev_credentials):
                    _serve_by_workers(bind, listener, lambda: tell(said))
    return int(port)


def service_settings() -> ServiceSettings:
    """Raises Unavailable ``settings_malformed``."""
    try:
        return ServiceSettings()
    except ValueError as error:
        raise Unavailable(
            "settings_malformed", str(error), remedy="check the CARBON_LEDGER_HTTP_... variables of the environment"
        ) from error


def app_of_worker() -> Any:
    """What each of several processes serves; the environment tells it which ledger."""
    logs.write_to(sys.stderr)
    settings, of_service = Settings(), service_settings()
    signing_in = signing_in_of(settings)
    # Whether this machine alone can connect was judged when the service began.
    dev = dev_credentials(settings) if os.environ[_WITH_DEV] == "yes" else None
    identity = Identity(_tokens_of(of_service), dev)
    return create_app(Service(of_service, identity, lambda: open_ledger(settings), signing_in))


def _said(host: str, port: int, bind: Bind, identity: Identity) -> str:
    """The one line that is told when requests are answered."""
    shown = f"[{host}]" if ":" in host else host
    said = f"carbon-ledger serves on {'http' if bind.certificate is None else 'https'}://{shown}:{port}"
    if identity.has_dev_credentials:
        said += " WITH DEV CREDENTIALS: for trying things out, never for real data"
    if bind.certificate is None and not is_loopback(host):
        said += " WITHOUT TLS: tokens and answers can be read on their way, unless a proxy stands in front"
    return said


def _refuse_exposure(host: str, identity: Identity) -> None:
    if identity.has_dev_credentials and not is_loopback(host):
        raise Unavailable(
            "dev_credentials_exposed",
            f"there are dev credentials, and {host} can be reached from other machines",
            field="--host",
            remedy="run `carbon-ledger dev-credentials remove`, or listen on 127.0.0.1",
        )


def _check_certificate(bind: Bind) -> None:
    """Raises Unavailable ``tls_incomplete``, ``tls_unusable``: before anything is opened."""
    if (bind.certificate is None) != (bind.key is None):
        raise Unavailable(
            "tls_incomplete", "a certificate needs its key", field="--tls-cert", remedy="give --tls-cert and --tls-key"
        )
    if bind.certificate is not None and bind.key is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(bind.certificate, bind.key)
        except (OSError, ssl.SSLError) as error:
            raise Unavailable(
                "tls_unusable",
                f"certificate and key cannot be used: {error.strerror or error}",
                field="--tls-cert",
                remedy="give a PEM chain and its unencrypted PEM key that belong together",
            ) from error


@contextmanager
def _listening(bind: Bind) -> Iterator[socket.socket]:
    """The socket, before anything else is opened: a taken port is told at once."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise _not_bound(bind, error) from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            raise _not_bound(bind, error) from error
        listener.set_inheritable(True)
        yield listener


def _not_bound(bind: Bind, error: OSError) -> Unavailable:
    return Unavailable(
        "address_not_usable",
        f"cannot listen on {bind.host} port {bind.port}: {error.strerror or error}",
        field="--host, --port",
        remedy="name an address of this machine and a free port; 0 takes any",
    )


@contextmanager
def _opened(ledger: Ledger) -> Iterator[Ledger]:
    yield ledger


def config(app: Any, bind: Bind, drain_s: int, **more: Any) -> uvicorn.Config:
    """How the server treats connections, whoever runs it."""
    return uvicorn.Config(
        app,
        host=bind.host,
        port=bind.port,
        workers=bind.workers,
        log_config=None,
        access_log=False,
        # The log line and the answer's headers say nothing of the server's kind.
        server_header=False,
        # Whoever stands in front is not believed about who asks: nothing here depends on an address.
        proxy_headers=False,
        lifespan="on",
        loop="uvloop",
        http=Connection,
        ws="none",
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
        ssl_certfile=bind.certificate,
        ssl_keyfile=bind.key,
        **more,
    )


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._told = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._told()


class _Workers(Multiprocess):
    """Says when all processes answer."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, started: Callable[[], None]) -> None:
        super().__init__(config, sockets=[listener])
        self._told, self.answered = started, False

    def init_processes(self) -> None:
        super().init_processes()
        self.answered = all(each.wait_until_ready(_START_S) for each in self.processes)
        if self.answered:
            self._told()
        else:
            self.should_exit.set()


def _serve_here(service: Service, bind: Bind, listener: socket.socket, started: Callable[[], None]) -> None:
    server = _Server(config(create_app(service), bind, service.settings.drain_seconds), started)
    with _ending(server):
        server.run(sockets=[listener])


def _serve_by_workers(bind: Bind, listener: socket.socket, started: Callable[[], None]) -> None:
    served = config("interfaces.http.server:app_of_worker", bind, service_settings().drain_seconds, factory=True)
    with _ending(None):
        workers = _Workers(served, listener, started)
        workers.run()
    if not workers.answered:
        raise Unavailable(
            "workers_not_started",
            "the processes that answer did not start",
            remedy="the log says why; with --workers 1 it is told here",
        )


@contextmanager
def _ending(server: uvicorn.Server | None) -> Iterator[None]:
    """The server takes the signals over and gives them back when it has stopped: then they have done their work."""

    def asked(number: int, frame: FrameType | None) -> None:
        if server is not None:
            server.should_exit = True

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _environment(settings: Settings, *, with_dev: bool) -> Iterator[None]:
    """What workers read: the home, a folder in which they count together, and whether dev credentials are believed."""
    counting = tempfile.mkdtemp(prefix="carbon-ledger-metrics-")
    added = {
        "CARBON_LEDGER_HOME": str(settings.home.resolve()),
        SHARED: counting,
        _WITH_DEV: "yes" if with_dev else "no",
    }
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(counting, ignore_errors=True)
