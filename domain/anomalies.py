"""Anomalies: rides of one account that one person can hardly, or not at all, have made.

Keeps: every assumption stands in one table with its source, or is given by the caller; each ride is suspected at most
once, of the gravest; the order in which rides come is irrelevant. An exact instant is where a ride begins or ends, as
its behavior's sources stamp it; how long it took follows from its distance and a speed, in whole microseconds rounded
down, so that a doubt speaks for the person. Integers only.
Leaves to others: what to do about it. A finding is a question, not a verdict, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Final, NamedTuple

MICROSECONDS: Final = 1_000_000
DAY_SECONDS: Final = 86_400
MICROMETERS_PER_KM: Final = 10**9

CLOCKS_SECONDS: Final = 60
"""Clocks of two gates, buses or phones may differ by so much; what overlaps by less is no finding."""

START: Final = "start"
END: Final = "end"
DAY: Final = "day"

SAME_INSTANT: Final = "same_instant"
IMPOSSIBLE_SPEED: Final = "impossible_speed"
IMPOSSIBLE_DAY: Final = "impossible_day"
OVERLAP: Final = "overlap"
CODES: Final = (SAME_INSTANT, IMPOSSIBLE_SPEED, IMPOSSIBLE_DAY, OVERLAP)
"""From the gravest on."""


class Travel(NamedTuple):
    """What is assumed of a behavior.

    ``stamped``: what its instant is, start or end of a ride, or day: some instant of a day whose rides it sums up.
    ``usual_kmh``: a brisk average from door to door; who needs more to fit two rides in is reported as an overlap.
    ``limit_kmh``: what nobody is faster than on average. 0 = the quantity is no distance: only instants are compared.
    """

    stamped: str
    usual_kmh: int
    limit_kmh: int
    source: str


ASSUMED: Final[Mapping[str, Travel]] = {
    "cycling.shared_bike": Travel(
        START,
        13,
        57,
        "usual: median of members' rides of Capital Bikeshare, 8.3 mph (wiomax.com, grade C); limit: the UCI's hour "
        "record of 2022, 56.792 km (grade B)",
    ),
    "travel.metro": Travel(
        END,
        40,
        120,
        "stamped at the exit gate, where the fare is charged; usual: 35 to 40 km/h in Chinese cities (press, grade C); "
        "limit: top speed of Shenzhen's line 11 (Railway Gazette, 2016-06, grade B)",
    ),
    "travel.bus": Travel(START, 0, 0, "counted by boarding: its distance is not known"),
    "travel.walking": Travel(
        DAY, 7, 7, "100 miles in 24 hours make a Centurion, 6.71 km/h (New Zealand Centurions, grade B)"
    ),
}
"""The behaviors that come with the ledger, if they are rides. What is not here is not examined."""


class Ride(NamedTuple):
    """One unreversed credit. ``position``: in the log; ``day``: its civil day; ``distance_um``: micrometers."""

    position: int
    partner: str
    behavior: str
    day: int
    instant_us: int
    distance_um: int


class Anomaly(NamedTuple):
    """Two rides, the earlier stamped first, that took ``needed_seconds`` at the assumed speed and had ``seconds``.

    For ``impossible_day`` they are the first and the last of the day, and all between is counted.
    """

    code: str
    first: Ride
    second: Ride
    seconds: int
    needed_seconds: int


def distance_um(quantity: int, scale: int, unit: str) -> int:
    """A quantity as a distance; 0 where its unit is none. A part of a micrometer is dropped."""
    if unit != "km":
        return 0
    parts: int = 10**scale
    return quantity * MICROMETERS_PER_KM // parts


def examine(rides: Iterable[Ride], assumed: Mapping[str, Travel] = ASSUMED) -> list[Anomaly]:
    """What is odd about the rides of one account, in the order of the second ride's instant."""
    known = sorted((ride for ride in rides if ride.behavior in assumed), key=_place)
    trips = [ride for ride in known if assumed[ride.behavior].stamped != DAY]
    sums = [ride for ride in known if assumed[ride.behavior].stamped == DAY]
    limits = {behavior: travel.limit_kmh for behavior, travel in assumed.items()}
    usual = {behavior: travel.usual_kmh for behavior, travel in assumed.items()}
    found: dict[int, Anomaly] = {}
    for anomalies in (
        _same_instants(trips, usual, assumed),
        _same_sums(sums),
        _crowded(IMPOSSIBLE_SPEED, trips, limits, assumed),
        _full_days(known, limits),
        _crowded(OVERLAP, trips, usual, assumed),
    ):
        for each in anomalies:
            # The gravest comes first, and stays.
            found.setdefault(each.second.position, each)
    return sorted(found.values(), key=lambda each: _place(each.second))


def _place(ride: Ride) -> tuple[int, int]:
    return ride.instant_us, ride.position


def _took_us(ride: Ride, speeds: Mapping[str, int]) -> int:
    """How long a ride took at least: micrometers / (km/h x 10^9 / 3,600,000,000 us)."""
    speed = speeds[ride.behavior]
    return ride.distance_um * 36 // (speed * 10) if speed else 0


def _needed_us(first: Ride, second: Ride, speeds: Mapping[str, int], assumed: Mapping[str, Travel]) -> int:
    """What must fit between two stamps: a ride that begins with the first, one that ends with the second."""
    needed = _took_us(first, speeds) if assumed[first.behavior].stamped == START else 0
    return needed + (_took_us(second, speeds) if assumed[second.behavior].stamped == END else 0)


def _anomaly(code: str, first: Ride, second: Ride, needed_us: int) -> Anomaly:
    seconds = (second.instant_us - first.instant_us) // MICROSECONDS
    return Anomaly(code, first, second, seconds, needed_us // MICROSECONDS)


def _same_instants(
    trips: Sequence[Ride], speeds: Mapping[str, int], assumed: Mapping[str, Travel]
) -> Iterator[Anomaly]:
    for first, second in pairwise(trips):
        if first.instant_us == second.instant_us:
            yield _anomaly(SAME_INSTANT, first, second, _needed_us(first, second, speeds, assumed))


def _same_sums(sums: Sequence[Ride]) -> Iterator[Anomaly]:
    """The same day summed up twice by the same behavior."""
    for _, group in groupby(sorted(sums, key=lambda ride: (ride.behavior, *_place(ride))), lambda ride: ride.behavior):
        for first, second in pairwise(group):
            if first.instant_us == second.instant_us:
                yield _anomaly(SAME_INSTANT, first, second, 0)


def _crowded(
    code: str, trips: Sequence[Ride], speeds: Mapping[str, int], assumed: Mapping[str, Travel]
) -> Iterator[Anomaly]:
    """Each trip against the one stamped before it that lasted longest."""
    longest: Ride | None = None
    longest_end_us = 0
    for ride in trips:
        travel, took_us = assumed[ride.behavior], _took_us(ride, speeds)
        if longest is not None:
            begins_us = ride.instant_us - (took_us if travel.stamped == END else 0)
            if begins_us + CLOCKS_SECONDS * MICROSECONDS < longest_end_us:
                yield _anomaly(code, longest, ride, _needed_us(longest, ride, speeds, assumed))
        end_us = ride.instant_us + (took_us if travel.stamped == START else 0)
        if longest is None or end_us >= longest_end_us:
            longest, longest_end_us = ride, end_us


def _full_days(rides: Sequence[Ride], limits: Mapping[str, int]) -> Iterator[Anomaly]:
    """Civil days whose rides took more than a day, however they are laid."""
    for _, group in groupby(sorted(rides, key=lambda ride: (ride.day, *_place(ride))), lambda ride: ride.day):
        day = list(group)
        needed_us = sum(_took_us(ride, limits) for ride in day)
        if needed_us > DAY_SECONDS * MICROSECONDS:
            yield Anomaly(IMPOSSIBLE_DAY, day[0], day[-1], DAY_SECONDS, needed_us // MICROSECONDS)
