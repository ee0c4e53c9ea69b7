"""Races on PostgreSQL: processes import while others decide, withdraw, revise, freeze and reverse in the middle."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from application import accounts, queries
from application.ports.journal import Append, Appended
from application.ports.views import VIEWS
from domain import crediting as domain_crediting
from domain.account import open_account
from domain.events.base import NewEvent
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.postgres.recorder import JournalRecorder
from interfaces.bootstrap import Ledger
from tests.fixtures.ledgers import Server
from tests.simulation.race_book import RaceBook
from tests.simulation.race_processes import Import, Office, Plant, Work, Writers
from tests.simulation.racing import Answers, check, draw_rows, fresh_book, importer, write_file

FACTOR = 10 if os.environ.get("CARBON_LEDGER_LONG") == "1" else 1
ORDERED, CHUNK = 100 * FACTOR, 10
FREE = 10 * FACTOR
WRITERS = 4

pytestmark = pytest.mark.xdist_group("races")


@pytest.fixture(scope="module")
def race_book(server: Server) -> RaceBook:
    return RaceBook(server, "races")


@pytest.fixture(scope="module")
def ledgers(race_book: RaceBook) -> Iterator[list[Ledger]]:
    with race_book.ledgers(3) as opened:
        yield opened


@pytest.fixture(scope="module")
def writers(race_book: RaceBook) -> Iterator[Writers]:
    with Writers(race_book.settings, WRITERS) as started:
        yield started


def files_of(seed: int, folder: Path, count: int) -> list[tuple[Path, Answers]]:
    """Files that share people and references."""
    rng, seen = Random(seed), list[tuple[str, ...]]()
    files = []
    for number in range(count):
        rows = draw_rows(rng, rng.randrange(6, 16), seen)
        files.append((write_file(folder / f"{seed}-{number}.csv", rows), Answers(rows)))
    return files


def rows_of(files: Sequence[tuple[Path, Answers]]) -> list[Sequence[str]]:
    return [row for _, answers in files for row in answers.rows]


def race_in_order(
    seed: int, race_book: RaceBook, ledger: Ledger, writers: Writers, folder: Path, plant: Plant | None = None
) -> None:
    """One race in which the seed says at every call of the journal which process is next."""
    race_book.restore("begun")
    files = files_of(seed, folder, 2 + seed % 2)
    works: list[Work] = [Import(path, answers.rows, 3 + seed % 4) for path, answers in files]
    if seed % 4 == 2:
        works.append(works[0])  # the same bytes at once
    results = writers.run_in_order(seed, [*works, Office(seed, 9, rows_of(files))], plant)
    check(ledger, results[:-1])


@pytest.mark.parametrize("first", range(0, ORDERED, CHUNK))
def test_every_order_of_processes_leaves_a_right_book(
    first: int, race_book: RaceBook, ledgers: list[Ledger], writers: Writers, tmp_path: Path
) -> None:
    for seed in range(first, first + CHUNK):
        race_in_order(seed, race_book, ledgers[0], writers, tmp_path)


@pytest.mark.parametrize("first", range(0, FREE, 10))
def test_processes_that_run_freely_leave_a_right_book(
    first: int, race_book: RaceBook, ledgers: list[Ledger], writers: Writers, tmp_path: Path
) -> None:
    """Two processes import and two decide, while the views follow or are rebuilt."""
    for seed in range(first, first + 10):
        race_book.restore("begun")
        files = files_of(seed, tmp_path, 2)
        works: list[Work] = [Import(path, answers.rows, 3 + seed % 3) for path, answers in files]
        works += [Office(seed * 2 + number, 6, rows_of(files)) for number in range(2)]
        results = writers.run_freely(seed, works, follower(ledgers[1], rebuilds=seed % 3 == 0))
        check(ledgers[0], results[:2])


def follower(ledger: Ledger, *, rebuilds: bool) -> Callable[[Callable[[], bool]], None]:
    """Somebody who looks at the views while others write."""

    def follow(all_done: Callable[[], bool]) -> None:
        while not all_done():
            size = ledger.book.journal.head().size
            assert ledger.views.advance(size) >= size
            if rebuilds:
                ledger.views.rebuild(VIEWS)
                assert [each for each in ledger.views.check() if each.differing] == []

    return follow


@pytest.mark.parametrize("seed", range(4 * FACTOR))
def test_of_two_processes_that_import_one_file_at_once_the_second_finds_duplicates(
    seed: int, race_book: RaceBook, ledgers: list[Ledger], writers: Writers, tmp_path: Path
) -> None:
    (path, alone), *_ = files_of(1_000 + seed, tmp_path, 1)
    race_book.restore("begun")
    importer(fresh_book(ledgers[0]), path, alone, 2)()
    expected = queries.totals(fresh_book(ledgers[0]), ledgers[0].views, by_ref=True).digest
    race_book.restore("begun")
    answers = writers.run_freely(seed, [Import(path, alone.rows, 2)] * 2, follower(ledgers[1], rebuilds=False))
    check(ledgers[0], answers)
    assert queries.totals(fresh_book(ledgers[0]), ledgers[0].views, by_ref=True).digest == expected
    assert alone.result is not None
    found = [(each.result.credited, each.result.duplicates) for each in answers]
    credited, duplicates = alone.result.credited, alone.result.duplicates
    assert sorted(found) == [(0, credited + duplicates), (credited, duplicates)]
    assert [each.refused for each in answers] == [alone.refused] * 2


def test_an_append_held_invisible_is_skipped_by_no_view(race_book: RaceBook, ledgers: list[Ledger]) -> None:
    """Whoever comes later waits, so positions become visible in order and no view steps over one."""
    race_book.restore("begun")
    slow, quick, reader = (fresh_book(ledger) for ledger in ledgers[:3])
    views, before = ledgers[2].views, reader.journal.head().size
    opened = NewEvent(uuid4(), 1, *open_account("individual", "slow"))
    with ThreadPoolExecutor(1) as pool:
        with slow.journal.exclusive() as head:
            slow.journal.append(Append([opened], head.rulebook_position))
            later = pool.submit(accounts.open_account, quick, "quick")
            time.sleep(0.2)
            assert not later.done()
            assert reader.journal.head().size == before == views.advance(before)
            assert list(reader.journal.log(before, before + 10)) == []
        assert later.result().position == before + 2
    assert [each.position for each in reader.journal.log(before, before + 10)] == [before + 1, before + 2]
    assert views.advance(before + 2) == before + 2
    assert [each for each in views.check() if each.differing] == []


def _rulebook_not_compared(patch: pytest.MonkeyPatch) -> None:
    right = JournalRecorder._append

    def wrong(self: JournalRecorder, cursor: Any, rows: Any, contents: Any, _: Any, *rest: Any) -> Appended:
        return right(self, cursor, rows, contents, None, *rest)

    patch.setattr(JournalRecorder, "_append", wrong)


def _pending_run_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(domain_crediting, "pending_revision", lambda *_: [])


def _claims_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EventsourcingJournal, "claim", lambda *_: nullcontext(True))


@pytest.mark.parametrize("plant", [_rulebook_not_compared, _pending_run_ignored, _claims_not_kept])
def test_the_races_see_a_mistake_planted_in_the_ledger(
    plant: Plant, race_book: RaceBook, ledgers: list[Ledger], writers: Writers, tmp_path: Path
) -> None:
    for seed in range(60):
        try:
            race_in_order(seed, race_book, ledgers[0], writers, tmp_path, plant)
        except AssertionError:
            return
    pytest.fail("60 races did not see it")
