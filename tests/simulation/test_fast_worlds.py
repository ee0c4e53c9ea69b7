"""Random worlds, replayed by the fast kernel over the columns of their log: the result of the reference in every field.

Keeps: the kernel itself proves (nearly) every account, else the comparison would prove nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import msgspec
import pytest

from application.book import Book
from application.fast_replaying import replay_fast
from application.ports.archive import Rows
from application.replaying import ReplayResult, replay
from domain.errors import Rejected
from domain.events import account as events
from domain.events.account import PersonalDataErased
from domain.events.base import Event
from domain.events.intake import IntakeOpened
from domain.events.registry import ACCOUNT_TOPICS, decode, encode
from domain.revision import candidate_run, scope_of
from infrastructure.fast_kernel.kernel import FastKernel
from infrastructure.memory import MemoryJournal, MemoryKeys
from tests.fixtures.columns import ArchiveInMemory, parts_of, rows_in
from tests.property.fast_kernel.questions import Question
from tests.simulation.small_worlds import small_world

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
WORLDS = 2_000 if LONG else 24
CHUNK = 8
ACTS = 24
ONLY_IN_THE_LOG = {"reference", "account name", "snapshot", "day", "evidence"}
"""What the columns do not hold, so that the reference alone compares it."""

_CREDITED = events.BehaviorCredited.TOPIC

pytestmark = pytest.mark.xdist_group("fast kernel")


def _world(seed: int) -> MemoryJournal:
    with pytest.MonkeyPatch.context() as patch:
        world = small_world(seed, patch)
        world.run(ACTS)
        journal = world.journal
    assert isinstance(journal, MemoryJournal)
    return journal


def _book(journal: MemoryJournal) -> Book:
    """As a process that has read nothing yet."""
    return Book(journal, MemoryKeys())


def _fields(result: ReplayResult) -> dict[str, Any]:
    """All that must be equal; mismatches in any order, since the fast replay names those of intakes last."""
    different = ("seconds", "by_reference", "details", "mismatches")
    fields = {name: value for name, value in vars(result).items() if name not in different}
    return fields | {"details": sorted(each for each in result.details if each.what not in ONLY_IN_THE_LOG)}


def _replayed(journal: MemoryJournal, until: int | None, cut: Callable[[Rows], Sequence[int]]) -> ReplayResult:
    return replay_fast(_book(journal), ArchiveInMemory(journal, cut), FastKernel, until)


def _anywhere(rng: Random) -> Callable[[Rows], Sequence[int]]:
    return lambda rows: sorted(rng.sample(range(1, len(rows.ids)), rng.randrange(len(rows.ids)))) if rows.ids else []


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_the_fast_replay_of_random_worlds_is_the_reference_replay_in_every_field(first: int) -> None:
    accounts = by_reference = 0
    for seed in range(first, first + CHUNK):
        journal, rng = _world(seed), Random(seed)
        size = journal.head().size
        for until in (None, size * 3 // 4, rng.randrange(1, size)):
            slow = replay(_book(journal), until)
            in_one, in_parts = (_replayed(journal, until, cut) for cut in (lambda _: (), _anywhere(rng)))
            assert _fields(in_one) == _fields(slow), f"seed {seed} until {until}"
            assert _fields(in_parts) == _fields(slow), f"seed {seed} until {until}, in parts"
            assert slow.mismatches == in_one.mismatches == 0
            # Who approved an erasure is for the reference. So is a revision whose parts an earlier size cuts in two.
            erased = len(list(journal.log(0, until or size, (PersonalDataErased.TOPIC,))))
            asked = in_one.by_reference - erased
            assert 0 <= asked <= (0 if until is None else 2), f"seed {seed} until {until}"
            accounts += slow.by_reference
            by_reference += asked
    assert accounts > 30
    assert by_reference <= accounts // 10


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_the_fast_lines_of_runs_are_those_of_the_reference_as_planned_and_as_asked(first: int) -> None:
    asked = 0
    for seed in range(first, first + CHUNK):
        journal, rng = _world(seed), Random(seed)
        rulebook, size = _book(journal).rulebook(), journal.head().size
        streams = list(journal.streams(ACCOUNT_TOPICS, size))
        differences = list[str]()
        for run in rulebook.revisions.values():
            until = size if run.approved is None else run.approved - 1
            question = Question(f"seed {seed}", rulebook, streams, until)
            differences += question.line_differences(FastKernel, scope_of(rulebook, run))
            asked += 1
        if not rulebook.pending_runs():
            question = Question(f"seed {seed}", rulebook, streams, size)
            named = [name for name, version in rulebook.methodologies.items() if version.published_at]
            for name in rng.sample(named, min(2, len(named))):
                releases = {p.factor_set: 1 for p in rulebook.methodologies[name].method.parameters if p.factor_set}
                with suppress(Rejected):
                    run = candidate_run(rulebook, name, None, None, rng.choice(("*", "CN")), releases, "ann", size)
                    differences += question.line_differences(FastKernel, scope_of(rulebook, run))
                    asked += 1
        assert differences == []
    assert asked > CHUNK


@contextmanager
def _altered(journal: MemoryJournal, rng: Random, kind: type[Event], **changes: Any) -> Iterator[None]:
    """The facts of one stored event are others for a while, as somebody with the database could make them."""
    places = [place for place, row in enumerate(journal._rows) if row.topic == kind.TOPIC]
    place = rng.choice(places or [0])
    before = journal._rows[place]
    if places:
        facts, personal = decode(kind.TOPIC, before.state)
        state = encode(msgspec.structs.replace(facts, **changes), personal)
        journal._rows[place] = before._replace(state=state)
    yield
    journal._rows[place] = before


def test_credits_that_name_a_wrong_intake_or_partner_are_reported_as_by_the_reference() -> None:
    found: Counter[str] = Counter()
    for seed in range(10):
        rng, journal = Random(seed), _world(seed)
        for changes in ({"intake": 1}, {"intake": 0}, {"intake": 2**61 + 5}, {"intake": -1}, {"partner": "bike-co"}):
            with _altered(journal, rng, events.BehaviorCredited, **changes):
                slow, fast = replay(_book(journal)), _replayed(journal, None, _anywhere(rng))
            assert _fields(fast) == _fields(slow), f"seed {seed}: {changes}"
            found[str(changes)] += any(each.what == "intake" for each in fast.details)
    assert min(found.values()) >= 7


def test_a_credit_of_an_intake_that_was_opened_after_it_is_reported_as_by_the_reference() -> None:
    early = 0
    for seed in range(10):
        rng, journal = Random(seed), _world(seed)
        later = max(place for place, row in enumerate(journal._rows, start=1) if row.topic == IntakeOpened.TOPIC)
        with _altered(journal, rng, events.BehaviorCredited, intake=later):
            slow, fast = replay(_book(journal)), _replayed(journal, None, _anywhere(rng))
        assert _fields(fast) == _fields(slow), f"seed {seed}"
        early += any(each.booked == f"opened at {later}" for each in fast.details)
    assert early >= 3


def _with_eight_partners(rows: Rows) -> Sequence[int]:
    """In one part; names that no row uses, so that numbers made of intake and partner wrap where they can."""
    for number in range(8 - len(rows.names.words["partner"])):
        rows.names.code("partner", f"another {number}")
    return ()


def test_an_intake_beyond_the_log_is_not_taken_for_the_one_that_it_would_wrap_to() -> None:
    journal = _world(0)
    (first, *_) = (decode(row.topic, row.state)[0] for row in journal._rows if row.topic == _CREDITED)
    assert isinstance(first, events.BehaviorCredited)
    for beyond in (2**61, -(2**61)):
        with _altered(journal, Random(0), events.BehaviorCredited, intake=first.intake + beyond):
            slow, fast = replay(_book(journal)), _replayed(journal, None, _with_eight_partners)
        assert _fields(fast) == _fields(slow)
        assert "intake" in [each.what for each in fast.details]


def test_altered_masses_and_lines_are_reported_as_by_the_reference() -> None:
    found: Counter[str] = Counter()
    for seed in range(12):
        rng, journal = Random(seed), _world(seed)
        for kind, changes in (
            (events.BehaviorCredited, {"credited_mg": "1000001"}),
            (events.BehaviorCredited, {"quantity": str(2**70)}),
            (events.BehaviorReversed, {"reversed_mg": "7"}),
            (events.FactorRevised, {"lines": ()}),
        ):
            with _altered(journal, rng, kind, **changes):
                slow, fast = replay(_book(journal)), _replayed(journal, None, _anywhere(rng))
            assert _fields(fast) == _fields(slow), f"seed {seed}: {changes}"
            found[str(changes)] += bool(fast.mismatches)
    assert min(found.values()) >= 3


def test_rows_in_parts_are_the_rows_of_the_whole() -> None:
    rows = next(rows for rows in (rows_in(_world(seed)) for seed in range(20)) if len(rows.ids) > 2)
    parts = list(parts_of(rows, [1, 2]))
    assert [stream for part in parts for stream in part.ids] == list(rows.ids)
    assert sum(len(part.kind) for part in parts) == len(rows.kind)
    assert all(part.account[0] == 0 for part in parts)
    assert sorted(each for part in parts for each in part.digests.values()) == sorted(rows.digests.values())
