"""Keys of the service: what signs receipts and what bodies are sealed to, certified by the key of the log.

Keeps: no key does two things; the key of the log signs of them only that they are its own, in a text that no
checkpoint could be; whoever has the log's public key can tell them from anybody else's (docs/spec/partner-api.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from application import signing_keys
from application.book import Book
from application.ports.signer import Signer
from application.ports.verifier import Verifier
from domain.errors import Rejected
from domain.partner_protocol import PURPOSES, service_key_text


class Certified(Protocol):
    """Where such keys are kept."""

    def certified(self, purposes: Sequence[str], log_key: str, certify: Callable[[str, bytes], bytes]) -> None:
        """Have a key for each purpose, all of them certified by this key of the log."""

    def signer(self, key_id: str) -> Signer:
        """A key of the log."""


def prepare(book: Book, keys: Certified, verifier: Verifier, origin: str) -> None:
    """Have them, certified by the key that signs the log now. Raises Rejected ``no_signing_key``."""
    known = signing_keys.keys_of(book, verifier)
    if not known:
        raise Rejected("no_signing_key", "the log has no signing key yet", remedy="run `carbon-ledger init` again")
    log_key = known[-1].key
    keys.certified(PURPOSES, log_key, lambda *key: keys.signer(log_key).sign(service_key_text(origin, *key)))
