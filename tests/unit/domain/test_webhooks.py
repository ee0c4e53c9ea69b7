"""What messages say and where they may go: the pure part of webhooks."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from uuid import UUID

import pytest

from domain.errors import Rejected
from domain.events.account import AccountFrozen, BehaviorCredited, BehaviorReversed, FactorRevised, RevisedLine
from domain.events.base import Event, Recorded
from domain.webhook_targets import origin_of, place_of, refuses_address
from domain.webhooks import (
    BANK,
    KINDS,
    Known,
    Wish,
    change_mg,
    checked_wish,
    hmac_signature,
    is_over,
    messages_of,
    pause_us,
    secret_text,
    signed_text,
    sm2_header,
    sm2_text,
)
from infrastructure.gm.sm2 import PyxVerifier
from infrastructure.gm.sm2_format import public_key_from_pem, signature_from_der

SPEC = Path(__file__).resolve().parents[3] / "docs" / "spec" / "webhooks.md"
ACCOUNT = UUID("11111111-2222-4333-8444-555555555555")
KNOWN = Known("carbon-ledger/00112233445566778899aabbccddeeff", 1_772_323_200_000_000, "metro", 900)
ALL = Wish(KINDS, (), 1_000)


def credit(mg: int = 250, partner: str = "metro") -> BehaviorCredited:
    return BehaviorCredited(
        partner=partner, intake=41, line=2, ref="00" * 16, behavior="travel.metro", day="2026-03-01",
        region="CN-440300", quantity="12350", scale=3, unit="km", methodology="TRAVEL-METRO@1", decision="D1",
        rule="v1", consent=2, computed_mg=str(mg), credited_mg=str(mg),
    )  # fmt: skip


def revised(*changes: int) -> FactorRevised:
    lines = tuple(RevisedLine(3, "2026-03-01", "100", str(100 + each), str(100 + each), "") for each in changes)
    return FactorRevised(
        revision="R1", behavior="travel.metro", methodology="TRAVEL-METRO@2", rule="v1", part=1, last=True, lines=lines
    )


def reversal(mg: int = 250) -> BehaviorReversed:
    return BehaviorReversed(credit=3, behavior="travel.metro", day="2026-03-01", reversed_mg=str(mg), by="alice")


def told(event: Event, owner: str = BANK, wish: Wish = ALL, known: Known = KNOWN) -> list[dict[str, object]]:
    return [json.loads(each.body) for each in messages_of(owner, wish, Recorded(ACCOUNT, 3, 42, event, None), known)]


def test_an_event_becomes_its_message_and_one_more_where_a_threshold_is_crossed() -> None:
    kinds = [
        [str(each["type"]).split(".")[-2] for each in told(event)]
        for event in (credit(250), credit(50), credit(0), revised(50, 60), revised(-5), revised(7, -7), reversal(1))
    ]
    assert kinds == [
        ["credited", "crossed"], ["credited"], ["credited"], ["revised", "crossed"], ["revised"], [], ["reversed"],
    ]  # fmt: skip
    (down,) = told(reversal(200), wish=Wish(("crossed",), (), 800))
    assert down["data"] == {
        "account_id": str(ACCOUNT), "version": 3, "position": 42, "direction": "down", "threshold_mg": "800",
        "before_mg": "900", "balance_mg": "700",
    }  # fmt: skip
    assert told(credit(100), wish=Wish(("crossed",), (), 1_000))[0]["id"] == "42-crossed-1000"
    assert told(credit(99), wish=Wish(("crossed",), (), 1_000)) == []
    assert told(credit(), wish=Wish(("credited",), ("travel.bus",), None)) == []


def test_a_partner_is_told_of_its_own_and_finds_no_account_in_it() -> None:
    wish = Wish(("credited", "reversed"), (), None)
    assert told(credit(), "bus", wish) == told(reversal(), "bus", wish) == []
    for event in (credit(), reversal()):
        (message,) = told(event, "metro", wish)
        assert str(ACCOUNT) not in json.dumps(message)
        assert message["subject"] == "42"
        data = message["data"]
        assert isinstance(data, dict)
        assert not {"account_id", "version", "partner", "decision"} & set(data)


@pytest.mark.parametrize(
    ("owner", "kinds", "behaviors", "threshold", "code"),
    [
        (BANK, [], [], None, "webhook_kind_unknown"),
        (BANK, ["opened"], [], None, "webhook_kind_unknown"),
        ("metro", ["revised"], [], None, "webhook_kind_refused"),
        ("metro", ["credited", "crossed"], [], 5, "webhook_kind_refused"),
        (BANK, ["crossed"], [], None, "threshold_wrong"),
        (BANK, ["credited"], [], 5, "threshold_wrong"),
        (BANK, ["crossed"], [], 0, "threshold_wrong"),
        (BANK, ["crossed"], [], 1 << 63, "threshold_wrong"),
        (BANK, ["credited"], ["Travel Metro"], None, "behavior_malformed"),
        (BANK, ["credited"], ["a"] * 101, None, "behavior_malformed"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_is_refused(
    owner: str, kinds: list[str], behaviors: list[str], threshold: int | None, code: str
) -> None:
    with pytest.raises(Rejected) as refused:
        checked_wish(owner, kinds, behaviors, threshold)
    assert refused.value.code == code
    assert refused.value.remedy


def test_a_wish_has_one_spelling_and_counts_each_thing_once() -> None:
    wish = checked_wish(BANK, ["crossed", "credited"], ["travel.metro", "travel.bus", "travel.metro"], 5)
    assert wish == checked_wish(BANK, ["credited", "crossed", "credited"], ["travel.bus", "travel.metro"], 5)
    assert wish.behaviors == ("travel.bus", "travel.metro")


def test_what_books_nothing_changes_no_balance() -> None:
    assert [change_mg(each) for each in (credit(7), reversal(7), revised(5, -7), AccountFrozen(by="alice"))] == [
        7, -7, -2, 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "is_private", "origin"),
    [
        ("https://Hooks.Example", False, "https://hooks.example:443"),
        ("https://hooks.example:8443/", False, "https://hooks.example:8443"),
        ("https://[2001:DB8::1]:443", True, "https://[2001:db8::1]:443"),
        ("http://127.0.0.1:9000", True, "http://127.0.0.1:9000"),
        ("http://localhost", True, "http://localhost:80"),
    ],
)
def test_an_origin_has_one_spelling(text: str, is_private: bool, origin: str) -> None:
    assert origin_of(text, is_private=is_private) == origin
    assert place_of(f"{origin}/a?b=c").origin == origin


@pytest.mark.parametrize(
    "text",
    [
        "", "hooks.example", "//hooks.example", "ftp://hooks.example", "https://", "https:///x", "https://user@hooks.example",
        "https://hooks.example/path", "https://hooks.example?x", "https://hooks.example#x", "https://hooks.example:0",
        "https://hooks.example:65536", "https://hooks.example:x", "https://hooks .example", "https://hooks.example\n",
        "https://höoks.example", "https://hooks_1.example", "https://-hooks.example", "https://127.1", "https://2130706433",
        "https://0x7f.1", "https://0x7f000001", "https://hooks.example\\@evil.example", "https://[fe80::1%25eth0]",
        "http://hooks.example", "http://10.0.0.1", "http://127.0.0.1", "https://hooks.example..", "https://a.example,b.example",
        "https://[127.0.0.1]",
    ],
)  # fmt: skip
def test_what_is_no_exact_origin_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        origin_of(text, is_private=False)
    assert refused.value.code == "target_malformed"


@pytest.mark.parametrize("path", ["/a b", "/\x7f", "/a\\b", "/" + "x" * 1_024], ids=["space", "unseen", "back", "long"])
def test_an_address_that_no_browser_would_send_is_refused(path: str) -> None:
    with pytest.raises(Rejected):
        place_of(f"https://a.example{path}")


NEVER = (
    "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255", "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::", "::ffff:169.254.169.254", "::169.254.169.254", "no address",
    "fe80::1%eth0",
)  # fmt: skip
INSIDE = (
    "127.0.0.1", "127.8.8.8", "::1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1",
    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "198.18.0.1", "192.0.2.1", "2001:db8::1",
)  # fmt: skip
OUTSIDE = ("9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9")


def test_networks_of_the_house_are_refused_unless_they_were_meant_and_others_always() -> None:
    def refused(addresses: tuple[str, ...], *, is_private: bool, is_plain: bool = False) -> list[bool]:
        return [refuses_address(each, is_private=is_private, is_plain=is_plain) for each in addresses]

    assert refused(NEVER, is_private=False) == refused(NEVER, is_private=True) == [True] * len(NEVER)
    assert refused(INSIDE, is_private=False) == [True] * len(INSIDE)
    assert refused(INSIDE, is_private=True) == [False] * len(INSIDE)
    assert refused(OUTSIDE, is_private=False) == [False] * len(OUTSIDE)
    assert refused(OUTSIDE, is_private=True, is_plain=True) == [True] * len(OUTSIDE)
    assert refused(INSIDE[:3], is_private=True, is_plain=True) == [False] * 3
    assert refused(INSIDE[3:9], is_private=True, is_plain=True) == [True] * 6


def test_pauses_grow_to_the_longest_and_chance_takes_up_to_a_half() -> None:
    second = 1_000_000
    assert [pause_us(each, second, 60 * second, 0) // second for each in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_us(10_000, second, 60 * second, 0) == 60 * second
    shorter = pause_us(3, second, 60 * second, 999)
    assert 2 * second < shorter < 2 * second + 4_000


def test_a_message_is_given_up_only_where_it_is_the_message_that_does_not_get_through() -> None:
    assert not is_over(29, 30, is_refused=True, others_pass=True)
    assert is_over(30, 30, is_refused=True, others_pass=False)
    assert is_over(30, 30, is_refused=False, others_pass=True)
    assert not is_over(1_000, 30, is_refused=False, others_pass=False)


def test_the_vector_of_the_document_is_what_is_sent() -> None:
    vector = json.loads(SPEC.read_text("utf-8").partition("```json vector\n")[2].partition("\n```")[0])
    secret = bytes(range(32))
    (message, _) = messages_of(BANK, ALL, Recorded(ACCOUNT, 3, 42, credit(), None), KNOWN)
    text = signed_text(message.id, vector["timestamp"], message.body)
    assert vector["secret"] == secret_text(secret)
    assert vector["body"] == message.body
    assert vector["webhook-id"] == message.id
    assert vector["webhook-signature"] == hmac_signature(secret, text)
    assert sm2_text(text) == b"carbon-ledger/webhook/v1\0" + text


def test_the_sm2_signature_of_the_document_is_good_under_its_key() -> None:
    vector = json.loads(SPEC.read_text("utf-8").partition("```json vector\n")[2].partition("\n```")[0])
    version, key, signature = vector["webhook-signature-sm2"].split(",")
    public = public_key_from_pem(vector["public_pem"])
    assert version == "v1"
    text = f"{vector['webhook-id']}.{vector['timestamp']}.{vector['body']}"
    message = b"carbon-ledger/webhook/v1\0" + text.encode()
    der = signature_from_der(base64.b64decode(signature))
    assert sm2_header(key, der) == vector["webhook-signature-sm2"]
    assert PyxVerifier().verify(public, message, der)
    assert not PyxVerifier().verify(public, message + b"x", der)
