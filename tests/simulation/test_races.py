"""Races on PostgreSQL: several writers at once, decisions and revisions in the middle. Whoever wins, all is right."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from application import accounts, crediting, queries, revising
from application.ports.journal import Append, Appended
from application.ports.views import VIEWS
from domain import crediting as domain_crediting
from domain.account import open_account
from domain.events.account import BehaviorCredited
from domain.events.base import NewEvent
from infrastructure.postgres.recorder import JournalRecorder
from interfaces.bootstrap import Ledger
from tests.fixtures.ledgers import Server
from tests.simulation.appending import EarlyAppends, LateAppends
from tests.simulation.race_book import RaceBook
from tests.simulation.racing import (
    Answers,
    Turnstile,
    check,
    draw_rows,
    fresh_book,
    import_in_worker,
    importer,
    jitter,
    office,
    pausing_book,
    write_file,
)

FACTOR = 10 if os.environ.get("CARBON_LEDGER_LONG") == "1" else 1
ORDERED, CHUNK = 108 * FACTOR, 12
FREE = 40 * FACTOR
BY_PROCESSES = 30 * FACTOR
WRITERS = 4

pytestmark = pytest.mark.xdist_group("races")


@pytest.fixture(scope="module")
def race_book(server: Server) -> RaceBook:
    return RaceBook(server, "races")


@pytest.fixture(scope="module")
def ledgers(race_book: RaceBook) -> Iterator[list[Ledger]]:
    with race_book.ledgers(WRITERS) as opened:
        yield opened


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessPoolExecutor]:
    """Processes of their own, started once: not forked, so that they share no connection."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


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


def set_limits(seed: int, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(crediting, "SNAPSHOT_EVERY", (2, 5)[seed // 2 % 2])
    patch.setattr(revising, "_LINES_PER_APPEND", (1, 5_000)[seed // 4 % 2])


@pytest.mark.parametrize("first", range(0, ORDERED, CHUNK))
def test_every_order_of_writers_leaves_a_right_book(
    first: int, race_book: RaceBook, ledgers: list[Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(first, first + CHUNK):
        race_in_order(seed, race_book, ledgers, tmp_path, monkeypatch)


def race_in_order(
    seed: int, race_book: RaceBook, ledgers: list[Ledger], folder: Path, patch: pytest.MonkeyPatch
) -> None:
    """One race in which the seed says at every call of the journal who is next."""
    set_limits(seed, patch)
    patch.setattr(crediting, "ThreadPoolExecutor", (LateAppends, EarlyAppends)[seed % 2])
    race_book.restore("begun")
    turnstile = Turnstile(seed)
    books = [pausing_book(ledger, turnstile.pause) for ledger in ledgers]
    files = files_of(seed, folder, 2 + seed % 2)
    works = [importer(book, path, answers, 3 + seed % 4) for book, (path, answers) in zip(books, files, strict=False)]
    turnstile.run([*works, office(books[-1], seed, 9, rows_of(files))])
    check(ledgers[0], [answers for _, answers in files])


@pytest.mark.parametrize("first", range(0, FREE, 10))
def test_writers_that_run_freely_leave_a_right_book(
    first: int, race_book: RaceBook, ledgers: list[Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(first, first + 10):
        set_limits(seed, monkeypatch)
        race_book.restore("begun")
        books = [pausing_book(ledger, jitter(seed * 10 + number)) for number, ledger in enumerate(ledgers)]
        files = files_of(seed, tmp_path, 2)
        works = [importer(book, path, answers, 4) for book, (path, answers) in zip(books, files, strict=False)]
        works += [office(book, seed * 2 + number, 6, rows_of(files)) for number, book in enumerate(books[2:])]
        run_freely(works)
        check(ledgers[0], [answers for _, answers in files])


def run_freely(works: Sequence[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(works)) as pool:
        done = [pool.submit(work) for work in works]
    for each in done:
        each.result()


@pytest.mark.parametrize("first", range(0, BY_PROCESSES, 10))
def test_processes_that_write_at_once_leave_a_right_book(
    first: int, race_book: RaceBook, ledgers: list[Ledger], workers: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """Two other processes import; this one decides and revises, and the views follow or are rebuilt."""
    for seed in range(first, first + 10):
        race_book.restore("begun")
        files = files_of(seed, tmp_path, 2)
        imports = [
            workers.submit(import_in_worker, race_book.settings, path, answers.rows, 3 + seed % 3)
            for path, answers in files
        ]
        book = pausing_book(ledgers[1], jitter(seed))
        follow = follower(ledgers[2], imports, rebuilds=seed % 3 == 0)
        run_freely([office(book, seed, 8, rows_of(files)), follow])
        check(ledgers[0], [each.result() for each in imports])


def follower(ledger: Ledger, imports: Sequence[Future[Answers]], *, rebuilds: bool) -> Callable[[], None]:
    """Somebody who looks at the views while others write."""

    def work() -> None:
        while not all(each.done() for each in imports):
            size = ledger.book.journal.head().size
            assert ledger.views.advance(size) >= size
            if rebuilds:
                ledger.views.rebuild(VIEWS)
                assert [each for each in ledger.views.check() if each.differing] == []

    return work


@pytest.mark.parametrize("seed", range(4 * FACTOR))
def test_one_file_imported_by_two_processes_at_once_is_credited_once(
    seed: int, race_book: RaceBook, ledgers: list[Ledger], workers: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """Both go on with the same intake, so both tell its counts; the book is that of a single import."""
    (path, alone), *_ = files_of(1_000 + seed, tmp_path, 1)
    race_book.restore("begun")
    importer(fresh_book(ledgers[0]), path, alone, 2)()
    expected = queries.totals(fresh_book(ledgers[0]), ledgers[0].views, by_ref=True).digest
    race_book.restore("begun")
    imports = [workers.submit(import_in_worker, race_book.settings, path, alone.rows, 2) for _ in range(2)]
    answers = [each.result() for each in imports]
    check(ledgers[0], answers)
    assert queries.totals(fresh_book(ledgers[0]), ledgers[0].views, by_ref=True).digest == expected
    events = list(ledgers[0].book.journal.log(0, ledgers[0].book.journal.head().size))
    assert alone.result is not None
    assert sum(isinstance(each.event, BehaviorCredited) for each in events) == alone.result.credited
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

    def wrong(self: JournalRecorder, cursor: Any, rows: Any, _: Any, *rest: Any) -> Appended:
        return right(self, cursor, rows, None, *rest)

    patch.setattr(JournalRecorder, "_append", wrong)


def _pending_run_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(domain_crediting, "pending_revision", lambda *_: [])


@pytest.mark.parametrize("plant", [_rulebook_not_compared, _pending_run_ignored])
def test_the_races_see_a_mistake_planted_in_the_ledger(
    plant: Callable[[pytest.MonkeyPatch], None],
    race_book: RaceBook,
    ledgers: list[Ledger],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    for seed in range(60):
        try:
            race_in_order(seed, race_book, ledgers, tmp_path, monkeypatch)
        except AssertionError:
            return
    pytest.fail("60 races did not see it")
