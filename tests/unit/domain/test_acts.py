"""Signed acts: what is signed follows from the log, whatever is altered is found, and names alone are counted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain import methodology, registering
from domain.actors import person_of
from domain.acts import ACT_EVENTS, ActJudge, WrongAct, fault, rulebook_act, text_of
from domain.digest import sm3_hex
from domain.errors import Corrupt, Rejected
from domain.events import account, actors
from domain.events import rulebook as events
from domain.events.base import NewEvent, Recorded, RulebookEvent
from domain.rulebook import Rulebook
from domain.rulebook_replay import check_rulebook
from infrastructure.gm.sm2 import PyxVerifier
from infrastructure.gm.sm2_format import key_id
from tests.golden.acting_story import BOB, BOB_AGAIN, CAT, Signers
from tests.golden.signing_story import public_of, signed
from tests.golden.stories import told
from tests.unit.domain.documents import metro
from tests.unit.domain.worlds import World, trip

VERIFY = PyxVerifier().verify


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Inside, something is refused with this code and a remedy."""
    with pytest.raises(Rejected) as error:
        yield
    assert (error.value.code, bool(error.value.remedy)) == (code, True)


UNSIGNED = {"dan": 2, "rita": 1, "carl": 1, "paul": 1}
Pinned = Mapping[str, frozenset[bytes]]


@cache
def story() -> tuple[Recorded, ...]:
    return tuple(told("acts").events())


def judged(log: tuple[Recorded, ...], pinned: Pinned | None = None) -> tuple[ActJudge, list[WrongAct]]:
    """Everything in a log: its rulebook, and each account."""
    judge, book = ActJudge(VERIFY, pinned), Rulebook()
    rules = [each for each in log if isinstance(each.event, RulebookEvent)]
    wrong = list(judge.rulebook(rules))
    book.extend(rules)
    streams: dict[UUID, list[Recorded]] = {}
    for each in log:
        if each.event.STREAM == "account":
            streams.setdefault(each.stream, []).append(each)
    for own in streams.values():
        wrong += judge.account(book, own)
    return judge, wrong


def altered(position: int, **facts: Any) -> tuple[Recorded, ...]:
    """The story with one event that says something else."""
    log = list(story())
    each = log[position - 1]
    log[position - 1] = each._replace(event=msgspec.structs.replace(each.event, **facts))
    return tuple(log)


def only(kind: type[Any], place: int = 0) -> Recorded:
    return [each for each in story() if isinstance(each.event, kind)][place]


def signatures() -> list[Recorded]:
    return [each for each in story() if getattr(each.event, "signed", None) is not None]


def test_every_act_of_the_story_is_signed_or_named_as_unsigned() -> None:
    judge, wrong = judged(story())
    assert wrong == []
    assert (judge.signed, judge.wrong, judge.unsigned) == (len(signatures()), 0, UNSIGNED)
    about_partners = {cls for cls in ACT_EVENTS if cls.STREAM == "partner"}
    assert {type(each.event) for each in signatures()} == set(ACT_EVENTS) - about_partners


def test_the_text_names_book_act_object_actor_what_was_shown_and_the_rulebook_position() -> None:
    review = only(events.MethodologyReviewed)
    book = Rulebook()
    book.extend(each for each in story() if isinstance(each.event, RulebookEvent) and each.position < review.position)
    act = rulebook_act(book, review.event)
    assert act is not None
    prefix, _, body = text_of(book, act, review.event.signed.rulebook).partition(b"\0")
    assert prefix == b"carbon-ledger/act/v1"
    assert json.loads(body) == {
        "act": "methodology.review",
        "actor": "bob",
        "book": "town",
        "object": "TRAVEL-METRO@1",
        "rulebook": review.event.signed.rulebook,
        "shown": sm3_hex(only(events.MethodologyDrafted).event.document.encode()),
    }


def test_a_signature_that_was_altered_left_out_or_exchanged_is_found_at_every_act() -> None:
    for each in signatures():
        was, other = each.event.signed, signatures()[0 if each != signatures()[0] else 1].event.signed
        last = was.signature[:-1] + ("0" if was.signature[-1] != "0" else "1")
        for instead, code in (
            (None, "act_unsigned"),
            (msgspec.structs.replace(was, signature=last), "act_signature_wrong"),
            (msgspec.structs.replace(was, signature="no hex"), "act_signature_wrong"),
            (msgspec.structs.replace(was, signature=other.signature), "act_signature_wrong"),
            (msgspec.structs.replace(was, key="0" * 32), "act_signature_wrong"),
            (msgspec.structs.replace(was, rulebook=each.position), "act_stale"),
            (msgspec.structs.replace(was, rulebook=was.rulebook - 1), None),
        ):
            _, wrong = judged(altered(each.position, signed=instead))
            assert [found.position for found in wrong] == [each.position]
            assert code in (None, wrong[0].fault.code)


ALTERATIONS: tuple[tuple[type[Any], int, dict[str, Any], type[Any]], ...] = (
    (events.MethodologyReviewed, 0, {"by": "cat"}, events.MethodologyReviewed),
    (events.MethodologyDrafted, 0, {"document": json.dumps(metro(1, "99"))}, events.MethodologyReviewed),
    (events.MethodologyWithdrawn, 0, {"leave_gap": False}, events.MethodologyWithdrawn),
    (events.WithdrawalProposed, 0, {"by": "mallory", "signed": None}, events.MethodologyWithdrawn),
    (events.DecisionProposed, 0, {"region": "CN"}, events.DecisionApproved),
    (events.DecisionProposed, 0, {"start": "2026-01-01"}, events.DecisionApproved),
    (events.DecisionProposed, 0, {"end": "2030-01-01"}, events.DecisionApproved),
    (events.DecisionProposed, 0, {"leave_gap": True}, events.DecisionApproved),
    (events.DecisionProposed, 0, {"by": "mallory"}, events.DecisionApproved),
    (events.RevisionPlanned, 0, {"plan_digest": "00" * 32}, events.RevisionApproved),
    (actors.ActorKeyRevoked, 0, {"reason": "he asked for it"}, actors.ActorKeyRevoked),
    (account.ErasureRequested, 0, {"ground": "unlawful"}, account.ErasureRequested),
    (account.ErasureRequested, 0, {"ground": "unlawful"}, account.PersonalDataErased),
    (account.PersonalDataErased, 0, {"request": 99}, account.PersonalDataErased),
)


@pytest.mark.parametrize(("kind", "place", "facts", "found_at"), ALTERATIONS)
def test_what_an_actor_was_shown_cannot_be_altered_afterwards(
    kind: type[Any], place: int, facts: dict[str, Any], found_at: type[Any]
) -> None:
    log = altered(only(kind, place).position, **facts)
    _, wrong = judged(log)
    assert type(story()[wrong[-1].position - 1].event) is found_at or found_at in {
        type(story()[each.position - 1].event) for each in wrong
    }
    assert {each.fault.code for each in wrong} == {"act_signature_wrong"}


def test_a_registration_that_its_keys_did_not_sign_is_found() -> None:
    for place, facts in (
        (0, {"possession": "00" * 64}),
        (0, {"possession": "no hex"}),
        (0, {"actor": "mallory"}),
        (2, {"signature_of_replaced": "00" * 64}),
        (2, {"replaces": ""}),
    ):
        position = only(actors.ActorKeyRegistered, place).position
        _, wrong = judged(altered(position, **facts))
        assert (wrong[0].position, wrong[0].name, wrong[0].fault.code) == (
            position,
            "actor.register",
            "actor_key_forged",
        )


def test_a_key_that_somebody_was_told_of_counts_alone() -> None:
    own = {person_of("Bob"): frozenset({public_of(BOB), public_of(BOB_AGAIN)})}
    assert judged(story(), own)[1] == []
    other = {person_of("bob"): frozenset({public_of(BOB_AGAIN)})}
    wrong = judged(story(), other)[1]
    assert {each.fault.code for each in wrong} == {"actor_key_other"}
    assert {each.actor for each in wrong} == {"bob"}
    wrong = judged(story(), {person_of("rita"): frozenset({public_of(CAT)})})[1]
    assert [each.fault.code for each in wrong] == ["act_unsigned"]


def test_a_book_of_signed_acts_takes_no_act_by_name_but_the_approval_of_its_first_key() -> None:
    genesis = story()[0].event
    _, wrong = judged(altered(1, signed_acts=True))
    assert genesis.signed_acts is False
    # The second key had to be approved by the first one's owner.
    assert [(each.name, each.actor) for each in wrong] == [
        ("actor.approve-key", "dan"),
        ("methodology.review", "rita"),
        ("methodology.certify", "carl"),
        ("methodology.publish", "paul"),
    ]
    assert {each.fault.code for each in wrong} == {"act_unsigned"}


def test_before_the_first_event_nothing_has_to_be_signed() -> None:
    review = only(events.MethodologyReviewed).event
    book = Rulebook()
    book.extend(story()[:1])
    assert rulebook_act(book, story()[0].event) is None
    act = rulebook_act(_until(review), review)
    assert act is not None
    assert fault(Rulebook(), act, None, VERIFY, 1) is None
    assert json.loads(text_of(Rulebook(), act, 0).partition(b"\0")[2])["book"] == ""


def _until(event: RulebookEvent) -> Rulebook:
    book = Rulebook()
    book.extend(each for each in story() if isinstance(each.event, RulebookEvent) and each.position <= event.previous)
    return book


def test_a_decision_signed_before_another_one_moved_the_behavior_is_stale() -> None:
    world = World()
    people = Signers(world)
    people.join("bob", BOB)
    name = world.publish(metro())
    early, other = world.propose(name, "2026-05-01"), world.propose(name, "2026-06-01")
    event = events.DecisionApproved(previous=world.rulebook.position, decision=early, by="bob")
    act = rulebook_act(world.rulebook, event)
    assert act is not None
    made = people.signature(act)
    world.approve(other, "cat")
    now = rulebook_act(world.rulebook, msgspec.structs.replace(event, previous=world.rulebook.position))
    assert now is not None
    found = fault(world.rulebook, now, made, VERIFY, world.rulebook.position + 1)
    assert found is not None
    assert found.code == "act_stale"


def registered(world: World, actor: str, number: int, **changes: Any) -> NewEvent:
    text, _ = registering.to_register(world.rulebook, actor, public_of(number))
    own = bytes.fromhex(signed(number, text))
    arguments = {"by": "ann", "possession": own, "of_replaced": b""} | changes
    return registering.register(world.rulebook, actor, public_of(number), verify=VERIFY, **arguments)


def test_a_key_is_one_persons_once_and_approved_by_a_third() -> None:
    world = World()
    world.act(registered(world, "bob", BOB))
    with refused("registration_waits"):
        registered(world, "BOB", CAT)
    with refused("actor_key_known"):
        registered(world, "carl", BOB)
    for who in ("ann", "Bob"):
        with refused("same_actor"):
            registering.approve(world.rulebook, "bob", who)
    world.act(registering.approve(world.rulebook, "bob", "dan"))
    with refused("registration_unknown"):
        registering.approve(world.rulebook, "bob", "dan")
    with refused("actor_key_not_proven"):
        registered(world, "bob", BOB_AGAIN)
    with refused("actor_malformed"):
        registered(world, " ", CAT)


def test_a_registration_that_waits_can_be_ended_and_the_active_key_stays() -> None:
    world = World()
    people = Signers(world)
    people.join("bob", BOB)
    text, _ = registering.to_register(world.rulebook, "bob", public_of(BOB_AGAIN))
    world.act(registered(world, "bob", BOB_AGAIN, of_replaced=bytes.fromhex(signed(BOB, text))))
    keys = world.rulebook.actor_keys
    assert [each.state for each in keys.of("bob")] == ["active", "registered"]
    world.act(registering.revoke(world.rulebook, "bob", "dan", "a mistake"))
    assert [each.state for each in keys.of("bob")] == ["active", "revoked"]
    with refused("actor_key_unknown"):
        registering.revoke(world.rulebook, "bob", "dan", "a mistake", key_id(public_of(BOB_AGAIN)))
    world.act(registering.revoke(world.rulebook, "bob", "dan", "lost", key_id(public_of(BOB))))
    assert keys.active("bob") is None
    assert keys.signs("bob", world.size + 1)
    with refused("reason_malformed"):
        world.act(registered(world, "bob", CAT))
        registering.revoke(world.rulebook, "bob", "dan", " ")


def test_whoever_had_a_key_cannot_act_by_name_once_it_is_revoked() -> None:
    world = World()
    people = Signers(world)
    people.join("bob", BOB)
    name = world.draft(metro())
    world.act(registering.revoke(world.rulebook, "bob", "dan", "lost"))
    world.act(methodology.review(world.rulebook, name, "bob"))
    (wrong,) = judged(tuple(world.events()))[1]
    assert (wrong.position, wrong.fault.code) == (world.size, "act_unsigned")


@pytest.mark.parametrize("by", ["ann", "BOB"])
def test_a_key_that_its_owner_or_registrant_approved_is_a_mismatch_of_the_rulebook(by: str) -> None:
    log = altered(only(actors.ActorKeyApproved).position, by=by)
    found = check_rulebook((each for each in log if isinstance(each.event, RulebookEvent)), {})
    assert ("same_actor", only(actors.ActorKeyApproved).position) in {(wrong.what, wrong.position) for wrong in found}


def test_a_log_with_one_key_twice_cannot_be_read() -> None:
    again = only(actors.ActorKeyRegistered)
    book = Rulebook()
    log = [each for each in story() if isinstance(each.event, RulebookEvent) and each.position <= again.position]
    book.extend(log)
    twice = msgspec.structs.replace(again.event, previous=again.position)
    with pytest.raises(Corrupt) as error:
        book.extend([again._replace(position=again.position + 1, version=2, event=twice)])
    assert error.value.code == "rulebook_unreadable"


def test_whoever_has_a_key_is_not_a_second_person_under_another_spelling() -> None:
    world = World()
    people = Signers(world)
    people.join("bob", BOB)
    name = world.draft(metro())
    new = methodology.review(world.rulebook, name, "ＢＯＢ")
    act = rulebook_act(world.rulebook, new.event)  # type: ignore[arg-type]
    assert act is not None
    found = fault(world.rulebook, act, None, VERIFY, world.rulebook.position + 1)
    assert found is not None
    assert found.code == "act_unsigned"


def test_a_name_that_never_had_a_key_cannot_sign_with_anothers() -> None:
    world = World()
    people = Signers(world)
    people.join("bob", BOB)
    world.introduce(metro())
    world.credited(trip("t1"))
    people.keys["olga"] = BOB
    account_id = people.erase("ann", "olga", "otto")
    wrong = list(ActJudge(VERIFY).account(world.rulebook, world.streams[account_id]))
    assert [(each.name, each.fault.code) for each in wrong] == [("account.erase", "act_signature_wrong")]
