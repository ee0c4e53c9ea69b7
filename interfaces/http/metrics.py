"""What is counted and measured, for Prometheus.

Keeps: no label holds anything of a person or of one account: routes are told by their templates, and what is no route
is one label, so that nobody can make series without end. With several processes each scrape adds up all of them.
"""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_METHODS: Final = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_OF_WEBHOOKS: Final = {
    "delivered": "Messages that got through, of the subscriptions that there are.",
    "failed": "Tries that did not.",
    "waiting": "Messages that wait to be sent.",
    "dead": "Messages that were given up.",
    "disabled": "Subscriptions that nothing is sent to any more.",
    "behind_events": "Events of the log that the last active subscription has not read.",
}
SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder that several processes count in, where there are several."""


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self.requests = Counter(
            "carbon_ledger_http_requests", "Answered requests.", ("method", "route", "status"), registry=own
        )
        self.seconds = Histogram(
            "carbon_ledger_http_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=own
        )
        self.in_flight = Gauge(
            "carbon_ledger_http_requests_in_flight",
            "Requests under way or waiting.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self.behaviors = Counter(
            "carbon_ledger_behaviors",
            "Behaviors received, by what became of them: credited, duplicate, or the code of their refusal.",
            ("became",),
            registry=own,
        )
        self.log_size = self._gauge("carbon_ledger_log_events", "Events in the log.")
        self.views_behind = self._gauge("carbon_ledger_views_behind_events", "Events that the views do not show yet.")
        self.unsigned = self._gauge("carbon_ledger_unsigned_events", "Events that no checkpoint covers yet.")
        self.unsigned_seconds = self._gauge(
            "carbon_ledger_unsigned_seconds", "Age of the oldest such event, at most; 0 without any."
        )
        self.webhooks = {
            name: self._gauge(f"carbon_ledger_webhooks_{name}", text) for name, text in _OF_WEBHOOKS.items()
        }
        self.ready = self._gauge("carbon_ledger_ready", "1 where the last look found the service ready.")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry, multiprocess_mode="mostrecent")

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        named = route or "none"
        self.requests.labels(method if method in _METHODS else "other", named, str(status)).inc()
        self.seconds.labels(named).observe(seconds)

    def text(self) -> bytes:
        """As a scrape reads it."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
        return generate_latest(of_all)
