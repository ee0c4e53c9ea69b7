"""What the log commits to for one event: its stored envelope, its header and its leaf.

Keeps: one accepted spelling of an envelope; every part has a fixed width or a length before it, so that no two
different events have the same bytes; the prefixes (0 leaf, 1 node, 2 facts, 3 sealed part; 4 to 6 in the map) hold the
kinds of hash apart. The leaf binds the facts and the sealed part by their hashes: either can be shown without the
other. The salt keeps anybody from guessing facts out of a hash that was published.
Leaves to infrastructure: a salt that nobody can guess, and the sealing.
The bytes are specified in ``docs/spec/canonical-event.md``.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from domain.digest import new_sm3
from domain.errors import Corrupt

FORMAT = 1
SALT_BYTES = 16
HASH_BYTES = 32
MAX_TOPIC_BYTES = 255
MAX_FACTS_BYTES = 16 * 1024 * 1024

_PREAMBLE = Struct(">B16sI")
FACTS_FROM = _PREAMBLE.size
"""Where in an envelope the facts begin."""
_HEADER = Struct(">B16sQ16sQqB")
_ID_BYTES = 16
_LEAF = new_sm3(b"\x00")
_FACTS = new_sm3(b"\x02")
_SEALED = new_sm3(b"\x03")
_REMEDY = "stop; compare the stored event with a backup"


class Envelope(NamedTuple):
    """What is stored of one event: public facts, and the personal part under the account's key."""

    salt: bytes
    facts: bytes
    sealed: bytes


def pack(salt: bytes, facts: bytes, sealed: bytes = b"") -> bytes:
    """The bytes to store."""
    if len(salt) != SALT_BYTES:
        raise Corrupt("envelope_salt", f"a salt has {SALT_BYTES} bytes, not {len(salt)}", field="salt")
    if not 0 < len(facts) <= MAX_FACTS_BYTES:
        raise Corrupt("envelope_facts", f"1 to {MAX_FACTS_BYTES} bytes of facts, not {len(facts)}", field="facts")
    return _PREAMBLE.pack(FORMAT, salt, len(facts)) + facts + sealed


def unpack(state: bytes) -> Envelope:
    """The parts of what was stored; refuses everything that ``pack`` cannot have written."""
    if len(state) < _PREAMBLE.size:
        raise Corrupt("envelope_short", f"{len(state)} bytes are no envelope", field="state", remedy=_REMEDY)
    form, salt, length = _PREAMBLE.unpack_from(state)
    end = _PREAMBLE.size + length
    if form != FORMAT:
        raise Corrupt("envelope_format", f"unknown format {form}", field="state", remedy=_REMEDY)
    if not 0 < length <= MAX_FACTS_BYTES or end > len(state):
        raise Corrupt("envelope_length", f"{length} bytes of facts do not fit", field="state", remedy=_REMEDY)
    return Envelope(salt, state[_PREAMBLE.size : end], state[end:])


def facts_hash(salt: bytes, facts: bytes) -> bytes:
    """SM3(2 ‖ salt ‖ facts). The salt has a fixed width, so the parts cannot be cut differently."""
    if len(salt) != SALT_BYTES:
        raise Corrupt("envelope_salt", f"a salt has {SALT_BYTES} bytes, not {len(salt)}", field="salt")
    state = _FACTS.copy()
    state.update(salt + facts)
    return state.digest()


def sealed_hash(sealed: bytes) -> bytes:
    """SM3(3 ‖ sealed personal part); the part may be empty."""
    state = _SEALED.copy()
    state.update(sealed)
    return state.digest()


def content_hash(envelope: Envelope) -> bytes:
    """64 bytes, known before the position is: made outside the append lock."""
    return facts_hash(envelope.salt, envelope.facts) + sealed_hash(envelope.sealed)


def header(book: bytes, position: int, stream: bytes, version: int, topic: str, recorded_us: int) -> bytes:
    """Where in the log an event stands, what it is and when it was recorded."""
    name = topic.encode("ascii", "replace")
    if len(book) != _ID_BYTES or len(stream) != _ID_BYTES:
        raise Corrupt("header_id", f"book and stream have {_ID_BYTES} bytes each", field=topic)
    if position < 1 or version < 0 or max(position, version) >> 63 or not -(1 << 63) <= recorded_us < 1 << 63:
        raise Corrupt("header_number", f"position {position}, version {version}, time {recorded_us}", field=topic)
    if not topic.isascii() or not 0 < len(name) <= MAX_TOPIC_BYTES:
        raise Corrupt("header_topic", f"a topic is 1 to {MAX_TOPIC_BYTES} ASCII characters", field=topic)
    return _HEADER.pack(FORMAT, book, position, stream, version, recorded_us, len(name)) + name


def leaf(head: bytes, content: bytes) -> bytes:
    """SM3(0 ‖ header ‖ hash of the facts ‖ hash of the sealed part)."""
    if len(content) != 2 * HASH_BYTES:
        raise Corrupt("leaf_content", f"a content hash has {2 * HASH_BYTES} bytes, not {len(content)}")
    state = _LEAF.copy()
    state.update(head + content)
    return state.digest()


def leaf_of(
    book: bytes, position: int, stream: bytes, version: int, topic: str, recorded_us: int, state: bytes
) -> bytes:
    """The leaf of an event as it is stored. Raises Corrupt when it is not stored as ``pack`` and ``header`` say."""
    return leaf(header(book, position, stream, version, topic, recorded_us), content_hash(unpack(state)))
