"""Use cases of erasing a person: one asks, another approves (DESIGN 2.7; DOMAIN rule 19).

Keeps: both are decided under the append lock, on the retention period that the book was opened with; the receipt, the
look-up by reference and the account's key go together in one transaction, so that there is never a half-erased person.
Leaves to ``domain.erasure``: what stands against it; to ``keys rewrap``: destroying the key-encryption key, which makes
erasure final for backups of the database too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from application.accounts import Acted, account_id
from application.acts import UNSIGNED, Signing, signed
from application.book import Book
from application.lookups import heads_of
from application.ports.journal import Append, Head
from domain import erasure
from domain.account import Account
from domain.acts import erasure_act
from domain.events.account import ErasureRequested, PersonalDataErased
from domain.events.base import NewEvent, Recorded
from domain.rulebook import Rulebook


class Erased(NamedTuple):
    """A person was erased. ``epoch``: the key-encryption key that still opens backups, until it is destroyed."""

    account_id: UUID
    position: int
    epoch: int


class Erasure(NamedTuple):
    """What an account's stream says of its erasure. ``reason`` is None once it is erased, as all that is personal.

    ``requested``, ``erased``: log positions; ``approved_by``, ``erased`` and ``epoch`` are None until it is approved.
    """

    requested: int
    requested_by: str
    ground: str
    reason: str | None
    approved_by: str | None = None
    erased: int | None = None
    epoch: int | None = None


def erasure_of(recorded: Iterable[Recorded]) -> Erasure | None:
    """The erasure of an account, asked for or done; None when nobody asked."""
    found: Erasure | None = None
    for each in recorded:
        event = each.event
        if isinstance(event, ErasureRequested):
            reason = None if each.personal is None else each.personal.reason
            found = Erasure(each.position, event.by, event.ground, reason)
        elif isinstance(event, PersonalDataErased) and found is not None:
            found = found._replace(approved_by=event.by, erased=each.position, epoch=event.epoch)
    return found


def request(
    book: Book,
    account_ref: str,
    by: str,
    reason: str,
    ground: str = erasure.GROUNDS[0],
    signing: Signing = UNSIGNED,
) -> Acted:
    """Ask to erase the person behind an account.

    Raises Rejected ``account_unknown``, ``account_erased``, ``account_frozen``, ``erasure_requested``,
    ``ground_unknown``, ``retention_not_over``.
    """
    stream = account_id(book, account_ref)
    with book.journal.exclusive() as head:
        rulebook, account = _standing(book, head, stream)
        event, personal = erasure.request(account, by, ground, reason)
        _refuse_retained(book, rulebook, stream, head)
        event = signed(rulebook, event, erasure_act(stream, event, None), signing)
        new = NewEvent(stream, account.version + 1, event, personal)
        return Acted(stream, book.journal.append(Append([new], rulebook.position)).last)


def approve(book: Book, account_ref: str, by: str, signing: Signing = UNSIGNED) -> Erased:
    """Erase the person, as somebody else has asked.

    Raises Rejected ``account_unknown``, ``account_erased``, ``account_frozen``, ``erasure_not_requested``,
    ``same_actor``, ``retention_not_over``.
    """
    stream = account_id(book, account_ref)
    with book.journal.exclusive() as head:
        rulebook, account = _standing(book, head, stream)
        receipt = erasure.erase(account, by, book.journal.key_epoch())
        _refuse_retained(book, rulebook, stream, head)
        asked = book.journal.stream(stream)[receipt.request - 1].event
        receipt = signed(rulebook, receipt, erasure_act(stream, receipt, asked), signing)
        new = NewEvent(stream, account.version + 1, receipt)
        appended = book.journal.append(Append([new], rulebook.position, erasures=[stream]))
        return Erased(stream, appended.last, receipt.epoch)


def _standing(book: Book, head: Head, stream: UUID) -> tuple[Rulebook, Account]:
    return book.rulebook(head.rulebook_position), heads_of(book.journal, [stream])[stream]


def _refuse_retained(book: Book, rulebook: Rulebook, stream: UUID, head: Head) -> None:
    """What was recorded last may have been recorded between asking and approving: both look."""
    # The log's time never goes back, whatever the clock does.
    now_us = max(book.journal.now_us(), head.recorded_us)
    assert rulebook.genesis is not None
    last = erasure.last_entry(book.journal.stream(stream))
    recorded_us = book.journal.recorded_at([last])[last]
    erasure.refuse_retained(recorded_us, rulebook.genesis.retention_days, now_us)
