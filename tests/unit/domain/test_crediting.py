"""Crediting a batch: each row stands alone, references come first, caps follow the order of the rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from domain import account as account_rules
from domain import erasure
from domain.account import Account
from domain.behavior import Refusal
from domain.crediting import Batch, Credited, Duplicate, Intake, Known, Outcome, Row
from domain.events import account as events
from domain.history import AccountHistory
from domain.instants import instant_of
from domain.screening import Rules
from tests.unit.domain.documents import count_cap, day_cap, metro, open_row
from tests.unit.domain.worlds import PARTNER, World, key_of, trip


def town(**changes: Any) -> World:
    world = World()
    world.introduce(metro(**({"rate": "100"} | changes)))
    return world


def code_of(outcome: Outcome) -> str:
    """What became of a row in one word."""
    if isinstance(outcome, Refusal):
        return outcome.code
    return "duplicate" if isinstance(outcome, Duplicate) else "credited"


def codes(outcomes: Any) -> list[str]:
    return [code_of(outcome) for outcome in outcomes]


def topics(world: World, account_ref: str = "ann") -> list[str]:
    return [type(each.event).__name__ for each in world.streams[world.account_id(account_ref)]]


def test_a_credit_records_the_facts_that_replay_needs_and_keeps_the_person_apart() -> None:
    world = town()
    world.send(trip("t1", "ann", quantity="12.350", region="CN-440300", at="2026-01-05T23:30:00.5+07:00"))
    each = world.streams[world.account_id()][-1]
    intake = each.event.intake
    assert each.event == events.BehaviorCredited(
        partner=PARTNER,
        intake=intake,
        line=2,
        ref=key_of("ref", PARTNER, "t1").hex(),
        behavior="travel.metro",
        day="2026-01-06",
        region="CN-440300",
        quantity="12350",
        scale=3,
        unit="km",
        methodology="TRAVEL-METRO@1",
        decision="D1",
        rule="v1",
        consent=2,
        computed_mg="1235000",
        credited_mg="1235000",
    )
    assert each.personal == events.BehaviorCreditedPersonal(source_ref="t1", occurred_at="2026-01-05T23:30:00.5+07:00")
    assert world.log[intake - 1].topic == "carbon.intake.opened.v1"


# -- accounts and consent ----------------------------------------------------------------------------------------


def test_the_first_good_row_opens_the_account_and_asserts_consent_for_the_past() -> None:
    world = town()
    world.send(trip("t1"), trip("t2"))
    assert topics(world) == ["AccountOpened", "ConsentGranted", "BehaviorCredited", "BehaviorCredited"]
    granted = world.streams[world.account_id()][1].event
    assert (granted.basis, granted.asserter, granted.scope) == ("imported", PARTNER, ("*",))
    assert (granted.valid_from, granted.valid_to) == (None, "2026-03-01T00:00:00Z")
    assert len(granted.evidence) == 64
    assert world.history().account_ref == "ann"


def test_a_bad_row_opens_no_account() -> None:
    world = town(rate=[open_row("100", "CN", "2026-01-01")])
    rows = [trip("t1", quantity="0"), trip("t2", region="US"), trip("t3", at="2099-01-01T00:00:00Z")]
    assert codes(world.send(*rows)) == ["quantity_not_positive", "no_factor_for_region", "occurred_in_future"]
    assert world.account_ids == {}


def test_without_permission_to_open_accounts_a_stranger_is_unknown() -> None:
    world = town()
    assert codes(world.send(trip("t1"), opens=False)) == ["account_unknown"]
    world.send(trip("t1"))
    assert codes(world.send(trip("t2"), opens=False)) == ["credited"]


def test_each_row_stands_alone_and_refusals_of_the_grammar_pass_through() -> None:
    world = town()
    unreadable = Refusal(7, "malformed", "quantity", "it is empty", "send digits")
    outcomes = world.send(trip("t1"), unreadable, trip("t2", quantity="999"), trip("t3"))
    assert codes(outcomes) == ["credited", "malformed", "quantity_out_of_range", "credited"]
    assert outcomes[1] is unreadable


def test_a_frozen_or_closed_account_takes_no_credit() -> None:
    world = town()
    world.send(trip("t1"))
    world.on_account(account_rules.freeze(world.head(), "olga", "check"))
    assert codes(world.send(trip("t2"))) == ["account_frozen"]
    world.on_account(account_rules.unfreeze(world.head(), "olga", "cleared"))
    assert codes(world.send(trip("t2"))) == ["credited"]
    world.on_account(account_rules.close(world.head(), "olga", "moved away"))
    assert codes(world.send(trip("t3"))) == ["account_closed"]


def test_an_erased_account_that_somebody_still_holds_takes_no_credit_and_is_not_told_of() -> None:
    world = town()
    world.credited(trip("t1"))
    world.on_account(erasure.request(world.head(), "olga", "unlawful", "never agreed"))
    world.on_account(erasure.erase(world.head(), "otto", 1))
    assert codes(world.send(trip("t2"))) == ["account_unknown"]


def test_the_standing_of_the_account_is_judged_before_the_rules_and_after_the_row() -> None:
    world = town(rate=[open_row("100", "CN")])
    world.send(trip("t0", region="CN"))
    world.withdraw("TRAVEL-METRO@1", leave_gap=True)
    assert codes(world.send(trip("t1"))) == ["no_applicable_methodology"]
    world.on_account(events.ConsentWithdrawn(consent=2))
    assert codes(world.send(trip("t1"))) == ["no_consent"]
    world.on_account(account_rules.freeze(world.head(), "olga", "check"))
    assert codes(world.send(trip("t1"), trip("t2", quantity="0"))) == ["account_frozen", "quantity_not_positive"]


def test_a_direct_consent_is_never_widened_by_a_partner() -> None:
    world = town()
    world.open_account("ann", UUID(int=1))
    world.grant("ann", ("travel.bus",))
    assert codes(world.send(trip("t1"))) == ["no_consent"]
    world.grant("ann", ("travel.metro",), start="2026-01-05T00:00:00Z")
    assert codes(world.send(trip("t1", at="2026-01-04T23:59:59Z"), trip("t2"))) == ["no_consent", "credited"]
    assert world.streams[UUID(int=1)][-1].event.consent == 3


def test_who_withdrew_a_consent_is_not_credited_on_a_partners_word() -> None:
    world = town()
    world.send(trip("t1"))
    world.on_account(account_rules.withdraw_consent(world.head(), 2, "ann", "no more"))
    assert codes(world.send(trip("t2"))) == ["no_consent"]


def test_a_partner_asserts_anew_what_its_earlier_file_could_not_cover() -> None:
    world = town()
    world.send(trip("t1"))
    world.tell("2026-04-01T00:00:00Z")
    assert codes(world.send(trip("t2", at="2026-03-15T00:00:00Z"), opens=False)) == ["no_consent"]
    assert codes(world.send(trip("t2", at="2026-03-15T00:00:00Z"))) == ["credited"]
    assert topics(world)[-2:] == ["ConsentGranted", "BehaviorCredited"]
    assert world.streams[world.account_id()][-1].event.consent == 4


def test_a_file_asserts_consent_only_for_what_happened_before_it_was_received() -> None:
    world = town()
    intake = world.intake()
    world.tell("2026-04-01T00:00:00Z")
    late = [trip("t1", at="2026-03-01T00:00:00Z"), trip("t2", at="2026-02-28T23:59:59.999999Z")]
    assert codes(world.credit(intake, late)) == ["no_consent", "credited"]
    assert codes(world.credit(intake, late[:1])) == ["no_consent"]


# -- references --------------------------------------------------------------------------------------------------


def test_a_trip_reported_twice_in_one_file_is_credited_once() -> None:
    world = town()
    outcomes = world.send(trip("t1"), trip("t1", quantity="1.000", at="2026-01-05T00:00:00Z"))
    assert codes(outcomes) == ["credited", "duplicate"]
    assert outcomes[1] == Duplicate(None)
    assert world.history().balances() == {"travel.metro": 100_000}


def test_a_trip_reported_again_later_is_answered_with_the_first_result() -> None:
    world = town()
    world.send(trip("t1"))
    outcomes = world.send(trip("t1", quantity="1.0", at="2026-01-05T00:00:00.000Z"))
    first = world.refs[key_of("ref", PARTNER, "t1")]
    assert outcomes == [Duplicate(first)]
    assert (first.version, first.facts.credited_mg) == (3, "100000")


OTHER_CONTENT: list[dict[str, Any]] = [
    {"account_ref": "ben"},
    {"at": "2026-01-05T08:00:00.000001+08:00"},
    {"quantity": "1.001"},
    {"unit": "mi"},
    {"region": "CN"},
    {"behavior": "travel.bus"},
]


@pytest.mark.parametrize("changes", OTHER_CONTENT)
@pytest.mark.parametrize("together", [True, False])
def test_other_content_under_a_taken_reference_is_a_conflict(changes: dict[str, Any], *, together: bool) -> None:
    world = town()
    world.send(trip("b1", "ben"))
    again = trip("t1", **changes)
    if together:
        outcomes = world.send(trip("t1"), again)[1:]
    else:
        world.send(trip("t1"))
        outcomes = world.send(again)
    assert codes(outcomes) == ["conflicting_duplicate"]
    assert world.history().balances() == {"travel.metro": 100_000}


def test_the_reference_is_looked_up_before_everything_that_depends_on_state() -> None:
    world = town()
    world.send(trip("t1"))
    world.on_account(account_rules.freeze(world.head(), "olga", "check"))
    world.withdraw("TRAVEL-METRO@1", leave_gap=True)
    # Wrong in every other way, but the reference comes first.
    wrong = trip("t1", unit="mi", quantity="0", at="2099-01-01T00:00:00")
    assert codes(world.send(trip("t1"), wrong)) == ["duplicate", "conflicting_duplicate"]


def test_references_of_two_partners_do_not_meet() -> None:
    world = town()
    assert codes(world.send(trip("t1"))) == ["credited"]
    assert codes(world.send(trip("t1"), partner="bike-co")) == ["credited"]


def test_a_refused_reference_stays_free() -> None:
    world = town()
    assert codes(world.send(trip("t1", quantity="999"), trip("t1"))) == ["quantity_out_of_range", "credited"]


def test_the_reference_of_a_reversed_credit_stays_taken() -> None:
    world = town()
    world.send(trip("t1"))
    world.reverse("t1")
    assert codes(world.send(trip("t1"), trip("t1", quantity="2"))) == ["duplicate", "conflicting_duplicate"]


def test_a_trip_of_somebody_erased_is_a_duplicate_without_details_whatever_is_said_of_it() -> None:
    world = town()
    world.send(trip("t1"))
    before = world.erase(), world.history_of(world.account_streams()[0]).balances()
    for again in (trip("t1"), trip("t1", quantity="9"), trip("t1", "ben"), trip("t1", behavior="travel.bus")):
        assert world.send(again) == [Duplicate(None)]
    assert before == (world.account_streams()[0], {"travel.metro": 100_000})
    assert len(world.account_streams()) == 1


def test_who_comes_back_after_an_erasure_gets_a_new_account() -> None:
    world = town()
    world.send(trip("t1"))
    erased = world.erase()
    assert codes(world.send(trip("t2"), opens=False)) == ["account_unknown"]
    assert world.credited(trip("t2")) == [100_000]
    assert world.account_id("ann") != erased
    assert world.head_of(erased).status == "erased"
    assert world.replayed().mismatches == []


def test_an_intake_that_goes_on_after_a_crash_counts_its_own_rows_as_credited() -> None:
    world = town()
    lined = [trip("t1", line=2), trip("t2", line=3)]
    intake = world.intake()
    world.credit(intake, lined[:1])
    before = world.size
    outcomes = world.credit(intake, lined)
    assert outcomes == [Credited(world.account_id(), 3, 100_000), Credited(world.account_id(), 4, 100_000)]
    assert world.size == before + 1


# -- caps --------------------------------------------------------------------------------------------------------


def test_caps_are_consumed_in_row_order_and_a_credit_cut_to_nothing_is_recorded() -> None:
    world = town(caps=[day_cap("150"), count_cap(3)])
    rows = [trip("t1"), trip("t2"), trip("t3"), trip("b1", "ben")]
    assert world.credited(*rows) == [100_000, 50_000, 0, 100_000]
    assert world.credited(trip("t4"), trip("t5", at="2026-01-06T08:00:00+08:00")) == [0, 100_000]
    facts = [each.event for each in world.streams[world.account_id()] if hasattr(each.event, "computed_mg")]
    assert [fact.computed_mg for fact in facts] == ["100000"] * 5


def test_a_negative_result_is_recorded_as_computed_and_credits_nothing() -> None:
    world = town(rate="-5")
    assert world.credited(trip("t1")) == [0]
    assert world.streams[world.account_id()][-1].event.computed_mg == "-5000"


def test_versions_of_one_code_share_the_room_of_a_window() -> None:
    world = town(caps=[day_cap("150", "month")])
    world.introduce(metro(2, "100", caps=[day_cap("180", "month")]), "2026-03-15")
    world.tell("2026-04-01T00:00:00Z")
    rows = [trip("t1", at="2026-03-01T00:00:00Z"), trip("t2", at="2026-03-20T00:00:00Z")]
    assert world.credited(*rows, trip("t3", at="2026-03-02T00:00:00Z")) == [100_000, 80_000, 0]


def test_late_rows_of_closed_years_find_the_room_that_their_year_really_has() -> None:
    world = town(caps=[day_cap("250", "year")])

    def at(year: int) -> str:
        return f"{year}-05-05T08:00:00+08:00"

    assert world.credited(*(trip(f"a{n}", at=at(2023)) for n in range(2))) == [100_000, 100_000]
    assert world.credited(trip("b1", at=at(2024)), trip("c1", at=at(2025))) == [100_000, 100_000]
    assert world.head().needs_history("TRAVEL-METRO", world.history().credits[3].day)
    late = [trip("a3", at=at(2023)), trip("b2", at=at(2024)), trip("a4", at=at(2023)), trip("c2", at=at(2025))]
    assert world.credited(*late, trip("c3", at=at(2025)), trip("c4", at=at(2025))) == [
        50_000,
        100_000,
        0,
        100_000,
        50_000,
        0,
    ]


@pytest.mark.parametrize("years", [(2023, 2025, 2024), (2023, 2023), (2025, 2026)])
def test_a_kept_head_equals_the_stream_after_early_and_after_late_rows(years: tuple[int, ...]) -> None:
    world = town(caps=[day_cap("250", "year")])
    for year in (2023, 2024, 2025):
        world.credited(trip(f"t{year}", at=f"{year}-05-05T08:00:00Z"))
    kept = {key_of("account", "ann"): world.head()}
    rows = [trip(f"r{n}", at=f"{year}-02-05T08:00:00Z") for n, year in enumerate(years)]
    batch = Batch(Rules(world.rulebook), world.intake(), kept, world.history_of)
    keyed: list[Row | Refusal] = [Row(row, key_of(row.source_ref), key_of("account", "ann")) for row in rows]
    assert codes(batch.decide(keyed, {}, world.now_us)) == ["credited"] * len(years)
    world.append(*batch.events)
    assert kept[key_of("account", "ann")].snapshot() == world.head().snapshot()


# -- a revision under way ----------------------------------------------------------------------------------------


def test_who_is_credited_while_a_revision_is_under_way_gets_the_revision_first() -> None:
    world = town()
    two = world.publish(metro(2, "40"))
    world.credited(trip("t1"))
    run = world.plan(two)
    world.approve_run(run)
    assert world.credited(trip("t2"), trip("t3")) == [40_000, 40_000]
    assert topics(world)[2:] == ["BehaviorCredited", "FactorRevised", "BehaviorCredited", "BehaviorCredited"]
    assert world.streams[world.account_id()][4].event.decision == run
    assert world.history().balances() == {"travel.metro": 120_000}
    assert world.complete(run).credits == 1
    assert world.replayed().mismatches == []


def test_an_account_without_a_credit_in_scope_owes_nothing_and_is_looked_at_once() -> None:
    world = town()
    two = world.publish(metro(2, "40"))
    world.credited(trip("t1", at="2025-01-05T00:00:00Z"), trip("b1", "ben"))
    world.introduce(metro(1, "3", code="BUS", behavior="travel.bus"))
    run = world.plan(two, "2026-01-01")
    world.approve_run(run)
    asked: list[UUID] = []

    def load(stream: UUID) -> AccountHistory:
        asked.append(stream)
        return world.history_of(stream)

    heads = {key_of("account", "ann"): world.head()}
    batch = Batch(Rules(world.rulebook), world.intake(), heads, load)
    rows: list[Row | Refusal] = [
        Row(trip(ref, who, behavior=behavior), key_of(ref), key_of("account", who))
        for ref, who, behavior in (
            ("t2", "ann", "travel.metro"),
            ("t3", "ann", "travel.metro"),
            ("c1", "cara", "travel.bus"),
            ("c2", "cara", "travel.bus"),
        )
    ]
    batch.decide(rows, {}, world.now_us)
    # Cara, opened here, never had a metro credit, so her stream is not read at all.
    assert asked == [world.account_id("ann")]
    assert [type(new.event).__name__ for new in batch.events] == [
        "BehaviorCredited",
        "BehaviorCredited",
        "AccountOpened",
        "ConsentGranted",
        "BehaviorCredited",
        "BehaviorCredited",
    ]


def test_a_batch_tells_which_references_and_accounts_it_takes() -> None:
    world = town()
    rules, intake = Rules(world.rulebook), Intake(PARTNER, 9, "0" * 64, instant_of("2026-02-01T00:00:00Z"), True)
    accounts: dict[bytes, Account] = {}
    known: dict[bytes, Known] = {}
    batch = Batch(rules, intake, accounts, world.history_of)
    batch.decide([Row(trip("t1"), b"r1", b"ann"), Row(trip("t2"), b"r2", b"ann")], known, world.now_us)
    assert batch.openings == [(b"ann", accounts[b"ann"].id)]
    assert batch.refs == [(b"r1", 2), (b"r2", 3)]
    assert [new.version for new in batch.events] == [1, 2, 3, 4]
    assert accounts[b"ann"].version == 4
