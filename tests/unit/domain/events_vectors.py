"""The example and the vectors of docs/spec/events-export.md: the book of the bundle's vectors, as rows."""

from __future__ import annotations

import json

from domain.audit import bundle
from domain.audit.event_rows import CSV, ERASED, JSONL, EventRow, cells_of, csv_header, csv_line, jsonl_line
from domain.audit.events_manifest import Chosen, Manifest, accounts_of, body_of
from domain.audit.note import key_hash_of, note_of, signed_message
from domain.digest import new_sm3
from domain.events.account import AccountOpened, BehaviorReversed
from tests.golden.signing_story import FIRST, public_of, signed
from tests.unit.domain import bundle_vectors as book

SOFTWARE = "carbon-ledger 0.1.0"
TOPICS = tuple(sorted((AccountOpened.TOPIC, BehaviorReversed.TOPIC)))


def rows() -> list[EventRow]:
    return [EventRow(bundle.parse_event(line), leaf) for line, leaf in zip(book.lines(), book.leaves(), strict=True)]


def whole_log() -> tuple[bytes, bytes]:
    """Everything as JSON Lines: the file and its manifest."""
    content = b"".join(jsonl_line(cells_of(row)) for row in rows())
    size = book.world().size
    return content, note(content, JSONL, False, Chosen("", "", None, (), 1, size), size)


def some_rows() -> tuple[bytes, bytes]:
    """What some accounts are asked for, as CSV in clear: the file and its manifest."""
    chosen = [row for row in rows() if row.event.topic in TOPICS and row.event.stream == book.ANN.bytes]
    told = ['{"account_ref":"=ann"}', ERASED]
    clear = [row._replace(personal=text) for row, text in zip(chosen, told, strict=True)]
    content = csv_header(personal=True) + b"".join(csv_line(cells_of(row)) for row in clear)
    asked = Chosen("2026-03-02", "", accounts_of([book.ANN.bytes]), TOPICS, 9, book.world().size)
    return content, note(content, CSV, True, asked, len(clear))


def note(content: bytes, form: str, personal: bool, chosen: Chosen, count: int) -> bytes:
    point = book.checkpoint()
    sm3 = new_sm3(content).digest()
    body = body_of(
        Manifest(point.origin, point.size, point.root, form, personal, chosen, count, len(content), sm3, SOFTWARE)
    )
    key_hash = key_hash_of(point.origin, b"\4" + public_of(FIRST))
    return note_of(body, [(point.origin, key_hash, bytes.fromhex(signed(FIRST, signed_message(body))))])


def example() -> str:
    """The manifest that the document begins with, and the first lines of its file."""
    content, manifest = whole_log()
    return f"{manifest.decode()}\n{b''.join(content.splitlines(keepends=True)[8:10]).decode()}"


def vectors() -> str:
    made = {JSONL: whole_log(), CSV: some_rows()}
    files = {name: {"manifest": note.decode(), "file": content.decode()} for name, (content, note) in made.items()}
    return json.dumps({"public_key": public_of(FIRST).hex(), **files}, indent=1, ensure_ascii=False)
