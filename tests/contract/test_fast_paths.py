"""What the archive and the fast kernel answer instead of the log and the reference: the same, on a real journal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from application import as_of, queries, revising, what_if
from application.book import Book
from application.fast_lines import fast_parts
from application.fast_replaying import LocalEngine, replay_fast, replay_on
from application.impact_lines import reference_parts
from application.ports.archive import shares
from application.ports.views import VIEWS
from application.replaying import replay
from application.run_accounts import fast_accounts, reference_accounts
from application.what_if import Candidate
from domain.errors import Corrupt, Rejected
from domain.revision import scope_of
from infrastructure.archive import ParquetArchive
from infrastructure.fast_kernel.kernel import FastKernel
from infrastructure.process_engine import ProcessEngine
from interfaces.bootstrap import Ledger
from tests.fixtures.ledgers import Server
from tests.simulation.race_book import RaceBook
from tests.simulation.small_worlds import set_limits
from tests.simulation.world import World

# One worker compiles the kernel, the others load it.
pytestmark = pytest.mark.xdist_group("fast kernel")

SEEDS = (12, 23, 36)


@pytest.fixture(scope="module", params=SEEDS)
def ledger(request: pytest.FixtureRequest, server: Server) -> Iterator[Ledger]:
    """A random world on a database of its own: revisions in parts, reversals, caps, freezes."""
    seed = request.param
    race_book = RaceBook(server, f"fast{seed}", simulated=True)
    with pytest.MonkeyPatch.context() as patch, race_book.ledgers(1) as (opened,):
        lines = set_limits(seed, patch)
        assert opened.clock is not None
        World(seed, opened.book.journal, opened.book.keys, opened.views, opened.clock.tell, lines).run(24)
        yield opened


@pytest.fixture
def archive(ledger: Ledger, tmp_path: Path) -> ParquetArchive:
    return ParquetArchive(tmp_path / "archive", ledger.book)


def table(ledger: Ledger, name: str) -> list[Any]:
    query = f"SELECT v::text FROM views.{name} AS v ORDER BY 1".encode()
    with ledger.book.journal.datastore.get_connection() as conn:  # type: ignore[attr-defined]
        return [tuple(row.values()) for row in conn.execute(query).fetchall()]


def test_views_built_from_the_archive_are_the_views_built_from_the_log(ledger: Ledger, archive: ParquetArchive) -> None:
    ledger.views.advance(ledger.book.journal.head().size)
    ledger.views.rebuild(VIEWS)
    slow = {name: table(ledger, name) for name in VIEWS}
    archive.build()
    ledger.views.rebuild(VIEWS, archive=archive)
    assert {name: table(ledger, name) for name in VIEWS} == slow
    assert all(check.differing == 0 for check in ledger.views.check())


def test_what_is_recorded_after_the_archive_is_taken_from_the_log(ledger: Ledger, archive: ParquetArchive) -> None:
    size = ledger.book.journal.head().size
    instants = ledger.book.journal.recorded_at(list(range(1, size + 1)))
    archive.build(ledger.book.journal.position_at(instants[size // 2]))
    ledger.views.advance(size)
    digest = queries.totals(ledger.book, ledger.views).digest
    ledger.views.rebuild(VIEWS, archive=archive)
    assert queries.totals(ledger.book, ledger.views).digest == digest
    assert all(check.differing == 0 for check in ledger.views.check())


def test_archive_log_views_and_both_kernels_give_one_digest(ledger: Ledger, archive: ParquetArchive) -> None:
    ledger.views.advance(ledger.book.journal.head().size)
    fast = replay_fast(ledger.book, archive, FastKernel)
    slow = replay(ledger.book)
    assert fast.by_reference < max(1, fast.accounts)
    assert fast.mismatches == slow.mismatches == 0
    everything = as_of.totals(ledger.book, archive, fast.until, before_day=4_000_000)
    assert {fast.digest, slow.digest, queries.totals(ledger.book, ledger.views).digest, everything.digest} == {
        slow.digest
    }


def test_two_processes_replay_the_book_as_one_does(ledger: Ledger, archive: ParquetArchive) -> None:
    archive.build()
    alone = replay_on(LocalEngine(archive, FastKernel), ledger.book, archive)
    together = replay_on(ProcessEngine(archive, 2), ledger.book, archive)
    assert replace(together, seconds=alone.seconds) == alone
    assert sum(len(rows.ids) for share in shares(16) for rows in archive.rows(share=share)) == alone.accounts


def test_a_changed_file_is_found_before_any_process_reads_it(ledger: Ledger, archive: ParquetArchive) -> None:
    archive.build()
    (segment,) = archive.status().segments
    path = next(archive._folder.rglob(f"*{segment.name}*"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    fresh = ParquetArchive(archive._folder, ledger.book)
    with pytest.raises(Corrupt, match="archive_file_changed"):
        replay_on(ProcessEngine(fresh, 2), ledger.book, fresh)


def test_whichever_bit_of_a_file_was_changed_a_replay_tells_that_and_nothing_else(
    ledger: Ledger, archive: ParquetArchive
) -> None:
    """Its rows are recomputed while the file is compared: they may be anything."""
    archive.build()
    (segment,) = archive.status().segments
    path = next(archive._folder.rglob(f"*{segment.name}*"))
    whole, chance = path.read_bytes(), random.Random(segment.sm3)
    for _ in range(40):
        place, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        fresh = ParquetArchive(archive._folder, ledger.book)
        with pytest.raises(Corrupt, match="archive_file_changed"):
            replay_fast(ledger.book, fresh, FastKernel)
    path.write_bytes(whole)
    assert replay_fast(ledger.book, ParquetArchive(archive._folder, ledger.book), FastKernel).mismatches == 0


def test_a_plan_by_the_fast_kernel_has_the_digest_of_a_plan_by_the_reference(
    ledger: Ledger, archive: ParquetArchive
) -> None:
    for name, version in ledger.book.rulebook().methodologies.items():
        try:
            plans = [
                revising.dry_run(ledger.book, name, None, None, "ann", parts=parts)
                for parts in (reference_parts, fast_parts(archive, FastKernel))
            ]
        except Rejected:
            continue
        assert plans[0].report == plans[1].report, version.name
        assert plans[0].plan_digest == plans[1].plan_digest


def test_a_comparison_by_the_fast_kernel_is_the_comparison_by_the_reference(
    ledger: Ledger, archive: ParquetArchive
) -> None:
    compared = 0
    for one, other in permutations(ledger.book.rulebook().methodologies, 2):
        try:
            slow, fast = (
                what_if.compare(ledger.book, Candidate(one, {}), Candidate(other, {}), None, None, parts=parts)
                for parts in (reference_parts, fast_parts(archive, FastKernel))
            )
        except Rejected:
            continue
        assert fast == slow
        compared += 1
    assert compared > 0


def test_every_recorded_plan_is_worked_out_again_by_the_fast_kernel(ledger: Ledger, archive: ParquetArchive) -> None:
    credits = 0
    for revision in list(ledger.book.rulebook().revisions):
        again = revising.worked_out_again(ledger.book, revision, parts=fast_parts(archive, FastKernel))
        assert again.report == revising.worked_out_again(ledger.book, revision).report
        credits += again.impact["credits"]
    assert credits > 0


def test_the_fast_kernel_gives_every_account_of_a_run_the_lines_of_the_reference_whether_booked_or_not(
    ledger: Ledger, archive: ParquetArchive
) -> None:
    rulebook = ledger.book.rulebook()
    for run in rulebook.revisions.values():
        if run.approved is None:
            continue
        scope = scope_of(rulebook, run)
        slow = list(reference_accounts(ledger.book, run, scope))
        assert list(fast_accounts(archive, FastKernel)(ledger.book, run, scope)) == slow


def test_a_rulebook_of_an_earlier_position_stays_what_it_was(ledger: Ledger) -> None:
    book = Book(ledger.book.journal, ledger.book.keys)
    now = book.rulebook()
    earlier = book.rulebook(next(iter(now.changes(next(iter(now.methodologies.values())).method.behavior))))
    position = earlier.position
    assert position < now.position
    book.rulebook()
    assert earlier.position == position
