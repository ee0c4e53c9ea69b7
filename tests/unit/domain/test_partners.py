"""Partners: two people let one send, one person stops it, and what it might send is known for every position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain import partnering
from domain.events import account as events
from domain.events.partners import PartnerProposed
from domain.partners import Terms
from domain.rulebook import Rulebook
from domain.screening import Rules
from tests.unit.domain import partner_tools as tools
from tests.unit.domain.documents import metro
from tests.unit.domain.partner_tools import ALL, POSSESSION, id_of, public_key, taken_for_good
from tests.unit.domain.refusals import refusal
from tests.unit.domain.test_crediting import codes
from tests.unit.domain.worlds import PARTNER, World, trip

BUS = "travel.bus"


def town() -> World:
    world = World()
    world.introduce(metro())
    world.introduce(metro(code="BUS", behavior=BUS))
    return world


def outcomes(world: World, *refs: str, behavior: str = "travel.metro", partner: str = PARTNER) -> list[str]:
    return codes(world.send(*(trip(ref, behavior=behavior) for ref in refs), partner=partner))


# -- registration ----------------------------------------------------------------------------------------------------


def test_a_partner_is_none_before_somebody_else_approves() -> None:
    world = town()
    proposal = tools.propose(world, terms=Terms((BUS,), 10_000, 500))
    assert world.rulebook.partners.standing(PARTNER) is None
    assert outcomes(world, "t1") == ["credited"]
    for name in ("alice", "ALICE", "ａｌｉｃｅ"):
        assert refusal(partnering.approve, world.rulebook, proposal, name) == ("same_actor", "by")
    tools.approve(world, proposal)
    partner = world.rulebook.partners.all[PARTNER]
    assert (partner.state, partner.now.terms) == ("active", Terms((BUS,), 10_000, 500))
    assert [each.key for each in world.rulebook.partners.keys_of(PARTNER)] == [id_of(1)]


def test_a_name_is_one_partners_in_capitals_too() -> None:
    world = town()
    tools.register(world)
    proof = (public_key(2), "alice", POSSESSION, taken_for_good)
    for name in (PARTNER, PARTNER.upper()):
        assert refusal(partnering.propose, world.rulebook, name, ALL, *proof) == ("partner_exists", "partner")


def test_of_two_proposals_of_one_name_the_second_cannot_be_approved() -> None:
    world = town()
    first, second = tools.propose(world), tools.propose(world, PARTNER.upper(), key=2)
    assert [each.event.proposal for each in world.rulebook.partners.waiting()] == [first, second]
    tools.approve(world, second)
    assert world.rulebook.partners.waiting() == []
    assert refusal(partnering.approve, world.rulebook, first, "bob") == ("partner_exists", "partner")


@pytest.mark.parametrize("name", ["", "metro co", "metro_co", "地铁", "x" * 65, "metro\n"])
def test_a_name_that_no_file_could_come_under_is_refused(name: str) -> None:
    proof = (public_key(1), "alice", POSSESSION, taken_for_good)
    assert refusal(partnering.propose, town().rulebook, name, ALL, *proof) == ("partner_malformed", "partner")


TERMS: list[tuple[Terms, tuple[str, str]]] = [
    (Terms((), None, None), ("behaviors_malformed", "behaviors")),
    (Terms(("travel.metro", "travel.metor"), None, None), ("unknown_behavior", "behaviors")),
    (Terms(None, 0, None), ("quota_malformed", "rows_per_day")),
    (Terms(None, None, -1), ("quota_malformed", "rows_per_request")),
    (Terms(None, 1_000_000_001, None), ("quota_malformed", "rows_per_day")),
]


@pytest.mark.parametrize(("terms", "expected"), TERMS)
def test_terms_that_say_nothing_or_more_than_a_number_are_refused(terms: Terms, expected: tuple[str, str]) -> None:
    world = town()
    proof = (public_key(1), "alice", POSSESSION, taken_for_good)
    assert refusal(partnering.propose, world.rulebook, PARTNER, terms, *proof) == expected
    tools.register(world)
    assert refusal(partnering.propose_terms, world.rulebook, PARTNER, terms, "alice") == expected


def test_behaviors_stand_once_and_in_order_whoever_named_them() -> None:
    world = town()
    tools.propose(world, terms=Terms(("travel.metro", BUS, "travel.metro"), 1, 1_000_000_000))
    (event,) = world.all_of(PartnerProposed)
    assert (event.behaviors, event.rows_per_day, event.rows_per_request) == ((BUS, "travel.metro"), 1, 1_000_000_000)


# -- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_that_has_not_signed_the_partners_name_is_refused() -> None:
    world, heard = town(), list[tuple[bytes, bytes, bytes]]()

    def no(*said: bytes) -> bool:
        heard.append((said[0], said[1], said[2]))
        return False

    proof = (public_key(1), "alice", POSSESSION, no)
    assert refusal(partnering.propose, world.rulebook, PARTNER, ALL, *proof) == ("partner_key_not_proven", "key")
    text = b'carbon-ledger/partner-key/v1\0{"book":"town","partner":"metro-co","public_key":"' + b"01" * 64 + b'"}'
    assert heard == [(public_key(1), text, POSSESSION)]
    assert text == partnering.to_prove(world.rulebook, PARTNER, public_key(1))
    tools.register(world)
    proof = (public_key(2), "alice", POSSESSION, no)
    assert refusal(partnering.propose_key, world.rulebook, PARTNER, *proof) == ("partner_key_not_proven", "key")


def test_before_there_is_a_book_a_key_signs_for_none() -> None:
    assert b'"book":""' in partnering.to_prove(Rulebook(), PARTNER, public_key(1))


def test_a_further_key_is_good_beside_the_first_until_that_is_revoked() -> None:
    world = town()
    tools.register(world)
    one = world.size
    tools.approve(world, tools.propose_key(world, 2))
    two = world.size
    tools.revoke(world, 1)
    three = world.size

    def good(position: int) -> list[int]:
        partners = world.rulebook.partners
        return [n for n in (1, 2, 3) if partners.key_at(PARTNER, id_of(n), position) is not None]

    assert [good(at) for at in (one, one + 1, two, two + 1, three, three + 1)] == [[], [1], [1], [1, 2], [1, 2], [2]]
    assert [each.state for each in world.rulebook.partners.keys_of(PARTNER)] == ["revoked", "active"]
    assert world.rulebook.partners.key_at("bus-co", id_of(2)) is None


def test_a_key_is_one_partners_once_also_after_it_was_revoked() -> None:
    world = town()
    tools.register(world)
    tools.register(world, "bus-co", key=2)
    tools.approve(world, tools.propose_key(world, 3))
    tools.revoke(world, 1)
    for name, key in (("bus-co", 1), (PARTNER, 1), ("bus-co", 3), (PARTNER, 2)):
        proof = (public_key(key), "alice", POSSESSION, taken_for_good)
        assert refusal(partnering.propose_key, world.rulebook, name, *proof) == ("partner_key_known", "key")


def test_a_key_that_was_proposed_for_two_is_approved_for_one() -> None:
    world = town()
    one, two = tools.propose(world), tools.propose(world, "bus-co")
    tools.approve(world, one)
    assert refusal(partnering.approve, world.rulebook, two, "bob") == ("partner_key_known", "key")


def test_only_a_key_in_force_of_this_partner_can_be_revoked() -> None:
    world = town()
    tools.register(world)
    tools.register(world, "bus-co", key=2)
    for key in (2, 3):
        arguments = (world.rulebook, PARTNER, id_of(key), "carol", "lost")
        assert refusal(partnering.revoke_key, *arguments) == ("partner_key_unknown", "key")
    arguments = (world.rulebook, PARTNER, id_of(1), "carol", " ")
    assert refusal(partnering.revoke_key, *arguments) == ("reason_malformed", "reason")
    tools.revoke(world, 1)
    arguments = (world.rulebook, PARTNER, id_of(1), "carol", "lost")
    assert refusal(partnering.revoke_key, *arguments) == ("partner_key_unknown", "key")


# -- proposals -------------------------------------------------------------------------------------------------------

CHANGES: list[Callable[[World], object]] = [
    lambda world: tools.suspend(world),
    lambda world: tools.revoke(world, 1),
    lambda world: tools.approve(world, tools.propose_key(world, 7)),
    lambda world: tools.approve(world, tools.propose_terms(world, ALL)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_proposed_before_something_took_effect_cannot_be_approved(change: Callable[[World], object]) -> None:
    world = town()
    tools.register(world)
    waiting = [tools.propose_key(world, 2), tools.propose_terms(world, Terms((BUS,), None, None))]
    change(world)
    for proposal in waiting:
        assert refusal(partnering.approve, world.rulebook, proposal, "bob") == ("proposal_stale", "proposal")
    assert world.rulebook.partners.waiting() == []


def test_what_happens_to_one_partner_voids_no_proposal_about_another() -> None:
    world = town()
    tools.register(world)
    tools.register(world, "bus-co", key=2)
    proposal = tools.propose_terms(world, Terms((BUS,), None, None))
    tools.suspend(world, "bus-co")
    tools.approve(world, proposal)
    assert tools.now(world).terms.behaviors == (BUS,)


def test_a_proposal_is_approved_once_and_only_when_it_was_made() -> None:
    world = town()
    tools.register(world)
    assert refusal(partnering.approve, world.rulebook, "P1", "bob") == ("already_approved", "proposal")
    assert refusal(partnering.approve, world.rulebook, "P2", "bob") == ("proposal_unknown", "proposal")


def test_nothing_is_done_about_a_name_that_is_not_registered() -> None:
    rulebook = town().rulebook
    acts: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (partnering.propose_key, (public_key(1), "alice", POSSESSION, taken_for_good)),
        (partnering.propose_terms, (ALL, "alice")),
        (partnering.propose_resumption, ("alice", "repaired")),
        (partnering.revoke_key, (id_of(1), "carol", "lost")),
        (partnering.suspend, ("carol", "odd")),
    ]
    for act, arguments in acts:
        assert refusal(act, rulebook, PARTNER, *arguments) == ("partner_unknown", "partner")


# -- suspension ------------------------------------------------------------------------------------------------------


def test_one_person_suspends_and_two_let_the_partner_send_again() -> None:
    world = town()
    tools.register(world)
    assert refusal(partnering.propose_resumption, world.rulebook, PARTNER, "alice", "x") == ("wrong_state", "partner")
    tools.suspend(world)
    assert (tools.now(world).suspended, tools.now(world).reason) == (True, "odd readings")
    assert world.rulebook.partners.all[PARTNER].state == "suspended"
    assert refusal(partnering.suspend, world.rulebook, PARTNER, "carol", "odd") == ("wrong_state", "partner")
    proposal = tools.propose_resumption(world)
    assert refusal(partnering.approve, world.rulebook, proposal, "Alice") == ("same_actor", "by")
    assert tools.now(world).suspended
    tools.approve(world, proposal)
    assert (tools.now(world).suspended, tools.now(world).reason) == (False, "")
    assert refusal(partnering.suspend, world.rulebook, PARTNER, "carol", "") == ("reason_malformed", "reason")


def test_a_resumption_that_was_proposed_ends_no_later_suspension() -> None:
    world = town()
    tools.register(world)
    tools.suspend(world)
    early, late = tools.propose_resumption(world), tools.propose_resumption(world)
    tools.approve(world, early)
    tools.suspend(world)
    assert refusal(partnering.approve, world.rulebook, late, "bob") == ("proposal_stale", "proposal")


def test_terms_and_keys_change_while_a_partner_is_suspended_and_it_stays_so() -> None:
    world = town()
    tools.register(world)
    tools.suspend(world)
    tools.approve(world, tools.propose_key(world, 2))
    tools.approve(world, tools.propose_terms(world, Terms((BUS,), None, None)))
    assert (tools.now(world).suspended, tools.now(world).terms.behaviors) == (True, (BUS,))
    tools.approve(world, tools.propose_resumption(world))
    assert (tools.now(world).suspended, tools.now(world).terms.behaviors) == (False, (BUS,))


# -- rows ------------------------------------------------------------------------------------------------------------


def test_rows_of_a_suspended_partner_are_refused_and_of_everybody_else_credited() -> None:
    world = town()
    tools.register(world)
    assert outcomes(world, "t1") == ["credited"]
    tools.suspend(world)
    assert outcomes(world, "t2") == ["partner_suspended"]
    assert outcomes(world, "t2", partner="unregistered") == ["credited"]
    assert outcomes(world, "t3", partner=PARTNER.upper()) == ["credited"]
    tools.approve(world, tools.propose_resumption(world))
    assert outcomes(world, "t2") == ["credited"]
    assert world.replayed().mismatches == []


def test_a_behavior_that_a_partner_may_not_send_is_refused_row_by_row() -> None:
    world = town()
    tools.register(world, PARTNER, "travel.metro")
    assert outcomes(world, "t1", "t2") == ["credited", "credited"]
    assert outcomes(world, "b1", behavior=BUS) == ["behavior_not_allowed"]
    tools.approve(world, tools.propose_terms(world, Terms((BUS,), None, None)))
    assert outcomes(world, "b1", behavior=BUS) == ["credited"]
    assert outcomes(world, "t3") == ["behavior_not_allowed"]
    assert world.replayed().mismatches == []


def test_a_retry_of_a_credited_row_is_a_duplicate_whatever_became_of_the_partner() -> None:
    world = town()
    tools.register(world)
    assert outcomes(world, "t1") == ["credited"]
    tools.approve(world, tools.propose_terms(world, Terms((BUS,), None, None)))
    assert outcomes(world, "t1", "t2") == ["duplicate", "behavior_not_allowed"]
    tools.suspend(world)
    assert outcomes(world, "t1", "t2") == ["duplicate", "partner_suspended"]
    assert codes(world.send(trip("t1", quantity="2"))) == ["conflicting_duplicate"]


def test_what_the_partner_may_send_is_asked_before_anything_else_of_the_row() -> None:
    world = town()
    tools.register(world, PARTNER, BUS)
    assert outcomes(world, "r1", behavior="travel.rocket") == ["behavior_not_allowed"]
    tools.suspend(world)
    assert outcomes(world, "r1", behavior="travel.rocket") == ["partner_suspended"]
    assert outcomes(world, "r1", behavior="travel.rocket", partner="other") == ["unknown_behavior"]


def test_rules_that_are_kept_go_on_saying_what_stood_when_they_were_made() -> None:
    world = town()
    tools.register(world)
    kept = Rules(world.rulebook)
    tools.suspend(world)
    for rules, suspended in ((kept, False), (Rules(world.rulebook), True)):
        standing = rules.standing(PARTNER)
        assert standing is not None
        assert standing.suspended is suspended
    assert kept.standing("nobody") is None


# -- replay ----------------------------------------------------------------------------------------------------------


def test_a_credit_booked_past_a_suspension_or_the_terms_is_found_where_it_stands() -> None:
    world = town()
    outcomes(world, "t0")
    tools.register(world)
    outcomes(world, "t1")
    for act, code in (
        (lambda: tools.suspend(world), "partner_suspended"),
        (lambda: tools.approve(world, tools.propose_terms(world, Terms((BUS,), None, None))), "partner_suspended"),
        (lambda: tools.approve(world, tools.propose_resumption(world)), "behavior_not_allowed"),
    ):
        act()
        assert outcomes(world, f"x{world.size}", partner="not-registered") == ["credited"]
        # What was booked for somebody who might send says now that it was of the partner.
        log = world.altered(world.size - 1, partner=PARTNER)
        assert isinstance(log[-2].event, events.BehaviorCredited)
        (found,) = [each for each in world.replayed(log).mismatches if each.what != "intake"]
        assert (found.position, found.what) == (world.size - 1, code)
        assert (found.booked, found.recomputed) == (f"travel.metro of {PARTNER}", "refused")
    assert world.replayed().mismatches == []
