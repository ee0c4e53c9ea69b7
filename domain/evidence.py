"""Evidence: the bytes that intakes were received as, and how long they must be kept (DOMAIN rule 19).

Keeps: evidence is destroyed on record only, and never before its retention is over. What was once received is told by
the log alone: which bytes should be in the store, which were destroyed, by whom and why.
Leaves to infrastructure: where the bytes lie, sealed; to the operator: keeping them longer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID

from domain.actors import check_actor, check_reason
from domain.errors import Rejected
from domain.events.base import NewEvent, Recorded
from domain.events.intake import EvidenceDestroyed, IntakeOpened
from domain.values import AFTER_LAST_DAY, day_text

KEPT: Final = "kept"
ELSEWHERE: Final = "elsewhere"
DESTROYED: Final = "destroyed"

RETENTION_YEARS: Final = 5
"""Originals and ledgers of carbon trading are kept for five years at least (State Council order 775, article 11).

Where the book's own retention period (``domain.erasure``) is longer, it counts: personal data of one kind are not kept
for one time in the log and for another beside it.
"""


@dataclass(slots=True)
class Received:
    """One intake. ``position``: of its opening, which names it; ``last``: of its closing, or its opening while open.

    ``destroyed``: position of the event that says so, 0 while there is none.
    """

    position: int
    partner: str
    digest: str
    size_bytes: int
    media: str
    received_at: str
    kept: bool
    last: int
    closed: bool = False
    destroyed: int = 0

    @property
    def evidence(self) -> str:
        """kept, elsewhere or destroyed, as the log says."""
        if self.destroyed:
            return DESTROYED
        return KEPT if self.kept else ELSEWHERE


@dataclass(slots=True)
class Evidence:
    """The same bytes, whoever sent them. ``streams``: the last version of each of their intake streams."""

    digest: str
    intakes: list[Received] = field(default_factory=list)
    streams: dict[UUID, int] = field(default_factory=dict)

    @property
    def is_expected(self) -> bool:
        """Whether the log says that the store has them."""
        return any(each.kept and not each.destroyed for each in self.intakes)

    @property
    def is_destroyed(self) -> bool:
        """Whether the log says that the store must not have them any more."""
        return all(each.destroyed for each in self.intakes)

    @property
    def last(self) -> int:
        """Position from whose time their retention runs."""
        return max(each.last for each in self.intakes)

    @property
    def size_bytes(self) -> int:
        return self.intakes[0].size_bytes


def evidence_of(streams: Iterable[tuple[UUID, Sequence[Recorded]]]) -> dict[str, Evidence]:
    """What intake streams, each with all its events, say of the bytes received; by digest."""
    found: dict[str, Evidence] = {}
    for stream, recorded in streams:
        received: list[Received] = []
        for each in recorded:
            event = each.event
            if isinstance(event, IntakeOpened):
                received.append(_received(each.position, event))
            elif isinstance(event, EvidenceDestroyed):
                for intake in received:
                    intake.destroyed = intake.destroyed or each.position
            elif received:
                received[-1].last, received[-1].closed = each.position, True
        if not received:
            continue  # somebody has taken its opening out of the log, which replay and the tree find
        evidence = found.setdefault(received[0].digest, Evidence(received[0].digest))
        evidence.intakes += received
        evidence.streams[stream] = recorded[-1].version
    return found


def first_day(last_day: int, retention_days: int) -> int:
    """The first civil day on which evidence may be destroyed whose last intake ended on ``last_day``.

    Counted as the Civil Code does (articles 201 and 202): the day it begins does not count, it ends with the same date
    of the fifth year, and where that has no such date with the last of the month. ``retention_days``: of the book.
    """
    day = date.fromordinal(last_day)
    year = day.year + RETENTION_YEARS
    if year > date.max.year:
        return AFTER_LAST_DAY
    try:
        end = day.replace(year=year)
    except ValueError:
        end = day.replace(year=year, day=day.day - 1)
    return min(max(end.toordinal(), last_day + retention_days) + 1, AFTER_LAST_DAY)


def due(
    evidence: Iterable[Evidence],
    stored: Collection[str],
    before: int,
    today: int,
    day_of: Callable[[int], int],
    retention_days: int,
) -> list[Evidence]:
    """What is to be destroyed: the last intake ended before the civil day ``before``, and the store has it or should.

    ``day_of``: the civil day on which a position was recorded. Raises Rejected ``evidence_retained`` when the retention
    of any of it is not over.
    """
    candidates = [
        each
        for each in evidence
        if not each.is_destroyed and (each.is_expected or each.digest in stored) and day_of(each.last) < before
    ]
    retained = [day for day in (day_of(each.last) for each in candidates) if first_day(day, retention_days) > today]
    if retained:
        raise Rejected(
            "evidence_retained",
            f"{len(retained)} of {len(candidates)} files must be kept: all of them may be destroyed from "
            f"{name_of(first_day(max(retained), retention_days))} on",
            field="before",
            remedy=f"what may be destroyed today is all before {day_text(min(retained))}",
        )
    return candidates


def destroy(evidence: Evidence, by: str, reason: str) -> Iterator[NewEvent]:
    """The record in each stream of the bytes. Raises Rejected ``actor_malformed``, ``reason_malformed``."""
    event = EvidenceDestroyed(digest=evidence.digest, by=check_actor(by), reason=check_reason(reason))
    for stream, version in evidence.streams.items():
        yield NewEvent(stream, version + 1, event)


def _received(position: int, event: IntakeOpened) -> Received:
    return Received(
        position,
        event.partner,
        event.digest,
        event.size_bytes,
        event.media,
        event.received_at,
        event.evidence == KEPT,
        position,
    )


def name_of(day: int) -> str:
    """A first day as it is told; never, where it lies after the calendar."""
    return "never" if day == AFTER_LAST_DAY else day_text(day)
