"""Receivers on PostgreSQL: several on one book, with imports and decisions beside them; nothing is lost or doubled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from application import queries
from application.checking import check
from application.importing import import_behaviors
from application.receiving import Answer, CreditedItem, DuplicateItem, Receiver
from application.replaying import replay
from domain.behavior import Refusal
from domain.events.intake import IntakeClosed
from domain.requests import ReceivedRequest
from infrastructure.behavior_files.request_rows import rows_of_body
from interfaces.bootstrap import Ledger, Settings, behavior_file, open_ledger
from tests.fixtures.people import open_accounts
from tests.simulation.crashing import planned_and_approved, write_behaviors

PEOPLE = [f"p{number}" for number in range(8)]


def send(receiver: Receiver, number: str, items: Sequence[tuple[str, str]]) -> Future[Answer]:
    """A request with an item for each reference and account."""
    rows = [
        {
            "source_ref": ref,
            "account_ref": account,
            "behavior": "cycling.shared_bike",
            "occurred_at": "2025-05-01T08:00:00+08:00",
            "quantity": "1.5",
            "unit": "km",
            "region": "",
        }
        for ref, account in items
    ]
    body = json.dumps({"items": rows})
    request = ReceivedRequest(
        id=number, received_at="2026-06-01T00:00:00Z", by="bike", method="POST", path="/v1/behaviors", body=body
    )
    return receiver.submit("bike", request, rows_of_body(body))


@pytest.fixture
def peopled(ledger: Ledger) -> Ledger:
    open_accounts(ledger.book, PEOPLE)
    return ledger


def test_several_receivers_beside_imports_and_a_revision_lose_and_double_nothing(
    peopled: Ledger, book_settings: Settings, tmp_path: Path
) -> None:
    files = [write_behaviors(tmp_path / f"{seed}.csv", seed, 400, 30) for seed in (1, 2)]

    def drive(name: str) -> list[Answer]:
        with open_ledger(book_settings) as own, Receiver(own.book, own.evidence) as receiver:
            sent = [
                send(receiver, f"{name}/{n}", [(f"{name}/{n}/{m}", PEOPLE[(n + m) % 8]) for m in range(1 + n % 3)])
                for n in range(60)
            ]
            return [each.result() for each in sent]

    def load(file: Path) -> int:
        with open_ledger(book_settings) as own:
            source = behavior_file(file)
            done = import_behaviors(own.book, source, "p", opens_accounts=True, evidence=own.evidence, batch_rows=50)
            return done.credited

    with ThreadPoolExecutor(4) as pool:
        driven, loaded = pool.map(drive, ("a", "b")), pool.map(load, files)
        planned_and_approved(peopled)
        answers, imported = [answer for each in driven for answer in each], sum(loaded)
    items = [item for answer in answers for item in answer.items]
    assert all(isinstance(item, CreditedItem) for item in items)
    assert len({item.position for item in items if isinstance(item, CreditedItem)}) == len(items) == 240
    assert queries.totals(peopled.book, peopled.views).credits == 240 + imported
    assert replay(peopled.book).mismatches == 0


def test_what_a_group_recorded_passes_every_check_of_the_ledger(peopled: Ledger) -> None:
    with Receiver(peopled.book, peopled.evidence) as receiver:
        first = send(receiver, "1", [("r1", "p0"), ("r2", "nobody"), ("r3", "p1")]).result()
        again = send(receiver, "2", [("r1", "p0")]).result()
    assert [type(item) for item in first.items] == [CreditedItem, Refusal, CreditedItem]
    assert again.items == [DuplicateItem(first.items[0])]  # type: ignore[arg-type]
    journal = peopled.book.journal
    closed = [each.event for each in journal.log(0, journal.head().size, [IntakeClosed.TOPIC])]
    assert [(each.read, each.credited, each.duplicates, each.rejected) for each in closed] == [
        (3, 2, 0, 1),
        (1, 0, 1, 0),
    ]
    assert journal.head().size == again.position
    assert check(peopled.auditing, peopled.views, None, peopled.evidence).findings == []
