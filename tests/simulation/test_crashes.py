"""Kill -9 of the whole tree, ledger and PostgreSQL, at random moments: nothing acknowledged is lost, nothing doubled.

Each world has its own home with its own server. A writer process says on a pipe what was acknowledged; then writer,
postmaster and backends are killed at once. Afterwards the same is simply done again, as an operator would.
What it tells is finer than what the command line tells (``test_crashes_of_commands``): every batch, every page.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from application import revising
from application.importing import import_behaviors
from interfaces.bootstrap import Settings, behavior_file, initialize, open_ledger
from tests.contract.embedded_postgres_tools import copied_home, kill_tree, server_of, temporary_home
from tests.simulation.crash_writer import Work, Writer, counts, start
from tests.simulation.crashing import outcome, planned_and_approved, write_behaviors

# One process makes the home that all worlds are copied from.
pytestmark = pytest.mark.xdist_group("crashes")

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
KILLS_OF_IMPORTS = 30 if LONG else 5
KILLS_OF_REVISIONS = 50 if LONG else 16
ROWS, BATCH_ROWS, ACCOUNTS = 1_200, 10, 60


def kill_everything(home: Path, writers: Sequence[Writer]) -> None:
    """The writers' process groups and the server with all its children."""
    for writer in writers:
        writer.kill()
    server = server_of(home)
    if server is not None:
        kill_tree(server)
    for writer in writers:
        writer.listen()
        writer.process.join()


@dataclass(frozen=True)
class Calm:
    """A home to copy, the files to import into it, and what an undisturbed run makes of them."""

    home: Path
    files: Sequence[Path]
    imported: list[list[int]]
    outcome: tuple[str, int, int]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calm]:
    """Two files whose people have nothing in common, imported and then revised without a crash."""
    folder = tmp_path_factory.mktemp("files")
    files = [write_behaviors(folder / f"{seed}.csv", seed, ROWS, ACCOUNTS) for seed in (1, 2)]
    with temporary_home("made") as made:
        settings = Settings(home=made, dsn=None)
        initialize(settings)
        with copied_home(made) as quiet, open_ledger(Settings(home=quiet, dsn=None)) as ledger:
            imported = [
                counts(import_behaviors(ledger.book, behavior_file(f), "p", opens_accounts=True)) for f in files
            ]
            revising.apply(ledger.book, planned_and_approved(ledger))
            yield Calm(made, files, imported, outcome(ledger))


def kill_until_done(
    home: Path, works: Sequence[Work], ends: str, chance: random.Random, at_most: int
) -> tuple[int, int]:
    """Run the works together and kill them with the server, until the last says ``ends`` or enough kills met it.

    Returns how many kills met the last work before it was done, and the greatest position that was acknowledged.
    """
    acknowledged, kills, left = 0, 0, list(works)
    while works[-1] in left and kills < at_most:
        writers = [start(home, work) for work in left]
        for writer in writers:
            assert int(str(writer.first()["size"])) >= acknowledged, "an acknowledged event is lost"
        time.sleep(chance.uniform(0.0, 0.5))
        kill_everything(home, writers)
        acknowledged = max([acknowledged, *(int(str(w.last("position") or 0)) for w in writers)])
        left = [work for work, writer in zip(left, writers, strict=True) if writer.last(ends) is None]
        kills += works[-1] in left
    return kills, acknowledged


def test_imports_killed_again_and_again_end_as_an_undisturbed_run(calm: Calm) -> None:
    chance, kills = random.Random(7), 0
    while kills < KILLS_OF_IMPORTS:
        with copied_home(calm.home) as home:
            works: list[Work] = [("import", (file, BATCH_ROWS, "p")) for file in calm.files]
            more, acknowledged = kill_until_done(home, works, "done", chance, 9)
            kills += more
            for work, expected in zip(works, calm.imported, strict=True):
                writer = start(home, work)
                writer.finish()
                read, credited, duplicates, rejected, _ = expected
                closed_before = [read, 0, credited + duplicates, rejected, 0]
                assert writer.last("done") in (expected, closed_before)
            with open_ledger(Settings(home=home, dsn=None)) as ledger:
                assert ledger.book.journal.head().size >= acknowledged
                revising.apply(ledger.book, planned_and_approved(ledger))
                assert outcome(ledger) == calm.outcome


def test_a_revision_killed_again_and_again_under_a_running_import_ends_as_an_undisturbed_one(calm: Calm) -> None:
    chance, kills = random.Random(11), 0
    first, second = calm.files
    with copied_home(calm.home) as approved:
        with open_ledger(Settings(home=approved, dsn=None)) as ledger:
            import_behaviors(ledger.book, behavior_file(first), "p", opens_accounts=True)
            revision = planned_and_approved(ledger)
            credits = ledger.book.journal.head().size
        with copied_home(approved) as quiet, open_ledger(Settings(home=quiet, dsn=None)) as ledger:
            expected = revising.apply(ledger.book, revision)
            import_behaviors(ledger.book, behavior_file(second), "p", opens_accounts=True)
            import_behaviors(ledger.book, behavior_file(first), "again", opens_accounts=True)
            expected_outcome = outcome(ledger)
        while kills < KILLS_OF_REVISIONS:
            with copied_home(approved) as home:
                # "again" credits the revised people once more, so it meets accounts that are still owed their lines.
                works: list[Work] = [
                    ("apply", (revision,)),
                    ("import", (second, BATCH_ROWS, "p")),
                    ("import", (first, BATCH_ROWS, "again")),
                ]
                more, acknowledged = kill_until_done(home, works[1:] + works[:1], "done", chance, 7)
                kills += more
                for work in works:
                    start(home, work).finish()
                with open_ledger(Settings(home=home, dsn=None)) as ledger:
                    completed = ledger.book.rulebook().revisions[revision].completed
                    assert completed is not None
                    assert ledger.book.journal.head().size >= max(acknowledged, credits)
                    assert (completed.after_mg, completed.lines_root) == (expected.after_mg, expected.lines_root)
                    assert outcome(ledger) == expected_outcome
