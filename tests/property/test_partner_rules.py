"""Partners at random, lawful and lawless: the domain and a program written from the document never differ.

A model beside the book knows what each partner may send: the domain's standing at every position is the model's.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from domain.events import partners as events
from domain.events.base import RulebookEvent
from domain.partners import Terms
from domain.rulebook import Rulebook
from tests.fixtures.independent_partners import Partners, short
from tests.fixtures.independent_rulebook import refused_in
from tests.unit.domain import partner_tools as tools
from tests.unit.domain.documents import metro
from tests.unit.domain.lawless import Lawless, found_in, lines_of
from tests.unit.domain.test_partner_replay import plant

SEEDS = 120
PEOPLE = ("ann", "Ann", "ben", "ｂｅｎ", "cat")
NAMES = ("metro", "METRO", "bus", "bike")
BEHAVIORS = ("travel.metro", "travel.bus", "travel.rocket")
Q = (None, None, 0, 1, 500)


class Story:
    """What happens to a few partners, mostly as the rules want it."""

    def __init__(self, seed: int) -> None:
        self.rng, self.world = Random(seed), Lawless()
        self.world.publish(metro())
        self.world.publish(metro(code="BUS", behavior="travel.bus"))
        for _ in range(60):
            self.rng.choice((self.register, self.register, self.key, self.terms, self.resume, self.stop, self.revoke))()
            self.approve()

    def some(self, kind: type[Any], **facts: Any) -> None:
        plant(self.world, kind, by=self.rng.choice(PEOPLE), **facts)

    def registered(self) -> str | None:
        names = list(self.world.rulebook.partners.all)
        return self.rng.choice(names) if names else None

    def some_terms(self) -> dict[str, Any]:
        several = sorted(self.rng.sample(BEHAVIORS[: self.rng.choice((2, 2, 2, 3))], self.rng.randrange(3)))
        behaviors = self.rng.choice((None, tuple(several or ("travel.bus",)), tuple(several)))
        return {"behaviors": behaviors, "rows_per_day": self.rng.choice(Q), "rows_per_request": self.rng.choice(Q)}

    def register(self) -> None:
        name = self.rng.choice(NAMES)
        self.some(events.PartnerProposed, partner=name, number=self.rng.randrange(1, 40), **self.some_terms())

    def key(self) -> None:
        name = self.registered()
        if name is not None:
            self.some(events.PartnerKeyProposed, partner=name, number=self.rng.randrange(1, 40))

    def terms(self) -> None:
        name = self.registered()
        if name is not None:
            self.some(events.PartnerTermsProposed, partner=name, **self.some_terms())

    def resume(self) -> None:
        name = self.registered()
        if name is not None and (self.rng.random() < 0.1 or tools.now(self.world, name).suspended):
            self.some(events.PartnerResumptionProposed, partner=name)

    def stop(self) -> None:
        name = self.registered()
        if name is not None:
            self.some(events.PartnerSuspended, partner=name)

    def revoke(self) -> None:
        keys = list(self.world.rulebook.partners.keys.values())
        name = self.registered()
        if name is not None and keys:
            key = self.rng.choice(keys)
            owner = key.partner if self.rng.random() < 0.9 else name
            self.some(events.PartnerKeyRevoked, partner=owner, key=key.key)

    def approve(self) -> None:
        partners = self.world.rulebook.partners
        waiting = partners.waiting() if self.rng.random() < 0.8 else list(partners.proposals.values())
        if waiting and self.rng.random() < 0.8:
            event = self.rng.choice(waiting).event
            # Of a name that is no partner nothing but a registration can be folded.
            if isinstance(event, events.PartnerProposed) or event.partner in partners.all:
                self.some(events.PartnerProposalApproved, partner=event.partner, proposal=event.proposal)


def test_the_domain_and_a_program_written_from_the_document_refuse_the_same_events_about_partners() -> None:
    codes = Counter[str]()
    for seed in range(SEEDS):
        world = Story(seed).world
        found = found_in(world)
        codes.update(each.what for each in found)
        refused = sorted({each.position for each in found})
        assert refused_in(lines_of(world, world.events())) == refused, seed
        codes["lawful"] += len(world.planted) - len(refused)
    wanted = (
        *("same_actor", "wrong_state", "partner_exists", "proposal_stale", "already_approved", "partner_key_known"),
        *("partner_key_unknown", "quota_malformed", "unknown_behavior", "behaviors_malformed", "lawful"),
    )
    assert all(codes[code] > 5 for code in wanted), codes


def test_what_a_partner_might_send_at_a_position_is_what_it_might_send_when_the_log_ended_there() -> None:
    """Looking back from the end of a log says what was said then, and the program from the document says the same."""
    suspended = Counter[bool]()
    for seed in range(0, SEEDS, 10):
        world = Story(seed).world
        whole, so_far, model = world.rulebook, Rulebook(), Partners()
        for each in world.events():
            if not isinstance(each.event, RulebookEvent):
                continue
            so_far.extend([each])
            kind = short(each.event.TOPIC)
            if kind.startswith("partner"):
                (line,) = lines_of(world, [each])
                model.fold(kind, each.position, line.facts)
            for name in (*NAMES, "nobody"):
                then = so_far.partners.standing(name)
                assert whole.partners.standing(name, each.position + 1) == then
                suspended[then is not None and then.suspended] += 1
                for behavior in BEHAVIORS:
                    assert model.may_send(name, behavior) == (then is None or not then.refusal(behavior))
    assert min(suspended.values()) > 50


def test_terms_stand_for_all_rows_or_for_those_of_their_behaviors() -> None:
    world = Lawless()
    world.publish(metro())
    tools.register(world)
    assert tools.now(world).refusal("anything") == ""
    tools.approve(world, tools.propose_terms(world, Terms(("travel.metro",), None, None)))
    assert [tools.now(world).refusal(each) for each in BEHAVIORS] == ["", *["behavior_not_allowed"] * 2]
