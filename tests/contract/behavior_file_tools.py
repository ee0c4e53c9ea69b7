"""Behavior files for the tests: rows, files of each format, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from application.ports.behavior_source import BehaviorSource, ParsedRow, RefusedRow
from domain.behavior import COLUMNS, Behavior
from domain.errors import LedgerError
from infrastructure.behavior_files import open_behavior_file

HEADER = ",".join(COLUMNS)
GOOD = ("ride-1", "account-1", "travel.metro", "2018-09-01T09:36:23+08:00", "12.350", "km", "CN-440300")
LINE = ",".join(GOOD)
NOTHING = ("",) * 7


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
