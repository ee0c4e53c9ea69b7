"""Days, instants, regions, stream names, errors: small things that everything else rests on."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Corrupt, LedgerError, Rejected, Unavailable
from domain.instants import instant_of, instant_text
from domain.streams import BOOK, stream_id
from domain.values import (
    AFTER_LAST_DAY,
    FIRST_DAY,
    Period,
    civil_day,
    day_number,
    day_text,
    month_period,
    region_chain,
    year_period,
)


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_its_text_to_the_microsecond(moment: datetime) -> None:
    instant = instant_of(moment.isoformat())
    assert instant_of(instant_text(instant)) == instant
    assert instant_text(instant).endswith("Z")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T08:00:00+08:00", 0),
        ("1970-01-01T00:00:00.000001+00:00", 1),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1988-07-01T15:30:00Z", 583_774_200_000_000),
    ],
)
def test_an_instant_counts_microseconds_from_the_epoch(text: str, instant: int) -> None:
    assert instant_of(text) == instant


def test_an_instant_without_an_offset_is_no_instant() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        instant_of("2026-01-01T00:00:00")


def test_the_text_of_an_instant_has_a_fraction_only_where_there_is_one() -> None:
    assert instant_text(0) == "1970-01-01T00:00:00Z"
    assert instant_text(1) == "1970-01-01T00:00:00.000001Z"


@given(st.dates())
def test_a_civil_day_survives_its_text(day: date) -> None:
    assert day_text(day_number(day.isoformat())) == day.isoformat()


@pytest.mark.parametrize("text", ["", "2026-1-01", "2026-02-29", "20260101", "2026-W10-1", "2026-001", "２026-01-01"])
def test_only_a_day_of_the_calendar_is_a_day(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        day_number(text)


def test_the_civil_day_is_taken_at_a_fixed_offset_also_where_summer_time_once_was() -> None:
    # Shanghai had summer time in 1988; at +08:00 this instant still belongs to the first of July.
    instant = instant_of("1988-07-01T15:30:00Z")
    assert day_text(civil_day(instant, 480)) == "1988-07-01"
    assert day_text(civil_day(instant, 540)) == "1988-07-02"
    assert day_text(civil_day(-1, 0)) == "1969-12-31"
    assert day_text(civil_day(0, -1)) == "1969-12-31"


def test_months_and_years_are_half_open_and_end_with_the_calendar() -> None:
    assert month_period(day_number("2024-02-29")) == Period(day_number("2024-02-01"), day_number("2024-03-01"))
    assert month_period(day_number("2025-12-31")) == Period(day_number("2025-12-01"), day_number("2026-01-01"))
    assert year_period(day_number("2024-02-29")) == Period(day_number("2024-01-01"), day_number("2025-01-01"))
    assert month_period(AFTER_LAST_DAY - 1) == Period(day_number("9999-12-01"), AFTER_LAST_DAY)
    assert year_period(AFTER_LAST_DAY - 1).end == AFTER_LAST_DAY
    assert year_period(FIRST_DAY).start == FIRST_DAY


@pytest.mark.parametrize(
    ("region", "chain"),
    [
        ("", ("*",)),
        ("*", ("*",)),
        ("CN", ("CN", "*")),
        ("CN-44", ("CN-44", "CN", "*")),
        ("CN-440300", ("CN-440300", "CN-44", "CN", "*")),
        ("CN-4403", ("CN-4403", "CN", "*")),
        ("US-CA-LA", ("US-CA-LA", "US", "*")),
        ("US-440300", ("US-440300", "US", "*")),
    ],
)
def test_regions_lead_from_the_place_to_everywhere(region: str, chain: tuple[str, ...]) -> None:
    assert region_chain(region) == chain


def test_named_streams_have_one_id_for_ever() -> None:
    # Stored in every log: it must never change.
    assert str(BOOK) == str(stream_id("book", "book")) == "6a526dc6-8157-5dcc-8501-7a815e0fe03b"
    assert str(stream_id("methodology", "TRAVEL-METRO@1")) == "36118479-1e51-595e-ab09-8119db9b20a4"
    assert stream_id("decision", "D1") != stream_id("revision", "D1")


@pytest.mark.parametrize(("kind", "exit_code"), [(Rejected, 1), (Corrupt, 3), (Unavailable, 4)])
def test_an_error_says_what_where_and_what_to_do(kind: type[LedgerError], exit_code: int) -> None:
    error = kind("some_code", "it is broken", field="quantity", remedy="mend it")
    assert str(error) == "some_code [quantity]: it is broken (mend it)"
    assert str(kind("some_code", "it is broken")) == "some_code: it is broken"
    assert error.exit_code == exit_code


def test_an_error_crosses_to_another_process_unchanged() -> None:
    error = pickle.loads(pickle.dumps(Rejected("c", "m", field="f", remedy="r")))
    assert type(error) is Rejected
    assert (error.code, error.message, error.field, error.remedy) == ("c", "m", "f", "r")
