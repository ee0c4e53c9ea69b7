"""What the HTTP service needs of adapters: its settings, its credentials, ledgers for its threads."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from application import service_keys
from application.book import Book
from application.checkpoints import origin_of
from application.ports.nonces import Nonces
from domain.errors import Rejected
from domain.instants import instant_text
from domain.partner_protocol import RECEIPT, SEAL, Addressed, Headers, answer_aad, seal_aad
from infrastructure.answered_once import AnsweredOnce
from infrastructure.answered_once import Kept as KeptAnswer
from infrastructure.behavior_files.request_rows import rows_of_body
from infrastructure.clock import system_microseconds, system_seconds
from infrastructure.dev_credentials import DevCredentials
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.export_folder import ExportFolder
from infrastructure.gm.partner_seal import Opened, open_body, seal_answer
from infrastructure.gm.sm2_format import public_key_to_pem, signature_from_der, signature_to_der
from infrastructure.postgres.connecting import connection
from infrastructure.postgres.migrating import refuse_older
from infrastructure.postgres.nonces import PostgresNonces
from infrastructure.settings import ServiceSettings, Settings
from infrastructure.token_keys import read_token_keys
from infrastructure.uploads import Uploads
from interfaces.bootstrap import Ledger

__all__ = [
    "AnsweredOnce",
    "DevCredentials",
    "ExportFolder",
    "KeptAnswer",
    "Opened",
    "Protocol",
    "ServiceSettings",
    "Uploads",
    "beside",
    "dev_credentials",
    "read_token_keys",
    "refuse_other_schema",
    "rows_of_body",
    "signature_of",
    "signature_text",
    "system_microseconds",
    "system_seconds",
]

Clock = Callable[[], int]


class Protocol:
    """What serves partners that sign (docs/spec/partner-api.md): the keys of the service, and the nonces taken."""

    def __init__(self, ledger: Ledger) -> None:
        journal = ledger.book.journal
        assert isinstance(journal, EventsourcingJournal)
        self.nonces: Nonces = PostgresNonces(journal.datastore)
        self.book_id = journal.book_id().bytes
        self.origin = origin_of(self.book_id)
        self.verifier = ledger.verifier
        service_keys.prepare(ledger.book, ledger.keys, ledger.verifier, self.origin)
        self.receipt, self.seal = (ledger.keys.service_keys(purpose) for purpose in (RECEIPT, SEAL))

    def open_body(self, body: bytes, where: Addressed, headers: Headers) -> Opened:
        """A sealed body. Raises Rejected as ``partner_seal.open_body``."""
        return open_body(body, [each.key for each in self.seal], lambda to: seal_aad(where, headers, to))

    def seal_answer(self, content_key: bytes, answer: bytes, headers: Headers) -> bytes:
        """The answer to a sealed request."""
        return seal_answer(content_key, answer, answer_aad(self.origin, headers))

    def described(self) -> dict[str, Any]:
        """What partners are told of it."""
        keys = [
            {
                "purpose": purpose,
                "key": each.key.key_id,
                "public_key": each.key.public_key.hex(),
                "public_pem": public_key_to_pem(each.key.public_key),
                "log_key": each.log_key,
                "certificate": signature_text(each.certificate),
            }
            for purpose, found in ((RECEIPT, self.receipt), (SEAL, self.seal))
            for each in found
        ]
        return {"origin": self.origin, "now": instant_text(system_seconds() * 1_000_000), "keys": keys}


def signature_text(signature: bytes) -> str:
    """A signature as the protocol spells it: base64 of DER."""
    return base64.b64encode(signature_to_der(signature)).decode()


def signature_of(text: str) -> bytes | None:
    """The 64 bytes of a signature so spelled; None for any other spelling."""
    try:
        signature = signature_from_der(base64.b64decode(text, validate=True))
    except (Rejected, ValueError):
        return None
    return signature if signature_text(signature) == text else None


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
