"""Which decision values a behavior: look-up by region and civil day, and what an act would change.

Keeps (DESIGN 3, Applicability decision; DOMAIN rules 4-9):
- look-up is per behavior, across codes: the most specific region wins, then the greatest position;
- an empty region matches only ``*``; periods are half-open;
- a withdrawn version's decisions end at the withdrawal's position, and look-up falls back to the next older one.
Leaves to ``rulebook``: where decisions come from; to ``kernel.valuation``: what they compute.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.kernel.method import Method
from domain.kernel.valuation import Valuer
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, region_chain

NEVER = 2**63 - 1
"""Position of something that has not happened."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """An approved applicability decision; ``position`` and ``ended`` are log positions.

    ``is_revision``: the decision is the approval of a revision run and ``id`` names the run.
    """

    id: str
    methodology: str
    method: Method
    valuer: Valuer
    period: Period
    region: str
    position: int
    ended: int = NEVER
    is_revision: bool = False

    def known_at(self, position: int) -> bool:
        """Whether an event at ``position`` may rest on this decision."""
        return self.position < position <= self.ended


class LookUp(NamedTuple):
    """Winners for one (behavior, region): ``winners[i]`` holds from civil day ``starts[i]`` up to the next start."""

    starts: tuple[int, ...]
    winners: tuple[Decision | None, ...]

    def on(self, day: int) -> Decision | None:
        return self.winners[bisect_right(self.starts, day) - 1]


class ChangeOfHand(NamedTuple):
    """A (region, period) whose valuation moves from one decision to another; None = nothing values it."""

    region: str
    period: Period
    before: Decision | None
    after: Decision | None


def build_lookup(decisions: Iterable[Decision], region: str) -> LookUp:
    """Winner per civil day for a region, from the decisions of one behavior that are in force."""
    chain = region_chain(region)
    candidates = sorted((d for d in decisions if d.region in chain), key=lambda d: (chain.index(d.region), -d.position))
    cuts = {FIRST_DAY}
    for d in candidates:
        cuts.update((d.period.start, d.period.end))
    cuts.discard(AFTER_LAST_DAY)
    starts = sorted(cuts)
    winners = [next((d for d in candidates if d.period.covers(start)), None) for start in starts]
    return LookUp(tuple(starts), tuple(winners))


def regions_touch(one: str, other: str) -> bool:
    """Whether some region belongs to both decision regions (region levels form a tree)."""
    return one in region_chain(other) or other in region_chain(one)


def overlap(one: Period, other: Period) -> Period | None:
    """The days in both periods, None when there are none."""
    both = Period(max(one.start, other.start), min(one.end, other.end))
    return both if both.start < both.end else None


def changes_of_hand(
    before: Sequence[Decision], after: Sequence[Decision], region: str, period: Period, *, also_unvalued: bool = False
) -> list[ChangeOfHand]:
    """Every (region, period) inside the given ones whose winner differs between two sets of decisions.

    A winner without a parameter row there values nothing and counts as None, unless ``also_unvalued``.
    Each region that any decision or parameter row names below ``region`` is listed by itself, since it can differ
    from its parent;
    all others behave like the nearest named one.
    """
    named = {region} | {d.region for d in (*before, *after)}
    for d in (*before, *after):
        named.update(d.valuer.regions())
    changes: list[ChangeOfHand] = []
    for place in sorted(r for r in named if region in region_chain(r)):
        old, new = build_lookup(before, place), build_lookup(after, place)
        cuts = set(old.starts) | set(new.starts) | {period.start}
        for d in (*before, *after):
            cuts.update(d.valuer.breakpoints())
        days = sorted(c for c in cuts if period.start <= c < period.end)
        # Not strict: a period without a day, which only a lawless log holds, has no days to look at.
        for start, end in zip(days, [*days[1:], period.end], strict=False):
            was, now = old.on(start), new.on(start)
            if not also_unvalued:
                was, now = _valuing(was, place, start), _valuing(now, place, start)
            if was is not now:
                changes.append(ChangeOfHand(place, Period(start, end), was, now))
    return _joined(changes)


def gaps(changes: Iterable[ChangeOfHand]) -> list[ChangeOfHand]:
    """The changes after which nothing values what something valued before."""
    return [c for c in changes if c.before is not None and c.after is None]


def _valuing(decision: Decision | None, region: str, day: int) -> Decision | None:
    """The decision, unless its version has no parameter row there: then nothing values the day."""
    if decision is None or not decision.valuer.covers(region, day):
        return None
    return decision


def _joined(changes: list[ChangeOfHand]) -> list[ChangeOfHand]:
    joined: list[ChangeOfHand] = []
    for change in changes:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.region == change.region
            and last.period.end == change.period.start
            and last.before is change.before
            and last.after is change.after
        ):
            joined[-1] = last._replace(period=Period(last.period.start, change.period.end))
        else:
            joined.append(change)
    return joined
