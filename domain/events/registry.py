"""The permanent record: topic -> class, and the one way to encode and decode an event.

Keeps: a topic once released stays readable for ever; old shapes are lifted by ``UPCASTS`` step by step, and nothing
else in the ledger ever sees an old shape. The stored state is one JSON object
``{"facts": {...}}`` or ``{"facts": {...}, "personal": {...}}`` in field order.
Leaves to infrastructure: where the bytes live, and sealing of the personal part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.errors import Corrupt
from domain.events import account, intake, keys, rulebook
from domain.events.base import Event, Personal, Recorded, RulebookEvent

EVENTS: Final[tuple[type[Event], ...]] = (
    rulebook.BookOpened,
    rulebook.MethodologyDrafted,
    rulebook.MethodologyReviewed,
    rulebook.MethodologyCertified,
    rulebook.MethodologyPublished,
    rulebook.WithdrawalProposed,
    rulebook.MethodologyWithdrawn,
    rulebook.FactorReleaseLoaded,
    rulebook.DecisionProposed,
    rulebook.DecisionApproved,
    rulebook.RevisionPlanned,
    rulebook.RevisionApproved,
    rulebook.RevisionCompleted,
    keys.SigningKeyRegistered,
    keys.SigningKeyRotated,
    intake.IntakeOpened,
    intake.IntakeClosed,
    account.AccountOpened,
    account.ConsentGranted,
    account.ConsentWithdrawn,
    account.BehaviorCredited,
    account.BehaviorReversed,
    account.FactorRevised,
    account.AccountFrozen,
    account.AccountUnfrozen,
    account.AccountClosed,
)

TOPICS: Final[Mapping[str, type[Event]]] = {cls.TOPIC: cls for cls in EVENTS}

ACCOUNT_TOPICS: Final = tuple(cls.TOPIC for cls in EVENTS if cls.STREAM == "account")
RULEBOOK_TOPICS: Final = tuple(cls.TOPIC for cls in EVENTS if issubclass(cls, RulebookEvent))

UPCASTS: dict[str, Callable[[Any], Event]] = {}
"""Topic of an old shape -> function that lifts its facts to the next shape. No shape has been superseded yet."""

_encode = msgspec.json.Encoder().encode


def _decoder(cls: type[Event], *, whole: bool = True) -> msgspec.json.Decoder[Any]:
    fields: list[Any] = [("facts", cls)]
    if cls.PERSONAL is not None:
        # Raw: the bytes are passed over, no object is made of them.
        fields.append(("personal", cls.PERSONAL | None if whole else msgspec.Raw, None))
    state = msgspec.defstruct("State", fields, frozen=True, forbid_unknown_fields=True)
    return msgspec.json.Decoder(state)


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {topic: _decoder(cls) for topic, cls in TOPICS.items()}
_FACTS_DECODERS = {topic: _decoder(cls, whole=False) for topic, cls in TOPICS.items()}


def encode(event: Event, personal: Personal | None = None) -> bytes:
    """Stored state of an event."""
    if personal is None:
        return b'{"facts":' + _encode(event) + b"}"
    return b'{"facts":' + _encode(event) + b',"personal":' + _encode(personal) + b"}"


def decode(topic: str, state: bytes) -> tuple[Event, Personal | None]:
    """Facts and personal part from the stored state, lifted to the newest shape.

    Raises Corrupt: ``unknown_topic`` when written by a newer release, ``undecodable_event`` when the bytes are not
    that shape.
    """
    stored = _stored(_DECODERS, topic, state)
    return _lifted(stored.facts), getattr(stored, "personal", None)


def decode_facts(topic: str, state: bytes) -> Event:
    """The facts alone, for whoever folds; the personal part is passed over unread. Raises as ``decode``."""
    return _lifted(_stored(_FACTS_DECODERS, topic, state).facts)


def _stored(decoders: Mapping[str, msgspec.json.Decoder[Any]], topic: str, state: bytes) -> Any:
    decoder = decoders.get(topic)
    if decoder is None:
        raise Corrupt(
            "unknown_topic", f"no event is known under topic {topic}", remedy="read with the release that wrote it"
        )
    try:
        return decoder.decode(state)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt("undecodable_event", f"{topic}: {error}", remedy="restore the row from a backup") from error


def _lifted(event: Event) -> Event:
    while (lift := UPCASTS.get(event.TOPIC)) is not None:
        event = lift(event)
    return event


def recorded(stream: UUID, version: int, position: int, topic: str, state: bytes) -> Recorded:
    """A stored row as a recorded event; a Corrupt error names the place."""
    try:
        event, personal = decode(topic, state)
    except Corrupt as error:
        raise _placed(error, f"{stream}@{version} position {position}") from error
    return Recorded(stream, version, position, event, personal)


def recorded_facts(stream: UUID, version: int, topic: str, state: bytes) -> Event:
    """The facts of a stored row; a Corrupt error names the place."""
    try:
        return decode_facts(topic, state)
    except Corrupt as error:
        raise _placed(error, f"{stream}@{version}") from error


def _placed(error: Corrupt, place: str) -> Corrupt:
    return Corrupt(error.code, error.message, field=place, remedy=error.remedy)
