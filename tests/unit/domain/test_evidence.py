"""Evidence: what the log says of the bytes received, and that none of them goes before its time."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from domain.evidence import RETENTION_YEARS, Evidence, destroy, due, evidence_of, first_day
from domain.values import AFTER_LAST_DAY, day_number, day_text
from tests.unit.domain.worlds import PARTNER, World, trip

BEGINNING = "2026-01-01T00:00:00Z"
RECEIVED = day_number("2026-01-01")


def world_with_an_intake() -> tuple[World, Evidence]:
    world = World(BEGINNING)
    world.send(trip("t1"))
    (evidence,) = world.evidence().values()
    return world, evidence


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("2026-01-01", "2031-01-02"),
        ("2026-12-31", "2032-01-01"),
        ("2024-02-28", "2029-03-01"),
        ("2024-02-29", "2029-03-01"),
        ("2027-02-28", "2032-02-29"),
    ],
)
def test_evidence_may_go_on_the_day_after_the_same_date_five_years_later(last: str, first: str) -> None:
    assert day_text(first_day(day_number(last), 0)) == first


@given(st.dates(max_value=date(9994, 12, 31)))
def test_retention_is_never_shorter_than_five_years_and_never_a_day_longer_than_they_can_be(last: date) -> None:
    kept = first_day(last.toordinal(), 0) - last.toordinal() - 1
    assert RETENTION_YEARS * 365 <= kept <= RETENTION_YEARS * 365 + 2


@given(st.dates(max_value=date(9994, 12, 30)), st.integers(0, 36_525))
def test_what_was_received_later_may_never_go_earlier(last: date, retention_days: int) -> None:
    assert first_day(last.toordinal(), retention_days) <= first_day(last.toordinal() + 1, retention_days)


@given(st.dates(max_value=date(9800, 12, 31)), st.integers(0, 36_525))
def test_the_longer_of_five_years_and_the_books_own_period_counts(last: date, retention_days: int) -> None:
    first = first_day(last.toordinal(), retention_days)
    assert first == max(first_day(last.toordinal(), 0), last.toordinal() + retention_days + 1)


def test_evidence_whose_retention_ends_after_the_calendar_never_goes() -> None:
    assert first_day(day_number("9995-01-01"), 0) == AFTER_LAST_DAY
    assert first_day(day_number("9994-01-01"), 36_525) == AFTER_LAST_DAY
    _, evidence = world_with_an_intake()
    with pytest.raises(Rejected, match="never"):
        due([evidence], (), AFTER_LAST_DAY, day_number("9999-12-31"), lambda _: day_number("9995-01-01"), 0)


def test_an_intake_tells_whether_its_bytes_are_kept_and_whose_they_are() -> None:
    _, evidence = world_with_an_intake()
    (intake,) = evidence.intakes
    assert (intake.partner, intake.digest, intake.media) == (PARTNER, evidence.digest, "csv")
    assert (intake.evidence, intake.closed, evidence.is_expected, evidence.is_destroyed) == ("kept", True, True, False)
    assert evidence.size_bytes == intake.size_bytes > 0
    assert evidence.last == intake.last > intake.position
    intake.kept = False
    assert (intake.evidence, evidence.is_expected) == ("elsewhere", False)


def test_an_intake_that_was_never_closed_is_kept_from_its_opening_on() -> None:
    world = World(BEGINNING)
    intake = world.intake()
    (evidence,) = world.evidence().values()
    assert (evidence.last, evidence.intakes[0].closed) == (intake.position, False)


def test_a_stream_whose_opening_was_taken_out_of_the_log_says_nothing_of_evidence() -> None:
    world, evidence = world_with_an_intake()
    (stream,) = evidence.streams
    assert evidence_of([(stream, world.streams[stream][1:])]) == {}


def test_nothing_is_destroyed_before_its_retention_is_over_and_the_day_is_named() -> None:
    world, evidence = world_with_an_intake()
    for today in ("2026-01-02", "2030-12-31", "2031-01-01"):
        with pytest.raises(Rejected) as refused:
            due([evidence], (), day_number("2026-06-01"), day_number(today), world.day_of, 0)
        assert refused.value.code == "evidence_retained"
        assert "1 of 1 files" in refused.value.message
        assert "from 2031-01-02 on" in refused.value.message
        assert refused.value.remedy.endswith("before 2026-01-01")
    allowed = due([evidence], (), day_number("2026-06-01"), day_number("2031-01-02"), world.day_of, 0)
    assert allowed == [evidence]


def test_only_what_ended_before_the_day_named_is_destroyed() -> None:
    world, evidence = world_with_an_intake()
    late = day_number("2040-01-01")
    assert due([evidence], (), RECEIVED, late, world.day_of, 0) == []
    assert due([evidence], (), RECEIVED + 1, late, world.day_of, 0) == [evidence]


def test_what_the_remedy_names_is_never_refused() -> None:
    world = World(BEGINNING)
    for year in (2026, 2028, 2030):
        world.tell(f"{year}-03-04T00:00:00Z")
        world.send(trip(f"t{year}", at=f"{year}-03-03T00:00:00Z"))
    evidence, today = world.evidence().values(), day_number("2034-01-01")
    with pytest.raises(Rejected) as refused:
        due(evidence, (), today, today, world.day_of, 0)
    before = refused.value.remedy[-10:]
    assert "1 of 3 files" in refused.value.message
    assert before == "2030-03-04"
    with pytest.raises(Rejected):
        due(evidence, (), day_number(before) + 1, today, world.day_of, 0)
    assert len(due(evidence, (), day_number("2028-03-05"), day_number("2033-03-05"), world.day_of, 0)) == 2


def test_bytes_that_lie_elsewhere_are_nobodys_to_destroy_unless_the_store_has_them() -> None:
    world, evidence = world_with_an_intake()
    evidence.intakes[0].kept = False
    late = day_number("2040-01-01")
    assert due([evidence], (), late, late, world.day_of, 0) == []
    assert due([evidence], {evidence.digest}, late, late, world.day_of, 0) == [evidence]


def test_destroyed_evidence_is_recorded_in_every_stream_of_its_bytes_and_is_destroyed_once() -> None:
    world, evidence = world_with_an_intake()
    world.tell("2031-01-02T00:00:00Z")
    assert world.expire("2026-06-01") == 1
    assert world.expire("2026-06-01") == 0
    (after,) = world.evidence().values()
    assert (after.is_destroyed, after.is_expected) == (True, False)
    assert [each.evidence for each in after.intakes] == ["destroyed"]
    event = world.log[after.intakes[0].destroyed - 1].recorded.event
    assert (event.digest, event.by, event.reason) == (evidence.digest, "olga", "its retention is over")
    streams = list(evidence.streams)
    twice = Evidence(evidence.digest, [], {streams[0]: 2, world.log[0].recorded.stream: 7})
    assert [(new.stream, new.version) for new in destroy(twice, "olga", "old")] == [
        (streams[0], 3),
        (world.log[0].recorded.stream, 8),
    ]


def test_the_same_bytes_received_again_after_they_were_destroyed_are_expected_again() -> None:
    world, evidence = world_with_an_intake()
    world.tell("2031-01-02T00:00:00Z")
    world.expire("2026-06-01")
    (stream,) = evidence.streams
    opened = world.streams[stream][0].event
    world.append_to(stream, opened)
    (after,) = world.evidence().values()
    assert [each.evidence for each in after.intakes] == ["destroyed", "kept"]
    assert (after.is_expected, after.is_destroyed) == (True, False)
    world.tell("2040-01-02T00:00:00Z")
    first = after.intakes[0].destroyed
    assert world.expire("2039-01-01") == 1
    (last,) = world.evidence().values()
    assert last.intakes[0].destroyed == first
    assert last.intakes[1].destroyed > first


@pytest.mark.parametrize(("by", "reason", "code"), [(" x", "old", "actor_malformed"), ("x", " ", "reason_malformed")])
def test_whoever_destroys_evidence_says_who_and_why(by: str, reason: str, code: str) -> None:
    _, evidence = world_with_an_intake()
    with pytest.raises(Rejected) as refused:
        list(destroy(evidence, by, reason))
    assert refused.value.code == code
