"""Replay inside Spark equals replay on one machine: on a cluster of two workers, with all kinds of rows and tampering.

Skipped only where there is no Java 17; `make test` installs the rest there.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pytest

from application import accounts, initializing, revising
from application.book import Book
from application.crediting import Crediting
from application.fast_replaying import LocalEngine, replay_on
from application.intakes import close_intake, open_intake
from application.ports.engine import Engine, Part, Task
from application.replaying import Replaying, ReplayResult, replay
from domain.behavior import Behavior, parse_behavior
from domain.errors import Corrupt, Unavailable
from domain.events import account as events
from domain.events.registry import decode, encode
from infrastructure import catalogue, part_messages
from infrastructure.archive import ParquetArchive, segments
from infrastructure.fast_kernel.kernel import FastKernel
from infrastructure.memory import MemoryJournal, MemoryKeys
from infrastructure.spark import SparkEngine, session, worker
from infrastructure.spark.engine import SHARES_PER_CORE
from interfaces.cli.main import main

MASTER = "local-cluster[2,1,2048]"
NOW_US = 1_790_000_000_000_000
PEOPLE = 60

JAVA = session.java_version()
needs_java = pytest.mark.skipif(JAVA < session.JAVA, reason=f"Spark needs Java {session.JAVA}, this is Java {JAVA}")


class Town:
    """A book with every kind of row in an archive of three segments."""

    def __init__(self, folder: Path) -> None:
        self._rng = Random(8)
        self.journal = MemoryJournal(lambda: NOW_US)
        self.book = Book(self.journal, MemoryKeys())
        initializing.open_book(self.book)
        initializing.load_catalogue(self.book, catalogue.documents())
        # A path that means something else on a worker.
        self.folder = Path(os.path.relpath(folder / "archive"))
        self._sent = list[tuple[str, Behavior]]()
        self._live()
        self.archive = ParquetArchive(self.folder, self.book)

    def _live(self) -> None:
        archive = ParquetArchive(self.folder, self.book)
        self._send("bikes", 900)
        archive.build()
        self.middle = self.journal.head().size
        self._revise("CYCLING-SHARED@2", "2026-02-01", "2026-05-01")
        for partner, row in self._rng.sample(self._sent, 25):
            accounts.reverse(self.book, row.account_ref, row.source_ref, "ann", "refunded", partner)
        self._send("metro", 500)
        archive.build()
        accounts.freeze(self.book, "p-3", "ann", "a check")
        accounts.withdraw_consent(self.book, "p-4", "ann", "asked")
        self._revise("CYCLING-SHARED@1", "2026-04-01", "2026-09-01")
        archive.build()

    def _send(self, partner: str, count: int) -> None:
        intake = open_intake(self.book, partner, partner.encode().hex().zfill(64), 1, "csv", opens_accounts=True)
        rows = [self._behavior(n) for n in range(count)]
        Crediting(self.book).credit(intake, rows)
        self._sent += [(partner, row) for row in rows]
        close_intake(self.book, intake, count, count, 0, Counter())

    def _behavior(self, number: int) -> Behavior:
        behavior, unit = self._rng.choice(
            (("cycling.shared_bike", "km"), ("travel.walking", "km"), ("travel.metro", "km"), ("travel.bus", "trip"))
        )
        day = f"202{self._rng.choice('566')}-{self._rng.randrange(1, 9):02}-{self._rng.randrange(1, 29):02}"
        person, quantity = f"p-{self._rng.randrange(PEOPLE)}", str(self._rng.randrange(1, 6))
        row = parse_behavior(number + 1, f"r-{number}", person, behavior, f"{day}T09:00:00Z", quantity, unit, "CN-44")
        assert isinstance(row, Behavior)
        return row

    def _revise(self, methodology: str, start: str, end: str) -> None:
        run = revising.plan(self.book, methodology, start, end, "alice").revision_id
        revising.approve(self.book, run, "bob")
        revising.apply(self.book, run)

    def alter(self, kind: type[Any], change: dict[str, Any], *, nth: int) -> None:
        """Change the facts of the nth stored event of a kind behind the ledger's back."""
        place = [i for i, row in enumerate(self.journal._rows) if row.topic == kind.TOPIC][nth]
        row = self.journal._rows[place]
        facts, personal = decode(row.topic, row.state)
        self.journal._rows[place] = row._replace(state=encode(msgspec.structs.replace(facts, **change), personal))

    def tamper(self) -> None:
        """One fact after the other in accounts of different people, and an archive of what the log says then."""
        changes: list[tuple[int, dict[str, Any]]] = [
            (3, {"credited_mg": "1"}), (200, {"quantity": "999"}), (800, {"intake": 1}), (801, {"partner": "metro"}),
        ]  # fmt: skip
        for nth, change in changes:
            self.alter(events.BehaviorCredited, change, nth=nth)
        self.alter(events.FactorRevised, {"lines": ()}, nth=5)
        self.archive.rebuild()

    def task(self, until: int | None = None) -> Task:
        replaying = Replaying(self.book, until)
        return Task(replaying.rulebook, replaying.runs, replaying.until, replaying.intakes.partners)

    def local(self) -> Engine:
        return LocalEngine(self.archive, FastKernel)

    def spark(self, master: str = MASTER) -> Engine:
        return SparkEngine(self.archive, master)


class Listening:
    """An engine whose parts are also kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.heard: list[Part] = []

    def parts(self, task: Task) -> Generator[Part]:
        for part in self._engine.parts(task):
            self.heard.append(part)
            yield part


def by_account(parts: list[Part]) -> dict[str, Any]:
    """Everything the parts say, wherever they were cut."""
    balances, sums = dict[tuple[UUID, str], tuple[int, int]](), Counter[tuple[str, str]]()
    unproven, digests, intakes = list[UUID](), dict[tuple[str, UUID], bytes](), Counter[int]()
    for part in parts:
        found = part.recomputed
        for account, behavior, mg, credits in zip(*(column.tolist() for column in found.balances), strict=True):
            balances[part.ids[account], part.behaviors[behavior]] = mg, credits
        unproven += [part.ids[account] for account in found.unproven.tolist()]
        for run, of_run in found.runs.items():
            digests |= {(run, part.ids[account]): digest for account, digest in of_run.digests}
            plain = {name: value for name, value in of_run._asdict().items() if name != "digests"}
            sums.update({(run, name): value for name, value in plain.items()})
        intakes.update(part.intakes)
    return {"balances": balances, "unproven": unproven, "sums": sums, "digests": digests, "intakes": intakes}


def said(result: ReplayResult) -> dict[str, Any]:
    return {name: value for name, value in asdict(result).items() if name != "seconds"}


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr(segments, "GROUP_ROWS", 300)
    return Town(tmp_path)


# -- without a cluster ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 200])
def test_workers_say_together_what_one_machine_says_however_many_shares_there_are(count: int, town: Town) -> None:
    task = town.task()
    run = worker.work(town.archive.reader(), task, count, worker.source_digest())
    told = [run(iter([pa.record_batch({"id": [number]})])) for number in range(count)]
    parts = [
        part_messages.decode(content) for share in told for batch in share for content in batch["part"].to_pylist()
    ]
    assert by_account(parts) == by_account(list(town.local().parts(task)))
    assert len(parts) >= min(count, 10)


def test_a_credit_that_names_anothers_intake_is_named_by_the_reference_and_the_rest_is_proven(town: Town) -> None:
    town.alter(events.BehaviorCredited, {"intake": 1}, nth=800)
    town.alter(events.BehaviorCredited, {"partner": "metro"}, nth=801)
    town.archive.rebuild()
    found, by_law = replay_on(town.local(), town.book, town.archive), replay(town.book)
    assert (found.digest, found.by_reference, found.credits) == (by_law.digest, 2, by_law.credits)
    assert sorted(found.details) == sorted(d for d in by_law.details if d.what not in ("reference", "snapshot"))
    assert [each.what for each in found.details].count("intake") == 2


def test_a_worker_with_other_sources_than_the_driver_refuses_to_work(town: Town) -> None:
    with pytest.raises(RuntimeError, match="another release"):
        next(worker.work(town.archive.reader(), town.task(), 1, "0" * 64)(iter(())))


def test_the_task_reaches_another_process_whole(town: Town) -> None:
    sent = town.task()
    arrived: Task = pickle.loads(pickle.dumps(sent))
    assert by_account(list(town.local().parts(arrived))) == by_account(list(town.local().parts(sent)))


def test_without_pyspark_the_extra_is_named(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(Unavailable, match="spark_missing") as refused:
        replay_on(town.spark(), town.book, town.archive)
    assert refused.value.remedy == 'pip install "carbon-ledger[spark]"'
    assert refused.value.exit_code == 4


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_392", ""])
def test_without_a_java_that_spark_can_use_that_is_said(
    version: str, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "bin" / "java"
    if version:
        java.parent.mkdir()
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2019-01-15' >&2\n")
        java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(session, "_pyspark", lambda module: None)
    with pytest.raises(Unavailable, match="java_missing") as refused:
        replay_on(town.spark(), town.book, town.archive)
    assert "17" in refused.value.remedy


@pytest.mark.parametrize(
    "arguments",
    [
        ("--engine", "spark"),
        ("--engine", "hadoop", "--kernel", "fast"),
        ("--kernel", "fast", "--master", "local[2]"),
    ],
)
def test_an_engine_that_cannot_be_meant_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert main(("replay", *arguments)) == 2


def test_pyspark_is_loaded_only_when_spark_is_asked_for() -> None:
    code = "import sys; from infrastructure.spark import SparkEngine; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- on a cluster of two workers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spark's own configuration: Java need not compile for speed what runs for seconds. Its logs go after the test."""
    folder = tmp_path_factory.mktemp("spark")
    quick = "-XX:TieredStopAtLevel=1"
    (folder / "spark-defaults.conf").write_text(
        f"spark.driver.extraJavaOptions {quick}\nspark.executor.extraJavaOptions {quick}\n"
    )
    work = Path(str(import_module("pyspark").__file__)).parent / "work"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        yield
    shutil.rmtree(work, ignore_errors=True)


@needs_java
def test_a_segment_that_was_changed_is_refused_before_spark_begins(town: Town) -> None:
    path = sorted((town.folder / "segments").iterdir())[1]
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(Corrupt, match="archive_file_changed") as refused:
        replay_on(town.spark("spark://nobody:1"), town.book, town.archive)
    assert refused.value.field == path.name


@needs_java
@pytest.mark.xdist_group("spark")
@pytest.mark.usefixtures("_cluster")
@pytest.mark.parametrize("tampered", [True, pytest.param(False, marks=pytest.mark.long)])
def test_spark_says_of_every_account_what_one_machine_says(tampered: bool, town: Town) -> None:
    if tampered:
        town.tamper()
    until = town.journal.head().size - (100 if tampered else 0)
    one_machine, cluster = Listening(town.local()), Listening(town.spark())
    expected = replay_on(one_machine, town.book, town.archive, until)
    found = replay_on(cluster, town.book, town.archive, until)
    assert said(found) == said(expected)
    assert by_account(cluster.heard) == by_account(one_machine.heard)
    assert len(cluster.heard) >= SHARES_PER_CORE * 2
    by_law = replay(town.book, until)
    assert (found.digest, found.credits, found.revisions) == (by_law.digest, by_law.credits, by_law.revisions)
    # References and snapshots stand in the log alone.
    assert sorted(found.details) == sorted(d for d in by_law.details if d.what not in ("reference", "snapshot"))
    if tampered:
        assert {"credited_mg", "computed_mg", "intake", "credited by intake"} <= {each.what for each in found.details}
        # The account whose lines were dropped may be one of the four others.
        assert 4 <= found.by_reference <= 5
    else:
        assert (found.mismatches, found.by_reference, found.revisions, found.credits) == (0, 0, 2, 1400)
