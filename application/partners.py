"""Use cases of partners: register one, give it keys and terms, suspend it, let it send again.

Leaves to ``domain.partnering``: every rule; to ``book.act``: the lock under which it is checked, and signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from application.acts import UNSIGNED, Signing
from application.book import Book
from domain import partnering
from domain.events.base import NewEvent
from domain.partners import Terms
from domain.rulebook import Rulebook
from domain.signing_keys import Verify


class PartnerAct(NamedTuple):
    """What was recorded about a partner, and where. ``state``: proposed while it is none yet, active or suspended."""

    event: Any
    state: str
    position: int


def to_prove(book: Book, partner: str, public_key: bytes) -> bytes:
    """What a key signs before it can be proposed for the partner."""
    return partnering.to_prove(book.rulebook(), partner, public_key)


def propose(
    book: Book, partner: str, terms: Terms, public_key: bytes, by: str, possession: bytes, verify: Verify
) -> PartnerAct:
    """Raises Rejected as ``domain.partnering.propose``."""
    key = (public_key, by, possession, verify)
    return _done(book, lambda rulebook: partnering.propose(rulebook, partner, terms, *key))


def propose_key(book: Book, partner: str, public_key: bytes, by: str, possession: bytes, verify: Verify) -> PartnerAct:
    """Raises Rejected as ``domain.partnering.propose_key``."""
    key = (public_key, by, possession, verify)
    return _done(book, lambda rulebook: partnering.propose_key(rulebook, partner, *key))


def propose_terms(book: Book, partner: str, terms: Terms, by: str) -> PartnerAct:
    """Raises Rejected as ``domain.partnering.propose_terms``."""
    return _done(book, lambda rulebook: partnering.propose_terms(rulebook, partner, terms, by))


def propose_resumption(book: Book, partner: str, by: str, reason: str) -> PartnerAct:
    """Raises Rejected as ``domain.partnering.propose_resumption``."""
    return _done(book, lambda rulebook: partnering.propose_resumption(rulebook, partner, by, reason))


def approve(book: Book, proposal: str, by: str, signing: Signing = UNSIGNED) -> PartnerAct:
    """Raises Rejected as ``domain.partnering.approve`` and ``application.acts.signed``."""
    return _done(book, lambda rulebook: partnering.approve(rulebook, proposal, by), signing)


def revoke_key(book: Book, partner: str, key: str, by: str, reason: str, signing: Signing = UNSIGNED) -> PartnerAct:
    """Raises Rejected as ``domain.partnering.revoke_key`` and ``application.acts.signed``."""
    return _done(book, lambda rulebook: partnering.revoke_key(rulebook, partner, key, by, reason), signing)


def suspend(book: Book, partner: str, by: str, reason: str, signing: Signing = UNSIGNED) -> PartnerAct:
    """Raises Rejected as ``domain.partnering.suspend`` and ``application.acts.signed``."""
    return _done(book, lambda rulebook: partnering.suspend(rulebook, partner, by, reason), signing)


def _done(book: Book, decide: Callable[[Rulebook], NewEvent], signing: Signing = UNSIGNED) -> PartnerAct:
    done, _ = book.act(lambda rulebook, _: (decide(rulebook), None), signing)
    event: Any = done.new.event
    partner = book.rulebook().partners.all.get(event.partner)
    return PartnerAct(event, "proposed" if partner is None else partner.state, done.position)
