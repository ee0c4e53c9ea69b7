"""What the HTTP service needs of adapters: its settings, its credentials, ledgers for its threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from application.book import Book
from infrastructure.answered_once import AnsweredOnce
from infrastructure.answered_once import Kept as KeptAnswer
from infrastructure.behavior_files.request_rows import rows_of_body
from infrastructure.clock import system_seconds
from infrastructure.dev_credentials import DevCredentials
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.export_folder import ExportFolder
from infrastructure.postgres.connecting import connection
from infrastructure.postgres.migrating import refuse_older
from infrastructure.settings import ServiceSettings, Settings
from infrastructure.token_keys import read_token_keys
from infrastructure.uploads import Uploads
from interfaces.bootstrap import Ledger

__all__ = [
    "AnsweredOnce",
    "DevCredentials",
    "ExportFolder",
    "KeptAnswer",
    "ServiceSettings",
    "Uploads",
    "beside",
    "dev_credentials",
    "read_token_keys",
    "refuse_other_schema",
    "rows_of_body",
    "system_seconds",
]

Clock = Callable[[], int]


def beside(ledger: Ledger) -> Ledger:
    """Another ledger over the same connections, for another thread.

    Journal, views and key store are made for many threads: they keep what belongs to one in thread-locals and bound who
    may hold connections. A book is not: it folds its rulebook on while it is asked, and what it gives out is that same
    rulebook. So each thread that answers has a book of its own, and everything else is shared.
    """
    keys = None if ledger.key_store is None else ledger.key_store.pepper()
    return replace(ledger, book=Book(ledger.book.journal, keys))


def refuse_other_schema(ledger: Ledger) -> int:
    """The version of the database's schema. Raises Unavailable ``schema_older``, ``schema_newer``."""
    journal = ledger.book.journal
    assert isinstance(journal, EventsourcingJournal)
    with connection(journal.datastore) as conn:
        return refuse_older(conn)


def dev_credentials(settings: Settings) -> DevCredentials:
    """The credentials for trying things out on this machine, where somebody made some."""
    return DevCredentials(settings.home / "dev-credentials.json")
