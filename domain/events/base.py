"""What all events share: frozen facts under a permanent topic, personal facts kept apart.

Keeps: an event class holds *calculation facts* only (pseudonymous, civil days, versions, masses); whatever tells
who, when exactly or where is a separate *personal* structure (DESIGN 2.7), so that one can be sealed or erased
without touching the other. The topic, not the class path, is what the log stores. A released class never changes:
a new shape is a new class with the next ``.vN`` topic and one upcast.
Masses and quantities are decimal strings on the wire (DOMAIN rule 13) and may exceed 63 bits.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec

# Plain strings on purpose: a pattern would triple the time to decode, and whoever computes with one converts it anyway.
IntText = str
"""An integer of any size as text: masses in mg, scaled quantities."""

DayText = str
"""A civil day, YYYY-MM-DD, at the methodology's fixed UTC offset."""


class Personal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the personal part of an event."""


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the calculation facts of an event.

    A field with a default came after the shape was released: where it is not written, it says what it said before.
    """

    TOPIC: ClassVar[str]
    PERSONAL: ClassVar[type[Personal] | None] = None
    STREAM: ClassVar[str]


class RulebookEvent(Event, frozen=True, kw_only=True):
    """An event that can change how behaviors are valued; a chain from the newest back to genesis.

    ``previous``: log position of the previous rulebook event, 0 for the first.
    """

    previous: int


class ActSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An actor's signature of an act (docs/spec/acts.md). ``key``: the actor's registered key that made it.

    ``rulebook``: the rulebook position that the signed text names. ``signature``: r and s, 64 bytes in hex.
    """

    key: str
    rulebook: int
    signature: str


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event decided but not yet recorded."""

    stream: UUID
    version: int
    event: Event
    personal: Personal | None = None


class Recorded(NamedTuple):
    """An event as it stands in the log; ``personal`` is None where there was none or it was erased."""

    stream: UUID
    version: int
    position: int
    event: Any
    personal: Any
