"""The permanent record: topic -> class, and the one way to encode and decode an event.

Keeps: a topic once released stays readable for ever; old shapes are lifted by ``UPCASTS`` step by step, and nothing
else in the ledger ever sees an old shape. Facts and personal part are JSON objects of their own, in field order; the
log stores them apart (``domain.audit.leaves``), the personal one sealed. The clear form, for whoever may read both, is
``{"facts": {...}}`` or ``{"facts": {...}, "personal": {...}}``.
Leaves to infrastructure: where the bytes live, and the sealing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.errors import Corrupt
from domain.events import access, account, actors, intake, keys, partners, rulebook
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
    actors.ActorKeyRegistered,
    actors.ActorKeyApproved,
    actors.ActorKeyRevoked,
    partners.PartnerProposed,
    partners.PartnerKeyProposed,
    partners.PartnerTermsProposed,
    partners.PartnerResumptionProposed,
    partners.PartnerProposalApproved,
    partners.PartnerKeyRevoked,
    partners.PartnerSuspended,
    keys.SigningKeyRegistered,
    keys.SigningKeyRotated,
    intake.IntakeOpened,
    intake.IntakeClosed,
    intake.EvidenceDestroyed,
    access.PersonalDataRead,
    access.RecordsExported,
    account.AccountOpened,
    account.ConsentGranted,
    account.ConsentWithdrawn,
    account.BehaviorCredited,
    account.BehaviorReversed,
    account.FactorRevised,
    account.AccountFrozen,
    account.AccountUnfrozen,
    account.AccountClosed,
    account.ErasureRequested,
    account.PersonalDataErased,
)

TOPICS: Final[Mapping[str, type[Event]]] = {cls.TOPIC: cls for cls in EVENTS}

ACCOUNT_TOPICS: Final = tuple(cls.TOPIC for cls in EVENTS if cls.STREAM == "account")
ACCESS_TOPICS: Final = tuple(cls.TOPIC for cls in EVENTS if cls.STREAM == "access")
INTAKE_TOPICS: Final = tuple(cls.TOPIC for cls in EVENTS if cls.STREAM == "intake")
RULEBOOK_TOPICS: Final = tuple(cls.TOPIC for cls in EVENTS if issubclass(cls, RulebookEvent))

UPCASTS: dict[str, Callable[[Any], Event]] = {}
"""Topic of an old shape -> function that lifts its facts to the next shape. No shape has been superseded yet."""

encode_part: Final = msgspec.json.Encoder().encode
"""Facts or personal part -> the bytes that are stored, or sealed."""

_FACTS = {topic: msgspec.json.Decoder(cls) for topic, cls in TOPICS.items()}
_PERSONAL = {topic: msgspec.json.Decoder(cls.PERSONAL) for topic, cls in TOPICS.items() if cls.PERSONAL is not None}


def _clear_form(cls: type[Event]) -> msgspec.json.Decoder[Any]:
    fields: list[Any] = [("facts", cls)]
    if cls.PERSONAL is not None:
        fields.append(("personal", cls.PERSONAL | None, None))
    return msgspec.json.Decoder(msgspec.defstruct("Clear", fields, frozen=True, forbid_unknown_fields=True))


_CLEAR = {topic: _clear_form(cls) for topic, cls in TOPICS.items()}


def encode(event: Event, personal: Personal | None = None) -> bytes:
    """The clear form of an event."""
    if personal is None:
        return b'{"facts":' + encode_part(event) + b"}"
    return b'{"facts":' + encode_part(event) + b',"personal":' + encode_part(personal) + b"}"


def decode(topic: str, clear: bytes) -> tuple[Event, Personal | None]:
    """Facts and personal part from the clear form, the facts lifted to the newest shape.

    Raises Corrupt: ``unknown_topic`` when written by a newer release, ``undecodable_event`` when the bytes are not
    that shape.
    """
    found = _decoded(_CLEAR, topic, clear)
    return _lifted(found.facts), getattr(found, "personal", None)


def decode_facts(topic: str, facts: bytes) -> Event:
    """The facts as stored, lifted to the newest shape. Raises as ``decode``."""
    return _lifted(_decoded(_FACTS, topic, facts))


def decode_shown(topic: str, facts: bytes) -> Event:
    """Facts that somebody else shows: as ``decode_facts``, and in their one spelling, so that no other reader of JSON
    finds other values in them. Raises Corrupt ``facts_respelled`` too.
    """
    found = _decoded(_FACTS, topic, facts)
    if encode_part(found) != facts:
        raise Corrupt(
            "facts_respelled",
            f"facts of {topic} are not in their one spelling, so that readers may differ about what they say",
            remedy="keep them as evidence: no release of this ledger wrote them",
        )
    return _lifted(found)


def decode_personal(topic: str, personal: bytes) -> Personal:
    """The personal part as it was before it was sealed. Raises as ``decode``."""
    found: Personal = _decoded(_PERSONAL, topic, personal)
    return found


def _decoded(decoders: Mapping[str, msgspec.json.Decoder[Any]], topic: str, content: bytes) -> Any:
    decoder = decoders.get(topic)
    if decoder is None:
        raise Corrupt(
            "unknown_topic", f"no event is known under topic {topic}", remedy="read with the release that wrote it"
        )
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt("undecodable_event", f"{topic}: {error}", remedy="restore the row from a backup") from error


def _lifted(event: Event) -> Event:
    while (lift := UPCASTS.get(event.TOPIC)) is not None:
        event = lift(event)
    return event


def placed(error: Corrupt, stream: UUID, version: int, position: int) -> Corrupt:
    """The error, with the place of the row that it is about; ``position`` 0 = not known here."""
    where = f"{stream}@{version}" + (f" position {position}" if position else "")
    return Corrupt(error.code, error.message, field=where, remedy=error.remedy)


def recorded(stream: UUID, version: int, position: int, topic: str, clear: bytes) -> Recorded:
    """A recorded event from its clear form; a Corrupt error names the place."""
    try:
        return Recorded(stream, version, position, *decode(topic, clear))
    except Corrupt as error:
        raise placed(error, stream, version, position) from error
