"""What is counted and measured, for Prometheus.

Keeps: no label holds anything of a person or of one account: routes are told by their templates, and what is no route
is one label, so that nobody can make series without end. With several processes each scrape adds up all of them; what
was under way in one that died is not counted any more.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from application.receiving import Group

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
METHODS: Final = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COUNTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
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
        self.refused = Counter(
            "carbon_ledger_http_refused", "Requests that were refused whole, by code.", ("code",), registry=own
        )
        self._of_groups()
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

    def _of_groups(self) -> None:
        """Of requests that are recorded together."""
        own = self._registry
        self._group_rows = Histogram(
            "carbon_ledger_group_rows", "Behaviors recorded by one append.", buckets=_COUNTS, registry=own
        )
        self._group_requests = Histogram(
            "carbon_ledger_group_requests", "Requests recorded by one append.", buckets=_COUNTS, registry=own
        )
        self._waiting_seconds = Histogram(
            "carbon_ledger_waiting_seconds", "Time of a request in the queue.", buckets=_SECONDS, registry=own
        )
        self._recording_seconds = Histogram(
            "carbon_ledger_recording_seconds",
            "Time from the end of the queue to what is durable.",
            buckets=_SECONDS,
            registry=own,
        )
        self.waiting_rows = Gauge(
            "carbon_ledger_waiting_rows",
            "Behaviors that were read and are not recorded or refused yet.",
            registry=own,
            multiprocess_mode="livesum",
        )

    def recorded(self, group: Group) -> None:
        """Measure what was recorded together, whatever became of it."""
        self._group_rows.observe(group.rows)
        self._group_requests.observe(len(group.waited_s))
        self._recording_seconds.observe(group.recording_s)
        for seconds in group.waited_s:
            self._waiting_seconds.observe(seconds)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry, multiprocess_mode="mostrecent")

    def answered(self, method: str, route: str, status: int, seconds: float, code: str = "") -> None:
        """Count an answer. ``code``: of its refusal, "" where it is none."""
        named = route or "none"
        self.requests.labels(method if method in METHODS else "other", named, str(status)).inc()
        self.seconds.labels(named).observe(seconds)
        if code:
            self.refused.labels(code).inc()

    def text(self) -> bytes:
        """As a scrape reads it."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        _forget_dead(Path(os.environ[SHARED]))
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
        return generate_latest(of_all)


def _forget_dead(folder: Path) -> None:
    """What only counts while its process lives, of processes that ended without a word."""
    for number in {int(each.stem.rpartition("_")[2]) for each in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            pass  # somebody else's: the number was given out again
