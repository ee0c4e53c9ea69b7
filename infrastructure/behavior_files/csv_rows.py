"""Behavior rows from CSV (RFC 4180): commas, double quotes, CRLF or LF, UTF-8 with or without a byte order mark.

A record is the fewest whole lines that hold an even number of quotes. It must parse by itself and have as many columns
as the header. If a record of several lines does not, only its first line is refused and reading goes on with the next
line: a stray quote costs one row, not the rest of the file. Blank lines are no rows. A row's number is the physical
line on which it starts; the header is line 1.

Keeps: where a block of the file begins and ends never changes what is read. Most blocks take the quick way, which
answers only if every line of the block is a whole record; every other block is read record by record.
Leaves to others: the grammar of the seven columns (``domain.behavior``).
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Final

from application.ports.behavior_source import ParsedRow, RefusedRow
from domain.behavior import COLUMNS, Behavior, parse_behavior
from domain.errors import Rejected
from infrastructure.behavior_files.content import (
    MAX_RECORD_BYTES,
    Content,
    in_batches,
    refused_encoding,
    refused_too_long,
    refused_whole,
)

_LONGEST_CHARACTER_BYTES: Final = 4

_Fields = list[str]


class CsvBehaviors:
    """A ``BehaviorSource`` over a CSV file.

    Raises ``Rejected`` ``header_malformed``, ``missing_column``, ``duplicate_column`` or ``no_rows`` when it is opened.
    """

    format = "csv"

    def __init__(self, content: Content) -> None:
        self._content = content
        self.digest = content.digest
        self.size_bytes = content.size_bytes
        self._header_bytes, self._header_lines, names = _read_header(content)
        self._width = len(names)
        self._pick: Callable[[_Fields], tuple[str, ...]] = itemgetter(*_positions(names, str(content.path)))
        if not any(data.strip(b"\r\n") for data in self._data()):
            raise Rejected(
                "no_rows", "the file has a header but no rows", field=str(content.path), remedy="check its export"
            )
        content.bytes_read = 0

    @property
    def bytes_read(self) -> int:
        """How far the latest pass has come."""
        return self._content.bytes_read

    def blocks(self) -> Iterator[bytes]:
        """The bytes themselves; see ``BehaviorSource``."""
        return self._content.blocks()

    def rows(self, batch_rows: int) -> Iterator[list[ParsedRow]]:
        """All rows in order; see ``BehaviorSource``."""
        return in_batches(self._pieces(), batch_rows)

    def _data(self) -> Iterator[bytes]:
        """The file behind its header, in pieces of whole lines."""
        skip = self._header_bytes
        for data in self._content.whole_lines():
            if skip < len(data):
                yield data[skip:]
            skip = max(0, skip - len(data))

    def _pieces(self) -> Iterator[list[ParsedRow]]:
        line = self._header_lines + 1
        open_record = b""
        for data in self._data():
            parsed = None if open_record else self._read_quickly(line, data)
            if parsed is None:
                data = open_record + data
                parsed, open_record = self._read_by_record(line, data, at_end=False)
            line += data.count(b"\n") - open_record.count(b"\n")
            yield parsed
        if open_record:
            yield self._read_by_record(line, open_record, at_end=True)[0]

    def _read_quickly(self, line: int, data: bytes) -> list[ParsedRow] | None:
        """The rows of a block in which every line is a whole, decodable record of bounded length; None for others."""
        try:
            text = data.decode("utf-8").replace("\r\n", "\n").removesuffix("\n")
        except UnicodeDecodeError:
            return None
        lines = text.split("\n")
        if "\r" in text or max(map(len, lines)) * _LONGEST_CHARACTER_BYTES > MAX_RECORD_BYTES:
            return None
        records = _split_lines(text, lines)
        if records is None:
            return None
        first, width, pick = line, self._width, self._pick
        parsed: list[ParsedRow] = []
        for line, fields in enumerate(records, first):
            if len(fields) == width:
                columns = pick(fields)
                row = parse_behavior(line, *columns)
                parsed.append(row if isinstance(row, Behavior) else RefusedRow(row, columns))
            elif fields:
                parsed.append(_refused_width(line, lines[line - first], len(fields), width))
        return parsed

    def _read_by_record(self, line: int, data: bytes, *, at_end: bool) -> tuple[list[ParsedRow], bytes]:
        """The rows of any block, and its last record if that one may go on in the next block."""
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        parsed: list[ParsedRow] = []
        start = 0
        while start < len(lines):
            end = _record_end(lines, start)
            if end is None and not at_end:
                return parsed, data[sum(map(len, lines[:start])) + start :]
            row, used = self._read_record(line + start, lines[start:end])
            if row is not None:
                parsed.append(row)
            start += used
        return parsed, b""

    def _read_record(self, line: int, lines: list[bytes]) -> tuple[ParsedRow | None, int]:
        """One record as a row (None for a blank line), and how many of its lines are used up by that."""
        raw = b"\n".join(lines)
        if len(raw) > MAX_RECORD_BYTES:
            return _refused_length(line, lines), 1
        fields = _split_record(raw)
        if fields is None:
            return _refused_quotes(line, lines[0]), 1
        if not fields:
            return None, 1
        if len(fields) != self._width:
            return _refused_width(line, lines[0], len(fields), self._width), 1
        if not _is_utf8(raw):
            return refused_encoding(line, raw), len(lines)
        columns = self._pick(fields)
        row = parse_behavior(line, *columns)
        return (row if isinstance(row, Behavior) else RefusedRow(row, columns)), len(lines)


def _split_lines(text: str, lines: list[str]) -> Iterator[_Fields] | None:
    """The columns of every line (none for a blank one), or None if a line is not a whole record."""
    if '"' not in text:
        return (line.split(",") if line else [] for line in lines)
    # Many exporters quote empty columns. A line left without quotes when these are gone holds no others: there every
    # comma separates columns. Any other line goes, as it was, to the csv module.
    simple = (text + "\n").replace(',"",', ",,").replace(',""\n', ",\n").split("\n")
    simple.pop()
    quoted = [line for line, rest in zip(lines, simple, strict=True) if '"' in rest]
    if any(line.count('"') & 1 for line in quoted):
        return None
    try:
        records = list(csv.reader(quoted, strict=True))
    except csv.Error:
        return None
    if len(records) != len(quoted):
        return None
    following = iter(records)
    return (next(following) if '"' in line else line.split(",") if line else [] for line in simple)


def _record_end(lines: list[bytes], start: int) -> int | None:
    """Behind the first line at which quotes are even and the record ends; None if that is not among these lines."""
    size = 0
    quotes = 0
    for end in range(start, len(lines)):
        size += len(lines[end]) + 1
        quotes += lines[end].count(b'"')
        if quotes % 2 == 0 or size > MAX_RECORD_BYTES:
            return end + 1
    return None


def _split_record(raw: bytes) -> _Fields | None:
    """The columns of one record (none for a blank line), None if its quotes are wrong."""
    text = raw.decode("utf-8", "backslashreplace")
    try:
        records = list(csv.reader([text], strict=True))
    except csv.Error:
        return None
    return records[0]


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refused_length(line: int, lines: list[bytes]) -> RefusedRow:
    # Many short lines over the bound are an open quote; one long line is a long line.
    return refused_too_long(line, lines[0]) if len(lines) == 1 else _refused_quotes(line, lines[0])


def _refused_quotes(line: int, raw: bytes) -> RefusedRow:
    message = "a double quote is not closed, or stands where CSV allows none"
    remedy = "put quotes around the whole column and double every quote inside it"
    return refused_whole(line, raw, message, remedy)


def _refused_width(line: int, raw: bytes | str, found: int, expected: int) -> RefusedRow:
    message = f"the row has {found} columns, the header {expected}"
    few = "the row may have been cut short" if found < expected else "a column with a comma needs double quotes"
    return refused_whole(line, raw, message, f"send all columns of the header; {few}")


def _read_header(content: Content) -> tuple[int, int, _Fields]:
    """Length in bytes, length in lines, and column names."""
    data = content.head.removeprefix(codecs.BOM_UTF8)
    mark = len(content.head) - len(data)
    lines = data[: MAX_RECORD_BYTES + 1].split(b"\n")
    end = _record_end(lines, 0) or len(lines)
    raw = b"\n".join(lines[:end])
    names = _split_record(raw) if len(raw) <= MAX_RECORD_BYTES else None
    if names is None or not _is_utf8(raw):
        remedy = f"begin the file with one line that names the columns: {', '.join(COLUMNS)}"
        message = "the header is no line of CSV in UTF-8"
        raise Rejected("header_malformed", message, field=str(content.path), remedy=remedy)
    return mark + len(raw) + 1, end, names


def _positions(names: _Fields, path: str) -> list[int]:
    for column in COLUMNS:
        if names.count(column) > 1:
            message = f"the header names the column {column} {names.count(column)} times"
            raise Rejected("duplicate_column", message, field=column, remedy="keep one of them")
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        message = f"the header of {path} lacks the column {', '.join(missing)}"
        remedy = "name all seven columns, separated by commas, in lower case and without spaces"
        raise Rejected("missing_column", message, field=missing[0], remedy=remedy)
    return [names.index(column) for column in COLUMNS]
