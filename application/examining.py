"""Anomalies of the whole book, account by account, from the exact instants that each account's key opens.

Keeps: nothing is changed and nobody is judged; a reversed credit is no ride any more; whose key is gone has no instants
and is counted. Memory is that of one account.
Leaves to ``domain.anomalies``: what is odd.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from uuid import UUID

from application.book import Book
from domain.anomalies import Anomaly, Ride, Travel, distance_um, examine
from domain.events.account import BehaviorCredited, BehaviorReversed
from domain.events.base import Recorded
from domain.instants import instant_of
from domain.values import Period, day_number, day_text, integer_of

FINDINGS_KEPT = 1_000


class Odd(NamedTuple):
    """An anomaly as it is told: no name, no reference, no instant; positions lead to them for whoever may see them."""

    code: str
    account_id: str
    first_position: int
    second_position: int
    first_behavior: str
    second_behavior: str
    first_partner: str
    second_partner: str
    day: str
    seconds: int
    needed_seconds: int


class OddSink(Protocol):
    """Takes anomalies."""

    def put(self, cells: Sequence[object]) -> None:
        """Keep one, as ``Odd``."""


@dataclass
class Examined:
    """``rides``: credits examined. ``other``: of behaviors that nothing is assumed of. ``unopened``: of the erased."""

    position: int
    accounts: int = 0
    rides: int = 0
    other: int = 0
    unopened: int = 0
    odd_accounts: int = 0
    by_code: Counter[str] = field(default_factory=Counter)
    first: list[Odd] = field(default_factory=list)
    seconds: float = 0


def examine_book(
    book: Book,
    assumed: Mapping[str, Travel],
    *,
    partner: str | None = None,
    period: Period | None = None,
    sink: OddSink | None = None,
    progress: Callable[[int], None] | None = None,
) -> Examined:
    """Every account with a credit. ``partner``, ``period``: only what involves a ride of this partner, of these days.

    Rides of others, and of other days, are looked at all the same: one of them may be the other half.
    """
    started, size = time.monotonic(), book.journal.head().size
    result = Examined(size)
    topics = (BehaviorCredited.TOPIC, BehaviorReversed.TOPIC)
    for account, recorded in book.journal.streams(topics, size, personal=True):
        result.accounts += 1
        found = examine(_rides(recorded, assumed, result), assumed)
        told = [_odd(account, each) for each in found if _involves(each, partner, period)]
        result.odd_accounts += bool(told)
        for odd in told:
            result.by_code[odd.code] += 1
            if sink is not None:
                sink.put(odd)
        result.first += told[: FINDINGS_KEPT - len(result.first)]
        if progress is not None:
            progress(result.accounts)
    result.seconds = time.monotonic() - started
    return result


def _rides(recorded: Sequence[Recorded], assumed: Mapping[str, Travel], result: Examined) -> list[Ride]:
    reversed_ = {each.event.credit for each in recorded if isinstance(each.event, BehaviorReversed)}
    rides = []
    for each in recorded:
        event = each.event
        if not isinstance(event, BehaviorCredited) or each.version in reversed_:
            continue
        if event.behavior not in assumed:
            result.other += 1
        elif each.personal is None:
            result.unopened += 1
        else:
            distance = distance_um(integer_of(event.quantity), event.scale, event.unit)
            instant_us, day = instant_of(each.personal.occurred_at), day_number(event.day)
            rides.append(Ride(each.position, event.partner, event.behavior, day, instant_us, distance))
    result.rides += len(rides)
    return rides


def _involves(anomaly: Anomaly, partner: str | None, period: Period | None) -> bool:
    pair = (anomaly.first, anomaly.second)
    return any(
        (partner is None or ride.partner == partner) and (period is None or period.covers(ride.day)) for ride in pair
    )


def _odd(account: UUID, anomaly: Anomaly) -> Odd:
    first, second = anomaly.first, anomaly.second
    return Odd(
        anomaly.code,
        str(account),
        first.position,
        second.position,
        first.behavior,
        second.behavior,
        first.partner,
        second.partner,
        day_text(second.day),
        anomaly.seconds,
        anomaly.needed_seconds,
    )
