"""Mistakes that somebody could make in the ledger, planted one at a time: the worlds must see each.

Keeps: every mutant is plausible, keeps the ledger running and spoils live crediting and replay alike, so that only an
independent model can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from application import accounts as account_acts
from application import crediting as crediting_service
from domain import (
    account,
    applicability,
    crediting,
    decisions,
    history,
    methodology,
    replay,
    revision,
    rulebook,
    screening,
)
from domain.account import Account
from domain.applicability import Decision
from domain.events import account as events
from domain.events.base import Recorded
from domain.history import AccountHistory, Credit
from domain.kernel import caps
from domain.kernel.caps import CapUse
from domain.kernel.method import Cap
from domain.revision import Scope
from domain.rulebook import Rulebook
from domain.values import Period

Plant = Callable[[pytest.MonkeyPatch], None]


def _in_time_order(patch: pytest.MonkeyPatch) -> None:
    right = revision.requantify

    def wrong(limits: Any, days: Sequence[int], computed: Sequence[int | None], outside: CapUse) -> list[int]:
        order = sorted(range(len(days)), key=lambda row: days[row])
        credited = right(limits, [days[row] for row in order], [computed[row] for row in order], outside)
        return [mg for _, mg in sorted(zip(order, credited, strict=True))]

    patch.setattr(revision, "requantify", wrong)


def _outside_not_charged(patch: pytest.MonkeyPatch) -> None:
    right = revision.requantify
    patch.setattr(revision, "requantify", lambda limits, days, computed, _: right(limits, days, computed, CapUse()))


def _reversed_not_charged(patch: pytest.MonkeyPatch) -> None:
    right = history.AccountHistory._reversed

    def wrong(self: AccountHistory, each: Recorded) -> None:
        right(self, each)
        self.credits[each.event.credit].mass = 0

    patch.setitem(history._APPLY, events.BehaviorReversed, wrong)


def _reversal_frees_its_count(patch: pytest.MonkeyPatch) -> None:
    right = AccountHistory.use_of

    def wrong(self: AccountHistory, code: str) -> CapUse:
        use = right(self, code)
        for credit in self.credits.values():
            if credit.code == code and credit.reversed_at is not None:
                use.charge(credit.day, 0, -1)
        return use

    patch.setattr(AccountHistory, "use_of", wrong)
    patch.setattr(Account, "needs_history", lambda self, code, _: code in self.uses)


def _scope_without_region(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Scope, credit: Credit) -> bool:
        of_code = credit.reversed_at is None and credit.code == self.decision.method.code
        before = credit.position < self.decision.position
        return of_code and before and self.decision.period.covers(credit.day)

    patch.setattr(Scope, "holds", wrong)


def _scope_with_reversed(patch: pytest.MonkeyPatch) -> None:
    right = Scope.holds
    patch.setattr(Scope, "holds", lambda self, credit: right(self, replace(credit, reversed_at=None)))


def _pending_run_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(crediting, "pending_revision", lambda *_: [])
    patch.setattr(replay.AccountReplay, "_expect_no_pending_run", lambda *_: None)


def _pending_run_ignored_by_reversal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(account_acts, "pending_revision", lambda *_: [])
    patch.setattr(replay.AccountReplay, "_expect_no_pending_run", lambda *_: None)


def _closed_period_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Period, "covers", lambda self, day: self.start <= day <= self.end)


def _older_decision_wins(patch: pytest.MonkeyPatch) -> None:
    right = applicability.build_lookup

    def wrong(decisions: Sequence[Decision], region: str) -> Any:
        mirrored = {-d.position: d for d in decisions}
        found = right([replace(d, position=-d.position) for d in decisions], region)
        return found._replace(winners=tuple(None if w is None else mirrored[w.position] for w in found.winners))

    for module in (applicability, revision, rulebook):
        patch.setattr(module, "build_lookup", wrong)


def _region_always_everywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(applicability, "region_chain", lambda _: ("*",))


def _nearest_region_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(applicability, "region_chain", lambda region: ("*",) if region in ("", "*") else (region, "*"))


def _withdrawn_goes_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Decision, "known_at", lambda self, position: self.position < position)


def _withdrawal_undoes_the_past(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Decision, "known_at", lambda self, position: self.position < position and self.ended == 2**63 - 1)


def _wrong_credit(change: Callable[[Sequence[Cap], int, int, CapUse], int]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(crediting, "credit_one", change)
        patch.setattr(caps, "credit_one", change)

    return plant


_right_credit = caps.credit_one


def _by_computed_mg(limits: Sequence[Cap], day: int, computed: int, use: CapUse) -> int:
    mg = _right_credit(limits, day, computed, use)
    use.adjust(day, max(0, computed) - mg)
    return mg


def _without_counts(limits: Sequence[Cap], day: int, computed: int, use: CapUse) -> int:
    return _right_credit([cap for cap in limits if cap.kind == "mass"], day, computed, use)


def _zero_uses_no_count(limits: Sequence[Cap], day: int, computed: int, use: CapUse) -> int:
    mg = _right_credit(limits, day, computed, use)
    if mg == 0:
        use.charge(day, 0, -1)
    return mg


def _first_cap_only(limits: Sequence[Cap], day: int, computed: int, use: CapUse) -> int:
    return _right_credit(limits[:1], day, computed, use)


def _negative_gives_room(limits: Sequence[Cap], day: int, computed: int, use: CapUse) -> int:
    mg = _right_credit(limits, day, computed, use)
    use.adjust(day, min(0, computed))
    return mg


def _months_of_thirty_days(patch: pytest.MonkeyPatch) -> None:
    windows: Mapping[str, Callable[[int], Period]] = {
        **caps.WINDOWS,
        "month": lambda day: Period(day - day % 30, day - day % 30 + 30),
    }
    patch.setattr(caps, "WINDOWS", windows)


def _day_in_utc(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(screening, "MICROSECONDS_PER_MINUTE", 0)


def _closed_years_forgotten(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: CapUse, window: str, day: int) -> tuple[int, int]:
        period = caps.WINDOWS[window](day)
        return self.total(Period(max(period.start, self.since), max(period.end, self.since)))

    patch.setattr(Account, "needs_history", lambda *_: False)
    patch.setattr(CapUse, "used", wrong)


def _only_changes_are_lines(patch: pytest.MonkeyPatch) -> None:
    right = revision.lines_for

    def wrong(*args: Any) -> list[events.RevisedLine]:
        return [line for line in right(*args) if line.before_mg != line.credited_mg]

    for module in (revision, replay):
        patch.setattr(module, "lines_for", wrong)


def _revision_frees_nothing(patch: pytest.MonkeyPatch) -> None:
    """The account's head forgets that a revision changed what its caps are charged with."""

    def wrong(self: Account, event: events.FactorRevised) -> None:
        if event.last:
            self.revised.setdefault(event.methodology.partition("@")[0], []).append(event.revision)

    patch.setitem(account._APPLY, events.FactorRevised, wrong)


def _late_rows_of_a_batch(patch: pytest.MonkeyPatch) -> None:
    """What the batch at hand adds to an account is left out when older years are read back."""
    patch.setattr(crediting.Batch, "_history", lambda self, account_id: self._load_history(account_id))


def _kept_heads_are_believed(patch: pytest.MonkeyPatch) -> None:
    """A refusal is given on a head from the cache."""
    patch.setattr(crediting_service, "STATE_CODES", frozenset())


def _heads_survive_a_lost_race(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(crediting_service.Crediting, "_forget_all", lambda _: None)


def _withdrawn_consent_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(account._APPLY, events.ConsentWithdrawn, lambda *_: None)


def _partner_speaks_for_the_person(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: Any, _: Any, row: Any) -> bool:
        return bool(self.intake.opens_accounts and row.instant_us < self.intake.received_us)

    patch.setattr(crediting.Batch, "_may_assert", wrong)


def _any_content_is_a_duplicate(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(crediting, "_same_content", lambda *_: True)


def _decision_waits_for_nobody(patch: pytest.MonkeyPatch) -> None:
    """The rulebook that was decided on is not compared with the head's."""
    patch.setattr(Rulebook, "pending_run", lambda *_: None)


def _rules_stand_for_a_book_that_goes_on(patch: pytest.MonkeyPatch) -> None:
    """Look-ups are kept although the rulebook went on: they seem to stand where it stands."""
    stands = property(lambda self: self.rulebook.position, lambda *_: None)
    patch.setattr(screening.Rules, "position", stands, raising=False)


def _history_without_the_batch_in_flight(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: crediting_service.Crediting, account_id: UUID) -> AccountHistory:
        return AccountHistory().extend(self._journal.stream(account_id))

    patch.setattr(crediting_service.Crediting, "_history", wrong)


def _refusals_without_the_batch_in_flight(patch: pytest.MonkeyPatch) -> None:
    """A reference that is just being taken counts as free."""
    right = crediting_service.Crediting._refuse_stale

    def wrong(self: crediting_service.Crediting, *args: Any, **named: Any) -> None:
        in_flight, self._in_flight = self._in_flight, None
        try:
            right(self, *args, **named)
        finally:
            self._in_flight = in_flight

    patch.setattr(crediting_service.Crediting, "_refuse_stale", wrong)


def _forward_reaches_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decisions, "_refuse_past", lambda *_: None)


def _gaps_are_left(patch: pytest.MonkeyPatch) -> None:
    for module in (decisions, methodology):
        patch.setattr(module, "refuse_gap", lambda *_, **__: None)


def _runs_take_other_codes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(revision, "_refuse_other_code", lambda *_: None)


def _plans_never_stale(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rulebook, "behavior_position", lambda *_: 0)


MUTANTS: Mapping[str, Plant] = {
    "caps in time order": _in_time_order,
    "out-of-scope credits not charged first": _outside_not_charged,
    "reversed credits not charged in a revision": _reversed_not_charged,
    "a reversal gives back its count": _reversal_frees_its_count,
    "scope ignores the region": _scope_without_region,
    "scope includes reversed credits": _scope_with_reversed,
    "credits do not wait for a pending run": _pending_run_ignored,
    "reversals do not wait for a pending run": _pending_run_ignored_by_reversal,
    "decisions do not wait for a pending run": _decision_waits_for_nobody,
    "closed period end": _closed_period_end,
    "the older decision wins": _older_decision_wins,
    "every region is everywhere": _region_always_everywhere,
    "regions have no parents": _nearest_region_only,
    "a withdrawn decision goes on": _withdrawn_goes_on,
    "a withdrawal undoes the past": _withdrawal_undoes_the_past,
    "caps consumed by computed mg": _wrong_credit(_by_computed_mg),
    "no count caps": _wrong_credit(_without_counts),
    "a zero credit uses no count": _wrong_credit(_zero_uses_no_count),
    "only the first cap counts": _wrong_credit(_first_cap_only),
    "a negative credit gives room": _wrong_credit(_negative_gives_room),
    "months of thirty days": _months_of_thirty_days,
    "civil days in UTC": _day_in_utc,
    "closed years are forgotten": _closed_years_forgotten,
    "unchanged credits get no line": _only_changes_are_lines,
    "a revision leaves the caps as they were": _revision_frees_nothing,
    "older years without the batch at hand": _late_rows_of_a_batch,
    "kept heads are believed": _kept_heads_are_believed,
    "heads survive a failed append": _heads_survive_a_lost_race,
    "withdrawn consent counts": _withdrawn_consent_counts,
    "a partner speaks for the person": _partner_speaks_for_the_person,
    "any content is a duplicate": _any_content_is_a_duplicate,
    "look-ups outlive the rulebook": _rules_stand_for_a_book_that_goes_on,
    "older years without the batch in flight": _history_without_the_batch_in_flight,
    "references in flight count as free": _refusals_without_the_batch_in_flight,
    "a forward decision reaches back": _forward_reaches_back,
    "gaps are left in silence": _gaps_are_left,
    "runs take days from other codes": _runs_take_other_codes,
    "a stale plan is approved": _plans_never_stale,
}
