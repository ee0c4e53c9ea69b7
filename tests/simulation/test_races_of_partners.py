"""Races of imports with people who suspend a partner, change its terms and let it send again, on PostgreSQL.

Keeps: whoever wins, no credit stands where its partner might not send it; a reader written from the document alone says
so too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from domain.events.base import Recorded
from domain.events.registry import encode
from interfaces.bootstrap import Ledger
from tests.fixtures.independent_partners import not_to_be_credited
from tests.fixtures.independent_rulebook import Line
from tests.fixtures.ledgers import Server
from tests.simulation.race_book import RaceBook
from tests.simulation.race_processes import Import, PartnerOffice, Work, Writers
from tests.simulation.racing import Answers, check, draw_rows, fresh_book, write_file

SEEDS, CHUNK = 24, 6

pytestmark = pytest.mark.xdist_group("races")


@pytest.fixture(scope="module")
def race_book(server: Server) -> RaceBook:
    return RaceBook(server, "partner_races")


@pytest.fixture(scope="module")
def ledger(race_book: RaceBook) -> Iterator[Ledger]:
    with race_book.ledgers(1) as (opened,):
        yield opened


@pytest.fixture(scope="module")
def writers(race_book: RaceBook) -> Iterator[Writers]:
    with Writers(race_book.settings, 3) as started:
        yield started


def shown(log: list[Recorded]) -> list[Line]:
    return [
        Line(each.position, each.stream, each.version, each.event.TOPIC, 0, json.loads(encode(each.event))["facts"])
        for each in log
    ]


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_credit_stands_where_its_partner_might_not_send_it_whoever_was_first(
    first: int, race_book: RaceBook, ledger: Ledger, writers: Writers, tmp_path: Path
) -> None:
    codes = Counter[str]()
    for seed in range(first, first + CHUNK):
        race_book.restore("begun")
        rng, seen, works = Random(seed), list[tuple[str, ...]](), list[Work]()
        for number in range(2):
            rows = draw_rows(rng, rng.randrange(8, 16), seen)
            works.append(Import(write_file(tmp_path / f"{seed}-{number}.csv", rows), rows, 2 + seed % 3))
        *results, _ = writers.run_in_order(seed, [*works, PartnerOffice(seed, 6)])
        check(ledger, results)
        book = fresh_book(ledger)
        log = list(book.journal.log(0, book.journal.head().size))
        assert not_to_be_credited(shown(log), ()) == []
        codes.update(code for answers in results for code in _codes(answers))
    assert codes["partner_suspended"] > 0
    assert codes["credited"] > 0


def _codes(answers: Answers) -> list[str]:
    assert answers.result is not None
    return [*answers.refused.values(), *["credited"] * answers.result.credited]
