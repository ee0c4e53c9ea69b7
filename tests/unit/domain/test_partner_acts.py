"""What people sign about partners, and what keys of partners sign for themselves: whatever is altered is found."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
import pytest

from domain.acts import ACT_EVENTS, ActJudge, WrongAct, rulebook_act
from domain.events import partners as events
from domain.events.base import Recorded, RulebookEvent
from domain.rulebook import Rulebook
from infrastructure.gm.sm2 import PyxVerifier
from infrastructure.gm.sm2_format import key_id
from tests.golden.partner_story import FIRST, METRO_CO
from tests.golden.signing_story import public_of
from tests.golden.stories import told


@cache
def story() -> tuple[Recorded, ...]:
    return tuple(each for each in told("partners").events() if isinstance(each.event, RulebookEvent))


def judged(log: Iterable[Recorded]) -> tuple[ActJudge, list[WrongAct]]:
    judge = ActJudge(PyxVerifier().verify)
    return judge, list(judge.rulebook(log))


def altered(each: Recorded, **facts: Any) -> list[Recorded]:
    """The rulebook with one event that says something else."""
    other = each._replace(event=msgspec.structs.replace(each.event, **facts))
    return [other if one.position == each.position else one for one in story()]


def all_of(kind: type[Any]) -> list[Recorded]:
    return [each for each in story() if isinstance(each.event, kind)]


def test_every_act_about_a_partner_is_signed_or_named_as_unsigned() -> None:
    judge, wrong = judged(story())
    assert wrong == []
    signed = [each for each in story() if getattr(each.event, "signed", None) is not None]
    about_partners = {cls for cls in ACT_EVENTS if cls.STREAM == "partner"}
    assert {type(each.event) for each in signed} == about_partners
    assert judge.signed == len(signed)
    # The approval of the one key, and what he did about the other partner, by name.
    assert judge.unsigned["dan"] == 3


def test_who_approves_is_shown_every_fact_of_the_proposal_and_who_made_it() -> None:
    book, shown = Rulebook(), []
    for each in story():
        act = rulebook_act(book, each.event)
        if isinstance(each.event, events.PartnerProposalApproved) and act is not None:
            proposal = book.partners.proposals[each.event.proposal]
            assert (act.name, act.object, act.since) == ("partner.approve", each.event.proposal, proposal.position)
            shown.append(json.loads(act.content))
        book.extend([each])
    first = public_of(FIRST)
    assert shown[0] == {
        "behaviors": ["travel.metro"],
        "key": key_id(first),
        "partner": METRO_CO,
        "proposal": "P1",
        "proposed_by": "alice",
        "public_key": first.hex(),
        "rows_per_day": 10_000,
        "rows_per_request": 500,
        "topic": "carbon.partner.proposed.v1",
    }
    assert {each["topic"] for each in shown} == {
        cls.TOPIC
        for cls in (
            events.PartnerProposed,
            events.PartnerKeyProposed,
            events.PartnerTermsProposed,
            events.PartnerResumptionProposed,
        )
    }


ALTERATIONS: list[tuple[type[Any], dict[str, Any], type[Any]]] = [
    (events.PartnerProposed, {"behaviors": None}, events.PartnerProposalApproved),
    (events.PartnerProposed, {"rows_per_day": None}, events.PartnerProposalApproved),
    (events.PartnerKeyProposed, {"by": "mallory"}, events.PartnerProposalApproved),
    (events.PartnerTermsProposed, {"rows_per_request": 501}, events.PartnerProposalApproved),
    (events.PartnerResumptionProposed, {"reason": "because"}, events.PartnerProposalApproved),
    (events.PartnerKeyRevoked, {"reason": "because"}, events.PartnerKeyRevoked),
    (events.PartnerSuspended, {"reason": "because"}, events.PartnerSuspended),
    (events.PartnerSuspended, {"by": "dan"}, events.PartnerSuspended),
]


@pytest.mark.parametrize(("kind", "facts", "found_at"), ALTERATIONS)
def test_what_was_decided_about_a_partner_cannot_be_altered_afterwards(
    kind: type[Any], facts: dict[str, Any], found_at: type[Any]
) -> None:
    _, (wrong,) = judged(altered(all_of(kind)[0], **facts))
    assert type(next(each for each in story() if each.position == wrong.position).event) is found_at
    assert wrong.fault.code == "act_signature_wrong"


@pytest.mark.parametrize("kind", [cls for cls in ACT_EVENTS if cls.STREAM == "partner"])
def test_whoever_has_a_key_signs_what_he_does_about_a_partner(kind: type[Any]) -> None:
    _, (wrong,) = judged(altered(all_of(kind)[0], signed=None))
    assert (wrong.actor, wrong.fault.code) == ("cat", "act_unsigned")


@pytest.mark.parametrize("kind", [events.PartnerProposed, events.PartnerKeyProposed])
@pytest.mark.parametrize("facts", [{"possession": "00" * 64}, {"possession": "no hex"}, {"key": "0" * 32}])
def test_a_key_that_did_not_sign_for_itself_is_found(kind: type[Any], facts: dict[str, Any]) -> None:
    each = all_of(kind)[0]
    until = [one for one in altered(each, **facts) if one.position <= each.position]
    _, (wrong,) = judged(until)
    assert (wrong.position, wrong.name, wrong.actor) == (each.position, "partner.propose", "alice")
    assert wrong.fault.code == "partner_key_forged"


def test_a_key_that_signed_for_another_partner_is_found() -> None:
    each = all_of(events.PartnerProposed)[0]
    until = [one for one in altered(each, partner="metro-2") if one.position <= each.position]
    _, (wrong,) = judged(until)
    assert wrong.fault.code == "partner_key_forged"


def test_an_approval_signed_before_the_proposal_was_made_is_stale() -> None:
    approval = all_of(events.PartnerProposalApproved)[0]
    proposal = next(each for each in story() if getattr(each.event, "proposal", "") == approval.event.proposal)
    earlier = msgspec.structs.replace(approval.event.signed, rulebook=proposal.position - 1)
    _, (wrong,) = judged(altered(approval, signed=earlier))
    assert (wrong.position, wrong.fault.code) == (approval.position, "act_stale")
