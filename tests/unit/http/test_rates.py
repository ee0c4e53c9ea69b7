"""How often one caller may ask, and that nobody pays for another."""

from __future__ import annotations

from contextlib import suppress

import pytest

from domain.errors import Rejected
from interfaces.http.rates import Rates


class Watch:
    """A stopwatch that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def taken(rates: Rates, caller: str, most: int = 1_000) -> int:
    """How many requests in a row are counted before one is refused."""
    count = 0
    with suppress(Rejected):
        while count < most:
            rates.take(caller)
            count += 1
    return count


def test_a_caller_may_ask_in_a_burst_and_then_as_often_as_the_limit_says() -> None:
    rates = Rates(10, watch := Watch())
    assert taken(rates, "olga") == 20
    watch.now_s += 0.5
    assert taken(rates, "olga") == 5
    watch.now_s += 3_600
    assert taken(rates, "olga") == 20


def test_one_caller_does_not_use_up_what_another_may_ask() -> None:
    rates = Rates(10, Watch())
    assert (taken(rates, "olga"), taken(rates, "bank")) == (20, 20)


def test_without_a_limit_nobody_is_counted() -> None:
    assert taken(Rates(0, Watch()), "olga") == 1_000


def test_callers_who_have_gone_are_forgotten_and_those_who_ask_are_not() -> None:
    rates = Rates(10, watch := Watch())
    for number in range(998):
        rates.take(f"caller {number}")
    watch.now_s += 60
    assert taken(rates, "olga") == 20
    rates.take("one more")
    assert len(rates._buckets) <= 2
    with pytest.raises(Rejected, match="too_many_requests"):
        rates.take("olga")
