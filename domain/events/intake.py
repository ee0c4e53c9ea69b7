"""Events of an intake: one stream per (partner, bytes received)."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Event


class IntakeOpened(Event, frozen=True, kw_only=True):
    """A file or request was received and is being worked through.

    ``digest``: SM3 of the bytes received; ``received_at``: RFC 3339 UTC. ``evidence``: kept (the bytes were in the
    evidence store before this event) or elsewhere (whoever imported them looks after them). Credits name the log
    position of this event.
    """

    TOPIC: ClassVar[str] = "carbon.intake.opened.v1"
    STREAM: ClassVar[str] = "intake"
    partner: str
    digest: str
    size_bytes: int
    media: str
    received_at: str
    evidence: str


class IntakeClosed(Event, frozen=True, kw_only=True):
    """Every row is accounted for: read = credited + duplicates + rejected."""

    TOPIC: ClassVar[str] = "carbon.intake.closed.v1"
    STREAM: ClassVar[str] = "intake"
    read: int
    credited: int
    duplicates: int
    rejected: int
    rejected_by_code: dict[str, int]


class EvidenceDestroyed(Event, frozen=True, kw_only=True):
    """The bytes of the intakes before it in this stream were destroyed: their retention period was over.

    Appended before they are; what an interruption left is destroyed by the next `evidence expire`. The same bytes of
    another partner have an event in that stream. ``digest``: SM3 of the bytes.
    """

    TOPIC: ClassVar[str] = "carbon.intake.evidence-destroyed.v1"
    STREAM: ClassVar[str] = "intake"
    digest: str
    by: str
    reason: str
