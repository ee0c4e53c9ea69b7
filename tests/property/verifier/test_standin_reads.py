"""The verifier reads events without msgspec, and must never be of another opinion about bytes than the ledger.

What one accepts the other accepts, with the same values and the same bytes when they are written again.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.acts import ACT_EVENTS
from domain.events.registry import EVENTS, TOPICS, encode, encode_part
from interfaces.verifier.standin import msgspec as standin
from tests.property.verifier.differences import differences
from tests.property.verifier.hostile import documents, rubble
from tests.property.verifier.twins import REFUSED, by_msgspec, by_standin, on_standin, outcome, plain
from tests.unit.domain.test_events_registry import values_of

EXAMPLES = settings().max_examples
PER_TOPIC = settings(max_examples=max(25, EXAMPLES // 4))
"""Thirty topics are read by the same few lines, so each needs fewer examples than a test that stands alone."""
PARTS = [("_FACTS", topic) for topic in TOPICS] + [("_PERSONAL", t) for t, cls in TOPICS.items() if cls.PERSONAL]


def contents_of(form: str, topic: str) -> st.SearchStrategy[bytes]:
    cls: Any = TOPICS[topic] if form == "_FACTS" else TOPICS[topic].PERSONAL
    return values_of(cls).map(encode_part)


@pytest.mark.parametrize(("form", "topic"), PARTS)
def test_every_event_is_read_as_the_ledger_wrote_it(form: str, topic: str) -> None:
    @given(contents_of(form, topic))
    @PER_TOPIC
    def holds(content: bytes) -> None:
        read = by_standin(topic, content, form)
        assert read == by_msgspec(topic, content, form)
        assert read[1] == content

    holds()


@pytest.mark.parametrize(("form", "topic"), PARTS)
def test_hostile_bytes_are_refused_by_both_or_mean_the_same_to_both(form: str, topic: str) -> None:
    @given(documents(contents_of(form, topic)))
    @PER_TOPIC
    def holds(content: bytes) -> None:
        assert by_standin(topic, content, form) == by_msgspec(topic, content, form)

    holds()


@given(
    st.sampled_from(EVENTS).flatmap(lambda cls: st.tuples(st.just(cls.TOPIC), documents(values_of(cls).map(encode))))
)
def test_the_clear_form_is_held_to_the_same_shape(made: tuple[str, bytes]) -> None:
    topic, content = made
    assert by_standin(topic, content, "_CLEAR") == by_msgspec(topic, content, "_CLEAR")


@pytest.mark.parametrize(("form", "topic"), PARTS)
def test_every_single_difference_in_every_field_is_judged_alike(form: str, topic: str) -> None:
    """Not drawn: every field with everything that was ever thought of."""
    cls: Any = TOPICS[topic] if form == "_FACTS" else TOPICS[topic].PERSONAL
    judged = {True: 0, False: 0}
    for content in differences(cls):
        ours = by_standin(topic, content, form)
        assert ours == by_msgspec(topic, content, form)
        judged[ours == REFUSED] += 1
    assert all(judged.values())


SHORT = [topic for topic, decoder in on_standin()["domain.events.registry"]._FACTS.items() if decoder._spelled]


def test_the_short_way_is_there_for_the_events_that_a_book_is_full_of() -> None:
    # Acts that may be signed leave a field out where they are not, and no book is full of them.
    assert {topic for topic in TOPICS if "account" in topic} - {cls.TOPIC for cls in ACT_EVENTS} <= set(SHORT)


@pytest.mark.parametrize("topic", SHORT)
def test_the_short_way_for_the_ledgers_own_spelling_gives_what_the_strict_way_gives(topic: str) -> None:
    registry, taken = on_standin()["domain.events.registry"], []
    decoder = registry._FACTS[topic]

    @given(contents_of("_FACTS", topic) | documents(contents_of("_FACTS", topic)))
    @PER_TOPIC
    def holds(content: bytes) -> None:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return
        short = decoder._spelled(text)
        if short is not None:
            taken.append(content)
            assert plain(short) == plain(decoder._read(standin.json._parsed(text)))
            assert registry.encode_part(short) == content

    holds()
    assert taken


class Every(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of each type that the ledger uses."""

    a: str
    n: int | None = None
    b: dict[str, int] | None = None


class EveryAgain(standin.Struct, frozen=True, forbid_unknown_fields=True):
    """The same."""

    a: str
    n: int | None = None
    b: dict[str, int] | None = None


@pytest.mark.parametrize("kind", [int, str, bool, int | None, dict[str, int], tuple[int, ...], tuple[str | None, ...]])
def test_pieces_of_json_in_any_order_are_judged_alike(kind: Any) -> None:
    ours, theirs = standin.json.Decoder(kind), msgspec.json.Decoder(kind)

    @given(rubble)
    @settings(max_examples=EXAMPLES * 5)
    def holds(content: bytes) -> None:
        assert outcome(ours.decode, standin.json.encode, content) == outcome(
            theirs.decode, msgspec.json.encode, content
        )

    holds()


class Open(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be null, of types that no event leaves open today."""

    n: int | None
    b: bool | None
    more: tuple[int | None, ...]


class OpenAgain(standin.Struct, frozen=True, forbid_unknown_fields=True):
    """The same."""

    n: int | None
    b: bool | None
    more: tuple[int | None, ...]


@pytest.mark.parametrize("number", [b"null", b"0", b"-7", b"07", b"true", b'"7"'])
@pytest.mark.parametrize("truth", [b"null", b"true", b"false", b"0"])
@pytest.mark.parametrize("array", [b"[]", b"[null]", b"[null,3,null]", b"[3,]", b"[3 4]", b"[3null]", b"[,3]", b"null"])
def test_null_is_told_from_nothing_and_from_zero_also_on_the_short_way(
    number: bytes, truth: bytes, array: bytes
) -> None:
    decoder = standin.json.Decoder(OpenAgain)
    content = b'{"n":%b,"b":%b,"more":%b}' % (number, truth, array)
    ours = outcome(decoder.decode, standin.json.encode, content)
    theirs = outcome(msgspec.json.Decoder(Open).decode, msgspec.json.encode, content)
    if ours == REFUSED or theirs == REFUSED:
        assert ours == theirs
    else:
        assert (ours[0][1], ours[1]) == (theirs[0][1], theirs[1])
        assert decoder._spelled is not None
        assert decoder._spelled(content.decode()) is not None


@given(rubble | rubble.map(lambda inner: b'{"a":"x"' + inner + b"}"))
@settings(max_examples=EXAMPLES * 10)
def test_pieces_of_json_around_fields_are_judged_alike(content: bytes) -> None:
    ours = outcome(standin.json.Decoder(EveryAgain).decode, standin.json.encode, content)
    theirs = outcome(msgspec.json.Decoder(Every).decode, msgspec.json.encode, content)
    assert (ours == REFUSED) == (theirs == REFUSED)
    assert ours == REFUSED or ours[1] == theirs[1]
