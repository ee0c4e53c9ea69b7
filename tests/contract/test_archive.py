"""The archive's contract, kept over the journal in memory and over PostgreSQL; and real kills of a builder."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from application import initializing
from application.book import Book
from application.ports.archive import CREDITED, FROZEN, LINE, REVERSED, REVISED, row_values
from domain.errors import Corrupt
from domain.events.base import Event, Recorded
from domain.events.registry import encode, encode_part
from infrastructure.archive import ParquetArchive, segments
from infrastructure.memory import MemoryJournal, MemoryKeys
from tests.contract.archive_contract import Forge, borders, plain
from tests.contract.archive_losses_contract import ArchiveLossesContract
from tests.fixtures.columns import rows_in
from tests.fixtures.ledgers import Server
from tests.fixtures.tampering import write_facts
from tests.simulation.race_book import RaceBook
from tests.simulation.small_worlds import set_limits, small_world
from tests.simulation.world import World

SEEDS = (56, 42)
LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
KILLS, WORLDS = (200, 500) if LONG else (25, 25)


def altered(each: Recorded, changes: dict[str, Any]) -> Event:
    event: Event = msgspec.structs.replace(each.event, **changes)
    return event


@cache
def world_in_memory(seed: int) -> Book:
    """Shared by the tests: whoever alters it puts it back."""
    with pytest.MonkeyPatch.context() as patch:
        world = small_world(seed, patch)
        world.run(24)
    return Book(world.journal, world.keys)


class TestOverTheJournalInMemory(ArchiveLossesContract):
    """Random worlds: revisions in parts, reversals, caps, several writers."""

    @pytest.fixture(params=SEEDS)
    def book(self, request: pytest.FixtureRequest) -> Book:
        return world_in_memory(request.param)

    @pytest.fixture
    def forge(self, book: Book) -> Forge:
        journal = book.journal
        assert isinstance(journal, MemoryJournal)

        def forged(each: Recorded, changes: dict[str, Any]) -> None:
            row = journal._rows[each.position - 1]
            journal._rows[each.position - 1] = row._replace(state=encode(altered(each, changes), each.personal))

        return forged


@pytest.fixture(scope="module")
def world_on_postgres(server: Server) -> Iterator[Book]:
    """A random world on a database of its own."""
    race_book = RaceBook(server, "archives", simulated=True)
    with pytest.MonkeyPatch.context() as patch, race_book.ledgers(1) as (ledger,):
        lines = set_limits(SEEDS[0], patch)
        book, clock = ledger.book, ledger.clock
        assert clock is not None
        World(SEEDS[0], book.journal, book.keys, ledger.views, clock.tell, lines).run(24)
        yield book


@pytest.mark.xdist_group("archive on postgres")
class TestOverPostgres(ArchiveLossesContract):
    """The same over the real journal."""

    @pytest.fixture
    def book(self, world_on_postgres: Book) -> Book:
        return Book(world_on_postgres.journal, world_on_postgres.keys)

    @pytest.fixture
    def forge(self, server: Server, book: Book) -> Forge:
        dsn = server.settings("archives").dsn
        assert dsn is not None

        def forged(each: Recorded, changes: dict[str, Any]) -> None:
            with psycopg.connect(dsn.get_secret_value()) as conn:
                conn.execute("SET session_replication_role = replica")
                write_facts(conn, each.position, encode_part(altered(each, changes)))

        return forged


def test_the_worlds_hold_every_kind_of_row() -> None:
    """A comparison of poor books would prove little."""
    seen = {int(kind) for seed in SEEDS for kind in rows_in(world_in_memory(seed).journal).kind}
    assert seen >= {CREDITED, REVERSED, LINE, REVISED, FROZEN}


def test_archive_and_log_agree_in_many_random_worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(100, 100 + WORLDS):
        book = world_in_memory(seed)
        rng = random.Random(seed)
        monkeypatch.setattr(segments, "GROUP_ROWS", rng.choice((1, 3, 20, 1 << 16)))
        archive = ParquetArchive(tmp_path / str(seed), book)
        sizes = borders(book)
        for size in sorted(rng.sample(sizes, min(len(sizes), rng.randrange(6)))):
            archive.build(size)
        archive.build()
        assert plain(archive.rows()) == plain([rows_in(book.journal)]), seed
        until = rng.choice(sizes)
        assert plain(archive.rows(until)) == plain([rows_in(book.journal, until)]), seed
        assert archive.verify() == [], seed


def test_a_builder_killed_at_any_moment_leaves_an_archive_that_can_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked builder goes on until SIGKILL meets it somewhere."""
    book = world_in_memory(SEEDS[0])
    monkeypatch.setattr(segments, "GROUP_ROWS", 5)
    expected = plain([rows_in(book.journal)])
    sizes = borders(book)
    rng = random.Random(5)
    positions = set()
    for kill in range(KILLS):
        archive = ParquetArchive(tmp_path / "archive", book)
        builder = os.fork()
        if builder == 0:
            _build_for_ever(archive, sizes, tmp_path / "archive")
        time.sleep(rng.uniform(0.0, 0.15))
        os.kill(builder, signal.SIGKILL)
        os.waitpid(builder, 0)
        found = archive.status().position
        positions.add(found)
        assert plain(archive.rows()) == plain([rows_in(book.journal, found)]), kill
        archive.build()
        assert plain(archive.rows()) == expected, kill
        assert archive.verify() == [], kill
        shutil.rmtree(tmp_path / "archive")
    assert len(positions) > 3


def _build_for_ever(archive: ParquetArchive, sizes: list[int], folder: Path) -> None:
    try:
        while True:
            for size in sizes:
                archive.build(size)
            archive.rebuild()
            shutil.rmtree(folder)
    finally:
        os._exit(1)


def test_an_archive_of_another_book_is_refused(tmp_path: Path) -> None:
    mine, other = world_in_memory(SEEDS[0]), world_in_memory(SEEDS[1])
    ParquetArchive(tmp_path / "archive", other).build()
    archive = ParquetArchive(tmp_path / "archive", mine)
    for act in (archive.status, archive.build, archive.verify):
        with pytest.raises(Corrupt, match="another book"):
            act()
    archive.rebuild()
    assert plain(archive.rows()) == plain([rows_in(mine.journal)])


def test_a_row_can_be_told_in_words(tmp_path: Path) -> None:
    book = world_in_memory(SEEDS[0])
    archive = ParquetArchive(tmp_path / "archive", book)
    archive.build()
    rows = next(archive.rows())
    index = int((rows.kind == CREDITED).nonzero()[0][0])
    told = row_values(rows, index)
    assert (told["account"], told["position"]) == (str(rows.ids[0]), int(rows.position[index]))
    assert told["behavior"] == rows.names.words["behavior"][rows.behavior[index]]


def test_a_book_without_accounts_has_an_archive_without_rows(tmp_path: Path) -> None:
    book = Book(MemoryJournal(lambda: 0), MemoryKeys())
    initializing.open_book(book, clock="simulated")
    archive = ParquetArchive(tmp_path / "archive", book)
    status = archive.build()
    assert [segment.rows for segment in status.segments] == [0]
    assert list(archive.rows()) == []
    assert archive.verify() == []
