"""A partner's list against the log: every row and every credit of the period ends in exactly one class."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application import accounts, partners, reconciling
from application.ports.behavior_source import ParsedRow
from application.reconciling import Found, Reconciled, reconcile
from application.verification import disk_sort
from domain.behavior import Behavior, parse_behavior
from domain.errors import Rejected
from domain.partners import Terms
from domain.screening import screen
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, day_number
from tests.unit.memory_town import MemoryTown

ALWAYS = Period(FIRST_DAY, AFTER_LAST_DAY)
MARCH = Period(day_number("2026-03-01"), day_number("2026-04-01"))


def ride(number: int, account: str = "ann", day: str = "2026-03-10", **fields: str) -> str:
    """A row; ``fields`` by column."""
    columns = {
        "source_ref": f"r{number}",
        "account_ref": account,
        "behavior": "cycling.shared_bike",
        "occurred_at": f"{day}T08:00:00+08:00",
        "quantity": "3.1",
        "unit": "km",
        "region": "CN-440300",
    }
    return ",".join({**columns, **fields}.values())


class Sink:
    def __init__(self) -> None:
        self.found: list[Found] = []

    def put(self, cells: Sequence[object]) -> None:
        assert isinstance(cells, Found)
        self.found.append(cells)


@pytest.fixture
def town(tmp_path: Path) -> MemoryTown:
    return MemoryTown(tmp_path)


def compare(
    town: MemoryTown, *rows: str, partner: str = "metro", period: Period = ALWAYS
) -> tuple[Reconciled, list[Found]]:
    sink = Sink()
    return reconcile(town.book, town.file(*rows, name="list.csv"), partner, period, sink=sink), sink.found


def counts(found: Reconciled) -> dict[str, int]:
    """Only what is not 0; and everything adds up."""
    total = found.all.count
    listed = sum(total[kind] for kind in ("matched", "differs", "refused", "repeated", "missing_in_log"))
    assert found.listed == listed + found.outside
    assert found.booked == total["matched"] + total["differs"] + total["missing_in_list"]
    assert sum((tally.count for tally in found.by_behavior.values()), Counter()) == total
    assert sum((tally.mg for tally in found.by_behavior.values()), Counter()) == +found.all.mg
    assert found.refused_by_code.total() == total["refused"]
    return {kind: count for kind, count in sorted(total.items()) if count}


def test_a_list_of_what_was_sent_equals_the_log_in_counts_and_masses(town: MemoryTown) -> None:
    rows = [ride(number) for number in range(5)]
    result = town.receive(*rows)
    size = town.journal.head().size
    found, told = compare(town, *reversed(rows))
    assert (found.is_equal, counts(found), told) == (True, {"matched": 5}, [])
    assert found.all.mg["matched"] == result.credited_mg
    assert (found.position, town.journal.head().size) == (size, size)


def test_every_kind_of_difference_is_told_with_its_line_its_position_and_its_values(town: MemoryTown) -> None:
    town.receive(ride(1), ride(2), ride(3))
    found, told = compare(
        town,
        ride(1),
        ride(2, quantity="3.2", region="CN"),
        ride(1),
        ride(4),
        ride(5, quantity="-1"),
        ride(6, quantity="1e3"),
    )
    assert not found.is_equal
    assert counts(found) == {
        "differs": 1,
        "matched": 1,
        "missing_in_list": 1,
        "missing_in_log": 1,
        "refused": 2,
        "repeated": 1,
    }
    assert found.refused_by_code == {"quantity_not_positive": 1, "malformed": 1}
    short = [(e.code, e.line, e.position > 0, e.source_ref, e.column, e.listed, e.booked) for e in told]
    assert sorted(short, key=lambda each: (each[1] or 99, each[4])) == [
        ("differs", 3, True, "r2", "quantity", "3.2", "3.100"),
        ("differs", 3, True, "r2", "region", "CN", "CN-440300"),
        ("repeated", 4, False, "r1", "", "", ""),
        ("missing_in_log", 5, False, "r4", "", "", ""),
        ("refused", 6, False, "r5", "quantity", "", ""),
        ("refused", 7, False, "r6", "quantity", "", ""),
        ("missing_in_list", 0, True, "r3", "", "", ""),
    ]
    assert all(each.message for each in told)


def test_only_the_days_of_the_period_are_compared_on_either_side(town: MemoryTown) -> None:
    days = ("2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01")
    town.receive(*(ride(number, day=day) for number, day in enumerate(days, start=1)))
    found, told = compare(town, ride(1, day="2026-02-28"), ride(2, day="2026-03-01"), period=MARCH)
    assert (counts(found), found.outside) == ({"matched": 1, "missing_in_list": 1}, 1)
    assert [each.source_ref for each in told] == ["r3"]


def test_a_row_that_moves_a_behavior_out_of_the_period_or_into_it_differs(town: MemoryTown) -> None:
    town.receive(ride(1, day="2026-03-31"), ride(2, day="2026-04-01"))
    found, told = compare(town, ride(1, day="2026-04-01"), ride(2, day="2026-03-31"), period=MARCH)
    assert (counts(found), found.outside) == ({"differs": 2}, 0)
    assert {each.column for each in told} == {"occurred_at"}


def test_a_row_without_a_day_is_looked_at_whatever_the_period(town: MemoryTown) -> None:
    town.receive(ride(1))
    found, _ = compare(town, ride(1), ride(2, occurred_at="2020-01-01T08:00:00"), period=MARCH)
    assert counts(found) == {"matched": 1, "refused": 1}
    assert found.refused_by_code == {"timestamp_without_offset": 1}


def test_repeated_rows_outside_the_period_are_outside(town: MemoryTown) -> None:
    town.receive(ride(1))
    found, _ = compare(town, ride(1), ride(2, day="2026-01-01"), ride(2, day="2026-01-01"), period=MARCH)
    assert (counts(found), found.outside) == ({"matched": 1}, 2)


def test_the_day_of_a_behavior_that_nobody_values_is_chinas(town: MemoryTown) -> None:
    town.receive(ride(1))
    unknown = {"behavior": "travel.rocket"}
    late = ride(2, occurred_at="2026-03-31T16:00:00Z", **unknown)
    early = ride(3, occurred_at="2026-03-31T15:59:59Z", **unknown)
    found, _ = compare(town, ride(1), late, early, period=MARCH)
    assert (counts(found), found.outside, found.refused_by_code) == (
        {"matched": 1, "refused": 1},
        1,
        {"unknown_behavior": 1},
    )


def test_credits_of_another_partner_are_nobodys_difference(town: MemoryTown) -> None:
    town.receive(ride(1))
    town.receive(ride(2), partner="bikes", name="b.csv")
    assert counts(compare(town, ride(1))[0]) == {"matched": 1}
    found, told = compare(town, ride(1), partner="bikes")
    assert counts(found) == {"missing_in_list": 1, "missing_in_log": 1}
    assert {each.source_ref for each in told} == {"r1", "r2"}


def test_a_partner_that_never_sent_anything_is_refused_as_unknown(town: MemoryTown) -> None:
    town.receive(ride(1))
    with pytest.raises(Rejected) as refused:
        compare(town, ride(1), partner="metor")
    assert (refused.value.code, bool(refused.value.remedy)) == ("partner_unknown", True)


def test_what_was_refused_before_and_is_sent_in_a_list_is_refused_with_its_code(town: MemoryTown) -> None:
    rows = [ride(1), ride(2, quantity="-1"), ride(3, unit="mile"), ride(4, occurred_at="1901-01-01T00:00:00Z")]
    result = town.receive(*rows)
    found, _ = compare(town, *rows)
    assert found.refused_by_code == result.rejected_by_code
    assert counts(found) == {"matched": 1, "refused": 3}


def test_rows_that_a_suspended_partner_lists_are_refused_now_and_what_was_credited_agrees(town: MemoryTown) -> None:
    town.receive(ride(1))
    key = (bytes(64), "alice", bytes(64), lambda *_: True)
    proposed = partners.propose(town.book, "metro", Terms(None, None, None), *key)
    partners.approve(town.book, proposed.event.proposal, "bob")
    assert counts(compare(town, ride(1), ride(2))[0]) == {"matched": 1, "missing_in_log": 1}
    partners.suspend(town.book, "metro", "carol", "odd readings")
    found, _ = compare(town, ride(1), ride(2))
    assert counts(found) == {"matched": 1, "refused": 1}
    assert found.refused_by_code == {"partner_suspended": 1}


def test_a_row_that_no_version_values_and_one_without_a_factor_are_refused(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.receive(ride(1))

    def emptied(rules: Any, partner: str, rows: Any, now_us: int) -> Any:
        if not rows:
            return []
        first, second = screen(rules, partner, rows, now_us)
        first.decision, second.computed = None, None  # type: ignore[union-attr]
        return [first, second]

    monkeypatch.setattr("application.reconciling.screen", emptied)
    found, _ = compare(town, ride(2), ride(3))
    assert found.refused_by_code == {"no_applicable_methodology": 1, "no_factor_for_region": 1}


def test_a_reversed_credit_is_still_the_partners_behavior(town: MemoryTown) -> None:
    town.receive(ride(1))
    accounts.reverse(town.book, "ann", "r1", "olga", "a complaint", "metro")
    found, _ = compare(town, ride(1))
    assert (found.is_equal, found.all.mg["matched"]) == (True, 105028)


def test_what_is_recorded_after_the_comparison_began_is_not_in_it(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.receive(ride(1))
    late, find = ride(2), town.journal.find_refs

    def find_refs(refs: Sequence[bytes]) -> Any:
        monkeypatch.setattr(town.journal, "find_refs", find)
        town.receive(late, name="late.csv")
        return find(refs)

    monkeypatch.setattr(town.journal, "find_refs", find_refs)
    found, _ = compare(town, ride(1), late)
    assert counts(found) == {"matched": 1, "missing_in_log": 1}


def test_the_credit_of_an_erased_person_has_no_reference_to_show(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.receive(ride(1), ride(2))
    find = town.journal.find_refs
    monkeypatch.setattr(
        town.journal, "find_refs", lambda refs: {k: v._replace(personal=None) for k, v in find(refs).items()}
    )
    found, told = compare(town, ride(1))
    assert counts(found) == {"matched": 1, "missing_in_list": 1}
    assert [(each.source_ref, each.code) for each in told] == [("", "missing_in_list")]


def test_a_log_of_many_days_is_read_from_where_the_period_can_have_been_recorded(
    town: MemoryTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.tell("2026-06-01T00:00:00Z")
    town.receive(ride(1, day="2026-05-31"))
    town.tell("2026-06-10T00:00:00Z")
    first = town.journal.head().size
    town.receive(ride(2, day="2026-06-09"), name="b.csv")
    log, asked = town.journal.log, []

    def reading(after: int, *rest: Any, **more: Any) -> Any:
        asked.append(after)
        return log(after, *rest, **more)

    monkeypatch.setattr(town.journal, "log", reading)
    period = Period(day_number("2026-06-09"), AFTER_LAST_DAY)
    found, _ = compare(town, ride(2, day="2026-06-09"), period=period)
    assert counts(found) == {"matched": 1}
    assert asked[-1] == first


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_the_comparison_equals_one_made_with_sets_in_memory(seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        town = MemoryTown(Path(folder))
        days = ["2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01"]
        sent = {n: ride(n, chance.choice("abc"), chance.choice(days)) for n in chance.sample(range(40), 20)}
        town.receive(*sent.values())
        listed = []
        for number in (chance.randrange(50) for _ in range(chance.randint(1, 40))):
            text = sent.get(number) or ride(number, day=chance.choice(days))
            if chance.random() < 0.2:
                text = text.replace("3.1", "3.2")
            listed.append((number, text))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reconciling, "BATCH_ROWS", chance.choice([1, 3, 1_000]))
            patch.setattr(disk_sort.DiskSort.__init__, "__kwdefaults__", {"held": chance.choice([1, 4, 1_000])})
            found, told = compare(town, *(text for _, text in listed), period=MARCH)
    expected: Counter[str] = Counter()
    seen: set[int] = set()
    outside = 0
    for number, text in listed:
        inside = "2026-03" in text
        if number in seen:
            kind = "repeated"
        elif number not in sent:
            kind = "missing_in_log"
        else:
            kind = "matched" if text == sent[number] else "differs"
        seen.add(number)
        if inside:
            expected[kind] += 1
        else:
            outside += 1
    expected["missing_in_list"] = sum("2026-03" in text for number, text in sent.items() if number not in seen)
    assert counts(found) == {kind: count for kind, count in sorted(expected.items()) if count}
    assert found.outside == outside
    assert Counter(each.code for each in told) == Counter({k: v for k, v in expected.items() if k != "matched" and v})


class _Endless:
    """A list of so many rows that nobody has."""

    format, digest, size_bytes, bytes_read = "csv", "", 0, 0

    def __init__(self, count: int) -> None:
        self.count = count

    def blocks(self) -> Iterator[bytes]:
        return iter(())

    def rows(self, batch_rows: int) -> Iterator[list[ParsedRow]]:
        made: Callable[[int], Any] = lambda n: parse_behavior(n + 2, *ride(n + 10).split(","))  # noqa: E731
        for start in range(0, self.count, batch_rows):
            rows = [made(n) for n in range(start, min(start + batch_rows, self.count))]
            assert all(isinstance(row, Behavior) for row in rows)
            yield rows


def test_memory_stays_flat_whatever_the_length_of_the_list(town: MemoryTown, monkeypatch: pytest.MonkeyPatch) -> None:
    town.receive(ride(1))
    monkeypatch.setattr(disk_sort.DiskSort.__init__, "__kwdefaults__", {"held": 2_000})
    peaks = []
    for count in (6_000, 24_000):
        tracemalloc.start()
        found = reconcile(town.book, _Endless(count), "metro", ALWAYS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.all.count["missing_in_log"] == count
    assert peaks[1] < peaks[0] * 1.3 + 200_000
