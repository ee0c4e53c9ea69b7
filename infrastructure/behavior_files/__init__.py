"""Behavior files: which format a file has, and the reader for it.

Keeps: what the bytes plainly are goes before what the name says; a file that cannot be read as behaviors is refused
with a code before anything is written.
Leaves to others: the formats (``csv_rows``, ``jsonl_rows``, ``parquet_rows``, ``request_rows``).
Source: DESIGN section 6, Behavior file.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from application.ports.behavior_source import BehaviorSource
from domain.errors import Rejected
from infrastructure.behavior_files.content import Content, FileContent
from infrastructure.behavior_files.csv_rows import CsvBehaviors
from infrastructure.behavior_files.jsonl_rows import JsonLinesBehaviors
from infrastructure.behavior_files.request_rows import RequestBehaviors

_FORMAT_BY_SUFFIX: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_PARQUET_MARK: Final = b"PAR1"
_FOREIGN_MARKS: Final = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "unpack it, or save the sheet as CSV UTF-8"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as CSV UTF-8"),
    (codecs.BOM_UTF16_LE, "text in UTF-16", "save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "text in UTF-16", "save it as UTF-8"),
)


def open_behavior_file(path: Path) -> BehaviorSource:
    """Take the file's digest, find out its format and check its header; the rows are read later.

    Raises ``Rejected``: ``file_not_found``, ``not_a_file``, ``file_empty``, ``file_changed``, ``unknown_format``,
    ``header_malformed``, ``missing_column``, ``duplicate_column``, ``wrong_column_type``, ``no_rows``,
    ``file_damaged``; or ``Unavailable``: ``file_unreadable``.
    """
    content = FileContent(path)
    return behaviors_of(content, _format_of(content))


def behaviors_of(content: Content, form: str) -> BehaviorSource:
    """The rows of bytes whose format is known: csv, jsonl, parquet or requests. Raises as ``open_behavior_file``."""
    match form:
        case "csv":
            return CsvBehaviors(content)
        case "jsonl":
            return JsonLinesBehaviors(content)
        case "requests":
            return RequestBehaviors(content)
        case _:
            # pyarrow takes longer to load than a small file takes to read; only Parquet needs it.
            from infrastructure.behavior_files.parquet_rows import ParquetBehaviors

            return ParquetBehaviors(content)


def _format_of(content: Content) -> str:
    head = content.head
    if head.startswith(_PARQUET_MARK):
        return "parquet"
    for mark, kind, remedy in _FOREIGN_MARKS:
        if head.startswith(mark):
            raise Rejected("unknown_format", f"the file is {kind}", field=str(content.path), remedy=remedy)
    named = _FORMAT_BY_SUFFIX.get(content.path.suffix.lower())
    if named is not None:
        return named
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"{"):
        return "jsonl"
    if b"source_ref" in text.partition(b"\n")[0]:
        return "csv"
    raise Rejected(
        "unknown_format",
        "neither the name nor the content tells a known format",
        field=str(content.path),
        remedy="use CSV with a header (.csv), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet)",
    )
