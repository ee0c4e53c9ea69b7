"""The compiled kernel against the reference on the dense suite, and the proof that the suite meets what it is for."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from domain.events import account as events
from domain.events.base import Recorded
from infrastructure.fast_kernel.kernel import FastKernel
from tests.property.fast_kernel.suite import differences, of_altered_story, of_trap, of_wrong_book, story
from tests.property.fast_kernel.traps import RIGHT
from tests.property.fast_kernel.wrong import WRONG

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
STORIES = 6_000 if LONG else 45
CHUNK = 15

pytestmark = pytest.mark.xdist_group("fast kernel")


@pytest.mark.parametrize("first", range(0, STORIES, CHUNK))
def test_the_compiled_kernel_says_what_the_reference_says_or_hands_over_what_it_must(first: int) -> None:
    assert list(differences(FastKernel, range(first, first + CHUNK))) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_book_with_one_wrong_event_is_wrong_by_the_reference(name: str) -> None:
    assert any(truth.wrong for truth in of_wrong_book(name).truths)


def test_the_stories_are_dense_where_the_rules_meet() -> None:
    """A comparison of empty stories would prove nothing."""
    seen: Counter[str] = Counter()
    for seed in range(30):
        world = story(seed).world
        seen["numbers beyond 63 bits"] += story(seed).wide
        for stream in world.account_streams():
            _count(seen, world.streams[stream])
    least = {"credited": 500, "worth 0": 150, "cut by a cap": 100, "negative": 40, "an earlier year": 20}
    least |= {"lines": 80, "changed": 30, "without a value": 10, "in parts": 3, "revised twice": 8}
    least |= {"reversed": 30, "reversed after a revision": 2, "revised after a reversal": 5, "by a revision": 5}
    least |= {"under another code": 10, "frozen": 3, "consent withdrawn": 3, "numbers beyond 63 bits": 1}
    assert {what: seen[what] for what, count in least.items() if seen[what] < count} == {}


def _count(seen: Counter[str], stream: list[Recorded]) -> None:
    newest, lines = "", Counter[int]()
    turned: set[int] = set()
    for each in stream:
        event = each.event
        if isinstance(event, events.BehaviorCredited):
            computed, credited = int(event.computed_mg), int(event.credited_mg)
            seen["credited"] += 1
            seen["worth 0"] += credited == 0
            seen["cut by a cap"] += credited < computed
            seen["negative"] += computed < 0
            seen["an earlier year"] += event.day[:4] < newest
            seen["by a revision"] += event.decision.startswith("R")
            seen["under another code"] += event.methodology.startswith("DENSE-B")
            newest = max(newest, event.day[:4])
        elif isinstance(event, events.FactorRevised):
            seen["lines"] += len(event.lines)
            seen["changed"] += sum(line.before_mg != line.credited_mg for line in event.lines)
            seen["without a value"] += sum(line.computed_mg is None for line in event.lines)
            seen["in parts"] += event.part > 1
            seen["revised after a reversal"] += bool(turned)
            lines.update(line.credit for line in event.lines)
        elif isinstance(event, events.BehaviorReversed):
            turned.add(event.credit)
            seen["reversed"] += 1
            seen["reversed after a revision"] += event.credit in lines
        seen["frozen"] += isinstance(event, events.AccountFrozen)
        seen["consent withdrawn"] += isinstance(event, events.ConsentWithdrawn)
    seen["revised twice"] += sum(count > 1 for count in lines.values())


def test_half_of_the_alterations_are_wrong_and_half_are_harmless() -> None:
    """Were all wrong, a kernel that proves nothing would pass."""
    truths = [truth for seed in range(30) for question in of_altered_story(seed) for truth in question.truths]
    wrong = sum(bool(truth.wrong) for truth in truths)
    assert 0.3 < wrong / len(truths) < 0.7


def test_every_right_trap_is_proven_by_the_kernel_and_not_handed_over() -> None:
    assert [t.__name__ for t in RIGHT if len(of_trap(t)[0][0].ask(FastKernel).unproven)] == []
