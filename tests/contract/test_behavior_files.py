"""Every format of behavior file, clean and dirty, and the rejects file (DESIGN sections 5 and 6)."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import stat
import sys
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from application.ports.behavior_source import BehaviorSource, ParsedRow, RefusedRow, refuse
from domain.behavior import COLUMNS, Behavior, parse_behavior
from domain.errors import LedgerError, Rejected, Unavailable
from infrastructure.behavior_files import content as content_module
from infrastructure.behavior_files import open_behavior_file
from infrastructure.rejects_file import REJECT_COLUMNS, RejectsFile
from tests.fixtures.real_data import REAL_DATA, needs_real_data

HEADER = ",".join(COLUMNS)
GOOD = ("ride-1", "account-1", "travel.metro", "2018-09-01T09:36:23+08:00", "12.350", "km", "CN-440300")
LINE = ",".join(GOOD)
NOTHING = ("",) * 7

ReadCsv = Callable[[str | bytes], list[ParsedRow]]


def good(number: int, **changes: str) -> tuple[str, ...]:
    row = dict(zip(COLUMNS, GOOD, strict=True)) | {"source_ref": f"ride-{number}"} | changes
    return tuple(row[column] for column in COLUMNS)


def line_of(number: int, **changes: str) -> str:
    return ",".join(good(number, **changes))


def read(source: BehaviorSource, batch_rows: int = 1000) -> list[ParsedRow]:
    return [row for batch in source.rows(batch_rows) for row in batch]


def behaviors(rows: list[ParsedRow]) -> list[Behavior]:
    return [row for row in rows if isinstance(row, Behavior)]


def refusals(rows: list[ParsedRow]) -> list[RefusedRow]:
    return [row for row in rows if isinstance(row, RefusedRow)]


def refs(rows: list[ParsedRow]) -> list[str]:
    return [row.source_ref for row in behaviors(rows)]


def places(rows: list[ParsedRow]) -> list[tuple[int, str, str]]:
    return [(row.refusal.line, row.refusal.code, row.refusal.field) for row in refusals(rows)]


@pytest.fixture(params=[1 << 17, 64], ids=["usual blocks", "tiny blocks"])
def csv_rows(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReadCsv:
    """Reads CSV text or bytes; every case runs with blocks that hold the whole file and with blocks that cut rows."""
    monkeypatch.setattr(content_module, "BLOCK_BYTES", request.param)

    def rows(text: str | bytes) -> list[ParsedRow]:
        path = tmp_path / "behaviors.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read(open_behavior_file(path))

    return rows


def jsonl_rows(tmp_path: Path, *lines: str | bytes | dict[str, Any]) -> list[ParsedRow]:
    path = tmp_path / "behaviors.jsonl"
    texts = [json.dumps(line) if isinstance(line, dict) else line for line in lines]
    path.write_bytes(b"\n".join(text.encode() if isinstance(text, str) else text for text in texts) + b"\n")
    return read(open_behavior_file(path))


def object_of(number: int, **changes: Any) -> dict[str, Any]:
    return dict(zip(COLUMNS, good(number), strict=True)) | changes


def parquet_file(path: Path, rows: list[tuple[str, ...]], *, row_group: int = 10_000, **replaced: Any) -> Path:
    columns: dict[str, Any] = {name: pa.array([row[at] for row in rows]) for at, name in enumerate(COLUMNS)}
    pq.write_table(pa.table(columns | replaced), path, row_group_size=row_group)
    return path


def error_of(act: Callable[[], object]) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        act()
    assert caught.value.message
    assert caught.value.remedy
    return caught.value


# --- opening ---------------------------------------------------------------------------------------------------------


def test_the_digest_is_the_sm3_of_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n{LINE}\n")
    source = open_behavior_file(path)
    assert source.digest == hashlib.new("sm3", path.read_bytes()).hexdigest()
    assert source.size_bytes == path.stat().st_size
    assert source.format == "csv"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", f"{HEADER}\n{LINE}\n", "csv"),
        ("a.CSV", f"{HEADER}\n{LINE}\n", "csv"),
        ("a.txt", f"{HEADER}\n{LINE}\n", "csv"),
        ("a", f"\ufeff{HEADER}\n{LINE}\n", "csv"),
        ("a.jsonl", json.dumps(object_of(1)), "jsonl"),
        ("a.ndjson", json.dumps(object_of(1)), "jsonl"),
        ("a.dat", "\n" + json.dumps(object_of(1)), "jsonl"),
    ],
)
def test_the_format_is_found_by_name_or_content(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    source = open_behavior_file(path)
    assert source.format == expected
    assert len(read(source)) == 1


def test_a_parquet_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "export.csv", [GOOD])
    assert open_behavior_file(path).format == "parquet"


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "a.csv", "file_empty"),
        (b"PK\x03\x04....", "a.csv", "unknown_format"),
        (b"\x1f\x8b....", "a.csv.gz", "unknown_format"),
        (f"{HEADER}\n{LINE}\n".encode("utf-16"), "a.csv", "unknown_format"),
        (b"hello\n", "a.txt", "unknown_format"),
        (b"[{}]", "a.json", "unknown_format"),
        (f"{HEADER}\n".encode(), "a.csv", "no_rows"),
        (HEADER.encode(), "a.csv", "no_rows"),
        (f"{HEADER}\r\n\r\n\n".encode(), "a.csv", "no_rows"),
        (b"\n \n", "a.jsonl", "no_rows"),
        (b"not parquet", "a.parquet", "file_damaged"),
        (b"PAR1....PAR1", "a.parquet", "file_damaged"),
        (b'"' + HEADER.encode() + b"\n" + LINE.encode() + b"\n", "a.csv", "header_malformed"),
        (b"\xff" + HEADER.encode() + b",\xff\n" + LINE.encode() + b"\n", "a.csv", "header_malformed"),
        (b"x" * 200_000, "a.csv", "header_malformed"),
        (LINE.encode() + b"\n" + LINE.encode() + b"\n", "a.csv", "missing_column"),
        (LINE.encode() + b"\n", "A.CSV", "missing_column"),
        (b"\n" + HEADER.encode() + b"\n" + LINE.encode(), "a.csv", "missing_column"),
        (HEADER.replace(",", ";").encode() + b"\n" + LINE.encode(), "a.csv", "missing_column"),
        (HEADER.replace(",", "\t").encode() + b"\n" + LINE.encode(), "a.csv", "missing_column"),
    ],
)
def test_a_file_that_holds_no_behaviors_is_refused_with_a_code(
    tmp_path: Path, data: bytes, name: str, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    error = error_of(lambda: open_behavior_file(path))
    assert isinstance(error, Rejected)
    assert error.code == code


def test_a_missing_file_a_folder_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    assert error_of(lambda: open_behavior_file(tmp_path / "no.csv")).code == "file_not_found"
    assert error_of(lambda: open_behavior_file(tmp_path)).code == "not_a_file"
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    assert error_of(lambda: open_behavior_file(pipe)).code == "not_a_file"


def test_an_unreadable_file_is_a_matter_of_the_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n{LINE}\n")

    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    # Not by chmod: root may read everything.
    monkeypatch.setattr(Path, "open", denied)
    error = error_of(lambda: open_behavior_file(path))
    assert isinstance(error, Unavailable)
    assert error.code == "file_unreadable"


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_or_repeated_column_is_named(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER.replace(column, 'other')}\n{LINE}\n")
    missing = error_of(lambda: open_behavior_file(path))
    assert (missing.code, missing.field) == ("missing_column", column)
    path.write_text(f"{HEADER},{column}\n{LINE},x\n")
    repeated = error_of(lambda: open_behavior_file(path))
    assert (repeated.code, repeated.field) == ("duplicate_column", column)
    table = {name: pa.array(["x"]) for name in COLUMNS if name != column}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    missing = error_of(lambda: open_behavior_file(tmp_path / "a.parquet"))
    assert (missing.code, missing.field) == ("missing_column", column)
    twice = pa.table([pa.array(["x"])] * 8, names=[*COLUMNS, column])
    pq.write_table(twice, tmp_path / "a.parquet")
    repeated = error_of(lambda: open_behavior_file(tmp_path / "a.parquet"))
    assert (repeated.code, repeated.field) == ("duplicate_column", column)


def some_file(tmp_path: Path, suffix: str, rows: int = 20_000) -> Path:
    path = tmp_path / f"many.{suffix}"
    if suffix == "parquet":
        return parquet_file(path, [good(number) for number in range(rows)], row_group=1_000)
    with path.open("w", encoding="utf-8") as file:
        if suffix == "csv":
            file.write(HEADER + "\n")
        for number in range(rows):
            file.write((line_of(number) if suffix == "csv" else json.dumps(object_of(number))) + "\n")
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_that_changes_after_its_digest_was_taken_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = some_file(tmp_path, suffix)
    source = open_behavior_file(path)
    status = path.stat()

    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert error_of(lambda: read(source)).code == "file_changed"
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(read(source)) == 20_000

    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)
    assert error_of(lambda: read(source)).code == "file_changed"
    path.unlink()
    assert error_of(lambda: read(source)).code == "file_changed"


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1_000, os.SEEK_END)
        file.write(b"0")


def cut_short(path: Path) -> None:
    os.truncate(path, 2 * content_module.BLOCK_BYTES)


@pytest.mark.parametrize("change", [append, overwrite, cut_short])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_that_changes_while_it_is_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, change: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(content_module, "BLOCK_BYTES", 16_384)
    path = some_file(tmp_path, suffix)
    batches = open_behavior_file(path).rows(100)
    for _ in range(3):
        next(batches)
    change(path)
    assert error_of(lambda: list(batches)).code == "file_changed"


def test_a_file_that_is_cut_short_just_where_reading_has_come_to_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_module, "BLOCK_BYTES", 16_384)
    source = open_behavior_file(some_file(tmp_path, "csv"))
    batches = source.rows(10)
    next(batches)
    os.truncate(tmp_path / "many.csv", source.bytes_read)
    assert error_of(lambda: list(batches)).code == "file_changed"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_that_was_rewritten_is_changed_and_not_damaged(tmp_path: Path, suffix: str) -> None:
    source = open_behavior_file(some_file(tmp_path, suffix, rows=10))
    (tmp_path / f"many.{suffix}").write_bytes(b"something else")
    assert error_of(lambda: read(source)).code == "file_changed"


def test_a_parquet_file_that_lost_all_its_rows_is_changed_and_not_simply_empty(tmp_path: Path) -> None:
    source = open_behavior_file(some_file(tmp_path, "parquet", rows=10))
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in COLUMNS}), tmp_path / "many.parquet")
    assert error_of(lambda: read(source)).code == "file_changed"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_progress_goes_from_nothing_to_the_whole_file_in_every_pass(tmp_path: Path, suffix: str) -> None:
    source = open_behavior_file(some_file(tmp_path, suffix))
    assert source.bytes_read == 0
    for _ in range(2):
        seen = []
        for batch in source.rows(500):
            assert len(batch) == 500
            seen.append(source.bytes_read)
        assert seen == sorted(seen)
        assert 0 < seen[0] < seen[-1]
        assert len(set(seen)) > 2
        assert source.bytes_read == source.size_bytes


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_batches_have_the_asked_size_and_none_is_empty(tmp_path: Path, suffix: str) -> None:
    source = open_behavior_file(some_file(tmp_path, suffix, rows=101))
    assert [len(batch) for batch in source.rows(25)] == [25, 25, 25, 25, 1]
    assert [len(batch) for batch in source.rows(101)] == [101]
    assert [len(batch) for batch in source.rows(1)] == [1] * 101
    with pytest.raises(ValueError, match="at least one row"):
        list(source.rows(0))
    first = 2 if suffix == "csv" else 1
    assert [row.line for row in behaviors(read(source))] == list(range(first, first + 101))


# --- CSV -------------------------------------------------------------------------------------------------------------


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


# --- JSON Lines ------------------------------------------------------------------------------------------------------


def test_json_lines_are_read_object_by_object(tmp_path: Path) -> None:
    rows = jsonl_rows(tmp_path, object_of(1, note={"ignored": [1, 2.5, None]}), "", object_of(2, region=""), "  ")
    assert rows == [parse_behavior(1, *good(1)), parse_behavior(3, *good(2, region=""))]


def test_a_byte_order_mark_and_crlf_are_no_part_of_json_lines(tmp_path: Path) -> None:
    rows = jsonl_rows(tmp_path, "\ufeff" + json.dumps(object_of(1)) + "\r", json.dumps(object_of(2)) + "\r")
    assert refs(rows) == ["ride-1", "ride-2"]


@pytest.mark.parametrize("number", [12.35, 12, 1e3, 10**400])
def test_a_json_number_is_refused_because_its_precision_is_not_kept(tmp_path: Path, number: Any) -> None:
    rows = jsonl_rows(tmp_path, object_of(1), json.dumps(object_of(2)).replace('"12.350"', str(number)), object_of(3))
    assert refs(rows) == ["ride-1", "ride-3"]
    assert places(rows) == [(2, "malformed", "quantity")]
    assert "precision" in refusals(rows)[0].refusal.message
    assert refusals(rows)[0].raw.startswith('{"source_ref": "ride-2"')


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_key_is_named(tmp_path: Path, column: str) -> None:
    lacking = {key: value for key, value in object_of(2).items() if key != column}
    rows = jsonl_rows(tmp_path, object_of(1), lacking, object_of(3))
    assert refs(rows) == ["ride-1", "ride-3"]
    assert places(rows) == [(2, "malformed", column)]
    assert column in refusals(rows)[0].refusal.message


@pytest.mark.parametrize("column", COLUMNS)
def test_a_null_is_refused_except_as_a_region(tmp_path: Path, column: str) -> None:
    rows = jsonl_rows(tmp_path, object_of(1, **{column: None}))
    if column == "region":
        assert rows == [parse_behavior(1, *good(1, region=""))]
    else:
        assert places(rows) == [(1, "malformed", column)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ('{"quantity": "1", ' + json.dumps(object_of(2))[1:], "quantity"),
        ('{"note": "1", "note": "2", ' + json.dumps(object_of(2))[1:], ""),
        ("{", ""),
        ("not json", ""),
        ("[]", ""),
        ('"text"', ""),
        ("12", ""),
        ("null", ""),
        (json.dumps(object_of(2)) + json.dumps(object_of(3)), ""),
        (json.dumps(object_of(2)) + ",", ""),
        (json.dumps(object_of(2))[:-20], ""),
        (json.dumps(object_of(2, note=0)).replace(": 0}", ": NaN}"), ""),
        (json.dumps(object_of(2)).replace("ride", "ri\tde"), ""),
        (json.dumps(object_of(2, unit=["km"])), "unit"),
        (json.dumps(object_of(2, unit={"a": "km"})), "unit"),
        (json.dumps(object_of(2, unit=True)), "unit"),
        (json.dumps(object_of(2, source_ref="a\x00b")), "source_ref"),
        (json.dumps(object_of(2, account_ref="a\ud800b")), "account_ref"),
        (json.dumps(object_of(2, note="x" * 70_000)), ""),
        ("[" * 60_000, ""),
        ('{"a":' * 12_000, ""),
        (json.dumps(object_of(2)).encode().replace(b"ride", b"\xff"), ""),
        (b"\x00" + json.dumps(object_of(2)).encode(), ""),
    ],
)
def test_a_bad_json_line_is_refused_alone(tmp_path: Path, wrong: str | bytes, field: str) -> None:
    rows = jsonl_rows(tmp_path, object_of(1), wrong, object_of(9))
    assert refs(rows) == ["ride-1", "ride-9"]
    assert places(rows) == [(2, "malformed", field)]
    "".join((*refusals(rows)[0].columns, refusals(rows)[0].raw)).encode()


# --- Parquet ---------------------------------------------------------------------------------------------------------


def test_parquet_is_read_across_row_groups_with_row_numbers(tmp_path: Path) -> None:
    rows = [good(number) for number in range(25_000)]
    source = open_behavior_file(
        parquet_file(tmp_path / "a.parquet", rows, row_group=7_001, note=pa.array(range(25_000)))
    )
    assert source.format == "parquet"
    assert read(source) == [parse_behavior(number + 1, *row) for number, row in enumerate(rows)]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_texts_may_be_stored_in_any_text_type(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({name: pa.array([value] * 3).cast(kind) for name, value in zip(COLUMNS, GOOD, strict=True)}), path
    )
    assert read(open_behavior_file(path)) == [parse_behavior(number, *GOOD) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("value", "precision", "scale", "text"),
    [
        ("12.350", 10, 3, "12.350"),
        ("-0.5", 38, 10, "-0.5000000000"),
        ("0.0000000001", 38, 10, "0.0000000001"),
        ("0", 38, 20, "0." + "0" * 20),
        ("9" * 38, 38, 0, "9" * 38),
    ],
)
def test_parquet_decimals_are_read_exactly(tmp_path: Path, value: str, precision: int, scale: int, text: str) -> None:
    stored = pa.array([Decimal(value)], pa.decimal128(precision, scale))
    path = parquet_file(tmp_path / "a.parquet", [GOOD], quantity=stored)
    assert read(open_behavior_file(path)) == [parse_behavior(1, *good(1, quantity=text))]


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("ms", 1_535_765_783_250, "2018-09-01T01:36:23.25Z"),
        ("us", 1_535_765_783_000_001, "2018-09-01T01:36:23.000001Z"),
        ("us", -1, "1969-12-31T23:59:59.999999Z"),
        ("ns", 1_535_765_783_000_001_000, "2018-09-01T01:36:23.000001Z"),
        ("ms", -62_135_596_800_000, "0001-01-01T00:00:00Z"),
    ],
)
def test_parquet_timestamps_with_a_time_zone_are_instants(tmp_path: Path, unit: str, value: int, text: str) -> None:
    moments = pa.array([value], pa.int64()).cast(pa.timestamp(unit, tz="Asia/Shanghai"))
    path = parquet_file(tmp_path / "a.parquet", [GOOD], occurred_at=moments)
    (row,) = read(open_behavior_file(path))
    assert row == parse_behavior(1, *good(1, occurred_at=text))
    assert isinstance(row, Behavior)


def test_parquet_timestamps_that_are_no_instant_are_refused_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    finer = pa.array([1, 1_000], pa.int64()).cast(pa.timestamp("ns", tz="UTC"))
    rows = read(open_behavior_file(parquet_file(path, [good(1), good(2)], occurred_at=finer)))
    assert places(rows) == [(1, "malformed", "occurred_at")]
    beyond = pa.array([2**62, None], pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
    rows = read(open_behavior_file(parquet_file(path, [good(1), good(2)], occurred_at=beyond)))
    assert places(rows) == [(1, "malformed", "occurred_at"), (2, "malformed", "occurred_at")]
    unzoned = pa.array([0], pa.int64()).cast(pa.timestamp("us"))
    (row,) = read(open_behavior_file(parquet_file(path, [good(1)], occurred_at=unzoned)))
    assert isinstance(row, Behavior)
    assert row.instant_us is None, "reported later as timestamp_without_offset"


@pytest.mark.parametrize(
    ("column", "values", "hint"),
    [
        ("quantity", pa.array([12.35]), "floating point"),
        ("quantity", pa.array([12.35], pa.float32()), "floating point"),
        ("quantity", pa.array([12]), "decimal128"),
        ("occurred_at", pa.array([1_535_765_783]), "time zone"),
        ("occurred_at", pa.array([17_000], pa.int32()).cast(pa.date32()), "time zone"),
        ("account_ref", pa.array([123]), "string"),
        ("account_ref", pa.array([b"a"]), "string"),
        ("unit", pa.array([["km"]]), "string"),
    ],
)
def test_a_parquet_column_of_an_inexact_or_foreign_type_is_refused(
    tmp_path: Path, column: str, values: Any, hint: str
) -> None:
    path = parquet_file(tmp_path / "a.parquet", [GOOD], **{column: values})
    error = error_of(lambda: open_behavior_file(path))
    assert (error.code, error.field) == ("wrong_column_type", column)
    assert hint in error.remedy


@pytest.mark.parametrize("column", COLUMNS)
def test_a_null_in_parquet_is_refused_except_as_a_region(tmp_path: Path, column: str) -> None:
    values = [None, dict(zip(COLUMNS, good(2), strict=True))[column]]
    path = parquet_file(tmp_path / "a.parquet", [good(1), good(2)], **{column: pa.array(values)})
    rows = read(open_behavior_file(path))
    if column == "region":
        assert rows[0] == parse_behavior(1, *good(1, region=""))
    else:
        assert places(rows) == [(1, "malformed", column)]
    assert refs(rows)[-1] == "ride-2"


def test_invalid_utf8_in_parquet_spoils_only_its_own_row(tmp_path: Path) -> None:
    for kind in (pa.string(), pa.dictionary(pa.int32(), pa.string())):
        texts = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"]).buffers())
        if kind != pa.string():
            texts = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), texts)
        path = parquet_file(tmp_path / "a.parquet", [good(1), good(2), good(3)], account_ref=texts)
        rows = read(open_behavior_file(path))
        assert refs(rows) == ["ride-1", "ride-3"]
        assert places(rows) == [(2, "malformed", "")]


def test_an_empty_or_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", [])
    kinds = pa.schema([(name, pa.string()) for name in COLUMNS])
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in COLUMNS}, schema=kinds), path)
    assert error_of(lambda: open_behavior_file(path)).code == "no_rows"
    parquet_file(path, [good(number) for number in range(1_000)])
    path.write_bytes(path.read_bytes()[:-100])
    assert error_of(lambda: open_behavior_file(path)).code == "file_damaged"


def test_damage_inside_a_parquet_file_is_reported_and_not_read_over(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "a.parquet", [good(number) for number in range(50_000)], row_group=5_000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 5_000] = b"\xee" * 5_000
    path.write_bytes(data)
    assert error_of(lambda: read(open_behavior_file(path))).code == "file_damaged"


# --- real files ------------------------------------------------------------------------------------------------------


@needs_real_data
def test_every_line_of_the_real_files_comes_out_once() -> None:
    for path in sorted(REAL_DATA.glob("behaviors_*.csv")):
        rows = read(open_behavior_file(path))
        with path.open(encoding="utf-8", newline="") as file:
            reference = list(csv.reader(file))[1:]
        assert len(rows) == len(reference) == path.read_bytes().count(b"\n") - 1
        for number, (row, fields) in enumerate(zip(rows, reference, strict=True), 2):
            expected = parse_behavior(number, *fields[:7])
            assert (row if isinstance(row, Behavior) else row.refusal) == expected
        assert {row.refusal.field for row in refusals(rows)} <= {"quantity"}, "only the empty quantities are malformed"


# --- memory ----------------------------------------------------------------------------------------------------------


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        source = open_behavior_file(path)
        count = sum(len(batch) for batch in source.rows(1_000))
        assert count >= 5_000
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path, suffix: str) -> None:
    small = some_file(tmp_path, suffix, rows=5_000)
    peak_bytes(small)
    once = peak_bytes(small)
    large = some_file(tmp_path, suffix, rows=25_000)
    assert peak_bytes(large) < once + 2_000_000 < 16_000_000
    if suffix == "parquet":
        before = pa.total_allocated_bytes()
        batches = open_behavior_file(large).rows(1_000)
        most = max(pa.total_allocated_bytes() for _ in batches)
        assert most - before < 16_000_000


def test_memory_does_not_grow_with_an_endless_line_or_an_open_quote(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = "\n".join(line_of(number) for number in range(5_000))
    path.write_text(f"{HEADER}\n{lines}\n{'x' * 30_000_000}\n{line_of(5_001)}\n", encoding="utf-8")
    assert peak_bytes(path) < 8_000_000
    path.write_text(f'{HEADER}\n"{lines}\n{lines}\n{lines}\n', encoding="utf-8")
    assert peak_bytes(path) < 8_000_000


# --- the rejects file ------------------------------------------------------------------------------------------------


def rejected_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_refused_rows_can_be_repaired_and_imported_again(tmp_path: Path) -> None:
    source_path = tmp_path / "a.csv"
    lines = [HEADER, line_of(1), line_of(2, quantity="1e3"), line_of(3, region="?"), 'ride-4,"', line_of(5)]
    source_path.write_text("\n".join(lines), encoding="utf-8")
    rejects = tmp_path / "rejects.csv"
    with RejectsFile(rejects) as sink:
        for row in refusals(read(open_behavior_file(source_path))):
            sink.write(row)
    assert sink.count == 3

    again = read(open_behavior_file(rejects))
    assert [row.refusal.field for row in refusals(again)] == ["quantity", "region", "source_ref"], (
        "nothing repaired yet"
    )

    repaired = rejected_rows(rejects)
    repaired[0]["quantity"] = "1000"
    repaired[1]["region"] = "CN"
    repaired[2].update(zip(COLUMNS, good(4), strict=True))
    with (tmp_path / "repaired.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, REJECT_COLUMNS)
        writer.writeheader()
        writer.writerows(repaired)
    assert refs(read(open_behavior_file(tmp_path / "repaired.csv"))) == ["ride-2", "ride-3", "ride-4"]


def test_a_refused_row_is_written_with_its_place_reason_and_text(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    behavior = parse_behavior(12, *GOOD)
    assert isinstance(behavior, Behavior)
    with RejectsFile(path) as sink:
        sink.write(refuse(behavior, "no_consent", "account_ref", "no consent covers it", "record a consent"))
    assert rejected_rows(path) == [
        dict(zip(COLUMNS, GOOD, strict=True))
        | {"quantity": "12.35", "line": "12", "code": "no_consent", "field": "account_ref"}
        | {"message": "no consent covers it", "remedy": "record a consent", "raw": ""}
    ]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "@a", "-1", '"', 'a"b', "a,b", "a\r\nb", "a\nb", "a\rb", " a ", "a\x00b", "车\u2028", "'"]
)
def test_the_rejects_file_gives_every_text_back_unaltered(tmp_path: Path, text: str) -> None:
    source_path = tmp_path / "a.jsonl"
    changed = object_of(1, account_ref=text, region=text, quantity="much")
    source_path.write_text(json.dumps(changed), encoding="utf-8")
    (row,) = refusals(read(open_behavior_file(source_path)))
    with RejectsFile(tmp_path / "rejects.csv") as sink:
        sink.write(row)
    (again,) = refusals(read(open_behavior_file(tmp_path / "rejects.csv")))
    assert again.columns == row.columns == tuple(changed.values())
    assert again.refusal[1:] == row.refusal[1:]


def test_the_rejects_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    mask = os.umask(0)
    try:
        with RejectsFile(path) as sink:
            assert stat.S_IMODE(sink.partial_path.stat().st_mode) == 0o600
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not sink.partial_path.exists()
    assert rejected_rows(path) == []
    assert path.read_text("utf-8").strip().split(",") == list(REJECT_COLUMNS)


@pytest.mark.parametrize("there", ["a file", "a folder", "a dangling link"])
def test_no_file_is_ever_overwritten_by_rejects(tmp_path: Path, there: str) -> None:
    path = tmp_path / "rejects.csv"
    if there == "a file":
        path.write_text("precious")
    elif there == "a folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    assert error_of(lambda: RejectsFile(path).__enter__()).code == "rejects_file_exists"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rejects.csv"]


def test_a_file_that_appears_while_rejects_are_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"

    def race() -> None:
        with RejectsFile(path):
            path.write_text("precious")

    assert error_of(race).code == "rejects_file_exists"
    assert path.read_text() == "precious"
    assert (tmp_path / "rejects.csv.partial").exists()


def test_a_failed_import_leaves_only_a_partial_file_and_the_next_one_starts_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    behavior = parse_behavior(12, *GOOD)
    assert isinstance(behavior, Behavior)
    row = refuse(behavior, "no_consent", "account_ref", "no consent covers it", "record a consent")

    def interrupted() -> None:
        with RejectsFile(path) as sink:
            sink.write(row)
            sink.write(row)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.exists()
    partial = tmp_path / "rejects.csv.partial"
    assert len(rejected_rows(partial)) == 2
    partial.chmod(0o644)
    with RejectsFile(path) as sink:
        sink.write(row)
        assert stat.S_IMODE(sink.partial_path.stat().st_mode) == 0o600
    assert len(rejected_rows(path)) == 1


def test_two_imports_cannot_write_one_rejects_file(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with RejectsFile(path):
        error = error_of(lambda: RejectsFile(path).__enter__())
        assert error.code == "rejects_file_in_use"
    assert rejected_rows(path) == []


@pytest.mark.parametrize("restarted", [True, False])
def test_an_import_that_ends_just_now_keeps_its_rejects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    path = tmp_path / "rejects.csv"
    partial = tmp_path / "rejects.csv.partial"

    def finish_the_other_first(*_: Any) -> None:
        partial.write_text("precious")
        partial.rename(path)
        if restarted:
            partial.touch()

    monkeypatch.setattr(fcntl, "flock", finish_the_other_first)
    assert error_of(lambda: RejectsFile(path).__enter__()).code == "rejects_file_in_use"
    assert path.read_text() == "precious"


def test_rejects_survive_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with RejectsFile(tmp_path / "rejects.csv"):
        pass
    assert rejected_rows(tmp_path / "rejects.csv") == []
    (tmp_path / "rejects.csv").unlink()
    with pytest.raises(Rejected, match="rejects_file_exists"), RejectsFile(tmp_path / "rejects.csv"):
        (tmp_path / "rejects.csv").write_text("precious")
    assert (tmp_path / "rejects.csv").read_text() == "precious"


def test_a_rejects_file_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    missing = error_of(lambda: RejectsFile(tmp_path / "no" / "rejects.csv").__enter__())
    assert (type(missing), missing.code) == (Rejected, "rejects_folder_missing")
    (tmp_path / "rejects.csv.partial").symlink_to(tmp_path / "target")
    linked = error_of(lambda: RejectsFile(tmp_path / "rejects.csv").__enter__())
    assert (type(linked), linked.code) == (Unavailable, "rejects_file_unwritable")
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: only Linux has /dev/full")
def test_a_full_disk_is_reported_and_no_final_file_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rejects.csv"
    row = RefusedRow(parse_behavior(1, *NOTHING), NOTHING, "x" * 4_000)  # type: ignore[arg-type]
    sink = RejectsFile(path)

    def fill() -> None:
        with sink:
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, sink._file.fileno())  # type: ignore[union-attr]
            os.close(full)
            for _ in range(100):
                sink.write(row)

    error = error_of(fill)
    assert isinstance(error, Unavailable)
    assert error.code == "rejects_file_unwritable"
    assert "space" in error.message
    assert not path.exists()
