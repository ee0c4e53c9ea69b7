"""A signed request is complete, in time and of a key that counts; all that is signed names what it is good for."""

from __future__ import annotations

from itertools import combinations

import pytest

from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.partner_protocol import (
    HEADERS,
    KEY,
    NONCE,
    PLAIN,
    SEALED,
    SIGNATURE,
    TIMESTAMP,
    WINDOW_S,
    Addressed,
    Headers,
    headers_of,
    kept_text,
    refuse_stale,
    replayed,
    request_text,
    signature_wrong,
    signing_key,
    text,
)
from domain.requests import ReceivedRequest, Signed
from tests.unit.domain import partner_tools as partners
from tests.unit.domain.refusals import refusal
from tests.unit.domain.worlds import PARTNER, World

ORIGIN = "carbon-ledger/00112233445566778899aabbccddeeff"
SENT_S = 1_772_324_102
GIVEN = {KEY: ("ab" * 16,), TIMESTAMP: ("2026-03-01T00:15:02Z",), NONCE: ("n" * 16,), SIGNATURE: ("MEQCIA==",)}
SIGNED = Headers("ab" * 16, "2026-03-01T00:15:02Z", "n" * 16, "MEQCIA==", SENT_S)


def test_a_request_is_signed_with_all_headers_or_with_none() -> None:
    assert headers_of(GIVEN) == SIGNED
    assert headers_of({"content-type": ("text/plain",)}) is None
    for size in (1, 2, 3):
        for some in combinations(HEADERS, size):
            missing = next(name for name in HEADERS if name not in some)
            given = {name: GIVEN[name] for name in some}
            assert refusal(headers_of, given) == ("signature_incomplete", missing)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (KEY, "AB" * 16),
        (KEY, "ab" * 15),
        (TIMESTAMP, "2026-03-01T00:15:02+00:00"),
        (TIMESTAMP, "2026-03-01T00:15:02.000Z"),
        (TIMESTAMP, "2026-02-30T00:15:02Z"),
        (NONCE, "n" * 15),
        (NONCE, "n" * 65),
        (NONCE, "nnnnnnnn nnnnnnnn"),
        (SIGNATURE, "MEQ\nIA=="),
        (SIGNATURE, "M" * 101),
    ],
)
def test_a_header_has_one_spelling(name: str, value: str) -> None:
    assert refusal(headers_of, {**GIVEN, name: (value,)}) == ("signature_malformed", name)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_comes_twice_is_refused_even_where_both_are_the_same(name: str) -> None:
    assert refusal(headers_of, {**GIVEN, name: GIVEN[name] * 2}) == ("signature_malformed", name)


def test_a_request_counts_five_minutes_before_and_after_its_time() -> None:
    assert WINDOW_S == 300
    for now_s in (SENT_S - 300, SENT_S, SENT_S + 300):
        refuse_stale(SIGNED, now_s)
    assert refusal(refuse_stale, SIGNED, SENT_S + 301) == ("request_late", TIMESTAMP)
    assert refusal(refuse_stale, SIGNED, SENT_S - 301) == ("request_early", TIMESTAMP)


def test_a_key_signs_from_its_approval_until_it_is_revoked() -> None:
    world = World()
    partners.propose(world, key=7)
    assert refusal(signing_key, world.rulebook.partners, partners.id_of(7)) == ("signature_key_unknown", KEY)
    partners.approve(world, partners.last_proposal(world))
    assert signing_key(world.rulebook.partners, partners.id_of(7)).partner == PARTNER
    partners.approve(world, partners.propose_key(world, 8))
    partners.revoke(world, 7)
    assert refusal(signing_key, world.rulebook.partners, partners.id_of(7)) == ("partner_key_revoked", KEY)
    assert signing_key(world.rulebook.partners, partners.id_of(8)).public_key == partners.public_key(8)


@pytest.mark.parametrize(
    ("refused", "code", "field"),
    [(signature_wrong(), "signature_wrong", SIGNATURE), (replayed(), "request_replayed", NONCE)],
)
def test_what_is_wrong_with_a_signature_is_told_with_a_way_out(refused: Rejected, code: str, field: str) -> None:
    assert (refused.code, refused.field) == (code, field)
    assert refused.remedy


def test_a_kept_request_gives_the_text_that_its_partner_signed() -> None:
    signed = Signed(key=SIGNED.key, timestamp=SIGNED.timestamp, nonce=SIGNED.nonce, signature="00" * 64)
    kept = ReceivedRequest(
        id="r", received_at="2026-03-01T00:15:03Z", by="metro", method="POST", path="/v1/behaviors?a=b",
        body='{"数":1}', signed=signed,
    )  # fmt: skip
    named = (SIGNED.timestamp, SIGNED.nonce, SIGNED.key)
    plain = Addressed(ORIGIN, "POST", "/v1/behaviors?a=b", PLAIN)
    assert kept_text(ORIGIN, kept) == request_text(plain, kept.body.encode(), *named)

    closed = Signed(
        key=signed.key, timestamp=signed.timestamp, nonce=signed.nonce, signature=signed.signature,
        sealed='{"to":"us"}', content_key="11" * 16,
    )  # fmt: skip
    of_sealed = ReceivedRequest(
        id=kept.id, received_at=kept.received_at, by=kept.by, method=kept.method, path=kept.path, body=kept.body,
        signed=closed,
    )  # fmt: skip
    assert kept_text(ORIGIN, of_sealed) == request_text(plain._replace(kind=SEALED), b'{"to":"us"}', *named)


def test_no_two_requests_give_one_text() -> None:
    where = Addressed(ORIGIN, "POST", "/v1/behaviors", PLAIN)
    one = (where, b"{}", "2026-03-01T00:15:02Z", "n" * 16, "ab" * 16)
    others = [
        (where._replace(origin=f"{ORIGIN}0"), *one[1:]),
        (where._replace(method="PUT"), *one[1:]),
        (where._replace(target="/v1/behaviors?"), *one[1:]),
        (where._replace(kind=SEALED), *one[1:]),
        (where, b"{} ", *one[2:]),
        (*one[:2], "2026-03-01T00:15:03Z", *one[3:]),
        (*one[:3], "m" * 16, one[4]),
        (*one[:4], "cd" * 16),
    ]
    texts = [request_text(*each) for each in (one, *others)]
    assert len(set(texts)) == len(texts)
    assert sm3_hex(b"{}").encode() in texts[0]


def test_what_is_signed_holds_no_line_end_of_its_own() -> None:
    with pytest.raises(ValueError, match="line end"):
        text("partner-receipt", "metro\n54")
