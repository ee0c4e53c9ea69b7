"""What the ledger says, in the model's words, and the promises that every book must keep.

Keeps: nothing is recomputed with the ledger's rules; events are read as they stand. ``broken_caps`` checks the cap
invariant of DESIGN 3 on any book whose versions are given as plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from domain.events import account as events
from domain.events.base import Recorded
from domain.events.intake import IntakeClosed
from domain.events.rulebook import RevisionCompleted
from tests.simulation.law import Fact, Line, window
from tests.simulation.plain import Version


class Disagreement(AssertionError):
    """The ledger and the model differ."""


def agree(what: str, ledger: object, model: object) -> None:
    """Raises Disagreement."""
    if ledger != model:
        raise Disagreement(f"{what}\n  ledger: {ledger}\n  model:  {model}")


def _credited(event: events.BehaviorCredited) -> tuple[Any, ...]:
    return (
        event.intake,
        event.line,
        event.behavior,
        date.fromisoformat(event.day),
        event.region,
        int(event.quantity),
        event.methodology,
        event.decision,
        event.consent,
        int(event.computed_mg),
        int(event.credited_mg),
    )


def _line(line: events.RevisedLine) -> Line:
    computed = None if line.computed_mg is None else int(line.computed_mg)
    day = date.fromisoformat(line.day)
    return Line(line.credit, day, int(line.before_mg), computed, int(line.credited_mg), line.reason)


def _revised(event: events.FactorRevised) -> tuple[Any, ...]:
    return (event.revision, event.methodology, event.part, event.last, tuple(_line(line) for line in event.lines))


def _completed(event: RevisionCompleted) -> tuple[Any, ...]:
    masses = (int(event.before_mg), int(event.after_mg), int(event.delta_mg))
    return (event.revision, event.accounts, event.changed_accounts, event.credits, *masses)


def _closed(event: IntakeClosed) -> tuple[Any, ...]:
    by_code = tuple(sorted(event.rejected_by_code.items()))
    return (event.read, event.credited, event.duplicates, event.rejected, by_code)


_DETAILS: Mapping[type[Any], Callable[[Any], tuple[Any, ...]]] = {
    events.BehaviorCredited: _credited,
    events.BehaviorReversed: lambda event: (event.credit, int(event.reversed_mg)),
    events.FactorRevised: _revised,
    events.ConsentWithdrawn: lambda event: (event.consent,),
    events.PersonalDataErased: lambda event: (event.request,),
    RevisionCompleted: _completed,
    IntakeClosed: _closed,
}


def fact_of(recorded: Recorded, account_ref: str) -> Fact:
    """An event in the model's words."""
    event = recorded.event
    details = _DETAILS.get(type(event), lambda _: ())(event)
    return Fact(recorded.position, type(event).__name__, account_ref, details)


def booked_lines(log: Iterable[Recorded], revision: str) -> dict[UUID, list[Line]]:
    """The lines of a run as booked, by account."""
    found: dict[UUID, list[Line]] = {}
    for each in log:
        if isinstance(each.event, events.FactorRevised) and each.event.revision == revision:
            found.setdefault(each.stream, []).extend(_line(line) for line in each.event.lines)
    return found


class _Charged:
    """What one account has booked under one code: day and mg of every credit, reversed ones at their last mg."""

    def __init__(self) -> None:
        self.credits: dict[int, tuple[date, int]] = {}
        self.revising: dict[int, tuple[date, int]] = {}

    def inside(self, kind: str, day: date, *, without: Iterable[int] = ()) -> list[int]:
        left_out = set(without)
        return [
            mg
            for version, (when, mg) in self.credits.items()
            if version not in left_out and window(kind, when) == window(kind, day)
        ]


def broken_caps(log: Iterable[Recorded], versions: Mapping[str, Version]) -> list[str]:
    """Where a window's total exceeds max(limit, what out-of-scope and reversed credits hold) (DESIGN 3, Caps)."""
    books: dict[tuple[UUID, str], _Charged] = {}
    broken: list[str] = []
    for each in log:
        event = each.event
        if isinstance(event, events.BehaviorCredited):
            version = versions[event.methodology]
            book = books.setdefault((each.stream, version.code), _Charged())
            new = {each.version: (date.fromisoformat(event.day), int(event.credited_mg))}
        elif isinstance(event, events.FactorRevised):
            version = versions[event.methodology]
            book = books[each.stream, version.code]
            book.revising.update((x.credit, (date.fromisoformat(x.day), int(x.credited_mg))) for x in event.lines)
            if not event.last:
                continue
            new, book.revising = book.revising, {}
        else:
            continue
        broken += [f"position {each.position}: {fault}" for fault in _faults(book, new, version)]
        book.credits.update(new)
    return broken


def _faults(book: _Charged, new: Mapping[int, tuple[date, int]], version: Version) -> list[str]:
    faults = []
    for cap in version.caps:
        for day in {day for day, _ in new.values()}:
            held = book.inside(cap.window, day, without=new)
            added = [mg for when, mg in new.values() if window(cap.window, when) == window(cap.window, day)]
            if cap.kind == "mass" and sum(held) + sum(added) > max(cap.limit, sum(held)):
                faults.append(f"{sum(held)} + {sum(added)} mg in the {cap.window} of {day}, limit {cap.limit}")
            paid = sum(1 for mg in added if mg)
            if cap.kind == "count" and paid > max(0, cap.limit - len(held)):
                faults.append(f"{len(held)} + {paid} paid in the {cap.window} of {day}, limit {cap.limit}")
    return faults


def counts_of(outcomes: Sequence[str]) -> tuple[int, int, int, int, tuple[tuple[str, int], ...]]:
    """Read, credited, duplicates, rejected, rejected by code."""
    refused = [outcome for outcome in outcomes if outcome not in ("credited", "duplicate")]
    by_code = tuple(sorted({code: refused.count(code) for code in refused}.items()))
    return len(outcomes), outcomes.count("credited"), outcomes.count("duplicate"), len(refused), by_code
