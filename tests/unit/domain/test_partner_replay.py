"""Partners that somebody wrote past the rules: what they refuse is found, where it stands and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from domain.events import partners as events
from domain.events.registry import encode
from domain.partners import Terms
from tests.fixtures.independent_partners import not_to_be_credited
from tests.fixtures.independent_rulebook import Line, refused_in
from tests.unit.domain import partner_tools as tools
from tests.unit.domain.documents import metro
from tests.unit.domain.lawless import Lawless, found_in, lines_of
from tests.unit.domain.partner_tools import POSSESSION, id_of, public_key
from tests.unit.domain.worlds import PARTNER, trip


def plant(world: Lawless, kind: type[Any], **facts: Any) -> None:
    """Record an event about the partner whatever the rules say."""
    told: dict[str, Any] = {"partner": PARTNER, "by": "alice"}
    if "proposal" in kind.__struct_fields__:
        told |= {"proposal": f"P{len(world.rulebook.partners.proposals) + 1}"}
    if "public_key" in kind.__struct_fields__:
        number = facts.pop("number", 1)
        told |= {"key": id_of(number), "public_key": public_key(number).hex(), "possession": POSSESSION.hex()}
    if "behaviors" in kind.__struct_fields__:
        told |= {"behaviors": None, "rows_per_day": None, "rows_per_request": None}
    if "reason" in kind.__struct_fields__:
        told |= {"reason": "as it is"}
    told |= facts
    world.plant(kind, told["partner"], **told)


def approve_anyhow(world: Lawless, proposal: str, by: str = "bob", **facts: Any) -> None:
    plant(world, events.PartnerProposalApproved, proposal=proposal, by=by, **facts)


def a_partner_approved_by_its_proposer(world: Lawless) -> None:
    approve_anyhow(world, tools.propose(world), "ALICE")


def a_partner_approved_twice(world: Lawless) -> None:
    tools.register(world)
    approve_anyhow(world, "P1")


def a_partner_registered_in_other_capitals(world: Lawless) -> None:
    tools.register(world)
    plant(world, events.PartnerProposed, partner=PARTNER.upper(), number=2)
    approve_anyhow(world, "P2", partner=PARTNER.upper())


def a_partner_whose_name_no_file_can_bear(world: Lawless) -> None:
    plant(world, events.PartnerProposed, partner="metro_co")


def a_partner_that_may_send_nothing(world: Lawless) -> None:
    plant(world, events.PartnerProposed, behaviors=())


def a_partner_that_may_send_what_nobody_drafted(world: Lawless) -> None:
    plant(world, events.PartnerProposed, behaviors=("travel.rocket",))


def a_quota_that_is_none(world: Lawless) -> None:
    plant(world, events.PartnerProposed, rows_per_request=0)


def a_key_that_is_no_hex(world: Lawless) -> None:
    plant(world, events.PartnerProposed, possession="his word")


def a_key_of_another_partner(world: Lawless) -> None:
    tools.register(world)
    tools.register(world, "bus-co", key=2)
    plant(world, events.PartnerKeyProposed, number=2)


def a_key_of_nobody_registered(world: Lawless) -> None:
    plant(world, events.PartnerKeyProposed)


def a_key_approved_by_its_proposer(world: Lawless) -> None:
    tools.register(world)
    approve_anyhow(world, tools.propose_key(world, 2), "alice")


def a_key_approved_for_a_second_partner(world: Lawless) -> None:
    one, two = tools.propose(world), tools.propose(world, "bus-co")
    tools.approve(world, one)
    approve_anyhow(world, two, partner="bus-co")


def a_key_revoked_twice(world: Lawless) -> None:
    tools.register(world)
    tools.revoke(world, 1)
    plant(world, events.PartnerKeyRevoked, key=id_of(1))


def a_key_revoked_by_another_partner(world: Lawless) -> None:
    tools.register(world)
    tools.register(world, "bus-co", key=2)
    plant(world, events.PartnerKeyRevoked, key=id_of(2))


def terms_approved_by_their_proposer(world: Lawless) -> None:
    tools.register(world)
    approve_anyhow(world, tools.propose_terms(world, tools.ALL), "alice")


def terms_approved_after_a_suspension(world: Lawless) -> None:
    tools.register(world)
    proposal = tools.propose_terms(world, tools.ALL)
    tools.suspend(world)
    approve_anyhow(world, proposal)


def terms_of_nobody_registered(world: Lawless) -> None:
    plant(world, events.PartnerTermsProposed)


def a_suspension_of_who_is_suspended(world: Lawless) -> None:
    tools.register(world)
    tools.suspend(world)
    plant(world, events.PartnerSuspended)


def a_resumption_of_who_is_not_suspended(world: Lawless) -> None:
    tools.register(world)
    plant(world, events.PartnerResumptionProposed)


def a_resumption_approved_by_its_proposer(world: Lawless) -> None:
    tools.register(world)
    tools.suspend(world)
    approve_anyhow(world, tools.propose_resumption(world), "Alice")


def a_resumption_that_ends_a_later_suspension(world: Lawless) -> None:
    tools.register(world)
    tools.suspend(world)
    early, late = tools.propose_resumption(world), tools.propose_resumption(world)
    tools.approve(world, early)
    tools.suspend(world)
    approve_anyhow(world, late)


PLANTED: list[tuple[Callable[[Lawless], None], tuple[str, ...]]] = [
    (a_partner_approved_by_its_proposer, ("same_actor",)),
    (a_partner_approved_twice, ("already_approved",)),
    (a_partner_registered_in_other_capitals, ("partner_exists", "partner_exists")),
    (a_partner_whose_name_no_file_can_bear, ("partner_malformed",)),
    (a_partner_that_may_send_nothing, ("behaviors_malformed",)),
    (a_partner_that_may_send_what_nobody_drafted, ("unknown_behavior",)),
    (a_quota_that_is_none, ("quota_malformed",)),
    (a_key_that_is_no_hex, ("unreadable facts",)),
    (a_key_of_another_partner, ("partner_key_known",)),
    (a_key_of_nobody_registered, ("partner_unknown",)),
    (a_key_approved_by_its_proposer, ("same_actor",)),
    (a_key_approved_for_a_second_partner, ("partner_key_known",)),
    (a_key_revoked_twice, ("partner_key_unknown",)),
    (a_key_revoked_by_another_partner, ("partner_key_unknown",)),
    (terms_approved_by_their_proposer, ("same_actor",)),
    (terms_approved_after_a_suspension, ("proposal_stale",)),
    (terms_of_nobody_registered, ("partner_unknown",)),
    (a_suspension_of_who_is_suspended, ("wrong_state",)),
    (a_resumption_of_who_is_not_suspended, ("wrong_state",)),
    (a_resumption_approved_by_its_proposer, ("same_actor",)),
    (a_resumption_that_ends_a_later_suspension, ("proposal_stale",)),
]


@pytest.mark.parametrize(("write", "codes"), PLANTED, ids=[write.__name__ for write, _ in PLANTED])
def test_what_the_rules_of_partners_refuse_is_found_where_it_stands_and_nowhere_else(
    write: Callable[[Lawless], None], codes: tuple[str, ...]
) -> None:
    world = Lawless()
    write(world)
    expected = [(each.stream, each.version, each.position) for each in world.events() if each.position in world.planted]
    found = found_in(world)
    assert [(m.stream, m.version, m.position) for m in found] == expected
    assert tuple(m.what for m in found) == codes
    assert refused_in(lines_of(world, world.events())) == [each.position for each in found]


def lawful() -> Lawless:
    world = Lawless()
    world.publish(metro())
    tools.tell_of_a_partner(world, PARTNER)
    return world


FORGED: list[tuple[type[Any], dict[str, Any], str]] = [
    (events.PartnerProposed, {"key": id_of(9)}, "key"),
    (events.PartnerProposed, {"possession": POSSESSION.hex().upper() + "AB"}, "possession"),
    (events.PartnerProposed, {"behaviors": ("travel.metro", "travel.metro")}, "behaviors"),
    (events.PartnerProposed, {"by": ""}, "actor_malformed"),
    (events.PartnerKeyProposed, {"proposal": "P9"}, "proposal"),
    (events.PartnerTermsProposed, {"rows_per_day": 0}, "quota_malformed"),
    (events.PartnerKeyRevoked, {"reason": " "}, "reason_malformed"),
    (events.PartnerSuspended, {"reason": "a\nb"}, "reason_malformed"),
    (events.PartnerSuspended, {"by": " carol"}, "actor_malformed"),
]


@pytest.mark.parametrize(("kind", "changes", "what"), FORGED)
def test_a_fact_about_a_partner_that_its_rule_does_not_give_is_named(
    kind: type[Any], changes: dict[str, Any], what: str
) -> None:
    world = lawful()
    position = next(each.position for each in world.events() if isinstance(each.event, kind))
    # What rests on it would name nothing any more.
    log = world.altered(position, **changes)[:position]
    (found,) = [m for m in found_in(world, log) if m.position == position]
    assert found.what == what
    assert position in refused_in(lines_of(world, log))


def test_an_approval_that_names_another_partner_than_its_proposal_is_found() -> None:
    world = Lawless()
    tools.register(world)
    tools.register(world, "bus-co", key=2)
    approve_anyhow(world, tools.propose_key(world, 3), partner="bus-co")
    assert [m.what for m in found_in(world)] == ["stream", "version", "partner"]
    assert refused_in(lines_of(world, world.events())) == world.planted


def test_both_readers_find_the_same_credits_that_a_partner_might_not_send() -> None:
    world = Lawless()
    world.introduce(metro())
    world.introduce(metro(code="BUS", behavior="travel.bus"))
    credits = list[int]()

    def send(name: str) -> None:
        world.credited(trip(name), trip(f"{name}b", behavior="travel.bus"), partner="anybody")
        credits.extend(each.position for each in world.events()[-3:-1])

    send("a")
    tools.register(world, PARTNER, "travel.bus")
    send("b")
    tools.suspend(world)
    send("c")
    tools.approve(world, tools.propose_resumption(world))
    tools.approve(world, tools.propose_terms(world, Terms(("travel.metro",), None, None)))
    send("d")
    found, log = set[int](), world.events()
    for position in credits:
        log[position - 1] = world.altered(position, partner=PARTNER)[position - 1]
    for mismatch in world.replayed(log).mismatches:
        assert mismatch.what in ("partner_suspended", "behavior_not_allowed")
        found.add(mismatch.position)
    assert sorted(found) == [credits[place] for place in (2, 4, 5, 7)]
    shown = [
        Line(each.position, each.stream, each.version, each.event.TOPIC, 0, json.loads(encode(each.event))["facts"])
        for each in log
    ]
    assert not_to_be_credited(shown, ()) == sorted(found)
