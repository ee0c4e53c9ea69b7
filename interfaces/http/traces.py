"""Traces of requests for a collector that speaks OTLP over HTTP; off unless the environment names one (ADR 0038).

Keeps: a span holds the method, the route's template, the status and the code of a refusal, and nothing that a caller
sent but the ids of a ``traceparent``: no path, no query, no header, no name. A collector that is slow, wrong or gone
costs a request nothing: spans wait in a bounded queue of each process and are dropped where it is full. Nothing is
registered for the whole process, and the framework's own telemetry is off, so each request is told once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from application.receiving import Times
from domain.errors import Unavailable
from interfaces.bootstrap.service import system_microseconds
from interfaces.http import logs

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
DISABLED: Final = "OTEL_SDK_DISABLED"
_NAME: Final = "carbon-ledger"
_QUEUE_SPANS: Final = 2_048
_BATCH_SPANS: Final = 512
_EVERY_MS: Final = 1_000
_TIMEOUT_S: Final = 3
_TOLD_EVERY_S: Final = 60.0


class Traces:
    """``provider`` None: off."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer(_NAME)

    def begin(self, method: str, traceparent: str) -> Span | None:
        """The span of a request; a good ``traceparent`` is its parent. None: off."""
        if self._tracer is None:
            return None
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # Its companion ``tracestate`` is whatever somebody wrote, and is not taken over.
        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
        return self._tracer.start_span(method, parent, kind=SpanKind.SERVER)

    def steps(self, span: Span | None, times: Times) -> None:
        """What a request that was recorded waited for, until now."""
        if self._tracer is None or span is None:
            return
        from opentelemetry.trace import set_span_in_context

        context = set_span_in_context(span)
        now_s, now_ns = time.monotonic(), system_microseconds() * 1_000
        moments = [now_ns - round((now_s - each) * 1e9) for each in (*times, now_s)]
        for name, began, ended in zip(("wait", "append", "answer"), moments, moments[1:], strict=False):
            self._tracer.start_span(name, context, start_time=began).end(ended)

    def end(self, span: Span | None, method: str, route: str, status: int, code: str) -> None:
        """The request is answered."""
        if span is None:
            return
        from opentelemetry.trace import StatusCode

        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if code:
            span.set_attribute("carbon_ledger.code", code)
        if status >= 500 or not status:
            span.set_status(StatusCode.ERROR)
        span.end()

    def stop(self) -> None:
        """Send what waits, in bounded time."""
        if self._provider is not None:
            self._provider.shutdown()


def identity_of_span(span: Span) -> str:
    """As a header tells it, in the form of ``traceparent``."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def traces_of(environment: Mapping[str, str] = os.environ) -> Traces:
    """Traces as OpenTelemetry's own variables ask for them. Raises Unavailable ``traces_not_installed``."""
    named = next((name for name in ENDPOINTS if environment.get(name)), "")
    if not named or environment.get(DISABLED, "").lower() == "true":
        return Traces(None)
    try:
        return Traces(_provider(environment))
    except ImportError:
        raise Unavailable(
            "traces_not_installed",
            "a collector of traces is named, and what sends them is not installed",
            field=named,
            remedy="install carbon-ledger with its extra `otel`, or unset the variable",
        ) from None


def _provider(environment: Mapping[str, str]) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The library would write each failure with the collector's address, in lines that are no JSON.
    quiet = logging.getLogger("opentelemetry")
    quiet.propagate, quiet.handlers = False, [_ToldRarely()]
    named = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(
        resource=Resource.create({} if named else {"service.name": _NAME}), shutdown_on_exit=False
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(timeout=_TIMEOUT_S),
            max_queue_size=_QUEUE_SPANS,
            max_export_batch_size=_BATCH_SPANS,
            schedule_delay_millis=_EVERY_MS,
        )
    )
    return provider


class _ToldRarely(logging.Handler):
    """That spans do not get through is told once a minute, whatever the library says of it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next_s = 0.0

    def emit(self, record: logging.LogRecord) -> Any:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + _TOLD_EVERY_S
            logs.note("traces_not_sent", logging.WARNING)
