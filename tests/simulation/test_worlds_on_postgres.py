"""Some of the random worlds on the real journal and the real views: they answer as the model does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from interfaces.bootstrap import Ledger
from tests.fixtures.ledgers import Server
from tests.simulation.race_book import RaceBook
from tests.simulation.small_worlds import set_limits
from tests.simulation.world import World

WORLDS = 200 if os.environ.get("CARBON_LEDGER_LONG") == "1" else 12

pytestmark = pytest.mark.xdist_group("races")


@pytest.fixture(scope="module")
def empty_book(server: Server) -> RaceBook:
    return RaceBook(server, "worlds", simulated=True)


@pytest.fixture(scope="module")
def ledger(empty_book: RaceBook) -> Iterator[Ledger]:
    with empty_book.ledgers(1) as (opened,):
        yield opened


@pytest.mark.parametrize("seed", range(10_000, 10_000 + WORLDS))
def test_the_real_journal_and_the_model_agree_on_every_act(
    seed: int, empty_book: RaceBook, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_book.restore("begun")
    lines_per_event = set_limits(seed, monkeypatch)
    assert ledger.clock is not None
    monkeypatch.setattr(ledger.clock, "_told_us", 0)
    World(seed, ledger.book.journal, ledger.book.keys, ledger.views, ledger.clock.tell, lines_per_event).run(18)
