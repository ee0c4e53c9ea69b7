"""Files of behaviors that are uploaded: to a private file as they come, then imported as on the command line.

Keeps: memory does not grow with a file; a process imports one at a time, so that requests are answered meanwhile; a
stop of the service ends an import between two commits, and the same file sent again goes on where it was.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from application.importing import ImportResult, import_behaviors
from application.ports.behavior_source import RefusedRow
from domain.errors import Rejected, Unavailable
from interfaces.bootstrap import Ledger, behavior_file
from interfaces.bootstrap.service import Uploads

_AT_ONCE: Final = 4
"""Files that come in or wait for their turn: each may be as large as the limit."""
_OF_ONE_CALLER: Final = 2
"""However slowly one of them sends, there are places for others."""

_LOOKS_AGAIN_S: Final = 0.5
MOST_TOLD: Final = 100
"""Refused rows that an answer names; all are counted."""


class _Refused:
    """The first rows that are refused."""

    def __init__(self) -> None:
        self.rows = list[dict[str, Any]]()

    def write(self, row: RefusedRow) -> None:
        """Keep one."""
        if len(self.rows) < MOST_TOLD:
            self.rows.append(row.refusal._asdict())


class Files:
    """``another``: a ledger for a file that is imported."""

    def __init__(self, uploads: Uploads, another: Callable[[], Ledger]) -> None:
        self.uploads, self._another = uploads, another
        self._turn, self._stopping = threading.Lock(), threading.Event()
        self._coming, self._counting = Counter[str](), threading.Lock()

    @contextmanager
    def coming(self, caller: str) -> Iterator[None]:
        """A file comes in and is imported; one caller leaves places for others. Raises Unavailable ``too_busy``."""
        with self._counting:
            if self._coming.total() >= _AT_ONCE or self._coming[caller] >= _OF_ONE_CALLER:
                raise Unavailable("too_busy", "too many files are coming in", remedy="send it again a little later")
            self._coming[caller] += 1
        try:
            yield
        finally:
            with self._counting:
                self._coming[caller] -= 1

    def stop(self) -> None:
        """End what is imported, after the commit that it is at."""
        self._stopping.set()
        with self._turn:
            pass

    def take(self, path: Path, partner: str) -> dict[str, Any]:
        """Import an uploaded file, when it is its turn; what became of it.

        Raises Rejected as the source; Unavailable ``stopping``.
        """
        while not self._turn.acquire(timeout=_LOOKS_AGAIN_S):
            self._refuse_stopping()
        try:
            self._refuse_stopping()
            refused = _Refused()
            ledger = self._another()
            try:
                source = behavior_file(path)
            except Rejected as error:
                # Where it lies for a moment is nobody's business.
                raise Rejected(error.code, error.message, field="body", remedy=error.remedy) from None
            result = import_behaviors(
                ledger.book, source, partner, evidence=ledger.evidence, rejects=refused, progress=self._go_on
            )
            return {**_told(result), "digest": source.digest, "refused": refused.rows}
        finally:
            self._turn.release()

    def _go_on(self, _: ImportResult) -> None:
        self._refuse_stopping()

    def _refuse_stopping(self) -> None:
        if self._stopping.is_set():
            raise Unavailable("stopping", "the service is stopping", remedy="send the same file again: it goes on")


def _told(result: ImportResult) -> dict[str, Any]:
    return {
        "intake": result.intake_id,
        "read": result.read,
        "credited": result.credited,
        "duplicates": result.duplicates,
        "rejected": result.rejected,
        "rejected_by_code": dict(sorted(result.rejected_by_code.items())),
        "credited_mg": str(result.credited_mg),
        "position": result.position,
    }
