"""What every read side promises (``application.ports.views``), as one suite that each adapter runs.

Use: a concrete ``Test…`` class overrides the fixture ``journal`` and says how views are begun, lost and tampered with.
The judge is ``fold``: a plain fold of the log that shares nothing with the projections.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from application import queries
from application.book import Book
from application.ports.journal import Journal
from application.ports.views import VIEWS, BehaviorTotal, Views
from application.projections.entries import StatementRow
from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.events.account import BehaviorCredited, BehaviorReversed, FactorRevised, RevisedLine
from domain.events.base import NewEvent, Recorded
from domain.values import day_text
from infrastructure.memory import MemoryKeys
from tests.contract.journal_contract import consented, credited, frozen, opened, put_at_last, rule

BEHAVIORS = ("travel.metro", "travel.Bus", "living.online-bill", "living.online_bill")
"""Some that a language's sorting rules would put into another order than their bytes."""

MASSES_MG = (0, 1, 72_000, 2_000_000, 10**30)


class Shown(NamedTuple):
    """All that views show, or should show, of a log."""

    balances: list[tuple[UUID, str, int]]
    totals: list[BehaviorTotal]
    accounts: int

    @property
    def digest(self) -> str:
        return sm3_hex("".join(f"{account},{behavior},{mg}\n" for account, behavior, mg in self.balances).encode())


def fold(log: Iterable[Recorded]) -> Shown:
    """What the views of exactly these events should show."""
    credits: dict[tuple[UUID, int], tuple[str, int]] = {}
    """Behavior and present worth of every credit, by account and version."""
    for stream, version, _, event, _ in log:
        if isinstance(event, BehaviorCredited):
            credits[stream, version] = (event.behavior, int(event.credited_mg))
        elif isinstance(event, BehaviorReversed):
            credits[stream, event.credit] = (credits[stream, event.credit][0], 0)
        elif isinstance(event, FactorRevised):
            for line in event.lines:
                credits[stream, line.credit] = (credits[stream, line.credit][0], int(line.credited_mg))
    balances: dict[tuple[UUID, str], int] = {}
    for (account, _), (behavior, worth) in credits.items():
        balances[account, behavior] = balances.get((account, behavior), 0) + worth
    totals = [
        BehaviorTotal(
            behavior,
            sum(worth for each, worth in credits.values() if each == behavior),
            sum(1 for each, _ in credits.values() if each == behavior),
            sum(1 for _, each in balances if each == behavior),
        )
        for behavior in sorted({behavior for behavior, _ in credits.values()})
    ]
    rows = sorted((account, behavior, mg) for (account, behavior), mg in balances.items())
    return Shown(rows, totals, len({account for account, _ in balances}))


def statement_of(recorded: Iterable[Recorded]) -> list[StatementRow]:
    """The statement of one account, from its stream."""
    rows: list[StatementRow] = []
    credits: dict[int, int] = {}
    row: tuple[str, str, str | None, int, str]
    for stream, version, position, event, _ in recorded:
        if isinstance(event, BehaviorCredited):
            credits[version] = int(event.credited_mg)
            row = ("credited", event.behavior, event.day, credits[version], event.decision)
        elif isinstance(event, BehaviorReversed):
            row = ("reversed", event.behavior, event.day, -credits[event.credit], str(event.credit))
            credits[event.credit] = 0
        elif isinstance(event, FactorRevised):
            change = 0
            for line in event.lines:
                change += int(line.credited_mg) - credits[line.credit]
                credits[line.credit] = int(line.credited_mg)
            row = ("revised", event.behavior, None, change, event.revision)
        else:
            continue
        rows.append(StatementRow(stream, position, version, *row))
    return rows


def shown(views: Views, at: int | None = None) -> Shown:
    """What the views show."""
    return Shown(list(views.balances(at)), views.totals(at), views.accounts(at))


class Town:
    """Writes the life of some accounts of its own to a journal, at random but repeatably."""

    def __init__(self, journal: Journal, seed: int) -> None:
        self._journal = journal
        self._chance = random.Random(seed)
        self._versions: dict[UUID, int] = {}
        self._credits: dict[UUID, dict[int, tuple[str, int, int]]] = {}
        """By account: version of a credit -> behavior, day, worth in mg."""

    def live(self, appends: int) -> int:
        """Append so many times; returns the position of the last event."""
        position = 0
        for _ in range(appends):
            events = [event for _ in range(self._chance.randint(1, 4)) for event in self._happen()]
            position = put_at_last(self._journal, *events).last
            if self._chance.random() < 0.05:
                with self._journal.exclusive():
                    position = rule(self._journal).last
        return position

    def _happen(self) -> list[NewEvent]:
        chance = self._chance.random()
        if chance < 0.15 or not self._versions:
            return self._open()
        account = self._chance.choice(list(self._versions))
        credits = self._credits[account]
        if chance < 0.75 or not credits:
            return [self._next(account, self._credit(account))]
        if chance < 0.85:
            return [self._next(account, self._reversal(account))]
        if chance < 0.95:
            return [self._next(account, revised) for revised in self._revisions(account)]
        return [self._next(account, frozen(account, 0).event)]

    def _open(self) -> list[NewEvent]:
        account = UUID(int=self._chance.getrandbits(128), version=4)
        self._versions[account], self._credits[account] = 2, {}
        return [opened(account), consented(account, 2)]

    def _next(self, account: UUID, event: Any) -> NewEvent:
        self._versions[account] += 1
        return NewEvent(account, self._versions[account], event)

    def _credit(self, account: UUID) -> Any:
        behavior, day = self._chance.choice(BEHAVIORS), 737_000 + self._chance.randrange(400)
        mg = self._chance.choice(MASSES_MG)
        self._credits[account][self._versions[account] + 1] = (behavior, day, mg)
        facts: Any = credited(account, 0, mg=mg, day=day).event
        return BehaviorCredited(
            **{name: getattr(facts, name) for name in facts.__struct_fields__} | {"behavior": behavior}
        )

    def _reversal(self, account: UUID) -> BehaviorReversed:
        version = self._chance.choice(list(self._credits[account]))
        behavior, day, worth = self._credits[account].pop(version)
        return BehaviorReversed(credit=version, behavior=behavior, day=day_text(day), reversed_mg=str(worth), by="ann")

    def _revisions(self, account: UUID) -> list[FactorRevised]:
        """One run over one behavior of the account, in parts of a few lines."""
        behavior = self._chance.choice(sorted({credit[0] for credit in self._credits[account].values()}))
        revision, lines = f"R{self._chance.getrandbits(32)}", []
        for version, (each, day, worth) in self._credits[account].items():
            if each == behavior:
                mg = self._chance.choice(MASSES_MG)
                self._credits[account][version] = (behavior, day, mg)
                lines.append(RevisedLine(version, day_text(day), str(worth), str(mg), str(mg), ""))
        parts = [lines[start : start + 3] for start in range(0, len(lines), 3)]
        return [
            FactorRevised(
                revision=revision,
                behavior=behavior,
                methodology="TRAVEL-METRO@2",
                rule="v1",
                part=number,
                last=number == len(parts),
                lines=tuple(part),
            )
            for number, part in enumerate(parts, start=1)
        ]


class ViewsContract:
    """Tests common to all read sides."""

    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError

    @pytest.fixture
    def views(self, journal: Journal) -> Views:
        return self.begin(journal, page=50)

    def begin(self, journal: Journal, *, page: int) -> Views:
        """Views that show nothing yet, and follow the log in pages of so many positions."""
        raise NotImplementedError

    def lose(self, views: Views, name: str) -> None:
        """Drop a view."""
        raise NotImplementedError

    def tamper(self, views: Views, name: str) -> None:
        """Change one number in one row of a view."""
        raise NotImplementedError

    def test_views_of_an_empty_log_are_empty(self, views: Views) -> None:
        assert views.advance(0) == 0
        assert views.advance(1_000) == 0
        assert shown(views) == shown(views, at=0) == Shown([], [], 0)
        assert views.rebuild(VIEWS) == 0
        assert [(check.rows, check.differing) for check in views.check()] == [(0, 0)] * 3

    def test_views_show_exactly_what_the_log_adds_up_to(self, journal: Journal, views: Views) -> None:
        size = Town(journal, 1).live(120)
        assert views.advance(size) == size
        log = list(journal.log(0, size))
        assert shown(views) == fold(log)
        for account in {each.stream for each in log}:
            assert views.statement(account) == statement_of(journal.stream(account))

    @pytest.mark.parametrize("page", [1, 2, 7, 100, 5_000])
    def test_pages_of_any_size_give_the_same_views(self, journal: Journal, page: int) -> None:
        size, views = Town(journal, 2).live(40), self.begin(journal, page=page)
        chance, position = random.Random(page), 0
        while position < size:
            to = min(size, position + chance.randint(1, 60))
            assert views.advance(to) == to
            position = to
            assert shown(views) == fold(journal.log(0, position))

    def test_advancing_twice_changes_nothing(self, journal: Journal, views: Views) -> None:
        size = Town(journal, 3).live(30)
        views.advance(size)
        before = shown(views)
        assert [views.advance(to) for to in (size, 0, size // 2, size)] == [size] * 4
        assert shown(views) == before

    def test_a_position_that_is_not_recorded_yet_is_not_passed_over(self, journal: Journal, views: Views) -> None:
        town = Town(journal, 4)
        size = town.live(10)
        assert views.advance(size + 1_000) == size
        later = town.live(10)
        assert views.advance(later) == later
        assert shown(views) == fold(journal.log(0, later))

    def test_whoever_wrote_reads_what_he_wrote(self, journal: Journal, views: Views) -> None:
        def write_and_read(seed: int) -> None:
            town = Town(journal, seed)
            for _ in range(8):
                position = town.live(1)
                assert views.advance(position) >= position
                for account in town._versions:
                    assert views.statement(account) == statement_of(journal.stream(account))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write_and_read, range(50, 54)))

    def test_the_book_as_of_any_position_is_the_fold_of_the_log_up_to_it(self, journal: Journal, views: Views) -> None:
        size = Town(journal, 5).live(80)
        views.advance(size)
        for at in {0, 1, size - 1, size, *random.Random(5).sample(range(size), 25)}:
            assert shown(views, at) == fold(journal.log(0, at))

    # Rebuilding

    def test_a_rebuild_equals_the_incremental_views_by_rows_and_digest(self, journal: Journal, views: Views) -> None:
        size = Town(journal, 6).live(60)
        steps: list[int] = []
        views.advance(size)
        book = Book(journal, MemoryKeys())
        before, digest = shown(views), queries.totals(book, views).digest
        assert digest == before.digest == fold(journal.log(0, size)).digest
        rows = {check.view: check.rows for check in views.check()}
        assert views.rebuild(VIEWS, steps.append) == sum(rows.values())
        assert steps == sorted(steps)
        assert 0 < steps[-1] <= size
        assert (shown(views), queries.totals(book, views).digest) == (before, digest)
        assert [(check.rows, check.differing) for check in views.check()] == [(rows[name], 0) for name in VIEWS]

    @pytest.mark.parametrize("name", VIEWS)
    def test_a_rebuild_of_one_view_mends_it_and_leaves_the_others(
        self, journal: Journal, views: Views, name: str
    ) -> None:
        town = Town(journal, 7)
        views.advance(town.live(30))
        for each in VIEWS:
            self.tamper(views, each)
        rows = views.rebuild((name,))
        checks = {check.view: check for check in views.check()}
        assert checks[name].rows == rows
        assert {each for each, check in checks.items() if check.differing} == set(VIEWS) - {name}
        views.rebuild(VIEWS)
        size = town.live(10)
        views.advance(size)
        assert shown(views) == fold(journal.log(0, size))

    def test_a_view_that_does_not_exist_is_refused(self, journal: Journal, views: Views) -> None:
        views.advance(Town(journal, 8).live(5))
        with pytest.raises(Rejected, match="view_unknown"):
            views.rebuild(("account_balance", "account_secrets"))
        assert [check.differing for check in views.check()] == [0, 0, 0]

    @pytest.mark.parametrize("name", VIEWS)
    def test_a_view_may_be_dropped_and_comes_back_by_a_rebuild(self, journal: Journal, views: Views, name: str) -> None:
        town = Town(journal, 9)
        views.advance(town.live(30))
        self.lose(views, name)
        size = town.live(10)
        views.rebuild((name,))
        views.advance(size)
        assert shown(views) == fold(journal.log(0, size))
        assert [check.differing for check in views.check()] == [0, 0, 0]

    @pytest.mark.parametrize("name", VIEWS)
    def test_a_check_finds_one_changed_number(self, journal: Journal, views: Views, name: str) -> None:
        views.advance(Town(journal, 10).live(30))
        self.tamper(views, name)
        found = {check.view: check.differing for check in views.check()}
        assert found == {each: 2 if each == name else 0 for each in VIEWS}

    def test_a_check_compares_at_the_position_shown(self, journal: Journal, views: Views) -> None:
        town = Town(journal, 11)
        position = town.live(20)
        views.advance(position)
        town.live(20)
        assert [check.differing for check in views.check()] == [0, 0, 0]
        views.rebuild(VIEWS)
        assert shown(views) == fold(journal.log(0, position))

    # Many at once

    def test_while_others_write_no_event_is_skipped_or_shown_twice(self, journal: Journal, views: Views) -> None:
        """Several writers and several followers at once; every state seen on the way is the fold of some prefix."""
        seen: list[tuple[int, list[BehaviorTotal], int]] = []
        writing = threading.Event()
        writing.set()

        def write(seed: int) -> None:
            Town(journal, seed).live(25)

        def follow(_: int) -> None:
            while writing.is_set():
                position = views.advance(journal.head().size)
                seen.append((position, views.totals(position), views.accounts(position)))

        _together([(write, seed) for seed in range(20, 23)], [(follow, number) for number in range(2)], writing)
        size = journal.head().size
        views.advance(size)
        log = list(journal.log(0, size))
        assert shown(views) == fold(log)
        assert seen
        for position, totals, accounts in random.Random(0).sample(seen, min(len(seen), 40)):
            expected = fold(log[:position])
            assert (totals, accounts) == (expected.totals, expected.accounts)

    def test_views_are_rebuilt_and_swapped_while_writers_and_readers_go_on(
        self, journal: Journal, views: Views
    ) -> None:
        views.advance(Town(journal, 30).live(30))
        writing = threading.Event()
        writing.set()

        def write(seed: int) -> None:
            Town(journal, seed).live(20)

        def read(_: int) -> None:
            while writing.is_set():
                position = views.advance(journal.head().size)
                assert queries.totals(Book(journal, MemoryKeys()), views, at=position).position == position
                rows = list(views.balances())
                assert rows == sorted(rows)

        def rebuild(number: int) -> None:
            while writing.is_set():
                views.rebuild(VIEWS if number == 0 else (VIEWS[number],))
                assert [check.differing for check in views.check()] == [0, 0, 0]

        followers: list[tuple[Callable[[int], None], int]] = [(read, 0), (rebuild, 0), (rebuild, 1), (rebuild, 2)]
        _together([(write, seed) for seed in (31, 32)], followers, writing)
        size = journal.head().size
        views.advance(size)
        assert shown(views) == fold(journal.log(0, size))

    def test_however_many_threads_ask_at_once_each_gets_its_answer(self, journal: Journal, views: Views) -> None:
        size = Town(journal, 40).live(60)
        with ThreadPoolExecutor(24) as pool:
            assert list(pool.map(views.advance, [size] * 24)) == [size] * 24
        assert shown(views) == fold(journal.log(0, size))


def _together(
    writers: list[tuple[Callable[[int], None], int]],
    followers: list[tuple[Callable[[int], None], int]],
    writing: threading.Event,
) -> None:
    """Run all at once; ``writing`` is cleared when the writers are done, or as soon as anybody fails."""
    with ThreadPoolExecutor(len(writers) + len(followers)) as pool:
        following = [pool.submit(work, argument) for work, argument in followers]
        try:
            for future in as_completed([pool.submit(work, argument) for work, argument in writers]):
                future.result()
        finally:
            writing.clear()
        for future in following:
            future.result()
