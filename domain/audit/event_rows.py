"""An event as a row of an export for people and their tools: the same values in JSON Lines, CSV and Parquet.

Keeps: one spelling of a line, so that a row is the same in every format and for every reader; the facts stand in it as
they were stored, with what else the leaf was made from. No cell of a CSV begins with a character that a spreadsheet
takes for a formula: digits, letters of a topic, or a brace.
Leaves to ``events_manifest``: what was chosen, and the signature. The lines are specified in
``docs/spec/events-export.md``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from domain.audit.bundle import EventLine
from domain.audit.leaves import sealed_hash
from domain.errors import Rejected
from domain.instants import instant_of, microsecond_text

JSONL, CSV, PARQUET = "jsonl", "csv", "parquet"
FORMATS: Final = (JSONL, CSV, PARQUET)
COLUMNS: Final = ("position", "recorded_at", "stream", "version", "topic", "facts", "salt", "sealed_sm3", "leaf")
PERSONAL: Final = "personal"
ERASED: Final = "erased"
"""Stands in the place of a personal part whose key was destroyed."""
MAX_ROW_BYTES: Final = 96 * 1024 * 1024

_MOST = (1 << 63) - 1
_NUMBER = r"(0|[1-9][0-9]{0,18})"
_TIME = r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)"
_STREAM = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_TOPIC = r"([a-z][a-z0-9.-]{0,254})"
_OBJECT = r"(\{.*\})"
_SALT, _HASH = r"([0-9a-f]{32})", r"([0-9a-f]{64})"
_CELLS = tuple(
    re.compile(each, re.DOTALL)
    for each in (_NUMBER, _TIME, _STREAM, _NUMBER, _TOPIC, _OBJECT, _SALT, _HASH, _HASH, r"(|erased|\{.*\})")
)
_BEGIN = re.compile(
    rf'\{{"position":{_NUMBER},"recorded_at":"{_TIME}","stream":"{_STREAM}","version":{_NUMBER},"topic":"{_TOPIC}","facts":'
)
_END = re.compile(
    rf',"salt":"{_SALT}","sealed_sm3":"{_HASH}","leaf":"{_HASH}"(?:,"personal":(null|"erased"|\{{.*\}}))?\}}', re.DOTALL
)
_QUOTED = r'"([^"]*+(?:""[^"]*+)*)"'
_RECORD = re.compile(
    f"{_NUMBER},{_TIME},{_STREAM},{_NUMBER},{_TOPIC},{_QUOTED},{_SALT},{_HASH},{_HASH}(?:,({_QUOTED}|erased|))?",
    re.DOTALL,
)
_SCAN = json.JSONDecoder().raw_decode


class EventRow(NamedTuple):
    """An event and its leaf. ``personal``: None where it is left out, "" where there is none, ERASED, or a JSON object.

    The leaf is what the row says; ``event.leaf`` makes it from the values.
    """

    event: EventLine
    leaf: bytes
    personal: str | None = None

    @property
    def fits(self) -> bool:
        """Whether a personal part is told of exactly where something was sealed."""
        return self.personal is None or (self.personal == "") == (self.event.sealed == _NOTHING_SEALED)


_NOTHING_SEALED = sealed_hash(b"")


def columns_of(*, personal: bool) -> tuple[str, ...]:
    """The names of the columns, in order."""
    return (*COLUMNS, PERSONAL) if personal else COLUMNS


def cells_of(row: EventRow) -> list[str]:
    """The row as texts, in the order of the columns."""
    event = row.event
    stream = event.stream.hex()
    cells = [
        str(event.position),
        microsecond_text(event.recorded_us),
        "-".join((stream[:8], stream[8:12], stream[12:16], stream[16:20], stream[20:])),
        str(event.version),
        event.topic,
        event.facts.decode(),
        event.salt.hex(),
        event.sealed.hex(),
        row.leaf.hex(),
    ]
    return cells if row.personal is None else [*cells, row.personal]


def row_of(cells: Sequence[str]) -> EventRow:
    """The row of these texts. Raises Rejected ``row_malformed``."""
    if len(cells) not in (len(COLUMNS), len(COLUMNS) + 1):
        raise _malformed("a row")
    for name, pattern, cell in zip(columns_of(personal=True), _CELLS, cells, strict=False):
        if pattern.fullmatch(cell) is None:
            raise _malformed(name)
    position, recorded_at, stream, version, topic, facts, salt, sealed, leaf, *personal = cells
    try:
        recorded_us, stored = instant_of(recorded_at), facts.encode()
    except ValueError as error:  # a day that no calendar has, or half a character
        raise _malformed("recorded_at or facts") from error
    event = EventLine(
        _number(position),
        bytes.fromhex(stream.replace("-", "")),
        _number(version),
        topic,
        recorded_us,
        bytes.fromhex(salt),
        stored,
        bytes.fromhex(sealed),
    )
    return EventRow(event, bytes.fromhex(leaf), *personal)


def jsonl_line(cells: Sequence[str]) -> bytes:
    """The line of JSON Lines, with its end."""
    position, recorded_at, stream, version, topic, facts, salt, sealed, leaf, *personal = cells
    shown = "".join(f',"personal":{_json_of(each)}' for each in personal)
    return (
        f'{{"position":{position},"recorded_at":"{recorded_at}","stream":"{stream}","version":{version},"topic":"{topic}",'
        f'"facts":{facts},"salt":"{salt}","sealed_sm3":"{sealed}","leaf":"{leaf}"{shown}}}\n'
    ).encode()


def jsonl_cells(line: bytes) -> list[str]:
    """The texts of a line without its end. Raises Rejected ``row_malformed``."""
    try:
        text = line.decode()
        begin = _BEGIN.match(text)
        if begin is None:
            raise _malformed("a line")
        _, facts_end = _SCAN(text, begin.end())
        end = _END.fullmatch(text, facts_end)
        if end is None:
            raise _malformed("a line")
    except (ValueError, RecursionError) as error:
        raise _malformed("a line") from error
    salt, sealed, leaf, personal = end.groups()
    cells = [*begin.groups(), text[begin.end() : facts_end], salt, sealed, leaf]
    return cells if personal is None else [*cells, {"null": "", '"erased"': ERASED}.get(personal, personal)]


def csv_line(cells: Sequence[str]) -> bytes:
    """The record of a CSV (RFC 4180), with its end."""
    *before, facts, salt, sealed, leaf = cells[: len(COLUMNS)]
    told = [*before, _quoted(facts), salt, sealed, leaf, *map(_quoted_object, cells[len(COLUMNS) :])]
    return (",".join(told) + "\r\n").encode()


def csv_header(*, personal: bool) -> bytes:
    """The first line of a CSV, with its end."""
    return (",".join(columns_of(personal=personal)) + "\r\n").encode()


def csv_cells(line: bytes) -> list[str]:
    """The texts of a record without its line feed. Raises Rejected ``row_malformed``."""
    try:
        found = _RECORD.fullmatch(line.removesuffix(b"\r").decode()) if line.endswith(b"\r") else None
    except UnicodeDecodeError as error:
        raise _malformed("a record") from error
    if found is None:
        raise _malformed("a record")
    *before, facts, salt, sealed, leaf, personal, inside = found.groups()
    cells = [*before, facts.replace('""', '"'), salt, sealed, leaf]
    if personal is None:
        return cells
    return [*cells, personal if inside is None else inside.replace('""', '"')]


LINES: Final[dict[str, tuple[Callable[[Sequence[str]], bytes], Callable[[bytes], list[str]]]]] = {
    JSONL: (jsonl_line, jsonl_cells),
    CSV: (csv_line, csv_cells),
}
"""Formats that are lines of text: how a line is written, and read."""


def _json_of(personal: str) -> str:
    return {"": "null", ERASED: f'"{ERASED}"'}.get(personal, personal)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def _quoted_object(cell: str) -> str:
    return _quoted(cell) if cell.startswith("{") else cell


def _number(digits: str) -> int:
    number = int(digits)
    if number > _MOST:
        raise _malformed("a number")
    return number


def _malformed(what: str) -> Rejected:
    remedy = "ask for the export again; docs/spec/events-export.md"
    return Rejected("row_malformed", f"{what} is not in its one spelling", remedy=remedy)
