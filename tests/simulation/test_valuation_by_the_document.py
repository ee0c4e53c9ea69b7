"""Random worlds, valued by a program written from docs/spec/valuation.md alone: it finds what the domain finds.

Keeps: nothing in the honest log of any world; what was planted in it, at the same positions under the same names; and,
where the ledger itself has a mistake in the law, that its log is wrong.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from domain.errors import Corrupt
from domain.events import account as events
from domain.events.base import Recorded
from domain.values import day_number, day_text
from infrastructure.memory import MemoryJournal
from tests.fixtures.independent_valuation import Found
from tests.simulation.comparing import Disagreement
from tests.simulation.mutants import MUTANTS
from tests.simulation.small_worlds import small_world
from tests.unit.domain.valuation_vectors import renumbered
from tests.unit.domain.valuing import Times, by_the_document, by_the_domain

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
WORLDS = 2_000 if LONG else 40
CHUNK = 20
ACTS = 24
PLANTED = 6


class Log(NamedTuple):
    events: list[Recorded]
    times: Times
    size: int


def lived(seed: int, plant: Callable[[pytest.MonkeyPatch], None] = lambda _: None) -> Log:
    """The log of a world, as far as it came."""
    with pytest.MonkeyPatch.context() as patch:
        world = small_world(seed, patch)
        plant(patch)
        with suppress(Disagreement, Corrupt):
            world.run(ACTS)
        journal = world.journal
    assert isinstance(journal, MemoryJournal)
    size = journal.head().size
    return Log(list(journal.log(0, size)), dict(journal.recorded_at(range(1, size + 1))), size)


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_a_reader_of_the_document_values_random_worlds_as_the_ledger_does(first: int) -> None:
    for seed in range(first, first + CHUNK):
        log, rng = lived(seed), Random(seed)
        whole = [e.position for e in log.events if not isinstance(e.event, events.FactorRevised) or e.event.last]
        for until in (log.size, rng.choice(whole)):
            read = by_the_document(log.events, log.times, until)
            found, balances = by_the_domain(log.events, log.times, until)
            assert (read.found, found) == ([], set()), f"seed {seed} until {until}"
            assert {stream: account.balances() for stream, account in read.accounts.items()} == balances, f"seed {seed}"


# -- what is planted ---------------------------------------------------------------------------------------------------


def _mass(rng: Random, text: str) -> str:
    return str(int(text) + rng.choice((-1, 1, 1_000)))


def _day(rng: Random, text: str) -> str:
    return day_text(day_number(text) + rng.choice((-40, -1, 1, 2)))


CREDIT: dict[str, Callable[[Random, Any], Any]] = {
    "computed_mg": _mass,
    "credited_mg": _mass,
    "quantity": lambda rng, text: str(int(text) * rng.choice((2, 3, 100_000)) + 1),
    "day": _day,
    "region": lambda rng, _: rng.choice(("", "CN", "CN-44", "CN-440300", "US")),
    "decision": lambda rng, text: rng.choice(("D1", "D2", "R1")),
    "rule": lambda *_: "v2",
    "scale": lambda _, scale: scale + 1,
    "unit": lambda *_: "mile",
    "consent": lambda rng, version: version + rng.choice((-1, 1, 2)),
    "methodology": lambda _, name: f"{name}1",
}
REVERSAL: dict[str, Callable[[Random, Any], Any]] = {
    "reversed_mg": _mass,
    "day": _day,
    "credit": lambda rng, version: version + rng.choice((-1, 1)),
    "behavior": lambda *_: "walking",
}
LINE: dict[str, Callable[[Random, Any], Any]] = {
    "before_mg": _mass,
    "computed_mg": lambda rng, text: rng.choice((None, "5")),
    "credited_mg": _mass,
    "reason": lambda *_: "quantity_out_of_range",
    "day": _day,
    "credit": lambda rng, version: version + rng.choice((-1, 1)),
}


def _altered(rng: Random, each: Recorded, table: dict[str, Callable[[Random, Any], Any]]) -> Recorded:
    name = rng.choice(list(table))
    return each._replace(
        event=msgspec.structs.replace(each.event, **{name: table[name](rng, getattr(each.event, name))})
    )


def _lines(rng: Random, each: Recorded) -> Recorded:
    lines = list(each.event.lines)
    number, doing = rng.randrange(len(lines)), rng.choice(("alter", "alter", "drop", "twice", "turn"))
    if doing == "alter":
        name = rng.choice(list(LINE))
        value = LINE[name](rng, getattr(lines[number], name))
        lines[number] = msgspec.structs.replace(lines[number], **{name: value})
    elif doing == "drop":
        del lines[number]
    elif doing == "twice":
        lines.insert(number, lines[number])
    else:
        lines.reverse()
    return each._replace(event=msgspec.structs.replace(each.event, lines=tuple(lines)))


def _revision(rng: Random, each: Recorded) -> Recorded:
    changes = rng.choice(({"part": each.event.part + 1}, {"revision": "R9"}, {"methodology": "X@1"}, {"rule": "v2"}))
    return each._replace(event=msgspec.structs.replace(each.event, **changes))


def _consent(rng: Random, each: Recorded) -> Recorded:
    changes: dict[str, Any] = rng.choice(
        ({"scope": ("walking",)}, {"valid_from": "2029-01-01T00:00:00Z"}, {"valid_to": "2019-01-01T00:00:00Z"})
    )
    return each._replace(event=msgspec.structs.replace(each.event, **changes))


def tampered(rng: Random, log: Log) -> tuple[str, list[Recorded]]:
    """One thing changed, taken out, or put behind what came after it."""
    kinds = (events.BehaviorCredited, events.BehaviorReversed, events.FactorRevised, events.ConsentGranted)
    kind = rng.choice([kind for kind in kinds if any(isinstance(each.event, kind) for each in log.events)])
    found, each = list(log.events), rng.choice([each for each in log.events if isinstance(each.event, kind)])
    place, doing = each.position - 1, rng.random()
    stream = [other for other in log.events if other.stream == each.stream]
    if doing < 0.15:
        del found[place]
        return f"without {kind.__name__}", renumbered(found)
    if doing < 0.3 and each.version > 2:
        other = stream[each.version - 2]
        found[place], found[other.position - 1] = (
            other._replace(position=each.position),
            each._replace(position=other.position),
        )
        return f"exchanged {kind.__name__}", renumbered(found)
    if kind is events.FactorRevised:
        change = _lines if each.event.lines and rng.random() < 0.7 else _revision
    elif kind is events.ConsentGranted:
        change = _consent
    else:
        table = CREDIT if kind is events.BehaviorCredited else REVERSAL

        def change(rng: Random, each: Recorded) -> Recorded:
            return _altered(rng, each, table)

    found[place] = change(rng, each)
    return kind.__name__, found


def named_otherwise(log: list[Recorded], ours: set[Found]) -> set[Found]:
    """A revision of a code that the account has no credit of is what the domain cannot read, besides."""
    return {(p, "unreadable facts") for p, _ in ours if isinstance(log_at(log, p), events.FactorRevised)}


def log_at(log: list[Recorded], position: int) -> Any:
    return next((each.event for each in log if each.position == position), None)


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_a_reader_of_the_document_finds_in_a_changed_log_what_the_domain_finds(first: int) -> None:
    seen = Counter[str]()
    for seed in range(first, first + CHUNK):
        log, rng = lived(seed), Random(seed)
        if not any(isinstance(each.event, events.BehaviorCredited) for each in log.events):
            continue
        for number in range(PLANTED):
            what, changed = tampered(rng, log)
            ours = by_the_document(changed, log.times, log.size).found
            theirs, _ = by_the_domain(changed, log.times, log.size)
            assert set(ours) == theirs - (named_otherwise(changed, set(ours)) - set(ours)), (
                f"seed {seed}, number {number}: {what}"
            )
            seen[what if theirs else "nothing"] += 1
    assert len(seen) > 5, seen


LAW = (
    "caps in time order",
    "out-of-scope credits not charged first",
    "reversed credits not charged in a revision",
    "a reversal gives back its count",
    "scope ignores the region",
    "scope includes reversed credits",
    "credits do not wait for a pending run",
    "reversals do not wait for a pending run",
    "closed period end",
    "the older decision wins",
    "every region is everywhere",
    "regions have no parents",
    "a withdrawn decision goes on",
    "caps consumed by computed mg",
    "no count caps",
    "a zero credit uses no count",
    "only the first cap counts",
    "a negative credit gives room",
    "months of thirty days",
    "closed years are forgotten",
    "unchanged credits get no line",
    "a revision leaves the caps as they were",
    "withdrawn consent counts",
    "runs leave out the erased",
)
"""Mistakes of the ledger that its log shows."""


@pytest.mark.parametrize("name", LAW)
def test_a_reader_of_the_document_sees_a_mistake_in_the_ledger_from_its_log(name: str) -> None:
    mutant = MUTANTS[name]
    for seed in chain([mutant.seen_in], range(60)):
        log = lived(seed, mutant.plant)
        if by_the_document(log.events, log.times, log.size).found:
            return
    pytest.fail(f"60 worlds did not show: {name}")
