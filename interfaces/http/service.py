"""What all routes share: ledgers to work with, who may ask, what is measured.

Keeps: a request that names a ``min_position`` is answered when the log has it, or refused in bounded time; it waits
with no ledger in its hands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from application.ports.behavior_source import ParsedRow
from application.receiving import Answer, Receiver
from domain.errors import Unavailable
from domain.requests import ReceivedRequest
from interfaces.bootstrap import Ledger
from interfaces.bootstrap.service import AnsweredOnce, ExportFolder, Protocol, ServiceSettings, Uploads, beside
from interfaces.http.answered import Answered
from interfaces.http.applying import Applying
from interfaces.http.exports import Exports
from interfaces.http.files import Files
from interfaces.http.identity import Identity
from interfaces.http.metrics import Metrics
from interfaces.http.pool import LedgerPool
from interfaces.http.rates import Rates
from interfaces.http.readiness import Readiness
from interfaces.http.signing_in import SigningIn
from interfaces.http.traces import traces_of

_LOOKS_EVERY_S: Final = 0.05
_MOST_WAITING: Final = 8
"""Of some forty threads that answer."""


@dataclass(frozen=True)
class _Running:
    """What there is while the ledger is open."""

    pool: LedgerPool
    receiver: Receiver
    protocol: Protocol | None
    applying: Applying
    exports: Exports
    files: Files
    answered: Answered


class Service:
    """``open_ledger``: the ledger, open for as long as the service runs. ``signing_in``: where people do so."""

    def __init__(
        self,
        settings: ServiceSettings,
        identity: Identity,
        open_ledger: Callable[[], AbstractContextManager[Ledger]],
        signing_in: SigningIn | None = None,
    ) -> None:
        self.signing_in = signing_in
        self.settings, self.identity, self._open = settings, identity, open_ledger
        self.metrics, self.traces = Metrics(), traces_of()
        self.rates = Rates(settings.requests_per_second, time.monotonic)
        self.readiness = Readiness(self.ledger, settings, self.metrics)
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._now: _Running | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """From the start of the service to its end."""
        with self._open() as ledger:
            own = beside(ledger)
            receiver = Receiver(
                own.book, own.evidence, waiting_rows=self.settings.waiting_rows, tell=self.metrics.recorded
            )
            now = _Running(
                LedgerPool(lambda: beside(ledger), self.settings.ledgers),
                receiver,
                None if own.key_store is None else Protocol(own),
                Applying(lambda: beside(ledger)),
                Exports(ExportFolder(ledger.home / "exports"), lambda: beside(ledger)),
                Files(Uploads(ledger.home / "uploads"), lambda: beside(ledger)),
                Answered(AnsweredOnce(ledger.home / "answered")),
            )
            try:
                with receiver:
                    self._now = now
                    yield
            finally:
                for job in (now.applying, now.exports, now.files):
                    job.stop()
                self._now = None
                self.traces.stop()

    def ledger(self, patience_s: float | None = None) -> AbstractContextManager[Ledger]:
        """A ledger of this request alone. Raises Unavailable ``service_busy``, ``service_starting``."""
        return self._run.pool.ledger(self.settings.patience_seconds if patience_s is None else patience_s)

    def receive(self, partner: str, request: ReceivedRequest, rows: Sequence[ParsedRow]) -> Future[Answer]:
        """Record a request with others. Raises Unavailable ``too_busy``, ``stopping``, ``service_starting``."""
        answer = self._run.receiver.submit(partner, request, rows)
        self.metrics.waiting_rows.inc(len(rows))
        # Also where whoever asked went away.
        answer.add_done_callback(lambda _: self.metrics.waiting_rows.dec(len(rows)))
        return answer

    @property
    def protocol(self) -> Protocol:
        """What serves partners that sign. Raises Unavailable ``service_starting``, ``keys_absent``."""
        found = self._run.protocol
        if found is None:
            raise Unavailable("keys_absent", "the service runs without keys", remedy="start it with its key store")
        return found

    @property
    def applying(self) -> Applying:
        """The jobs that apply revisions. Raises Unavailable ``service_starting``."""
        return self._run.applying

    @property
    def exports(self) -> Exports:
        """The jobs that write events out. Raises Unavailable ``service_starting``."""
        return self._run.exports

    @property
    def files(self) -> Files:
        """The files that are uploaded. Raises Unavailable ``service_starting``."""
        return self._run.files

    @property
    def answered(self) -> Answered:
        """The answers that are kept. Raises Unavailable ``service_starting``."""
        return self._run.answered

    @property
    def _run(self) -> _Running:
        if self._now is None:
            raise Unavailable("service_starting", "the ledger is not open", remedy="try again a little later")
        return self._now

    def wait_for(self, min_position: int | None) -> None:
        """Until the log has a position. Raises Unavailable ``position_not_reached``."""
        if min_position is None:
            return
        if self._size() >= min_position:
            return
        # Who waits holds a thread, which others need to be answered at all.
        if not self._waiting.acquire(blocking=False):
            raise Unavailable("service_busy", "too many wait for a position", remedy="try again a little later")
        try:
            deadline = time.monotonic() + self.settings.patience_seconds
            while (size := self._size()) < min_position:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        "position_not_reached", f"the log has {size} events", remedy="ask for a position that it has"
                    )
                time.sleep(_LOOKS_EVERY_S)
        finally:
            self._waiting.release()

    def _size(self) -> int:
        with self.ledger() as ledger:
            return ledger.book.journal.head().size


async def service_of(request: Request) -> Service:
    """The service that a request came to."""
    found: Service = request.app.state.service
    return found
