"""Books with one event that the ledger would not have written, each for one check of the fast kernel.

Keeps: all else in them is right, so that no other check catches them by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from domain import account as account_rules
from domain import revision as revisions
from domain.events import account as events
from domain.kernel.valuation import RULE
from tests.property.fast_kernel.traps import ANN, book
from tests.unit.domain.documents import day_cap, metro, open_row
from tests.unit.domain.worlds import World, trip


def _said(world: World, run: str, lines: Sequence[events.RevisedLine]) -> events.FactorRevised:
    found = world.rulebook.revisions[run]
    facts = {"revision": run, "behavior": found.behavior, "methodology": found.methodology, "rule": RULE}
    return events.FactorRevised(**facts, part=1, last=True, lines=tuple(lines))


def a_revision_without_lines() -> World:
    """Nothing of the account is in scope; the event says so, which the ledger itself leaves out."""
    world = book(opened=("ann", "bob"))
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"), trip("2", "bob", at="2018-05-01T08:00:00Z"))
    run = world.plan(world.publish(metro(2, "2")), "2019-01-01")
    world.approve_run(run)
    world.on_account(_said(world, run, ()), "bob")
    return world


def _with_lines(change: Callable[[list[events.RevisedLine]], list[events.RevisedLine]]) -> World:
    """A run that is given to the one account with other lines than the law's; the third credit has no factor."""
    world = book()
    world.introduce(metro(1, "1"))
    regions = ("CN", "CN", "US", "CN")
    world.credited(*(trip(f"{n}", at="2019-05-01T08:00:00Z", region=region) for n, region in enumerate(regions)))
    run = world.plan(world.publish(metro(2, [open_row("2", "CN")])))
    world.approve_run(run)
    scope = revisions.scope_of(world.rulebook, world.rulebook.revisions[run])
    world.on_account(_said(world, run, change(revisions.lines_for(world.history(), scope))))
    return world


def _changed(index: int, **changes: Any) -> Callable[[], World]:
    def change(lines: list[events.RevisedLine]) -> list[events.RevisedLine]:
        lines[index] = msgspec.structs.replace(lines[index], **changes)
        return lines

    return lambda: _with_lines(change)


def _reversed_by_hand(world: World, credit: int, account_ref: str = "ann") -> None:
    facts = world.history(account_ref).credits[credit]
    event = events.BehaviorReversed(
        credit=credit,
        behavior=facts.facts.behavior,
        day=facts.facts.day,
        reversed_mg=str(facts.mass),
        by="eve",
    )
    world.on_account(event, account_ref)


def a_reversal_before_the_lines_of_a_run() -> World:
    """The only credit in scope is reversed while the run is open: nothing is left to be revised."""
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    world.approve_run(world.plan(world.publish(metro(2, "2"))))
    _reversed_by_hand(world, 3)
    return world


def a_credit_reversed_twice() -> World:
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"), trip("2", at="2019-05-01T08:00:00Z"))
    _reversed_by_hand(world, 3)
    _reversed_by_hand(world, 3)
    return world


def a_completed_run_without_one_account() -> World:
    world = book(opened=("ann", "bob"))
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"), trip("2", "bob", at="2018-05-01T08:00:00Z"))
    run = world.plan(world.publish(metro(2, "2")))
    world.approve_run(run)
    world.apply_run(run, "ann")
    world.complete(run)
    return world


def a_run_that_left_out_one_year() -> World:
    """One account, two civil years in scope, lines for one."""
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"), trip("2", at="2018-05-01T08:00:00Z"))
    run = world.plan(world.publish(metro(2, "2")))
    world.approve_run(run)
    scope = revisions.scope_of(world.rulebook, world.rulebook.revisions[run])
    world.on_account(_said(world, run, revisions.lines_for(world.history(), scope)[:1]))
    return world


def a_credit_before_the_lines_of_a_run() -> World:
    """Written while the run is open and the account has not got its lines, which follow."""
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    run = world.plan(world.publish(metro(2, "2")))
    world.approve_run(run)
    (credit,) = (each for each in world.all_of(events.BehaviorCredited))
    late = msgspec.structs.replace(
        credit, decision=run, methodology="TRAVEL-METRO@2", computed_mg="2000", credited_mg="2000"
    )
    world.on_account(late)
    world.apply_run(run)
    return world


def a_credit_while_the_account_was_frozen() -> World:
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    (credit,) = world.all_of(events.BehaviorCredited)
    world.on_account(account_rules.freeze(world.head(), "olga", "a check"))
    world.on_account(credit)
    world.on_account(account_rules.unfreeze(world.head(), "olga", "done"))
    return world


def a_closed_account_opened_again() -> World:
    """Nothing is credited to it afterwards; that it is open is wrong by itself."""
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    world.on_account(account_rules.close(world.head(), "olga", "moved"))
    world.on_account(events.AccountFrozen(by="eve"))
    world.on_account(events.AccountUnfrozen(by="eve"))
    return world


def an_account_frozen_twice() -> World:
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    world.on_account(account_rules.freeze(world.head(), "olga", "a check"))
    world.on_account(events.AccountFrozen(by="eve"))
    return world


def a_credit_after_its_consent_was_withdrawn() -> World:
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    (credit,) = world.all_of(events.BehaviorCredited)
    world.on_account(events.ConsentWithdrawn(consent=credit.consent))
    world.on_account(credit)
    return world


def _consent_asserted(*, withdrawn: bool = False, **changes: Any) -> World:
    """A consent that a partner asserted is recorded once more, changed; no credit rests on it."""
    world = World("2019-06-01T00:00:00Z")
    world.open_account("ann", ANN)
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    (credit,), (granted,) = world.all_of(events.BehaviorCredited), world.all_of(events.ConsentGranted)
    if withdrawn:
        world.on_account(events.ConsentWithdrawn(consent=credit.consent))
    world.on_account(msgspec.structs.replace(granted, **changes))
    return world


def an_erasure_approved_by_who_asked_for_it() -> World:
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    version = world.on_account(events.ErasureRequested(ground="unlawful", by="eve"))
    world.on_account(events.PersonalDataErased(request=version, epoch=1, by="Eve"))
    return world


def versions_out_of_log_order() -> World:
    """Two credits under a cap have each other's version: the log gives the room to one, the stream to the other."""
    world = book()
    world.introduce(metro(1, "1", caps=[day_cap("5")]))
    world.credited(*(trip(f"{n}", at="2019-05-01T08:00:00Z", quantity="4") for n in range(2)))
    stream = world.streams[ANN]
    one, two = stream[-2:]
    stream[-2:] = [two._replace(version=one.version), one._replace(version=two.version)]
    return world


def a_version_that_is_missing() -> World:
    """An event after the lines of a run is gone."""
    world = book()
    world.introduce(metro(1, "1"))
    world.credited(trip("1", at="2019-05-01T08:00:00Z"))
    world.revise(world.publish(metro(2, "2")))
    world.credited(trip("2", at="2019-05-01T08:00:00Z"), trip("3", at="2019-05-01T08:00:00Z"))
    del world.streams[ANN][-2]
    return world


WRONG: dict[str, Callable[[], World]] = {
    "a reversal before the lines of a run": a_reversal_before_the_lines_of_a_run,
    "a credit reversed twice": a_credit_reversed_twice,
    "a completed run without one account": a_completed_run_without_one_account,
    "a run that left out one year": a_run_that_left_out_one_year,
    "a credit before the lines of a run": a_credit_before_the_lines_of_a_run,
    "a credit while the account was frozen": a_credit_while_the_account_was_frozen,
    "a closed account opened again": a_closed_account_opened_again,
    "an account frozen twice": an_account_frozen_twice,
    "a revision without lines": a_revision_without_lines,
    "a credit after its consent was withdrawn": a_credit_after_its_consent_was_withdrawn,
    "a partner who overrules a withdrawal": lambda: _consent_asserted(withdrawn=True),
    "a partner's consent without end": lambda: _consent_asserted(valid_to=None),
    "a partner's consent with a beginning": lambda: _consent_asserted(valid_from="2001-01-01T00:00:00Z"),
    "a consent of no known kind": lambda: _consent_asserted(basis="guessed"),
    "an erasure approved by who asked for it": an_erasure_approved_by_who_asked_for_it,
    "versions out of log order": versions_out_of_log_order,
    "a version that is missing": a_version_that_is_missing,
    "a line with another reason": _changed(2, reason="quantity_out_of_range"),
    "a line with a reason too many": _changed(1, reason="no_factor_for_region"),
    "a line with another mass before": _changed(0, before_mg="999"),
    "a line with another computed mass": _changed(0, computed_mg="2001"),
    "a line with another mass": _changed(0, credited_mg="2001"),
    "a line of another day": _changed(1, day="2019-05-02"),
    "a line of no credit": _changed(0, credit=2),
    "a line too few": lambda: _with_lines(lambda lines: lines[:-1]),
    "no lines at all": lambda: _with_lines(lambda lines: []),
}
