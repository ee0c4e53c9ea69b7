"""Random worlds on the journal in memory, against the model (DESIGN 3)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

import pytest

from application import crediting, revising
from domain import revision
from infrastructure.memory import MemoryJournal, MemoryKeys, MemoryViews
from tests.simulation.appending import EarlyAppends, LateAppends
from tests.simulation.world import World

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"


@dataclass
class ToldClock:
    """A clock that shows what it was told."""

    us: int = 0

    def __call__(self) -> int:
        return self.us

    def tell(self, us: int) -> None:
        self.us = us


def world(seed: int, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world on a book in memory. Small limits, so that a small book meets them."""
    lines_per_event = (1, 2, 10_000)[seed % 3]
    monkeypatch.setattr(crediting, "SNAPSHOT_EVERY", (2, 3, 100)[seed % 3])
    monkeypatch.setattr(revising, "_LINES_PER_APPEND", (1, 3, 5_000)[seed // 3 % 3])
    whole = revision.revision_events
    monkeypatch.setattr(revision, "revision_events", partial(whole, lines_per_event=lines_per_event))
    monkeypatch.setattr(crediting, "ThreadPoolExecutor", (LateAppends, EarlyAppends)[seed % 2])
    clock = ToldClock()
    journal = MemoryJournal(clock)
    return World(seed, journal, MemoryKeys(), MemoryViews(journal, page=7), clock.tell, lines_per_event)


def test_x(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(int(os.environ.get("N", "100"))):
        with monkeypatch.context() as m:
            try:
                world(seed, m).run(24)
            except BaseException as e:
                e.add_note(f"seed {seed}")
                raise
