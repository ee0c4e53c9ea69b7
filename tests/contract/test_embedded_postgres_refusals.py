"""What the embedded server refuses, and what a person is told: versions, unsafe settings, full disks, lost servers."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from domain.errors import Unavailable
from infrastructure.embedded import safety
from infrastructure.embedded.process import shorten_log
from infrastructure.embedded_postgres import EmbeddedPostgres, check_server_settings, explain, find_binaries
from tests.contract.embedded_postgres_tools import (
    IS_ROOT,
    copied_home,
    embedded,
    kill_servers_below,
    kill_tree,
    query,
    refusal,
    running_server,
    server_of,
    temporary_home,
)


@pytest.fixture(scope="module")
def made_home() -> Iterator[Path]:
    with temporary_home() as made:
        with embedded(made) as conninfo:
            query(conninfo, "CREATE TABLE ledger (mg bigint)")
        yield made


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    with copied_home(made_home) as copy:
        yield copy


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    with temporary_home() as fresh:
        yield fresh


def test_a_home_made_by_another_version_is_refused_untouched(made_home: Path) -> None:
    version = made_home / "postgres" / "data" / "PG_VERSION"
    made_by = version.read_text()
    version.write_text("13\n")
    assert refusal(made_home).code == "server_version_differs"
    assert refusal(made_home, binaries=find_binaries()).code == "server_version_differs"
    version.unlink()
    assert refusal(made_home).code == "server_data_damaged"
    version.write_text(made_by)
    with embedded(made_home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1


def test_a_server_that_may_forget_a_commit_is_refused_before_it_starts(home: Path) -> None:
    log = (home / "postgres" / "server.log").read_text()
    for file in ("postgresql.conf", "postgresql.auto.conf"):
        settings = home / "postgres" / "data" / file
        good = settings.read_text()
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            settings.write_text(f"{good}\n{name} = off\n")
            refused = refusal(home)
            assert (refused.code, refused.field) == ("unsafe_server_setting", name)
        settings.write_text(good)
    assert (home / "postgres" / "server.log").read_text() == log
    with embedded(home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1


def test_a_role_that_may_forget_a_commit_is_refused_and_the_server_stopped(home: Path) -> None:
    with embedded(home) as conninfo:
        query(conninfo, "ALTER ROLE carbon_ledger SET synchronous_commit = off")
    assert refusal(home).field == "synchronous_commit"
    assert server_of(home) is None


def test_broken_settings_are_told_with_the_servers_own_words(home: Path) -> None:
    with open(home / "postgres" / "data" / "postgresql.conf", "a") as settings:
        settings.write("max_connections = 'many'\n")
    refused = refusal(home)
    assert refused.code == "server_settings_invalid"
    assert "max_connections" in refused.message


def test_any_server_can_be_asked_whether_it_keeps_its_commits(made_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded(made_home) as conninfo, psycopg.connect(conninfo) as conn:
        for safe in ("on", "local", "remote_write", "remote_apply"):
            conn.execute(f"SET synchronous_commit = {safe}".encode())
            check_server_settings(conn)
        conn.execute("SET synchronous_commit = off")
        with pytest.raises(Unavailable) as caught:
            check_server_settings(conn)
        assert (caught.value.code, caught.value.field) == ("unsafe_server_setting", "synchronous_commit")
        monkeypatch.setattr(safety, "OLDEST_MAJOR", 99)
        with pytest.raises(Unavailable) as caught:
            check_server_settings(conn)
        assert caught.value.code == "server_version_unsupported"


def test_a_full_disk_while_creating_is_said(fresh_home: Path) -> None:
    # /dev/full gives the kernel's own answer to anybody; the next test but one fills a real file system.
    programs = fresh_home.with_name("programs")
    programs.mkdir()
    for program in find_binaries().iterdir():
        if program.name != "initdb":
            (programs / program.name).symlink_to(program)
    (programs / "initdb").write_text("#!/bin/sh\nLC_ALL=C cat /etc/passwd >/dev/full\n")
    (programs / "initdb").chmod(0o755)
    assert refusal(fresh_home, binaries=programs).code == "disk_full"
    assert not list((fresh_home / "postgres").glob("data*"))
    with embedded(fresh_home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1


def test_a_full_disk_while_starting_is_said(home: Path) -> None:
    options = home / "postgres" / "data" / "postmaster.opts"
    options.unlink()
    options.symlink_to("/dev/full")
    assert refusal(home).code == "disk_full"
    options.unlink()
    with embedded(home) as conninfo:
        assert query(conninfo, "SELECT count(*) FROM ledger") == 0


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    with temporary_home("disk") as disk:
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", disk], check=True)
        try:
            yield disk
        finally:
            kill_servers_below(disk)
            subprocess.run(["umount", "-l", disk], check=True)


def can_mount() -> bool:
    attempt = "mount -t tmpfs tmpfs /mnt"
    if not IS_ROOT or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "sh", "-c", attempt], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="filling a real disk needs the right to mount one; /dev/full stands in")
def test_a_disk_that_fills_up_loses_nothing_and_goes_on_when_there_is_room() -> None:
    with small_disk(20) as disk:
        assert refusal(disk / "home").code == "disk_full"
    with small_disk(90) as disk:
        use = embedded(disk / "home")
        committed = fill(use)
        assert committed > 0
        with contextlib.suppress(Unavailable):
            use.stop()
        subprocess.run(["mount", "-o", "remount,size=400m", disk], check=True)
        with embedded(disk / "home") as conninfo:
            assert query(conninfo, "SELECT count(DISTINCT batch) FROM ledger") == committed
            assert query(conninfo, "SELECT count(*) FROM ledger") == 5_000 * committed


def fill(use: EmbeddedPostgres) -> int:
    """Commit batches until the disk is full; the number that the server acknowledged."""
    committed = 0
    try:
        with psycopg.connect(use.start(), autocommit=True) as conn:
            conn.execute("CREATE TABLE ledger (batch int, mg bigint)")
            for batch in range(10_000):
                conn.execute("INSERT INTO ledger SELECT %s, generate_series(1, 5000)", [batch])
                committed += 1
    except psycopg.Error as error:
        explained = use.explain(error)
        assert explained is not None
        assert explained.code == "disk_full"
    return committed


def test_failures_of_the_server_are_explained(home: Path) -> None:
    use = embedded(home)
    conninfo = use.start()
    copy = "COPY (SELECT repeat('x', 100000) FROM generate_series(1, 10)) TO '/dev/full'"
    assert told(use, conninfo, copy) == "disk_full"
    assert told(use, conninfo, "SELECT pg_terminate_backend(pg_backend_pid())") == "server_stopped"
    assert told(use, conninfo, "SELECT * FROM no_such_table") is None
    kill_tree(running_server(home))
    assert told(use, conninfo, "SELECT 1") == "server_lost"
    with use.log.open("a") as log:
        log.write("PANIC:  could not write to file: No space left on device\n")
    assert told(use, conninfo, "SELECT 1") == "disk_full"
    explained = use.explain(Unavailable("server_lost", "told by somebody who does not know the log"))
    assert explained is not None
    assert explained.code == "disk_full"
    use.start()
    kill_tree(running_server(home))
    assert told(use, conninfo, "SELECT 1") == "server_lost"
    use.stop()


def told(use: EmbeddedPostgres, conninfo: str, statement: str) -> str | None:
    try:
        query(conninfo, statement)
    except psycopg.Error as error:
        explained = use.explain(error)
        return explained.code if explained else None
    raise AssertionError(f"{statement} was expected to fail")


def test_failures_of_the_disk_are_explained_also_when_wrapped() -> None:
    with pytest.raises(OSError, match="No space left") as full, open("/dev/full", "w") as device:
        device.write("x")
    wrapped = RuntimeError("while exporting")
    wrapped.__cause__ = full.value
    explained = explain(wrapped)
    assert explained is not None
    assert explained.code == "disk_full"
    assert explain(ValueError("something else")) is None


def test_the_log_stays_small_while_the_server_writes_to_it(fresh_home: Path) -> None:
    fresh_home.mkdir()
    log = fresh_home / "server.log"
    with open(log, "ab") as server:
        server.write(b"old\n" * 2_000_000)
        server.flush()
        shorten_log(log)
        server.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (fresh_home / "server.log.1").stat().st_size == 4_000_000
