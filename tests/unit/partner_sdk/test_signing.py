"""What the SDK signs and believes, against openssl and the specification's own words."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger_sdk import Misused, PartnerKey, Untrusted, clock, gm
from carbon_ledger_sdk.protocol import SEALED, Attempt, Batch, Protocol, batches
from infrastructure.gm.sm4 import SM4Key, open_with, seal_with
from tests.unit.partner_sdk.sdk_ledger import ORIGIN, RIDE, World, as_answer, sm3, text

SPEC = (Path(__file__).resolve().parents[3] / "docs" / "spec" / "partner-api.md").read_text("utf-8")
VECTORS = json.loads(re.findall(r"(?ms)^```json\n(.*?)^```", SPEC.split("## Vectors")[1])[0])
CREDITED: dict[str, Any] = {"status": "credited", "position": 42, "credited_mg": "889200", "account_id": None}
ITEMS: list[dict[str, Any]] = [
    CREDITED,
    {"status": "duplicate", "first": {**CREDITED, "position": 7}},
    {"status": "duplicate", "first": None},
    {"status": "refused", "code": "malformed", "field": "quantity", "message": "no", "remedy": "yes"},
]
OUTCOMES = ["credited 42 889200", "duplicate 7 889200", "duplicate", "refused malformed"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("keys"))


def batch_of(count: int) -> Batch:
    (made,) = batches([RIDE._replace(source_ref=f"t{number}") for number in range(count)], 10_000, 8_000_000)
    return made


def knowing(world: World, **changes: Any) -> Protocol:
    protocol = world.protocol(**changes)
    protocol.learn(json.dumps(world.keys()).encode())
    return protocol


def test_the_vectors_of_the_specification_are_made_and_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = {each["what"]: each for each in VECTORS["signed"]}
    public_key = bytes.fromhex(VECTORS["public_key"])
    assert {"request", "sealed", "service_key", "receipt"} <= set(signed)
    for each in signed.values():
        message = each["text"].replace("<00>", "\0").encode()
        assert gm.verifies(public_key, message, each["signature"])
        assert not gm.verifies(public_key, message + b" ", each["signature"])
        assert gm.sm3(message).hex() == each["sm3"]
    *_, timestamp, nonce, key = signed["request"]["text"].splitlines()
    origin = signed["request"]["text"].splitlines()[0].partition("<00>")[2]
    monkeypatch.setattr(secrets, "token_hex", lambda _: nonce)
    partner = PartnerKey(bytes.fromhex(VECTORS["private_key"]), public_key)
    protocol = Protocol(origin, partner, now=lambda: timestamp)
    attempt = protocol.attempt(VECTORS["body"].encode())
    assert (attempt.signed.decode().replace("\0", "<00>"), partner.id) == (signed["request"]["text"], key)

    told = VECTORS["sealed"]
    opened = Attempt(
        attempt.http,
        content_key=bytes.fromhex(told["content_key"]),
        answer_aad=told["answer_additional_data"].replace("<00>", "\0").encode(),
    )
    assert protocol.opened(opened, as_answer(json.loads(told["answer"]))) == told["answer_inside"].encode()
    body = json.loads(told["body"])
    drawn, sealed = base64.b64decode(body["nonce"]), base64.b64decode(body["sealed"])
    aad = told["additional_data"].replace("<00>", "\0").encode()
    assert gm.seal(opened.content_key, drawn, VECTORS["body"].encode(), aad) == sealed


def test_openssl_verifies_what_is_signed_and_the_headers_are_of_their_grammar(world: World) -> None:
    attempt = world.protocol().attempt(b'{"items":[]}')
    sent = attempt.http.headers
    assert re.fullmatch("[A-Za-z0-9_-]{16,64}", sent["carbon-nonce"])
    assert re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", clock.now())
    assert sent["carbon-key"] == world.partner.id
    assert len(sent["carbon-signature"]) <= 100
    assert world.partner.verifies(attempt.signed, sent["carbon-signature"])
    assert not world.partner.verifies(attempt.signed + b" ", sent["carbon-signature"])


def test_each_try_has_a_nonce_and_a_signature_of_its_own(world: World) -> None:
    protocol = world.protocol()
    tries = [protocol.attempt(b"{}").http.headers for _ in range(20)]
    assert {len({each[name] for each in tries}) for name in ("carbon-nonce", "carbon-signature")} == {20}


def test_a_receipt_of_all_kinds_of_results_is_believed(world: World) -> None:
    protocol, batch = knowing(world), batch_of(4)
    attempt = protocol.attempt(batch.body)
    told = json.dumps(world.answer(attempt, ITEMS, OUTCOMES)).encode()
    acknowledged = protocol.acknowledged(batch, attempt, told)
    assert [item.source_ref for item in acknowledged.items] == ["t0", "t1", "t2", "t3"]
    assert acknowledged.receipt is not None
    assert acknowledged.receipt.partner == "metro-co"
    assert acknowledged.kept is not None
    assert (acknowledged.kept.signed, acknowledged.kept.body) == (attempt.signed, batch.body)


def _no_receipt(told: dict[str, Any]) -> None:
    told["receipt"] = None


def _set(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(told: Any) -> None:
        for step in path[:-1]:
            told = told[step]
        assert told[path[-1]] != to
        told[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_no_receipt, "receipt_missing"),
        (_set("items", 0, "credited_mg", to="889201"), "receipt_wrong"),
        (_set("items", 3, "code", to="account_unknown"), "receipt_wrong"),
        (_set("intake", to=40), "receipt_wrong"),
        (_set("line", to=2), "receipt_wrong"),
        (_set("digest", to="ee" * 32), "receipt_wrong"),
        (_set("position", to=43), "receipt_wrong"),
        *((_set("receipt", name, to="ee" * 32), "receipt_wrong") for name in ("leaf", "request", "outcomes")),
        (_set("receipt", "partner", to="bus-co"), "receipt_wrong"),
        (_set("receipt", "received_at", to="2026-03-01T00:15:04Z"), "receipt_wrong"),
        (_set("receipt", "signature", to="AAAA"), "receipt_wrong"),
        (_set("receipt", "key", to="0" * 32), "receipt_wrong"),
        (_set("items", to=[]), "answer_malformed"),
        (_set("items", 0, "status", to="lost"), "answer_malformed"),
        (_set("receipt", to={}), "answer_malformed"),
    ],
)
def test_an_answer_of_which_anything_was_changed_is_not_believed(
    world: World, change: Callable[[dict[str, Any]], None], code: str
) -> None:
    protocol, batch = knowing(world), batch_of(4)
    attempt = protocol.attempt(batch.body)
    told = world.answer(attempt, ITEMS, OUTCOMES)
    change(told)
    with pytest.raises(Untrusted) as refused:
        protocol.acknowledged(batch, attempt, json.dumps(told).encode())
    assert refused.value.code == code


def test_a_receipt_of_another_try_is_not_believed(world: World) -> None:
    protocol, batch = knowing(world), batch_of(1)
    first, second = protocol.attempt(batch.body), protocol.attempt(batch.body)
    told = json.dumps(world.answer(first, ITEMS[:1], OUTCOMES[:1])).encode()
    with pytest.raises(Untrusted, match="receipt_wrong"):
        protocol.acknowledged(batch, second, told)


def test_keys_of_a_service_count_only_with_the_word_of_the_log(world: World) -> None:
    protocol = world.protocol()
    forged = world.keys()
    forged["keys"][0]["certificate"] = world.seal.sign(
        text("service-key", ORIGIN, "receipt", world.receipt.point.hex())
    )
    swapped = world.keys()
    swapped["keys"][0]["purpose"] = "seal"
    strange = world.keys()
    for each in strange["keys"]:
        each["log_key"] = "0" * 32
    for told, code in (
        (forged, "certificate_wrong"),
        (swapped, "certificate_wrong"),
        (strange, "certificate_wrong"),
        (world.keys(origin="another.example/book"), "origin_differs"),
        (world.keys(keys=[{}]), "answer_malformed"),
        ([], "answer_malformed"),
    ):
        with pytest.raises(Untrusted) as refused:
            protocol.learn(json.dumps(told).encode())
        assert (refused.value.code, protocol.keys) == (code, {})


def test_a_sealed_body_opens_for_the_ledger_and_its_answer_for_the_partner(world: World) -> None:
    protocol, batch = knowing(world, sealed=True), batch_of(1)
    attempt = protocol.attempt(batch.body)
    sent, headers = json.loads(attempt.http.body), attempt.http.headers
    assert (set(sent), headers["content-type"]) == ({"to", "key", "nonce", "sealed"}, SEALED)
    content_key = world.seal.unwrap(base64.b64decode(sent["key"]))
    bound = (ORIGIN, "POST", "/v1/behaviors", headers["carbon-timestamp"], headers["carbon-nonce"], world.partner.id)
    aad = text("partner-sealed-request", *bound, world.seal.id)
    nonce, sealed = base64.b64decode(sent["nonce"]), base64.b64decode(sent["sealed"])
    assert open_with(SM4Key(content_key, 0), nonce, sealed, aad) == batch.body
    assert attempt.signed.split(b"\n")[4].decode() == sm3(attempt.http.body)

    told = json.dumps(world.answer(attempt, ITEMS[:1], OUTCOMES[:1])).encode()
    aad = text("partner-sealed-answer", ORIGIN, headers["carbon-nonce"], world.partner.id)
    closed = seal_with(SM4Key(content_key, 0), bytes(12), told, aad)
    parts = {"nonce": base64.b64encode(bytes(12)).decode(), "sealed": base64.b64encode(closed).decode()}
    opened = protocol.opened(attempt, as_answer(parts))
    assert protocol.acknowledged(batch, attempt, opened).receipt is not None
    with pytest.raises(Untrusted, match="seal_broken"):
        protocol.opened(protocol.attempt(batch.body), as_answer(parts))
    with pytest.raises(Untrusted, match="answer_malformed"):
        protocol.opened(attempt, as_answer(json.loads(told)))


def test_a_signature_has_one_spelling_and_none_passes_that_only_the_library_would_take(world: World) -> None:
    key = PartnerKey.from_file(world.partner.private)
    signature = base64.b64decode(key.sign(b"x"))
    spelled = base64.b64encode(signature).decode()
    assert gm.verifies(key.public_key, b"x", spelled)
    long_form = b"\x30\x81" + signature[1:]
    for changed in (b"", signature[:-1], signature + b"\0", long_form, bytes(70)):
        assert not gm.verifies(key.public_key, b"x", base64.b64encode(changed).decode())
    assert not gm.verifies(key.public_key, b"y", spelled)
    assert not gm.verifies(key.public_key, b"x", spelled + "\n")


def test_what_is_no_key_is_refused_and_no_key_shows_its_private_half(world: World) -> None:
    pem = world.partner.private.read_text("ascii")
    key = PartnerKey.from_pem(pem)
    assert repr(key) == f"PartnerKey({world.partner.id})"
    for wrong in ("", world.partner.pem, pem.replace("M", "N", 1), pem[:60]):
        with pytest.raises(Misused, match="partner_key_malformed"):
            PartnerKey.from_pem(wrong)
    for point in (b"", bytes(64), b"\xff" * 64, key.public_key[:-1] + bytes([key.public_key[-1] ^ 1])):
        with pytest.raises(Misused, match="public_key_malformed"):
            gm.public_key_of(point)
    with pytest.raises(Misused, match="public_key_malformed"):
        gm.public_key_of(pem)
