"""The checks that need no account, in the order of DESIGN section 5: the first failure is the answer."""

from __future__ import annotations

from typing import Any

import pytest

from domain.behavior import Behavior, Refusal
from domain.events.rulebook import DecisionApproved
from domain.screening import REFUSALS, Rules, Valued, refuse_row, screen
from domain.values import day_number
from tests.unit.domain.documents import metro, open_row
from tests.unit.domain.worlds import PARTNER, World, trip

NOW = "2026-03-01T00:00:00Z"


def answers(world: World, *rows: Behavior) -> list[Valued | Refusal]:
    return screen(Rules(world.rulebook), PARTNER, rows, world.now_us)


def codes(world: World, *rows: Behavior) -> list[str]:
    return [answer.code if isinstance(answer, Refusal) else "ok" for answer in answers(world, *rows)]


def town(**changes: Any) -> World:
    world = World(NOW)
    world.introduce(metro(**({"late_window_days": 30} | changes)))
    return world


WRONG_IN_EVERY_WAY: dict[str, Any] = {
    "at": "2020-01-01T00:00:00",
    "unit": "mi",
    "quantity": "-0.0001",
    "behavior": "travel.rocket",
}

RIGHT_ONE_BY_ONE: list[tuple[dict[str, Any], str]] = [
    ({}, "unknown_behavior"),
    ({"behavior": "travel.metro"}, "timestamp_without_offset"),
    ({"at": "2020-01-01T00:00:00Z"}, "unit_mismatch"),
    ({"unit": "km"}, "quantity_not_positive"),
    ({"quantity": "0.0001"}, "quantity_out_of_range"),
    ({"quantity": "1.0001"}, "quantity_too_precise"),
    ({"quantity": "1.000"}, "too_late"),
    ({"at": "2026-02-20T00:00:00Z"}, "ok"),
]


def test_the_first_failing_check_is_the_answer_as_a_row_is_put_right_bit_by_bit() -> None:
    world, row, found = town(), dict(WRONG_IN_EVERY_WAY), []
    for correction, _ in RIGHT_ONE_BY_ONE:
        row |= correction
        found += codes(world, trip("t1", **row))
    assert found == [code for _, code in RIGHT_ONE_BY_ONE]


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        ("0.001", "ok"),
        ("200", "ok"),
        ("200.000000", "ok"),
        ("0.0009", "quantity_out_of_range"),
        ("200.001", "quantity_out_of_range"),
        ("200.0001", "quantity_out_of_range"),
        ("199.9999", "quantity_too_precise"),
        ("0.00", "quantity_not_positive"),
        ("-1", "quantity_not_positive"),
        ("99999999999999999999999999999999999999", "quantity_out_of_range"),
    ],
)
def test_the_range_is_inclusive_and_is_judged_before_precision(quantity: str, code: str) -> None:
    assert codes(town(), trip("t1", quantity=quantity, at="2026-02-20T00:00:00Z")) == [code]


def test_a_behavior_may_happen_up_to_now_and_down_to_the_late_window() -> None:
    world = town()
    instants = ["2026-03-01T00:00:00Z", "2026-03-01T00:00:00.000001Z", "2026-01-30T00:00:00Z"]
    found = codes(world, *(trip("t", at=at) for at in instants), trip("t", at="2026-01-29T23:59:59.999999Z"))
    assert found == ["ok", "occurred_in_future", "ok", "too_late"]


def test_the_civil_day_is_counted_at_the_offset_of_the_methodology() -> None:
    world = town()
    rows = [trip("t", at="2026-02-20T15:59:59.999999Z"), trip("t", at="2026-02-20T16:00:00Z")]
    days = [answer.day for answer in answers(world, *rows) if isinstance(answer, Valued)]
    assert days == [day_number("2026-02-20"), day_number("2026-02-21")]


def test_a_row_is_checked_by_the_version_that_values_its_day() -> None:
    world = World(NOW)
    narrow = metro(1, inputs={"quantity": {"unit": "km", "scale": 3, "min": "1", "max": "2"}})
    world.introduce(narrow, None, "2026-02-01")
    world.introduce(metro(2), "2026-02-01")
    found = codes(
        world, trip("t", quantity="3", at="2026-01-31T12:00:00Z"), trip("t", quantity="3", at="2026-02-01T12:00:00Z")
    )
    assert found == ["quantity_out_of_range", "ok"]


def test_where_no_version_applies_the_newest_published_one_checks_the_row() -> None:
    world = World(NOW)
    world.publish(metro(1))
    row = trip("t1", quantity="3", at="2026-02-20T00:00:00Z")
    (answer,) = answers(world, row)
    assert isinstance(answer, Valued)
    assert (answer.decision, answer.computed) == (None, None)
    world.publish(metro(2, inputs={"quantity": {"unit": "km", "scale": 3, "min": "1", "max": "2"}}))
    assert codes(world, row) == ["quantity_out_of_range"]


def test_a_draft_makes_no_behavior_known() -> None:
    world = World(NOW)
    world.publish(metro(1), upto="certified")
    assert codes(world, trip("t1")) == ["unknown_behavior"]


def test_a_column_of_rows_of_several_decisions_is_valued_row_by_row() -> None:
    world = World("2000-01-01T00:00:00Z")
    world.introduce(metro(1, [open_row("10"), open_row("20", "CN", None, "2026-02-02")]), "2000-01-02")
    world.introduce(metro(2, "70"), "2000-01-02", None, "CN-44")
    world.introduce(metro(1, "3", code="BUS", behavior="travel.bus"))
    world.tell(NOW)
    rows = [
        trip("a", quantity="2"),
        trip("b", region="CN-440300"),
        trip("c", unit="mi"),
        trip("d", region="CN-31"),
        trip("e", region="CN-31", at="2026-02-02T00:00:00+08:00"),
        trip("f", behavior="travel.bus"),
    ]
    computed = [answer.computed if isinstance(answer, Valued) else answer.code for answer in answers(world, *rows)]
    assert computed == [20_000, 70_000, "unit_mismatch", 20_000, 10_000, 3_000]


def test_a_region_without_a_parameter_row_has_no_value_and_is_not_zero() -> None:
    world = World(NOW)
    world.introduce(metro(1, [open_row("10", "CN")]))
    (answer,) = answers(world, trip("t1", region="US"))
    assert isinstance(answer, Valued)
    assert answer.decision is not None
    assert answer.computed is None


def test_a_refusal_names_line_column_and_remedy_and_never_the_submitted_text() -> None:
    world = town()
    (answer,) = answers(world, trip("secret-ref", "secret-person", quantity="0.0001"))
    assert isinstance(answer, Refusal)
    assert (answer.line, answer.code, answer.field) == (0, "quantity_out_of_range", "quantity")
    assert "secret" not in repr(answer)


def test_every_refusal_tells_a_column_of_the_file_or_its_sender_a_message_and_a_remedy() -> None:
    row = trip("t1")
    for code in REFUSALS:
        refusal = refuse_row(row, code, "DETAIL")
        assert refusal.code == code
        columns = {"source_ref", "account_ref", "behavior", "occurred_at", "quantity", "unit", "region"}
        assert refusal.field in columns or (code, refusal.field) == ("partner_suspended", "partner")
        assert refusal.message
        assert refusal.remedy
    assert refuse_row(row, "too_late", "30").message == "the behavior is older than the late window of 30 days"


def test_the_rules_know_which_runs_are_under_way() -> None:
    world = town(late_window_days=36500)
    two = world.publish(metro(2))
    world.credited(trip("t1"))
    assert Rules(world.rulebook).runs == []
    run = world.plan(two)
    assert Rules(world.rulebook).runs == []
    world.approve_run(run)
    assert [pending.id for pending, _ in Rules(world.rulebook).runs] == [run]
    world.apply_run(run)
    world.complete(run)
    assert Rules(world.rulebook).runs == []
    assert len(world.all_of(DecisionApproved)) == 1


def test_look_ups_of_invented_codes_are_remembered_but_not_without_limit() -> None:
    rules = Rules(town().rulebook)
    known = rules.table("travel.metro", "CN")
    assert rules.table("travel.metro", "CN") is known
    for number in range(10_002):
        assert rules.table(f"b{number}", "") is None
    assert len(rules._tables) <= 10_001
