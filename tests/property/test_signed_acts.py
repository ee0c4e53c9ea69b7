"""People with and without keys do what they like: whatever was accepted is found right, and nobody acts for another.

A model beside the book knows who has which key; the book may accept an act only as the model says.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest

from application import actors, initializing, methodologies
from application.acts import UNSIGNED, Handed, Signing, TextToSign
from application.book import Book
from application.ports.signer import Signer
from domain.actors import person_of
from domain.acts import ActJudge
from domain.errors import Rejected
from domain.events.actors import ActorKeyRegistered
from domain.rulebook import Rulebook
from infrastructure.gm.sm2 import PyxVerifier, new_sm2_key
from infrastructure.memory import MemoryJournal, MemoryKeys
from tests.unit.domain.documents import metro

SEEDS, STEPS = 12, 60
PEOPLE = ("ann", "Ann", "bob", "ｂｏｂ", "cat", "dan")
VERIFY = PyxVerifier().verify
REFUSALS = {
    "act_unsigned", "act_signature_wrong", "same_actor", "wrong_state", "registration_waits", "registration_unknown",
    "actor_key_known", "actor_key_not_proven", "actor_key_unknown", "withdrawal_already_proposed",
}  # fmt: skip


@cache
def keys() -> tuple[Signer, ...]:
    return tuple(new_sm2_key() for _ in range(60))


class Town:
    """A book, and what its people can do."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.book = Book(MemoryJournal(lambda: 0), MemoryKeys())
        self.signed_acts = bool(seed % 2)
        initializing.open_book(self.book, signed_acts=self.signed_acts)
        self.active: dict[str, Signer] = {}
        self.waiting: dict[str, Signer] = {}
        self.had = set[str]()
        self.drafts = 0

    def step(self) -> str:
        """One attempt; the code of its refusal, or ""."""
        acts = (self.draft, self.register, self.approve_key, self.revoke, *(self.on_version,) * 6)
        try:
            self.draw.choice(acts)()
        except Rejected as error:
            return error.code
        return ""

    def draft(self) -> None:
        self.drafts += 1
        methodologies.import_methodology(self.book, metro(self.drafts), self.draw.choice(PEOPLE))

    def register(self) -> None:
        actor, by, key = self.draw.choice(PEOPLE), self.draw.choice(PEOPLE), self.draw.choice(keys())
        text, replaces = actors.to_register(self.book, actor, key.public_key)
        old = self.draw.choice([*[self.active.get(person_of(actor))] * 4, self.draw.choice(keys())])
        of_replaced = b"" if old is None else old.sign(text)
        actors.register(self.book, actor, key.public_key, by, key.sign(text), of_replaced, VERIFY)
        assert (replaces == "") == (person_of(actor) not in self.active)
        assert not replaces or old is self.active[person_of(actor)]
        self.waiting[person_of(actor)] = key

    def approve_key(self) -> None:
        actor, by = self.draw.choice(PEOPLE), self.draw.choice(PEOPLE)
        signing, signer = self.signing(by, lambda signing: actors.approve(self.book, actor, by, signing))
        self.refused_or(by, signer, lambda: actors.approve(self.book, actor, by, signing), first=not self.had)
        self.active[person_of(actor)] = self.waiting.pop(person_of(actor))
        self.had.add(person_of(actor))

    def revoke(self) -> None:
        actor, by = self.draw.choice(PEOPLE), self.draw.choice(PEOPLE)
        signing, signer = self.signing(by, lambda signing: actors.revoke(self.book, actor, by, "a draw", None, signing))
        act = lambda: actors.revoke(self.book, actor, by, "a draw", None, signing)  # noqa: E731
        self.refused_or(by, signer, act, first=not self.had)
        if self.waiting.pop(person_of(actor), None) is None:
            del self.active[person_of(actor)]

    def on_version(self) -> None:
        do: Any = self.draw.choice(
            [methodologies.review, methodologies.certify, methodologies.publish, methodologies.propose_withdrawal]
        )
        name, by = f"TRAVEL-METRO@{self.draw.randint(1, max(1, self.drafts))}", self.draw.choice(PEOPLE)
        if name not in self.book.rulebook().methodologies:
            return
        signing, signer = self.signing(by, lambda signing: do(self.book, name, by, signing))
        self.refused_or(by, signer, lambda: do(self.book, name, by, signing), first=False)

    def signing(self, by: str, act: Any) -> tuple[Signing, Signer | None]:
        """Nobody signs, or somebody does: here, or elsewhere over the text."""
        signer = self.draw.choice([None, self.draw.choice(keys()), *[self.active.get(person_of(by))] * 3])
        if signer is None:
            return UNSIGNED, None
        if self.draw.random() < 0.5:
            return Signing(VERIFY, signer), signer
        try:
            act(Signing(VERIFY, only_text=True))
        except TextToSign as told:
            return Signing(VERIFY, handed=Handed(signer.sign(told.text), told.seen)), signer
        raise AssertionError("the act was done, though only its text was asked for")

    def refused_or(self, by: str, signer: Signer | None, act: Any, *, first: bool) -> None:
        """The act, which must be refused unless its actor signed, or need not."""
        person, own = person_of(by), self.active.get(person_of(by))
        needed = person in self.had or (self.signed_acts and not first)
        allowed = signer is own is not None or (signer is None and not needed)
        code = ""
        try:
            act()
        except Rejected as error:
            code = error.code
            raise
        finally:
            assert (code in ("act_unsigned", "act_signature_wrong")) <= (not allowed), (by, signer, code)
            assert (code == "") <= allowed, (by, signer)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_an_act_is_accepted_only_as_its_actor_signs_and_the_log_shows_the_same(seed: int) -> None:
    town = Town(seed)
    outcomes = [town.step() for _ in range(STEPS)]
    log = list(town.book.journal.log(0, town.book.journal.head().size))
    judge = ActJudge(VERIFY)
    assert list(judge.rulebook(log)) == []
    signed = [each for each in log if getattr(each.event, "signed", None) is not None]
    assert (judge.signed, judge.wrong) == (len(signed), 0)
    assert {""} < set(outcomes) <= REFUSALS | {""}
    folded = Rulebook()
    folded.extend(log)
    assert {person: key.public_key for person, key in town.active.items()} == {
        person_of(each.actor): each.public_key for each in folded.actor_keys.all.values() if each.state == "active"
    }
    registered = {each.event.key for each in log if isinstance(each.event, ActorKeyRegistered)}
    assert registered == set(folded.actor_keys.all)


def test_the_draws_reach_every_refusal_and_every_kind_of_act() -> None:
    towns = [Town(seed) for seed in range(SEEDS)]
    codes = {town.step() for town in towns for _ in range(STEPS)}
    assert codes == REFUSALS | {""}
