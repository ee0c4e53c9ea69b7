"""`carbon-ledger serve` as a process of its own: how it starts, whom it listens to, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey

from infrastructure.gm import actor_key
from interfaces.bootstrap.service import dev_credentials
from interfaces.http.identity import ROLES
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import register
from tests.e2e.test_cli_background import until
from tests.e2e.test_cli_process import PROGRAM, book_environment
from tests.e2e.test_http_behaviors import item
from tests.e2e.test_http_partner_requests import Partner, Sent

SOON_S = 60
ADDRESS = re.compile(r"carbon-ledger serves on (https?://[0-9.]+:[0-9]+)(.*)")


class Process:
    """A service that runs as a process. ``said``: what it says of itself when it answers."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, said: str, lines: list[str]) -> None:
        self.process, self.address, self.said, self.lines = process, address, said, lines

    def get(self, path: str, credential: str = "", context: ssl.SSLContext | None = None) -> Any:
        request = urllib.request.Request(self.address + path)
        if credential:
            request.add_header("authorization", f"Bearer {credential}")
        with urllib.request.urlopen(request, timeout=SOON_S, context=context) as answer:
            return json.load(answer)

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=SOON_S) as answer:
            return str(answer.read().decode())

    def ended(self, number: int = signal.SIGTERM) -> tuple[int, dict[str, Any]]:
        """Its exit code and answer, when it was asked to end."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        text = self.process.stdout.read()
        return self.process.wait(SOON_S), json.loads(text)


@contextmanager
def started(cli: CommandLine, *options: str, changes: Mapping[str, str] | None = None) -> Iterator[Process]:
    process = subprocess.Popen(
        [PROGRAM, "serve", "--port", "0", *options, "--json"],
        env={**book_environment(cli.settings), **(changes or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        told = None
        while told is None:
            line = process.stderr.readline().decode()
            assert line, lines
            lines.append(line)
            told = ADDRESS.search(line)
        stream = process.stderr
        reader = threading.Thread(target=lambda: lines.extend(each.decode() for each in stream), daemon=True)
        reader.start()
        yield Process(process, told[1], told[2], lines)
    finally:
        process.kill()
        process.wait()
        reader.join(SOON_S)
        process.stderr.close()
        assert process.stdout is not None
        process.stdout.close()


def refuses(service: Process) -> bool:
    """Whether it takes no new request."""
    try:
        service.get("/healthz")
    except (urllib.error.URLError, ConnectionError):
        return True
    return False


def test_a_service_answers_on_this_machine_and_ends_when_it_is_asked_to(cli: CommandLine) -> None:
    cli.credit(METRO)
    credentials = cli("dev-credentials", "create")["credentials"]
    with started(cli) as service:
        assert service.address.startswith("http://127.0.0.1:")
        assert "WITH DEV CREDENTIALS" in service.said
        totals = cli("totals")
        assert service.get("/v1/totals", credentials["auditor"]) == totals
        assert "DEV CREDENTIALS" in service.get("/readyz")["warning"]
        port = int(service.address.rpartition(":")[2])
        assert service.ended() == (0, {"host": "127.0.0.1", "port": port})
        logged = [json.loads(line) for line in service.lines if line.startswith("{")]
    assert [each["route"] for each in logged if each["event"] == "request"] == ["/v1/totals"]
    assert "ann" not in "".join(service.lines)


def test_what_is_under_way_when_it_is_asked_to_end_is_still_answered(cli: CommandLine) -> None:
    credential = cli("dev-credentials", "create")["credentials"]["auditor"]
    size = cli("totals")["position"]
    answers: list[Any] = []
    with started(cli, changes={"CARBON_LEDGER_HTTP_PATIENCE_SECONDS": "30"}) as service:
        waits = f"/v1/totals?min_position={size + 1}"
        asking = threading.Thread(target=lambda: answers.append(service.get(waits, credential)))
        asking.start()
        # The one that waits, and the one that asks for the metrics.
        until(lambda: "requests_in_flight 2.0" in service.text("/metrics"))
        service.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(service))
        cli("account", "open", "new-one")
        asking.join(SOON_S)
        assert answers[0]["position"] == size + 1
        assert service.process.wait(SOON_S) == 0


def test_ctrl_c_ends_it_as_a_finished_command(cli: CommandLine) -> None:
    cli("dev-credentials", "create")
    with started(cli) as service:
        assert service.ended(signal.SIGINT)[0] == 0


def test_several_processes_answer_alike_and_count_together(cli: CommandLine) -> None:
    credential = cli("dev-credentials", "create")["credentials"]["auditor"]
    with started(cli, "--workers", "2") as service:
        totals = cli("totals")
        deadline = time.monotonic() + SOON_S
        while True:
            try:
                assert service.get("/v1/totals", credential) == totals
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline
                time.sleep(0.2)
        for _ in range(7):
            service.get("/v1/totals", credential)
        counted = 'carbon_ledger_http_requests_total{method="GET",route="/v1/totals",status="200"} 8.0'
        assert counted in service.text("/metrics")
        assert service.ended()[0] == 0


def test_nobody_beyond_this_machine_is_served_while_there_are_dev_credentials(cli: CommandLine) -> None:
    assert cli.refused("serve", "--port", "0", code=4) == "nobody_may_ask"
    cli("dev-credentials", "create")
    for host in ("0.0.0.0", "::", "192.0.2.1", "ledger.bank.example"):
        assert cli.refused("serve", "--host", host, "--port", "0", code=4) == "dev_credentials_exposed"
    assert "DEV CREDENTIALS" in cli.run("dev-credentials", "create").stdout
    cli("dev-credentials", "remove")
    assert cli.refused("serve", "--host", "0.0.0.0", "--port", "0", code=4) == "nobody_may_ask"


def test_init_makes_dev_credentials_when_asked_to_and_says_so_loudly(cli: CommandLine) -> None:
    assert cli("init")["dev_credentials"] is None
    asked = cli.run("init", "--dev-credentials", "--json")
    made = json.loads(asked.stdout)["dev_credentials"]
    assert (set(made), "DEV CREDENTIALS" in asked.stderr) == (set(ROLES), True)
    again = cli.run("init", "--dev-credentials").stdout
    assert ("DEV CREDENTIALS" in again, made["auditor"] in again) == (True, False)
    assert cli.refused("serve", "--host", "0.0.0.0", "--port", "0", code=4) == "dev_credentials_exposed"
    # A repeated `init` left them as they were.
    assert dev_credentials(cli.settings).role_of(made["auditor"]) == "auditor"


def test_a_token_of_the_configured_issuer_is_believed_and_names_who_read(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    keys = cli.json_file({"keys": [key.as_dict(private=False)]}, name="jwks.json")
    changes = {
        "CARBON_LEDGER_HTTP_JWKS_FILE": keys,
        "CARBON_LEDGER_HTTP_ISSUER": "https://login.bank.example",
        "CARBON_LEDGER_HTTP_AUDIENCE": "carbon-ledger",
    }
    claims = {"iss": "https://login.bank.example", "aud": "carbon-ledger", "sub": "olga", "roles": ["compliance"]}
    token = jwt.encode({"alg": "ES256", "kid": "k1"}, claims | {"exp": int(time.time()) + 60}, key)
    with started(cli, changes=changes) as service:
        assert service.said == ""
        assert service.get(f"/v1/accounts/{account}", token)["account_ref"] == "ann"
        with pytest.raises(urllib.error.HTTPError) as refused:
            service.get(f"/v1/accounts/{account}", token[:-4] + "AAAA")
        assert json.load(refused.value)["code"] == "token_invalid"
        assert service.ended()[0] == 0
    last = cli("access", "list")["accesses"][-1]
    assert (last["by"], last["known_by"], last["command"]) == ("olga", "login", "GET /v1/accounts/{id}")


def test_dev_credentials_made_later_are_believed_by_no_worker_not_even_by_a_new_one(cli: CommandLine) -> None:
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    changes = {
        "CARBON_LEDGER_HTTP_JWKS_FILE": cli.json_file({"keys": [key.as_dict(private=False)]}, name="jwks.json"),
        "CARBON_LEDGER_HTTP_ISSUER": "https://login.bank.example",
        "CARBON_LEDGER_HTTP_AUDIENCE": "carbon-ledger",
    }

    def code_told(service: Process, credential: str) -> str:
        try:
            service.get("/v1/totals", credential)
        except urllib.error.HTTPError as refused:
            return str(json.load(refused)["code"])
        except (urllib.error.URLError, ConnectionError):
            return "nobody there"
        return "believed"

    with started(cli, "--workers", "2", changes=changes) as service:
        credential = cli("dev-credentials", "create")["credentials"]["auditor"]
        assert code_told(service, credential) == "token_invalid"
        before = workers_of(service)
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        until(lambda: len(workers_of(service) - before) == 2 and code_told(service, credential) != "nobody there")
        assert {code_told(service, credential) for _ in range(8)} == {"token_invalid"}
        assert service.ended()[0] == 0


def workers_of(service: Process) -> set[int]:
    """The processes that answer."""
    parent = service.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()}


def certificate(cert: Path, key: Path) -> None:
    """A certificate of this machine's own, for a day."""
    private = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(private, SHA256())
    )
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_with_a_certificate_it_speaks_tls_and_without_its_key_it_does_not_start(
    cli: CommandLine, tmp_path: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate(cert, key)
    cli("dev-credentials", "create")
    assert cli.refused("serve", "--tls-cert", str(cert), code=4) == "tls_incomplete"
    assert cli.refused("serve", "--tls-cert", str(cert), "--tls-key", str(cert), code=4) == "tls_unusable"
    context = ssl.create_default_context(cafile=cert)
    with started(cli, "--tls-cert", str(cert), "--tls-key", str(key)) as service:
        assert service.address.startswith("https://")
        assert service.get("/readyz", context=context)["ready"] is True
        request = urllib.request.Request(f"{service.address}/healthz")
        with urllib.request.urlopen(request, context=context, timeout=SOON_S) as answer:
            assert "max-age" in answer.headers["strict-transport-security"]
        assert service.ended()[0] == 0


def test_a_port_that_is_taken_and_settings_that_are_not_settings_are_told(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("dev-credentials", "create")
    with started(cli) as service:
        port = service.address.rpartition(":")[2]
        assert cli.refused("serve", "--port", port, code=4) == "address_not_usable"
    monkeypatch.setenv("CARBON_LEDGER_HTTP_LEDGERS", "many")
    assert cli.refused("serve", "--port", "0", code=4) == "settings_malformed"
    monkeypatch.delenv("CARBON_LEDGER_HTTP_LEDGERS")
    monkeypatch.setenv("CARBON_LEDGER_HTTP_ISSUER", "https://login.bank.example")
    assert cli.refused("serve", "--port", "0", code=4) == "settings_malformed"


def test_a_signed_request_counts_once_whichever_process_it_reaches_and_after_a_restart(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    cli.consent("ann")
    register(cli, "metro", "--all-behaviors")
    dev_credentials(cli.settings).create(ROLES)
    key, codes = actor_key.read(cli.folder / "metro.key"), list[int]()
    with started(cli, "--workers", "2") as served:
        told = served.get("/v1/partner-protocol")
        sent = Partner(told["origin"], key).sign(item())
        with ThreadPoolExecutor(6) as pool:
            codes += pool.map(lambda _: posted(served.address, sent), range(6))
        served.ended()
    with started(cli) as served:
        codes.append(posted(served.address, sent))
        # Several processes began at once and share the keys of the service.
        assert served.get("/v1/partner-protocol")["keys"] == told["keys"]
    assert (sorted(codes), cli("totals")["credits"]) == ([200, *[409] * 6], 1)


def posted(address: str, sent: Sent) -> int:
    request = urllib.request.Request(address + sent.path, sent.body, sent.headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=SOON_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
