"""Caps by hand-checked cases."""

from __future__ import annotations

from datetime import date

import pytest

from domain.errors import Corrupt
from domain.kernel.caps import CapUse, credit, requantify
from domain.kernel.method import Cap
from domain.values import Period, year_period

NEW_YEAR = date(2020, 1, 1).toordinal()
LEAP_DAY = date(2020, 2, 29).toordinal()
DAY_10 = Cap("day", "mass", 10)
MONTH_25 = Cap("month", "mass", 25)
YEAR_30 = Cap("year", "mass", 30)
TWO_A_DAY = Cap("day", "count", 2)


def use_of(*rows: tuple[int, int]) -> CapUse:
    use = CapUse()
    for day, mg in rows:
        use.charge(day, mg)
    return use


def test_without_caps_everything_positive_is_credited() -> None:
    assert credit([], [LEAP_DAY] * 4, [5, 0, -3, 10**30], CapUse()) == [5, 0, 0, 10**30]


def test_a_mass_cap_is_consumed_in_log_order_not_in_time_order() -> None:
    days = [LEAP_DAY, LEAP_DAY - 1, LEAP_DAY]
    assert credit([Cap("month", "mass", 10)], days, [7, 7, 7], CapUse()) == [7, 3, 0]


def test_a_late_row_of_an_earlier_day_uses_the_room_of_its_own_day() -> None:
    assert credit([DAY_10], [NEW_YEAR, NEW_YEAR - 1, NEW_YEAR], [8, 8, 8], CapUse()) == [8, 8, 2]


def test_windows_end_with_the_civil_day_month_and_year() -> None:
    days = [NEW_YEAR - 1, NEW_YEAR]
    for window in ("day", "month", "year"):
        assert credit([Cap(window, "mass", 10)], days, [9, 9], CapUse()) == [9, 9]
    assert credit([Cap("month", "mass", 10)], [LEAP_DAY, LEAP_DAY + 1], [9, 9], CapUse()) == [9, 9]
    assert credit([Cap("year", "mass", 10)], [LEAP_DAY, LEAP_DAY + 1], [9, 9], CapUse()) == [9, 1]


def test_every_cap_must_leave_room_and_is_consumed_by_what_was_credited() -> None:
    days = [LEAP_DAY, LEAP_DAY, LEAP_DAY - 1, LEAP_DAY - 2, LEAP_DAY + 1]
    # 10 of the day; nothing left that day; 10; 5 left in the month; 5 left in the year.
    assert credit([DAY_10, MONTH_25, YEAR_30], days, [99] * 5, CapUse()) == [10, 0, 10, 5, 5]


def test_a_count_cap_counts_recorded_credits_also_those_of_zero() -> None:
    assert credit([TWO_A_DAY], [LEAP_DAY] * 4, [0, -1, 5, 5], CapUse()) == [0, 0, 0, 0]
    assert credit([TWO_A_DAY], [LEAP_DAY] * 3, [0, 5, 5], CapUse()) == [0, 5, 0]


def test_what_is_charged_already_takes_room_first() -> None:
    assert credit([DAY_10, TWO_A_DAY], [LEAP_DAY] * 2, [9, 9], use_of((LEAP_DAY, 4))) == [6, 0]


def test_room_is_never_negative_when_an_older_version_credited_more() -> None:
    assert credit([DAY_10], [LEAP_DAY], [5], use_of((LEAP_DAY, 40))) == [0]


def test_crediting_charges_the_use() -> None:
    use = use_of((LEAP_DAY, 4))
    credit([DAY_10], [LEAP_DAY, LEAP_DAY, NEW_YEAR], [9, 9, 3], use)
    assert use.to_list() == [[NEW_YEAR, 3, 1], [LEAP_DAY, 10, 3]]


def test_a_requantification_charges_out_of_scope_and_reversed_credits_first() -> None:
    outside = use_of((LEAP_DAY, 8), (LEAP_DAY - 1, 30))
    days, computed = [LEAP_DAY, LEAP_DAY, LEAP_DAY - 1], [5, None, 5]
    assert requantify([DAY_10, MONTH_25], days, computed, outside) == [0, 0, 0]
    assert requantify([DAY_10], days, computed, outside) == [2, 0, 0]
    assert outside == use_of((LEAP_DAY, 8), (LEAP_DAY - 1, 30))


def test_a_credit_without_a_value_still_uses_a_count() -> None:
    assert requantify([TWO_A_DAY], [LEAP_DAY] * 3, [None, 5, 5], CapUse()) == [0, 5, 0]


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        credit([], [LEAP_DAY], [], CapUse())


def test_an_adjustment_changes_mass_and_no_count() -> None:
    use = use_of((LEAP_DAY, 4))
    use.adjust(LEAP_DAY, -3)
    assert use.total(Period(LEAP_DAY, LEAP_DAY + 1)) == (1, 1)


def test_forgotten_days_are_refused_rather_than_answered_too_low() -> None:
    use = use_of((NEW_YEAR - 1, 4), (LEAP_DAY, 5))
    use.forget(NEW_YEAR)
    use.charge(NEW_YEAR - 1, 7)
    assert use.to_list() == [[LEAP_DAY, 5, 1]]
    assert use.total(year_period(LEAP_DAY)) == (5, 1)
    with pytest.raises(Corrupt, match="cap_use_incomplete"):
        use.total(year_period(NEW_YEAR - 1))
    with pytest.raises(Corrupt, match="cap_use_incomplete"):
        credit([DAY_10], [NEW_YEAR - 1], [1], use)


def test_what_was_forgotten_stays_forgotten() -> None:
    use = use_of((LEAP_DAY, 5))
    use.forget(LEAP_DAY)
    use.forget(NEW_YEAR)
    assert use.since == LEAP_DAY
    assert CapUse.from_list(use.to_list(), use.since) == use
    assert use != CapUse()
    assert use != use.to_list()


def test_a_copy_changes_on_its_own() -> None:
    use = use_of((LEAP_DAY, 5))
    twin = use.copy()
    assert twin == use
    twin.charge(LEAP_DAY, 1)
    assert use.to_list() == [[LEAP_DAY, 5, 1]]
