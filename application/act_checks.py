"""The acts of people in a live log, held against the keys that are registered in it.

Leaves to ``domain.acts``: what is wrong with one.
"""

from __future__ import annotations

from application.book import Book
from application.verification.signed_acts import ActsFound
from domain.events.account import ErasureRequested, PersonalDataErased
from domain.signing_keys import Verify

_ERASURES = (ErasureRequested.TOPIC, PersonalDataErased.TOPIC)


def acts_found(book: Book, verify: Verify, until: int | None = None) -> ActsFound:
    """Every act of the first ``until`` events (default: all). Raises Corrupt when the rulebook is unreadable."""
    journal, found = book.journal, ActsFound(verify)
    head = journal.head()
    upto = head.size if until is None else until
    rulebook = journal.rulebook_events(0, head.rulebook_position)
    found.rulebook(each for each in rulebook if each.position <= upto)
    for _, recorded in journal.streams(_ERASURES, upto):
        found.account(book.rulebook(head.rulebook_position), recorded)
    return found
