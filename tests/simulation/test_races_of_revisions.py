"""What a revision does to an account depends only on the log up to its approval (DESIGN 3, Revision run).

The same log is continued in every way: applied at once, late, killed in between, twice, by several at once, with
imports, reversals and freezes before, between and after. The lines are always the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from application import accounts, revising
from application.book import Book
from domain.events.rulebook import RevisionCompleted
from interfaces.bootstrap import Ledger
from tests.fixtures.ledgers import Server
from tests.simulation.comparing import booked_lines
from tests.simulation.race_book import RaceBook
from tests.simulation.racing import (
    PARTNER,
    PEOPLE,
    Answers,
    Turnstile,
    check,
    draw_rows,
    fresh_book,
    importer,
    pausing_book,
    suppress_expected,
    write_file,
)
from tests.simulation.stage import Killed

SEEDS = 60 if os.environ.get("CARBON_LEDGER_LONG") == "1" else 6

pytestmark = pytest.mark.xdist_group("races")


@pytest.fixture(scope="module")
def race_book(server: Server) -> RaceBook:
    return RaceBook(server, "revisions")


@pytest.fixture(scope="module")
def ledgers(race_book: RaceBook) -> Iterator[list[Ledger]]:
    with race_book.ledgers(4) as opened:
        yield opened


@dataclass
class Approved:
    """A book with an approved run that is not applied, and what is still going to happen to it."""

    seed: int
    run: str
    ledgers: list[Ledger]
    file: Path
    answers: list[Answers]
    rows: list[tuple[str, ...]]

    def import_more(self, book: Book) -> None:
        answers = Answers(self.rows)
        self.answers.append(answers)
        importer(book, self.file, answers, 3)()

    def meddle(self, book: Book) -> None:
        """Reverse and freeze."""
        rng = Random(self.seed)
        for row in rng.sample(self.rows, 5):
            with suppress_expected():
                accounts.reverse(book, row[1], row[0], "ann", "wrong", PARTNER)
        with suppress_expected():
            accounts.freeze(book, rng.choice(PEOPLE), "ann", "asked")

    def apply(self, book: Book) -> None:
        revising.apply(book, self.run)


def early(given: Approved) -> None:
    book = fresh_book(given.ledgers[0])
    given.apply(book)
    given.import_more(book)
    given.meddle(book)


def late(given: Approved) -> None:
    book = fresh_book(given.ledgers[0])
    given.import_more(book)
    given.meddle(book)
    given.apply(book)


def twice(given: Approved) -> None:
    book = fresh_book(given.ledgers[0])
    given.apply(book)
    given.meddle(book)
    given.apply(fresh_book(given.ledgers[1]))
    given.import_more(book)


def killed(given: Approved) -> None:
    """Dies before every append once, while others go on."""
    others = fresh_book(given.ledgers[1])
    between = iter((given.meddle, given.import_more))
    for calls in range(4, 200, 7):
        left = [calls]

        def die(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        try:
            given.apply(pausing_book(given.ledgers[0], die))
        except Killed:
            doing = next(between, None)
            if doing is not None:
                doing(others)
        else:
            break
    for doing in between:
        doing(others)


def together(given: Approved) -> None:
    turnstile = Turnstile(given.seed)
    one, two, three, four = (pausing_book(ledger, turnstile.pause) for ledger in given.ledgers)
    turnstile.run(
        [
            lambda: given.apply(one),
            lambda: given.apply(two),
            lambda: given.import_more(three),
            lambda: given.meddle(four),
        ]
    )


WAYS: Mapping[str, Callable[[Approved], None]] = {way.__name__: way for way in (early, late, twice, killed, together)}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_lines_of_a_revision_depend_only_on_the_log_up_to_its_approval(
    seed: int, race_book: RaceBook, ledgers: list[Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revising, "_LINES_PER_APPEND", 1)
    race_book.restore("begun")
    seen: list[tuple[str, ...]] = []
    rng = Random(seed)
    first, more = draw_rows(rng, 30, seen), draw_rows(rng, 20, seen)
    answers = Answers(first)
    book = fresh_book(ledgers[0])
    importer(book, write_file(tmp_path / "first.csv", first), answers, 7)()
    name, start = rng.choice(("RIDE@2", "RIDE@3")), rng.choice((None, "2025-01-01"))
    run = revising.plan(book, name, start, None, "ann").revision_id
    revising.approve(book, run, "bob")
    race_book.save("approved")

    results: dict[str, object] = {}
    for way, go_on in WAYS.items():
        race_book.restore("approved")
        given = Approved(seed, run, ledgers, write_file(tmp_path / "more.csv", more), [answers], more)
        go_on(given)
        check(ledgers[0], given.answers)
        log = list(ledgers[0].book.journal.log(0, ledgers[0].book.journal.head().size))
        (completed,) = [each.event for each in log if isinstance(each.event, RevisionCompleted)]
        lines = booked_lines(log, run)
        assert lines, "the run has nothing in scope"
        results[way] = (lines, completed.lines_root, completed.after_mg, completed.accounts)
    assert {way for way, result in results.items() if result != results["early"]} == set()
