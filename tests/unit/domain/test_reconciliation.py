"""A row against a credit: equal exactly where sending it again would be a duplicate, and else every column is named."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.behavior import Behavior
from domain.crediting import Duplicate, Known
from domain.reconciliation import Difference, differences
from domain.values import day_number
from tests.unit.domain.documents import metro
from tests.unit.domain.worlds import PARTNER, World, key_of, trip

FIRST: dict[str, Any] = {"at": "2026-01-05T08:00:00+08:00", "quantity": "12.350", "region": "CN-440300"}
OTHER = UUID(int=7)


def booked(**fields: str) -> tuple[World, Known]:
    world = World()
    world.introduce(metro(1, "100"), "2025-01-01")
    world.credited(trip("t1", "ann", **{**FIRST, **fields}))
    world.credited(trip("t2", "ben", **FIRST))
    return world, world.refs[key_of("ref", PARTNER, "t1")]


def account_of(world: World, row: Behavior) -> UUID | None:
    return world.account_ids.get(key_of("account", row.account_ref))


def day_of(row: Behavior) -> int:
    return day_number(row.occurred_at[:10])


rows = st.fixed_dictionaries(
    {},
    optional={
        "at": st.sampled_from(
            [FIRST["at"], "2026-01-05T00:00:00Z", "2026-01-05T08:00:00.000001+08:00", "2026-01-06T08:00:00+08:00"]
        ),
        "quantity": st.sampled_from(["12.35", "12.3500", "12.351", "1235", "0"]),
        "region": st.sampled_from(["CN-440300", "", "CN-44"]),
        "behavior": st.sampled_from(["travel.metro", "travel.bus"]),
        "unit": st.sampled_from(["km", "mile"]),
    },
)


@given(st.sampled_from(["ann", "ben", "nobody"]), rows)
def test_a_row_agrees_with_a_credit_exactly_when_it_would_be_answered_as_its_duplicate(
    account: str, changes: dict[str, Any]
) -> None:
    world, credit = booked()
    row = trip("t1", account, **{**FIRST, **changes})
    found = differences(row, credit, account_of(world, row), day_of(row))
    (answer,) = world.send(row)
    assert isinstance(answer, Duplicate) == (found == [])


def test_every_column_that_differs_is_named_with_both_values_in_their_order() -> None:
    world, credit = booked()
    row = trip("t1", "ben", at="2026-01-05T09:00:00+08:00", quantity="1.5", region="CN", behavior="b", unit="mile")
    assert differences(row, credit, account_of(world, row), day_of(row)) == [
        Difference("account_ref", "ben", str(credit.account)),
        Difference("behavior", "b", "travel.metro"),
        Difference("occurred_at", "2026-01-05T09:00:00+08:00", "2026-01-05T08:00:00+08:00"),
        Difference("quantity", "1.5", "12.350"),
        Difference("unit", "mile", "km"),
        Difference("region", "CN", "CN-440300"),
    ]


def test_the_credit_of_an_erased_person_is_compared_by_its_facts_and_its_day() -> None:
    _, credit = booked()
    erased = credit._replace(personal=None)
    row = trip("t1", "ann", **{**FIRST, "at": "2026-01-05T23:00:00+08:00"})
    assert differences(row, erased, None, day_of(row)) == []
    assert differences(row, erased, credit.account, None) == []
    assert differences(row, erased, OTHER, day_of(row)) == [Difference("account_ref", "ann", str(credit.account))]
    assert differences(row, erased, None, day_of(row) + 1) == [
        Difference("occurred_at", "2026-01-05T23:00:00+08:00", "2026-01-05")
    ]
    assert differences(row, credit, None, day_of(row))[0].column == "account_ref"


def test_a_row_after_the_last_day_of_the_calendar_is_compared_all_the_same() -> None:
    _, credit = booked()
    row = trip("t1", "ann", **{**FIRST, "at": "9999-12-31T23:59:59Z"})
    found = differences(row, credit._replace(personal=None), None, day_number("9999-12-31") + 1)
    assert [each.column for each in found] == ["occurred_at"]
