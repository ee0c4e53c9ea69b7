"""Mistakes that somebody could make in the ledger, planted one at a time: the worlds must see each.

Keeps: every mutant is plausible, keeps the ledger running and spoils live crediting and replay alike, so that only an
independent model can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from application import accounts as account_acts
from application import crediting as crediting_service
from application import erasing, revising
from domain import (
    account,
    applicability,
    crediting,
    decisions,
    erasure,
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
from domain.events.base import Event, Recorded
from domain.history import AccountHistory, Credit
from domain.kernel import caps
from domain.kernel.caps import CapUse
from domain.kernel.method import Cap
from domain.revision import Scope
from domain.rulebook import Rulebook
from domain.values import Period

Plant = Callable[[pytest.MonkeyPatch], None]


def _fold(patch: pytest.MonkeyPatch, table: dict[Any, Any], event: type[Event], wrong: Callable[..., None]) -> None:
    patch.setitem(table, event, wrong)


def _in_time_order(patch: pytest.MonkeyPatch) -> None:
    right = caps.requantify

    def wrong(limits: Any, days: Sequence[int], computed: Sequence[int | None], outside: CapUse) -> list[int]:
        order = sorted(range(len(days)), key=lambda row: days[row])
        credited = right(limits, [days[row] for row in order], [computed[row] for row in order], outside)
        return [mg for _, mg in sorted(zip(order, credited, strict=True))]

    patch.setattr(revision, "requantify", wrong)


def _outside_not_charged(patch: pytest.MonkeyPatch) -> None:
    right = caps.requantify
    patch.setattr(revision, "requantify", lambda limits, days, computed, _: right(limits, days, computed, CapUse()))


def _reversed_not_charged(patch: pytest.MonkeyPatch) -> None:
    right = history.AccountHistory._reversed

    def wrong(self: AccountHistory, each: Recorded) -> None:
        right(self, each)
        self.credits[each.event.credit].mass = 0

    _fold(patch, history._APPLY, events.BehaviorReversed, wrong)


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

    _fold(patch, account._APPLY, events.FactorRevised, wrong)


def _late_rows_of_a_batch(patch: pytest.MonkeyPatch) -> None:
    """What the batch at hand adds to an account is left out when older years are read back."""
    patch.setattr(crediting.Batch, "_history", lambda self, account_id: self._load_history(account_id))


def _kept_heads_are_believed(patch: pytest.MonkeyPatch) -> None:
    """A refusal is given on a head from the cache."""
    patch.setattr(crediting_service, "STATE_CODES", frozenset())


def _heads_survive_a_lost_race(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(crediting_service.Crediting, "_forget_all", lambda _: None)


def _withdrawn_consent_counts(patch: pytest.MonkeyPatch) -> None:
    _fold(patch, account._APPLY, events.ConsentWithdrawn, lambda *_: None)


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


def _asking_is_approving(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(erasure, "refuse_same_actor", lambda *_, **__: None)


def _retention_runs_from_the_opening(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(erasing, "_refuse_retained", _retained_since_the_opening)


def _retained_since_the_opening(book: Any, rulebook: Rulebook, stream: UUID, _: Any) -> None:
    opened = book.journal.stream(stream)[0].position
    assert rulebook.genesis is not None
    recorded_us = book.journal.recorded_at([opened])[opened]
    erasure.refuse_retained(recorded_us, rulebook.genesis.retention_days, book.journal.now_us())


def _erased_rows_are_compared(patch: pytest.MonkeyPatch) -> None:
    """What is left of the content is compared although the instant is gone."""
    right = crediting.Batch._answer_again

    def wrong(self: Any, row: Any, first: crediting.Known) -> Any:
        same = (row.behavior.region, row.behavior.behavior) == (first.facts.region, first.facts.behavior)
        if first.personal is None and not same:
            return screening.refuse_row(row.behavior, "conflicting_duplicate")
        return right(self, row, first)

    patch.setattr(crediting.Batch, "_answer_again", wrong)


def _runs_leave_out_the_erased(patch: pytest.MonkeyPatch) -> None:
    right = revising._recorded

    def wrong(book: Any, run: Any, scope: Scope, accounts: Any) -> Any:
        living = (each for each in accounts if book.journal.accounts([each.stream])[each.stream].status != "erased")
        return right(book, run, scope, living)

    patch.setattr(revising, "_recorded", wrong)


class Mutant(NamedTuple):
    """``seen_in``: a world that sees it, to begin the search with."""

    plant: Plant
    seen_in: int


MUTANTS: Mapping[str, Mutant] = {
    "caps in time order": Mutant(_in_time_order, 1),
    "out-of-scope credits not charged first": Mutant(_outside_not_charged, 1),
    "reversed credits not charged in a revision": Mutant(_reversed_not_charged, 1),
    "a reversal gives back its count": Mutant(_reversal_frees_its_count, 0),
    "scope ignores the region": Mutant(_scope_without_region, 6),
    "scope includes reversed credits": Mutant(_scope_with_reversed, 0),
    "credits do not wait for a pending run": Mutant(_pending_run_ignored, 1),
    "reversals do not wait for a pending run": Mutant(_pending_run_ignored_by_reversal, 15),
    "decisions do not wait for a pending run": Mutant(_decision_waits_for_nobody, 0),
    "closed period end": Mutant(_closed_period_end, 0),
    "the older decision wins": Mutant(_older_decision_wins, 0),
    "every region is everywhere": Mutant(_region_always_everywhere, 1),
    "regions have no parents": Mutant(_nearest_region_only, 16),
    "a withdrawn decision goes on": Mutant(_withdrawn_goes_on, 19),
    "a withdrawal undoes the past": Mutant(_withdrawal_undoes_the_past, 19),
    "caps consumed by computed mg": Mutant(_wrong_credit(_by_computed_mg), 1),
    "no count caps": Mutant(_wrong_credit(_without_counts), 1),
    "a zero credit uses no count": Mutant(_wrong_credit(_zero_uses_no_count), 0),
    "only the first cap counts": Mutant(_wrong_credit(_first_cap_only), 0),
    "a negative credit gives room": Mutant(_wrong_credit(_negative_gives_room), 1),
    "months of thirty days": Mutant(_months_of_thirty_days, 0),
    "civil days in UTC": Mutant(_day_in_utc, 0),
    "closed years are forgotten": Mutant(_closed_years_forgotten, 1),
    "unchanged credits get no line": Mutant(_only_changes_are_lines, 0),
    "a revision leaves the caps as they were": Mutant(_revision_frees_nothing, 1),
    "older years without the batch at hand": Mutant(_late_rows_of_a_batch, 0),
    "kept heads are believed": Mutant(_kept_heads_are_believed, 44),
    "heads survive a failed append": Mutant(_heads_survive_a_lost_race, 17),
    "withdrawn consent counts": Mutant(_withdrawn_consent_counts, 22),
    "a partner speaks for the person": Mutant(_partner_speaks_for_the_person, 22),
    "any content is a duplicate": Mutant(_any_content_is_a_duplicate, 1),
    "look-ups outlive the rulebook": Mutant(_rules_stand_for_a_book_that_goes_on, 0),
    "older years without the batch in flight": Mutant(_history_without_the_batch_in_flight, 82),
    "references in flight count as free": Mutant(_refusals_without_the_batch_in_flight, 22),
    "a forward decision reaches back": Mutant(_forward_reaches_back, 1),
    "gaps are left in silence": Mutant(_gaps_are_left, 62),
    "runs take days from other codes": Mutant(_runs_take_other_codes, 1),
    "who asks may approve": Mutant(_asking_is_approving, 19),
    "retention runs from the opening": Mutant(_retention_runs_from_the_opening, 25),
    "what is left of erased content is compared": Mutant(_erased_rows_are_compared, 9),
    "runs leave out the erased": Mutant(_runs_leave_out_the_erased, 1),
    "a stale plan is approved": Mutant(_plans_never_stale, 20),
}
