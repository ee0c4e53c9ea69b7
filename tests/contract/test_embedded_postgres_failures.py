"""The embedded server after kills, crashes and interrupted starts: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from domain.errors import Unavailable
from infrastructure.embedded import process
from infrastructure.embedded.binaries import Binaries
from infrastructure.embedded.place import Place
from infrastructure.embedded.process import spawn
from infrastructure.embedded_postgres import EmbeddedPostgres, find_binaries
from tests.contract.embedded_postgres_tools import (
    IS_ROOT,
    PATIENCE,
    as_user,
    children_of,
    copied_home,
    embedded,
    kill_tree,
    query,
    refusal,
    running_server,
    said,
    server_of,
    state_of,
    temporary_home,
    visitor,
    wait_until,
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


def starts(use: EmbeddedPostgres) -> int:
    """How often a server has been started here, as its log tells."""
    return use.log.read_text().count("LOG:  starting PostgreSQL")


def test_after_kill_9_of_the_whole_tree_every_committed_row_is_there(home: Path) -> None:
    use = embedded(home)
    query(use.start(), "INSERT INTO ledger SELECT generate_series(1, 100000)")
    kill_tree(running_server(home))
    assert query(use.start(), "SELECT count(*) FROM ledger") == 100_000
    use.stop()
    assert server_of(home) is None


def test_a_zombie_server_is_not_taken_for_a_living_one(home: Path) -> None:
    with embedded(home) as conninfo:
        query(conninfo, "INSERT INTO ledger VALUES (1)")
        server = running_server(home)
        kill_tree(server)
        wait_until(lambda: state_of(server) == "Z", "its parent, this process, has not asked for its end")
        assert (home / "postgres" / "data" / "postmaster.pid").exists()
        with embedded(home) as again:
            assert query(again, "SELECT count(*) FROM ledger") == 1
            assert state_of(server) == "Z"


def test_a_process_id_that_another_program_got_meanwhile_is_not_believed(home: Path) -> None:
    data = home / "postgres" / "data"
    with embedded(home) as conninfo:
        query(conninfo, "INSERT INTO ledger VALUES (1)")
        kill_tree(running_server(home))
        # Of the same account, so that PostgreSQL alone would take it for a running server and refuse to start.
        owner = data.stat()
        other: Any = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if IS_ROOT else {}
        with subprocess.Popen(["sleep", "60"], **other) as stranger:
            try:
                for name in (data / "postmaster.pid", home / "postgres" / "run" / ".s.PGSQL.5432.lock"):
                    lines = name.read_text().splitlines(keepends=True)
                    name.write_text(f"{stranger.pid}\n" + "".join(lines[1:]))
                with embedded(home) as again:
                    assert query(again, "SELECT count(*) FROM ledger") == 1
                assert stranger.poll() is None
            finally:
                stranger.kill()


def test_a_server_that_is_killed_while_it_starts_is_started_again(home: Path) -> None:
    with embedded(home) as conninfo:
        query(conninfo, "INSERT INTO ledger SELECT generate_series(1, 1000)")
        kill_tree(running_server(home))
    log = home / "postgres" / "server.log"
    before = len(log.read_text())
    answers: list[str] = []
    use = embedded(home)
    starting = threading.Thread(target=lambda: answers.append(use.start()))
    starting.start()
    wait_until(lambda: "listening on" in log.read_text()[before:], "the server comes up")
    kill_tree(running_server(home))
    starting.join()
    assert query(answers[0], "SELECT count(*) FROM ledger") == 1000
    use.stop()


def test_a_server_whose_starter_was_killed_at_once_is_not_started_twice(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = embedded(home)
    before = len(use.log.read_text())

    def start_and_die(place: Place, programs: Binaries) -> subprocess.Popen[bytes] | None:
        spawn(place, programs)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    monkeypatch.setattr(process, "spawn", start_and_die)
    with pytest.raises(AssertionError, match="died"):
        as_user(os.geteuid(), os.getegid(), use.start)
    monkeypatch.undo()
    assert query(use.start(), "SELECT count(*) FROM ledger") == 0
    use.stop()
    told = use.log.read_text()[before:]
    assert told.count("LOG:  starting PostgreSQL") == 1
    assert "already exists" not in told


def test_a_child_that_outlived_its_killed_server_is_waited_for(home: Path) -> None:
    with embedded(home) as conninfo:
        use = embedded(home)
        server, before = running_server(home), starts(use)
        with psycopg.connect(conninfo, autocommit=True) as conn:
            session = conn.info.backend_pid
            os.kill(session, signal.SIGSTOP)
            os.kill(server, signal.SIGKILL)
            answers: list[str] = []
            starting = threading.Thread(target=lambda: answers.append(use.start()))
            starting.start()
            try:
                starting.join(1)
                assert answers == []
                assert starts(use) == before
            finally:
                os.kill(session, signal.SIGCONT)
                starting.join()
        assert query(answers[0], "SELECT count(*) FROM ledger") == 0
        use.stop()


def test_an_interrupted_creation_leaves_nothing_in_the_way(fresh_home: Path) -> None:
    folder = fresh_home / "postgres"
    with visitor(fresh_home) as creator:
        wait_until(lambda: list(folder.glob("data.new-*/PG_VERSION")), "initdb begins")
        initdb = children_of(creator.pid)
        creator.kill()
        for pid in initdb:
            kill_tree(pid)
        creator.wait()
    assert list(folder.glob("data.new-*"))
    assert not (folder / "data").exists()
    with embedded(fresh_home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1
    assert not list(folder.glob("data.new-*"))


def test_a_creation_that_goes_on_without_its_ledger_harms_nothing(fresh_home: Path) -> None:
    with visitor(fresh_home) as creator:
        wait_until(lambda: list((fresh_home / "postgres").glob("data.new-*/PG_VERSION")), "initdb begins")
        creator.kill()
        creator.wait()
    with embedded(fresh_home) as conninfo:
        assert query(conninfo, "SHOW fsync") == "on"


def test_a_start_that_takes_too_long_is_said_and_goes_on_by_itself(home: Path) -> None:
    assert refusal(home, patience_seconds=0.001).code == "server_still_starting"
    with visitor(home, "look") as later:
        assert said(later) == "in"


def test_a_start_while_the_server_still_stops_waits_and_starts_it_again(home: Path) -> None:
    use = embedded(home, patience_seconds=0.3)
    with psycopg.connect(use.start(), autocommit=True) as conn:
        conn.execute("INSERT INTO ledger VALUES (1)")
        server = running_server(home)
        os.kill(conn.info.backend_pid, signal.SIGSTOP)
        with pytest.raises(Unavailable) as caught:
            use.stop()
        assert caught.value.code == "server_still_stopping"
        threading.Timer(1.5, os.kill, (conn.info.backend_pid, signal.SIGCONT)).start()
        with embedded(home) as conninfo:
            assert running_server(home) != server
            assert query(conninfo, "SELECT count(*) FROM ledger") == 1


def test_a_server_started_by_hand_is_used_and_never_doubled(home: Path) -> None:
    data = home / "postgres" / "data"
    owner = data.stat()
    other: Any = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if IS_ROOT else {}
    log = home / "postgres" / "server.log"
    with open(log, "ab") as messages:
        by_hand = subprocess.Popen(
            [find_binaries() / "postgres", "-D", data], stdout=messages, stderr=messages, **other
        )
    wait_until(lambda: server_of(home) == by_hand.pid, "it writes its process id")
    with embedded(home) as conninfo:
        assert query(conninfo, "SELECT count(*) FROM ledger") == 0
        before = log.read_text()
        # It lives, but cannot be reached any more: clearing its traces would let a second one in.
        (home / "postgres" / "run" / ".s.PGSQL.5432").unlink()
        assert refusal(home, patience_seconds=0.5).code == "server_still_starting"
        assert (running_server(home), log.read_text()) == (by_hand.pid, before)
    assert by_hand.wait(PATIENCE) == 0
