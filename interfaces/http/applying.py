"""The application of approved revisions as jobs of the service.

Keeps: the truth of a job is the log alone: a run is approved, then completed, and what it has recorded on the way
stays; a claim on the run, which ends with the process that holds it, keeps workers from doing the same twice. A worker
that was asked while another one applies stands by, and goes on where that one ends. A stop of the service stops a job
between two appends; whoever asks again, here or on the command line, resumes it.
Leaves to ``application.revising``: what is recorded, resumable and idempotent, whoever else writes meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from application import revising
from application.book import Book
from domain.errors import LedgerError, Rejected
from domain.events.account import FactorRevised
from domain.revision import find_run
from domain.rulebook import RevisionRun
from domain.streams import stream_id
from interfaces.bootstrap import Ledger
from interfaces.http import logs
from interfaces.kernels import accounts_by

_LOOKS_AGAIN_S: Final = 0.5


class _StopAskedFor(Exception):
    """The service ends; the job is left where it is."""


class Applying:
    """``another``: a ledger for a thread of its own."""

    def __init__(self, another: Callable[[], Ledger]) -> None:
        self._another, self._lock, self._stopping = another, threading.Lock(), threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._failed: dict[str, str] = {}
        # By revision: up to which position its records were counted, and how many accounts had all of theirs.
        self._counted: dict[str, tuple[int, int]] = {}

    def start(self, book: Book, revision: str) -> None:
        """Apply a run that is approved, unless this process does so already; a completed one stays as it is.

        Raises Rejected ``revision_unknown``, ``wrong_state``.
        """
        run = find_run(book.rulebook(), revision)
        if run.completed is not None:
            return
        if run.approved is None:
            raise Rejected(
                "wrong_state",
                "the revision is not approved",
                field="revision_id",
                remedy="let somebody else than its planner approve it first",
            )
        with self._lock:
            at_work = self._threads.get(revision)
            if self._stopping.is_set() or (at_work is not None and at_work.is_alive()):
                return
            self._failed.pop(revision, None)
            thread = threading.Thread(target=self._work, args=(revision,), name=f"applying-{revision}")
            self._threads[revision] = thread
            thread.start()

    def stop(self) -> None:
        """Let every job stop after the append that it is at."""
        with self._lock:
            self._stopping.set()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()

    def job(self, book: Book, revision: str) -> dict[str, Any]:
        """Where a job stands. Raises Rejected ``revision_unknown``."""
        rulebook = book.rulebook()
        run = find_run(rulebook, revision)
        if run.completed is not None:
            state, done, accounts = "completed", run.completed.accounts, run.completed.accounts
        elif run.approved is None:
            state, done, accounts = "not_approved", 0, None
        else:
            state, done, accounts = self._state(book, revision), self._booked(book, run), None
        return {
            "revision_id": revision,
            "state": state,
            "accounts_done": done,
            "accounts": accounts,
            "failed_with": self._failed.get(revision) if state == "stopped" else None,
            "completed_position": run.completed_position if run.completed is not None else None,
        }

    def _state(self, book: Book, revision: str) -> str:
        with self._lock:
            thread = self._threads.get(revision)
        if thread is not None and thread.is_alive():
            return "running"
        with book.journal.claim(stream_id("revision", revision)) as free:
            return "stopped" if free else "running"

    def _booked(self, book: Book, run: RevisionRun) -> int:
        """How many accounts have recorded all of their lines, counted on from where this process counted to."""
        assert run.approved is not None
        upto = book.journal.head().size
        with self._lock:
            after, booked = self._counted.get(run.id, (run.approved, 0))
        for each in book.journal.log(after, upto, (FactorRevised.TOPIC,)):
            event = each.event
            booked += isinstance(event, FactorRevised) and event.revision == run.id and event.last
        with self._lock:
            self._counted[run.id] = (upto, booked)
        return booked

    def _work(self, revision: str) -> None:
        try:
            ledger = self._another()
            while not self._stopping.is_set():
                with ledger.book.journal.claim(stream_id("revision", revision)) as ours:
                    if ours:
                        accounts = accounts_by("auto", ledger)
                        revising.apply(ledger.book, revision, progress=self._go_on, accounts=accounts)
                        return
                if ledger.book.rulebook().revisions[revision].completed is not None:
                    return
                self._stopping.wait(_LOOKS_AGAIN_S)
        except _StopAskedFor:
            return
        except LedgerError as error:
            logs.failure(error, revision)
            self._failed[revision] = error.code
        except Exception as error:  # noqa: BLE001  # a defect must not pass for a job that is at work
            logs.defect(error, revision)
            self._failed[revision] = "defect"

    def _go_on(self, _: int) -> None:
        if self._stopping.is_set():
            raise _StopAskedFor
