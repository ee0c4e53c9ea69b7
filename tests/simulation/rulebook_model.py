"""The model's rulebook: methodologies, releases, decisions, and which of them values a behavior.

Keeps: as ``model``: written from DESIGN section 3 alone; look-up asks all decisions, gaps try every kind of place and
day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

from tests.simulation.law import Account, Decision, Fact, Run, levels, refuse_if, rounded, value_in
from tests.simulation.plain import FORMULAS, Release, Row, Version, local_day


class RulebookModel:
    """``regions``: every region that the world uses. ``now`` is told. ``log``: what the ledger must have recorded."""

    def __init__(self, regions: Sequence[str]) -> None:
        self.regions = regions
        self.now = datetime(1970, 1, 1, tzinfo=UTC)
        self.log: list[Fact] = []
        self.accounts: dict[str, Account] = {}
        self.versions: dict[str, Version] = {}
        self.states: dict[str, str] = {}
        self.published: list[str] = []
        self.withdrawals: dict[str, str] = {}
        self.releases: dict[tuple[str, int], Release] = {}
        self.proposals: dict[str, Decision] = {}
        self.runs: dict[str, Run] = {}
        self.moved: dict[str, int] = {}

    @property
    def size(self) -> int:
        return len(self.log)

    def record(self, kind: str, subject: str = "", *details: Any) -> int:
        position = len(self.log) + 1
        if subject:
            self.accounts[subject].version += 1
            if kind in ("AccountOpened", "BehaviorCredited", "BehaviorReversed", "AccountClosed"):
                self.accounts[subject].last = self.now
        self.log.append(Fact(position, kind, subject, details))
        return position

    # -- methodologies and decisions -----------------------------------------------------------------------------

    def draft(self, version: Version) -> None:
        refuse_if(version_exists=version.name in self.versions)
        self.versions[version.name] = version
        self._advance(version.name, "drafted", "MethodologyDrafted")

    def review(self, name: str) -> None:
        refuse_if(wrong_state=self.states[name] != "drafted")
        self._advance(name, "reviewed", "MethodologyReviewed")

    def certify(self, name: str) -> None:
        refuse_if(wrong_state=self.states[name] != "reviewed")
        self._advance(name, "certified", "MethodologyCertified")

    def publish(self, name: str) -> None:
        refuse_if(wrong_state=self.states[name] != "certified")
        self._advance(name, "published", "MethodologyPublished")
        self.published.append(name)
        self.moved[self.versions[name].behavior] = self.size

    def load(self, release: Release) -> None:
        self.releases[release.factor_set, release.number] = release
        self.record("FactorReleaseLoaded")

    def _advance(self, name: str, state: str, event: str) -> None:
        self.states[name] = state
        self.record(event)

    def propose(self, decision: Decision) -> None:
        refuse_if(wrong_state=self.states[decision.version.name] != "published")
        self.proposals[decision.id] = decision
        self.record("DecisionProposed")

    def approve(self, name: str, by: str) -> None:
        decision = self.proposals[name]
        behavior = decision.version.behavior
        before = self.decisions(behavior, self.size + 1)
        refuse_if(
            already_approved=decision.position is not None,
            same_actor=by == decision.by,
            wrong_state=self.states[decision.version.name] != "published",
            revision_in_progress=bool(self.pending(behavior)),
            use_revision=self._reaches_back(decision),
            gap_left=not decision.leave_gap and self._gap(before, self._with(before, decision)),
        )
        decision.position = self.moved[behavior] = self.record("DecisionApproved")

    def propose_withdrawal(self, name: str, by: str) -> None:
        refuse_if(
            wrong_state=self.states[name] != "published",
            withdrawal_already_proposed=name in self.withdrawals,
        )
        self.withdrawals[name] = by
        self.record("WithdrawalProposed")

    def approve_withdrawal(self, name: str, by: str, *, leave_gap: bool) -> None:
        behavior = self.versions[name].behavior
        before = self.decisions(behavior, self.size + 1)
        after = [d for d in before if d.version.name != name]
        refuse_if(
            wrong_state=self.states[name] != "published",
            withdrawal_not_proposed=name not in self.withdrawals,
            same_actor=self.withdrawals.get(name) == by,
            revision_in_progress=bool(self.pending(behavior)),
            gap_left=not leave_gap and self._gap(before, after),
        )
        self.states[name] = "withdrawn"
        position = self.moved[behavior] = self.record("MethodologyWithdrawn")
        for decision in before:
            if decision.version.name == name:
                decision.ended = position

    def decisions(self, behavior: str, position: int) -> list[Decision]:
        """Decisions of a behavior that an event at ``position`` may rest on."""
        every: list[Decision] = [*self.proposals.values(), *self.runs.values()]
        return [d for d in every if d.version.behavior == behavior and d.in_force(position)]

    def winner(self, decisions: Iterable[Decision], region: str, day: date) -> Decision | None:
        """The most specific region wins, then the greatest position."""
        for level in levels(region):
            found = [d for d in decisions if d.region == level and d.covers(day)]
            if found:
                return max(found, key=lambda d: d.position or 0)
        return None

    def computed(self, decision: Decision, region: str, day: date, quantity: Fraction) -> int | None:
        """mg before caps; None when some parameter has no row for the region and day."""
        values: dict[str, Fraction] = {}
        for name, rows in decision.version.parameters.items():
            if isinstance(rows, str):
                release = self.releases[rows, decision.releases[rows]]
                rows = tuple(Row(place, None, None, value) for place, value in release.values)
            value = value_in(rows, region, day)
            if value is None:
                return None
            values[name] = value
        grams = FORMULAS[decision.version.formula](quantity, values)
        return rounded(grams * 1000, decision.version.rounding)

    def pending(self, behavior: str | None = None) -> list[Run]:
        """Runs approved and not completed, by approval."""
        found = [
            run
            for run in self.runs.values()
            if run.position is not None and not run.completed and behavior in (None, run.version.behavior)
        ]
        return sorted(found, key=lambda run: run.position or 0)

    def _with(self, before: Sequence[Decision], decision: Decision) -> list[Decision]:
        """As if the decision were approved now."""
        approved = Decision(
            decision.id,
            decision.version,
            decision.start,
            decision.end,
            decision.region,
            decision.releases,
            decision.by,
            position=self.size + 1,
        )
        return [*before, approved]

    def _places_and_days(self, decisions: Iterable[Decision]) -> list[tuple[str, date]]:
        """One of each kind of (region, day): nothing changes between two edges."""
        places, days = {"*", *self.regions}, {date.min}
        for decision in decisions:
            places.add(decision.region)
            days.update(edge for edge in (decision.start, decision.end) if edge)
            for rows in decision.version.parameters.values():
                if isinstance(rows, str):
                    places.update(place for place, _ in self.releases[rows, decision.releases[rows]].values)
                    continue
                for row in rows:
                    places.add(row.region)
                    days.update(edge for edge in (row.start, row.end) if edge)
        return [(place, day) for place in sorted(places) for day in sorted(days)]

    def _gap(self, before: Sequence[Decision], after: Sequence[Decision]) -> bool:
        """Whether something is valued before and not after."""

        def valued(decisions: Sequence[Decision], place: str, day: date) -> bool:
            found = self.winner(decisions, place, day)
            return found is not None and self.computed(found, place, day, Fraction(1)) is not None

        return any(
            valued(before, place, day) and not valued(after, place, day)
            for place, day in self._places_and_days([*before, *after])
        )

    def _reaches_back(self, decision: Decision) -> bool:
        """A (region, day) before the civil day of the approval that any decision has ever covered."""
        today = local_day(self.now, decision.version.offset_minutes)
        every: list[Decision] = [*self.proposals.values(), *self.runs.values()]
        for earlier in every:
            if earlier.position is None or earlier.version.behavior != decision.version.behavior:
                continue
            touching = earlier.region in levels(decision.region) or decision.region in levels(earlier.region)
            start = max(earlier.start or date.min, decision.start or date.min)
            end = min(earlier.end or date.max, decision.end or date.max, today)
            if touching and start < end:
                return True
        return False

    def _takes_from_another_code(self, run: Run) -> bool:
        before = self.decisions(run.version.behavior, self.size + 1)
        after = self._with(before, run)
        for place, day in self._places_and_days(after):
            old, new = self.winner(before, place, day), self.winner(after, place, day)
            if new is after[-1] and old is not None and old.version.code != run.version.code:
                return True
        return False
