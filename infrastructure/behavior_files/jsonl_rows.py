"""Behavior rows from JSON Lines: one object to a line, UTF-8, all seven values as JSON strings.

A row's number is its physical line, from 1. Blank lines are no rows, unknown keys are ignored, ``"region": null`` is
an empty region. A number is refused where a text belongs: JSON readers turn 0.1 and 1e2 into binary fractions, so the
exact decimal would depend on who reads it.

Keeps: one bad line is refused alone; a key that appears twice is refused, because readers differ in which one counts.
Leaves to others: the grammar of the seven columns (``domain.behavior``).
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Final, NoReturn

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


class JsonLinesBehaviors:
    """A ``BehaviorSource`` over a JSON Lines file; raises ``Rejected`` ``no_rows`` when it holds only blank lines."""

    format = "jsonl"

    def __init__(self, content: Content) -> None:
        self._content = content
        self.digest = content.digest
        self.size_bytes = content.size_bytes
        if not any(data.strip() for data in content.whole_lines()):
            raise Rejected("no_rows", "the file has no rows", field=str(content.path), remedy="check its export")
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

    def _pieces(self) -> Iterator[list[ParsedRow]]:
        first = 1
        for data in self._content.whole_lines():
            lines = data.split(b"\n")
            if not lines[-1]:
                lines.pop()
            if first == 1:
                lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
            yield [_read_line(line, raw) for line, raw in enumerate(lines, first) if raw.strip()]
            first += len(lines)


class Members(tuple[tuple[str, object], ...]):
    """A JSON object as it was written: all members in order, also those with the same key."""

    __slots__ = ()


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


decode_exactly = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant
).decode
_pick = itemgetter(*COLUMNS)
_SEVEN_TEXTS: Final = [str] * len(COLUMNS)
_REMEDY: Final = "write one JSON object to a line, with the seven keys and their values as JSON strings"


def _read_line(line: int, raw: bytes) -> ParsedRow:
    if len(raw) > MAX_RECORD_BYTES:
        return refused_too_long(line, raw)
    try:
        members = decode_exactly(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return refused_encoding(line, raw)
    except json.JSONDecodeError as error:
        message = f"the line is not valid JSON: {error.msg} at character {error.pos + 1}"
        return refused_whole(line, raw, message, _REMEDY)
    except ValueError as error:
        return refused_whole(line, raw, f"the line is not valid JSON: {error}", _REMEDY)
    except RecursionError:
        return refused_whole(line, raw, "the line nests too deeply", _REMEDY)
    return read_object(line, lambda: raw, members)


def read_object(line: int, raw: Callable[[], bytes], members: object) -> ParsedRow:
    """The row that ``decode_exactly`` made of an object; ``raw``: gives its text, for whoever has to repair it."""
    if not isinstance(members, Members):
        return refused_whole(line, raw(), "the row is not a JSON object", _REMEDY)
    values = dict(members)
    if len(values) != len(members):
        return _refused_repetition(line, raw(), [key for key, _ in members])
    try:
        columns = _pick(values)
    except KeyError as error:
        key = str(error.args[0])
        return refused_whole(line, raw(), f"the key {key} is missing", _REMEDY, field=key)
    if list(map(type, columns)) != _SEVEN_TEXTS:
        if values["region"] is None:
            columns = (*columns[:-1], "")
        for key, value in zip(COLUMNS, columns, strict=True):
            if type(value) is not str:
                return _refused_type(line, raw(), key, value)
    row = parse_behavior(line, *columns)
    if isinstance(row, Behavior):
        return row
    # A lone surrogate (a JSON escape can write one) has no UTF-8; such a row is given back as its own text.
    sendable = not any("\ud800" <= character <= "\udfff" for character in "".join(columns))
    return (
        RefusedRow(row, columns) if sendable else refused_whole(line, raw(), row.message, row.remedy, field=row.field)
    )


def _refused_repetition(line: int, raw: bytes, keys: list[str]) -> RefusedRow:
    repeated = next((column for column in COLUMNS if keys.count(column) > 1), "")
    return refused_whole(
        line, raw, f"a key appears twice: {repeated or 'one of the further keys'}", _REMEDY, field=repeated
    )


def _refused_type(line: int, raw: bytes, key: str, value: object) -> RefusedRow:
    if isinstance(value, _Number):
        message = f"{key} is a JSON number; JSON readers may lose its precision"
        return refused_whole(line, raw, message, f'write it as a string, such as "{key}": "12.350"', field=key)
    found = "null" if value is None else "not a text"
    return refused_whole(line, raw, f"{key} is {found}", _REMEDY, field=key)
