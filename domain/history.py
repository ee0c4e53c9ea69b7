"""Everything an account's stream says: each credit with its valuations over time.

Keeps: folding never refuses and uses only what the events booked; a credit's mass at (day, position) is a plain
look-up.
For explaining, reversing, revising and replaying; deciding new credits needs only the small ``account.Account``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from domain.events import account as events
from domain.events.base import Recorded
from domain.kernel.caps import CapUse
from domain.values import day_number, integer_of


class Valuation(NamedTuple):
    """What a credit is worth from log position ``position`` on. ``by``: decision or revision id, or ``reversal``.

    ``reason``: why it could not be valued, or was reversed; "" where the latter is erased or was not asked for.
    """

    position: int
    by: str
    methodology: str
    computed_mg: int | None
    credited_mg: int
    reason: str


@dataclass(slots=True)
class Credit:
    """One recorded behavior and every valuation it has had; ``version`` is its place in the stream."""

    version: int
    position: int
    facts: events.BehaviorCredited
    code: str
    day: int
    quantity: int
    mass: int
    """The last mg other than by reversal: what the caps are charged with."""
    reversed_at: int | None = None
    personal: events.BehaviorCreditedPersonal | None = None
    valuations: list[Valuation] = field(default_factory=list)

    @property
    def worth(self) -> int:
        """Current mg: 0 once reversed."""
        return 0 if self.reversed_at is not None else self.mass

    def worth_at(self, position: int) -> int:
        """mg as known when the log had ``position`` events."""
        worth = 0
        for valuation in self.valuations:
            if valuation.position > position:
                break
            worth = valuation.credited_mg
        return worth


class AccountHistory:
    """The account's stream folded without loss."""

    def __init__(self) -> None:
        self.version = 0
        self.credits: dict[int, Credit] = {}
        self.revised: set[str] = set()
        self.account_ref: str | None = None

    def extend(self, recorded: Iterable[Recorded]) -> AccountHistory:
        """Fold further events of the stream, oldest first."""
        for each in recorded:
            self.version = each.version
            apply = _APPLY.get(type(each.event))
            if apply is not None:
                apply(self, each)
        return self

    def use_of(self, code: str) -> CapUse:
        """Cap use of a methodology code over all days: booked mg (reversed credits stay charged) and counts."""
        use = CapUse()
        for credit in self.credits.values():
            if credit.code == code:
                use.charge(credit.day, credit.mass)
        return use

    def balances(self, *, known: int | None = None, before_day: int | None = None) -> dict[str, int]:
        """mg per behavior of behaviors of days before ``before_day`` as known at log size ``known``.

        A behavior appears as soon as it has a credit, also when its sum is 0.
        """
        sums: dict[str, int] = {}
        for credit in self.credits.values():
            if known is not None and credit.position > known:
                continue
            if before_day is not None and credit.day >= before_day:
                continue
            worth = credit.worth if known is None else credit.worth_at(known)
            behavior = credit.facts.behavior
            sums[behavior] = sums.get(behavior, 0) + worth
        return dict(sorted(sums.items()))

    def _opened(self, each: Recorded) -> None:
        self.account_ref = each.personal.account_ref if each.personal is not None else None

    def _credited(self, each: Recorded) -> None:
        facts: events.BehaviorCredited = each.event
        mass = integer_of(facts.credited_mg)
        credit = Credit(
            each.version,
            each.position,
            facts,
            facts.methodology.partition("@")[0],
            day_number(facts.day),
            integer_of(facts.quantity),
            mass,
            personal=each.personal,
        )
        computed = integer_of(facts.computed_mg)
        credit.valuations.append(Valuation(each.position, facts.decision, facts.methodology, computed, mass, ""))
        self.credits[each.version] = credit

    def _reversed(self, each: Recorded) -> None:
        credit = self.credits[each.event.credit]
        credit.reversed_at = each.position
        last = credit.valuations[-1]
        reason = "" if each.personal is None else each.personal.reason
        credit.valuations.append(Valuation(each.position, "reversal", last.methodology, None, 0, reason))

    def _revised(self, each: Recorded) -> None:
        event: events.FactorRevised = each.event
        for line in event.lines:
            credit = self.credits[line.credit]
            credit.mass = integer_of(line.credited_mg)
            computed = None if line.computed_mg is None else integer_of(line.computed_mg)
            credit.valuations.append(
                Valuation(each.position, event.revision, event.methodology, computed, credit.mass, line.reason)
            )
        if event.last:
            self.revised.add(event.revision)


_APPLY: dict[type[Any], Callable[[AccountHistory, Recorded], None]] = {
    events.AccountOpened: AccountHistory._opened,
    events.BehaviorCredited: AccountHistory._credited,
    events.BehaviorReversed: AccountHistory._reversed,
    events.FactorRevised: AccountHistory._revised,
}
