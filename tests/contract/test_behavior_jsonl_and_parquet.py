"""Behaviors in JSON Lines and Parquet, clean and dirty (DESIGN sections 5 and 6)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from domain.behavior import COLUMNS, Behavior, parse_behavior
from infrastructure.behavior_files import open_behavior_file
from tests.contract.behavior_file_tools import (
    GOOD,
    error_of,
    good,
    jsonl_rows,
    object_of,
    parquet_file,
    places,
    read,
    refs,
    refusals,
)


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
