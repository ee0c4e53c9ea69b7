"""Laws of behavior rows: one meaning in every format, and nothing in a file can break the reader."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given
from hypothesis import strategies as st

from application.ports.behavior_source import ParsedRow, RefusedRow
from domain.behavior import COLUMNS, Behavior, Refusal, columns_of, decimal_text, parse_behavior
from domain.errors import Rejected
from infrastructure.behavior_files import content, open_behavior_file
from infrastructure.rejects_file import RejectsFile

Columns = tuple[str, ...]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

visible = st.text(st.characters(codec="utf-8"), max_size=12)
offsets = st.integers(-1439, 1439)
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001  the offset is added by the test
digits = st.text("0123456789", min_size=1, max_size=19)


def rows(free: st.SearchStrategy[str]) -> st.SearchStrategy[Columns]:
    """Rows of which many are good and many are a little wrong."""
    reference = st.one_of(st.text("abc-:/@车 ", min_size=1, max_size=20), free)
    times = st.one_of(
        st.builds(lambda moment, offset: rfc3339(moment, offset), moments, offsets),
        st.sampled_from(["2018-09-01T09:36:23Z", "2018-09-01T09:36:23", "2018-09-01T24:00:00Z", "2018-9-1"]),
        free,
    )
    quantities = st.one_of(digits, st.builds(lambda a, b: f"{a}.{b}", digits, digits), st.just("1e3"), free)
    regions = st.one_of(st.sampled_from(["", "CN", "CN-440300", "*"]), free)
    names = st.one_of(st.sampled_from(["travel.metro", "km"]), free)
    return st.tuples(reference, reference, names, times, quantities, names, regions)


def rfc3339(moment: datetime, offset_minutes: int) -> str:
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
    return f"{moment.isoformat()}{sign}{hours:02d}:{minutes:02d}"


def read(data: bytes, name: str, *, batch_rows: int = 7, block_bytes: int = 1 << 17) -> list[ParsedRow]:
    with TemporaryDirectory() as folder, mock.patch.object(content, "BLOCK_BYTES", block_bytes):
        path = Path(folder) / name
        path.write_bytes(data)
        return [row for batch in open_behavior_file(path).rows(batch_rows) for row in batch]


def meaning(row: ParsedRow | Refusal) -> tuple[object, ...]:
    """A row without its number."""
    return tuple(row.refusal if isinstance(row, RefusedRow) else row)[1:]


def as_csv(table: list[Columns], quoting: Literal[0, 1], end: str, notes: list[str]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    writer.writerow([*COLUMNS, "note"])
    for row, note in zip(table, notes, strict=True):
        writer.writerow([*row, note])
    return out.getvalue().encode()


def as_jsonl(table: list[Columns]) -> bytes:
    return "".join(
        json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n" for row in table
    ).encode()


def as_parquet(table: list[Columns]) -> bytes:
    out = io.BytesIO()
    columns = {name: pa.array([row[at] for row in table], pa.string()) for at, name in enumerate(COLUMNS)}
    pq.write_table(pa.table(columns), out, row_group_size=3)
    return out.getvalue()


tables = st.lists(rows(visible), min_size=1, max_size=12)


@given(tables, st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.lists(visible, min_size=12, max_size=12))
def test_a_table_means_the_same_in_every_format(table: list[Columns], quoting: Literal[0, 1], notes: list[str]) -> None:
    expected = [meaning(parse_behavior(0, *row)) for row in table]
    assert [meaning(row) for row in read(as_csv(table, quoting, "\r\n", notes[: len(table)]), "a.csv")] == expected
    # With LF alone as line end the csv module leaves a carriage return unquoted; that is no CSV, so all is quoted.
    assert [meaning(row) for row in read(as_csv(table, csv.QUOTE_ALL, "\n", notes[: len(table)]), "a.csv")] == expected
    assert [meaning(row) for row in read(as_jsonl(table), "a.jsonl")] == expected
    assert [meaning(row) for row in read(as_parquet(table), "a.parquet")] == expected


@given(tables)
def test_rejects_and_good_rows_together_are_the_file(table: list[Columns]) -> None:
    came_out = read(as_csv(table, csv.QUOTE_MINIMAL, "\r\n", [""] * len(table)), "a.csv")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rejects.csv"
        refused = [row for row in came_out if isinstance(row, RefusedRow)]
        with RejectsFile(path) as sink:
            for row in refused:
                sink.write(row)
        if refused:
            again = [row for batch in open_behavior_file(path).rows(5) for row in batch]
            assert [row.columns for row in again if isinstance(row, RefusedRow)] == [row.columns for row in refused]
            assert len(again) == len(refused)
    kept = [columns_of(row) if isinstance(row, Behavior) else row.columns for row in came_out]
    assert [parse_behavior(1, *columns) for columns in kept] == [parse_behavior(1, *columns) for columns in table]


GOOD_LINE = b"ride-1,account-1,travel.metro,2018-09-01T09:36:23+08:00,12.350,km,CN-440300"
LINES = [GOOD_LINE, GOOD_LINE + b",\n", GOOD_LINE + b',""\n', GOOD_LINE + b',"\n', GOOD_LINE + b',"a, b"\r\n']
SCRAPS = [b"\n", b"\r\n", b"\r", b'"', b'""', b",", b',"",', b',""\n', b"a", b"\xff", b"\x00", b'"x"', b"\xe8\xbd\xa6"]
SNARES = [b"\xef\xbb\xbf", b'{"a": 1}', b",,,,,,,", b'a","x', b'"\n', b'a"b\n', b'"a,"",b"\n', b'a"",', b'y",b"z\n']
soups = st.lists(st.sampled_from([*LINES, *SCRAPS, *SNARES]), min_size=1, max_size=40).map(b"".join)


def outcome(act: Callable[[], list[ParsedRow]]) -> list[ParsedRow] | str:
    try:
        return act()
    except Rejected as error:
        return error.code


@given(soups, st.integers(1, 300))
@example(b'a","x\ny",b"z\n', 300)
@example(b'x","\n' * 5 + GOOD_LINE + b',""\n', 3)
def test_no_csv_content_breaks_the_reader_or_depends_on_blocks(soup: bytes, block_bytes: int) -> None:
    data = ",".join([*COLUMNS, "note"]).encode() + b"\n" + soup
    whole = outcome(lambda: read(data, "a.csv"))
    cut = outcome(lambda: read(data, "a.csv", block_bytes=block_bytes))
    with mock.patch("infrastructure.behavior_files.csv_rows._split_lines", return_value=None):
        by_record = outcome(lambda: read(data, "a.csv"))
    assert whole == cut == by_record
    if isinstance(whole, str):
        assert whole == "no_rows"
        return
    lines = [row.refusal.line if isinstance(row, RefusedRow) else row.line for row in whole]
    assert lines == sorted(set(lines))
    assert lines[0] >= 2
    assert lines[-1] <= data.count(b"\n") + 1


@given(st.lists(st.lists(visible, min_size=8, max_size=8), min_size=1, max_size=10), st.integers(1, 200))
def test_well_formed_csv_has_as_many_rows_as_the_csv_module_finds(table: list[list[str]], block_bytes: int) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([[*COLUMNS, "note"], *table])
    came_out = read(out.getvalue().encode(), "a.csv", block_bytes=block_bytes)
    assert [meaning(row) for row in came_out] == [meaning(parse_behavior(0, *row[:7])) for row in table]


@given(soups, st.integers(1, 300))
def test_no_json_lines_content_breaks_the_reader_or_depends_on_blocks(soup: bytes, block_bytes: int) -> None:
    whole = outcome(lambda: read(soup, "a.jsonl"))
    if not soup.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert whole == outcome(lambda: read(soup, "a.jsonl", block_bytes=block_bytes))
        if whole != "no_rows":
            assert len(whole) == sum(bool(line.strip()) for line in soup.removeprefix(b"\xef\xbb\xbf").split(b"\n"))


@given(st.binary(max_size=300))
def test_no_parquet_content_does_more_than_refuse(data: bytes) -> None:
    assert outcome(lambda: read(b"PAR1" + data + b"PAR1", "a.parquet")) == "file_damaged"


@given(st.from_regex(r"-?[0-9]{1,19}(\.[0-9]{1,19})?", fullmatch=True).filter(str.isascii))
def test_a_quantity_has_the_value_of_its_decimal(text: str) -> None:
    row = parse_behavior(1, "a", "b", "c", "2018-09-01T09:36:23Z", text, "km", "")
    assert isinstance(row, Behavior)
    assert Fraction(row.quantity, 10**row.scale) == Fraction(text)
    assert row.scale == 0 or row.quantity % 10 != 0
    assert Fraction(decimal_text(row.quantity, row.scale)) == Fraction(text)


@given(moments, offsets.filter(bool))
def test_an_instant_is_the_one_the_standard_library_reads(moment: datetime, offset: int) -> None:
    text = rfc3339(moment, offset)
    row = parse_behavior(1, "a", "b", "c", text, "1", "km", "")
    assert isinstance(row, Behavior)
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert row.instant_us == (aware - EPOCH) // timedelta(microseconds=1)


@given(st.text("0123456789-:T.Z+ tz\n２", max_size=35))
@example("2018-09-01T09:36:23.123456+08:00")
def test_whatever_is_accepted_as_a_time_the_standard_library_reads_the_same(text: str) -> None:
    row = parse_behavior(1, "a", "b", "c", text, "1", "km", "")
    if isinstance(row, Behavior) and row.instant_us is not None:
        assert row.instant_us == (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)
