"""Traces that a real collector gets over OTLP: what they tell, what they never tell, and one that is gone."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from domain.errors import Unavailable
from interfaces.http import traces
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import serving
from tests.e2e.test_cli_background import until
from tests.e2e.test_http_behaviors import item
from tests.e2e.test_http_process import started

SECRET = "Zhang-San-13800138000"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER = 2


class Collector:
    """Takes OTLP over HTTP and decodes it. ``silent``: it takes a message and never answers."""

    def __init__(self, *, silent: bool = False) -> None:
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.ended = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.paths.append(self.path)
                collector.bodies.append(body)
                if silent:
                    collector.ended.wait(30)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    @property
    def resources(self) -> list[Any]:
        return [each for body in list(self.bodies) for each in decoded(body)]

    @property
    def spans(self) -> list[Any]:
        return [span for each in self.resources for scope in each.scope_spans for span in scope.spans]

    def __enter__(self) -> Collector:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        # Whoever would also let the framework tell of requests by itself.
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        yield running


def decoded(body: bytes) -> Any:
    return ExportTraceServiceRequest.FromString(body).resource_spans


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_credit_is_one_span_with_its_wait_its_append_and_its_answer_under_the_callers_trace(
    cli: CommandLine, collector: Collector
) -> None:
    for name in ("ann",):
        cli("account", "open", name)
        cli.consent(name)
    with serving(cli.settings) as served:
        parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        reply = served("/v1/behaviors", "bank_backend", method="POST", body=item(), headers=parent)
        assert reply.status == 200
        assert served("/healthz").headers.get("traceresponse") is None
    spans = {span.name: span for span in collector.spans}
    assert sorted(spans) == ["POST /v1/behaviors", "answer", "append", "wait"]
    assert len(collector.spans) == 4
    whole = spans.pop("POST /v1/behaviors")
    assert (whole.trace_id.hex(), whole.parent_span_id.hex(), whole.kind) == (TRACE, PARENT, SERVER)
    assert reply.headers["traceresponse"] == f"00-{TRACE}-{whole.span_id.hex()}-01"
    assert attributes(whole) == {
        "http.request.method": "POST", "http.route": "/v1/behaviors", "http.response.status_code": 200
    }  # fmt: skip
    for each in spans.values():
        assert (each.trace_id.hex(), each.parent_span_id) == (TRACE, whole.span_id)
        assert list(each.attributes) == []
    moments = [whole.start_time_unix_nano, *(spans[name].end_time_unix_nano for name in ("wait", "append", "answer"))]
    assert moments == sorted(moments)
    assert spans["answer"].end_time_unix_nano <= whole.end_time_unix_nano
    assert set(collector.paths) == {"/v1/traces"}
    (name,) = {
        a.value.string_value for r in collector.resources for a in r.resource.attributes if a.key == "service.name"
    }
    assert name == "carbon-ledger"


def test_spans_hold_no_account_no_address_no_token_and_no_question(cli: CommandLine, collector: Collector) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    state = {"traceparent": "nonsense " + SECRET, "tracestate": f"v={SECRET}", "baggage": f"who={SECRET}"}
    with serving(cli.settings) as served:
        token = served.credentials["auditor"]
        assert served(f"/v1/accounts/{account}", "auditor", headers=state).status == 200
        served(f"/{SECRET}?name={SECRET}", "auditor", headers=state)
        served(f"/v1/totals?{SECRET}=1", "auditor", headers=state | {"x-request-id": "Zhang-San"})
        served("/v1/behaviors", "bank_backend", method="POST", body=item(account_ref=SECRET), headers=state)
        served("/v1/totals", "partner", method="LINK")
    sent = b"".join(collector.bodies)
    for private in (SECRET, "Zhang-San", account, token, "LINK"):
        assert private.encode() not in sent
    named = {span.name: attributes(span).get("carbon_ledger.code") for span in collector.spans if span.kind == SERVER}
    assert named == {
        "GET /v1/accounts/{account_id}": None,
        "GET none": "not_found",
        "GET /v1/totals": "request_malformed",
        "POST /v1/behaviors": None,
        "other /v1/totals": "method_not_allowed",
    }


@pytest.mark.parametrize("silent", [True, False])
def test_a_collector_that_hangs_or_is_gone_hurts_no_request_and_no_stop(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, *, silent: bool
) -> None:
    with Collector(silent=silent) as gone:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.address)
        if not silent:
            gone.server.server_close()
        with serving(cli.settings) as served:
            slowest = 0.0
            for _ in range(10):
                began = time.monotonic()
                assert served("/v1/totals", "auditor").status == 200
                slowest = max(slowest, time.monotonic() - began)
            ending = time.monotonic()
        assert time.monotonic() - ending < 6
        assert slowest < 2
        assert sum(line["event"] == "traces_not_sent" for line in served.logged) <= 1
        assert gone.address not in served.log_text


def test_every_worker_sends_what_it_answered(cli: CommandLine, collector: Collector) -> None:
    credential = cli("dev-credentials", "create")["credentials"]["auditor"]
    with started(cli, "--workers", "2") as service:
        for _ in range(30):
            service.get("/v1/totals", credential)
        assert service.ended()[0] == 0
    until(lambda: len(collector.spans) == 30)
    assert {span.name for span in collector.spans} == {"GET /v1/totals"}
    assert len({span.trace_id for span in collector.spans}) == 30


def test_without_an_endpoint_nothing_is_traced_and_with_one_the_extra_must_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for off in ({}, {traces.ENDPOINTS[1]: "http://127.0.0.1:1", traces.DISABLED: "true"}):
        assert traces.traces_of(off).begin("request", "") is None

    def missing(_: object) -> None:
        raise ImportError

    monkeypatch.setattr(traces, "_provider", missing)
    with pytest.raises(Unavailable) as refused:
        traces.traces_of({traces.ENDPOINTS[1]: "http://127.0.0.1:1"})
    assert (refused.value.code, refused.value.field) == ("traces_not_installed", traces.ENDPOINTS[1])
    assert "otel" in refused.value.remedy
