"""Rows of exported events: one spelling in every format, the same for everybody's reader of JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.bundle import EventLine
from domain.audit.event_rows import (
    COLUMNS,
    ERASED,
    LINES,
    EventRow,
    cells_of,
    columns_of,
    csv_cells,
    csv_header,
    csv_line,
    jsonl_cells,
    jsonl_line,
    row_of,
)
from domain.audit.leaves import sealed_hash
from domain.behavior import LAST_INSTANT_US
from domain.errors import Rejected

BOOK = bytes(range(16))
EVENT = EventLine(
    3,
    bytes(range(16, 32)),
    1,
    "carbon.test.v1",
    1_772_323_200_000_001,
    bytes(16),
    b'{"a":"\\"x,\\n"}',
    sealed_hash(b"s"),
)
ROW = EventRow(EVENT, EVENT.leaf(BOOK))
CLEAR = ROW._replace(personal='{"who":"=ann, \\"the first\\""}')
VARIANTS = (ROW, CLEAR, ROW._replace(personal=ERASED), ROW._replace(personal=""))

json_objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(st.text(max_size=9) | st.integers() | st.none(), st.lists, max_leaves=4),
    max_size=4,
).map(lambda each: json.dumps(each, separators=(",", ":"), ensure_ascii=False))
objects = json_objects.filter(lambda each: not any("\ud800" <= character <= "\udfff" for character in each))
numbers = st.integers(0, (1 << 63) - 1)
rows = st.builds(
    EventRow,
    st.builds(
        EventLine,
        numbers,
        st.binary(min_size=16, max_size=16),
        numbers,
        st.from_regex(r"[a-z][a-z0-9.-]{0,30}", fullmatch=True),
        st.integers(0, LAST_INSTANT_US),
        st.binary(min_size=16, max_size=16),
        objects.map(str.encode),
        st.binary(min_size=32, max_size=32),
    ),
    st.binary(min_size=32, max_size=32),
    st.none() | st.just("") | st.just(ERASED) | objects,
)


def refused(act: Any, *arguments: Any) -> bool:
    with pytest.raises(Rejected) as error:
        act(*arguments)
    return error.value.code == "row_malformed" and bool(error.value.remedy)


@given(rows)
def test_a_row_comes_back_from_every_format_and_is_read_alike_by_the_libraries_of_others(row: EventRow) -> None:
    cells = cells_of(row)
    assert row_of(cells) == row
    for write, read in LINES.values():
        line = write(cells)
        assert read(line[:-1]) == cells
        assert line.count(b"\n") == 1
    told = json.loads(jsonl_line(cells))
    assert tuple(told) == columns_of(personal=row.personal is not None)
    assert told["facts"] == json.loads(row.event.facts)
    assert next(csv.reader(io.StringIO(csv_line(cells).decode(), newline=""))) == cells


@given(rows)
def test_no_cell_begins_with_what_a_spreadsheet_runs(row: EventRow) -> None:
    header = csv_header(personal=row.personal is not None).decode().strip().split(",")
    assert {cell[0] for cell in [*cells_of(row), *header] if cell}.isdisjoint("=+-@\t\r\n |%")


def test_a_changed_cell_of_any_column_is_another_row_or_none() -> None:
    cells = cells_of(CLEAR)
    for place in range(len(cells)):
        for wrong in (
            "",
            "x" * 3,
            cells[place] + " ",
            "=" + cells[place],
            "01",
            "9" * 19,
            "9" * 20,
            "ERASED",
            "[]",
            "\ud800",
        ):
            changed = [*cells[:place], wrong, *cells[place + 1 :]]
            try:
                found = row_of(changed)
            except Rejected as error:
                assert error.code == "row_malformed"  # noqa: PT017
            else:
                assert found != CLEAR
                assert cells_of(found) == changed


def test_what_is_no_row_is_refused() -> None:
    cells = cells_of(CLEAR)
    assert refused(row_of, cells[:8])
    assert refused(row_of, [*cells, ""])
    assert refused(row_of, [str(1 << 63), *cells[1:]])
    assert refused(row_of, [cells[0], "2026-02-30T00:00:00.000000Z", *cells[2:]])
    assert refused(row_of, [*cells[:5], '{"\ud800":1}', *cells[6:]])


def test_a_line_in_any_other_spelling_is_refused() -> None:
    line = jsonl_line(cells_of(CLEAR))[:-1]
    for changed in (
        b"",
        b"{}",
        line + b" ",
        b" " + line,
        line.replace(b'"version":1', b'"version": 1'),
        line.replace(b'"facts":{', b'"facts":['),
        line.replace(b'"facts":{', b'"facts":'),
        line.replace(b'"leaf"', b'"Leaf"'),
        line.replace(b"a", b"\xff", 1),
        line[:-1],
        line.replace(b'"facts":{', b'"facts":' + b"[" * 100_000),
    ):
        assert refused(jsonl_cells, changed), changed[:80]
    record = csv_line(cells_of(CLEAR))[:-1]
    for changed in (
        b"",
        record[:-1],
        record + b"\r",
        record.replace(b"carbon", b'"carbon"'),
        record.replace(b'""', b'"', 1),
        record.replace(b"a", b"\xff", 1),
        record.replace(b",", b";"),
    ):
        assert refused(csv_cells, changed), changed[:80]


@pytest.mark.parametrize("row", VARIANTS)
def test_a_personal_part_is_told_of_where_something_was_sealed(row: EventRow) -> None:
    nothing = row._replace(event=EVENT._replace(sealed=sealed_hash(b"")))
    assert row.fits == (row.personal != "")
    assert nothing.fits == (row.personal in (None, ""))
    assert len(COLUMNS) + (row.personal is not None) == len(cells_of(row))
