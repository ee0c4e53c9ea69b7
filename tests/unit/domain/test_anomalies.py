"""What is odd about the rides of one account: each rule by itself, and laws over any rides."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.anomalies import (
    ASSUMED,
    CLOCKS_SECONDS,
    CODES,
    DAY,
    DAY_SECONDS,
    END,
    IMPOSSIBLE_DAY,
    IMPOSSIBLE_SPEED,
    OVERLAP,
    SAME_INSTANT,
    START,
    Anomaly,
    Ride,
    Travel,
    distance_um,
    examine,
)

KM = 10**9
SECOND = 1_000_000
BIKE, METRO, BUS, WALK = "cycling.shared_bike", "travel.metro", "travel.bus", "travel.walking"
ROUND = {
    BIKE: Travel(START, 10, 30, ""),
    METRO: Travel(END, 30, 90, ""),
    BUS: Travel(START, 0, 0, ""),
    WALK: Travel(DAY, 5, 5, ""),
}
"""Speeds that make round numbers: 1 km by bike takes 360 s usually, 120 s at least."""


def ride(position: int, second: int, km: int = 1, behavior: str = BIKE, day: int = 1) -> Ride:
    return Ride(position, "p", behavior, day, second * SECOND, km * KM)


def found(*rides: Ride) -> list[tuple[str, int, int, int, int]]:
    return [_short(each) for each in examine(rides, ROUND)]


def _short(each: Anomaly) -> tuple[str, int, int, int, int]:
    return each.code, each.first.position, each.second.position, each.seconds, each.needed_seconds


def test_rides_one_after_the_other_are_as_they_should_be() -> None:
    assert found(ride(1, 0), ride(2, 360), ride(3, 720), ride(4, 5_000, behavior=METRO)) == []
    assert found() == []
    assert found(ride(1, 0, 40)) == []


def test_a_ride_that_begins_before_the_one_before_it_usually_ends_overlaps_it() -> None:
    assert found(ride(1, 0), ride(2, 200)) == [(OVERLAP, 1, 2, 200, 360)]


def test_clocks_may_differ_by_a_minute() -> None:
    assert found(ride(1, 0), ride(2, 360 - CLOCKS_SECONDS)) == []
    assert found(ride(1, 0), ride(2, 359 - CLOCKS_SECONDS)) == [(OVERLAP, 1, 2, 299, 360)]


def test_a_ride_that_nobody_can_have_ended_before_the_next_began_is_impossible() -> None:
    assert found(ride(1, 0), ride(2, 59)) == [(IMPOSSIBLE_SPEED, 1, 2, 59, 120)]
    assert found(ride(1, 0), ride(2, 60)) == [(OVERLAP, 1, 2, 60, 360)]


def test_two_rides_stamped_at_one_instant_are_found_whatever_their_distance() -> None:
    assert found(ride(1, 0), ride(2, 0)) == [(SAME_INSTANT, 1, 2, 0, 360)]
    assert found(ride(1, 0, 0, BUS), ride(2, 0, 0, BUS), ride(3, 0, 0, METRO)) == [
        (SAME_INSTANT, 1, 2, 0, 0),
        (SAME_INSTANT, 2, 3, 0, 0),
    ]


def test_a_ride_stamped_at_its_end_must_fit_in_before_its_stamp() -> None:
    # 3 km by metro take 360 s usually and 120 s at least.
    assert found(ride(1, 0, 0, BUS), ride(2, 360, 3, METRO)) == []
    assert found(ride(1, 0, 0, BUS), ride(2, 200, 3, METRO)) == [(OVERLAP, 1, 2, 200, 360)]
    assert found(ride(1, 0, 0, BUS), ride(2, 30, 3, METRO)) == [(IMPOSSIBLE_SPEED, 1, 2, 30, 120)]
    assert found(ride(1, 0, 1), ride(2, 500, 3, METRO)) == [(OVERLAP, 1, 2, 500, 720)]
    assert found(ride(1, 0, 3, METRO), ride(2, 1, 1)) == []


def test_a_long_ride_is_held_against_every_ride_that_begins_within_it() -> None:
    assert found(ride(1, 0, 10), ride(2, 700), ride(3, 1_500)) == [
        (IMPOSSIBLE_SPEED, 1, 2, 700, 1_200),
        (OVERLAP, 1, 3, 1_500, 3_600),
    ]


def test_a_day_summed_up_twice_is_found_and_no_ride_is_held_against_its_stamp() -> None:
    end = DAY_SECONDS - 1
    assert found(ride(1, end, 8, WALK), ride(2, end, 1)) == []
    assert found(ride(1, end, 8, WALK), ride(2, end, 8, WALK)) == [(SAME_INSTANT, 1, 2, 0, 0)]


def test_more_than_fits_into_a_day_at_any_speed_is_found_once() -> None:
    # At 5 km/h a day has 120 km.
    assert found(ride(1, 0, 60, WALK), ride(2, 9, 60, WALK)) == []
    assert found(ride(1, 0, 60, WALK), ride(2, 9, 61, WALK), ride(3, 99, 1, WALK, day=2)) == [
        (IMPOSSIBLE_DAY, 1, 2, DAY_SECONDS, 87_120)
    ]


def test_the_gravest_finding_of_a_ride_is_the_one_that_is_told() -> None:
    assert [each[0] for each in found(ride(1, 0), ride(2, 10), ride(3, 10))] == [IMPOSSIBLE_SPEED, SAME_INSTANT]
    assert CODES == (SAME_INSTANT, IMPOSSIBLE_SPEED, IMPOSSIBLE_DAY, OVERLAP)


def test_behaviors_that_nothing_is_assumed_of_are_not_examined() -> None:
    assert found(ride(1, 0, behavior="living.online_bill"), ride(2, 0, behavior="living.online_bill")) == []


def test_every_assumption_of_the_ledger_has_a_source_and_a_limit_that_is_not_below_what_is_usual() -> None:
    for behavior, travel in ASSUMED.items():
        assert travel.stamped in (START, END, DAY), behavior
        assert 0 <= travel.usual_kmh <= travel.limit_kmh, behavior
        assert len(travel.source) > 20, behavior
    assert [each.code for each in examine([ride(1, 0, 0, BUS), ride(2, 0, 0, BUS)])] == [SAME_INSTANT]


@pytest.mark.parametrize(
    ("quantity", "scale", "unit", "expected"),
    [(12_350, 3, "km", 12_350_000_000), (1, 0, "km", KM), (19, 10, "km", 1), (5, 0, "trip", 0), (7, 0, "kWh", 0)],
)
def test_only_kilometers_are_a_distance(quantity: int, scale: int, unit: str, expected: int) -> None:
    assert distance_um(quantity, scale, unit) == expected


any_rides = st.lists(
    st.tuples(st.integers(0, 4_000), st.integers(0, 12), st.sampled_from([BIKE, METRO, BUS, WALK]), st.integers(1, 2)),
    max_size=14,
).map(lambda rows: [ride(n, second, km, kind, day) for n, (second, km, kind, day) in enumerate(rows, start=1)])


@given(any_rides, st.integers(0, 2**32))
def test_the_order_in_which_rides_come_is_irrelevant(rides: list[Ride], seed: int) -> None:
    shuffled = list(rides)
    random.Random(seed).shuffle(shuffled)
    assert examine(shuffled, ROUND) == examine(rides, ROUND)


@given(any_rides, st.integers(-(10**6), 10**6))
def test_only_the_time_between_rides_counts(rides: list[Ride], shift: int) -> None:
    moved = [each._replace(instant_us=each.instant_us + shift * SECOND) for each in rides]
    assert [_short(each) for each in examine(moved, ROUND)] == [_short(each) for each in examine(rides, ROUND)]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([BIKE, METRO, BUS]), st.integers(0, 900)), max_size=12))
def test_rides_that_leave_each_other_the_usual_time_are_never_suspected(legs: list[tuple[int, str, int]]) -> None:
    now, rides = 0, []
    for number, (km, behavior, pause) in enumerate(legs, start=1):
        travel = ROUND[behavior]
        took = km * 3_600 // travel.usual_kmh if travel.usual_kmh else 0
        # A second at least: two stamps at one instant are odd by themselves.
        begins, ends = now + 1, now + 1 + took
        rides.append(ride(number, ends if travel.stamped == END else begins, km, behavior, day=begins // DAY_SECONDS))
        now = ends + pause
    assert examine(rides, ROUND) == []


@given(any_rides)
def test_each_ride_is_suspected_exactly_when_some_ride_stamped_before_it_is_in_its_way(rides: list[Ride]) -> None:
    told = {each.second.position: each.code for each in examine(rides, ROUND) if each.code != IMPOSSIBLE_DAY}
    expected = {}
    trips = sorted((r for r in rides if r.behavior != WALK), key=lambda r: (r.instant_us, r.position))
    for place, one in enumerate(trips):
        before = trips[:place]
        if any(other.instant_us == one.instant_us for other in before):
            expected[one.position] = SAME_INSTANT
        elif any(_in_the_way(other, one, limit=True) for other in before):
            expected[one.position] = IMPOSSIBLE_SPEED
        elif any(_in_the_way(other, one, limit=False) for other in before):
            expected[one.position] = OVERLAP
    walks = [r for r in rides if r.behavior == WALK]
    for one in walks:
        if any((r.instant_us, r.position < one.position) == (one.instant_us, True) for r in walks):
            expected[one.position] = SAME_INSTANT
    assert told == expected


def _in_the_way(first: Ride, second: Ride, *, limit: bool) -> bool:
    """By hand, in exact seconds times the speed."""

    def span(ride: Ride) -> tuple[int, int]:
        travel = ROUND[ride.behavior]
        speed = travel.limit_kmh if limit else travel.usual_kmh
        took = ride.distance_um * 3_600 // KM * SECOND // speed if speed else 0
        return (
            (ride.instant_us - took, ride.instant_us)
            if travel.stamped == END
            else (
                ride.instant_us,
                ride.instant_us + took,
            )
        )

    return span(second)[0] + CLOCKS_SECONDS * SECOND < span(first)[1]


@given(any_rides, st.integers(2, 5))
def test_whoever_is_assumed_faster_is_suspected_less(rides: list[Ride], factor: int) -> None:
    faster = {
        behavior: travel._replace(usual_kmh=travel.usual_kmh * factor, limit_kmh=travel.limit_kmh * factor)
        for behavior, travel in ROUND.items()
    }
    assert {each.second.position for each in _without_days(examine(rides, faster))} <= {
        each.second.position for each in _without_days(examine(rides, ROUND))
    }


def _without_days(anomalies: Sequence[Anomaly]) -> list[Anomaly]:
    return [each for each in anomalies if each.code != IMPOSSIBLE_DAY]
