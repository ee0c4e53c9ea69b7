"""The beginning of a book: its genesis event, and the demo catalogue.

Keeps: every step looks at what is there already, so an interrupted beginning is finished by running it again; the
catalogue goes through the same life cycle, with as many actors, as any methodology.
"""

from __future__ import annotations

from collections.abc import Sequence

from application import methodologies
from application.book import Book
from application.ports.journal import Append
from domain import opening
from domain.erasure import DEFAULT_RETENTION_DAYS, check_retention
from domain.errors import Rejected
from domain.kernel.method_file import method_from_document
from domain.rulebook import Rulebook

ACTORS = ("catalogue-drafter", "catalogue-reviewer", "catalogue-certifier", "catalogue-publisher")


def open_book(
    book: Book, *, clock: str = "system", retention_days: int | None = None, signed_acts: bool = False
) -> bool:
    """Write the genesis event unless there is one. ``clock``: system, or simulated for demonstrations.

    ``retention_days`` None: as it is recorded, ten years in a new book. ``signed_acts``: every act of people is signed.
    Raises Rejected ``retention_malformed``, ``retention_recorded``, ``signed_acts_recorded`` when there is a genesis
    event that says something else.
    """
    if retention_days is not None:
        check_retention(retention_days)
    with book.journal.exclusive() as head:
        if head.size:
            _refuse_another_retention(book, retention_days)
            _refuse_other_acts(book, signed_acts=signed_acts)
            return False
        genesis = opening.open_book(
            Rulebook(),
            str(book.journal.book_id()),
            clock,
            book.keys.check(),
            DEFAULT_RETENTION_DAYS if retention_days is None else retention_days,
            signed_acts=signed_acts,
        )
        book.journal.append(Append([genesis], 0, moves_rulebook=True))
    return True


def _refuse_another_retention(book: Book, retention_days: int | None) -> None:
    genesis = book.rulebook().genesis
    if genesis is not None and retention_days not in (None, genesis.retention_days):
        raise Rejected(
            "retention_recorded",
            f"this book was opened with a retention period of {genesis.retention_days} days",
            field="retention_days",
            remedy="leave it out: the first event of a book is never changed",
        )


def _refuse_other_acts(book: Book, *, signed_acts: bool) -> None:
    genesis = book.rulebook().genesis
    if genesis is not None and signed_acts and not genesis.signed_acts:
        raise Rejected(
            "signed_acts_recorded",
            "this book was opened as one in which acts need not be signed",
            field="signed_acts",
            remedy="register keys: whoever has one signs; or open another book",
        )


def load_catalogue(book: Book, documents: Sequence[object]) -> None:
    """Publish every version; make version 1 of each code applicable to all regions and times."""
    drafter, reviewer, certifier, publisher = ACTORS
    names = []
    for document in documents:
        method = method_from_document(document)
        name = f"{method.code}@{method.version}"
        names.append((name, method.version))
        if name not in book.rulebook().methodologies:
            methodologies.import_methodology(book, document, drafter)
        if book.rulebook().methodologies[name].state == "drafted":
            methodologies.review(book, name, reviewer)
        if book.rulebook().methodologies[name].state == "reviewed":
            methodologies.certify(book, name, certifier)
        if book.rulebook().methodologies[name].state == "certified":
            methodologies.publish(book, name, publisher)
    for name, version in names:
        if version == 1:
            _make_applicable(book, name, drafter, certifier)


def _make_applicable(book: Book, name: str, proposer: str, approver: str) -> None:
    earlier = [p for p in book.rulebook().proposals.values() if p.methodology == name]
    if any(p.approved is not None for p in earlier):
        return
    decision = earlier[0].id if earlier else methodologies.propose_decision(book, name, None, None, proposer)[0]
    methodologies.approve_decision(book, decision, approver)
