"""The permanent record: every event survives its bytes, and old shapes are lifted by one chain."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar, get_args, get_origin
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Corrupt
from domain.events import registry
from domain.events.account import AccountFrozen, AccountOpened, AccountOpenedPersonal
from domain.events.base import Event, Recorded, RulebookEvent
from domain.events.intake import IntakeOpened
from domain.events.registry import (
    ACCOUNT_TOPICS,
    EVENTS,
    RULEBOOK_TOPICS,
    TOPICS,
    decode,
    decode_facts,
    decode_personal,
    encode,
    encode_part,
    placed,
    recorded,
)

STREAM = UUID(int=5)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Every value that a field of this type may have in a log."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.fixed_dictionaries({f.name: values_of(f.type) for f in msgspec.structs.fields(kind)}).map(
            lambda fields: kind(**fields)
        )
    if get_origin(kind) is tuple:
        return st.lists(values_of(get_args(kind)[0]), max_size=3).map(tuple)
    if get_origin(kind) is dict:
        return st.dictionaries(values_of(get_args(kind)[0]), values_of(get_args(kind)[1]), max_size=3)
    if type(None) in get_args(kind):
        return st.none() | values_of(next(part for part in get_args(kind) if part is not type(None)))
    whole: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=20),
        int: st.integers(-(2**63), 2**63 - 1),
        bool: st.booleans(),
    }
    return whole[kind]


def any_event() -> st.SearchStrategy[tuple[Event, Any]]:
    """An event of any class, and its personal part where the class has one."""
    pairs = [
        st.tuples(values_of(cls), st.none() if cls.PERSONAL is None else st.none() | values_of(cls.PERSONAL))
        for cls in EVENTS
    ]
    return st.one_of(pairs)


@given(any_event())
def test_every_event_survives_its_stored_bytes_and_they_survive_it(pair: tuple[Event, Any]) -> None:
    event, personal = pair
    state = encode(event, personal)
    assert decode(event.TOPIC, state) == (event, personal)
    assert encode(*decode(event.TOPIC, state)) == state
    assert type(decode(event.TOPIC, state)[0]) is type(event)


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.TOPIC)
def test_every_event_class_survives_its_stored_bytes(cls: type[Event]) -> None:
    @given(values_of(cls))
    def holds(event: Event) -> None:
        assert decode(cls.TOPIC, encode(event)) == (event, None)

    holds()


def test_every_topic_is_unique_and_says_subject_fact_and_shape() -> None:
    assert len(TOPICS) == len(EVENTS)
    assert [topic for topic in TOPICS if not re.fullmatch(r"carbon\.[a-z]+\.[a-z-]+\.v[1-9][0-9]*", topic)] == []


def test_events_are_sorted_into_streams_that_readers_ask_for() -> None:
    assert len(ACCOUNT_TOPICS) == 11
    assert {TOPICS[topic].STREAM for topic in ACCOUNT_TOPICS} == {"account"}
    assert {TOPICS[topic].STREAM for topic in RULEBOOK_TOPICS} == {
        "book",
        "methodology",
        "factor_set",
        "decision",
        "revision",
        "actor",
        "partner",
    }
    assert all(issubclass(TOPICS[topic], RulebookEvent) for topic in RULEBOOK_TOPICS)


def test_what_the_index_of_few_events_leaves_out_are_the_accounts_events_and_no_others() -> None:
    assert {topic for topic in TOPICS if topic.startswith("carbon.account.")} == set(ACCOUNT_TOPICS)


def test_the_stored_state_keeps_facts_and_person_in_two_parts() -> None:
    event, personal = AccountOpened(kind="individual"), AccountOpenedPersonal(account_ref="张三")
    state = encode(event, personal)
    assert state == '{"facts":{"kind":"individual"},"personal":{"account_ref":"张三"}}'.encode()
    assert encode(event) == b'{"facts":{"kind":"individual"}}'


def test_a_personal_part_that_was_erased_leaves_the_facts() -> None:
    for state in (b'{"facts":{"kind":"individual"}}', b'{"facts":{"kind":"individual"},"personal":null}'):
        assert decode(AccountOpened.TOPIC, state) == (AccountOpened(kind="individual"), None)


def test_a_topic_of_a_newer_release_is_named_and_not_guessed() -> None:
    with pytest.raises(Corrupt) as refused:
        decode("carbon.account.teleported.v1", b"{}")
    assert refused.value.code == "unknown_topic"
    assert "carbon.account.teleported.v1" in str(refused.value)


BROKEN = [
    b"",
    b"not json",
    b"{}",
    b'{"facts":{}}',
    b'{"facts":{"reason":"x"}}',
    b'{"facts":{"by":7}}',
    b'{"facts":{"by":"olga","reason":"x"}}',
    b'{"facts":{"by":"olga"},"personal":{"account_ref":"ann"}}',
    b'{"facts":{"by":"olga"},"note":1}',
    b'{"facts":{"by":"olga"}} ,',
    b'{"facts":{"by":"\xff"}}',
]


@pytest.mark.parametrize("state", BROKEN)
def test_bytes_of_another_shape_are_refused_and_the_place_is_named(state: bytes) -> None:
    with pytest.raises(Corrupt) as refused:
        recorded(STREAM, 4, 17, AccountFrozen.TOPIC, state)
    assert refused.value.code == "undecodable_event"
    assert refused.value.field == f"{STREAM}@4 position 17"
    assert refused.value.remedy


@pytest.mark.parametrize(
    "part", [b"", b"{}", b'{"note":"olga"}', b'{"by":"olga","account_ref":"x","extra":1}', b'{"by":7}']
)
def test_parts_read_alone_are_held_to_the_same_shape(part: bytes) -> None:
    for read, topic in ((decode_facts, AccountFrozen.TOPIC), (decode_personal, AccountOpened.TOPIC)):
        with pytest.raises(Corrupt, match="undecodable_event"):
            read(topic, part)
    with pytest.raises(Corrupt, match="unknown_topic"):
        decode_personal(IntakeOpened.TOPIC, b"{}")


@given(any_event())
def test_the_clear_form_is_made_of_the_parts_that_are_stored(made: tuple[Event, Any]) -> None:
    event, personal = made
    assert decode_facts(event.TOPIC, encode_part(event)) == event
    if personal is None:
        assert encode(event) == b'{"facts":' + encode_part(event) + b"}"
    else:
        assert decode_personal(event.TOPIC, encode_part(personal)) == personal
        assert encode(event, personal) == encode(event)[:-1] + b',"personal":' + encode_part(personal) + b"}"


def test_an_error_names_the_place_as_far_as_it_is_known() -> None:
    error = Corrupt("x", "y", remedy="z")
    assert placed(error, STREAM, 4, 0).field == f"{STREAM}@4"
    assert placed(error, STREAM, 4, 7).field == f"{STREAM}@4 position 7"


def test_a_stored_row_becomes_a_recorded_event() -> None:
    event = AccountFrozen(by="olga")
    assert recorded(STREAM, 4, 17, event.TOPIC, encode(event)) == Recorded(STREAM, 4, 17, event, None)


class FrozenV0(Event, frozen=True, kw_only=True):
    """A shape that never was: one text for everything."""

    TOPIC: ClassVar[str] = "carbon.account.frozen.v0"
    STREAM: ClassVar[str] = "account"
    note: str


class FrozenBeforeThat(Event, frozen=True, kw_only=True):
    """The shape before that one."""

    TOPIC: ClassVar[str] = "carbon.account.halted.v1"
    STREAM: ClassVar[str] = "account"


def test_old_shapes_are_lifted_step_by_step_to_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    for old in (FrozenV0, FrozenBeforeThat):
        monkeypatch.setitem(registry._CLEAR, old.TOPIC, registry._clear_form(old))
    monkeypatch.setitem(registry.UPCASTS, FrozenBeforeThat.TOPIC, lambda _: FrozenV0(note="unknown: halted"))
    monkeypatch.setitem(
        registry.UPCASTS,
        FrozenV0.TOPIC,
        lambda old: AccountFrozen(by=old.note.partition(": ")[0]),
    )
    assert decode(FrozenV0.TOPIC, b'{"facts":{"note":"olga: check"}}')[0] == AccountFrozen(by="olga")
    oldest = recorded(STREAM, 1, 1, FrozenBeforeThat.TOPIC, b'{"facts":{}}')
    assert oldest.event == AccountFrozen(by="unknown")
    newest = AccountFrozen(by="olga")
    assert decode(newest.TOPIC, encode(newest))[0] == newest


def test_masses_and_days_are_texts_so_that_no_reader_loses_a_digit() -> None:
    numbers = {
        (cls.TOPIC, field.name)
        for cls in EVENTS
        for field in msgspec.structs.fields(cls)
        if field.name.endswith(("_mg", "quantity", "day", "start", "end")) and field.type is int
    }
    assert numbers == set()
    state = encode(AccountOpened(kind="x"))
    assert json.loads(state) == {"facts": {"kind": "x"}}
