"""Kill -9 of the command line, of its whole process group and PostgreSQL, in the middle of its work.

An onlooker with a connection of its own sees the log grow and says when to kill. Whatever it saw must stand there
afterwards, byte by byte; whatever a command answered must stay true; and the same commands, run again as an operator
would, end as an undisturbed run does (``totals --by-ref``).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from application import evidence
from domain.events.rulebook import RevisionCompleted
from infrastructure.embedded.launch import open_database
from infrastructure.embedded.place import settle
from interfaces.bootstrap import Settings, initialize, open_ledger
from tests.contract.embedded_postgres_tools import copied_home, kill_tree, server_of, temporary_home
from tests.simulation.crashing import outcome, planned_and_approved, write_behaviors

# Not at the same time as the other kills, which would make both slower.
pytestmark = pytest.mark.xdist_group("crashes")

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
KILLS_OF_IMPORTS = 150 if LONG else 6
KILLS_OF_REVISIONS = 150 if LONG else 4
ROWS, ROWS_REVISED, ROWS_AGAIN, ACCOUNTS = 8_000, 9_000, 3_000, 200
"""A batch is 1,000 rows, and a revision appends 5,000 lines at once: both have something to be killed in."""
PROGRAM = str(Path(sys.executable).with_name("carbon-ledger"))
IMPORT_KEYS = ("read", "credited", "duplicates", "rejected", "credited_mg")
RUN_KEYS = ("state", "accounts", "changed_accounts", "credits", "before_mg", "after_mg", "delta_mg", "plan_digest")
Work = Sequence[str]
"""Arguments of the command line."""


class Seen(NamedTuple):
    """What an onlooker saw of the log: its size, and a digest of every event up to there."""

    size: int
    digest: str


NOTHING = Seen(0, "")


def start(home: Path, work: Work) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CARBON_LEDGER_")}
    return subprocess.Popen(
        [PROGRAM, "--home", str(home), *work, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )


def ended(command: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    """Its answer; None when it was killed before it gave one. Nothing but a kill may have stopped it."""
    said, complained = command.communicate()
    if not said.endswith(b"\n"):
        assert command.returncode == -signal.SIGKILL, complained.decode()
        return None
    answer: dict[str, Any] = json.loads(said)
    assert "error" not in answer, answer
    return answer


def run(home: Path, work: Work) -> dict[str, Any]:
    """A command that nobody disturbs."""
    command = start(home, work)
    answer = ended(command)
    assert answer is not None
    assert command.returncode == 0
    return answer


def import_of(file: Path, partner: str) -> Work:
    return "behaviors", "import", str(file), "--partner", partner, "--open-accounts"


def apply_of(revision: str, kernel: str) -> Work:
    return "revision", "apply", revision, "--kernel", kernel


def onlooker(home: Path, commands: Sequence[subprocess.Popen[bytes]]) -> psycopg.Connection[Any] | None:
    """A connection as soon as the server of the home takes one; None when the commands had ended before."""
    place = settle(home, home / "postgres")
    while any(command.poll() is None for command in commands):
        with suppress(psycopg.OperationalError):
            return psycopg.connect(open_database(place), autocommit=True)
        time.sleep(0.01)
    return None


def look(conn: psycopg.Connection[Any], upto: int) -> Seen:
    query = """
    SELECT count(*), coalesce(md5(string_agg(
        md5(concat_ws('/', originator_id, originator_version, topic, encode(state, 'hex'))), ''
        ORDER BY notification_id)), '')
    FROM journal.ledger_events WHERE notification_id <= %s
    """
    return Seen(*conn.execute(query, (upto,)).fetchone() or NOTHING)


def size_of(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute("SELECT size FROM journal.log_head").fetchone()
    assert row is not None
    return int(row[0])


def kill_in_the_middle(
    home: Path, works: Sequence[Work], seen: Seen, chance: random.Random, step: int
) -> tuple[list[dict[str, Any] | None], Seen]:
    """Run the commands together; kill all when the log grew by up to ``step`` events, or a moment after the start."""
    commands = [start(home, work) for work in works]
    conn = onlooker(home, commands)
    if conn is not None:
        with suppress(psycopg.OperationalError), conn:  # the last command may end first, and stop the server
            assert look(conn, seen.size) == seen, "something visible is lost"
            seen = wait_and_look(conn, commands, chance, step)
            kill_everything(home, commands)
    return [ended(command) for command in commands], seen


def wait_and_look(
    conn: psycopg.Connection[Any], commands: Sequence[subprocess.Popen[bytes]], chance: random.Random, step: int
) -> Seen:
    target, until = size_of(conn) + chance.randint(1, step), time.monotonic() + 60
    if chance.random() < 0.25:
        until = time.monotonic() + chance.uniform(0.0, 0.4)
    while size_of(conn) < target and time.monotonic() < until and any(each.poll() is None for each in commands):
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.02))
    return look(conn, size_of(conn))


def kill_everything(home: Path, commands: Sequence[subprocess.Popen[bytes]]) -> None:
    """The commands' process groups, and the server with all its children."""
    for command in commands:
        if command.poll() is None:
            os.killpg(command.pid, signal.SIGKILL)
    server = server_of(home)
    if server is not None:
        kill_tree(server)


def kill_until_done(
    home: Path, works: Sequence[Work], chance: random.Random, step: int, at_most: int
) -> tuple[int, dict[Work, dict[str, Any]], Seen]:
    """Run the commands and kill them, until all have answered or enough kills fell.

    Returns the number of kills that stopped a command before it answered, all answers, and what was seen last.
    """
    kills, answers, seen = 0, dict[Work, dict[str, Any]](), NOTHING
    while len(answers) < len(works) and kills < at_most:
        left = [work for work in works if work not in answers]
        answered, seen = kill_in_the_middle(home, left, seen, chance, step)
        answers.update((work, answer) for work, answer in zip(left, answered, strict=True) if answer is not None)
        kills += any(answer is None for answer in answered)
    return kills, answers, seen


def part(answer: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: answer[key] for key in keys}


def right_import(calm: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """What an undisturbed import answers; or, where a killed one had finished, that nothing was left to credit."""
    nothing_left = {
        "read": calm["read"],
        "duplicates": calm["credited"] + calm["duplicates"],
        "rejected": calm["rejected"],
        "credited": 0,
        "credited_mg": "0",
    }
    return part(answer, IMPORT_KEYS) in (part(calm, IMPORT_KEYS), nothing_left)


class End(NamedTuple):
    """What a book says in the end: its totals by reference, and the run that was completed."""

    totals: tuple[str, int, int]
    completed: RevisionCompleted | None


def end_of(home: Path, revision: str | None, seen: Seen = NOTHING) -> End:
    """How the book ended; replay and views agree with it, and what was seen is in it."""
    with open_ledger(Settings(home=home, dsn=None)) as ledger:
        with psycopg.connect(open_database(settle(home, home / "postgres"))) as conn:
            assert look(conn, seen.size) == seen, "something visible is lost"
        verified = evidence.verify(ledger.book, ledger.evidence)
        assert (verified.findings, verified.unnamed) == ([], 0)
        assert not any((home / "evidence" / "incoming").iterdir())
        completed = None if revision is None else ledger.book.rulebook().revisions[revision].completed
        return End(outcome(ledger), completed)


def check_totals(home: Path, answers: Mapping[Work, dict[str, Any]], seen: Seen, calm: End) -> None:
    """The command that a person would compare with says the same as after an undisturbed run."""
    totals = run(home, ("totals", "--by-ref"))
    assert totals["position"] >= max([seen.size, *(answer["position"] for answer in answers.values())])
    assert (totals["digest"], totals["credits"], int(totals["credited_mg"])) == calm.totals


@dataclass(frozen=True)
class Calm:
    """A home to copy and the files to import into it."""

    home: Path
    files: Sequence[Path]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    """Two files whose people have nothing in common: caps follow the order of the log."""
    folder = tmp_path_factory.mktemp("files")
    with temporary_home("made") as made:
        initialize(Settings(home=made, dsn=None))
        yield Calm(made, [write_behaviors(folder / f"{seed}.csv", seed, ROWS, ACCOUNTS) for seed in (1, 2)])


def test_import_commands_killed_again_and_again_end_as_undisturbed_ones(calm: Calm) -> None:
    chance, kills = random.Random(5), 0
    works = [import_of(file, "p") for file in calm.files]
    with copied_home(calm.home) as home:
        expected = {work: run(home, work) for work in works}
        expected_end = end_of(home, None)
    while kills < KILLS_OF_IMPORTS:
        with copied_home(calm.home) as home:
            fallen, answers, seen = kill_until_done(home, works, chance, 1_500, KILLS_OF_IMPORTS - kills)
            kills += fallen
            for work in works:
                again = run(home, work)
                assert right_import(expected[work], answers.get(work, again))
                assert right_import(expected[work], again)
                assert work not in answers or again["credited"] == 0, "an answered import was not finished"
            check_totals(home, answers, seen, expected_end)
            assert end_of(home, None, seen) == expected_end


@dataclass(frozen=True)
class Approved:
    """A home with a run that nobody has applied yet, and what undisturbed commands make of it."""

    home: Path
    revision: str
    more_credits: Work
    applied: Mapping[str, Any]
    imported: Mapping[str, Any]
    end: End


@pytest.fixture(scope="module")
def approved(calm: Calm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Approved]:
    folder = tmp_path_factory.mktemp("again")
    file, again = (write_behaviors(folder / f"{rows}.csv", 3, rows, ACCOUNTS) for rows in (ROWS_REVISED, ROWS_AGAIN))
    with copied_home(calm.home) as home:
        run(home, import_of(file, "p"))
        with open_ledger(Settings(home=home, dsn=None)) as ledger:
            revision = planned_and_approved(ledger, "2025-01-01", "2026-01-01")
        # "again" credits the revised people once more, so it meets accounts that are still owed their lines.
        more_credits = import_of(again, "again")
        with copied_home(home) as quiet:
            applied, imported = run(quiet, apply_of(revision, "reference")), run(quiet, more_credits)
            end = end_of(quiet, revision)
        yield Approved(home, revision, more_credits, applied, imported, end)


@pytest.mark.parametrize("kernel", ["reference", "fast"])
def test_revision_commands_killed_again_and_again_during_an_import_end_as_undisturbed_ones(
    kernel: str, approved: Approved
) -> None:
    chance, kills = random.Random(6), 0
    works = apply, more_credits = [apply_of(approved.revision, kernel), approved.more_credits]
    while kills < KILLS_OF_REVISIONS:
        with copied_home(approved.home) as home:
            fallen, answers, seen = kill_until_done(home, works, chance, 150, KILLS_OF_REVISIONS - kills)
            kills += fallen
            ends = {work: answers.get(work) or run(home, work) for work in works}
            assert part(ends[apply], RUN_KEYS) == part(approved.applied, RUN_KEYS)
            assert right_import(approved.imported, ends[more_credits])
            check_totals(home, answers, seen, approved.end)
            assert end_of(home, approved.revision, seen) == approved.end
