"""Erasure where it counts: in the files of a home, and in the backups of it.

Keeps: everything personal of the first book holds one marker, so that one search finds any of it in any encoding; the
base backup is a copy of the database's files without the keys, as an operator may have kept it.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from eventsourcing.postgres import PostgresDatastore

from application import accounts, erasing, queries
from application.importing import import_behaviors
from application.replaying import replay
from domain.account import KINDS
from domain.audit.leaves import content_hash, header, leaf, unpack
from domain.audit.merkle import consistency_path, consistent, subtree_root
from domain.errors import Corrupt, LedgerError, Unavailable
from infrastructure.eventsourcing_journal import EventsourcingJournal
from infrastructure.gm.sm4 import SM4Key
from infrastructure.postgres.account_keys import unwrapped
from interfaces.bootstrap import Ledger, RejectsFile, Settings, behavior_file, initialize, open_ledger
from tests.contract.embedded_postgres_tools import temporary_home
from tests.e2e.cli_tools import HEADER
from tests.fixtures.real_data import REAL_DATA, needs_real_data

MARK = "Qx7J"
ANN, BEN = f"ann-{MARK}-王", f"ben-{MARK}"
CHUNK = 1 << 24

pytestmark = pytest.mark.timeout(900)


def rows(*names: str) -> str:
    """A ride each, by metro."""
    text = "\n".join(
        f"{MARK}-trip-{number},{name},travel.metro,2026-03-01T08:15:{number:02}+08:00,12.350,km,CN-440300"
        for number, name in enumerate(names)
    )
    return f"{HEADER}\n{text}\n"


def found_in(home: Path, pattern: bytes) -> set[bytes]:
    """Whatever matches in any file of a home, as UTF-8 or as UTF-16 of either byte order."""
    wanted, found = re.compile(pattern), set[bytes]()
    for path in home.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        found.update(wanted.findall(str(path.relative_to(home)).encode()))
        with path.open("rb") as file:
            before = b""
            while chunk := file.read(CHUNK):
                data = before + chunk
                for text in (data, data[::2], data[1::2]):
                    found.update(wanted.findall(text))
                before = chunk[-4096:]
    return found


def keep_wal(home: Path) -> None:
    """As a server with an archive of its WAL; and nothing compressed, so that a search would find it."""
    with (home / "postgres" / "data" / "postgresql.conf").open("a") as file:
        file.write("\nwal_keep_size = '1GB'\nwal_compression = off\n")


def copied(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


def import_text(ledger: Ledger, folder: Path, text: str, name: str) -> Any:
    path = folder / name
    path.write_text(text)
    rejects = path.with_suffix(".rejects.csv")
    with RejectsFile(rejects) as sink:
        return import_behaviors(ledger.book, behavior_file(path), "metro-co", opens_accounts=True, rejects=sink)


def journal_of(ledger: Ledger) -> EventsourcingJournal:
    journal = ledger.book.journal
    assert isinstance(journal, EventsourcingJournal)
    return journal


class Told(NamedTuple):
    """What a home tells of two people, and of the book."""

    ann: UUID
    ben: UUID
    names: list[str | None]
    digest: str


class Home(NamedTuple):
    """A home in which two people were known, and one was erased; the backup is from before that."""

    path: Path
    backup: Path
    before: Told


def told(ledger: Ledger, ann: UUID, ben: UUID) -> Told:
    now = queries.known_at(ledger.book)
    names = [queries.show_account(ledger.book, str(each), now).account_ref for each in (ann, ben)]
    return Told(ann, ben, names, queries.totals(ledger.book, ledger.views).digest)


def tell_of_two_people(ledger: Ledger, folder: Path) -> Told:
    """Every way in which something personal comes into a book; whatever is, bears the mark."""
    import_text(ledger, folder, rows(ANN, BEN, ANN), "rides.csv")
    again = rows(ANN, BEN, ANN).replace("12.350", "1.000") + f"{MARK}-bad,{ANN},travel.metro,{MARK},1,km,\n"
    refused = import_text(ledger, folder, again, "again.csv")
    assert refused.rejected_by_code == {"conflicting_duplicate": 3, "malformed": 1}
    book, by = ledger.book, f"clerk of {MARK}"
    for name in (ANN, BEN):
        accounts.grant_consent(
            book, name, scope=("*",), terms_version="1", valid_from=None, valid_to=None, evidence="0" * 64, by=by
        )
        accounts.withdraw_consent(book, name, by, f"{MARK} asked")
        accounts.freeze(book, name, "olga", f"two phones of {MARK}")
        accounts.unfreeze(book, name, "olga", f"{MARK} was right")
        accounts.reverse(book, name, f"{MARK}-trip-{(ANN, BEN).index(name)}", "olga", f"{MARK} rode not", "metro-co")
    accounts.open_account(book, f"shop of {MARK}", KINDS[2])
    accounts.close(book, f"shop of {MARK}", "olga", f"{MARK} left")
    ledger.archive.build()
    return told(ledger, accounts.account_id(book, ANN), accounts.account_id(book, BEN))


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("files")
    with temporary_home() as home:
        initialize(Settings(home=home, dsn=None), retention_days=0)
        keep_wal(home)
        with open_ledger(Settings(home=home, dsn=None)) as ledger:
            before = tell_of_two_people(ledger, folder)
        backup = home.with_name("backup")
        copied(home / "postgres", backup)
        copied(home / "keys", home.with_name("keys of then"))
        with open_ledger(Settings(home=home, dsn=None)) as ledger:
            erasing.request(ledger.book, ANN, "alice", f"letter of {MARK}")
            erasing.approve(ledger.book, ANN, "bob")
            import_text(ledger, folder, rows(BEN, ANN), "resent.csv")
            assert ledger.rewrap() == (2, [])
            replayed = replay(ledger.book)
            assert (replayed.details, replayed.digest) == ([], before.digest)
        yield Home(home, backup, before)


def restored(erased: Home, name: str, keys: Path | None = None) -> Path:
    """Another home: the backup of the database, and today's keys unless others are named."""
    home = erased.path.with_name(name)
    home.mkdir(mode=0o700)
    copied(erased.backup, home / "postgres")
    copied(keys or erased.path / "keys", home / "keys")
    return home


def test_the_search_finds_what_stands_in_clear(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" * 7 + f"x{MARK}-1".encode("utf-16-le"))
    (tmp_path / "b").write_bytes(b"\1" * (CHUNK - 2) + MARK.encode())
    (tmp_path / f"{MARK}-c").write_bytes(b"")
    assert found_in(tmp_path, rf"{MARK}-?.?".encode()) == {f"{MARK}-1".encode(), MARK.encode(), f"{MARK}-c".encode()}


def test_nothing_personal_stands_in_clear_in_any_file_of_a_home_nor_in_a_backup(erased: Home) -> None:
    for place in (erased.path, erased.backup):
        assert found_in(place, MARK.encode() + rb"|metro-co") == {b"metro-co"}


def test_today_the_living_are_read_and_the_erased_are_not(erased: Home) -> None:
    assert erased.before.names == [ANN, BEN]
    with open_ledger(Settings(home=erased.path, dsn=None)) as ledger:
        now = told(ledger, erased.before.ann, erased.before.ben)
        assert now == erased.before._replace(names=[None, BEN])
        personal = [each.personal for each in ledger.book.journal.stream(erased.before.ann, personal=True)]
        assert set(personal) == {None}


def test_the_old_backup_and_todays_keys_open_nothing(erased: Home) -> None:
    """Neither the ledger opens it, nor does any key that is in today's key store."""
    home = restored(erased, "old")
    with open_ledger(Settings(home=home, dsn=None)) as ledger:
        journal = journal_of(ledger)
        for each in (erased.before.ann, erased.before.ben):
            with pytest.raises(Unavailable, match="keys_moved"):
                journal.stream(each, personal=True)
            assert len(journal.stream(each)) > 5
        assert queries.totals(ledger.book, ledger.views).digest == erased.before.digest
        wrapped = dict(journal._fetch("SELECT account_id, wrapped FROM journal.account_keys", ()))
        assert {erased.before.ann, erased.before.ben} <= set(wrapped)
        store = ledger.keys
        assert list(store._content.epochs) == ["2"]
        for kek in (store.kek, store._root):
            for epoch in (1, 2):
                with pytest.raises(LedgerError) as refused:
                    unwrapped(SM4Key(kek.exposed(), epoch), erased.before.ann, bytes(wrapped[erased.before.ann]))
                assert isinstance(refused.value, Corrupt if epoch == 1 else Unavailable)


def test_a_backup_of_the_key_store_from_before_opens_what_was_erased_and_has_to_go_too(erased: Home) -> None:
    """So that the test above proves something: it is the old KEK alone that is missing there."""
    home = restored(erased, "with keys of then", erased.path.with_name("keys of then"))
    with open_ledger(Settings(home=home, dsn=None)) as ledger:
        assert told(ledger, erased.before.ann, erased.before.ben) == erased.before


def test_the_old_backup_with_all_wal_since_and_todays_keys_opens_the_living_alone(erased: Home) -> None:
    home = restored(erased, "recovered")
    data = home / "postgres" / "data"
    shutil.rmtree(data / "pg_wal")
    copied(erased.path / "postgres" / "data" / "pg_wal", data / "pg_wal")
    (data / "recovery.signal").touch()
    with (data / "postgresql.conf").open("a") as file:
        # All of it lies in pg_wal; nobody gets in before it is replayed.
        file.write("restore_command = 'false'\nhot_standby = off\n")
    owner = (data / "PG_VERSION").stat()
    os.chown(data / "recovery.signal", owner.st_uid, owner.st_gid)
    with open_ledger(Settings(home=home, dsn=None)) as ledger:
        assert told(ledger, erased.before.ann, erased.before.ben) == erased.before._replace(names=[None, BEN])
        assert journal_of(ledger).stored.keys.of([erased.before.ann]) == {}
        assert replay(ledger.book).details == []


class Log(NamedTuple):
    """The tree over a log: its leaves, worked out from the stored rows, and the root that the head holds."""

    leaves: list[bytes]
    root: bytes

    def root_of(self, size: int) -> bytes:
        """Of the first so many."""
        return subtree_root(self.leaves[:size])

    def node(self, level: int, index: int) -> bytes:
        return subtree_root(self.leaves[index << level : index + 1 << level])


def log_of(datastore: PostgresDatastore, book: UUID) -> Log:
    with datastore.get_connection() as conn:
        rows = conn.execute(
            "SELECT notification_id, originator_id, originator_version, topic, state, ("
            " SELECT recorded_us FROM journal.log_commits WHERE last_position >= notification_id"
            " ORDER BY last_position LIMIT 1) AS recorded_us FROM journal.ledger_events ORDER BY notification_id"
        ).fetchall()
        head = conn.execute("SELECT root FROM journal.log_head").fetchone()
    assert head is not None
    leaves = [
        leaf(
            header(
                book.bytes,
                row["notification_id"],
                row["originator_id"].bytes,
                row["originator_version"],
                row["topic"],
                row["recorded_us"],
            ),
            content_hash(unpack(bytes(row["state"]))),
        )
        for row in rows
    ]
    return Log(leaves, bytes(head["root"]))


@needs_real_data
def test_erasing_a_hundred_real_accounts_changes_no_total_no_digest_and_no_proof_and_leaves_no_trace() -> None:
    with temporary_home() as home:
        initialize(Settings(home=home, dsn=None), retention_days=0)
        keep_wal(home)
        with open_ledger(Settings(home=home, dsn=None)) as ledger:
            book, journal, views = ledger.book, journal_of(ledger), ledger.views
            file = REAL_DATA / "behaviors_metro.csv"
            import_behaviors(book, behavior_file(file), "metro-co", opens_accounts=True)
            with file.open(encoding="utf-8") as text:
                people = sorted({row["account_ref"] for row in csv.DictReader(text)})
            totals, balances = queries.totals(book, views), list(views.balances())
            log = log_of(journal.datastore, journal.book_id())
            assert log.root == log.root_of(len(log.leaves))
            gone = [p for p in people if journal.find_accounts([book.keys.account(p)])][:100]
            for person in gone:
                erasing.request(book, person, "alice", "a letter")
                erasing.approve(book, person, "bob")
            ledger.rewrap()
            assert replace(queries.totals(book, views), position=totals.position) == totals
            assert list(views.balances()) == balances
            after = log_of(journal.datastore, journal.book_id())
            size = len(log.leaves)
            assert (after.leaves[:size], len(after.leaves)) == (log.leaves, size + 200)
            assert (after.root, after.root_of(size)) == (after.root_of(size + 200), log.root)
            path = consistency_path(size, size + 200, after.node)
            assert consistent(size, size + 200, log.root, after.root, path)
            replayed = replay(book)
            assert (replayed.details, replayed.digest) == ([], totals.digest)
            assert not journal.find_accounts([book.keys.account(person) for person in gone])
        assert not found_in(home, rb"szt:\d+|[A-J]{8,9}(?![A-Za-z])") & {each.encode() for each in people}
        assert not found_in(home, rb"szt:")
