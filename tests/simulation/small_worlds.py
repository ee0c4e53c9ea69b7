"""Worlds on a book in memory, with every limit of the ledger set so small that a small book meets it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest

from application import crediting, revising
from domain import revision
from infrastructure.memory import MemoryJournal, MemoryKeys
from infrastructure.memory_views import MemoryViews
from tests.simulation.appending import EarlyAppends, LateAppends
from tests.simulation.world import World


@dataclass
class ToldClock:
    """A clock that shows what it was told, in microseconds."""

    us: int = 0

    def __call__(self) -> int:
        return self.us

    def tell(self, us: int) -> None:
        self.us = us


def set_limits(seed: int, patch: pytest.MonkeyPatch) -> int:
    """Snapshots, appends and events as small as the seed says; returns the lines per event."""
    lines_per_event = (1, 2, 10_000)[seed % 3]
    patch.setattr(crediting, "SNAPSHOT_EVERY", (2, 3, 100)[seed % 3])
    patch.setattr(revising, "_LINES_PER_APPEND", (1, 3, 5_000)[seed // 3 % 3])
    patch.setattr(revision, "revision_events", partial(revision.revision_events, lines_per_event=lines_per_event))
    patch.setattr(crediting, "ThreadPoolExecutor", (LateAppends, EarlyAppends)[seed % 2])
    return lines_per_event


def small_world(seed: int, patch: pytest.MonkeyPatch) -> World:
    """The world of a seed on a journal in memory."""
    lines_per_event = set_limits(seed, patch)
    clock = ToldClock()
    journal = MemoryJournal(clock)
    return World(seed, journal, MemoryKeys(), MemoryViews(journal, page=7), clock.tell, lines_per_event)
