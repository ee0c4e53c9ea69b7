"""Events of an intake: one stream per (partner, bytes received)."""

from __future__ import annotations

from typing import ClassVar

from domain.events.base import Event


class IntakeOpened(Event, frozen=True, kw_only=True):
    """A file or request was received and is being worked through.

    ``digest``: SM3 of the bytes received; ``received_at``: RFC 3339 UTC. Credits name the log position of this event.
    """

    TOPIC: ClassVar[str] = "carbon.intake.opened.v1"
    STREAM: ClassVar[str] = "intake"
    partner: str
    digest: str
    size_bytes: int
    media: str
    received_at: str


class IntakeClosed(Event, frozen=True, kw_only=True):
    """Every row is accounted for: read = credited + duplicates + rejected."""

    TOPIC: ClassVar[str] = "carbon.intake.closed.v1"
    STREAM: ClassVar[str] = "intake"
    read: int
    credited: int
    duplicates: int
    rejected: int
    rejected_by_code: dict[str, int]
