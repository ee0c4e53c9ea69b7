"""Requests that wait together are one intake, one document of evidence and one commit; each has its own answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from application import accounts, evidence
from application.crediting import Crediting
from application.ports.journal import Append, Appended, LogMoved
from application.receiving import Answer, CreditedItem, DuplicateItem, Receiver
from application.replaying import replay
from domain.behavior import Refusal
from domain.errors import LedgerError, Rejected, Unavailable
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.instants import instant_text
from domain.partners import Partners, Standing, Terms
from domain.requests import ReceivedRequest, Signed, document, request_of
from domain.values import CIVIL_OFFSET_MINUTES, day_number, day_start_us
from infrastructure.behavior_files.request_rows import rows_of_body
from tests.fixtures.people import open_accounts
from tests.unit.memory_town import MemoryTown

AT = "2026-05-01T08:00:00+08:00"


def item(ref: str, account: str = "ann", quantity: str = "1", **changes: Any) -> dict[str, Any]:
    return {
        "source_ref": ref,
        "account_ref": account,
        "behavior": "travel.bus",
        "occurred_at": AT,
        "quantity": quantity,
        "unit": "trip",
        "region": "",
    } | changes


class Service:
    """A town with a receiver whose recording can be held, so that requests gather."""

    def __init__(self, town: MemoryTown, receiver: Receiver) -> None:
        self.town, self.receiver, self.sent = town, receiver, 0

    def send(self, *items: dict[str, Any], partner: str = "metro", key: str = "") -> Future[Answer]:
        self.sent += 1
        body = json.dumps({"items": items} if len(items) > 1 else items[0])
        request = ReceivedRequest(
            id=f"r{self.sent}",
            received_at="2026-06-01T00:00:00Z",
            by=partner,
            method="POST",
            path="/v1/b",
            body=body,
            signed=Signed(key=key, timestamp="", nonce="", signature="") if key else None,
        )
        return self.receiver.submit(partner, request, rows_of_body(body))

    def events(self, *kinds: type[Any]) -> list[Any]:
        journal = self.town.journal
        return [each for each in journal.log(0, journal.head().size) if isinstance(each.event, kinds)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is recorded until the block ends."""
        with self.town.journal._turn:
            yield


@pytest.fixture
def town(tmp_path: Path) -> MemoryTown:
    town = MemoryTown(tmp_path)
    open_accounts(town.book, ("ann", "bob"))
    return town


@pytest.fixture
def service(town: MemoryTown) -> Iterator[Service]:
    with Receiver(town.book, town.store, group_rows=10, waiting_rows=30) as receiver:
        yield Service(town, receiver)


def test_a_request_is_answered_with_the_position_of_its_credit(service: Service) -> None:
    answer = service.send(item("b1")).result()
    (credited,) = answer.items
    assert isinstance(credited, CreditedItem)
    (recorded,) = service.town.journal.log(credited.position - 1, credited.position)
    assert (str(recorded.stream), recorded.version) == (credited.account, credited.version)
    assert (recorded.event.intake, recorded.event.line) == (answer.intake, answer.line)
    assert recorded.event.credited_mg == str(credited.credited_mg)


def test_requests_that_wait_together_are_one_intake_and_one_commit(service: Service) -> None:
    with service.held():
        first = service.send(item("b0"))
        answers = [service.send(item(f"b{n}"), item(f"c{n}", "bob")) for n in range(1, 4)]
    recorded = [first.result(), *(each.result() for each in answers)]
    assert len({answer.intake for answer in recorded}) <= 2  # the first may have been alone
    together = [answer for answer in recorded if answer.intake == recorded[-1].intake]
    assert [answer.line for answer in together[-3:]] == [together[-3].line + 2 * n for n in range(3)]
    opened, closed = service.events(IntakeOpened)[-1], service.events(IntakeClosed)[-1]
    assert closed.event.read == closed.event.credited == sum(len(answer.items) for answer in together)
    assert closed.position == opened.position + closed.event.read + 1 == recorded[-1].position
    assert replay(service.town.book).mismatches == 0


def test_the_requests_of_a_group_are_its_evidence_and_are_read_as_the_same_rows(service: Service) -> None:
    with service.held():
        service.send(item("b0"))
        sent = [service.send(item("b1"), item("b2", quantity="1e3")), service.send(item("b3"))]
    answers = [each.result() for each in sent]
    assert evidence.verify(service.town.book, service.town.store).findings == []
    for answer in answers:
        content = service.town.store.held[answer.digest]
        assert document([request_of(line) for line in content.splitlines()]) == content
        intake, _ = evidence.find(service.town.book, answer.intake)
        for line, told in enumerate(answer.items, answer.line):
            shown = evidence.line(service.town.book, service.town.store, intake, line)
            if isinstance(told, Refusal):
                assert shown.row.refusal == told  # type: ignore[union-attr]
            else:
                assert shown.credit is not None


def test_each_item_stands_alone_and_a_bad_one_harms_nobody(service: Service) -> None:
    answer = service.send(item("b1"), item("b2", quantity="1e3"), item("b3", "nobody"), item("b4")).result()
    told = [each.code if isinstance(each, Refusal) else "credited" for each in answer.items]
    assert told == ["credited", "malformed", "account_unknown", "credited"]


def test_what_is_sent_again_is_answered_with_what_it_became_the_first_time(service: Service) -> None:
    first = service.send(item("b1")).result().items[0]
    assert service.send(item("b1")).result().items == [DuplicateItem(first)]  # type: ignore[arg-type]
    twice = service.send(item("b2"), item("b2"), item("b2", quantity="2")).result().items
    assert twice[1] == DuplicateItem(twice[0])  # type: ignore[arg-type]
    assert isinstance(twice[2], Refusal)
    assert twice[2].code == "conflicting_duplicate"


def test_partners_have_intakes_of_their_own_and_keep_their_order(service: Service) -> None:
    with service.held():
        sent = [service.send(item(f"b{n}"), partner=("metro", "bus")[n % 2]) for n in range(8)]
    answers = [each.result() for each in sent]
    for partner, mine in (("metro", answers[::2]), ("bus", answers[1::2])):
        assert {service.town.journal._rows[answer.intake - 1].topic for answer in mine} == {IntakeOpened.TOPIC}
        places = [(answer.intake, answer.line) for answer in mine]
        assert places == sorted(places)
        opened = [each.event.partner for each in service.events(IntakeOpened) if each.position in dict(places)]
        assert set(opened) == {partner}


def test_who_comes_when_too_many_rows_wait_is_sent_away_and_nothing_of_his_is_kept(service: Service) -> None:
    with service.held():
        accepted = [service.send(item("a0"))]
        while service.receiver.waiting_rows:
            pass  # until the first is being recorded
        accepted += [service.send(*(item(f"{n}/{m}") for m in range(10))) for n in range(3)]
        with pytest.raises(Unavailable) as sent_away:
            service.send(item("late"))
    assert (sent_away.value.code, bool(sent_away.value.remedy)) == ("too_busy", True)
    assert sum(len(each.result().items) for each in accepted) == 31
    assert all("late" not in content.decode() for content in service.town.store.held.values())


def test_the_end_answers_what_was_accepted_and_accepts_nothing_more(town: MemoryTown) -> None:
    with Receiver(town.book, town.store) as receiver:
        service = Service(town, receiver)
        answers = [service.send(item(f"b{n}")) for n in range(50)]
    assert all(each.done() for each in answers)
    assert len({each.result().items[0].position for each in answers}) == 50  # type: ignore[union-attr]
    with pytest.raises(Unavailable) as refused:
        service.send(item("late"))
    assert refused.value.code == "stopping"


def test_a_failure_is_told_to_everybody_who_waits_and_sending_again_settles_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = service.town.journal.append

    def lost(batch: Append) -> Appended:
        append(batch)
        raise Unavailable("server_lost", "the connection went down", remedy="try again")

    monkeypatch.setattr(service.town.journal, "append", lost)
    with pytest.raises(Unavailable):
        service.send(item("b1")).result()
    monkeypatch.undo()
    (again,) = service.send(item("b1")).result().items
    assert isinstance(again, DuplicateItem)
    assert service.send(item("b2")).result().items[0].version == again.first.version + 1  # type: ignore[union-attr]
    assert replay(service.town.book).mismatches == 0


def test_whoever_loses_the_race_for_a_position_decides_again(
    service: Service, town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = town.journal.append
    lost: list[int] = []

    def overtaken(batch: Append) -> Appended:
        if batch.at_size is not None and not lost:
            lost.append(batch.at_size)
            accounts.open_account(town.book, "carl")
            with pytest.raises(LogMoved):
                append(batch)
            raise LogMoved("overtaken")
        return append(batch)

    monkeypatch.setattr(town.journal, "append", overtaken)
    answer = service.send(item("b1")).result()
    assert answer.intake == lost[0] + 2
    assert replay(town.book).mismatches == 0


def test_two_receivers_and_an_import_on_one_book_lose_nothing(town: MemoryTown) -> None:
    with Receiver(town.book, town.store) as one, Receiver(town.book, town.store) as other:
        services = [Service(town, one), Service(town, other)]
        sent: list[Future[Answer]] = []

        def drive(service: Service, name: str) -> None:
            sent.extend(service.send(item(f"{name}/{n}", ("ann", "bob")[n % 2])) for n in range(100))

        threads = [threading.Thread(target=drive, args=(each, str(n))) for n, each in enumerate(services)]
        for thread in threads:
            thread.start()
        imported = town.receive(*(f"i{n},cat,travel.bus,{AT},1,trip," for n in range(300)))
        for thread in threads:
            thread.join()
    positions = [each.result().items[0].position for each in sent]  # type: ignore[union-attr]
    assert (len(set(positions)), imported.credited) == (200, 300)
    assert replay(town.book).mismatches == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("", "body_malformed"),
        ("[]", "body_malformed"),
        ('{"items":{}}', "body_malformed"),
        ('{"items":[],"more":1}', "body_malformed"),
        ('{"items":[]}', "batch_empty"),
        ('{"items":[NaN]}', "body_malformed"),
        ("[" * 100_000, "body_malformed"),
        (json.dumps({"items": [1] * 10_001}), "batch_too_long"),
    ],
)
def test_a_body_that_is_no_behavior_and_no_batch_is_refused_as_a_whole(body: str, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        rows_of_body(body)
    assert (refused.value.code, bool(refused.value.remedy)) == (code, True)


def test_an_item_that_is_no_object_is_refused_alone() -> None:
    rows = rows_of_body('{"items":[5,{"source_ref":"a","source_ref":"b"},{"quantity":1.5},null]}')
    assert [row.refusal.code for row in rows] == ["malformed"] * 4  # type: ignore[union-attr]


def test_a_document_that_was_changed_is_refused_by_its_reader() -> None:
    for line in (b"", b"{}", b'{"id":1}', b"\xff"):
        with pytest.raises(LedgerError) as refused:
            request_of(line)
        assert refused.value.code == "request_malformed"


def test_crediting_a_whole_intake_leaves_no_open_one_behind(town: MemoryTown) -> None:
    opened = IntakeOpened(
        partner="metro", digest="0" * 64, size_bytes=1, media="requests", received_at="2026-06-01T00:00:00Z",
        evidence="elsewhere",
    )  # fmt: skip
    done = Crediting(town.book).credit_whole(opened, rows_of_body(json.dumps(item("b1", "nobody"))))  # type: ignore[arg-type]
    assert (done.positions, done.last - done.intake) == ([0], 1)
    again = Crediting(town.book).credit_whole(opened, rows_of_body(json.dumps(item("b1"))))  # type: ignore[arg-type]
    assert [bool(position) for position in again.positions] == [True]
    assert replay(town.book).mismatches == 0


def test_a_key_that_is_revoked_while_its_request_waits_ends_it_and_nobody_elses(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: set[str] = {"a" * 32}
    monkeypatch.setattr(Partners, "key_at", lambda self, name, key, position: None if key in ended else object())
    size = service.town.journal.head().size
    with service.held():
        service.send(item("b0"))
        told = [service.send(item(f"b{n}"), key=key) for n, key in enumerate(("a" * 32, "b" * 32, ""), 1)]
    with pytest.raises(Rejected, match="partner_key_revoked"):
        told[0].result()
    assert [len(each.result().items) for each in told[1:]] == [1, 1]
    assert service.town.journal.head().size > size
    with pytest.raises(Rejected, match="partner_key_revoked"):
        service.send(item("b9"), key="a" * 32).result()
    credited = {answer.items[0] for answer in (each.result() for each in told[1:])}
    assert len(credited) == 2
    assert replay(service.town.book).mismatches == 0


def quota(monkeypatch: pytest.MonkeyPatch, rows: int | None) -> None:
    """The terms of everybody, from now on."""
    monkeypatch.setattr(Partners, "standing", lambda *_: Standing(0, Terms(None, rows, None)))


def outcome(sent: Future[Answer]) -> object:
    """What became of a request: a kind for each item, or the code that refuses it whole."""
    try:
        return [type(each).__name__ for each in sent.result().items]
    except LedgerError as refused:
        return refused.code


def test_a_day_has_room_for_as_many_credits_as_its_quota_in_a_group_or_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota(monkeypatch, 5)
    with service.held():
        sent = [service.send(item("a1"), item("a2"), item("a3", quantity="1e3"))]
        sent += [service.send(item("b1"), item("b2"), item("b3"), item("b4")), service.send(item("c1"), item("c2"))]
        sent += [service.send(item("b1"), item("d1")), service.send(item("c1"))]
    told = [outcome(each) for each in sent]
    assert told == [
        ["CreditedItem", "CreditedItem", "Refusal"],
        "rows_over_day_quota",
        ["CreditedItem", "CreditedItem"],
        "rows_over_day_quota",
        ["DuplicateItem"],
    ]
    assert outcome(service.send(item("d1"))) == ["CreditedItem"]
    size = service.town.journal.head().size
    with pytest.raises(Rejected, match="0 are left until midnight") as full:
        service.send(item("e1")).result()
    assert (full.value.field, service.town.journal.head().size) == ("items", size)
    assert "send it again from " in full.value.remedy
    assert outcome(service.send(item("a1"), item("d1"), item("e2", "nobody"))) == [
        "DuplicateItem", "DuplicateItem", "Refusal"
    ]  # fmt: skip
    assert replay(service.town.book).mismatches == 0


def test_a_new_day_at_plus_eight_has_room_again_and_a_refusal_says_when_it_begins(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota(monkeypatch, 1)
    clock = service.town.journal
    midnight_us = day_start_us(day_number("2026-06-10"), CIVIL_OFFSET_MINUTES)
    assert instant_text(midnight_us) == "2026-06-09T16:00:00Z"
    clock.clock = lambda: midnight_us - 1
    assert outcome(service.send(item("a"))) == ["CreditedItem"]
    with pytest.raises(Rejected) as full:
        service.send(item("b")).result()
    assert (full.value.code, full.value.after_s) == ("rows_over_day_quota", 1)
    assert "from 2026-06-10 at +08:00" in full.value.remedy
    clock.clock = lambda: midnight_us
    assert outcome(service.send(item("b"))) == ["CreditedItem"]
    with pytest.raises(Rejected) as full:
        service.send(item("c")).result()
    assert full.value.after_s == 86_400


def test_a_quota_that_comes_later_in_the_day_holds_for_all_of_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota(monkeypatch, None)
    assert outcome(service.send(item("a"), item("b"))) == ["CreditedItem", "CreditedItem"]
    quota(monkeypatch, 2)
    assert outcome(service.send(item("c"))) == "rows_over_day_quota"
