"""Races on PostgreSQL: several writers at once, decisions and revisions in the middle. Whoever wins, all is right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from application import crediting, revising
from interfaces.bootstrap import Ledger
from tests.fixtures.ledgers import Server
from tests.simulation.appending import EarlyAppends, LateAppends
from tests.simulation.race_book import RaceBook
from tests.simulation.racing import (
    Answers,
    Turnstile,
    check,
    draw_rows,
    importer,
    office,
    pausing_book,
    write_file,
)

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
FACTOR = 10 if LONG else 1
ORDERED, CHUNK = 144 * FACTOR, 12
WRITERS = 4


@pytest.fixture(scope="module")
def race_book(server: Server) -> RaceBook:
    return RaceBook(server, "races")


@pytest.fixture(scope="module")
def ledgers(race_book: RaceBook) -> Iterator[list[Ledger]]:
    with race_book.ledgers(WRITERS) as opened:
        yield opened


def _files(seed: int, folder: Path, count: int) -> list[tuple[Path, Answers]]:
    """Files that share people and references. One in four races has the same file twice."""
    rng, seen = Random(seed), list[tuple[str, ...]]()
    files = []
    for number in range(count):
        rows = draw_rows(rng, rng.randrange(6, 16), seen)
        files.append((write_file(folder / f"{seed}-{number}.csv", rows), Answers(rows)))
    return files


@pytest.mark.parametrize("first", range(0, ORDERED, CHUNK))
def test_every_order_of_writers_leaves_a_right_book(
    first: int, race_book: RaceBook, ledgers: list[Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(first, first + CHUNK):
        monkeypatch.setattr(crediting, "ThreadPoolExecutor", (LateAppends, EarlyAppends)[seed % 2])
        monkeypatch.setattr(crediting, "SNAPSHOT_EVERY", (2, 5)[seed // 2 % 2])
        monkeypatch.setattr(revising, "_LINES_PER_APPEND", (1, 5_000)[seed // 4 % 2])
        race_book.restore("begun")
        turnstile = Turnstile(seed)
        books = [pausing_book(ledger, turnstile.pause) for ledger in ledgers]
        files = _files(seed, tmp_path, 2 + seed % 2)
        works: list[Callable[[], None]] = [
            importer(book, path, answers, 3 + seed % 4) for book, (path, answers) in zip(books, files, strict=False)
        ]
        rows = [row for _, answers in files for row in answers.rows]
        works.append(office(books[-1], seed, 9, rows))
        turnstile.run(works)
        check(ledgers[0], [answers for _, answers in files])
