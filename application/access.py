"""The access log: recording who was shown or handed personal facts, and telling it.

Keeps: an access is recorded under the append lock, so that requests at the same time do not fail each other; whoever
answers does so after it has returned, or not at all. What is an event anyway (an erasure, a decision) is told from that
event and not recorded twice.
Leaves to ``domain.access``: what is said of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from application.book import Book
from application.ports.journal import Append
from domain.access import EXPORTS, Reader, access_stream, exported, read
from domain.actors import same_actor
from domain.acts import ACT_EVENTS
from domain.events.access import PersonalDataRead, RecordsExported
from domain.events.account import ErasureRequested, PersonalDataErased
from domain.events.base import Event, NewEvent, Recorded

READ, EXPORT, ERASE, DECIDE = "read", "export", "erase", "decide"
_PAGE = 1_000


class Access(NamedTuple):
    """Something that somebody was shown, handed, or did. ``recorded_us``: when, by the log.

    ``known_by``: given, login, or signed for an act with a signature. ``account``: None where it is not about one.
    ``accounts``: how many an export was about; 0 where that was not counted.
    """

    position: int
    recorded_us: int
    kind: str
    by: str
    known_by: str
    command: str
    account: UUID | None
    object: str
    accounts: int


def record_read(book: Book, reader: Reader, command: str, account: UUID) -> int:
    """Record that personal facts of an account are about to be shown; returns the log position."""
    return _record(book, access_stream(account), read(reader, command, account))


def opened_for(book: Book, reader: Reader | None, command: str, account: UUID) -> bool:
    """Whether what is personal of an account may be opened for a reader; if so it is recorded when this returns.

    ``reader`` None: somebody who is shown facts alone. Without keys nothing personal can be shown to anybody.
    """
    if reader is None or not book.opens:
        return False
    record_read(book, reader, command, account)
    return True


def record_export(
    book: Book, reader: Reader, command: str, accounts: Iterable[UUID] | None, *, personal: bool, about: str = ""
) -> int:
    """Record that records are about to be written out; returns the log position."""
    return _record(book, EXPORTS, exported(reader, command, accounts, personal=personal, about=about))


def _record(book: Book, stream: UUID, event: Event) -> int:
    with book.journal.exclusive() as head:
        new = NewEvent(stream, book.journal.version(stream) + 1, event)
        return book.journal.append(Append([new], head.rulebook_position)).last


def accesses(
    book: Book,
    *,
    account: UUID | None = None,
    actor: str | None = None,
    from_us: int = 0,
    to_us: int | None = None,
    after: int = 0,
) -> Iterator[Access]:
    """Everything of the period [from, to) in log order: reads, exports, erasures and the acts that people sign.

    ``account``: only what is about this one; exports, whose accounts are told by a digest, are not. ``after``: only
    what stands after this log position.
    """
    journal = book.journal
    after = max(after, journal.position_at(from_us - 1) if from_us else 0)
    upto = journal.head().size if to_us is None else journal.position_at(to_us - 1)
    if account is None:
        topics = [cls.TOPIC for cls in _TOLD]
        found: Iterator[Recorded] = journal.log(after, upto, topics)
    else:
        streams = (journal.stream(access_stream(account), upto), journal.stream(account, upto))
        both = sorted((each for events in streams for each in events), key=lambda each: each.position)
        found = (each for each in both if each.position > after and type(each.event) in _TOLD)
    while page := list(islice(found, _PAGE)):
        times = journal.recorded_at([each.position for each in page])
        for each in page:
            told = _TOLD[type(each.event)](each, times[each.position])
            if actor is None or same_actor(actor, told.by):
                yield told


def _read(each: Recorded, us: int) -> Access:
    event = each.event
    return Access(each.position, us, READ, event.by, event.known_by, event.command, UUID(event.account), "", 1)


def _exported(each: Recorded, us: int) -> Access:
    event = each.event
    what = (event.command, None, event.object, event.accounts)
    return Access(each.position, us, EXPORT, event.by, event.known_by, *what)


def _erasure(each: Recorded, us: int) -> Access:
    command = "account erase" if isinstance(each.event, ErasureRequested) else "account approve-erasure"
    return Access(each.position, us, ERASE, each.event.by, _known_by(each.event), command, each.stream, "", 1)


def _act(each: Recorded, us: int) -> Access:
    event = each.event
    names = ("methodology", "decision", "revision", "actor", "partner")
    about = next(str(getattr(event, name)) for name in names if hasattr(event, name))
    return Access(each.position, us, DECIDE, event.by, _known_by(event), _COMMANDS[event.TOPIC], None, about, 0)


def _known_by(event: Any) -> str:
    return "given" if event.signed is None else "signed"


_COMMANDS = {
    "carbon.methodology.reviewed.v1": "methodology review",
    "carbon.methodology.certified.v1": "methodology certify",
    "carbon.methodology.published.v1": "methodology publish",
    "carbon.methodology.withdrawal-proposed.v1": "methodology propose-withdrawal",
    "carbon.methodology.withdrawn.v1": "methodology approve-withdrawal",
    "carbon.decision.approved.v1": "applicability approve",
    "carbon.revision.approved.v1": "revision approve",
    "carbon.actor.key-approved.v1": "actor approve-key",
    "carbon.actor.key-revoked.v1": "actor revoke",
    "carbon.partner.proposal-approved.v1": "partner approve",
    "carbon.partner.key-revoked.v1": "partner revoke-key",
    "carbon.partner.suspended.v1": "partner suspend",
}
_TOLD: dict[type[Event], Callable[[Recorded, int], Access]] = {
    **dict.fromkeys(ACT_EVENTS, _act),
    PersonalDataRead: _read,
    RecordsExported: _exported,
    ErasureRequested: _erasure,
    PersonalDataErased: _erasure,
}
