"""Behavior rows from requests: the items of JSON bodies, one behavior or a batch, read as JSON Lines are read.

A row's number is its place among all items of the document, from 1.

Keeps: what the service credits from a body and what is read later from the evidence of it are the same rows, for one
function reads both; one bad item is refused alone, a body that is no JSON is refused as a whole.
Leaves to others: the grammar of an object (``jsonl_rows``) and of the seven columns (``domain.behavior``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Final

from application.ports.behavior_source import ParsedRow
from domain.errors import Corrupt, Rejected
from domain.requests import MAX_BODY_BYTES, MAX_ITEMS, MEDIA, request_of
from infrastructure.behavior_files.content import Content, in_batches
from infrastructure.behavior_files.jsonl_rows import Members, decode_exactly, read_object

_MAX_LINE_BYTES: Final = 6 * MAX_BODY_BYTES + 65_536
"""A body's characters take at most six bytes each in the JSON of a record."""
_REMEDY: Final = 'send a behavior as a JSON object with the seven keys, or {"items": [...]} with such objects'


def rows_of_body(body: str, first: int = 1) -> list[ParsedRow]:
    """The rows of a request's body, numbered from ``first``.

    Raises Rejected ``body_malformed`` (no JSON, or neither an object nor a batch), ``batch_empty``, ``batch_too_long``.
    """
    try:
        found = decode_exactly(body)
    except RecursionError:
        raise _malformed("it nests too deeply") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at character {error.pos + 1}") from None
    except ValueError as error:
        raise _malformed(str(error)) from None
    return [read_object(number, partial(_text, item), item) for number, item in enumerate(_items(found), first)]


class RequestBehaviors:
    """A ``BehaviorSource`` over a document of requests. Raises as ``rows_of_body``; Corrupt ``request_malformed``."""

    format = MEDIA

    def __init__(self, content: Content) -> None:
        self._content = content
        self.digest = content.digest
        self.size_bytes = content.size_bytes

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
        for line in self._lines():
            rows = rows_of_body(request_of(line).body, first)
            yield rows
            first += len(rows)

    def _lines(self) -> Iterator[bytes]:
        begun = b""
        for block in self._content.blocks():
            *lines, begun = (begun + block).split(b"\n")
            yield from lines
            if len(begun) > _MAX_LINE_BYTES:
                raise Corrupt("request_malformed", "a line is longer than any request", remedy="compare with a backup")
        if begun:
            raise Corrupt("request_malformed", "the last line has no end", remedy="compare it with a backup")


def _items(found: object) -> list[object]:
    if not isinstance(found, Members):
        raise _malformed("it is no object")
    values = dict(found)
    if "items" not in values:
        return [found]
    items = values["items"]
    if len(found) != 1 or not isinstance(items, list):
        raise _malformed("a batch is an object with the one key items, an array")
    if not items:
        raise Rejected("batch_empty", "the batch has no items", field="items", remedy="send at least one")
    if len(items) > MAX_ITEMS:
        raise Rejected(
            "batch_too_long",
            f"{len(items)} items are more than {MAX_ITEMS}",
            field="items",
            remedy="send several batches, or import a file",
        )
    return items


def _malformed(why: str) -> Rejected:
    return Rejected("body_malformed", f"the body is no behavior and no batch: {why}", field="body", remedy=_REMEDY)


def _text(item: object) -> bytes:
    """An item's text, to show it to whoever has to repair it."""
    return json.dumps(_plain(item), ensure_ascii=False).encode("utf-8", "replace")


def _plain(item: object) -> object:
    if isinstance(item, Members):
        return {key: _plain(value) for key, value in item}
    return [_plain(each) for each in item] if isinstance(item, list) else item
