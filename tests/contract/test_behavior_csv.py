"""Behaviors in CSV, clean and dirty (DESIGN sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from application.ports.behavior_source import ParsedRow
from domain.behavior import COLUMNS, parse_behavior
from infrastructure.behavior_files import content as content_module
from infrastructure.behavior_files import open_behavior_file
from tests.contract.behavior_file_tools import (
    GOOD,
    HEADER,
    LINE,
    NOTHING,
    behaviors,
    good,
    line_of,
    places,
    read,
    refs,
    refusals,
)

ReadCsv = Callable[[str | bytes], list[ParsedRow]]


@pytest.fixture(params=[1 << 17, 64], ids=["usual blocks", "tiny blocks"])
def csv_rows(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadCsv:
    """Reads CSV text or bytes; every case runs with blocks that hold the whole file and with blocks that cut rows."""
    monkeypatch.setattr(content_module, "BLOCK_BYTES", request.param)

    def rows(text: str | bytes) -> list[ParsedRow]:
        path = tmp_path / "behaviors.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read(open_behavior_file(path))

    return rows


def test_a_clean_file_is_read_row_by_row(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f"{HEADER}\n{line_of(1)}\n{line_of(2)}\n")
    assert rows == [parse_behavior(2, *good(1)), parse_behavior(3, *good(2))]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_byte_order_marks_change_nothing(csv_rows: ReadCsv, end: str, mark: str, last: bool) -> None:
    text = mark + end.join([HEADER, line_of(1), line_of(2, region=""), line_of(3, region='""')]) + (end if last else "")
    rows = csv_rows(text)
    assert rows == [
        parse_behavior(2, *good(1)),
        parse_behavior(3, *good(2, region="")),
        parse_behavior(4, *good(3, region="")),
    ]


def test_columns_may_come_in_any_order_with_further_columns_between(csv_rows: ReadCsv) -> None:
    names = ["note", *reversed(COLUMNS), "source"]
    rows = csv_rows(",".join(names) + "\n" + ",".join(["a", *reversed(GOOD), "b"]) + "\n")
    assert rows == [parse_behavior(2, *GOOD)]


def test_quoted_columns_hold_commas_quotes_and_line_ends(csv_rows: ReadCsv) -> None:
    text = (
        f"{HEADER},note\r\n"
        f'{line_of(1)},"a, b"\r\n'
        f'{line_of(2)},"first\r\nsecond ""quoted""\n\nlast"\r\n'
        f'"ride ""3""",{",".join(GOOD[1:])},\r\n'
        f'{line_of(4)},""\r\n'
    )
    rows = csv_rows(text)
    assert [(row.line, row.source_ref) for row in behaviors(rows)] == [
        (2, "ride-1"),
        (3, "ride-2"),
        (7, 'ride "3"'),
        (8, "ride-4"),
    ]
    assert len(rows) == 4


def test_a_line_end_inside_a_reference_is_one_malformed_row(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f'{HEADER}\n"ride\n1",{",".join(GOOD[1:])}\n{line_of(2)}\n')
    assert places(rows) == [(2, "malformed", "source_ref")]
    assert refusals(rows)[0].columns == ("ride\n1", *GOOD[1:])
    assert [(row.line, row.source_ref) for row in behaviors(rows)] == [(4, "ride-2")]


def test_a_record_of_several_lines_that_is_no_utf8_is_one_malformed_row(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f'{HEADER},note\n{LINE},"first\nsecond ?"\n{line_of(2)},\n'.encode().replace(b"?", b"\xff"))
    assert places(rows) == [(2, "malformed", "")]
    assert refusals(rows)[0].raw.endswith('"first\nsecond \\xff"')
    assert [(row.line, row.source_ref) for row in behaviors(rows)] == [(4, "ride-2")]


def test_a_header_may_have_several_lines_too(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f'{HEADER},"a note\nof any kind\n{"x" * 200}"\n{line_of(1)},\n')
    assert [(row.line, row.source_ref) for row in behaviors(rows)] == [(4, "ride-1")]
    assert len(rows) == 1


def test_blank_lines_are_no_rows_but_count_as_lines(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f"{HEADER}\n\n{line_of(1)}\r\n\r\n\n{line_of(2)}\n\n")
    assert [(row.line, row.source_ref) for row in behaviors(rows)] == [(3, "ride-1"), (6, "ride-2")]
    assert not refusals(rows)


@pytest.mark.parametrize(
    "cut", ["ride-9", "ride-9,acc", "ride-9,account-1,travel.metro,2018-09", 'ride-9,"acc', '"', " "]
)
def test_a_truncated_last_line_is_refused_and_the_rows_before_it_are_kept(csv_rows: ReadCsv, cut: str) -> None:
    rows = csv_rows(f"{HEADER}\n{line_of(1)}\n{line_of(2)}\n{cut}")
    assert refs(rows) == ["ride-1", "ride-2"]
    assert places(rows) == [(4, "malformed", "")]
    assert refusals(rows)[0].raw == cut
    assert refusals(rows)[0].columns == NOTHING


@pytest.mark.parametrize("wrong", ["a,b", LINE + ",", LINE + ",x", LINE.replace("12.350", "12,350"), "-", '""'])
def test_a_row_with_a_wrong_number_of_columns_is_refused_alone(csv_rows: ReadCsv, wrong: str) -> None:
    rows = csv_rows(f"{HEADER}\n{line_of(1)}\n{wrong}\n{line_of(2)}\n")
    assert refs(rows) == ["ride-1", "ride-2"]
    assert places(rows) == [(3, "malformed", "")]
    assert refusals(rows)[0].raw == wrong


def test_invalid_utf8_spoils_only_its_own_row(csv_rows: ReadCsv) -> None:
    bad = LINE.encode().replace(b"account-1", "深圳".encode("gbk"))
    rows = csv_rows(b"\n".join([HEADER.encode(), line_of(1).encode(), bad, line_of(2).encode(), b""]))
    assert refs(rows) == ["ride-1", "ride-2"]
    assert places(rows) == [(3, "malformed", "")]
    row = refusals(rows)[0]
    assert row.columns == NOTHING, "escapes must never be imported as if they were the text"
    assert "\\x" in row.raw
    assert "GBK" in row.refusal.remedy


def test_a_nul_or_control_character_spoils_only_its_own_row(csv_rows: ReadCsv) -> None:
    lines = [HEADER, line_of(1), line_of(2, account_ref="a\x00b"), line_of(3, unit="k\x1bm"), line_of(4)]
    rows = csv_rows("\n".join(lines) + "\n")
    assert refs(rows) == ["ride-1", "ride-4"]
    assert places(rows) == [(3, "malformed", "account_ref"), (4, "malformed", "unit")]


def test_a_carriage_return_inside_a_row_is_malformed(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f"{HEADER}\n{line_of(1)}\nride\r-2,{','.join(GOOD[1:])}\n{line_of(3)}\n")
    assert refs(rows) == ["ride-1", "ride-3"]
    assert places(rows) == [(3, "malformed", "")]


def test_a_line_without_end_is_refused_alone_and_in_bounded_memory(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f"{HEADER}\n{line_of(1)}\n{'x' * 300_000}\n{line_of(2)}\n{line_of(3, account_ref='y' * 70_000)}\n")
    assert refs(rows) == ["ride-1", "ride-2"]
    assert places(rows) == [(3, "malformed", ""), (5, "malformed", "")]
    assert all(len(row.raw) <= 4_096 for row in refusals(rows))
    assert "longer than 65536 bytes" in refusals(rows)[0].refusal.message


def test_a_long_further_column_within_the_bound_is_fine(csv_rows: ReadCsv) -> None:
    rows = csv_rows(f'{HEADER},note\n{line_of(1)},{"x" * 60_000}\n{line_of(2)},"{"车" * 20_000}"\n')
    assert refs(rows) == ["ride-1", "ride-2"]


def test_a_stray_quote_costs_one_row_and_not_the_rest_of_the_file(csv_rows: ReadCsv) -> None:
    lines = [line_of(number) for number in range(3_000)]
    lines[5] = 'ride-5,"account-1,travel.metro,2018-09-01T09:36:23+08:00,12.350,km,CN-440300'
    rows = csv_rows("\n".join([HEADER, *lines]) + "\n")
    assert refs(rows) == [f"ride-{number}" for number in range(3_000) if number != 5]
    assert places(rows) == [(7, "malformed", "")]
    assert refusals(rows)[0].raw == lines[5]


@pytest.mark.parametrize(
    "wrong",
    [
        '"ride"-5,a,b,c,d,e,f',
        'ri"de-5,account-1,travel.metro,2018-09-01T09:36:23+08:00,12.350,km,CN-440300',
        '"ride-5" ,account-1,travel.metro,2018-09-01T09:36:23+08:00,12.350,km,CN-440300',
        'ride-5,account-1,travel.metro,2018-09-01T09:36:23+08:00,12.350,km,"CN-440300',
        'ride-5,account-1,travel.metro,2018-09-01T09:36:23+08:00,12.350,km,CN-440300"',
        '"""',
        'a","x',
    ],
)
def test_misplaced_quotes_cost_their_own_row(csv_rows: ReadCsv, wrong: str) -> None:
    rows = csv_rows("\n".join([HEADER, line_of(1), wrong, line_of(2), line_of(3), ""]))
    assert refs(rows) == ["ride-1", "ride-2", "ride-3"]
    assert places(rows) == [(3, "malformed", "")]


def test_two_stray_quotes_do_not_swallow_the_rows_between_them(csv_rows: ReadCsv) -> None:
    rows = csv_rows("\n".join([HEADER, line_of(1), 'x,"', line_of(2), '",y', line_of(3), ""]))
    assert refs(rows) == ["ride-1", "ride-2", "ride-3"]
    assert places(rows) == [(3, "malformed", ""), (5, "malformed", "")]


def test_quotes_inside_an_unquoted_column_are_plain_text(csv_rows: ReadCsv) -> None:
    rows = csv_rows(
        "\n".join([HEADER, line_of(1, account_ref='a""'), line_of(2, account_ref='"a"""'), 'a","x', 'y",b"z'])
    )
    assert [row.account_ref for row in behaviors(rows)] == ['a""', 'a"']
    assert places(rows) == [(4, "malformed", ""), (5, "malformed", "")]


def test_a_stray_quote_among_quoted_rows_is_found_by_the_bound(csv_rows: ReadCsv) -> None:
    lines = [line_of(number) + ',""' for number in range(3_000)]
    lines[5] = line_of(5) + ',"'
    rows = csv_rows("\n".join([HEADER + ",note", *lines]) + "\n")
    assert refs(rows) == [f"ride-{number}" for number in range(3_000) if number != 5]
    assert places(rows) == [(7, "malformed", "")]


def test_many_stray_quotes_cost_time_in_proportion(csv_rows: ReadCsv) -> None:
    lines = ['a","x' if number % 2 else '","' for number in range(20_000)]
    rows = csv_rows("\n".join([HEADER, *lines, line_of(1)]) + "\n")
    assert refs(rows) == ["ride-1"]
    assert len(rows) == 20_001


def test_where_blocks_end_never_changes_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    lines = [
        f"\ufeff{HEADER},note",
        line_of(1) + ",",
        line_of(2) + ',""',
        line_of(3) + ',"two\nlines, and ""more"""',
        "",
        line_of(4) + ',"open',
        line_of(5) + ",\ufffd车",
        line_of(6) + ',"",',
        line_of(7) + ',x"y',
        line_of(8) + ",\r",
        line_of(9) + ",a,b",
        line_of(10) + ',"end"',
    ]
    data = "\n".join(lines).encode().replace("\ufffd".encode(), b"\xff") + b"\r\n" + line_of(11).encode()
    path.write_bytes(data)
    expected = read(open_behavior_file(path))
    assert len(behaviors(expected)) > 4
    assert len(refusals(expected)) > 4
    for size in [*range(1, 80), len(data) - 1, len(data), len(data) + 1]:
        monkeypatch.setattr(content_module, "BLOCK_BYTES", size)
        assert read(open_behavior_file(path)) == expected, size
