"""Work on a large book, each as a command does it: archive, replay, plan, apply, views, totals.

Keeps: only what a user could call; what libraries do on their first use, loading the compiled kernel above all,
happens before the clock starts, on a reader of the archive of its own; ``rows`` are credits of the book unless a task
says otherwise.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from pydantic import SecretStr

from application import as_of, queries, revising
from application.fast_lines import fast_parts
from application.fast_replaying import LocalEngine, replay_on
from application.ports.archive import Archive, Rows
from application.ports.engine import Engine
from application.ports.views import VIEWS
from application.replaying import replay
from application.run_accounts import fast_accounts
from benchmarks.big_book import YEAR, generate
from benchmarks.stopwatch import Stopwatch, untimed
from domain.errors import Unavailable
from domain.replay import approved_runs
from domain.revision import candidate_run, scope_of
from domain.values import day_number
from infrastructure.archive import ParquetArchive
from infrastructure.archive.columns import as_dictionaries
from infrastructure.archive.files import digest_of
from infrastructure.archive.manifests import segment_path
from infrastructure.archive.reading import columns_to_read
from interfaces.bootstrap import Ledger, Settings, initialize, open_ledger

REVISION = "CYCLING-SHARED@2"
_FROM, _TO, _MIDDLE = f"{YEAR}-01-01", f"{YEAR + 1}-01-01", f"{YEAR}-07-01"
_PLANNER, _APPROVER = "bench-planner", "bench-approver"

_TWIN = """
CREATE TABLE twin (
    originator_id uuid NOT NULL, originator_version bigint NOT NULL, topic text NOT NULL, state bytea NOT NULL,
    notification_id bigint NOT NULL
) WITH (autovacuum_analyze_scale_factor = 0.01);
INSERT INTO twin SELECT originator_id, originator_version, topic, '', notification_id FROM journal.ledger_events
    WHERE notification_id <= %(upto)s;
ALTER TABLE twin ADD PRIMARY KEY (originator_id, originator_version);
CREATE UNIQUE INDEX ON twin (notification_id);
"""
_SIZES = """
SELECT pg_table_size('journal.ledger_events'), pg_indexes_size('journal.ledger_events'),
    pg_total_relation_size('journal.behavior_refs'), pg_total_relation_size('journal.account_refs'),
    pg_total_relation_size('views.account_balance') + pg_total_relation_size('views.account_statement')
"""


def make(home: str, conninfo: str, credits: int) -> dict[str, Any]:
    """A generated book; also what autovacuum would come to do sooner or later, so that it does not do it later."""
    settings = Settings(home=Path(home), dsn=SecretStr(conninfo))
    initialize(settings)
    # Batches make millions of objects and no cycles; looking for cycles among them took a third of the time.
    gc.disable()
    with open_ledger(settings) as ledger, Stopwatch() as watch:
        accounts = generate(ledger.book, credits)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")
        conn.execute("CHECKPOINT")
    return watch.answer(credits, accounts=accounts)


def archive(home: str, conninfo: str, credits: int) -> dict[str, Any]:
    """Let the archive follow the log; answers its files that hold rows."""
    with _ledger(home, conninfo) as ledger, Stopwatch() as watch:
        status = ledger.archive.build()
    filled = [segment for segment in status.segments if segment.rows]
    files = [str(segment_path(Path(home) / "archive", segment.name)) for segment in filled]
    return watch.answer(credits, files=files, size_bytes=sum(segment.size_bytes for segment in status.segments))


def decode(files: list[str], columns: list[str], credits: int) -> dict[str, Any]:
    """Decode these columns of the archive's files to Arrow, group by group, in one thread, and nothing else."""
    found = 0
    # What the library does on its first use does not count, here as elsewhere.
    with pq.ParquetFile(files[0], read_dictionary=as_dictionaries(columns), pre_buffer=False) as file:
        file.read_row_group(0, columns=columns, use_threads=False)
    with Stopwatch() as watch:
        for path in files:
            with pq.ParquetFile(path, read_dictionary=as_dictionaries(columns), pre_buffer=False) as file:
                for group in range(file.metadata.num_row_groups):
                    found += file.read_row_group(group, columns=columns, use_threads=False).num_rows
    return watch.answer(credits, archive_rows=found)


def digest(files: list[str], credits: int) -> dict[str, Any]:
    """SM3 of the archive's files, which every reader takes before it believes them."""
    with Stopwatch() as watch:
        for path in files:
            digest_of(Path(path))
    return watch.answer(credits)


def kernel(home: str, conninfo: str, asked: list[str] | None) -> dict[str, Any]:
    """Read the archive and run the kernel over it: no checks of the log, no digests of files, no joining."""
    with _ledger(home, conninfo) as ledger:
        _warm(ledger)
        reader, until = _reader(ledger), ledger.book.journal.head().size
        # Whoever has read a part has checked all files, once and for all.
        next(reader.rows(), None)
        rulebook = ledger.book.rulebook()
        runs = approved_runs(rulebook, until)
        compiled, credits = None, 0
        with Stopwatch() as watch:
            for rows in reader.rows(until, None if asked is None else frozenset(asked)):
                compiled = compiled or ledger.kernels(rulebook, runs, rows.names)
                credits += int(compiled.replay(rows, until).balances.credits.sum())
    return watch.answer(credits)


def fast(home: str, conninfo: str) -> dict[str, Any]:
    """``replay --kernel fast --processes 1``; answers also which columns it asked for, and which it read."""
    with _ledger(home, conninfo) as ledger:
        _warm(ledger)
        reader = _reader(ledger)
        answer = _replayed(ledger, LocalEngine(reader, ledger.kernels), reader)
        columns = columns_to_read(reader.asked, len(reader.status().segments), cut=False)
    asked = None if reader.asked is None else sorted(reader.asked)
    return {**answer, "asked": asked, "columns": columns}


def in_processes(home: str, conninfo: str, processes: int) -> dict[str, Any]:
    """``replay --kernel fast --processes N``; starting them counts, and their processor time does not show."""
    with _ledger(home, conninfo) as ledger:
        return _replayed(ledger, ledger.engine(processes), ledger.archive)


def spark(home: str, conninfo: str, master: str) -> dict[str, Any]:
    """``replay --engine spark``, start and end of Spark included; ``missing``: why it does not run here, or ""."""
    with _ledger(home, conninfo) as ledger:
        try:
            return _replayed(ledger, ledger.spark(master), ledger.archive) | {"missing": ""}
        except Unavailable as error:
            # The report names no folder of the machine it was made on.
            return untimed(missing=re.sub(r"(?:/[^/\s:]+)+/", "", error.message))


def reference(home: str, conninfo: str) -> dict[str, Any]:
    """``replay`` of the whole book with the law."""
    with _ledger(home, conninfo) as ledger, Stopwatch() as watch:
        result = replay(ledger.book)
    return watch.answer(result.credits, mismatches=result.mismatches, digest=result.digest)


def plan(home: str, conninfo: str, credits: int) -> dict[str, Any]:
    """What the revision would do to the whole book, recorded nowhere."""
    with _ledger(home, conninfo) as ledger:
        _warm(ledger)
        parts = fast_parts(ledger.archive, ledger.kernels)
        with Stopwatch() as watch:
            planned = revising.dry_run(ledger.book, REVISION, _FROM, _TO, _PLANNER, parts=parts)
    return watch.answer(credits, lines=planned.impact["credits"], accounts=planned.impact["accounts"])


def approve(home: str, conninfo: str) -> dict[str, Any]:
    """Plan and approve the revision, by two people."""
    with _ledger(home, conninfo) as ledger:
        parts = fast_parts(ledger.archive, ledger.kernels)
        planned = revising.plan(ledger.book, REVISION, _FROM, _TO, _PLANNER, parts=parts)
        revising.approve(ledger.book, planned.revision_id, _APPROVER)
    return untimed(revision=planned.revision_id)


def apply(home: str, conninfo: str, revision: str) -> dict[str, Any]:
    """Apply the approved revision; rows are accounts, each of which gets one event."""
    with _ledger(home, conninfo) as ledger:
        _warm(ledger)
        journal = ledger.book.journal
        after = journal.head().size
        with Stopwatch() as watch:
            done = revising.apply(ledger.book, revision, accounts=fast_accounts(ledger.archive, ledger.kernels))
        # The last event is the completion of the run.
        upto = journal.head().size - 1
    with psycopg.connect(conninfo) as conn:
        query = "SELECT count(*) FROM journal.log_commits WHERE last_position > %s AND last_position <= %s"
        (commits,) = conn.execute(query, (after, upto)).fetchone() or (0,)
    return watch.answer(done.accounts, lines=done.credits, after=after, upto=upto, commits=commits)


def twin(conninfo: str, upto: int) -> dict[str, Any]:
    """A table for COPY with the keys of all events up to a position, so that its indexes are as large as the log's."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for statement in filter(None, map(str.strip, _TWIN.split(";"))):
            conn.execute(statement.encode(), {"upto": upto} if "%(" in statement else None)
        conn.execute("VACUUM (ANALYZE) twin")
        conn.execute("CHECKPOINT")
    return untimed()


def drop_twin(conninfo: str) -> dict[str, Any]:
    """Its room is needed again."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("DROP TABLE twin")
    return untimed()


def views(home: str, conninfo: str, from_archive: bool) -> dict[str, Any]:
    """Build all views anew. They are taken to stand at the head, as if somebody had dropped them there."""
    with _ledger(home, conninfo) as ledger:
        with psycopg.connect(conninfo) as conn:
            conn.execute("UPDATE views.progress SET position = %s", (ledger.book.journal.head().size,))
        if from_archive:
            next(_reader(ledger).rows(), None)
        with Stopwatch() as watch:
            ledger.views.rebuild(VIEWS, archive=ledger.archive if from_archive else None)
        credits = sum(total.credits for total in ledger.views.totals())
    return watch.answer(credits)


def totals(home: str, conninfo: str, credits: int) -> dict[str, Any]:
    """The whole book as of the middle of its year."""
    with _ledger(home, conninfo) as ledger:
        known = ledger.book.journal.head().size
        next(_reader(ledger).rows(), None)
        with Stopwatch() as watch:
            found = as_of.totals(ledger.book, ledger.archive, known, day_number(_MIDDLE))
    return watch.answer(credits, counted=found.credits)


def digest_of_views(home: str, conninfo: str) -> dict[str, Any]:
    """Let the views follow the log, then what ``totals`` prints."""
    with _ledger(home, conninfo) as ledger:
        ledger.views.advance(ledger.book.journal.head().size)
        found = queries.totals(ledger.book, ledger.views)
    return untimed(digest=found.digest)


def sizes(conninfo: str) -> dict[str, Any]:
    """Bytes of the tables on disk."""
    names = ("events", "event_indexes", "refs", "accounts", "views")
    with psycopg.connect(conninfo) as conn:
        row = conn.execute(_SIZES.encode()).fetchone()
    assert row is not None
    return untimed(**dict(zip(names, row, strict=True)))


@contextmanager
def _ledger(home: str, conninfo: str) -> Iterator[Ledger]:
    with open_ledger(Settings(home=Path(home), dsn=SecretStr(conninfo))) as ledger:
        yield ledger


def _replayed(ledger: Ledger, engine: Engine, archive: Archive) -> dict[str, Any]:
    with Stopwatch() as watch:
        result = replay_on(engine, ledger.book, archive)
    found = {"mismatches": result.mismatches, "digest": result.digest, "by_reference": result.by_reference}
    return watch.answer(result.credits, **found)


class _NotingArchive(ParquetArchive):
    """Remembers which columns it was asked for."""

    asked: frozenset[str] | None = None

    def rows(
        self, upto: int | None = None, columns: frozenset[str] | None = None, *args: Any, **kwargs: Any
    ) -> Generator[Rows]:
        self.asked = columns
        return super().rows(upto, columns, *args, **kwargs)


def _reader(ledger: Ledger) -> _NotingArchive:
    """The ledger's archive as somebody finds it who has not read it yet."""
    return _NotingArchive(ledger.home / "archive", ledger.book)


def _warm(ledger: Ledger) -> None:
    """Use every part of the compiled kernel once, on a few accounts."""
    rulebook, until = ledger.book.rulebook(), ledger.book.journal.head().size
    rows = next(_reader(ledger).rows(), None)
    if rows is None:
        return
    compiled = ledger.kernels(rulebook, approved_runs(rulebook, until), rows.names)
    compiled.replay(rows, until)
    pending = rulebook.pending_runs()
    run = pending[0] if pending else candidate_run(rulebook, REVISION, _FROM, _TO, "*", {}, "", until)
    compiled.lines(rows, scope_of(rulebook, run))
