"""The generated book is right: what is measured on it is the work on a real one."""

from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import pairwise

import pytest

from application import revising
from application.fast_replaying import replay_fast
from application.ports.journal import Journal
from application.replaying import ReplayResult, replay
from benchmarks import big_book
from benchmarks.behaviors import CREDITS_EACH
from benchmarks.big_book import generate
from domain.events.account import BehaviorCredited
from domain.events.base import Recorded
from domain.values import day_number
from interfaces.bootstrap import Ledger

_CREDITS = 3_000


@pytest.fixture
def book_of_a_template_and_a_half(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """150 people of a template of 100, in several appends."""
    monkeypatch.setattr(big_book, "PEOPLE", 100)
    assert generate(ledger.book, _CREDITS, batch_rows=400) == _CREDITS // CREDITS_EACH
    return ledger


def _credits(journal: Journal) -> list[Recorded]:
    return list(journal.log(0, journal.head().size, (BehaviorCredited.TOPIC,), personal=True))


def _told(result: ReplayResult) -> tuple[int, int, str, int]:
    return result.credits, result.mismatches, result.digest, result.accounts


def test_the_law_finds_nothing_wrong_in_a_generated_book_and_the_fast_kernel_agrees(
    book_of_a_template_and_a_half: Ledger,
) -> None:
    ledger = book_of_a_template_and_a_half
    result = replay(ledger.book)
    assert (result.details, result.credits, result.accounts) == ([], _CREDITS, _CREDITS // CREDITS_EACH)
    fast = replay_fast(ledger.book, ledger.archive, ledger.kernels)
    assert _told(fast) == _told(result)
    assert fast.by_reference == 0

    run = revising.plan(ledger.book, "CYCLING-SHARED@2", "2024-01-01", "2025-01-01", "alice")
    revising.approve(ledger.book, run.revision_id, "bob")
    assert revising.apply(ledger.book, run.revision_id).credits > 0
    revised = replay(ledger.book)
    assert (revised.details, revised.revisions) == ([], 1)
    assert _told(replay_fast(ledger.book, ledger.archive, ledger.kernels)) == _told(revised)


def test_a_generated_book_gives_caps_ties_late_rows_and_many_regions_to_work_on(
    book_of_a_template_and_a_half: Ledger,
) -> None:
    journal = book_of_a_template_and_a_half.book.journal
    found = [each.event for each in _credits(journal)]
    cut = Counter(event.behavior for event in found if event.credited_mg != event.computed_mg)
    assert {"travel.bus", "travel.metro", "travel.walking", "cycling.shared_bike"} <= cut.keys()
    assert len({event.behavior for event in found}) == 6
    assert len({event.region for event in found}) == 6
    rides = [int(event.quantity) for event in found if event.behavior == "cycling.shared_bike"]
    assert any(quantity * 487 % 10 == 5 for quantity in rides), "no value half way between two milligrams"
    months = [date.fromordinal(day_number(event.day)).month for event in found]
    assert any(later < earlier for earlier, later in pairwise(months)), "no row came late"


def test_the_rows_of_an_account_lie_far_apart_and_no_two_credits_share_a_line(
    book_of_a_template_and_a_half: Ledger,
) -> None:
    credits = _credits(book_of_a_template_and_a_half.book.journal)
    assert len({each.event.line for each in credits}) == _CREDITS
    assert len({each.personal.source_ref for each in credits}) == _CREDITS
    positions: dict[object, list[int]] = {}
    for each in credits:
        positions.setdefault(each.stream, []).append(each.position)
    assert {len(found) for found in positions.values()} == {CREDITS_EACH}
    spread_out = [max(found) - min(found) > _CREDITS // 2 for found in positions.values()]
    assert sum(spread_out) > len(spread_out) * 0.8


def test_a_book_holds_whole_people_only(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="multiple of 20"):
        generate(ledger.book, CREDITS_EACH + 1)
