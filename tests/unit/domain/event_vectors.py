"""The example and the vectors of docs/spec/canonical-event.md, made by the code that the document describes.

Keeps: what is random in a ledger (salts, nonces) is told here, so that the same bytes come out again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID

from domain.audit.leaves import content_hash, header, unpack
from domain.audit.merkle import subtree_root
from domain.events import account as events
from domain.events.base import Event, NewEvent, Personal, Recorded
from domain.events.registry import encode_part
from domain.events.rulebook import BookOpened
from domain.streams import BOOK
from infrastructure.gm.sm4 import SM4Key, aad_of
from infrastructure.postgres.account_keys import AccountKeys, wrapped
from infrastructure.postgres.recorder import content_of, log_leaves
from infrastructure.stored_events import StateRow, StoredEvents

BOOK_ID = UUID(bytes=bytes(range(0xB0, 0xC0)))
ACCOUNT = UUID("0f0e0d0c-0b0a-4908-8706-050403020100")
KEY = SM4Key(bytes.fromhex("0123456789abcdeffedcba9876543210"), 1)
KEK = SM4Key(bytes(range(0x70, 0x80)), 2)
FIRST_US = 1_772_323_200_000_000
"""2026-03-01T00:00:00Z"""


class Logged(NamedTuple):
    """An event of the example's log, and when its commit was recorded."""

    event: Event
    personal: Personal | None
    recorded_us: int

    def new(self, stream: UUID, version: int) -> NewEvent:
        """The event in its stream."""
        return NewEvent(stream, version, self.event, self.personal)


GENESIS = Logged(
    BookOpened(previous=0, book="example", clock="simulated", pepper_check="0" * 32, retention_days=3653),
    None,
    FIRST_US,
)
OF_THE_ACCOUNT = (
    Logged(
        events.AccountOpened(kind="individual"),
        events.AccountOpenedPersonal(account_ref="ann-01"),
        FIRST_US + 1,
    ),
    Logged(
        events.BehaviorCredited(
            partner="metro", intake=54, line=2, ref="6b8f5c0e2a7d4b1c9e3f5a6b7c8d9e0f", behavior="travel.metro",
            day="2026-03-01", region="CN-440300", quantity="12350", scale=3, unit="km", methodology="TRAVEL-METRO@1",
            decision="D5", rule="v1", consent=2, computed_mg="889200", credited_mg="889200",
        ),
        events.BehaviorCreditedPersonal(source_ref="trip-77", occurred_at="2026-03-01T08:15:00+08:00"),
        FIRST_US + 1,
    ),
    Logged(events.AccountFrozen(by='碳 "not me" \\ 争议 / n°7'), None, FIRST_US + 2_000_000),
    Logged(
        events.FactorRevised(
            revision="R1", behavior="travel.metro", methodology="TRAVEL-METRO@2", rule="v1", part=1, last=True,
            lines=(
                events.RevisedLine(2, "2026-03-01", "889200", "-12", "0", ""),
                events.RevisedLine(7, "2026-03-02", "7", None, "0", "no_factor_for_region"),
            ),
        ),
        None,
        FIRST_US + 3_000_000,
    ),
)  # fmt: skip
TEXT = "".join(map(chr, range(0x20))) + '"\\/ ~\x7f\x80\u2028碳\U0001f600'

REFUSED_ENVELOPES = (
    ("", "envelope_short"),
    ("01" + "00" * 19, "envelope_short"),
    ("02" + "00" * 19 + "01" + "7b", "envelope_format"),
    ("01" + "00" * 16 + "00000000" + "7b", "envelope_length"),
    ("01" + "00" * 16 + "00000003" + "7b7d", "envelope_length"),
    ("01" + "00" * 16 + "01000001" + "7b7d", "envelope_length"),
)
OPENED_TOPIC = events.AccountOpened.TOPIC
REFUSED_FACTS = (
    ("carbon.account.opened.v0", '{"kind":"individual"}', "unknown_topic"),
    (OPENED_TOPIC, "{}", "undecodable_event"),
    (OPENED_TOPIC, '{"kind":"individual","by":"ann"}', "undecodable_event"),
    (OPENED_TOPIC, '{"kind":1}', "undecodable_event"),
    (OPENED_TOPIC, '{"kind":"individual"} x', "undecodable_event"),
    ("carbon.account.consent-withdrawn.v1", '{"consent":2.0}', "undecodable_event"),
)
RESPELLED_FACTS = (
    (OPENED_TOPIC, '{"kind": "individual"}'),
    (OPENED_TOPIC, '{"kind":"household","kind":"individual"}'),
    (OPENED_TOPIC, '{"kind":"\\u0069ndividual"}'),
    ("carbon.account.personal-data-erased.v1", '{"epoch":1,"request":2,"by":"a"}'),
)


def told_bytes(nonces: Iterable[int]) -> Callable[[int], bytes]:
    """In place of ``secrets.token_bytes``: each nonce counts up from its first byte, salts count up from 0."""
    following: Iterator[int] = iter(nonces)

    def told(size: int) -> bytes:
        if size % 16 == 0:
            return bytes(range(size))
        firsts = [next(following) for _ in range(size // 12)]
        return b"".join(bytes(range(first, first + 12)) for first in firsts)

    return told


def wrapped_key() -> bytes:
    """The account's key as journal.account_keys holds it."""
    with patch("secrets.token_bytes", told_bytes([0xE0])):
        return wrapped(KEK, ACCOUNT, KEY)


def stored_events(wrapped: bytes | None, book: UUID = BOOK_ID) -> StoredEvents:
    """The way from events to rows and back, with the account's wrapped key, or without."""
    keys = [] if wrapped is None else [(ACCOUNT, wrapped)]
    return StoredEvents(AccountKeys(lambda query, params: keys, KEK), lambda: book)


def log() -> list[Logged]:
    """The events of the example's log, in its order."""
    return [GENESIS, *OF_THE_ACCOUNT]


def rows() -> list[StateRow]:
    """The same as the journal stores them."""
    new = [GENESIS.new(BOOK, 1), *(each.new(ACCOUNT, place) for place, each in enumerate(OF_THE_ACCOUNT, start=1))]
    parts = [(e.stream, e.version, e.event.TOPIC, encode_part(e.event), _personal(e.personal)) for e in new]
    with patch("secrets.token_bytes", told_bytes([0xC0, 0xD0])):
        return stored_events(wrapped_key()).rows_of(parts, set())[0]


def _personal(part: Personal | None) -> bytes | None:
    return None if part is None else encode_part(part)


def read(rows: Sequence[StateRow], stored: StoredEvents) -> list[Recorded]:
    """The rows as the journal reads them back, personal parts too."""
    return stored.recorded([(r[0], r[1], place, r[2], r[3]) for place, r in enumerate(rows, start=1)], personal=True)


def leaves() -> list[bytes]:
    """The leaf of each event."""
    return [
        log_leaves(BOOK_ID.bytes, place, each.recorded_us, [row], [content_of(row[3])])[0]
        for place, (each, row) in enumerate(zip(log(), rows(), strict=True), start=1)
    ]


def event_text() -> str:
    """The envelope that docs/spec/canonical-event.md begins with, taken apart."""
    state = rows()[1][3]
    salt, facts, sealed = unpack(state)
    form, size = state[:1].hex(), state[17:21].hex()
    begin, nonce, body, tag = (part.hex() for part in (sealed[1:5], sealed[5:17], sealed[17:-16], sealed[-16:]))
    lines = (
        (form, "format of the envelope"),
        (salt.hex(), "salt"),
        (size, "bytes of facts that follow"),
        (facts.decode(), "facts"),
        (f"{sealed[:1].hex()} {begin}", "sealed part: its format, version of the account's key,"),
        (nonce, "  nonce,"),
        (body, "  ciphertext,"),
        (tag, "  tag"),
    )
    return "".join(f"{text:<52}{meaning}\n" for text, meaning in lines)


def event_vectors() -> str:
    """A log of five events, and what is refused."""
    return json.dumps(
        {
            "book": BOOK_ID.hex,
            "account": ACCOUNT.hex,
            "key": KEY.exposed().hex(),
            "key_version": KEY.version,
            "kek": KEK.exposed().hex(),
            "kek_epoch": KEK.version,
            "wrapped_key": wrapped_key().hex(),
            "events": [_vector(*each) for each in zip(range(1, 6), log(), rows(), leaves(), strict=True)],
            "root": subtree_root(leaves()).hex(),
            "text_hex": TEXT.encode().hex(),
            "text_in_json_hex": encode_part(TEXT).hex(),
            "refused_envelopes": [{"envelope": state, "code": code} for state, code in REFUSED_ENVELOPES],
            "refused_facts": [{"topic": t, "facts": facts, "code": code} for t, facts, code in REFUSED_FACTS],
            "respelled_facts": [{"topic": topic, "facts": facts} for topic, facts in RESPELLED_FACTS],
        },
        indent=1,
        ensure_ascii=False,
    )


def _vector(position: int, logged: Logged, row: StateRow, leaf: bytes) -> dict[str, Any]:
    stream, version, topic, state = row
    envelope = unpack(state)
    content, personal = content_hash(envelope), logged.personal
    aad = aad_of(
        b"carbon-ledger/personal/1", BOOK_ID.bytes, stream.bytes, version.to_bytes(8, "big"), topic.encode("ascii")
    )
    return {
        "position": position,
        "stream": stream.hex,
        "version": version,
        "topic": topic,
        "recorded_us": logged.recorded_us,
        "facts": envelope.facts.decode(),
        "personal": None if personal is None else encode_part(personal).decode(),
        "aad": None if personal is None else aad.hex(),
        "envelope": state.hex(),
        "header": header(BOOK_ID.bytes, position, stream.bytes, version, topic, logged.recorded_us).hex(),
        "facts_hash": content[:32].hex(),
        "sealed_hash": content[32:].hex(),
        "leaf": leaf.hex(),
    }
