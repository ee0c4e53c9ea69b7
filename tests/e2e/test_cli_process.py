"""`carbon-ledger` as a process of its own: exit codes, signals, pipes, full disks, missing servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interfaces.bootstrap import Settings
from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.fixtures.ledgers import Server

PROGRAM = str(Path(sys.executable).with_name("carbon-ledger"))


def environment(**changes: str) -> dict[str, str]:
    """Without anything that the caller's own ledger would set, nor a width."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CARBON_LEDGER_")}
    kept.pop("COLUMNS", None)
    return kept | changes


def book_environment(settings: Settings) -> dict[str, str]:
    assert settings.dsn is not None
    return environment(CARBON_LEDGER_HOME=str(settings.home), CARBON_LEDGER_DSN=settings.dsn.get_secret_value())


def run(arguments: Sequence[str | bytes], env: dict[str, str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [PROGRAM, *arguments], env=env, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120, **options
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's own account may pass through, so that all of a ledger is in its home."""
    made = Path(tempfile.mkdtemp(prefix="carbon-ledger-cli-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def test_a_newcomer_makes_a_ledger_on_a_path_with_spaces_and_credits_a_file(folder: Path) -> None:
    home = folder / "家 of the ledger"
    env = environment(CARBON_LEDGER_HOME=str(home))
    made = run(["init", "--json"], env)
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout)
    assert (answer["home"], answer["retention_days"]) == (str(home), 3653)
    again = run(["init"], env)
    assert (again.returncode, again.stderr) == (0, b"")
    assert str(home) in again.stdout.decode()
    (folder / "b.csv").write_text(f"{HEADER}\n{METRO}\n")
    credited = run(["behaviors", "import", "b.csv", "--open-accounts", "--json"], env, cwd=folder)
    assert json.loads(credited.stdout)["credited_mg"] == "889200", credited.stderr
    assert json.loads(run(["totals", "--json"], env).stdout)["accounts"] == 1
    kept = run(["account", "erase", "ann", "--by", "alice", "--reason", "a letter"], env)
    assert (kept.returncode, b"retention_not_over" in kept.stderr) == (1, True)


def test_a_ledger_on_a_server_of_ones_own_may_begin_without_any_methodology(server: Server, tmp_path: Path) -> None:
    home = tmp_path / "home"
    env = environment(CARBON_LEDGER_HOME=str(home), CARBON_LEDGER_DSN=server.empty_database())
    made = json.loads(run(["init", "--empty", "--json"], env).stdout)
    assert made["home"] == str(home)
    assert not (home / "postgres").exists()
    assert json.loads(run(["methodology", "list", "--json"], env).stdout)["methodologies"] == []


def test_help_needs_no_server_and_little_time(tmp_path: Path) -> None:
    env = environment(CARBON_LEDGER_DSN="host=nowhere.invalid", CARBON_LEDGER_HOME=str(tmp_path / "home"))
    for arguments in ((), ("behaviors", "import")):
        shown = run([*arguments, "--help"], env)
        assert (shown.returncode, shown.stderr) == (0, b"")
    assert not (tmp_path / "home").exists()
    loaded = (
        "import sys, interfaces.cli.main; print(*sorted({'psycopg', 'pyarrow', 'eventsourcing'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True).stdout == b"\n"


def test_without_a_ledger_the_answer_says_how_to_make_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    answer = run(["totals", "--json", "--home", str(home)], environment())
    assert answer.returncode == 4
    error = json.loads(answer.stdout)["error"]
    assert error["code"] == "not_initialized"
    assert "carbon-ledger init" in error["remedy"]
    assert not home.exists()


@pytest.mark.parametrize(
    ("dsn", "code"),
    [
        ("host=127.0.0.1 port=1 dbname=x connect_timeout=2", "server_lost"),
        ("this is no connection string with secret-word", "dsn_malformed"),
    ],
)
def test_a_server_that_cannot_be_reached_is_explained_without_a_traceback(
    dsn: str, code: str, book_settings: Settings
) -> None:
    env = book_environment(book_settings) | {"CARBON_LEDGER_DSN": dsn}
    answer = run(["totals", "--json"], env)
    assert (answer.returncode, json.loads(answer.stdout)["error"]["code"]) == (4, code)
    told = run(["totals"], env)
    assert (told.returncode, told.stdout) == (4, b"")
    assert told.stderr.decode().startswith(f"unavailable: {code}")
    assert b"Traceback" not in told.stderr
    assert b"secret-word" not in told.stderr + answer.stdout + answer.stderr


def test_a_server_that_dies_in_the_middle_is_explained(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    from application import queries

    def totals(book: Any, views: Any, **options: Any) -> None:
        with cli.sql() as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        book.journal.head()

    monkeypatch.setattr(queries, "totals", totals)
    assert cli.refused("totals", code=4) in ("server_stopped", "server_lost")


def test_a_defect_is_called_one_and_its_traceback_is_for_whoever_asks(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from application import queries

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(queries, "totals", broken)
    assert cli.refused("totals", code=4) == "defect"
    quiet = cli.run("totals")
    assert (quiet.code, quiet.stdout, "Traceback" in quiet.stderr) == (4, "", False)
    monkeypatch.setenv("CARBON_LEDGER_DEBUG", "1")
    loud = cli.run("totals")
    assert (loud.code, "Traceback" in loud.stderr, "planted" in loud.stderr) == (4, True, True)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_import_says_that_it_resumes_and_does(
    number: int, code: int, word: str, cli: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv"
    rows = 25_000
    moment = "2026-03-01T08:15:00+08:00"
    file.write_text("\n".join([HEADER, *(f"t{n},a{n % 50},travel.bus,{moment},1,trip," for n in range(rows)), ""]))
    arguments = ["behaviors", "import", str(file), "--open-accounts", "--json"]
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        env=book_environment(cli.settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A job of a shell in the background ignores Ctrl-C; this one must hear it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while cli("totals")["credits"] == 0:
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    error = json.loads(stdout)["error"]
    assert error["code"] == word
    assert "resumes" in error["remedy"]
    assert b"Traceback" not in stderr
    credited = cli("totals")["credits"]
    assert 0 < credited < rows
    resumed = cli(*arguments[:-1])
    assert (resumed["read"], resumed["credited"] + resumed["duplicates"], resumed["rejected"]) == (rows, rows, 0)
    assert cli("totals")["credits"] == rows
    assert cli("replay")["mismatches"] == 0


def test_a_reader_that_goes_away_is_no_failure_to_tell(book_settings: Settings) -> None:
    for arguments in (["methodology", "list", "--json"], ["methodology", "list"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            ran = run(arguments, book_environment(book_settings), stdout=writing)
        finally:
            os.close(writing)
        assert (ran.returncode, ran.stderr) == (141, b""), arguments


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to write to")
def test_an_answer_that_cannot_be_written_is_not_a_success(book_settings: Settings) -> None:
    for arguments in (["methodology", "list", "--json"], ["methodology", "list"]):
        with open("/dev/full", "wb") as full:
            ran = run(arguments, book_environment(book_settings), stdout=full)
        assert ran.returncode == 4, arguments
        assert ran.stderr.startswith(b"unavailable: io_failed"), arguments
        assert b"Traceback" not in ran.stderr, arguments


def test_an_argument_that_is_no_text_is_wrong_usage_and_a_file_name_may_be_any_bytes(book_settings: Settings) -> None:
    env = book_environment(book_settings) | {"LC_ALL": "C.UTF-8"}
    assert run(["account", "open", b"\xff"], env).returncode == 2
    missing = run(["behaviors", "import", b"\xff.csv", "--json"], env)
    assert (missing.returncode, json.loads(missing.stdout)["error"]["code"]) == (1, "file_not_found")


def test_a_terminal_without_unicode_still_gets_its_answer(book_settings: Settings) -> None:
    env = book_environment(book_settings) | {"PYTHONIOENCODING": "ascii"}
    shown = run(["methodology", "show", "TRAVEL-METRO@1"], env)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert b"Metro ride / \\u5730" in shown.stdout
    title = json.loads(run(["methodology", "show", "TRAVEL-METRO@1", "--json"], env).stdout)["title"]
    assert title["zh"].startswith("地铁")


def test_the_modules_of_the_generated_documents_run_as_a_command() -> None:
    checked = subprocess.run([sys.executable, "-m", "interfaces.docs", "--check"], capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
