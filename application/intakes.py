"""Intakes: every file or request is opened before its first credit and closed when every row is accounted for.

Keeps (DESIGN 3, Intake): the same bytes of the same partner resume the intake that is still open; once closed, the
same bytes open a new one in the same stream. Whoever works ``alone`` shares his intake with nobody.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from application.book import Book
from application.lookups import never_room
from application.ports.journal import Append, Moved
from domain.behavior import Refusal
from domain.crediting import Credited, Duplicate, Intake, Outcome
from domain.errors import Rejected
from domain.events.base import NewEvent
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.evidence import ELSEWHERE, KEPT
from domain.instants import instant_of, instant_text
from domain.intakes import intake_stream

_TRIES = 100
"""Others who move the rulebook, or import the same bytes, are few: who loses more often is in nobody's race."""

LOOK_AGAIN_SECONDS = 0.25
"""While somebody else imports the same bytes."""


@contextmanager
def alone(book: Book, partner: str, digest: str) -> Iterator[None]:
    """Be the only importer of these bytes until the block ends; waits while somebody else is."""
    while True:
        with book.journal.claim(intake_stream(partner, digest)) as ours:
            if ours:
                yield
                return
        time.sleep(LOOK_AGAIN_SECONDS)


def open_intake(
    book: Book, partner: str, digest: str, size_bytes: int, media: str, *, opens_accounts: bool, kept: bool = False
) -> Intake:
    """A new intake, or the open one of the same bytes. ``kept``: they are in the evidence store already."""
    stream = intake_stream(partner, digest)
    for _ in range(_TRIES):
        earlier = book.journal.stream(stream)
        if earlier and isinstance(earlier[-1].event, IntakeOpened):
            opened = earlier[-1].event
            received_us = instant_of(opened.received_at)
            return Intake(partner, earlier[-1].position, digest, received_us, opens_accounts)
        received_us = book.journal.now_us()
        event = IntakeOpened(
            partner=partner,
            digest=digest,
            size_bytes=size_bytes,
            media=media,
            received_at=instant_text(received_us),
            evidence=KEPT if kept else ELSEWHERE,
        )
        try:
            rulebook_seen = book.journal.head().rulebook_position
            appended = book.journal.append(Append([NewEvent(stream, len(earlier) + 1, event)], rulebook_seen))
        except Moved:
            continue
        return Intake(partner, appended.last, digest, received_us, opens_accounts)
    raise never_room(stream)


def close_intake(book: Book, intake: Intake, read: int, credited: int, duplicates: int, rejected: Counter[str]) -> int:
    """Close the intake and return the log size; when another process closed it meanwhile, its count stands.

    Raises Rejected ``rows_unaccounted`` when read is not credited + duplicates + rejected.
    """
    if read != credited + duplicates + rejected.total():
        raise Rejected(
            "rows_unaccounted",
            f"read {read}, but {credited} + {duplicates} + {rejected.total()} rows are accounted for",
            field="intake",
            remedy="report this as a defect of the ledger",
        )
    stream = intake_stream(intake.partner, intake.digest)
    event = IntakeClosed(
        read=read,
        credited=credited,
        duplicates=duplicates,
        rejected=rejected.total(),
        rejected_by_code=dict(sorted(rejected.items())),
    )
    for _ in range(_TRIES):
        earlier = book.journal.stream(stream)
        if not isinstance(earlier[-1].event, IntakeOpened) or earlier[-1].position != intake.position:
            return book.journal.head().size
        try:
            rulebook_seen = book.journal.head().rulebook_position
            return book.journal.append(Append([NewEvent(stream, len(earlier) + 1, event)], rulebook_seen)).last
        except Moved:
            continue
    raise never_room(stream)


def closing(outcomes: Sequence[Outcome]) -> IntakeClosed:
    """What is said of an intake whose rows had these outcomes."""
    rejected = Counter(outcome.code for outcome in outcomes if isinstance(outcome, Refusal))
    return IntakeClosed(
        read=len(outcomes),
        credited=sum(isinstance(outcome, Credited) for outcome in outcomes),
        duplicates=sum(isinstance(outcome, Duplicate) for outcome in outcomes),
        rejected=rejected.total(),
        rejected_by_code=dict(sorted(rejected.items())),
    )
