"""What every archive promises (``application.ports.archive``), as one suite for each journal it may follow.

Use: a concrete ``Test…`` class overrides the fixtures ``book`` (a book with a history in which revisions, reversals and
freezes occur) and ``forge`` (alters the log behind the ledger's back).
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from application.book import Book
from application.ports.archive import Archive, ArchiveStatus, Names, Rows
from domain.errors import Corrupt, LedgerError, Rejected
from domain.events.account import BehaviorCredited
from domain.events.base import Recorded
from domain.events.registry import ACCOUNT_TOPICS
from infrastructure.archive import ParquetArchive, files, segments
from tests.fixtures.columns import rows_in

Forge = Callable[[Recorded, dict[str, Any]], None]

NUMBERS = [name for name in Rows._fields if name not in ("names", "ids", "account", "digests", *Names.COLUMNS)]
DAMAGES = ("deleted", "cut", "emptied", "grown", "first byte", "any bit")


def plain(parts: Iterable[Rows]) -> list[tuple[Any, ...]]:
    """All rows in words, in the order in which they come."""
    found: list[tuple[Any, ...]] = []
    for rows in parts:
        words = [[rows.names.words[name][code] for code in getattr(rows, name)] for name in Names.COLUMNS]
        numbers = [getattr(rows, name).tolist() for name in NUMBERS]
        accounts = [rows.ids[index] for index in rows.account]
        digests = [rows.digests.get(index) for index in range(len(accounts))]
        found += zip(accounts, *numbers, *words, digests, strict=True)
    return found


def borders(book: Book) -> list[int]:
    """Every size that the log has had."""
    journal = book.journal
    sizes = range(1, journal.head().size + 1)
    instants = journal.recorded_at(list(sizes))
    return [size for size in sizes if journal.position_at(instants[size]) == size]


def damage(path: Path, how: str, rng: random.Random) -> None:
    content = path.read_bytes()
    place = 0 if how == "first byte" else rng.randrange(len(content))
    flipped = content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]
    if how == "deleted":
        path.unlink()
    else:
        cut = {"cut": content[: len(content) // 2], "emptied": b"", "grown": content + b"\n"}
        path.write_bytes(cut.get(how, flipped))


class Killed(BaseException):
    """The process is gone."""


class ArchiveContract:
    """See the module."""

    @pytest.fixture
    def book(self) -> Iterator[Book]:
        raise NotImplementedError

    @pytest.fixture
    def forge(self, book: Book) -> Forge:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _small_groups(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segments, "GROUP_ROWS", 5)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "archive"

    @pytest.fixture
    def archive(self, book: Book, folder: Path) -> Archive:
        return ParquetArchive(folder, book)

    @pytest.fixture
    def built(self, archive: Archive, book: Book) -> ArchiveStatus:
        """An archive of three segments."""
        sizes = borders(book)
        for size in (sizes[len(sizes) // 3], sizes[2 * len(sizes) // 3]):
            archive.build(size)
        return archive.build()

    def test_an_archive_that_was_never_built_is_empty(self, archive: Archive, folder: Path) -> None:
        assert archive.status() == ArchiveStatus(0, [], {}, "", "")
        assert list(archive.rows()) == []
        assert archive.verify() == []
        assert not folder.exists()

    def test_the_archive_says_what_the_log_says(self, archive: Archive, book: Book) -> None:
        status = archive.build()
        found = plain(archive.rows())
        assert found == plain([rows_in(book.journal)])
        assert (status.position, sum(segment.rows for segment in status.segments)) == (
            book.journal.head().size,
            len(found),
        )
        assert archive.verify() == []

    def test_many_small_builds_say_what_one_build_says(self, archive: Archive, book: Book, tmp_path: Path) -> None:
        sizes = borders(book)
        for size in sorted(random.Random(1).sample(sizes, 7)):
            archive.build(size)
            archive.build(size)
        assert len(archive.build().segments) > 3
        other = ParquetArchive(tmp_path / "other", book)
        other.build()
        assert plain(archive.rows()) == plain(other.rows())
        assert archive.verify() == []

    def test_parts_hold_whole_accounts_in_order_and_few_rows(self, archive: Archive, built: ArchiveStatus) -> None:
        parts = list(archive.rows())
        accounts = [account for rows in parts for account in rows.ids]
        assert accounts == sorted(set(accounts))
        assert len(parts) > 1 or len(accounts) == 1
        assert all(sorted(set(rows.account.tolist())) == list(range(len(rows.ids))) for rows in parts)

    def test_small_accounts_share_a_part(self, archive: Archive, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segments, "GROUP_ROWS", 1 << 16)
        archive.build()
        (rows,) = archive.rows()
        assert len(rows.ids) > 3

    def test_rows_up_to_a_position_are_the_rows_of_the_log_up_to_there(
        self, archive: Archive, built: ArchiveStatus, book: Book
    ) -> None:
        for size in [0, *random.Random(2).sample(borders(book), 9), book.journal.head().size + 10]:
            expected = plain([rows_in(book.journal, size)])
            found = list(archive.rows(size))
            assert plain(found) == expected
            assert [account for rows in found for account in rows.ids] == sorted({row[0] for row in expected})

    def test_only_the_columns_that_are_asked_for_are_read(
        self, archive: Archive, built: ArchiveStatus, book: Book
    ) -> None:
        size = borders(book)[len(borders(book)) // 2]
        for asked in (frozenset({"kind", "credited_mg"}), frozenset({"digests", "region"}), frozenset[str]()):
            for rows, all_columns in zip(archive.rows(size, asked), archive.rows(size), strict=True):
                assert list(rows.ids) == list(all_columns.ids)
                assert rows.account.tolist() == all_columns.account.tolist()
                for name in (*NUMBERS, *Names.COLUMNS):
                    column, whole = getattr(rows, name), getattr(all_columns, name)
                    assert column.dtype == whole.dtype
                    assert len(column) == (len(rows.account) if name in asked else 0)
                    if name in NUMBERS and name in asked:
                        assert column.tolist() == whole.tolist()
                assert rows.digests == (all_columns.digests if "digests" in asked else {})

    def test_building_again_without_news_changes_nothing(
        self, archive: Archive, built: ArchiveStatus, folder: Path
    ) -> None:
        before = {path: path.read_bytes() for path in folder.rglob("*.*")}
        assert archive.build() == built
        assert archive.build(built.segments[0].upto) == built
        assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before

    def test_a_build_up_to_the_middle_of_an_append_is_refused(self, archive: Archive, book: Book) -> None:
        size = book.journal.head().size
        inside = sorted(set(range(1, size)) - set(borders(book)))
        for wrong in (inside[0], inside[-1], size + 1, -1):
            with pytest.raises(Rejected, match="position_unknown"):
                archive.build(wrong)
        assert archive.status().position == 0

    def test_the_manifest_names_every_published_version_with_its_digest(
        self, archive: Archive, built: ArchiveStatus, book: Book
    ) -> None:
        rulebook = book.rulebook()
        assert built.methodologies == {
            name: version.digest for name, version in rulebook.methodologies.items() if version.published_at
        }
        assert built.rule == "v1"

    def test_a_rebuild_gives_the_same_digests(self, archive: Archive, built: ArchiveStatus) -> None:
        assert archive.rebuild() == built

    def test_the_first_build_may_be_a_rebuild(self, archive: Archive, book: Book) -> None:
        assert archive.rebuild().position == book.journal.head().size
        assert archive.verify() == []

    @pytest.mark.parametrize("how", DAMAGES)
    def test_damage_to_any_file_is_detected_and_a_rebuild_repairs_it(
        self, how: str, archive: Archive, built: ArchiveStatus, book: Book, folder: Path
    ) -> None:
        expected = plain(archive.rows())
        names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        assert len(names) == 2 * len(built.segments) + 1
        for number, name in enumerate(names):
            damage(folder / name, how, random.Random(number))
            # Whoever opens it now: this one has compared the digests before.
            reader = ParquetArchive(folder, book)
            with pytest.raises(Corrupt, match=r"archive_(file_changed|manifest_broken)"):
                list(reader.rows())
            assert found_by_verify(reader)
            assert reader.rebuild() == built
            assert plain(reader.rows()) == expected
            assert reader.verify() == []

    def test_a_manifest_with_another_border_does_not_mislead_a_rebuild(
        self, archive: Archive, built: ArchiveStatus, book: Book, folder: Path
    ) -> None:
        sizes = borders(book)
        for number, segment in enumerate(built.segments, start=1):
            path = folder / "manifests" / f"{number:08d}.json"
            other = next(size for size in sizes if segment.after < size < segment.upto)
            old, new = f'"upto":{segment.upto}', f'"upto":{other}'
            path.write_text(path.read_text().replace(old, new))
            with pytest.raises(Corrupt, match="archive_manifest_broken"):
                archive.status()
            assert archive.rebuild() == built

    def test_a_file_put_in_the_place_of_another_is_detected(
        self, archive: Archive, built: ArchiveStatus, book: Book, folder: Path
    ) -> None:
        for place in ("segments", "manifests"):
            one, other, *_ = sorted((folder / place).iterdir())
            shutil.copy(one, other)
            with pytest.raises(Corrupt):
                list(ParquetArchive(folder, book).rows())
            archive.rebuild()

    def test_verify_names_the_place_where_the_log_was_altered(
        self, archive: Archive, built: ArchiveStatus, book: Book, forge: Forge
    ) -> None:
        credits = [each for each in _events(book) if isinstance(each.event, BehaviorCredited)]
        for victim in (credits[0], credits[-1]):
            forge(victim, {"credited_mg": str(int(victim.event.credited_mg) + 1)})
            (difference,) = archive.verify()
            assert difference.what == f"account {victim.stream}, position {victim.position}: credited_mg"
            assert (difference.archived, difference.expected) == (
                victim.event.credited_mg,
                str(int(victim.event.credited_mg) + 1),
            )
            assert any(
                segment.name == difference.segment and segment.after < victim.position <= segment.upto
                for segment in built.segments
            )
            forge(victim, {"credited_mg": victim.event.credited_mg})
            assert archive.verify() == []

    def test_verify_sees_every_fact_that_is_altered(
        self, archive: Archive, built: ArchiveStatus, book: Book, forge: Forge
    ) -> None:
        victim = next(each for each in _events(book) if isinstance(each.event, BehaviorCredited))
        others: dict[str, Any] = {
            "behavior": "other",
            "day": "1999-12-31",
            "region": "XX",
            "quantity": "0" + victim.event.quantity,
            "computed_mg": "-1",
            "methodology": "OTHER@1",
            "decision": "D99",
            "rule": "v0",
            "unit": "other",
            "scale": victim.event.scale + 1,
            "consent": 99,
            "partner": "other",
            "intake": 0,
        }
        for name, value in others.items():
            forge(victim, {name: value})
            assert archive.verify(), name
            forge(victim, {name: getattr(victim.event, name)})
        assert archive.verify() == []

    def test_an_archive_that_covers_more_than_the_log_is_not_extended(
        self, archive: Archive, built: ArchiveStatus, monkeypatch: pytest.MonkeyPatch, book: Book
    ) -> None:
        shorter = borders(book)[len(borders(book)) // 2]
        head = book.journal.head()
        monkeypatch.setattr(book.journal, "head", lambda: head._replace(size=shorter))
        with pytest.raises(Corrupt, match="archive_ahead_of_log"):
            archive.build()
        assert archive.verify()

    def test_what_an_interrupted_build_left_is_ignored_and_then_removed(
        self, archive: Archive, built: ArchiveStatus, book: Book, folder: Path
    ) -> None:
        expected = plain(archive.rows())
        left = [
            folder / "segments" / "000000000000009-000000000000010.parquet",
            folder / "segments" / "000000000000009-000000000000010.parquet.unfinished",
            folder / "manifests" / "00000004.json.unfinished",
            folder / "newest.json.unfinished",
        ]
        for path in left:
            path.write_bytes(b"half")
        assert plain(ParquetArchive(folder, book).rows()) == expected
        assert archive.build() == built
        assert not any(path.exists() for path in left)

    @pytest.mark.parametrize("act", ["build", "rebuild"])
    def test_killed_at_any_step_it_can_be_built_again(
        self, act: str, archive: Archive, book: Book, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        middle = borders(book)[len(borders(book)) // 2]
        archive.build(middle)
        expected = plain([rows_in(book.journal)])
        step, finished = 0, False
        while not finished:
            step += 1
            with monkeypatch.context() as patch:
                _kill_at(step, patch)
                try:
                    getattr(archive, act)()
                    finished = True
                except Killed:
                    pass
            found = archive.status()
            assert found.position in (middle, book.journal.head().size)
            assert plain(archive.rows()) == plain([rows_in(book.journal, found.position)])
            archive.build()
            assert plain(archive.rows()) == expected
            assert archive.verify() == []
            shutil.rmtree(folder)
            archive.build(middle)
        assert step > 6

    def test_two_builders_at_once_make_one_chain(self, book: Book, folder: Path) -> None:
        archives = [ParquetArchive(folder, book) for _ in range(4)]
        sizes = borders(book)
        errors: list[BaseException] = []

        def build(archive: Archive) -> None:
            try:
                for size in (sizes[len(sizes) // 2], None):
                    archive.build(size)
            except LedgerError as error:
                errors.append(error)

        threads = [threading.Thread(target=build, args=(archive,)) for archive in archives]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert archives[0].status().position == book.journal.head().size
        assert archives[0].verify() == []
        assert len(list((folder / "segments").iterdir())) == len(archives[0].status().segments) <= 2

    def test_nothing_personal_is_in_any_file(self, archive: Archive, built: ArchiveStatus, book: Book) -> None:
        words = {word for rows in archive.rows() for column in rows.names.words.values() for word in column}
        for each in _events(book):
            if each.personal is not None:
                told = {getattr(each.personal, name) for name in each.personal.__struct_fields__}
                assert not told & words


def found_by_verify(archive: Archive) -> bool:
    try:
        return bool(archive.verify())
    except Corrupt as error:
        return error.code == "archive_manifest_broken"


def _events(book: Book) -> list[Recorded]:
    streams = book.journal.streams(ACCOUNT_TOPICS, book.journal.head().size, personal=True)
    return [each for _, recorded in streams for each in recorded]


def _kill_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Die before the ``step``-th act that makes, names or removes a file."""
    done = 0

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done == step:
                raise Killed
            return function(*arguments, **named)

        return act

    for name in ("__init__", "finish"):
        patch.setattr(files.DurableFile, name, dying(getattr(files.DurableFile, name)))
    for name in ("replace", "unlink", "mkdir"):
        patch.setattr(Path, name, dying(getattr(Path, name)))
    patch.setattr(files, "sync_folder", dying(files.sync_folder))
    patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
