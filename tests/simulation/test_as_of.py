"""The whole book as of any day and any position or time, against a naive fold of the log (DESIGN 3, Balance)."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest

from application import as_of, queries
from application.book import Book
from application.queries import BookTotals
from domain.errors import Corrupt
from domain.events.account import BehaviorCredited, BehaviorReversed, FactorRevised
from domain.events.base import Recorded
from domain.events.registry import encode
from domain.values import day_number
from infrastructure.archive import ParquetArchive, segments
from infrastructure.memory import MemoryJournal
from tests.simulation.small_worlds import small_world

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
WORLDS = 400 if LONG else 20
QUESTIONS = 15
"""In each world; 300 in all."""

HUGE = 2**62 + 12_345


class Fold(NamedTuple):
    """What the oracle says."""

    by_behavior: dict[str, int]
    credits: int
    accounts: int
    digest: str


@dataclass
class Fact:
    """A credit as the oracle sees it."""

    behavior: str
    day: str
    mg: int


@dataclass
class Oracle:
    """Folds the log event by event, one fact a credit; knows nothing of columns, segments or views."""

    log: list[Recorded]
    facts: dict[tuple[UUID, int], Fact] = field(default_factory=dict)

    def at(self, position: int, before: str) -> Fold:
        self.facts = {}
        for each in self.log:
            if each.position <= position:
                self._apply(each)
        sums: dict[tuple[str, str], int] = {}
        credits = 0
        for (account, _), fact in self.facts.items():
            if fact.day < before:
                key = (str(account), fact.behavior)
                sums[key] = sums.get(key, 0) + fact.mg
                credits += 1
        by_behavior: dict[str, int] = {}
        for (_, behavior), mg in sums.items():
            by_behavior[behavior] = by_behavior.get(behavior, 0) + mg
        lines = sorted(f"{account},{behavior},{mg}\n".encode() for (account, behavior), mg in sums.items())
        digest = hashlib.new("sm3", b"".join(lines)).hexdigest()
        return Fold(by_behavior, credits, len({account for account, _ in sums}), digest)

    def _apply(self, each: Recorded) -> None:
        event = each.event
        if isinstance(event, BehaviorCredited):
            self.facts[each.stream, each.version] = Fact(event.behavior, event.day, int(event.credited_mg))
        elif isinstance(event, BehaviorReversed):
            self.facts[each.stream, event.credit].mg = 0
        elif isinstance(event, FactorRevised):
            for line in event.lines:
                self.facts[each.stream, line.credit].mg = int(line.credited_mg)


def said(answer: BookTotals) -> Fold:
    by_behavior = {total.behavior: total.credited_mg for total in answer.behaviors}
    return Fold(by_behavior, answer.credits, answer.accounts, answer.digest)


@dataclass
class Stage:
    """A finished world with an archive beside it."""

    book: Book
    journal: MemoryJournal
    archive: ParquetArchive
    rng: random.Random

    def log(self) -> list[Recorded]:
        return list(self.journal.log(0, self.journal.head().size))

    def ends(self) -> list[int]:
        """Every size that the log has had: a revision of an account is never seen half."""
        return list(self.journal._commit_positions)

    def days(self) -> list[str]:
        days = {each.event.day for each in self.log() if isinstance(each.event, BehaviorCredited)}
        return sorted(days | {"0001-01-01", "9999-12-31"})

    def forge(self, each: Recorded, credited_mg: int) -> None:
        event = msgspec.structs.replace(each.event, credited_mg=str(credited_mg))
        row = self.journal._rows[each.position - 1]
        self.journal._rows[each.position - 1] = row._replace(state=encode(event, each.personal))


def staged(seed: int, folder: Path) -> Stage:
    with pytest.MonkeyPatch.context() as patch:
        world = small_world(seed, patch)
        world.run(24)
    assert isinstance(world.journal, MemoryJournal)
    book = Book(world.journal, world.keys)
    return Stage(book, world.journal, ParquetArchive(folder / f"archive-{seed}", book), random.Random(seed))


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "GROUP_ROWS", 6)


def questions(stage: Stage) -> Iterator[tuple[int, str]]:
    """Positions and days; some by the time at which the ledger knew."""
    ends, days = stage.ends(), stage.days()
    instants = stage.journal._commit_instants
    for number in range(QUESTIONS):
        position = stage.rng.choice(ends)
        if number % 3 == 0:
            at = stage.rng.randrange(instants[0] - 10, instants[-1] + 10)
            known = queries.known_at(stage.book, instant_us=at)
            position = known.position
            assert position == max((end for end, us in zip(ends, instants, strict=True) if us <= at), default=0)
            assert known.provisional == (at > instants[-1])
        yield position, stage.rng.choice(days)


@pytest.mark.parametrize("seed", range(3_000, 3_000 + WORLDS))
def test_the_book_as_of_any_day_and_time_is_what_a_naive_fold_says(seed: int, tmp_path: Path) -> None:
    stage = staged(seed, tmp_path)
    oracle = Oracle(stage.log())
    for position, before in questions(stage):
        answer = as_of.totals(stage.book, stage.archive, position, day_number(before))
        assert answer.position == position
        assert said(answer) == oracle.at(position, before), (position, before)
    assert stage.archive.verify() == []


def test_the_questions_are_not_about_empty_books(tmp_path: Path) -> None:
    """Answers differ from those without the day, and from those without the position."""
    by_day = by_position = zero = 0
    for seed in range(3_000, 3_012):
        stage = staged(seed, tmp_path)
        oracle = Oracle(stage.log())
        for position, before in questions(stage):
            answer = oracle.at(position, before)
            by_day += answer.digest != oracle.at(position, "9999-12-31").digest
            by_position += answer.digest != oracle.at(stage.journal.head().size, before).digest
            zero += any(mg == 0 for mg in answer.by_behavior.values())
    assert (by_day > 50, by_position > 50, zero > 0) == (True, True, True)


def test_of_all_days_it_says_what_the_totals_and_the_account_balances_say(tmp_path: Path) -> None:
    for seed in range(3_100, 3_106):
        with pytest.MonkeyPatch.context() as patch:
            world = small_world(seed, patch)
            world.run(24)
        book = Book(world.journal, world.keys)
        archive = ParquetArchive(tmp_path / str(seed), book)
        size = world.journal.head().size
        for by_ref in (False, True):
            of_views = queries.totals(book, world.views, by_ref=by_ref)
            assert as_of.totals(book, archive, size, day_number("9999-12-31"), by_ref=by_ref) == of_views


@pytest.mark.parametrize("mg", [HUGE, -HUGE, 2**62 - 1, 1 - 2**62, 10**30])
def test_masses_whose_sums_leave_64_bits_are_summed_exactly(
    mg: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the archive's bound every column is regular, beyond it the account is answered from its stream.

    Accounts of both kinds stand in one part.
    """
    monkeypatch.setattr(segments, "GROUP_ROWS", 1 << 16)
    forged = 0
    for seed in range(3_000, 3_006):
        stage = staged(seed, tmp_path)
        # What was reversed or revised must stay as those events say it was.
        touched = {(each.stream, credit) for each in stage.log() for credit in _named(each)}
        ordinary = next(each.stream for each in stage.log() if isinstance(each.event, BehaviorCredited))
        for each in stage.log():
            is_credit = isinstance(each.event, BehaviorCredited) and each.stream != ordinary
            if is_credit and (each.stream, each.version) not in touched:
                stage.forge(each, mg)
                forged += 1
        oracle = Oracle(stage.log())
        for position, before in questions(stage):
            answer = as_of.totals(stage.book, stage.archive, position, day_number(before))
            assert said(answer) == oracle.at(position, before), (position, before)
    assert forged > 9


def _named(each: Recorded) -> list[int]:
    if isinstance(each.event, BehaviorReversed):
        return [each.event.credit]
    return [line.credit for line in each.event.lines] if isinstance(each.event, FactorRevised) else []


def test_an_account_whose_facts_cannot_be_read_stops_the_answer(tmp_path: Path) -> None:
    stage = staged(3_000, tmp_path)
    victim = next(each for each in stage.log() if isinstance(each.event, BehaviorCredited))
    row = stage.journal._rows[victim.position - 1]
    event = msgspec.structs.replace(victim.event, credited_mg="much")
    stage.journal._rows[victim.position - 1] = row._replace(state=encode(event, victim.personal))
    end = stage.journal.head().size
    with pytest.raises(Corrupt, match="unreadable_facts") as raised:
        as_of.totals(stage.book, stage.archive, end, day_number("9999-12-31"))
    assert raised.value.field == str(victim.stream)
    assert as_of.totals(stage.book, stage.archive, victim.position - 1, day_number("9999-12-31")).position


def test_the_archive_follows_the_log_only_as_far_as_a_question_needs(tmp_path: Path) -> None:
    stage = staged(3_003, tmp_path)
    ends = stage.ends()
    middle = ends[len(ends) // 2]
    stage.archive.build(middle)
    as_of.totals(stage.book, stage.archive, middle, day_number("2030-01-01"))
    assert stage.archive.status().position == middle
    as_of.totals(stage.book, stage.archive, middle + 1, day_number("2030-01-01"))
    assert stage.archive.status().position == ends[-1]
