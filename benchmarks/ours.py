"""What the ledger does, as its commands do it: crediting a file, following the log, rebuilding views, replaying.

Keeps: only what a user could call, with the interpreter left as the command line leaves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from application.importing import import_behaviors
from application.ports.views import VIEWS
from application.replaying import replay as replay_book
from benchmarks.stopwatch import Stopwatch, untimed
from interfaces.bootstrap import Ledger, Settings, behavior_file, open_ledger
from interfaces.bootstrap import initialize as initialize_ledger
from interfaces.cli.progress import Progress

PARTNER = "generated"


def initialize(home: str, conninfo: str) -> dict[str, Any]:
    """An empty book with the demo catalogue."""
    initialize_ledger(_settings(home, conninfo))
    return untimed()


def credit(home: str, conninfo: str, file: str) -> dict[str, Any]:
    """Import a behavior file: digest, parse, look up, decide, encode, commit, close the intake."""
    with ledger_of(home, conninfo) as ledger:
        after = ledger.book.journal.head().size
        with Stopwatch() as watch:
            source = behavior_file(Path(file))
            with Progress().reading(source) as tell:
                result = import_behaviors(ledger.book, source, PARTNER, opens_accounts=True, progress=tell)
    counts = {"credited": result.credited, "duplicates": result.duplicates, "rejected": result.rejected}
    return watch.answer(result.read, after=after, upto=result.position, **counts)


def project(home: str, conninfo: str) -> dict[str, Any]:
    """Bring the views up to the head of the log."""
    with ledger_of(home, conninfo) as ledger:
        shown, head = ledger.views.advance(0), ledger.book.journal.head().size
        with Stopwatch() as watch:
            ledger.views.advance(head)
    return watch.answer(head - shown)


def rebuild(home: str, conninfo: str) -> dict[str, Any]:
    """Build all views anew and swap them in."""
    with ledger_of(home, conninfo) as ledger:
        shown = ledger.views.advance(0)
        with Stopwatch() as watch:
            ledger.views.rebuild(VIEWS)
    return watch.answer(shown)


def replay(home: str, conninfo: str) -> dict[str, Any]:
    """Recompute everything with the reference kernel and compare."""
    with ledger_of(home, conninfo) as ledger, Stopwatch() as watch:
        result = replay_book(ledger.book)
    return watch.answer(result.events, mismatches=result.mismatches)


def _settings(home: str, conninfo: str) -> Settings:
    return Settings(home=Path(home), dsn=SecretStr(conninfo))


@contextmanager
def ledger_of(home: str, conninfo: str) -> Iterator[Ledger]:
    with open_ledger(_settings(home, conninfo)) as ledger:
        yield ledger
