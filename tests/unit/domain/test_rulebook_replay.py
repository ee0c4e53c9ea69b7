"""A rulebook that somebody wrote past its rules: what they refuse is found, where it stands and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from domain import decisions, factors, methodology, registering
from domain.digest import sm3_hex
from domain.events import actors
from domain.events import rulebook as events
from domain.events.base import RulebookEvent
from domain.events.registry import RULEBOOK_TOPICS, TOPICS
from domain.rulebook_replay import check_rulebook
from domain.values import MICROSECONDS_PER_DAY
from tests.fixtures.independent_rulebook import refused_in
from tests.unit.domain.documents import factor_row, metro, power, release
from tests.unit.domain.lawless import Lawless, digest_of, found_in, lines_of, methodology_text
from tests.unit.domain.partner_tools import tell_of_a_partner
from tests.unit.domain.worlds import World, trip

METRO = "TRAVEL-METRO@1"
TWO = "TRAVEL-METRO@2"


# -- what is written past the rules ----------------------------------------------------------------------------------


def another_scale(world: Lawless) -> None:
    world.publish(metro())
    world.draft_anyhow(metro(2, inputs={"quantity": {"unit": "km", "scale": 2, "min": "0.01", "max": "200"}}))


def another_offset(world: Lawless) -> None:
    world.publish(metro())
    world.draft_anyhow(metro(2, utc_offset="+00:00"))


def another_offset_in_another_code(world: Lawless) -> None:
    world.publish(metro())
    world.draft_anyhow(metro(code="RIVAL", utc_offset="+00:00"))


def a_version_twice(world: Lawless) -> None:
    world.draft(metro())
    world.draft_anyhow(metro(rate="9104"))


def a_drafter_without_a_name(world: Lawless) -> None:
    world.draft_anyhow(metro(), by=" ")


def one_person_in_three_spellings(world: Lawless) -> None:
    name = world.draft(metro(), by="li")
    world.step(events.MethodologyReviewed, name, "LI")
    world.step(events.MethodologyCertified, name, "Ｌｉ")


def the_drafter_certifies(world: Lawless) -> None:
    name = world.publish(metro(), upto="reviewed")
    world.step(events.MethodologyCertified, name, "Dora")


def certified_without_a_review(world: Lawless) -> None:
    world.step(events.MethodologyCertified, world.draft(metro()), "carl")


def published_without_a_certificate(world: Lawless) -> None:
    world.step(events.MethodologyPublished, world.publish(metro(), upto="reviewed"), "paul")


def reviewed_again(world: Lawless) -> None:
    world.step(events.MethodologyReviewed, world.publish(metro()), "rita")


def withdrawn_unasked(world: Lawless) -> None:
    world.step(events.MethodologyWithdrawn, world.publish(metro()), "bob", leave_gap=False)


def withdrawn_by_its_proposer(world: Lawless) -> None:
    name = world.publish(metro())
    world.act(methodology.propose_withdrawal(world.rulebook, name, "alice"))
    world.step(events.MethodologyWithdrawn, name, "ALICE", leave_gap=False)


def a_withdrawal_proposed_twice(world: Lawless) -> None:
    name = world.publish(metro())
    world.act(methodology.propose_withdrawal(world.rulebook, name, "alice"))
    world.step(events.WithdrawalProposed, name, "bob")


def a_withdrawal_proposed_of_a_draft(world: Lawless) -> None:
    world.step(events.WithdrawalProposed, world.draft(metro()), "bob")


def a_withdrawal_that_leaves_a_gap(world: Lawless) -> None:
    name = world.introduce(metro())
    world.act(methodology.propose_withdrawal(world.rulebook, name, "alice"))
    world.step(events.MethodologyWithdrawn, name, "bob", leave_gap=False)


def a_withdrawal_during_a_revision(world: Lawless) -> None:
    name, two = world.introduce(metro()), world.publish(metro(2))
    world.act(methodology.propose_withdrawal(world.rulebook, name, "alice"))
    world.approve_run(world.plan(two))
    world.step(events.MethodologyWithdrawn, name, "bob", leave_gap=True)


def a_release_twice(world: Lawless) -> None:
    world.load(release(1, factor_row("0.5")))
    event = world.rulebook.releases["CN-ELEC-AVG", 1]
    facts = {field: getattr(event, field) for field in ("factor_set", "release", "rows", "digest", "by")}
    world.plant(events.FactorReleaseLoaded, "CN-ELEC-AVG", **facts)


def a_release_with_two_rows_of_a_region(world: Lawless) -> None:
    rows = tuple(msgspec.convert(factor_row(value), events.FactorRow) for value in ("0.5", "5"))
    facts = {"factor_set": "CN-ELEC-AVG", "release": 1, "rows": rows, "digest": factors.digest_of(rows), "by": "fred"}
    world.plant(events.FactorReleaseLoaded, "CN-ELEC-AVG", **facts)


def a_decision_for_a_draft(world: Lawless) -> None:
    world.draft(metro())
    world.approve_anyhow(world.propose_anyhow(METRO))


def a_decision_for_a_certified_version(world: Lawless) -> None:
    world.publish(metro(), upto="certified")
    world.approve_anyhow(world.propose_anyhow(METRO))


def a_decision_for_what_was_withdrawn_meanwhile(world: Lawless) -> None:
    decision = world.propose(world.publish(metro()))
    world.withdraw(METRO)
    world.approve_anyhow(decision)


def a_decision_approved_by_its_proposer(world: Lawless) -> None:
    world.approve_anyhow(world.propose(world.publish(metro())), "Alice")


def a_decision_approved_twice(world: Lawless) -> None:
    world.approve_anyhow(world.decide(world.publish(metro())), "bert")


def a_decision_about_the_past(world: Lawless) -> None:
    world.introduce(metro())
    world.approve_anyhow(world.propose(world.publish(metro(2, "9104")), "2026-02-28"))


def a_decision_that_leaves_a_gap(world: Lawless) -> None:
    world.introduce(metro())
    rows = [{"region": "US", "from": None, "to": None, "value": "9104"}]
    world.approve_anyhow(world.propose(world.publish(metro(2, rows)), "2026-05-01"))


def a_decision_during_a_revision(world: Lawless) -> None:
    world.introduce(metro())
    decision = world.propose(world.publish(metro(2)), "2026-05-01")
    world.approve_run(world.plan(TWO))
    world.approve_anyhow(decision)


def a_decision_for_no_region(world: Lawless) -> None:
    world.publish(metro())
    world.propose_anyhow(METRO, region="CN_44")


def a_decision_for_no_day(world: Lawless) -> None:
    world.publish(metro())
    world.propose_anyhow(METRO, "2026-05-01", "2026-05-01")


def a_decision_without_its_factors(world: Lawless) -> None:
    world.propose_anyhow(world.publish(power(1)))


def a_decision_with_factors_that_are_not_loaded(world: Lawless) -> None:
    world.propose_anyhow(world.publish(power(1)), releases={"CN-ELEC-AVG": 1})


def a_plan_for_a_draft(world: Lawless) -> None:
    world.introduce(metro())
    world.plan_anyhow(world.draft(metro(2)))


def a_plan_during_a_revision(world: Lawless) -> None:
    world.introduce(metro())
    world.publish(metro(2))
    world.approve_run(world.plan(TWO))
    world.plan_anyhow(METRO)


def a_plan_that_takes_over_another_code(world: Lawless) -> None:
    world.introduce(metro())
    world.plan_anyhow(world.publish(metro(code="RIVAL")))


def a_plan_of_another_time(world: Lawless) -> None:
    world.publish(metro(2))
    size = world.size
    world.introduce(metro())
    world.plan_anyhow(TWO, as_of=size)


def a_run_approved_by_its_planner(world: Lawless) -> None:
    world.introduce(metro())
    world.publish(metro(2))
    world.approve_run_anyhow(world.plan(TWO), "ALICE")


def a_run_approved_while_another_is_under_way(world: Lawless) -> None:
    world.introduce(metro())
    world.publish(metro(2))
    one, two = world.plan(TWO), world.plan(METRO)
    world.approve_run(one)
    world.approve_run_anyhow(two)


def a_run_approved_after_its_plan_was_overtaken(world: Lawless) -> None:
    world.introduce(metro())
    world.publish(metro(2))
    run = world.plan(TWO)
    world.decide(TWO, "2026-05-01")
    world.approve_run_anyhow(run)


def a_run_completed_unapproved(world: Lawless) -> None:
    world.introduce(metro())
    world.publish(metro(2))
    world.complete_anyhow(world.plan(TWO))


def a_run_completed_twice(world: Lawless) -> None:
    world.introduce(metro())
    world.publish(metro(2))
    world.revise(TWO)
    world.complete_anyhow("R1")


def a_run_completed_with_masses_that_are_no_numbers(world: Lawless) -> None:
    world.introduce(metro())
    world.publish(metro(2))
    run = world.plan(TWO)
    world.approve_run(run)
    world.complete_anyhow(run, before_mg="much")


def a_book_opened_twice(world: Lawless) -> None:
    facts = {"book": "town", "clock": "simulated", "pepper_check": "00", "retention_days": 0}
    world.plant(events.BookOpened, "book", **facts)


def key_facts(world: World, number: int, by: str = "ann") -> dict[str, Any]:
    public_key = bytes([number]) * 64
    _, replaces = registering.to_register(world.rulebook, "bob", public_key)
    key = sm3_hex(public_key)[:32]
    signatures = {"possession": "00" * 64, "signature_of_replaced": "00" * 64 if replaces else ""}
    return {"actor": "bob", "key": key, "public_key": public_key.hex(), "replaces": replaces, "by": by} | signatures


def register(world: World, number: int = 1) -> str:
    """Lawful but for the signatures, which ``acts`` judges."""
    facts = key_facts(world, number)
    event = actors.ActorKeyRegistered(previous=world.rulebook.position, **facts)
    world.append(world.rulebook.record("actor", "bob", event))
    return str(facts["key"])


def a_key_approved_by_its_owner(world: Lawless) -> None:
    key = register(world)
    world.plant(actors.ActorKeyApproved, "bob", actor="bob", key=key, by="Bob")


def a_key_approved_twice(world: Lawless) -> None:
    key = register(world)
    world.act(registering.approve(world.rulebook, "bob", "dan"))
    world.plant(actors.ActorKeyApproved, "bob", actor="bob", key=key, by="dan")


def a_key_registered_while_another_waits(world: Lawless) -> None:
    facts = key_facts(world, 2)
    register(world)
    world.plant(actors.ActorKeyRegistered, "bob", **facts)


def a_key_registered_with_what_is_no_signature(world: Lawless) -> None:
    world.plant(actors.ActorKeyRegistered, "bob", **(key_facts(world, 1) | {"possession": "his word"}))


def a_key_revoked_twice(world: Lawless) -> None:
    key = register(world)
    world.act(registering.revoke(world.rulebook, "bob", "dan", "lost"))
    world.plant(actors.ActorKeyRevoked, "bob", actor="bob", key=key, reason="lost", by="dan")


PLANTED: list[tuple[Callable[[Lawless], None], tuple[str, ...]]] = [
    (another_scale, ("fixed_per_code",)),
    (another_offset, ("fixed_per_code",)),
    (another_offset_in_another_code, ("offset_per_behavior",)),
    (a_version_twice, ("version_exists",)),
    (a_drafter_without_a_name, ("actor_malformed",)),
    (one_person_in_three_spellings, ("same_actor", "same_actor")),
    (the_drafter_certifies, ("same_actor",)),
    (certified_without_a_review, ("wrong_state",)),
    (published_without_a_certificate, ("wrong_state",)),
    (reviewed_again, ("wrong_state",)),
    (withdrawn_unasked, ("withdrawal_not_proposed",)),
    (withdrawn_by_its_proposer, ("same_actor",)),
    (a_withdrawal_proposed_twice, ("withdrawal_already_proposed",)),
    (a_withdrawal_proposed_of_a_draft, ("wrong_state",)),
    (a_withdrawal_that_leaves_a_gap, ("gap_left",)),
    (a_withdrawal_during_a_revision, ("revision_in_progress",)),
    (a_release_twice, ("release_exists",)),
    (a_release_with_two_rows_of_a_region, ("factors_malformed",)),
    (a_decision_for_a_draft, ("wrong_state", "wrong_state")),
    (a_decision_for_a_certified_version, ("wrong_state", "wrong_state")),
    (a_decision_for_what_was_withdrawn_meanwhile, ("wrong_state",)),
    (a_decision_approved_by_its_proposer, ("same_actor",)),
    (a_decision_approved_twice, ("already_approved",)),
    (a_decision_about_the_past, ("use_revision",)),
    (a_decision_that_leaves_a_gap, ("gap_left",)),
    (a_decision_during_a_revision, ("revision_in_progress",)),
    (a_decision_for_no_region, ("region_malformed",)),
    (a_decision_for_no_day, ("period_malformed",)),
    (a_decision_without_its_factors, ("release_missing",)),
    (a_decision_with_factors_that_are_not_loaded, ("release_unknown",)),
    (a_plan_for_a_draft, ("wrong_state",)),
    (a_plan_during_a_revision, ("revision_in_progress",)),
    (a_plan_that_takes_over_another_code, ("other_code",)),
    (a_plan_of_another_time, ("plan_stale",)),
    (a_run_approved_by_its_planner, ("same_actor",)),
    (a_run_approved_while_another_is_under_way, ("revision_in_progress",)),
    (a_run_approved_after_its_plan_was_overtaken, ("plan_stale",)),
    (a_run_completed_unapproved, ("wrong_state",)),
    (a_run_completed_twice, ("wrong_state",)),
    (a_run_completed_with_masses_that_are_no_numbers, ("unreadable facts",)),
    (a_book_opened_twice, ("book_open",)),
    (a_key_approved_by_its_owner, ("same_actor",)),
    (a_key_approved_twice, ("registration_unknown",)),
    (a_key_registered_while_another_waits, ("registration_waits",)),
    (a_key_registered_with_what_is_no_signature, ("unreadable facts",)),
    (a_key_revoked_twice, ("actor_key_unknown",)),
]


@pytest.mark.parametrize(("write", "codes"), PLANTED, ids=[write.__name__ for write, _ in PLANTED])
def test_what_the_rules_refuse_is_found_where_it_stands_and_nowhere_else(
    write: Callable[[Lawless], None], codes: tuple[str, ...]
) -> None:
    world = Lawless()
    write(world)
    expected = [(each.stream, each.version, each.position) for each in world.events() if each.position in world.planted]
    found = found_in(world)
    assert [(m.stream, m.version, m.position) for m in found] == expected
    assert tuple(m.what for m in found) == codes
    assert all(m.booked and m.recomputed for m in found)
    assert refused_in(lines_of(world, world.events())) == [each.position for each in found]


# -- one fact that says something else -------------------------------------------------------------------------------


def lawful() -> Lawless:
    """Every kind of rulebook event once."""
    world = Lawless()
    world.load(release(1, factor_row("0.5")))
    world.introduce(power(1), "2026-03-01", releases={"CN-ELEC-AVG": 1})
    world.introduce(metro())
    world.publish(metro(2, "40"))
    world.credited(trip("t1"))
    world.revise(TWO)
    register(world)
    world.act(registering.approve(world.rulebook, "bob", "dan"))
    world.act(registering.revoke(world.rulebook, "bob", "dan", "lost"))
    tell_of_a_partner(world)
    world.withdraw(METRO)
    return world


def test_a_lawful_rulebook_with_every_kind_of_event_is_decided_again_as_it_stands() -> None:
    world = lawful()
    kinds = {type(each.event) for each in world.events() if isinstance(each.event, RulebookEvent)}
    assert kinds == {TOPICS[topic] for topic in RULEBOOK_TOPICS}
    assert found_in(world) == []
    assert refused_in(lines_of(world, world.events())) == []


FORGED: list[tuple[type[Any], dict[str, Any], str]] = [
    (events.BookOpened, {"retention_days": -1}, "retention_malformed"),
    (events.MethodologyDrafted, {"digest": "0" * 64}, "digest"),
    (events.MethodologyDrafted, {"document": methodology_text(metro(2, "41"))}, "digest"),
    (events.FactorReleaseLoaded, {"digest": "0" * 64}, "digest"),
    (events.DecisionProposed, {"by": ""}, "actor_malformed"),
    (events.RevisionPlanned, {"as_of": 10_000}, "as_of"),
    (events.RevisionPlanned, {"behavior_position": 1}, "behavior_position"),
    (events.RevisionApproved, {"plan_digest": "0" * 64}, "plan_digest"),
    (events.RevisionCompleted, {"delta_mg": "1"}, "delta_mg"),
    (events.RevisionCompleted, {"after_mg": "072000", "before_mg": "72000", "delta_mg": "0"}, "after_mg"),
    (actors.ActorKeyRegistered, {"signature_of_replaced": "00"}, "signature_of_replaced"),
    (actors.ActorKeyApproved, {"actor": "Bob"}, "actor"),
    (actors.ActorKeyRevoked, {"reason": ""}, "reason_malformed"),
]


@pytest.mark.parametrize(("kind", "changes", "what"), FORGED)
def test_a_fact_that_its_rule_does_not_give_is_named(kind: type[Any], changes: dict[str, Any], what: str) -> None:
    world = lawful()
    log = world.forged(kind, **changes)
    (found,) = [m for m in found_in(world, log) if m.position == world.planted[0]]
    assert found.what == what
    assert world.planted[0] in refused_in(lines_of(world, log))


def test_a_document_in_another_spelling_is_told_by_its_digest() -> None:
    world = Lawless()
    text = json.dumps(metro(), ensure_ascii=False)
    world.draft_anyhow(metro(), text=text)
    found = {m.what: m for m in found_in(world)}
    assert set(found) == {"document", "digest"}
    assert found["document"].booked == f"a text of SM3 {digest_of(text)}"


def test_a_draft_in_the_stream_of_another_version_is_found() -> None:
    world = Lawless()
    text = methodology_text(metro())
    facts = {"code": "TRAVEL-METRO", "version": 2, "document": text, "digest": digest_of(text), "by": "dora"}
    world.plant(events.MethodologyDrafted, TWO, **facts)
    assert [m.what for m in found_in(world)] == ["stream", "version"]


def test_a_decision_that_names_another_number_is_found() -> None:
    world = Lawless()
    world.publish(metro())
    world.propose_anyhow(METRO, decision="D7")
    assert [m.what for m in found_in(world)] == ["stream", "decision"]


def test_what_was_decided_wrongly_does_not_spread_to_what_was_decided_on_it() -> None:
    world = Lawless()
    name = world.draft(metro())
    world.step(events.MethodologyPublished, name, "dora")
    world.decide(name)
    world.credited(trip("t1"))
    world.withdraw(name, leave_gap=True)
    assert [(m.position, m.what) for m in world.replayed().mismatches] == [(world.planted[0], "wrong_state")]


# -- the day of an approval ------------------------------------------------------------------------------------------


def test_the_day_of_an_approval_is_that_of_the_instant_with_which_it_was_recorded() -> None:
    world = Lawless()
    world.introduce(metro())
    decision = world.propose(world.publish(metro(2)), "2026-03-02")
    world.tell("2026-03-02T15:59:59.999999Z")
    world.approve(decision)
    assert found_in(world) == []
    rules = [each for each in world.events() if isinstance(each.event, RulebookEvent)]
    (late,) = check_rulebook(rules, world.times() | {world.size: world.times()[world.size] + 1})
    assert (late.position, late.what) == (world.size, "use_revision")
    assert check_rulebook(rules, world.times() | {world.size: world.times()[world.size] - MICROSECONDS_PER_DAY}) == []


def test_an_approval_whose_time_nobody_knows_cannot_be_decided_again() -> None:
    world = Lawless()
    world.introduce(metro())
    rules = [each for each in world.events() if isinstance(each.event, RulebookEvent)]
    assert [(m.position, m.what) for m in check_rulebook(rules, {})] == [(world.size, "unreadable facts")]


def test_the_rules_are_those_of_whoever_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay has no second copy of them: a rule that is gone refuses nothing here either."""
    world = Lawless()
    a_decision_about_the_past(world)
    assert [m.what for m in found_in(world)] == ["use_revision"]
    monkeypatch.setattr(decisions, "_refuse_past", lambda *_: None)
    assert found_in(world) == []
