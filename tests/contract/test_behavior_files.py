"""Opening a behavior file of any format, reading the real ones, and what memory it takes (DESIGN section 6)."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from domain.behavior import COLUMNS, Behavior, parse_behavior
from domain.errors import Rejected, Unavailable
from infrastructure.behavior_files import content as content_module
from infrastructure.behavior_files import open_behavior_file
from tests.contract.behavior_file_tools import (
    GOOD,
    HEADER,
    LINE,
    behaviors,
    error_of,
    line_of,
    object_of,
    parquet_file,
    read,
    refusals,
    some_file,
)
from tests.fixtures.real_data import REAL_DATA, needs_real_data


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
