"""Exports of events as jobs of the service.

Keeps: who asks is in the access log before anything is written, and again before what is personal is handed over; an
export is its asker's alone; a process makes one at a time; what is older than a day is removed, since personal facts in
a file would outlive an erasure. A job ends with its process: ask again.
Leaves to ``application.exporting_events``: what is written, and what the log's key signs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from application.access import record_export
from application.exporting_events import EventFilter, export_events
from domain.access import LOGIN, Reader
from domain.errors import LedgerError, Rejected, Unavailable
from interfaces.bootstrap import Ledger, row_format
from interfaces.bootstrap.service import ExportFolder, system_seconds
from interfaces.http import logs

KEPT_SECONDS: Final = 24 * 60 * 60
_COMMAND: Final = "export events"


class _StopAskedFor(Exception):
    """The service ends."""


class Exports:
    """``another``: a ledger for a thread of its own."""

    def __init__(self, folder: ExportFolder, another: Callable[[], Ledger]) -> None:
        self._folder, self._another = folder, another
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._running: UUID | None = None

    def start(self, by: str, wanted: EventFilter, form: str, *, personal: bool) -> UUID:
        """Begin to write events out. Raises Unavailable ``too_busy``."""
        export = uuid4()
        asked = {"by": by, "format": form, "personal": personal}
        with self._lock:
            if self._stopping.is_set() or (self._thread is not None and self._thread.is_alive()):
                raise Unavailable("too_busy", "an export is being written", remedy="try again a little later")
            self._folder.expire(system_seconds() - KEPT_SECONDS)
            self._folder.begin(export, asked)
            work = (export, Reader(by, LOGIN), wanted, form, personal)
            self._running = export
            self._thread = threading.Thread(target=self._work, args=work, name="exporting")
            self._thread.start()
        return export

    def stop(self) -> None:
        """Leave what is under way."""
        with self._lock:
            self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def job(self, ledger: Ledger, export: UUID, by: str) -> dict[str, Any]:
        """Where an export stands. Raises Rejected ``export_unknown``, also for those of others."""
        asked = self._asked(export, by)
        failure = self._folder.failure(export)
        if self._folder.files(export) is not None:
            state = "completed"
        elif failure is not None:
            state = "failed"
        else:
            with ledger.book.journal.claim(export) as free:
                # It may have been completed between the two looks.
                whole = self._folder.files(export) is not None
                state = "completed" if whole else "stopped" if free and not self._is_mine(export) else "running"
        told = {name: asked[name] for name in ("format", "personal")}
        return {"export_id": str(export), **told, "state": state, "failed_with": failure}

    def files(self, ledger: Ledger, export: UUID, by: str, *, may_personal: bool) -> tuple[Path, Path]:
        """Manifest and events, for whoever asked for them. Raises Rejected ``export_unknown``, ``wrong_state``."""
        asked = self._asked(export, by)
        if asked["personal"] and not may_personal:
            raise unknown()
        found = self._folder.files(export)
        if found is None:
            raise Rejected(
                "wrong_state", "the export is not completed", field="export_id", remedy="GET it until it is completed"
            )
        if asked["personal"]:
            record_export(ledger.book, Reader(by, LOGIN), _COMMAND, None, personal=True)
        return found

    def remove(self, export: UUID, by: str) -> None:
        """Raises Rejected ``export_unknown``."""
        self._asked(export, by)
        self._folder.remove(export)

    def _asked(self, export: UUID, by: str) -> dict[str, Any]:
        asked = self._folder.asked(export)
        if asked is None or asked["by"] != by:
            raise unknown()
        return asked

    def _is_mine(self, export: UUID) -> bool:
        with self._lock:
            return self._running == export and self._thread is not None and self._thread.is_alive()

    def _work(self, export: UUID, reader: Reader, wanted: EventFilter, form: str, personal: bool) -> None:
        try:
            ledger = self._another()
            manifest, events = self._folder.output(export)
            with ledger.book.journal.claim(export), manifest as note, events as file:
                done = export_events(
                    ledger.auditing,
                    wanted,
                    form,
                    row_format(form),
                    file.write,
                    personal=personal,
                    software=f"carbon-ledger {version('carbon-ledger')}",
                    recorded=lambda ids: record_export(ledger.book, reader, _COMMAND, ids, personal=personal),
                    progress=self._go_on,
                )
                note.write(done.note)
        except _StopAskedFor:
            return
        except LedgerError as error:
            logs.failure(error, str(export))
            self._folder.failed(export, error.code)
        except Exception as error:  # noqa: BLE001  # a defect must not pass for a job that is at work
            logs.defect(error, str(export))
            self._folder.failed(export, "defect")

    def _go_on(self, _: int) -> None:
        if self._stopping.is_set():
            raise _StopAskedFor


def unknown() -> Rejected:
    """There is no such export of the caller's."""
    return Rejected(
        "export_unknown",
        "you have no export of this id",
        field="export_id",
        remedy="POST /v1/exports answers with one; it is kept for a day",
    )
