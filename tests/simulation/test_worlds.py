"""Random worlds on the journal in memory, act by act against the model (DESIGN 3)."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain

import pytest

from domain.errors import Corrupt
from domain.events.account import BehaviorCredited, FactorRevised
from tests.simulation.comparing import Disagreement
from tests.simulation.mutants import MUTANTS
from tests.simulation.small_worlds import small_world

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
WORLDS = 6_000 if LONG else 300
CHUNK = 25
ACTS = 24


@pytest.mark.parametrize("seed", [789])
def test_worlds_in_which_they_once_disagreed_stay_settled(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """789: a kept head of somebody who was erased, and had begun anew, made a conflict of her own behaviors."""
    small_world(seed, monkeypatch).run(ACTS)


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_ledger_and_model_agree_on_every_act_of_random_worlds(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(first, first + CHUNK):
        with monkeypatch.context() as patch:
            try:
                small_world(seed, patch).run(ACTS)
            except (AssertionError, Corrupt) as error:
                error.add_note(f"seed {seed}")
                raise


def test_the_worlds_are_dense_where_the_rules_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison of empty worlds would prove nothing."""
    seen: Counter[str] = Counter()
    for seed in range(20):
        with monkeypatch.context() as patch:
            world = small_world(seed, patch)
            world.run(ACTS)
            seen.update(world.happened)
            for each in world.stage.recorded:
                event = each.event
                seen[type(event).__name__] += 1
                if isinstance(event, BehaviorCredited):
                    seen["cut by a cap"] += int(event.credited_mg) < int(event.computed_mg)
                if isinstance(event, FactorRevised):
                    seen["changed lines"] += sum(line.before_mg != line.credited_mg for line in event.lines)
                    seen["equal lines"] += sum(line.before_mg == line.credited_mg for line in event.lines)
    least = {"BehaviorCredited": 400, "cut by a cap": 100, "FactorRevised": 60, "changed lines": 30, "equal lines": 60}
    least |= {
        "RevisionCompleted": 10,
        "BehaviorReversed": 8,
        "PersonalDataErased": 8,
        "Killed": 5,
        "Outage": 5,
        "others acted": 60,
    }
    assert {what: seen[what] for what, count in least.items() if seen[what] < count} == {}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_worlds_see_a_mistake_planted_in_the_ledger(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    for seed in chain([mutant.seen_in], range(200)):
        with monkeypatch.context() as patch:
            world = small_world(seed, patch)
            mutant.plant(patch)
            try:
                world.run(ACTS)
            except (Disagreement, Corrupt):
                return
    pytest.fail(f"200 worlds did not see: {name}")
