"""The first event of a book.

Keeps: a book is opened once, before anything else of its rulebook.
"""

from __future__ import annotations

from domain.erasure import check_retention
from domain.errors import Rejected
from domain.events.base import NewEvent
from domain.events.rulebook import BookOpened
from domain.rulebook import Rulebook


def open_book(
    rulebook: Rulebook, book: str, clock: str, pepper_check: str, retention_days: int, *, signed_acts: bool
) -> NewEvent:
    """The genesis event, as ``BookOpened`` says. Raises Rejected ``book_open``, ``retention_malformed``."""
    if rulebook.position:
        raise Rejected(
            "book_open", "this book was opened before", field="book", remedy="a second book needs a database of its own"
        )
    event = BookOpened(
        previous=0,
        book=book,
        clock=clock,
        pepper_check=pepper_check,
        retention_days=check_retention(retention_days),
        signed_acts=signed_acts,
    )
    return rulebook.record("book", "book", event)
