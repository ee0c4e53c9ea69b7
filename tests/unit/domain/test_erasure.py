"""Erasure of a person: who may ask and approve, what stands against it, and when retention is over."""

from __future__ import annotations

from typing import Any

import pytest

from domain import account as account_rules
from domain import erasure
from domain.account import Asked
from domain.errors import Rejected
from domain.events import account as events
from domain.instants import instant_of
from domain.values import day_text
from tests.unit.domain.documents import metro
from tests.unit.domain.refusals import refusal
from tests.unit.domain.worlds import World, trip


def town() -> World:
    world = World()
    world.introduce(metro(1, "100"))
    world.publish(metro(2, "50"))
    world.credited(trip("t1"))
    return world


def asked(by: str = "olga") -> World:
    world = town()
    world.on_account(erasure.request(world.head(), by, "unlawful", "never agreed"))
    return world


def test_it_takes_one_to_ask_and_another_to_approve() -> None:
    world = asked()
    assert world.head().erasure == Asked(4, "olga")
    assert refusal(erasure.erase, world.head(), "olga", 7) == ("same_actor", "by")
    assert refusal(erasure.erase, world.head(), "ＯＬＧＡ", 7) == ("same_actor", "by")
    receipt = erasure.erase(world.head(), "otto", 7)
    assert receipt == events.PersonalDataErased(request=4, epoch=7, by="otto")
    world.on_account(receipt)
    account = world.head()
    assert (account.status, account.consents, account.erasure) == ("erased", [], None)


def test_the_reason_is_a_personal_fact_and_the_ground_is_not() -> None:
    said = erasure.request(town().head(), "olga", "consent-withdrawn", "letter of Ms Wang")
    assert said == (
        events.ErasureRequested(ground="consent-withdrawn", by="olga"),
        events.ReasonPersonal(reason="letter of Ms Wang"),
    )


@pytest.mark.parametrize("ground", ["", "Unlawful", "because"])
def test_a_ground_is_one_that_the_law_knows(ground: str) -> None:
    assert refusal(erasure.request, town().head(), "olga", ground, "x") == ("ground_unknown", "ground")


def test_what_nobody_asked_for_is_not_approved_and_nothing_is_asked_for_twice() -> None:
    assert refusal(erasure.erase, town().head(), "otto", 1) == ("erasure_not_requested", "account")
    assert refusal(erasure.request, asked().head(), "otto", "unlawful", "x") == ("erasure_requested", "account")


def test_a_closed_account_is_erased_a_frozen_one_is_not() -> None:
    world = asked()
    world.on_account(account_rules.freeze(world.head(), "olga", "court order"))
    assert refusal(erasure.erase, world.head(), "otto", 1) == ("account_frozen", "account")
    assert refusal(erasure.request, world.head(), "otto", "unlawful", "x") == ("account_frozen", "account")
    world.on_account(account_rules.unfreeze(world.head(), "olga", "over"))
    world.on_account(account_rules.close(world.head(), "olga", "left"))
    world.on_account(erasure.erase(world.head(), "otto", 1))
    assert world.head().status == "erased"


def test_an_erased_account_is_neither_erased_again_nor_acted_upon() -> None:
    world = town()
    account = world.head_of(world.erase())
    for act, args in (
        (erasure.request, ("olga", "unlawful", "x")),
        (erasure.erase, ("otto", 1)),
        (account_rules.freeze, ("olga", "x")),
        (account_rules.close, ("olga", "x")),
    ):
        assert refusal(act, account, *args) == ("account_erased", "account")
    assert refusal(account_rules.withdraw_consent, account, 2, "olga", "x") == ("consent_unknown", "consent")


@pytest.mark.parametrize(
    ("entry", "days", "first"),
    [
        ("2026-03-01T00:00:00Z", 0, "2026-03-01"),
        ("2026-03-01T00:00:00Z", 1, "2026-03-03"),
        ("2026-03-01T15:59:59Z", 10, "2026-03-12"),
        ("2026-03-01T16:00:00Z", 10, "2026-03-13"),
        ("2016-02-29T00:00:00Z", erasure.DEFAULT_RETENTION_DAYS, "2026-03-02"),
        ("2024-01-01T00:00:00Z", erasure.DEFAULT_RETENTION_DAYS, "2034-01-02"),
    ],
)
def test_retention_is_counted_in_civil_days_after_the_day_of_the_entry(entry: str, days: int, first: str) -> None:
    assert day_text(erasure.first_day(instant_of(entry), days)) == first


def test_before_the_retention_period_is_over_nothing_is_erased_and_the_day_is_named() -> None:
    entry = instant_of("2026-03-01T00:00:00Z")
    last = instant_of("2026-03-11T23:59:59.999999+08:00")
    with pytest.raises(Rejected) as refused:
        erasure.refuse_retained(entry, 10, last)
    assert refused.value.code == "retention_not_over"
    assert "from 2026-03-12 on" in refused.value.message
    assert "account freeze" in refused.value.remedy
    erasure.refuse_retained(entry, 10, last + 1)


def test_without_a_retention_period_erasure_is_allowed_at_once() -> None:
    now = instant_of("2026-03-01T00:00:00Z")
    erasure.refuse_retained(now, 0, now)


@pytest.mark.parametrize("days", [-1, erasure.MAX_RETENTION_DAYS + 1])
def test_a_retention_period_has_its_limits(days: int) -> None:
    assert refusal(erasure.check_retention, days) == ("retention_malformed", "retention_days")


def test_retention_runs_from_the_last_entry_or_the_closing_and_not_from_a_revision() -> None:
    def last() -> Any:
        return erasure.last_entry(world.streams[world.account_id()])

    world = World()
    world.introduce(metro(1, "100"))
    world.publish(metro(2, "50"))
    world.send(trip("t1"))
    assert world.log[last() - 1].topic == events.BehaviorCredited.TOPIC
    before = last()
    world.grant()
    world.revise("TRAVEL-METRO@2")
    world.on_account(account_rules.freeze(world.head(), "olga", "x"))
    world.on_account(account_rules.unfreeze(world.head(), "olga", "x"))
    world.on_account(erasure.request(world.head(), "olga", "unlawful", "x"))
    assert last() == before
    world.reverse("t1")
    assert last() == world.size
    world.on_account(account_rules.close(world.head(), "olga", "x"))
    assert last() == world.size
