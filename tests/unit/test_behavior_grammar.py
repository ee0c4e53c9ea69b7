"""The grammar of a behavior row, text by text (DESIGN section 5)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sized
from datetime import UTC, datetime, timedelta

import pytest

from domain import behavior as module
from domain.behavior import COLUMNS, Behavior, Refusal, columns_of, decimal_text, parse_behavior

GOOD = {
    "source_ref": "szt:260012113/2018-09-01T09:36:23+08:00/FHDHHDBDI",
    "account_ref": "FHDHHDBDI",
    "behavior": "travel.metro",
    "occurred_at": "2018-09-01T09:36:23+08:00",
    "quantity": "12.350",
    "unit": "km",
    "region": "CN-440300",
}
REFERENCES = ("source_ref", "account_ref")
NAMES = ("behavior", "unit")


def read(**changes: str) -> Behavior | Refusal:
    return parse_behavior(7, **{**GOOD, **changes})


def accepted(**changes: str) -> Behavior:
    row = read(**changes)
    assert isinstance(row, Behavior), row
    return row


def refused(**changes: str) -> Refusal:
    row = read(**changes)
    assert isinstance(row, Refusal), row
    assert row.code == "malformed"
    assert row.line == 7
    assert row.message
    assert row.remedy
    return row


def instant(text: str) -> int | None:
    return accepted(occurred_at=text).instant_us


def test_a_good_row_is_read_into_exact_numbers() -> None:
    expected = datetime(2018, 9, 1, 1, 36, 23, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert accepted() == Behavior(
        7,
        GOOD["source_ref"],
        GOOD["account_ref"],
        "travel.metro",
        "2018-09-01T09:36:23+08:00",
        expected // timedelta(microseconds=1),
        1235,
        2,
        "km",
        "CN-440300",
    )


def test_a_row_is_read_the_same_the_first_time_and_every_later_time() -> None:
    texts = {**GOOD, "behavior": "never.seen", "quantity": "98.7650", "occurred_at": "1999-12-31T23:59:58.250-03:30"}
    assert parse_behavior(1, **texts) == parse_behavior(1, **texts) == parse_behavior(1, **texts)


@pytest.mark.parametrize(
    ("text", "value", "scale"),
    [
        ("0", 0, 0),
        ("1", 1, 0),
        ("1.0", 1, 0),
        ("1.000", 1, 0),
        ("12.350", 1235, 2),
        ("12.35", 1235, 2),
        ("0.001", 1, 3),
        ("100", 100, 0),
        ("100.0", 100, 0),
        ("007.50", 75, 1),
        ("-1.5", -15, 1),
        ("-0", 0, 0),
        ("-0.000", 0, 0),
        ("-0.5", -5, 1),
        ("9" * 38, 10**38 - 1, 0),
        ("9" * 19 + "." + "9" * 19, 10**38 - 1, 19),
        ("-" + "9" * 38, 1 - 10**38, 0),
        ("0." + "0" * 36 + "1", 1, 37),
        ("0" * 37 + "1", 1, 0),
        ("1." + "0" * 37, 1, 0),
    ],
)
def test_a_quantity_is_an_exact_decimal_without_trailing_zeros(text: str, value: int, scale: int) -> None:
    row = accepted(quantity=text)
    assert (row.quantity, row.scale) == (value, scale)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1e3",
        "1E3",
        "1e-3",
        "+1",
        "--1",
        "-",
        ".5",
        "5.",
        "-.5",
        "1.2.3",
        "1,5",
        "1,000",
        "1_000",
        " 1",
        "1 ",
        "1\n",
        "1\r",
        "1\x00",
        "NaN",
        "nan",
        "inf",
        "-Infinity",
        "0x10",
        "１２",
        "1２",
        "٣",
        "½",
        "−1",
        "1\u00a0",
        "1km",
        "1" * 39,
        "0" * 38 + "1",
        "1." + "0" * 38,
        "1" * 100_000,
    ],
)
def test_any_other_quantity_is_malformed(text: str) -> None:
    assert refused(quantity=text).field == "quantity"
    assert refused(quantity=text).field == "quantity", "also the second time"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("1970-01-01T00:00:00Z", "1970-01-01 00:00:00.000000"),
        ("1970-01-01T08:00:00+08:00", "1970-01-01 00:00:00.000000"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31 23:59:59.999999"),
        ("2018-09-01T09:36:23+08:00", "2018-09-01 01:36:23.000000"),
        ("2018-09-01T09:36:23.5Z", "2018-09-01 09:36:23.500000"),
        ("2018-09-01T09:36:23.000001Z", "2018-09-01 09:36:23.000001"),
        ("2018-09-01T09:36:23.120Z", "2018-09-01 09:36:23.120000"),
        ("2018-09-01T23:30:00-00:30", "2018-09-02 00:00:00.000000"),
        ("2018-09-01T00:00:00+23:59", "2018-08-31 00:01:00.000000"),
        ("2018-09-01T00:00:00-23:59", "2018-09-01 23:59:00.000000"),
        ("2016-02-29T12:00:00Z", "2016-02-29 12:00:00.000000"),
        ("2000-02-29T12:00:00Z", "2000-02-29 12:00:00.000000"),
        ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00.000000"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59.999999"),
        ("1988-07-01T15:30:00Z", "1988-07-01 15:30:00.000000"),
    ],
)
def test_a_time_is_read_to_the_microsecond(text: str, utc: str) -> None:
    moment = datetime.strptime(utc, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert instant(text) == expected
    assert instant(text) == expected, "also the second time"
    assert accepted(occurred_at=text).occurred_at == text


def test_one_moment_written_in_several_ways_is_one_instant() -> None:
    ways = [
        "2026-03-01T00:15:00Z",
        "2026-03-01T00:15:00+00:00",
        "2026-03-01T08:15:00+08:00",
        "2026-03-01T00:15:00.000Z",
    ]
    assert len({instant(text) for text in ways}) == 1


@pytest.mark.parametrize("text", ["2018-09-01T09:36:23", "2018-09-01T09:36:23.5", "0001-01-01T00:00:00"])
def test_a_time_that_lacks_only_its_offset_is_left_to_a_later_check(text: str) -> None:
    assert instant(text) is None
    assert instant(text) is None, "also the second time"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2018-09-01",
        "2018-09-01T09:36",
        "2018-09-01T09:36Z",
        "2018-09-01 09:36:23Z",
        "2018-09-01t09:36:23Z",
        "2018-09-01T09:36:23z",
        "2018-09-01T09:36:60Z",
        "2016-12-31T23:59:60Z",
        "2018-09-01T24:00:00Z",
        "2018-09-01T25:00:00Z",
        "2018-09-01T09:60:00Z",
        "2018-09-01T09:36:23-00:00",
        "2018-09-01T09:36:23.5-00:00",
        "2018-09-01T09:36:23+24:00",
        "2018-09-01T09:36:23+08:60",
        "2018-09-01T09:36:23+0800",
        "2018-09-01T09:36:23+08",
        "2018-09-01T09:36:23 +08:00",
        "2018-09-01T09:36:23 08:00",
        "2018-09-01T09:36:23+08:00:00",
        "2018-09-01T09:36:23.Z",
        "2018-09-01T09:36:23.1234567Z",
        "2018-09-01T09:36:23,5Z",
        "2018-02-29T12:00:00Z",
        "1900-02-29T12:00:00Z",
        "2018-00-01T12:00:00Z",
        "2018-13-01T12:00:00Z",
        "2018-09-00T12:00:00Z",
        "2018-09-31T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-2018-09-01T09:36:23Z",
        "18-09-01T09:36:23Z",
        "20180901T093623Z",
        "2018-W35-6T09:36:23Z",
        "2018-244T09:36:23Z",
        "２０１８-09-01T09:36:23Z",
        "2018-09-01T0９:36:23Z",
        "2018-09-01T09:36:23.５Z",
        "2018-09-01T09:36:23+0８:00",
        " 2018-09-01T09:36:23Z",
        "2018-09-01T09:36:23Z ",
        "2018-09-01T09:36:23Z\n",
        "2018-09-01T09:36:23\n",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1535765783",
        "Sat, 01 Sep 2018 09:36:23 GMT",
    ],
)
def test_any_other_time_is_malformed(text: str) -> None:
    assert refused(occurred_at=text).field == "occurred_at"
    assert refused(occurred_at=text).field == "occurred_at", "also the second time"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("2018-09-01T24:00:00Z", "24:00"),
        ("2018-09-01T09:36:60Z", ":60"),
        ("2018-09-01T09:36:23-00:00", "-00:00"),
        ("2018-09-01T09:36:23.1234567Z", "6 fractional digits"),
        ("2018-02-30T09:36:23Z", "no such day"),
        ("2018-09-01T09:36:23z", "capitals"),
        ("0001-01-01T00:00:00+00:01", "0001 to 9999"),
        ("", "empty"),
        ("yesterday", "not an RFC 3339 time such as 2026-03-02T10:00:00+08:00"),
        ("2018/09/01 09:36:23z", "not an RFC 3339 time"),
        ("2018-09-01T9:36:23Z", "YYYY-MM-DDTHH:MM:SS"),
    ],
)
def test_a_malformed_time_is_told_what_is_wrong_with_it(text: str, hint: str) -> None:
    assert hint in refused(occurred_at=text).message


@pytest.mark.parametrize("column", REFERENCES)
@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a b",
        "=1+1",
        "用户-001",
        "a" * 256,
        "e\u0301",
        "a\u200db",
        "a\u3000b",
        "\U0001f6b2",
        "\ue000",
        'a"b',
        "a,b",
    ],
)
def test_a_reference_may_hold_any_visible_text(column: str, text: str) -> None:
    assert getattr(accepted(**{column: text}), column) == text


@pytest.mark.parametrize("column", REFERENCES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " a",
        "a ",
        "\ta",
        "a\n",
        "a\nb",
        "a\rb",
        "a\x00b",
        "a\x7fb",
        "a\x85b",
        "a\x9fb",
        "\u3000a",
        "a\u00a0",
        "a\u2028b",
        "a\u2029b",
        "a\ud800b",
        "a" * 257,
        "车" * 257,
    ],
)
def test_a_reference_is_never_empty_padded_or_unprintable(column: str, text: str) -> None:
    assert refused(**{column: text}).field == column


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("text", [" Zhang-San-13800138000 ", "Zhang-San-13800138000\x00", "Zhang-San-13800138000" * 20])
def test_a_refusal_never_repeats_what_was_submitted(column: str, text: str) -> None:
    row = read(**{column: text})
    if isinstance(row, Refusal):
        assert "13800138000" not in " ".join(map(str, row))
    else:
        assert column in NAMES


@pytest.mark.parametrize("column", NAMES)
@pytest.mark.parametrize("text", ["x", "living.power_saving", "km", "y" * 64, "次", "two words"])
def test_a_behavior_or_unit_may_be_any_short_text(column: str, text: str) -> None:
    assert getattr(accepted(**{column: text}), column) == text
    assert getattr(accepted(**{column: text}), column) == text


@pytest.mark.parametrize("column", NAMES)
@pytest.mark.parametrize("text", ["", "z" * 65, "k\nm", "km\x00", "\x1b[31m", "\ud800"])
def test_a_behavior_or_unit_is_never_empty_long_or_unprintable(column: str, text: str) -> None:
    assert refused(**{column: text}).field == column


@pytest.mark.parametrize("text", ["", "CN", "CN-44", "CN-440300", "US-MA", "a", "1-2-3", "A" * 32])
def test_a_region_is_empty_or_a_code(text: str) -> None:
    assert accepted(region=text).region == text
    assert accepted(region=text).region == text


@pytest.mark.parametrize(
    "text", ["-", "CN-", "-CN", "CN--44", "CN 44", " CN", "CN\n", "CN_44", "*", "深圳", "ＣＮ", "A" * 33, "CN-44\x00"]
)
def test_any_other_region_is_malformed(text: str) -> None:
    assert refused(region=text).field == "region"


def test_the_first_offending_column_is_reported_in_column_order() -> None:
    for first in range(len(COLUMNS)):
        wrong = dict.fromkeys(COLUMNS[first:], "\x00")
        assert refused(**wrong).field == COLUMNS[first]


def test_a_long_text_of_any_kind_is_refused_and_not_repeated() -> None:
    for column in COLUMNS:
        refusal = refused(**{column: "7" * 1_000_000})
        assert refusal.field == column
        assert len(refusal.message) < 200


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0, 0, "0"),
        (5, 0, "5"),
        (-5, 1, "-0.5"),
        (1235, 2, "12.35"),
        (1, 37, "0." + "0" * 36 + "1"),
        (-1235, 3, "-1.235"),
    ],
)
def test_a_decimal_is_written_in_plain_digits(value: int, scale: int, text: str) -> None:
    assert decimal_text(value, scale) == text
    row = accepted(quantity=text)
    assert (row.quantity, row.scale) == (value, scale)


def test_the_columns_of_a_row_read_back_as_the_same_row() -> None:
    row = accepted(quantity="0012.500", occurred_at="2018-09-01T09:36:23.250+08:00", region="")
    assert parse_behavior(7, *columns_of(row)) == row


def test_the_remembered_texts_stay_bounded_and_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Sized] = [
        module._numbers,
        module._shifts,
        module._names,
        module._regions,
        module._dates,
        module._minutes,
        module._seconds,
    ]
    limit = max(map(len, tables)) + 100
    monkeypatch.setattr(module, "_LIMIT", limit)
    for number in range(2 * limit + 10):
        moment = f"2018-09-01T09:36:23.{number % 1000:03d}+{number // 1000 % 24:02d}:{number // 24_000:02d}"
        row = accepted(quantity=f"{number}.5", occurred_at=moment, unit=f"u{number}")
        assert (row.quantity, row.scale) == (number * 10 + 5, 1)
        assert max(map(len, tables)) <= limit
    assert accepted().quantity == 1235
    assert accepted(region="").region == ""


def test_the_unsafe_characters_are_all_controls_surrogates_and_line_separators() -> None:
    characters = list(map(chr, range(0x110000)))
    unsafe = {text for text in characters if unicodedata.category(text) in ("Cc", "Cs", "Zl", "Zp")}
    assert set(module._UNSAFE.findall("".join(characters))) == unsafe
    assert not any(text.isprintable() for text in unsafe), "or the quick check would let it pass"
