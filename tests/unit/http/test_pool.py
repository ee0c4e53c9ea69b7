"""Ledgers for requests: one each, in bounded time, and none that failed half way."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from domain.errors import Corrupt, Rejected, Unavailable
from interfaces.bootstrap import Ledger
from interfaces.http.pool import LedgerPool


class Made:
    """Counts the ledgers that were made."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Ledger:
        self.count += 1
        return cast(Ledger, f"ledger {self.count}")


def test_a_ledger_is_with_one_request_at_a_time_and_others_wait_in_bounded_time() -> None:
    pool = LedgerPool(Made(), 2)
    with pool.ledger(0) as one, pool.ledger(0) as other:
        assert one != other
        with pytest.raises(Unavailable, match="service_busy"), pool.ledger(0.01):
            pass
    with pool.ledger(0) as again:
        assert again in (one, other)


def test_who_waits_is_given_the_ledger_that_another_gives_back() -> None:
    pool = LedgerPool(Made(), 1)
    given: list[Ledger] = []

    def wait() -> None:
        with pool.ledger(10) as ledger:
            given.append(ledger)

    with pool.ledger(0) as first:
        waiting = threading.Thread(target=wait)
        waiting.start()
    waiting.join(10)
    assert given == [first]


@pytest.mark.parametrize("error", [Corrupt("c", "m"), Unavailable("c", "m"), KeyError("k"), KeyboardInterrupt()])
def test_a_ledger_that_failed_under_a_request_is_not_used_again(error: BaseException) -> None:
    pool = LedgerPool(made := Made(), 1)
    with pytest.raises(type(error)), pool.ledger(0) as first:
        raise error
    with pool.ledger(0) as second:
        assert second != first
    assert made.count == 2


def test_a_request_that_the_rules_refuse_leaves_its_ledger_in_use() -> None:
    pool = LedgerPool(made := Made(), 1)
    with pytest.raises(Rejected), pool.ledger(0):
        raise Rejected("c", "m")
    with pool.ledger(0):
        assert made.count == 1
