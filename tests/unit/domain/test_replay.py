"""Replay trusts nothing that an event says about its own valuation: each altered number is found where it stands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain import account as account_rules
from domain import erasure
from domain.events import account as events
from domain.events.base import Recorded
from domain.replay import AccountReplay
from tests.unit.domain.documents import count_cap, day_cap, metro, open_row, power
from tests.unit.domain.worlds import World, replayed, saving, trip

METRO = "travel.metro"
TWO = "TRAVEL-METRO@2"


def town(**first: Any) -> World:
    """Version 1 applies everywhere, version 2 is published; a cap of 250 g a day."""
    world = World("2026-01-01T00:00:00Z")
    world.introduce(metro(**({"rate": "100", "caps": [day_cap("250")]} | first)))
    world.publish(metro(2, "40", caps=[day_cap("100"), count_cap(3)]))
    world.tell("2026-03-01T00:00:00Z")
    return world


def position(world: World, kind: type[Any], nth: int = 0) -> int:
    """Log position of the nth event of a class."""
    return [e.recorded.position for e in world.log if isinstance(e.recorded.event, kind)][nth]


def busy_town() -> World:
    """Credits, a reversal, two revisions over each other, one in parts, a frozen and a closed account."""
    world = town()
    world.credited(*(trip(f"t{n}") for n in range(3)), trip("b1", "ben", region="CN-44"), trip("b2", "ben"))
    world.on_account(account_rules.freeze(world.head("ben"), "olga", "check"), "ben")
    world.reverse("t1")
    run = world.plan(TWO, "2026-01-01", "2026-02-01")
    world.approve_run(run)
    world.credited(trip("t4"))
    world.apply_run(run, lines_per_event=1)
    world.complete(run)
    world.on_account(account_rules.unfreeze(world.head("ben"), "olga", "fine"), "ben")
    world.credited(trip("t5", at="2026-01-06T00:00:00Z"), trip("b3", "ben"))
    world.publish(metro(3, "7"))
    world.revise("TRAVEL-METRO@3", "2026-01-05", None, "CN")
    world.on_account(account_rules.close(world.head("ben"), "olga", "moved"), "ben")
    world.revise("TRAVEL-METRO@1", None, "2026-01-06")
    return world


def test_an_honest_log_is_recomputed_without_a_mismatch() -> None:
    world = busy_town()
    done = world.replayed()
    assert done.mismatches == []
    assert done.credits == len(world.all_of(events.BehaviorCredited)) == 8
    assert done.balances == {stream: world.history_of(stream).balances() for stream in world.account_streams()}


def test_every_prefix_of_an_honest_log_is_recomputed_without_a_mismatch() -> None:
    world = busy_town()
    for until in range(1, world.size + 1):
        done = world.replayed(until=until)
        assert done.mismatches == [], until
        if not any(isinstance(e.event, events.FactorRevised) for e in world.events()[until - 1 : until]):
            known = {stream: world.history_of(stream).balances(known=until) for stream in done.balances}
            assert done.balances == known


def test_replay_tells_the_lines_of_each_run_that_it_recomputed() -> None:
    world = town()
    world.credited(trip("t1"), trip("b1", "ben"))
    world.revise(TWO)
    done = world.replayed()
    revised = [(r.revision, [line.credited_mg for line in r.lines]) for a in done.accounts.values() for r in a.revised]
    assert revised == [("R1", ["40000"]), ("R1", ["40000"])]


# -- one altered credit ------------------------------------------------------------------------------------------

ALTERED_CREDIT: list[tuple[dict[str, Any], str, str, str]] = [
    ({"decision": "D9"}, "decision", "D9", "D1"),
    ({"methodology": "TRAVEL-METRO@2"}, "methodology", "TRAVEL-METRO@2", "TRAVEL-METRO@1"),
    ({"methodology": "RIVAL@1"}, "methodology", "RIVAL@1", "TRAVEL-METRO@1"),
    ({"rule": "v0"}, "rule", "v0", "v1"),
    ({"unit": "m"}, "unit", "m", "km"),
    ({"scale": 2}, "scale", "2", "3"),
    ({"computed_mg": "100001"}, "computed_mg", "100001", "100000"),
    ({"credited_mg": "100001"}, "credited_mg", "100001", "100000"),
    ({"credited_mg": "0100000"}, "credited_mg", "0100000", "100000"),
]


@pytest.mark.parametrize(("changes", "what", "booked", "recomputed"), ALTERED_CREDIT)
def test_an_altered_fact_of_a_credit_is_found_and_does_not_spread(
    changes: dict[str, Any], what: str, booked: str, recomputed: str
) -> None:
    world = town()
    world.credited(trip("t1"), trip("t2"), trip("t3"))
    world.revise(TWO)
    where = position(world, events.BehaviorCredited)
    done = world.replayed(world.altered(where, **changes))
    (mismatch,) = done.mismatches
    assert (mismatch.position, mismatch.version) == (where, 3)
    assert (mismatch.what, mismatch.booked, mismatch.recomputed) == (what, booked, recomputed)
    assert done.digest == world.replayed().digest


def test_an_altered_quantity_shows_in_the_mass_that_follows_from_it() -> None:
    world = town()
    world.credited(trip("t1"))
    where = position(world, events.BehaviorCredited)
    done = world.replayed(world.altered(where, quantity="1001"))
    assert done.found == [(3, "computed_mg"), (3, "credited_mg")]
    outside = world.replayed(world.altered(where, quantity="200001"))
    assert outside.found == [(3, "quantity"), (3, "computed_mg"), (3, "credited_mg")]
    assert (outside.mismatches[0].booked, outside.mismatches[0].recomputed) == ("200001", "1 to 200000")


def test_an_altered_mass_does_not_change_what_later_credits_find_in_the_caps() -> None:
    world = town()
    assert world.credited(trip("t1"), trip("t2"), trip("t3")) == [100_000, 100_000, 50_000]
    done = world.replayed(world.altered(position(world, events.BehaviorCredited), credited_mg="1"))
    assert done.found == [(3, "credited_mg")]


def test_a_credit_that_no_decision_covers_is_found() -> None:
    world = World()
    name = world.publish(metro())
    world.decide(name, "2026-01-01")
    world.credited(trip("t1"), trip("t2"))
    world.publish(metro(2, "7"))
    world.revise(TWO, "2026-01-01")
    first = position(world, events.BehaviorCredited)
    done = world.replayed(world.altered(first, day="2025-12-31"))
    assert done.found == [(3, "day"), (3, "decision"), (5, "line of credit 3")]
    assert (done.mismatches[1].booked, done.mismatches[1].recomputed) == ("D1", "none applies")


def test_a_credit_before_its_decision_was_approved_is_found() -> None:
    world = town()
    world.credited(trip("t1"))
    log = world.events()
    credit = next(e for e in log if isinstance(e.event, events.BehaviorCredited))
    early = Recorded(credit.stream, credit.version, 2, credit.event, credit.personal)
    done = replayed([early if each is credit else each for each in log], world.times())
    assert ("decision", "none applies") in {(m.what, m.recomputed) for m in done.mismatches}


def test_a_credit_in_a_region_without_a_factor_row_is_found() -> None:
    world = town(rate=[open_row("100", "CN")])
    world.credited(trip("t1", region="CN"))
    done = world.replayed(world.altered(position(world, events.BehaviorCredited), region="US"))
    assert [(m.what, m.recomputed) for m in done.mismatches] == [("computed_mg", "no value"), ("credited_mg", "0")]


# -- consent and standing ----------------------------------------------------------------------------------------


def consented() -> World:
    world = town()
    world.open_account("ann", UUID(int=1))
    world.grant("ann", (METRO,), start="2026-01-02T16:00:00Z", end="2026-01-06T16:00:00Z")
    world.grant("ann", ("*",))
    world.credited(trip("t1"))
    return world


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"consent": 2}, []),
        ({"consent": 9}, ["no active consent of that version"]),
        ({"consent": 2, "day": "2026-01-03"}, []),
        ({"consent": 2, "day": "2026-01-06"}, []),
        ({"consent": 2, "day": "2026-01-02"}, ["outside the consent's validity"]),
        ({"consent": 2, "day": "2026-01-07"}, ["outside the consent's validity"]),
    ],
)
def test_a_credit_needs_a_consent_that_was_active_and_valid_on_its_day(
    changes: dict[str, Any], found: list[str]
) -> None:
    world = consented()
    done = world.replayed(world.altered(position(world, events.BehaviorCredited), **changes))
    consent = [(m.what, m.recomputed) for m in done.mismatches if m.what != "day"]
    assert consent == [("consent", text) for text in found]
    assert len(done.mismatches) - len(consent) == ("day" in changes), "the exact instant is of another day"


def test_a_credit_outside_the_scope_of_its_consent_is_found() -> None:
    world = consented()
    done = world.replayed(world.altered(position(world, events.ConsentGranted, 1), scope=("travel.bus", "x")))
    assert [(m.booked, m.recomputed) for m in done.mismatches] == [(METRO, "scope travel.bus, x")]


def test_a_credit_under_a_withdrawn_consent_is_found() -> None:
    world = consented()
    world.on_account(account_rules.withdraw_consent(world.head(), 2, "ann", "no more"))
    world.credited(trip("t2"))
    done = world.replayed(world.altered(position(world, events.BehaviorCredited, 1), consent=2))
    assert done.found == [(6, "consent")]


@pytest.mark.parametrize("status", ["frozen", "closed"])
def test_a_credit_to_a_frozen_or_closed_account_is_found(status: str) -> None:
    world = town()
    world.credited(trip("t1"))
    world.on_account({"frozen": account_rules.freeze, "closed": account_rules.close}[status](world.head(), "o", "x"))
    log = world.events()
    credit = log[position(world, events.BehaviorCredited) - 1]
    log.append(Recorded(credit.stream, 5, world.size + 1, credit.event, credit.personal))
    done = replayed(log, world.times())
    assert [(m.version, m.what, m.recomputed) for m in done.mismatches] == [(5, "account", status)]


def erased() -> World:
    """An account whose person was erased, with a run that still writes to it."""
    world = town()
    world.credited(trip("t1"))
    run = world.plan("TRAVEL-METRO@2")
    world.approve_run(run)
    world.on_account(erasure.request(world.head(), "olga", "unlawful", "never agreed"))
    world.on_account(erasure.erase(world.head(), "otto", 1))
    world.apply_run(run)
    world.complete(run)
    return world


def test_an_erased_account_replays_as_ever_and_is_still_revised() -> None:
    world = erased()
    nobody = [each._replace(personal=None) for each in world.events()]
    assert [done.mismatches for done in (world.replayed(), world.replayed(nobody))] == [[], []]
    assert world.replayed(nobody).digest == world.replayed().digest
    assert world.history().balances() == {METRO: 40_000}


@pytest.mark.parametrize(
    "changes",
    [{"request": 3}, {"request": 5}, {"by": "olga"}, {"by": "Olga"}],
)
def test_an_erasure_that_nobody_else_asked_for_is_found(changes: dict[str, Any]) -> None:
    world = erased()
    done = world.replayed(world.altered(position(world, events.PersonalDataErased), **changes))
    assert done.found == [(5, "erasure")]


def test_whatever_but_a_revision_is_recorded_of_an_erased_account_is_found() -> None:
    world = erased()
    world.grant()
    world.on_account(world.all_of(events.BehaviorCredited)[0])
    world.reverse("t1")
    world.on_account(events.AccountFrozen(by="olga"))
    world.on_account(events.PersonalDataErased(request=4, epoch=1, by="otto"))
    found = world.replayed().mismatches
    told = [(m.version, m.what, m.booked, m.recomputed[:12]) for m in found if m.what in ("account", "erasure")]
    assert told == [
        (7, "account", "ConsentGranted", "nothing but "),
        (8, "account", "credited", "erased"),
        (9, "account", "BehaviorReversed", "nothing but "),
        (10, "account", "AccountFrozen", "nothing but "),
        (11, "account", "PersonalDataErased", "nothing but "),
        (11, "erasure", "request 4", "no open requ"),
    ]


def test_an_account_that_is_closed_stays_closed_whatever_is_recorded_of_it() -> None:
    world = town()
    world.credited(trip("t1"))
    world.on_account(account_rules.close(world.head(), "olga", "moved"))
    for event in (events.AccountFrozen(by="eve"), events.AccountUnfrozen(by="eve"), events.AccountOpened(kind="x")):
        world.on_account(event)
    world.on_account(world.all_of(events.BehaviorCredited)[0])
    found = [(m.version, m.booked, m.recomputed) for m in world.replayed().mismatches if m.what == "account"]
    assert found == [
        (5, "AccountFrozen", "closed"),
        (6, "AccountUnfrozen", "closed"),
        (7, "AccountOpened", "opened first, and once"),
        (8, "credited", "closed"),
    ]


def test_a_revision_of_an_account_with_nothing_in_its_scope_is_found_and_not_counted() -> None:
    world = town()
    world.credited(trip("t1"))
    run = world.plan(TWO, "2026-02-01")
    world.approve_run(run)
    said = {"revision": run, "behavior": METRO, "methodology": TWO, "rule": "v1"}
    world.on_account(events.FactorRevised(**said, part=1, last=True, lines=()))
    done = world.replayed()
    assert [(m.what, m.booked, m.recomputed) for m in done.mismatches] == [("revision", "R1", "nothing in scope")]
    assert [account.revised for account in done.accounts.values()] == [[]]


def test_a_credit_to_an_account_that_was_never_opened_is_found() -> None:
    world = town()
    world.credited(trip("t1"))
    stranger = UUID(int=7)
    log = world.events()
    credit = log[position(world, events.BehaviorCredited) - 1]
    log.append(Recorded(stranger, 1, world.size + 1, credit.event, credit.personal))
    done = replayed(log, world.times())
    assert [(m.stream, m.what, m.recomputed) for m in done.mismatches] == [
        (stranger, "account", "not open"),
        (stranger, "consent", "no active consent of that version"),
    ]


# -- revisions ---------------------------------------------------------------------------------------------------


def revised() -> World:
    world = town()
    world.credited(trip("t1"), trip("t2"), trip("t3"))
    run = world.plan(TWO)
    world.approve_run(run)
    world.apply_run(run, lines_per_event=2)
    world.complete(run)
    return world


def with_lines(world: World, nth: int, lines: list[events.RevisedLine]) -> list[Recorded]:
    return world.altered(position(world, events.FactorRevised, nth), lines=tuple(lines))


def test_a_wrong_number_in_a_line_is_found_in_that_line() -> None:
    world = revised()
    first, second = world.all_of(events.FactorRevised)[0].lines
    wrong = msgspec.structs.replace(second, credited_mg="39999")
    done = world.replayed(with_lines(world, 0, [first, wrong]))
    (mismatch,) = done.mismatches
    assert (mismatch.version, mismatch.what) == (7, "line of credit 4")
    assert mismatch.booked == '[4,"2026-01-05","100000","40000","39999",""]'
    assert mismatch.recomputed == '[4,"2026-01-05","100000","40000","40000",""]'
    assert done.digest == world.replayed().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"day": "2026-01-06"},
        {"before_mg": "99999"},
        {"computed_mg": "40001"},
        {"computed_mg": None},
        {"reason": "because"},
    ],
)
def test_every_field_of_a_line_is_compared(changes: dict[str, Any]) -> None:
    world = revised()
    first, second = world.all_of(events.FactorRevised)[0].lines
    done = world.replayed(with_lines(world, 0, [msgspec.structs.replace(first, **changes), second]))
    assert done.found == [(7, "line of credit 3")]


def test_a_missing_line_and_an_extra_line_are_found() -> None:
    world = revised()
    first, second = world.all_of(events.FactorRevised)[0].lines
    missing = world.replayed(with_lines(world, 0, [first])).mismatches
    assert [(m.what, m.booked[:4], m.recomputed[:3]) for m in missing] == [("line of credit 4", "none", "[4,")]
    invented = msgspec.structs.replace(second, credit=99)
    extra = world.replayed(with_lines(world, 0, [first, second, invented])).mismatches
    assert [(m.what, m.booked[:4], m.recomputed) for m in extra] == [("line of credit 99", "[99,", "none")]


def test_lines_in_another_order_or_twice_are_found() -> None:
    world = revised()
    first, second = world.all_of(events.FactorRevised)[0].lines
    for lines in ([second, first], [first, first, second]):
        done = world.replayed(with_lines(world, 0, lines))
        assert [(m.what, m.recomputed) for m in done.mismatches] == [("lines", "log order")]


@pytest.mark.parametrize("nth", [0, 1])
@pytest.mark.parametrize(
    "changes", [{"behavior": "travel.bus"}, {"methodology": "TRAVEL-METRO@1"}, {"rule": "v0"}, {"part": 7}]
)
def test_what_a_part_says_about_itself_is_compared(changes: dict[str, Any], nth: int) -> None:
    world = revised()
    done = world.replayed(world.altered(position(world, events.FactorRevised, nth), **changes))
    assert done.found == [(6 + nth, *changes)]
    assert done.digest == world.replayed().digest


def test_a_part_of_another_run_among_the_parts_is_found() -> None:
    world = revised()
    done = world.replayed(world.altered(position(world, events.FactorRevised, 1), revision="R9"))
    assert [(m.version, m.what, m.booked, m.recomputed) for m in done.mismatches] == [(7, "revision", "R9", "R1")]


def test_a_last_part_that_is_not_marked_as_last_leaves_the_run_unfinished() -> None:
    world = revised()
    done = world.replayed(world.altered(position(world, events.FactorRevised, 1), last=False))
    assert [(m.version, m.what, m.booked, m.recomputed) for m in done.mismatches] == [
        (7, "revision", "a part", "the next one"),
        (7, "revision", "none", "R1"),
    ]


def test_a_part_marked_as_last_too_early_is_found() -> None:
    world = revised()
    done = world.replayed(world.altered(position(world, events.FactorRevised), last=True))
    assert done.found[:2] == [(6, "line of credit 5"), (7, "part")]
    assert (7, "revision") in done.found


def test_a_revision_that_nobody_approved_is_found() -> None:
    world = revised()
    done = world.replayed(world.altered(position(world, events.FactorRevised), revision="R9"))
    first = done.mismatches[0]
    assert (first.version, first.what, first.booked) == (6, "revision", "R9")
    assert first.recomputed == "not approved and open at this position"


def test_a_revision_after_its_run_was_completed_is_found() -> None:
    world = revised()
    log = world.events()
    last = log[position(world, events.FactorRevised, 1) - 1]
    log.append(Recorded(last.stream, 8, world.size + 1, last.event, None))
    assert replayed(log, world.times()).found == [(8, "revision")]


def test_a_revision_applied_twice_to_an_account_is_found() -> None:
    world = town()
    world.credited(trip("t1"))
    run = world.plan(TWO)
    world.approve_run(run)
    world.apply_run(run)
    log = world.events()
    again = log[-1]
    log.append(Recorded(again.stream, again.version + 1, world.size + 1, again.event, None))
    done = replayed(log, world.times())
    assert ("revision", "already applied to this account") in {(m.what, m.recomputed) for m in done.mismatches}
    assert done.found[-1] == (5, "line of credit 3")


def without(world: World, *positions: int) -> list[Recorded]:
    """The log with some events taken out and the rest of their streams moved up."""
    kept, versions = [], dict.fromkeys(world.streams, 0)
    for each in world.events():
        if each.position not in positions:
            versions[each.stream] += 1
            kept.append(Recorded(each.stream, versions[each.stream], each.position, each.event, each.personal))
    return kept


@pytest.mark.parametrize("act", ["credit", "reversal"])
def test_who_is_written_to_while_a_run_is_under_way_must_have_its_lines_before(act: str) -> None:
    world = town()
    world.credited(trip("t1"), trip("t2"))
    world.approve_run(world.plan(TWO))
    if act == "credit":
        world.credited(trip("t3"))
    else:
        world.reverse("t1")
    done = replayed(without(world, position(world, events.FactorRevised)), world.times())
    assert ("revision", "R1 not yet applied") in {(m.what, m.booked) for m in done.mismatches}


def test_a_completed_run_must_have_reached_every_account_in_scope() -> None:
    world = town()
    world.credited(trip("t1", "ann"), trip("b1", "ben"))
    world.revise(TWO)
    gone = position(world, events.FactorRevised)
    done = replayed(without(world, gone), world.times())
    (mismatch,) = done.mismatches
    assert (mismatch.what, mismatch.booked, mismatch.recomputed) == ("revision", "none", "R1")
    assert mismatch.stream == world.events()[gone - 1].stream
    # As of a moment before its completion, nothing is missing yet.
    assert replayed(without(world, gone), world.times(), until=world.size - 1).mismatches == []


def test_runs_of_other_behaviors_ask_nothing_of_an_account() -> None:
    world = town()
    world.introduce(power(1, "0.5"))
    world.introduce(power(2, "0.6"), "2026-03-01")
    world.credited(trip("t1"))
    world.approve_run(world.plan("LIVING-POWER-SAVING@2", None, "2026-02-01"))
    world.credited(trip("t2"), saving("s1", "ben"))
    assert world.replayed().mismatches == []


# -- reversals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "recomputed"),
    [
        ({"reversed_mg": "99999"}, "100000"),
        ({"behavior": "travel.bus"}, METRO),
        ({"day": "2026-01-06"}, "2026-01-05"),
    ],
)
def test_what_a_reversal_takes_back_is_compared(changes: dict[str, Any], recomputed: str) -> None:
    world = town()
    world.credited(trip("t1"))
    world.reverse("t1")
    done = world.replayed(world.altered(world.size, **changes))
    assert [(m.version, m.what, m.recomputed) for m in done.mismatches] == [(4, *changes, recomputed)]


def test_a_credit_reversed_twice_is_found() -> None:
    world = town()
    world.credited(trip("t1"), trip("t2"))
    world.reverse("t1")
    world.reverse("t2")
    done = world.replayed(world.altered(world.size, credit=3))
    found = {(m.what, m.booked, m.recomputed) for m in done.mismatches}
    assert found == {("reversal", "credit 3", "reversed before"), ("reversed_mg", "100000", "0")}


# -- what cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"quantity": "many"}, {"day": "2026-02-30"}, {"day": "yesterday"}],
)
def test_unreadable_facts_are_reported_where_they_stand_and_nowhere_else(changes: dict[str, Any]) -> None:
    world = town()
    world.credited(trip("t1"), trip("t2"))
    done = world.replayed(world.altered(position(world, events.BehaviorCredited), **changes))
    assert done.found == [(3, "unreadable facts")]
    (balance,) = done.balances.values()
    assert balance == {METRO: 100_000}


def test_a_reversal_of_a_credit_that_does_not_exist_is_unreadable() -> None:
    world = town()
    world.credited(trip("t1"))
    world.reverse("t1")
    done = world.replayed(world.altered(world.size, credit=99))
    assert done.found == [(4, "unreadable facts")]


def test_a_foreign_event_in_an_account_is_unreadable() -> None:
    world = town()
    world.credited(trip("t1"))
    stream = world.account_id()
    genesis = world.events()[0].event
    replay = AccountReplay(world.rulebook, [], stream, world.size)
    replay.run([*world.streams[stream], Recorded(stream, 4, world.size + 1, genesis, None)])
    assert [(m.version, m.what) for m in replay.mismatches] == [(4, "unreadable facts")]


def test_a_gap_in_the_versions_of_a_stream_is_reported() -> None:
    world = town()
    world.credited(trip("t1"), trip("t2"))
    gone = position(world, events.BehaviorCredited)
    log = [each for each in world.events() if each.position != gone]
    done = replayed(log, world.times())
    assert [(m.version, m.what, m.booked, m.recomputed) for m in done.mismatches] == [(4, "version", "4", "3")]


def test_many_consents_are_not_searched_for_every_credit() -> None:
    """A stranger's stream of as many consents as credits would else take minutes."""
    world = town(caps=[])
    world.credited(trip("t0"))
    credit = next(each for each in world.streams[world.account_id()] if isinstance(each.event, events.BehaviorCredited))
    compared = 0

    class Version(int):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    granted = events.ConsentGranted(
        scope=("*",),
        terms_version="1",
        basis="direct",
        valid_from=None,
        valid_to=None,
        evidence="0" * 64,
        asserter=None,
    )
    opened = world.streams[world.account_id()][0]
    stream = [opened]
    for number in range(2, 402):
        stream.append(Recorded(opened.stream, Version(number), 100 + number, granted, None))
    for number in range(402, 802):
        again = msgspec.structs.replace(credit.event, consent=number - 400)
        stream.append(Recorded(opened.stream, number, 100 + number, again, None))
    replay = AccountReplay(world.rulebook, [], opened.stream, 2_000)
    replay.run(stream)
    assert (replay.mismatches, replay.credits) == ([], 400)
    assert compared < 4_000
