"""A proof holds as it was made; one thing changed in it, and it is refused by its code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from application.verification.notes import Trusted
from application.verification.proof_files import check_proof
from domain.audit import proofs
from domain.audit.book_map import MapProof, map_key, map_value, root_from_path
from domain.audit.checkpoint import body_of, parse_body
from domain.audit.leaves import facts_hash, header, leaf, sealed_hash
from domain.audit.note import note_of, parse_note
from domain.audit.proofs import EventProof, ShownEvent, book_of, check_event, parse_proof
from domain.errors import Corrupt, LedgerError
from tests.golden.signing_story import FIRST, public_of
from tests.unit.domain import bundle_vectors as made

EVENT: dict[str, Any] = json.loads(made.event_proof())
BALANCE: dict[str, Any] = json.loads(proofs.balance_proof_text(made.balance(), made.note()))
KEY = public_of(FIRST)
Change = Callable[[dict[str, Any]], object]


def code_of(text: bytes | dict[str, Any]) -> str:
    """The code by which a proof is refused, without a look at its signature; "" when it holds."""
    content = text if isinstance(text, bytes) else json.dumps(text).encode()
    try:
        proof, note = parse_proof(content)
        checkpoint = parse_body(parse_note(note)[0])
        if isinstance(proof, EventProof):
            check_event(proof, checkpoint)
        else:
            assert isinstance(proof, proofs.BalanceProof)
            proofs.check_balance(proof, checkpoint)
    except LedgerError as error:
        return error.code
    return ""


def changed(proof: dict[str, Any], change: Change) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(proof))
    change(copy)
    return copy


def put(name: str, value: object) -> Change:
    return lambda proof: proof.__setitem__(name, value)


def in_event(number: int, name: str, value: object) -> Change:
    return lambda proof: proof["events"][number].__setitem__(name, value)


def checkpoint_without_map(proof: dict[str, Any]) -> None:
    body, signatures = parse_note(proof["checkpoint"].encode())
    bare = body_of(parse_body(body)._replace(map_position=0, map_root=b""))
    proof["checkpoint"] = note_of(bare, signatures).decode()


def checkpoint_of_a_map_before(proof: dict[str, Any]) -> None:
    """What the account held at an earlier position, signed with the size of now."""
    body, signatures = parse_note(proof["checkpoint"].encode())
    size = made.checkpoint().size
    proof["checkpoint"] = note_of(body_of(parse_body(body)._replace(map_position=size - 1)), signatures).decode()


def recorded(last_us: int) -> Change:
    def change(proof: dict[str, Any]) -> None:
        body, signatures = parse_note(proof["checkpoint"].encode())
        proof["checkpoint"] = note_of(body_of(parse_body(body)._replace(recorded_us=last_us)), signatures).decode()

    return change


@pytest.mark.parametrize("last_us", [EVENT["recorded_us"] - 1, 0])
def test_a_checkpoint_from_before_what_it_holds_is_refused(last_us: int) -> None:
    assert code_of(changed(EVENT, recorded(last_us))) == "time_went_back"
    assert code_of(changed(BALANCE, recorded(last_us))) == "time_went_back"


def test_a_checkpoint_tells_the_time_of_its_last_event() -> None:
    # The account's last event is the last one of the log.
    assert code_of(changed(EVENT, recorded(made.checkpoint().recorded_us + 1))) == ""
    assert code_of(changed(BALANCE, recorded(made.checkpoint().recorded_us + 1))) == "time_went_back"


def test_proofs_as_they_were_made_hold() -> None:
    assert code_of(EVENT) == code_of(BALANCE) == ""
    assert check_proof(json.dumps(EVENT).encode(), Trusted([KEY]), lambda *_: True).attested.signed_by == KEY


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (put("position", 13), "not_in_log"),
        (put("position", 0), "header_number"),
        (put("position", 24), "proof_malformed"),
        (put("position", 1 << 63), "proof_malformed"),
        (put("position", 12.0), "proof_malformed"),
        (put("position", "12"), "proof_malformed"),
        (put("position", True), "proof_malformed"),
        (put("version", -1), "header_number"),
        (put("version", 4), "not_in_log"),
        (put("stream", EVENT["stream"].replace("-", "")), "proof_malformed"),
        (put("stream", "0" * 36), "proof_malformed"),
        (put("topic", "carbon.account.opened.v1"), "not_in_log"),
        (put("topic", ""), "header_topic"),
        (put("topic", "碳"), "header_topic"),
        (put("topic", "a" * 256), "header_topic"),
        (put("recorded_us", EVENT["recorded_us"] + 1), "not_in_log"),
        (put("salt", "0" * 32), "not_in_log"),
        (put("salt", EVENT["salt"].upper()), "proof_malformed"),
        (put("salt", EVENT["salt"][2:]), "proof_malformed"),
        (put("salt", 1), "proof_malformed"),
        (put("facts", EVENT["facts"] + " "), "not_in_log"),
        (put("facts", {}), "proof_malformed"),
        (put("facts", "\ud800"), "proof_malformed"),
        (put("sealed_sm3", "0" * 64), "not_in_log"),
        (put("path", EVENT["path"][:-1]), "proof_malformed"),
        (put("path", [*EVENT["path"], "0" * 64]), "proof_malformed"),
        (put("path", EVENT["path"][::-1]), "not_in_log"),
        (put("path", [1]), "proof_malformed"),
        (put("path", {}), "proof_malformed"),
        (put("format", "carbon-ledger/event-proof/2"), "proof_malformed"),
        (put("format", ["x" * 10_000]), "proof_malformed"),
        (put("more", 1), "proof_malformed"),
        (lambda proof: proof.pop("salt"), "proof_malformed"),
        (put("checkpoint", EVENT["checkpoint"].replace("carbon-ledger/b", "carbon-ledger/x")), "origin_unknown"),
        (put("checkpoint", EVENT["checkpoint"].replace("carbon-ledger/", "other-ledger/")), "origin_unknown"),
        (put("checkpoint", "x"), "note_malformed"),
    ],
)  # fmt: skip
def test_an_event_proof_with_one_thing_changed_is_refused(change: Change, code: str) -> None:
    assert code_of(changed(EVENT, change)) == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (put("version", 4), "not_in_map"),
        (put("version", -1), "proof_malformed"),
        (put("balances", {"travel.metro": "889201"}), "not_in_map"),
        (put("balances", {}), "not_in_map"),
        (put("balances", []), "proof_malformed"),
        (put("balances", {"travel.metro": 889200}), "proof_malformed"),
        (put("balances", {"travel.metro": "0889200"}), "proof_malformed"),
        (put("balances", {"travel.metro": "-0"}), "proof_malformed"),
        (put("balances", {"travel.metro": "٣"}), "proof_malformed"),
        (put("balances", {"travel.metro": "9" * 101}), "proof_malformed"),
        (put("balances", {"travel.metro": "1", "travel.bus": "1"}), "proof_malformed"),
        (put("balances", {"travel,metro": "1"}), "proof_malformed"),
        (put("siblings", ["1" * 64, *BALANCE["siblings"][1:]]), "not_in_map"),
        (put("siblings", ["0" * 64] * 257), "proof_malformed"),
        (put("siblings", [*BALANCE["siblings"], "0" * 64]), "proof_malformed"),
        (put("stream", "00000000-0000-4000-8000-000000000002"), "not_in_map"),
        (lambda proof: proof["events"].pop(), "stream_incomplete"),
        (lambda proof: proof["events"].pop(0), "stream_incomplete"),
        (lambda proof: proof["events"].append(proof["events"][-1]), "stream_incomplete"),
        (put("events", []), "stream_incomplete"),
        (put("events", {}), "proof_malformed"),
        (put("events", [1]), "proof_malformed"),
        (in_event(2, "position", 1 << 40), "stream_incomplete"),
        (in_event(3, "position", 12), "stream_incomplete"),
        (in_event(2, "facts", BALANCE["events"][2]["facts"].replace("1000", "1001")), "not_in_log"),
        (in_event(2, "more", 1), "proof_malformed"),
        (checkpoint_without_map, "map_missing"),
        (checkpoint_of_a_map_before, "map_missing"),
    ],
)  # fmt: skip
def test_a_balance_proof_with_one_thing_changed_is_refused(change: Change, code: str) -> None:
    assert code_of(changed(BALANCE, change)) == code


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"\xef\xbb\xbf{}",
        json.dumps(EVENT).encode()[:-1],
        json.dumps(EVENT).replace('"version": 3', '"version": 3, "version": 3').encode(),
        json.dumps(EVENT).replace('"version": 3', '"version": NaN').encode(),
        json.dumps(EVENT).replace('"version": 3', '"version": 3e0').encode(),
        json.dumps(EVENT).replace('"version": 3', '"version": ' + "3" * 5_000).encode(),
    ],
)
def test_json_that_readers_may_read_differently_is_refused(text: bytes) -> None:
    assert code_of(text) == "proof_malformed"


def test_a_proof_that_is_too_long_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(EVENT).encode()
    monkeypatch.setattr(proofs, "MAX_PROOF_BYTES", len(text))
    assert code_of(text) == ""
    assert code_of(text + b" ") == "proof_malformed"


def alone(topic: str, facts: str) -> tuple[ShownEvent, bytes]:
    """An event that is the whole log, and its root."""
    stream = made.ANN
    head = header(made.BOOK_ID.bytes, 1, stream.bytes, 1, topic, 5)
    root = leaf(head, facts_hash(bytes(16), facts.encode()) + sealed_hash(b""))
    return ShownEvent(1, stream, 1, topic, 5, bytes(16), facts, sealed_hash(b"")), root


@pytest.mark.parametrize(
    ("topic", "facts", "code"),
    [
        ("carbon.account.opened.v1", '{"kind":"individual"}', ""),
        ("carbon.account.opened.v1", '{"kind":"household","kind":"individual"}', "facts_respelled"),
        ("carbon.account.opened.v1", '{"kind": "individual"}', "facts_respelled"),
        ("carbon.account.opened.v1", '{"kind":1}', "undecodable_event"),
        ("carbon.account.opened.v9", "{}", ""),
    ],
)
def test_facts_that_are_signed_must_still_be_facts_in_their_one_spelling(topic: str, facts: str, code: str) -> None:
    event, root = alone(topic, facts)
    checkpoint = made.checkpoint()._replace(size=1, root=root, rulebook_position=0, map_position=0, map_root=b"")
    checkpoint = checkpoint._replace(recorded_us=event.recorded_us)
    note = note_of(body_of(checkpoint), [parse_note(made.note())[1][0]])
    assert code_of(proofs.event_proof_text(EventProof(event, []), note).encode()) == code


def test_an_account_whose_signed_balances_are_not_its_events_is_found() -> None:
    """Somebody who has the log's key signs a map with another balance in it."""
    proof = made.balance()._replace(balances={"travel.metro": 1}, place=MapProof(()))
    value = map_value(made.ANN.bytes, proof.version, [("travel.metro", 1)])
    root = root_from_path(map_key(made.ANN.bytes), value, proof.place)
    note = note_of(body_of(made.checkpoint()._replace(map_root=root)), [parse_note(made.note())[1][0]])
    assert code_of(proofs.balance_proof_text(proof, note).encode()) == "balances_differ"


def test_the_name_of_a_log_is_that_of_its_book() -> None:
    assert book_of(made.ORIGIN) == made.BOOK_ID.bytes
    for origin in ("carbon-ledger", "carbon-ledger/" + "0" * 31, "carbon-ledger/" + "A" * 32, "x/" + "0" * 32):
        with pytest.raises(Corrupt, match="origin_unknown"):
            book_of(origin)
