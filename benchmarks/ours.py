"""What the ledger does, as its commands do it: crediting a file, following the log, rebuilding views, replaying.

Keeps: only what a user could call, with the interpreter left as the command line leaves it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from application.importing import import_behaviors
from application.ports.views import VIEWS
from application.replaying import replay as replay_book
from interfaces.bootstrap import Ledger, Settings, behavior_file, open_ledger
from interfaces.bootstrap import initialize as initialize_ledger
from interfaces.cli.progress import Progress

PARTNER = "generated"


def initialize(home: str, conninfo: str) -> dict[str, Any]:
    """An empty book with the demo catalogue."""
    version = initialize_ledger(_settings(home, conninfo))
    return {"rows": 0, "seconds": 0, "server_version": version}


def credit(home: str, conninfo: str, file: str) -> dict[str, Any]:
    """Import a behavior file: digest, parse, look up, decide, encode, commit, close the intake."""
    with _ledger(home, conninfo) as ledger:
        after = ledger.book.journal.head().size
        started = time.perf_counter()
        source = behavior_file(Path(file))
        with Progress().reading(source) as tell:
            result = import_behaviors(ledger.book, source, PARTNER, opens_accounts=True, progress=tell)
        seconds = time.perf_counter() - started
    counts = {"credited": result.credited, "duplicates": result.duplicates, "rejected": result.rejected}
    return {"rows": result.read, "seconds": seconds, "after": after, "upto": result.position, **counts}


def project(home: str, conninfo: str) -> dict[str, Any]:
    """Bring the views up to the head of the log."""
    with _ledger(home, conninfo) as ledger:
        shown, head = ledger.views.advance(0), ledger.book.journal.head().size
        started = time.perf_counter()
        ledger.views.advance(head)
        return {"rows": head - shown, "seconds": time.perf_counter() - started}


def rebuild(home: str, conninfo: str) -> dict[str, Any]:
    """Build all views anew and swap them in."""
    with _ledger(home, conninfo) as ledger:
        shown = ledger.views.advance(0)
        started = time.perf_counter()
        ledger.views.rebuild(VIEWS)
        return {"rows": shown, "seconds": time.perf_counter() - started}


def replay(home: str, conninfo: str) -> dict[str, Any]:
    """Recompute everything with the reference kernel and compare."""
    with _ledger(home, conninfo) as ledger:
        started = time.perf_counter()
        result = replay_book(ledger.book)
        seconds = time.perf_counter() - started
    return {"rows": result.events, "seconds": seconds, "mismatches": result.mismatches}


def _settings(home: str, conninfo: str) -> Settings:
    return Settings(home=Path(home), dsn=SecretStr(conninfo))


@contextmanager
def _ledger(home: str, conninfo: str) -> Iterator[Ledger]:
    with open_ledger(_settings(home, conninfo)) as ledger:
        yield ledger
