"""The head of an account: what it may do next, which consent covers, and how much room the caps still have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from domain import account as rules
from domain.account import CLOSING_DAYS, Account, Asked
from domain.events import account as events
from domain.events.base import Event
from domain.instants import instant_of
from domain.kernel.caps import CapUse
from domain.values import FIRST_DAY, day_number, day_text
from tests.unit.domain.refusals import refusal
from tests.unit.domain.worlds import World

ID = UUID("00000000-0000-4000-8000-000000000001")
CODE = "TRAVEL-METRO"


def opened(*following: Event) -> Account:
    """A new account, and what happened to it then."""
    account = Account(ID)
    first, _ = rules.open_account("individual", "ann")
    for version, event in enumerate((first, *following), start=1):
        account.apply(version, event)
    return account


def consent(**changes: Any) -> events.ConsentGranted:
    granted: dict[str, Any] = {
        "scope": ("*",),
        "terms_version": "2026-01",
        "basis": "direct",
        "valid_from": None,
        "valid_to": None,
        "evidence": "0" * 64,
        "asserter": None,
    }
    return events.ConsentGranted(**(granted | changes))


def credited(day: str, mg: str = "100", methodology: str = f"{CODE}@1") -> events.BehaviorCredited:
    return events.BehaviorCredited(
        partner="metro-co",
        intake=1,
        line=2,
        ref="00",
        behavior="travel.metro",
        day=day,
        region="",
        quantity="1000",
        scale=3,
        unit="km",
        methodology=methodology,
        decision="D1",
        rule="v1",
        consent=2,
        computed_mg=mg,
        credited_mg=mg,
    )


def test_an_account_that_nobody_opened_has_no_version_and_no_consent() -> None:
    account = Account(ID)
    assert (account.version, account.status, account.consents) == (0, "open", [])
    assert account.consent_for("travel.metro", 0) is None


@pytest.mark.parametrize("kind", ["individual", "household", "enterprise"])
def test_people_households_and_enterprises_may_have_an_account(kind: str) -> None:
    event, personal = rules.open_account(kind, "ann")
    assert (event.kind, personal.account_ref) == (kind, "ann")
    world = World()
    world.open_account("ann", ID, kind)
    assert (world.head().kind, world.head().version) == (kind, 1)


def test_other_kinds_of_accounts_are_refused() -> None:
    assert refusal(rules.open_account, "robot", "r2") == ("kind_unknown", "kind")


FROZEN = events.AccountFrozen(by="olga")
UNFROZEN = events.AccountUnfrozen(by="olga")
CLOSED = events.AccountClosed(by="olga")
ERASED = events.PersonalDataErased(request=2, epoch=1, by="otto")


@pytest.mark.parametrize(
    ("act", "following", "code"),
    [
        (rules.freeze, [], None),
        (rules.freeze, [FROZEN], "account_frozen"),
        (rules.freeze, [FROZEN, UNFROZEN], None),
        (rules.freeze, [CLOSED], "account_closed"),
        (rules.unfreeze, [], "account_not_frozen"),
        (rules.unfreeze, [FROZEN], None),
        (rules.unfreeze, [FROZEN, UNFROZEN], "account_not_frozen"),
        (rules.unfreeze, [CLOSED], "account_closed"),
        (rules.close, [], None),
        (rules.close, [FROZEN], None),
        (rules.close, [CLOSED], "account_closed"),
        *((act, [ERASED], "account_erased") for act in (rules.freeze, rules.unfreeze, rules.close)),
        *((act, [CLOSED, ERASED], "account_erased") for act in (rules.freeze, rules.unfreeze, rules.close)),
    ],
)
def test_an_account_is_frozen_unfrozen_and_closed_only_where_that_makes_sense(
    act: Callable[..., tuple[Event, events.ReasonPersonal]], following: list[Event], code: str | None
) -> None:
    account = opened(*following)
    if code is not None:
        assert refusal(act, account, "olga", "because") == (code, "account")
        return
    event, personal = act(account, "olga", "because")
    assert personal == events.ReasonPersonal(reason="because")
    account.apply(account.version + 1, event)
    assert account.status == {rules.freeze: "frozen", rules.unfreeze: "open", rules.close: "closed"}[act]


def test_the_newest_active_consent_that_covers_the_instant_counts() -> None:
    account = opened(consent(scope=("travel.metro", "travel.bus")), consent(), consent(scope=("travel.walking",)))
    assert account.consent_for("travel.metro", 0) == 3
    assert account.consent_for("travel.walking", 0) == 4
    account.apply(5, rules.withdraw_consent(account, 3, "ann", "no more")[0])
    assert account.consent_for("travel.metro", 0) == 2
    assert account.consent_for("living.online_bill", 0) is None


def test_a_consent_covers_from_its_first_instant_up_to_but_not_at_its_last() -> None:
    start, end = "2026-01-01T00:00:00+08:00", "2026-02-01T00:00:00Z"
    account = opened(consent(valid_from=start, valid_to=end))
    first, last = instant_of(start), instant_of(end)
    covered = [account.consent_for("travel.metro", t) for t in (first - 1, first, last - 1, last)]
    assert covered == [None, 2, 2, None]


def test_a_consent_is_withdrawn_once_and_the_account_remembers_that_the_person_spoke() -> None:
    account = opened(consent())
    assert account.withdrawn is False
    assert refusal(rules.withdraw_consent, account, 9, "ann", "no") == ("consent_unknown", "consent")
    event, personal = rules.withdraw_consent(account, 2, "ann", "no")
    assert personal == events.ConsentWithdrawnPersonal(by="ann", reason="no")
    account.apply(3, event)
    assert Account.from_snapshot(ID, account.snapshot()).withdrawn
    assert refusal(rules.withdraw_consent, account, 2, "ann", "no") == ("consent_unknown", "consent")


def test_credits_charge_the_caps_of_their_code_whatever_version_valued_them() -> None:
    account = opened(credited("2026-01-05"), credited("2026-01-05", "50", f"{CODE}@2"), credited("2026-01-06", "0"))
    account.apply(5, credited("2026-01-05", "7", "OTHER@1"))
    assert account.use_of(CODE).days == {day_number("2026-01-05"): (150, 2), day_number("2026-01-06"): (0, 1)}
    assert account.use_of("OTHER").days == {day_number("2026-01-05"): (7, 1)}
    assert account.use_of("NEVER-USED") == CapUse()


def test_a_reversed_credit_stays_charged_to_the_caps() -> None:
    account = opened(credited("2026-01-05"))
    reversal = events.BehaviorReversed(
        credit=2, behavior="travel.metro", day="2026-01-05", reversed_mg="100", by="olga"
    )
    account.apply(3, reversal)
    assert account.use_of(CODE).days == {day_number("2026-01-05"): (100, 1)}


def test_a_revision_moves_the_mass_and_leaves_the_count() -> None:
    account = opened(credited("2026-01-05"), credited("2026-01-06", "40"))

    def part(number: int, line: events.RevisedLine, *, last: bool) -> events.FactorRevised:
        return events.FactorRevised(
            revision="R1", behavior="b", methodology=f"{CODE}@2", rule="v1", part=number, last=last, lines=(line,)
        )

    account.apply(4, part(1, events.RevisedLine(2, "2026-01-05", "100", "90", "90", ""), last=False))
    assert account.revised == {}
    account.apply(5, part(2, events.RevisedLine(3, "2026-01-06", "40", None, "0", "no"), last=True))
    assert account.revised == {CODE: ["R1"]}
    assert account.use_of(CODE).days == {day_number("2026-01-05"): (90, 1), day_number("2026-01-06"): (0, 1)}


def test_a_civil_year_leaves_the_head_a_month_after_its_end() -> None:
    edge = day_text(day_number("2026-01-01") + CLOSING_DAYS - 1)
    account = opened(credited("2025-12-31"), credited(edge))
    assert account.use_of(CODE).since == day_number("2025-01-01")
    assert not account.needs_history(CODE, day_number("2025-01-01"))
    account.apply(4, credited(day_text(day_number(edge) + 1)))
    assert account.use_of(CODE).since == day_number("2026-01-01")
    assert account.needs_history(CODE, day_number("2025-12-31"))
    assert not account.needs_history(CODE, day_number("2026-01-01"))
    # A late row does not open the year again.
    account.apply(5, credited("2025-12-31"))
    assert day_number("2025-12-31") not in account.use_of(CODE).days


def test_a_code_without_a_credit_needs_no_history() -> None:
    assert not opened().needs_history(CODE, day_number("2025-12-31"))


def test_the_first_year_of_the_calendar_never_closes_before_it_began() -> None:
    account = opened(credited("0001-01-02"))
    assert account.use_of(CODE).since == FIRST_DAY
    assert not account.needs_history(CODE, FIRST_DAY)


def test_years_read_back_for_a_late_row_are_forgotten_again() -> None:
    account = opened(credited("2024-05-01"), credited("2026-05-01"))
    short = account.snapshot()
    full = CapUse()
    full.charge(day_number("2024-05-01"), 100)
    full.charge(day_number("2026-05-01"), 100)
    account.uses[CODE] = full
    account.close_years(CODE)
    assert account.snapshot() == short


def test_a_snapshot_holds_everything_that_deciding_needs() -> None:
    account = opened(consent(valid_to="2026-12-31T00:00:00Z"), consent(scope=("travel.metro",)), credited("2025-01-05"))
    account.apply(5, credited("2026-05-05", str(2**80)))
    account.apply(6, rules.withdraw_consent(account, 3, "ann", "no")[0])
    account.apply(7, FROZEN)
    account.apply(8, events.ErasureRequested(ground="unlawful", by="olga"))
    again = Account.from_snapshot(ID, account.snapshot())
    for name in ("id", "version", "kind", "status", "withdrawn", "consents", "uses", "revised"):
        assert getattr(again, name) == getattr(account, name), name
    assert again.use_of(CODE).since == day_number("2026-01-01")
    assert again.snapshot() == account.snapshot()
    assert again.erasure == Asked(8, "olga")
