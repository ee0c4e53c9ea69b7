"""Anomalies of a whole book: whose rides are looked at, what is told of them, and what is left out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from application import accounts, examining
from application.examining import Examined, Odd, examine_book
from domain.anomalies import ASSUMED, START, Travel
from domain.values import Period, day_number
from tests.unit.memory_town import MemoryTown
from tests.unit.test_reconciling import ride


class Sink:
    def __init__(self) -> None:
        self.odd: list[Odd] = []

    def put(self, cells: Sequence[object]) -> None:
        assert isinstance(cells, Odd)
        self.odd.append(cells)


def bike(number: int, account: str = "ann", time: str = "08:00:00", day: str = "2026-03-10", **fields: str) -> str:
    return ride(number, account, occurred_at=f"{day}T{time}+08:00", **fields)


@pytest.fixture
def town(tmp_path: Path) -> MemoryTown:
    return MemoryTown(tmp_path)


def look(town: MemoryTown, **asked: Any) -> tuple[Examined, list[Odd]]:
    sink = Sink()
    return examine_book(town.book, ASSUMED, sink=sink, **asked), sink.odd


def test_odd_rides_are_told_by_account_and_position_and_nothing_is_changed(town: MemoryTown) -> None:
    town.receive(bike(1), bike(2, time="08:01:00"), bike(3, "ben"), bike(4, "ben", time="12:00:00"))
    size, told = town.journal.head().size, list[int]()
    found, odd = look(town, progress=told.append)
    assert (found.accounts, found.odd_accounts, found.rides, found.by_code) == (2, 1, 4, {"impossible_speed": 1})
    (one,) = odd
    first, second = (town.journal.stream(accounts.account_id(town.book, "ann"))[place] for place in (2, 3))
    assert one == Odd(
        "impossible_speed",
        str(first.stream),
        first.position,
        second.position,
        "cycling.shared_bike",
        "cycling.shared_bike",
        "metro",
        "metro",
        "2026-03-10",
        60,
        195,
    )
    assert found.first == odd
    assert (town.journal.head().size, told) == (size, [1, 2])


def test_rides_of_two_people_are_never_held_against_each_other(town: MemoryTown) -> None:
    town.receive(bike(1, "ann"), bike(2, "ben"))
    assert look(town)[1] == []


def test_a_reversed_credit_is_no_ride_any_more(town: MemoryTown) -> None:
    town.receive(bike(1), bike(2))
    assert look(town)[0].by_code == {"same_instant": 1}
    accounts.reverse(town.book, "ann", "r2", "olga", "sent twice", "metro")
    found, odd = look(town)
    assert (odd, found.rides) == ([], 1)


def test_only_what_involves_the_partner_or_the_period_is_told_and_the_other_half_may_be_anybodys(
    town: MemoryTown,
) -> None:
    town.receive(bike(1), bike(2, "ben"), bike(3, "ben"))
    town.receive(bike(4, time="08:00:30"), partner="bikes", name="b.csv")
    assert len(look(town)[1]) == 2
    (one,) = look(town, partner="bikes")[1]
    assert (one.first_partner, one.second_partner) == ("metro", "bikes")
    days = {"2026-03-10": 2, "2026-03-11": 0}
    for day, count in days.items():
        start = day_number(day)
        found, odd = look(town, period=Period(start, start + 1))
        assert (len(odd), found.rides) == (count, 4)


def test_a_pair_is_told_when_one_half_is_of_the_period(town: MemoryTown) -> None:
    town.receive(bike(1, time="23:59:50"), bike(2, time="00:00:10", day="2026-03-11"))
    first = day_number("2026-03-10")
    counts = [len(look(town, partner="metro", period=Period(day, day + 1))[1]) for day in range(first - 1, first + 3)]
    assert counts == [0, 1, 1, 0]


def test_erased_people_and_behaviors_of_which_nothing_is_assumed_are_counted(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill = {"behavior": "living.online_bill", "quantity": "1", "unit": "event"}
    town.receive(bike(1), bike(2), bike(3, **bill), bike(4, **bill))
    found, _ = look(town)
    assert (found.rides, found.other, found.unopened) == (2, 2, 0)
    streams = town.journal.streams

    def erased(*arguments: Any, **more: Any) -> Any:
        for stream, recorded in streams(*arguments, **more):
            yield stream, [each._replace(personal=None) for each in recorded]

    monkeypatch.setattr(town.journal, "streams", erased)
    found, odd = look(town)
    assert (found.rides, found.other, found.unopened, odd) == (0, 2, 2, [])


def test_other_assumptions_find_other_things(town: MemoryTown) -> None:
    town.receive(bike(1), bike(2, time="08:05:00"))
    assert examine_book(town.book, ASSUMED).by_code == {"overlap": 1}
    for usual, limit, codes in ((40, 60, {}), (5, 20, {"impossible_speed": 1})):
        assumed = {"cycling.shared_bike": Travel(START, usual, limit, "a test")}
        assert examine_book(town.book, assumed).by_code == codes


def test_only_the_first_are_kept_and_all_are_counted(town: MemoryTown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "FINDINGS_KEPT", 3)
    town.receive(*(bike(n, f"p{n % 4}") for n in range(12)))
    found, odd = look(town)
    assert (found.by_code["same_instant"], len(odd), len(found.first)) == (8, 8, 3)


def test_memory_is_that_of_one_account_however_many_there_are(town: MemoryTown) -> None:
    peaks = []
    for count in (100, 400):
        town.receive(*(bike(n + count * 10, f"p{n}") for n in range(count)), name=f"{count}.csv")
        tracemalloc.start()
        examine_book(town.book, ASSUMED)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 200_000
