"""Life cycle of a methodology version: three actors, one direction, and what never changes within a code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from domain import methodology
from domain.actors import check_actor, check_reason
from domain.digest import sm3_hex
from domain.events.base import NewEvent
from domain.rulebook import Rulebook
from tests.unit.domain.documents import metro, open_row, power
from tests.unit.domain.refusals import refusal
from tests.unit.domain.worlds import World, trip

NAME = "TRAVEL-METRO@1"


def test_a_version_goes_from_draft_to_publication_by_three_actors() -> None:
    world = World()
    name = world.publish(metro())
    version = world.rulebook.methodologies[name]
    assert name == NAME
    assert (version.drafter, version.reviewer, version.certifier) == ("dora", "rita", "carl")
    assert (version.state, world.rulebook.state_of(name)) == ("published", "published")


def test_drafter_reviewer_and_certifier_are_three_people() -> None:
    world = World()
    name = world.draft(metro(), by="dora")
    assert refusal(methodology.review, world.rulebook, name, "dora") == ("same_actor", "by")
    world.act(methodology.review(world.rulebook, name, "rita"))
    assert refusal(methodology.certify, world.rulebook, name, "dora") == ("same_actor", "by")
    assert refusal(methodology.certify, world.rulebook, name, "rita") == ("same_actor", "by")
    world.act(methodology.certify(world.rulebook, name, "carl"))
    # Publishing is no judgement; whoever certified may press the button.
    world.act(methodology.publish(world.rulebook, name, "carl"))


STEPS: dict[str, Callable[[Rulebook, str], NewEvent | tuple[NewEvent, Any]]] = {
    "review": lambda rulebook, name: methodology.review(rulebook, name, "rita"),
    "certify": lambda rulebook, name: methodology.certify(rulebook, name, "carl"),
    "publish": lambda rulebook, name: methodology.publish(rulebook, name, "paul"),
    "propose-withdrawal": lambda rulebook, name: methodology.propose_withdrawal(rulebook, name, "alice"),
    "approve-withdrawal": lambda rulebook, name: methodology.approve_withdrawal(rulebook, name, "bob", leave_gap=True),
}

ALLOWED = {
    "drafted": {"review"},
    "reviewed": {"certify"},
    "certified": {"publish"},
    "published": {"propose-withdrawal"},
    "withdrawn": set(),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", ALLOWED)
def test_every_step_is_refused_in_every_wrong_state(state: str, step: str) -> None:
    world = World()
    name = world.publish(metro(), upto=state)
    if state == "withdrawn":
        world.withdraw(name)
    assert world.rulebook.methodologies[name].state == state
    if step in ALLOWED[state]:
        STEPS[step](world.rulebook, name)
    elif (state, step) == ("published", "approve-withdrawal"):
        assert refusal(STEPS[step], world.rulebook, name) == ("withdrawal_not_proposed", "methodology")
    else:
        assert refusal(STEPS[step], world.rulebook, name) == ("wrong_state", "state")


@pytest.mark.parametrize("step", STEPS)
def test_a_version_that_nobody_imported_is_unknown_to_every_step(step: str) -> None:
    assert refusal(STEPS[step], World().rulebook, NAME) == ("methodology_unknown", "methodology")


@pytest.mark.parametrize("actor", ["", " ", " ann", "ann ", "a\nb", "a\tb", "x" * 65, "a\x7fb", "a\u200bb", "a\ud800"])
def test_an_actor_has_a_printable_name(actor: str) -> None:
    assert refusal(methodology.draft, World().rulebook, metro(), actor) == ("actor_malformed", "by")


@pytest.mark.parametrize("actor", ["a", "张三", "Ann B. Lee", "x" * 64, "ann@bank"])
def test_a_printable_name_without_outer_spaces_is_an_actor(actor: str) -> None:
    assert check_actor(actor) == actor


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "two\nlines"])
def test_a_reason_that_says_nothing_or_too_much_is_refused(reason: str) -> None:
    assert refusal(check_reason, reason) == ("reason_malformed", "reason")


def test_a_version_number_is_used_once() -> None:
    world = World()
    world.draft(metro())
    assert refusal(world.draft, metro()) == ("version_exists", "version")
    assert refusal(world.draft, metro(rate="99")) == ("version_exists", "version")
    world.draft(metro(2))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("behavior", {"behavior": "travel.rail"}),
        (
            "unit",
            {
                "inputs": {"quantity": {"unit": "trip", "scale": 3, "min": "1", "max": "200"}},
                "parameters": {"rate": {"unit": "g/trip", "rows": [open_row("72")]}},
            },
        ),
        ("scale", {"inputs": {"quantity": {"unit": "km", "scale": 2, "min": "0.01", "max": "200"}}}),
        ("utc_offset_minutes", {"utc_offset": "+09:00"}),
    ],
)
def test_what_is_fixed_per_code_needs_a_new_code(field: str, changes: dict[str, Any]) -> None:
    world = World()
    world.draft(metro())
    assert refusal(world.draft, metro(2, **changes)) == ("fixed_per_code", field)


def test_range_formula_caps_and_rounding_may_change_between_versions() -> None:
    world = World()
    world.draft(metro())
    wider = {"quantity": {"unit": "km", "scale": 3, "min": "0.5", "max": "500"}}
    world.draft(metro(2, inputs=wider, rounding="half_even", formula="quantity * rate * 2", late_window_days=5))


def test_all_codes_of_one_behavior_count_days_at_one_offset() -> None:
    world = World()
    world.draft(metro())
    other = metro(1, code="TRAVEL-METRO-SZ", utc_offset="+09:00")
    assert refusal(world.draft, other) == ("offset_per_behavior", "utc_offset")
    world.draft(metro(1, code="TRAVEL-METRO-SZ"))
    world.draft(power(1, "0.61", utc_offset="+09:00"))


def test_a_draft_keeps_the_file_in_one_canonical_spelling() -> None:
    world, again = World(), World()
    world.draft(metro())
    again.draft(dict(reversed(metro().items())))
    one, two = world.rulebook.methodologies[NAME], again.rulebook.methodologies[NAME]
    assert one.document == two.document
    assert one.digest == two.digest == sm3_hex(one.document.encode())
    assert json.loads(one.document) == metro()
    assert "地铁出行" in one.document
    assert world.rulebook.sources_of(NAME) == metro()["sources"]


def test_a_broken_file_is_refused_before_anything_is_drafted() -> None:
    assert refusal(World().draft, metro(rate="x"))[0] == "methodology_malformed"
    code, _ = refusal(World().draft, metro(formula="quantity * missing"))
    assert code == "formula_name_unknown"


def test_a_published_version_is_superseded_by_a_later_published_one() -> None:
    world = World()
    one = world.publish(metro(1))
    two = world.draft(metro(2))
    rival = world.publish(metro(2, code="TRAVEL-METRO-SZ"))
    assert world.rulebook.state_of(one) == "published"
    world.publish(metro(3))
    assert world.rulebook.state_of(one) == "superseded"
    assert world.rulebook.state_of(two) == "drafted"
    assert world.rulebook.state_of(rival) == "published"
    world.withdraw("TRAVEL-METRO@3")
    assert world.rulebook.state_of("TRAVEL-METRO@3") == "withdrawn"
    assert world.rulebook.state_of(one) == "published"


def test_published_versions_are_told_in_order_of_publication_also_the_withdrawn() -> None:
    world = World()
    one = world.publish(metro(1), upto="certified")
    two = world.publish(metro(2))
    world.draft(metro(3))
    world.act(methodology.publish(world.rulebook, one, "paul"))
    assert [version.name for version in world.rulebook.published("travel.metro")] == [two, one]
    world.withdraw(two)
    assert [version.name for version in world.rulebook.published("travel.metro")] == [two, one]
    assert world.rulebook.published("travel.bus") == []


def test_a_withdrawal_takes_two_people() -> None:
    world = World()
    name = world.publish(metro())
    world.act(methodology.propose_withdrawal(world.rulebook, name, "alice"))
    propose, approve = methodology.propose_withdrawal, methodology.approve_withdrawal
    assert refusal(propose, world.rulebook, name, "eve") == ("withdrawal_already_proposed", "methodology")
    assert refusal(approve, world.rulebook, name, "alice", leave_gap=True) == ("same_actor", "by")
    world.act(approve(world.rulebook, name, "bob", leave_gap=False))
    assert refusal(propose, world.rulebook, name, "alice") == ("wrong_state", "state")


def test_a_withdrawal_leaves_a_gap_only_on_purpose() -> None:
    world = World()
    one, two = world.publish(metro(1)), world.publish(metro(2))
    world.decide(one, "2026-04-01", "2026-05-01")
    world.decide(two, "2026-04-01", "2026-06-01", "CN")
    world.act(methodology.propose_withdrawal(world.rulebook, two, "alice"))
    approve = methodology.approve_withdrawal
    assert refusal(approve, world.rulebook, two, "bob", leave_gap=False) == ("gap_left", "leave_gap")
    changes = world.act(approve(world.rulebook, two, "bob", leave_gap=True))
    told = [(methodology.describe(c), c.after and c.after.id) for c in changes]
    assert told == [
        ("region CN from 2026-04-01 to 2026-05-01", "D1"),
        ("region CN from 2026-05-01 to 2026-06-01", None),
    ]


def test_a_gap_over_all_time_is_told_in_words() -> None:
    world = World()
    name = world.introduce(metro())
    (change,) = world.withdraw(name, leave_gap=True)
    assert methodology.describe(change) == "region * from the beginning to open end"


def test_nothing_is_withdrawn_while_a_revision_of_the_behavior_is_under_way() -> None:
    world = World()
    one, two = world.introduce(metro(1)), world.publish(metro(2))
    world.credited(trip("t1"))
    world.approve_run(world.plan(two))
    world.act(methodology.propose_withdrawal(world.rulebook, one, "alice"))
    approve = methodology.approve_withdrawal
    assert refusal(approve, world.rulebook, one, "bob", leave_gap=True) == ("revision_in_progress", "behavior")
