"""What the SDK sends again, how long it waits, and how it splits; told as a conversation, without any network."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from carbon_ledger_sdk import Misused, NoAnswer, NotAuthentic, PartnerClient, Refused, Retries, SdkError, TooBusy
from carbon_ledger_sdk.flow import Answer, Lost, Pause, tried
from carbon_ledger_sdk.protocol import Attempt, HttpAnswer, HttpRequest, Protocol, batches
from tests.unit.partner_sdk.sdk_ledger import RIDE, as_answer

GOOD = as_answer({})


def problem(status: int, code: str = "too_busy", retry_after: str = "") -> HttpAnswer:
    told = {"code": code, "detail": "so", "field": "f", "remedy": "r", "request_id": "id"}
    return HttpAnswer(status, {"retry-after": retry_after} if retry_after else {}, json.dumps(told).encode())


def told(answers: Sequence[Answer], retries: Retries = Retries()) -> tuple[list[float], int]:  # noqa: B008
    """The pauses, and how often was sent; raises what the conversation raises."""
    sent, pauses = 0, []

    def make() -> Attempt:
        nonlocal sent
        sent += 1
        return Attempt(HttpRequest("POST", "/", {"try": str(sent)}, b""))

    talk, coming = tried(make, retries), iter(answers)
    step, answer = next(talk), None
    while True:
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            answer = None
        else:
            assert step.headers["try"] == str(sent)
            answer = next(coming)
        try:
            step = talk.send(answer)
        except StopIteration:
            return pauses, sent


@pytest.mark.parametrize("lost", [Lost("reset"), problem(429), problem(503), HttpAnswer(502, {}, b"<html>")])
def test_what_was_not_answered_or_not_now_is_sent_anew(lost: Answer) -> None:
    pauses, sent = told([lost, lost, GOOD])
    assert (len(pauses), sent) == (2, 3)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(401, "signature_wrong"), NotAuthentic),
        (problem(403, "signer_differs"), NotAuthentic),
        (problem(409, "request_replayed"), Refused),
        (problem(413, "rows_over_request_quota"), Refused),
        (problem(422, "body_malformed"), Refused),
        (problem(429, "rows_over_day_quota", "1"), TooBusy),
        (problem(500, "defect"), Refused),
        (problem(503, "not_ready", "3600"), TooBusy),
    ],
)
def test_what_sending_again_cannot_help_is_told_at_once(answer: HttpAnswer, kind: type[Refused]) -> None:
    with pytest.raises(kind) as refused:
        told([answer])
    error = refused.value
    assert (type(error), error.status, error.code) == (kind, answer.status, json.loads(answer.body)["code"])
    assert (error.field, error.remedy, error.request_id, error.message) == ("f", "r", "id", "so")


def test_an_answer_that_is_no_problem_is_still_an_error_of_its_status() -> None:
    for body in (b"<html>", b"[]", b"\xff"):
        with pytest.raises(Refused) as refused:
            told([HttpAnswer(404, {}, body)])
        assert (refused.value.code, refused.value.status) == ("http_404", 404)


def test_the_tries_come_to_an_end_and_the_last_failure_is_told() -> None:
    for answer, kind in ((Lost("reset"), NoAnswer), (problem(503), TooBusy)):
        with pytest.raises(SdkError) as refused:
            told([answer] * 3 + [GOOD], Retries(tries=3))
        assert type(refused.value) is kind


def test_pauses_are_random_grow_and_are_no_shorter_than_the_ledger_wishes() -> None:
    retries = Retries(tries=9, first_s=0.5, most_s=4.0)
    seen = [told([Lost("reset")] * 8 + [GOOD], retries)[0] for _ in range(200)]
    tops = [max(column) for column in zip(*seen, strict=True)]
    for top, bound in zip(tops, (0.5, 1, 2, 4, 4, 4, 4, 4), strict=True):
        assert bound / 2 < top <= bound
    assert len({pauses[0] for pauses in seen}) > 100
    (pause,), _ = told([problem(429, retry_after="7"), GOOD])
    assert 7 <= pause <= 7 + Retries().first_s
    (pause,), _ = told([problem(429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), GOOD])
    assert pause <= Retries().first_s


def test_batches_are_full_and_in_order_and_within_both_limits() -> None:
    rides = [RIDE._replace(source_ref=f"{number}") for number in range(25)]
    made = list(batches(iter(rides), 10, 1_000_000))
    assert [len(batch.items) for batch in made] == [10, 10, 5]
    assert [item for batch in made for item in json.loads(batch.body)["items"]] == [ride._asdict() for ride in rides]
    # To the byte: what two behaviors need is enough for two, and one byte less is not.
    two = len(next(iter(batches(rides[:2], 10, 1_000_000))).body)
    assert [len(batch.items) for batch in batches(rides[:4], 10, two)] == [2, 2]
    assert [len(batch.items) for batch in batches(rides[:4], 10, two - 1)] == [1, 1, 1, 1]
    assert list(batches([], 10, 100)) == []
    with pytest.raises(Misused, match="item_too_large"):
        list(batches([RIDE._replace(source_ref="é" * 4_000_000)], 10, 8_000_000))


def test_a_sealed_batch_of_the_largest_size_stays_within_the_limit_of_what_is_sent() -> None:
    clear = Protocol(sealed=True).max_body_bytes
    members = len('{"to": "", "key": "", "nonce": "", "sealed": ""}') + 32 + 16 + 255
    assert (clear + 16 + 2) // 3 * 4 + members <= 8 * 1024 * 1024
    assert clear > 6_000_000


def test_a_client_that_could_not_work_is_not_made() -> None:
    for changes, code in (
        ({}, "credential_missing"),
        ({"token": "t", "sealed": True}, "key_missing"),
        ({"token": "t", "items_per_request": 0}, "items_malformed"),
        ({"token": "t", "items_per_request": 10_001}, "items_malformed"),
        ({"token": "t", "log_keys": ["x"]}, "public_key_malformed"),
    ):
        with pytest.raises(Misused, match=code):
            PartnerClient("https://ledger.example", **changes)
    for address in ("ledger.example", "ftp://ledger.example", "https://ledger.example/?a=1", "https://"):
        with pytest.raises(Misused, match="address_malformed"):
            PartnerClient(address, token="t")
