"""The keys that sign the log: the first one, and each that follows, as events signed by the keys themselves.

Keeps: a change is decided under the append lock, so that a key begins with exactly the size its event makes; whoever
signs asks which key is valid for the size, hence no downtime.
"""

from __future__ import annotations

from collections.abc import Callable

from application.book import Book
from application.ports.journal import Append
from application.ports.signer import Signer
from application.ports.verifier import Verifier
from domain.errors import Rejected
from domain.events.base import Event, NewEvent
from domain.events.keys import SigningKeyRegistered, SigningKeyRotated
from domain.signing_keys import SIGNING_KEYS, SigningKey, signing_keys, statement


def keys_of(book: Book, verifier: Verifier) -> list[SigningKey]:
    """All signing keys of the log with their ranges. Raises Corrupt ``signing_key_forged``."""
    return signing_keys(_name(book), book.journal.stream(SIGNING_KEYS), verifier.verify)


def register_first(book: Book, signer: Signer, verifier: Verifier, by: str) -> bool:
    """Record the first signing key unless there is one."""
    with book.journal.exclusive() as head:
        if keys_of(book, verifier):
            return False
        size = head.size + 1
        event = SigningKeyRegistered(
            key=signer.key_id,
            public_key=signer.public_key.hex(),
            first_size=size,
            by=by,
            signature=signer.sign(statement(_name(book), signer.public_key, size, "", by)).hex(),
        )
        book.journal.append(Append([NewEvent(SIGNING_KEYS, 1, event)], head.rulebook_position))
    return True


def rotate(book: Book, signer_of: Callable[[str], Signer], new: Signer, verifier: Verifier, by: str) -> SigningKey:
    """From the next position on the new key signs. Raises Rejected ``no_signing_key``."""
    with book.journal.exclusive() as head:
        keys = keys_of(book, verifier)
        if not keys:
            raise Rejected("no_signing_key", "the log has no signing key yet", remedy="run `carbon-ledger init` again")
        old, size = signer_of(keys[-1].key), head.size + 1
        message = statement(_name(book), new.public_key, size, old.key_id, by)
        event: Event = SigningKeyRotated(
            key=new.key_id,
            public_key=new.public_key.hex(),
            first_size=size,
            replaces=old.key_id,
            by=by,
            signature_of_replaced=old.sign(message).hex(),
            signature=new.sign(message).hex(),
        )
        book.journal.append(Append([NewEvent(SIGNING_KEYS, len(keys) + 1, event)], head.rulebook_position))
    return SigningKey(new.key_id, new.public_key, size, None)


def _name(book: Book) -> str:
    genesis = book.rulebook().genesis
    return "" if genesis is None else genesis.book
