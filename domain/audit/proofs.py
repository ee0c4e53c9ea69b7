"""Proofs as files: an event, or an account's balances, against a signed checkpoint; a checkpoint against an older one.

Keeps: a proof holds values, never only hashes of them; whoever checks it computes every hash again, so that a proof
says what it shows or is refused. The personal part of an event stays out: its hash is enough.
Leaves to the caller: whether the checkpoint is signed by the right key.
The files are specified in ``docs/spec/proofs.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.audit.book_map import MapProof, map_key, map_value, root_from_path
from domain.audit.checkpoint import Checkpoint
from domain.audit.leaves import facts_hash, header, leaf
from domain.audit.merkle import root_from_inclusion
from domain.audit.witnessing import contradiction
from domain.errors import Corrupt, Rejected
from domain.events.base import Recorded
from domain.events.registry import TOPICS, decode_shown
from domain.history import AccountHistory

EVENT_FORMAT = "carbon-ledger/event-proof/1"
BALANCE_FORMAT = "carbon-ledger/balance-proof/1"
CONSISTENCY_FORMAT = "carbon-ledger/consistency-proof/1"
MAX_PROOF_BYTES = 64 * 1024 * 1024


class ShownEvent(NamedTuple):
    """An event with all that its leaf is made from. ``facts``: JSON text; ``sealed``: hash of the sealed part."""

    position: int
    stream: UUID
    version: int
    topic: str
    recorded_us: int
    salt: bytes
    facts: str
    sealed: bytes

    def leaf(self, book: bytes) -> bytes:
        """Its leaf in the log of a book. Raises Corrupt when it is none."""
        head = header(book, self.position, self.stream.bytes, self.version, self.topic, self.recorded_us)
        return leaf(head, facts_hash(self.salt, self.facts.encode()) + self.sealed)

    def recorded(self) -> Recorded:
        """Its facts, understood. Raises Corrupt ``unknown_topic``, ``undecodable_event``, ``facts_respelled``."""
        event = decode_shown(self.topic, self.facts.encode())
        return Recorded(self.stream, self.version, self.position, event, None)


class EventProof(NamedTuple):
    """An event and the hashes beside its way to the root, lowest first."""

    event: ShownEvent
    path: Sequence[bytes]


class BalanceProof(NamedTuple):
    """An account's whole stream, its balances, and where it stands in the book map."""

    stream: UUID
    version: int
    balances: Mapping[str, int]
    place: MapProof
    events: Sequence[EventProof]


class ConsistencyProof(NamedTuple):
    """That a checkpoint is of the log of an older one, grown. ``old``: the older one's note."""

    old: bytes
    path: Sequence[bytes]


Proof = EventProof | BalanceProof | ConsistencyProof


def book_of(origin: str) -> bytes:
    """The id of the book in a log's name. Raises Corrupt ``origin_unknown``."""
    name, _, book = origin.rpartition("/")
    if name == "carbon-ledger" and len(book) == 32 and not set(book) - set("0123456789abcdef"):
        return bytes.fromhex(book)
    raise Corrupt("origin_unknown", f"{origin} is not the name of a carbon ledger's log", field="origin")


def check_event(proof: EventProof, checkpoint: Checkpoint) -> None:
    """That an event is in the log. Of a topic that this release knows, its facts must be that topic's too.

    Raises Rejected ``not_in_log``, ``proof_malformed``; Corrupt when it has no leaf, and as ``ShownEvent.recorded``.
    """
    _check_leaf(proof, checkpoint)
    if proof.event.topic in TOPICS:
        proof.event.recorded()


def _check_leaf(proof: EventProof, checkpoint: Checkpoint) -> None:
    event = proof.event
    leaf_hash = event.leaf(book_of(checkpoint.origin))
    root = root_from_inclusion(event.position - 1, checkpoint.size, leaf_hash, proof.path)
    if root != checkpoint.root:
        raise _refused("not_in_log", f"the event at position {event.position} is not in the log of the checkpoint")
    # A checkpoint tells when its last event was recorded.
    is_last = event.position == checkpoint.size
    if event.recorded_us > checkpoint.recorded_us or (is_last and event.recorded_us < checkpoint.recorded_us):
        raise _refused("time_went_back", f"the checkpoint's time contradicts that of position {event.position}")


def check_balance(proof: BalanceProof, checkpoint: Checkpoint) -> None:
    """That the account has these balances as of the checkpoint, by all of its events, each in the log.

    Raises Rejected ``map_missing``, ``not_in_map``, ``not_in_log``, ``stream_incomplete``, ``time_went_back``,
    ``balances_differ``, ``proof_malformed``.
    """
    # A map of an earlier position would show as of now what was held then.
    if not 0 < checkpoint.map_position == checkpoint.size:
        raise _refused("map_missing", "the checkpoint has no map of its own size: it shows no balance as of now")
    key = map_key(proof.stream.bytes)
    try:
        value = map_value(proof.stream.bytes, proof.version, proof.balances.items())
    except Corrupt as error:
        raise _refused("proof_malformed", error.message) from error
    if root_from_path(key, value, proof.place) != checkpoint.map_root:
        raise _refused("not_in_map", f"the account {proof.stream} stands in the map with another version or balances")
    history, before, latest_us = AccountHistory(), 0, 0
    for number, each in enumerate(proof.events, start=1):
        event = each.event
        if (event.stream, event.version) != (proof.stream, number):
            raise _refused("stream_incomplete", f"event {number} of the account is missing or another's")
        if not before < event.position <= checkpoint.size:
            raise _refused("stream_incomplete", f"event {number} of the account does not stand between its neighbors")
        _check_leaf(each, checkpoint)
        if event.recorded_us < latest_us:
            raise _refused("time_went_back", f"event {number} of the account was recorded before the one before it")
        before, latest_us = event.position, event.recorded_us
        history.extend([event.recorded()])
    if len(proof.events) != proof.version:
        raise _refused("stream_incomplete", f"{len(proof.events)} of the account's {proof.version} events are shown")
    if history.balances() != dict(proof.balances):
        raise _refused("balances_differ", "the account's events add up to other balances")


def check_consistency(proof: ConsistencyProof, old: Checkpoint, checkpoint: Checkpoint) -> None:
    """Raises Rejected with the codes of ``witnessing.contradiction``. ``old``: what the note in the proof says."""
    found = contradiction(old, checkpoint, proof.path)
    if found is not None:
        raise _refused(found.code, found.message)


def event_proof_text(proof: EventProof, note: bytes) -> str:
    """The file of an event proof."""
    return _text({"format": EVENT_FORMAT, "checkpoint": note.decode(), **_event(proof)})


def balance_proof_text(proof: BalanceProof, note: bytes) -> str:
    """The file of a balance proof."""
    return _text(
        {
            "format": BALANCE_FORMAT,
            "checkpoint": note.decode(),
            "stream": str(proof.stream),
            "version": proof.version,
            "balances": {behavior: str(mg) for behavior, mg in proof.balances.items()},
            "siblings": [each.hex() for each in proof.place.siblings],
            "events": [_event(each) for each in proof.events],
        }
    )


def consistency_proof_text(proof: ConsistencyProof, note: bytes) -> str:
    """The file of a consistency proof; ``note``: of the newer checkpoint."""
    path = [each.hex() for each in proof.path]
    return _text(
        {"format": CONSISTENCY_FORMAT, "checkpoint": note.decode(), "old_checkpoint": proof.old.decode(), "path": path}
    )


def parse_proof(text: bytes) -> tuple[Proof, bytes]:
    """A proof and the note of its checkpoint. Raises Rejected ``proof_malformed``."""
    if len(text) > MAX_PROOF_BYTES:
        raise _refused("proof_malformed", f"a proof has at most {MAX_PROOF_BYTES} bytes")
    if not text.lstrip().startswith(b"{"):
        raise _refused("proof_malformed", _NO_PROOF)
    try:
        content = json.loads(
            text.decode("utf-8"), object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float
        )
        form, note = content["format"], _string(content, "checkpoint").encode()
        if form == EVENT_FORMAT:
            _exactly(content, "format", "checkpoint", *_EVENT_KEYS)
            return _event_from(content), note
        if form == BALANCE_FORMAT:
            _exactly(content, "format", "checkpoint", "stream", "version", "balances", "siblings", "events")
            return _balance_from(content), note
        if form == CONSISTENCY_FORMAT:
            _exactly(content, "format", "checkpoint", "old_checkpoint", "path")
            return ConsistencyProof(_string(content, "old_checkpoint").encode(), _path(content)), note
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _refused("proof_malformed", f"not a proof of this format: {error}") from error
    raise _refused("proof_malformed", f"no proof has the format {form!r}"[:200])


_NO_PROOF = (
    "it is no proof, bundle or manifest of exported events: open a sealed file with `unseal` first, "
    "and for exported events name the .manifest file"
)
_EVENT_KEYS = ("position", "stream", "version", "topic", "recorded_us", "salt", "facts", "sealed_sm3", "path")


def shown_fields(event: ShownEvent) -> dict[str, Any]:
    """An event as it stands in files."""
    return {
        "position": event.position,
        "stream": str(event.stream),
        "version": event.version,
        "topic": event.topic,
        "recorded_us": event.recorded_us,
        "salt": event.salt.hex(),
        "facts": event.facts,
        "sealed_sm3": event.sealed.hex(),
    }


def shown_from(content: Mapping[str, Any]) -> ShownEvent:
    """An event from a file. Raises KeyError, TypeError, ValueError."""
    return ShownEvent(
        _integer(content, "position"),
        _uuid(content, "stream"),
        _integer(content, "version"),
        _string(content, "topic"),
        _integer(content, "recorded_us"),
        _bytes(content["salt"], 16),
        _string(content, "facts"),
        _bytes(content["sealed_sm3"], 32),
    )


def _event(proof: EventProof) -> dict[str, Any]:
    return {**shown_fields(proof.event), "path": [each.hex() for each in proof.path]}


def _event_from(content: Mapping[str, Any]) -> EventProof:
    return EventProof(shown_from(content), _path(content))


def _path(content: Mapping[str, Any]) -> list[bytes]:
    return [_bytes(each, 32) for each in _list(content, "path")]


def _balance_from(content: Mapping[str, Any]) -> BalanceProof:
    balances = content["balances"]
    if not isinstance(balances, dict):
        raise TypeError("balances is an object")
    events = _list(content, "events")
    for each in events:
        _exactly(each, *_EVENT_KEYS)
    return BalanceProof(
        _uuid(content, "stream"),
        _integer(content, "version"),
        {behavior: _whole(balances, behavior) for behavior in balances},
        MapProof(tuple(_bytes(each, 32) for each in _list(content, "siblings"))),
        [_event_from(each) for each in events],
    )


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice")
    return content


def _no_float(text: str) -> Any:
    raise ValueError(f"{text} is not an integer")


def _exactly(content: Any, *keys: str) -> None:
    if not isinstance(content, dict) or content.keys() != set(keys):
        raise ValueError(f"an object with exactly {', '.join(keys)} is expected")


def _integer(content: Mapping[str, Any], key: str) -> int:
    value = content[key]
    if type(value) is not int or abs(value) >= 1 << 63:
        raise TypeError(f"{key} is an integer of 64 bits")
    return value


def _string(content: Mapping[str, Any], key: str) -> str:
    value = content[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is a string")
    value.encode()  # half a character is no text
    return value


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    value = content[key]
    if not isinstance(value, list):
        raise TypeError(f"{key} is a list")
    return value


def _whole(content: Mapping[str, Any], key: str) -> int:
    text = _string(content, key)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 100 or str(int(text)) != text:
        raise ValueError(f"{key} is a whole number as text")
    return int(text)


def _uuid(content: Mapping[str, Any], key: str) -> UUID:
    text = _string(content, key)
    found = UUID(text)
    if str(found) != text:
        raise ValueError(f"{key} is an id in lower-case hex with dashes")
    return found


def _bytes(value: Any, length: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * length or set(value) - set("0123456789abcdef"):
        raise ValueError(f"{length} bytes in lower-case hex are expected")
    return bytes.fromhex(value)


def _refused(code: str, message: str) -> Rejected:
    remedy = "fetch the proof again; if it stays so, keep it and the checkpoint as evidence"
    return Rejected(code, message, field="proof", remedy=remedy)
