"""The rulebook: everything that decides how a behavior is valued, folded from its own chain of events.

Keeps: folding never refuses; two folds of the same events are equal; look-up at a log position uses only what was
recorded before that position, so a past credit can be judged for ever.
Leaves to ``methodology``, ``factors``, ``decisions``, ``revision``, ``registering``, ``partnering``: which events may
be added.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from domain.actor_keys import ActorKeys
from domain.applicability import NEVER, Decision, LookUp, build_lookup
from domain.errors import Corrupt, LedgerError
from domain.events import actors
from domain.events import partners as partner_events
from domain.events import rulebook as events
from domain.events.base import NewEvent, Recorded, RulebookEvent
from domain.kernel.method import Method, ParameterRow
from domain.kernel.method_file import factor_rows_from, method_from_document
from domain.kernel.valuation import Valuer
from domain.partners import Partners, Proposed
from domain.streams import stream_id
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, day_number, day_text


@dataclass(frozen=True, slots=True)
class MethodologyVersion:
    """A methodology version and where it stands in its life cycle.

    ``state``: drafted, reviewed, certified, published or withdrawn. (A published version with a later published one is
    *superseded*: it keeps its decisions, DOMAIN rule 8; see ``Rulebook.state_of``.)
    """

    name: str
    method: Method
    document: str
    digest: str
    state: str
    drafter: str
    reviewer: str = ""
    certifier: str = ""
    withdrawal_proposer: str = ""
    withdrawer: str = ""
    published_at: int = 0
    """Log position of its publication, 0 before."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed applicability decision; ``approved`` is its log position once approved."""

    id: str
    methodology: str
    period: Period
    region: str
    releases: dict[str, int]
    leave_gap: bool
    by: str
    approved: int | None = None
    approver: str = ""


@dataclass(frozen=True, slots=True)
class RevisionRun:
    """A requantification: planned, approved at position ``approved``, completed at position ``completed``."""

    id: str
    methodology: str
    behavior: str
    period: Period
    region: str
    releases: dict[str, int]
    as_of: int
    behavior_position: int
    plan_digest: str
    by: str
    approved: int | None = None
    approver: str = ""
    approved_digest: str = ""
    completed: events.RevisionCompleted | None = None
    completed_position: int = NEVER

    @property
    def state(self) -> str:
        if self.completed is not None:
            return "completed"
        return "planned" if self.approved is None else "approved"


class Rulebook:
    """All rulebook events up to ``position``, ready for look-up."""

    def __init__(self) -> None:
        self.position = 0
        self.genesis: events.BookOpened | None = None
        self.methodologies: dict[str, MethodologyVersion] = {}
        self.releases: dict[tuple[str, int], events.FactorReleaseLoaded] = {}
        self.proposals: dict[str, Proposal] = {}
        self.revisions: dict[str, RevisionRun] = {}
        self.actor_keys = ActorKeys()
        self.partners = Partners()
        self._decisions: dict[str, list[Decision]] = {}
        self._changes: dict[str, list[int]] = {}
        self._versions: dict[UUID, int] = {}
        self._lookups: dict[tuple[str, str, int], LookUp] = {}

    # -- folding -----------------------------------------------------------------------------------------------

    def extend(self, recorded: Iterable[Recorded]) -> None:
        """Fold further rulebook events, oldest first. Raises Corrupt ``rulebook_chain_broken``."""
        for each in recorded:
            event: RulebookEvent = each.event
            previous = getattr(event, "previous", None)
            if previous != self.position:
                raise Corrupt(
                    "rulebook_chain_broken",
                    f"names {previous} as its predecessor, but that is {self.position}",
                    field=f"position {each.position}",
                    remedy="an event of the rulebook is missing or altered; restore it from a backup",
                )
            self._versions[each.stream] = each.version
            self.position = each.position
            try:
                _FOLD[type(event)](self, event, each.position)
            except (KeyError, ValueError, LedgerError) as error:
                raise Corrupt(
                    "rulebook_unreadable",
                    f"{event.TOPIC} does not fit what stands before it: {error!r}",
                    field=f"position {each.position}",
                    remedy="an event of the rulebook is missing or altered; restore it from a backup",
                ) from error

    def _book_opened(self, event: events.BookOpened, _: int) -> None:
        self.genesis = event

    def _drafted(self, event: events.MethodologyDrafted, _: int) -> None:
        name = f"{event.code}@{event.version}"
        method = method_from_document(json.loads(event.document))
        self.methodologies[name] = MethodologyVersion(name, method, event.document, event.digest, "drafted", event.by)

    def _reviewed(self, event: events.MethodologyReviewed, _: int) -> None:
        self._advance(event.methodology, state="reviewed", reviewer=event.by)

    def _certified(self, event: events.MethodologyCertified, _: int) -> None:
        self._advance(event.methodology, state="certified", certifier=event.by)

    def _published(self, event: events.MethodologyPublished, position: int) -> None:
        self._advance(event.methodology, state="published", published_at=position)
        self._moved(self.methodologies[event.methodology].method.behavior, position)

    def _withdrawal_proposed(self, event: events.WithdrawalProposed, _: int) -> None:
        self._advance(event.methodology, withdrawal_proposer=event.by)

    def _withdrawn(self, event: events.MethodologyWithdrawn, position: int) -> None:
        self._advance(event.methodology, state="withdrawn", withdrawer=event.by)
        behavior = self.methodologies[event.methodology].method.behavior
        self._decisions[behavior] = [
            replace(d, ended=position) if d.methodology == event.methodology else d
            for d in self._decisions.get(behavior, [])
        ]
        self._moved(behavior, position)

    def _release_loaded(self, event: events.FactorReleaseLoaded, _: int) -> None:
        self.releases[event.factor_set, event.release] = event

    def _decision_proposed(self, event: events.DecisionProposed, _: int) -> None:
        period = period_of(event.start, event.end)
        self.proposals[event.decision] = Proposal(
            event.decision, event.methodology, period, event.region, event.releases, event.leave_gap, event.by
        )

    def _decision_approved(self, event: events.DecisionApproved, position: int) -> None:
        proposal = replace(self.proposals[event.decision], approved=position, approver=event.by)
        self.proposals[event.decision] = proposal
        self._decide(self.decision_from(proposal, position))

    def _revision_planned(self, event: events.RevisionPlanned, _: int) -> None:
        self.revisions[event.revision] = RevisionRun(
            event.revision,
            event.methodology,
            self.methodologies[event.methodology].method.behavior,
            period_of(event.start, event.end),
            event.region,
            event.releases,
            event.as_of,
            event.behavior_position,
            event.plan_digest,
            event.by,
        )

    def _revision_approved(self, event: events.RevisionApproved, position: int) -> None:
        run = replace(
            self.revisions[event.revision], approved=position, approver=event.by, approved_digest=event.plan_digest
        )
        self.revisions[event.revision] = run
        self._decide(self.decision_from(run, position))

    def _revision_completed(self, event: events.RevisionCompleted, position: int) -> None:
        run = replace(self.revisions[event.revision], completed=event, completed_position=position)
        self.revisions[event.revision] = run
        self._moved(run.behavior, position)

    def _advance(self, name: str, **changes: Any) -> None:
        self.methodologies[name] = replace(self.methodologies[name], **changes)

    def _decide(self, decision: Decision) -> None:
        behavior = decision.method.behavior
        self._decisions.setdefault(behavior, []).append(decision)
        self._moved(behavior, decision.position)

    def _moved(self, behavior: str, position: int) -> None:
        self._changes.setdefault(behavior, []).append(position)

    # -- questions ---------------------------------------------------------------------------------------------

    def record(self, kind: str, name: str, event: RulebookEvent) -> NewEvent:
        """The event as the next one of its stream."""
        stream = stream_id(kind, name)
        return NewEvent(stream, self._versions.get(stream, 0) + 1, event)

    def decision_from(self, source: Proposal | RevisionRun, position: int) -> Decision:
        """The decision that a proposal or run is (or would be) from ``position`` on."""
        method = self.methodologies[source.methodology].method
        valuer = Valuer(method, self.factors_for(method, source.releases))
        is_revision = isinstance(source, RevisionRun)
        return Decision(
            source.id, source.methodology, method, valuer, source.period, source.region, position, NEVER, is_revision
        )

    def factors_for(self, method: Method, releases: dict[str, int]) -> dict[str, tuple[ParameterRow, ...]]:
        """Parameter rows of the named releases, by factor set."""
        rows: dict[str, tuple[ParameterRow, ...]] = {}
        for parameter in method.parameters:
            if parameter.factor_set is not None:
                release = self.releases[parameter.factor_set, releases[parameter.factor_set]]
                rows[parameter.factor_set] = factor_rows_from(release.rows, parameter.unit)
        return rows

    def decisions(self, behavior: str, known: int = NEVER) -> list[Decision]:
        """Decisions that an event at position ``known`` may rest on, oldest first."""
        return [d for d in self._decisions.get(behavior, ()) if d.known_at(known)]

    def all_decisions(self, behavior: str) -> list[Decision]:
        """Every decision ever approved for the behavior, withdrawn or not."""
        return list(self._decisions.get(behavior, ()))

    def lookup(self, behavior: str, region: str, known: int = NEVER) -> LookUp:
        """Winning decisions by civil day, as an event at position ``known`` sees them."""
        epoch = bisect_left(self._changes.get(behavior, ()), known)
        key = (behavior, region, epoch)
        found = self._lookups.get(key)
        if found is None:
            if len(self._lookups) > 10_000:
                self._lookups.clear()
            found = self._lookups[key] = build_lookup(self.decisions(behavior, known), region)
        return found

    def changes(self, behavior: str) -> tuple[int, ...]:
        """The positions of the events that changed the behavior's look-up; between two of them it stays the same."""
        return tuple(self._changes.get(behavior, ()))

    def behavior_position(self, behavior: str) -> int:
        """Position of the last event that changed how the behavior is valued, 0 when there is none."""
        changes = self._changes.get(behavior)
        return changes[-1] if changes else 0

    def published(self, behavior: str) -> list[MethodologyVersion]:
        """Versions that name the behavior and were ever published, in order of publication."""
        published = (m for m in self.methodologies.values() if m.method.behavior == behavior and m.published_at)
        return sorted(published, key=lambda m: m.published_at)

    def state_of(self, name: str) -> str:
        """Life-cycle state as people know it: a published version is ``superseded`` once a later one is published."""
        version = self.methodologies[name]
        later = any(
            other.method.code == version.method.code
            and other.method.version > version.method.version
            and other.state == "published"
            for other in self.methodologies.values()
        )
        return "superseded" if version.state == "published" and later else version.state

    def sources_of(self, name: str) -> list[dict[str, Any]]:
        """The sources that a methodology document names, as it names them."""
        sources: list[dict[str, Any]] = json.loads(self.methodologies[name].document)["sources"]
        return sources

    def pending_run(self, behavior: str, known: int = NEVER) -> RevisionRun | None:
        """The run of the behavior that is approved but not completed, at most one."""
        for run in self.revisions.values():
            if run.behavior == behavior and run.approved is not None and run.approved < known <= run.completed_position:
                return run
        return None

    def pending_runs(self, known: int = NEVER) -> list[RevisionRun]:
        """All runs that an event at position ``known`` sees approved but not completed, oldest approval first."""
        pending = [
            (run.approved, run)
            for run in self.revisions.values()
            if run.approved is not None and run.approved < known <= run.completed_position
        ]
        return [run for _, run in sorted(pending, key=lambda pair: pair[0])]


def period_of(start: str | None, end: str | None) -> Period:
    """Period of wire dates; null = open."""
    return Period(FIRST_DAY if start is None else day_number(start), AFTER_LAST_DAY if end is None else day_number(end))


def period_texts(period: Period) -> tuple[str | None, str | None]:
    """The same as wire dates: first day and first day after, None where open."""
    start = None if period.start == FIRST_DAY else day_text(period.start)
    return start, None if period.end == AFTER_LAST_DAY else day_text(period.end)


def _partner_proposed(rulebook: Rulebook, event: Proposed, position: int) -> None:
    rulebook.partners.proposed(event, position)


_FOLD: dict[type[RulebookEvent], Callable[[Rulebook, Any, int], None]] = {
    events.BookOpened: Rulebook._book_opened,
    events.MethodologyDrafted: Rulebook._drafted,
    events.MethodologyReviewed: Rulebook._reviewed,
    events.MethodologyCertified: Rulebook._certified,
    events.MethodologyPublished: Rulebook._published,
    events.WithdrawalProposed: Rulebook._withdrawal_proposed,
    events.MethodologyWithdrawn: Rulebook._withdrawn,
    events.FactorReleaseLoaded: Rulebook._release_loaded,
    events.DecisionProposed: Rulebook._decision_proposed,
    events.DecisionApproved: Rulebook._decision_approved,
    events.RevisionPlanned: Rulebook._revision_planned,
    events.RevisionApproved: Rulebook._revision_approved,
    events.RevisionCompleted: Rulebook._revision_completed,
    actors.ActorKeyRegistered: lambda rulebook, event, position: rulebook.actor_keys.registered(event, position),
    actors.ActorKeyApproved: lambda rulebook, event, position: rulebook.actor_keys.approved(event, position),
    actors.ActorKeyRevoked: lambda rulebook, event, position: rulebook.actor_keys.revoked(event, position),
    partner_events.PartnerProposed: _partner_proposed,
    partner_events.PartnerKeyProposed: _partner_proposed,
    partner_events.PartnerTermsProposed: _partner_proposed,
    partner_events.PartnerResumptionProposed: _partner_proposed,
    partner_events.PartnerProposalApproved: lambda book, event, position: book.partners.approved(event, position),
    partner_events.PartnerKeyRevoked: lambda book, event, position: book.partners.key_revoked(event, position),
    partner_events.PartnerSuspended: lambda book, event, position: book.partners.suspended(event, position),
}
