"""Replay: recompute everything from facts and log order, and compare with what was booked (DESIGN 2.5).

Keeps: nothing that an event says about its own valuation is trusted: the decision, and what its partner might send, are
derived from the rulebook as it stood before the event's position, the mass from the facts, the caps from log order,
every revision line from the stream up to the approval. A mismatch does not spread: the recomputed value goes on, so
each altered number is reported where it stands.
Leaves to ``rulebook_replay``: whether the rulebook itself is lawful; to ``application.replaying``: reading the log,
sums over the book, the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.account import Account
from domain.actors import same_actor
from domain.errors import Corrupt
from domain.events import account as events
from domain.events.base import Recorded
from domain.history import AccountHistory
from domain.instants import instant_of
from domain.kernel.caps import CapUse, credit_one
from domain.kernel.valuation import RULE
from domain.revision import Scope, lines_for, scope_of
from domain.rulebook import RevisionRun, Rulebook
from domain.values import civil_day, day_number, day_text, integer_of


class Mismatch(NamedTuple):
    """One difference between the log and its recomputation."""

    stream: UUID
    version: int
    position: int
    what: str
    booked: str
    recomputed: str


class RevisedAccount(NamedTuple):
    """The recomputed lines of one run in one account."""

    revision: str
    lines: Sequence[events.RevisedLine]


class AccountReplay:
    """One account's stream recomputed event by event.

    ``runs``: the approved runs with their scopes (``approved_runs``). ``until``: the log size up to which the book is
    replayed; runs still open then need not be complete.
    """

    def __init__(self, rulebook: Rulebook, runs: Sequence[tuple[RevisionRun, Scope]], stream: UUID, until: int) -> None:
        self.stream = stream
        self.mismatches: list[Mismatch] = []
        self.revised: list[RevisedAccount] = []
        self.credits = 0
        self._rulebook = rulebook
        self._until = until
        self._account = Account(stream)
        self._history = AccountHistory()
        self._uses: dict[str, CapUse] = {}
        self._parts: list[events.FactorRevised] = []
        self._last_part: Recorded | None = None
        self._runs = runs

    def run(self, recorded: Iterable[Recorded]) -> dict[str, int]:
        """Recompute the whole stream; returns its balance, mg per behavior."""
        for each in recorded:
            if each.version != self._account.version + 1:
                self._report(each, "version", each.version, self._account.version + 1)
            try:
                status = self._account.status
                checked = _CHECKS[type(each.event)](self, each)
                self._account.apply(each.version, checked.event)
                if status not in _FROM.get(type(each.event), (status,)):
                    # What is not so does not spread: a closed account stays closed.
                    self._account.status = status
                self._history.extend([checked])
            except (KeyError, ValueError, IndexError, Corrupt) as error:
                self._account.version = each.version
                self._report(each, "unreadable facts", repr(error), "facts that can be recomputed")
        self._expect_ended_parts()
        self._expect_completed_runs()
        return self._history.balances()

    def _report(self, each: Recorded, what: str, booked: object, recomputed: object) -> None:
        self.mismatches.append(Mismatch(each.stream, each.version, each.position, what, str(booked), str(recomputed)))

    def _plain(self, each: Recorded) -> Recorded:
        self._expect_not_erased(each)
        is_opening = isinstance(each.event, events.AccountOpened)
        if is_opening != (self._account.version == 0):
            self._report(each, "account", type(each.event).__name__, "opened first, and once")
        return each

    def _granted(self, each: Recorded) -> Recorded:
        """A partner's word is for all past, and overrules nothing that the person said (DESIGN 3, Consent)."""
        facts: events.ConsentGranted = each.event
        said = self._account.withdrawn or any(one.basis == "direct" for one in self._account.active.values())
        if facts.basis == "imported" and said:
            self._report(each, "consent", facts.basis, "none, since the person granted or withdrew one")
        elif facts.basis == "imported" and (facts.valid_from is not None or facts.valid_to is None):
            self._report(each, "consent", f"{facts.valid_from} to {facts.valid_to}", "all past, and no future")
        elif facts.basis not in ("direct", "imported"):
            self._report(each, "consent", facts.basis, "direct or imported")
        return self._plain(each)

    def _standing(self, each: Recorded) -> Recorded:
        status = self._account.status
        if status != "erased" and status not in _FROM[type(each.event)]:
            self._report(each, "account", type(each.event).__name__, status)
        return self._plain(each)

    def _erased(self, each: Recorded) -> Recorded:
        self._expect_not_erased(each)
        facts: events.PersonalDataErased = each.event
        asked = self._account.erasure
        if asked is None or asked.version != facts.request:
            self._report(each, "erasure", f"request {facts.request}", "no open request of that version")
        elif same_actor(facts.by, asked.by):
            self._report(each, "erasure", f"approved by {facts.by}", "somebody else than who asked")
        if self._account.status == "frozen":
            self._report(each, "erasure", "of a frozen account", "none, since what it was frozen for may need its data")
        return each

    def _credited(self, each: Recorded) -> Recorded:
        facts: events.BehaviorCredited = each.event
        self.credits += 1
        self._expect_no_pending_run(each)
        if self._account.version == 0 or self._account.status != "open":
            self._report(each, "account", "credited", self._account.status if self._account.version else "not open")
        day = day_number(facts.day)
        self._check_consent(each, day)
        standing = self._rulebook.partners.standing(facts.partner, each.position)
        if standing is not None and (barred := standing.refusal(facts.behavior)):
            self._report(each, barred, f"{facts.behavior} of {facts.partner}", "refused")
        decision = self._rulebook.lookup(facts.behavior, facts.region, each.position).on(day)
        if decision is None:
            self._report(each, "decision", facts.decision, "none applies")
            code = facts.methodology.partition("@")[0]
            self._uses.setdefault(code, CapUse()).charge(day, integer_of(facts.credited_mg))
            return each
        method = decision.method
        quantity = integer_of(facts.quantity)
        (computed,) = decision.valuer.compute((facts.region,), (day,), (quantity,))
        use = self._uses.setdefault(method.code, CapUse())
        mass = credit_one(method.caps, day, computed or 0, use)
        expected = {
            "decision": decision.id,
            "methodology": decision.methodology,
            "rule": RULE,
            "unit": method.unit,
            "scale": method.scale,
            "quantity": str(quantity),
            "computed_mg": "no value" if computed is None else str(computed),
            "credited_mg": str(mass),
        }
        if not decision.valuer.in_range(quantity):
            self._report(each, "quantity", facts.quantity, f"{method.minimum} to {method.maximum}")
        return each._replace(event=self._compared(each, facts, expected))

    def _reversed(self, each: Recorded) -> Recorded:
        facts: events.BehaviorReversed = each.event
        self._expect_not_erased(each)
        self._expect_no_pending_run(each)
        target = self._history.credits[facts.credit]
        expected = {
            "behavior": target.facts.behavior,
            "day": target.facts.day,
            "reversed_mg": str(target.worth),
        }
        if target.reversed_at is not None:
            self._report(each, "reversal", f"credit {facts.credit}", "reversed before")
        return each._replace(event=self._compared(each, facts, expected))

    def _revised(self, each: Recorded) -> Recorded:
        facts: events.FactorRevised = each.event
        parts, self._parts = [*self._parts, facts], []
        run, scope = next(((r, s) for r, s in self._runs if r.id == parts[0].revision), (None, None))
        if run is None or scope is None or not (run.approved or 0) < each.position <= run.completed_position:
            self._report(each, "revision", facts.revision, "not approved and open at this position")
            return each._replace(event=_without_lines(facts))
        expected = {
            "revision": run.id,
            "behavior": run.behavior,
            "methodology": run.methodology,
            "rule": RULE,
            "part": len(parts),
        }
        event: events.FactorRevised = self._compared(each, facts, expected)
        if not facts.last:
            # Parts are judged together at the last one; until then the stream stands as before the run.
            self._parts, self._last_part = parts, each
            return each._replace(event=_without_lines(event))
        if run.id in self._history.revised:
            self._report(each, "revision", run.id, "already applied to this account")
        lines = lines_for(self._history, scope)
        self._compare_lines(each, [line for part in parts for line in part.lines], lines)
        if lines:
            self.revised.append(RevisedAccount(run.id, lines))
        else:
            self._report(each, "revision", run.id, "nothing in scope")
        self._recharge(run, lines)
        return each._replace(event=msgspec.structs.replace(event, lines=tuple(lines)))

    def _compared(self, each: Recorded, facts: Any, expected: dict[str, Any]) -> Any:
        different = {k: v for k, v in expected.items() if getattr(facts, k) != v}
        for what, recomputed in different.items():
            self._report(each, what, getattr(facts, what), recomputed)
        different = {k: v for k, v in different.items() if v != "no value"}
        return msgspec.structs.replace(facts, **different) if different else facts

    def _compare_lines(
        self, each: Recorded, booked: Sequence[events.RevisedLine], lines: Sequence[events.RevisedLine]
    ) -> None:
        if list(booked) == list(lines):
            return
        old, new = {line.credit: line for line in booked}, {line.credit: line for line in lines}
        for version in sorted(old.keys() | new.keys()):
            was, now = old.get(version), new.get(version)
            if was != now:
                self._report(each, f"line of credit {version}", _line_text(was), _line_text(now))
        if sorted(old) == sorted(new) and [x.credit for x in booked] != [x.credit for x in lines]:
            self._report(each, "lines", "another order", "log order")

    def _recharge(self, run: RevisionRun, lines: Sequence[events.RevisedLine]) -> None:
        use = self._uses.setdefault(run.methodology.partition("@")[0], CapUse())
        for line in lines:
            use.adjust(day_number(line.day), integer_of(line.credited_mg) - integer_of(line.before_mg))

    def _check_consent(self, each: Recorded, day: int) -> None:
        """By civil day, since the exact instant is a personal fact; where it is there, the day must be its own."""
        facts: events.BehaviorCredited = each.event
        consent = self._account.active.get(facts.consent)
        offset = next((m.method.utc_offset_minutes for m in self._rulebook.published(facts.behavior)), 0)
        if each.personal is not None and civil_day(instant_of(each.personal.occurred_at), offset) != day:
            self._report(each, "day", facts.day, "the civil day of the exact instant")
        if consent is None:
            self._report(each, "consent", facts.consent, "no active consent of that version")
        elif not (facts.behavior in consent.scope or "*" in consent.scope):
            self._report(each, "consent", facts.behavior, f"scope {', '.join(consent.scope)}")
        elif (consent.from_us is not None and day < civil_day(consent.from_us, offset)) or (
            consent.to_us is not None and day > civil_day(consent.to_us - 1, offset)
        ):
            self._report(each, "consent", day_text(day), "outside the consent's validity")

    def _expect_no_pending_run(self, each: Recorded) -> None:
        """Whoever writes a credit or reversal to an account with a run pending writes its lines before."""
        for run, scope in self._runs:
            pending = (run.approved or 0) < each.position <= run.completed_position
            if not pending or run.id in self._history.revised or run.id in self._account.nothing_in_scope:
                continue
            if lines_for(self._history, scope):
                self._report(each, "revision", f"{run.id} not yet applied", "applied before this event")
            else:
                # Credits to come are positioned after the approval: nothing can come into scope any more.
                self._account.nothing_in_scope.add(run.id)

    def _expect_not_erased(self, each: Recorded) -> None:
        if self._account.status == "erased":
            self._report(each, "account", type(each.event).__name__, "nothing but revisions once it is erased")

    def _expect_ended_parts(self) -> None:
        """Parts of one run follow each other in one append; only a replay up to a position between them sees no end."""
        last = self._last_part
        if self._parts and last is not None and last.position < self._until:
            self._report(last, "revision", "a part", "the next one")

    def _expect_completed_runs(self) -> None:
        for run, scope in self._runs:
            done = run.completed_position <= self._until
            if done and run.id not in self._history.revised and lines_for(self._history, scope):
                self.mismatches.append(
                    Mismatch(self.stream, self._account.version, run.completed_position, "revision", "none", run.id)
                )


def approved_runs(rulebook: Rulebook, until: int) -> list[tuple[RevisionRun, Scope]]:
    """The runs approved within the first ``until`` events, with what is in scope for each."""
    return [
        (run, scope_of(rulebook, run))
        for run in rulebook.revisions.values()
        if run.approved is not None and run.approved <= until
    ]


def _without_lines(facts: events.FactorRevised) -> events.FactorRevised:
    return msgspec.structs.replace(facts, lines=(), last=False)


def _line_text(line: events.RevisedLine | None) -> str:
    return "none" if line is None else msgspec.json.encode(line).decode()


_FROM: dict[type[Any], tuple[str, ...]] = {
    events.AccountFrozen: ("open",),
    events.AccountUnfrozen: ("frozen",),
    events.AccountClosed: ("open", "frozen"),
}
"""The status in which an account can be frozen, unfrozen, closed."""

_CHECKS: dict[type[Any], Callable[[AccountReplay, Recorded], Recorded]] = {
    events.AccountOpened: AccountReplay._plain,
    events.ConsentGranted: AccountReplay._granted,
    events.ConsentWithdrawn: AccountReplay._plain,
    events.BehaviorCredited: AccountReplay._credited,
    events.BehaviorReversed: AccountReplay._reversed,
    events.FactorRevised: AccountReplay._revised,
    events.AccountFrozen: AccountReplay._standing,
    events.AccountUnfrozen: AccountReplay._standing,
    events.AccountClosed: AccountReplay._standing,
    events.ErasureRequested: AccountReplay._plain,
    events.PersonalDataErased: AccountReplay._erased,
}
