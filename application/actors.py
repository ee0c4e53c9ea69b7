"""Use cases of people's keys: register one, approve it, revoke it.

Leaves to ``domain.registering``: every rule; to ``book.act``: the lock under which it is checked, and signatures.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from application.acts import UNSIGNED, Signing
from application.book import Book, Done
from domain import registering
from domain.actor_keys import ActorKey
from domain.events.actors import ActorKeyApproved, ActorKeyRegistered, ActorKeyRevoked
from domain.signing_keys import Verify


class Registration(NamedTuple):
    """A key of an actor, and the log position of what was done about it."""

    key: ActorKey
    position: int


def to_register(book: Book, actor: str, public_key: bytes) -> tuple[bytes, str]:
    """What the new key and the one it replaces sign, and the id of the latter."""
    return registering.to_register(book.rulebook(), actor, public_key)


def register(
    book: Book, actor: str, public_key: bytes, by: str, possession: bytes, of_replaced: bytes, verify: Verify
) -> Registration:
    """Raises Rejected as ``domain.registering.register``."""
    done, _ = book.act(
        lambda rulebook, _: (
            registering.register(rulebook, actor, public_key, by, possession, of_replaced, verify),
            None,
        )
    )
    return _registration(book, done)


def approve(book: Book, actor: str, by: str, signing: Signing = UNSIGNED) -> Registration:
    """Raises Rejected as ``domain.registering.approve`` and ``application.acts.signed``."""
    done, _ = book.act(lambda rulebook, _: (registering.approve(rulebook, actor, by), None), signing)
    return _registration(book, done)


def revoke(
    book: Book, actor: str, by: str, reason: str, key: str | None = None, signing: Signing = UNSIGNED
) -> Registration:
    """Raises Rejected as ``domain.registering.revoke`` and ``application.acts.signed``."""
    done, _ = book.act(lambda rulebook, _: (registering.revoke(rulebook, actor, by, reason, key), None), signing)
    return _registration(book, done)


def _registration(book: Book, done: Done) -> Registration:
    event = cast("ActorKeyRegistered | ActorKeyApproved | ActorKeyRevoked", done.new.event)
    return Registration(book.rulebook().actor_keys.all[event.key], done.position)
