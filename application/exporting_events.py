"""Exported events for those who must answer for the records: rows of the log, and a manifest that the log's key signs.

Keeps: rows are the log's own order and values; whatever was asked for stands in the manifest, so that a reader knows
what a missing row means. Where every event is read, their leaves must lead to the signed root, or nothing is signed. It
streams: memory does not grow with the log. Personal parts are opened for the rows that are written, and for no other.
Leaves to ``application.verification.events``: judging. The format is specified in ``docs/spec/events-export.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple
from uuid import UUID

from application.checkpoints import Auditing, sign, signed_text
from application.ports.audit_log import Logged
from application.ports.row_writer import RowFormat, Write
from application.tree_walk import log_changed
from domain.audit.bundle import EventLine
from domain.audit.checkpoint import Checkpoint
from domain.audit.event_rows import ERASED, EventRow
from domain.audit.events_manifest import Chosen, Manifest, accounts_of, body_of
from domain.audit.leaves import leaf_of, sealed_hash, unpack
from domain.audit.merkle import extend, root_of
from domain.digest import new_sm3
from domain.errors import Rejected
from domain.events.base import Personal
from domain.events.registry import TOPICS, encode_part
from domain.values import EPOCH_ORDINAL, MICROSECONDS_PER_DAY, day_number

EVENTS_PER_PAGE: Final = 1_000


class EventFilter(NamedTuple):
    """What to export. Days of recording in UTC, [from, to); "" where it is open. ``until``: the last position."""

    from_day: str = ""
    to_day: str = ""
    accounts: Sequence[UUID] | None = None
    topics: Sequence[str] = ()
    until: int | None = None


class ExportedEvents(NamedTuple):
    """The manifest, and the note that it is signed in."""

    manifest: Manifest
    note: bytes


def export_events(
    auditing: Auditing,
    wanted: EventFilter,
    format_name: str,
    row_format: RowFormat,
    write: Write,
    *,
    personal: bool = False,
    software: str,
    recorded: Callable[[Sequence[UUID] | None], object] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> ExportedEvents:
    """Write the rows, and sign what was written. ``recorded``: puts on record whose events leave, before any does.

    Raises Rejected ``topic_unknown``, ``position_unknown``; Corrupt ``log_changed`` and as ``sign``.
    """
    refuse_unknown(wanted, auditing.book.journal.head().size)
    checkpoint = sign(auditing).checkpoint
    chosen = _chosen(auditing, wanted, checkpoint)
    recorded(wanted.accounts)
    file = _Digested(write)
    writer = row_format(file.write, personal)
    rows = 0
    for page in _pages(auditing, wanted, chosen, checkpoint, progress):
        found = auditing.log.opened([each for each, _ in page]) if personal else None
        told = [None] * len(page) if found is None else list(map(_personal_text, page, found))
        writer.put([_row(each, leaf, text) for (each, leaf), text in zip(page, told, strict=True)])
        rows += len(page)
    writer.finish()
    manifest = Manifest(
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root,
        format_name,
        personal,
        chosen,
        rows,
        file.size_bytes,
        file.state.digest(),
        software,
    )
    note = signed_text(auditing, checkpoint.origin, checkpoint.size, body_of(manifest), auditing.keys())
    return ExportedEvents(manifest, note)


class _Digested:
    """What goes to a file, counted and digested on its way."""

    def __init__(self, write: Write) -> None:
        self._write, self.state, self.size_bytes = write, new_sm3(), 0

    def write(self, content: bytes) -> int:
        self._write(content)
        self.state.update(content)
        self.size_bytes += len(content)
        return len(content)


_WithLeaf = tuple[Logged, bytes]


def _pages(
    auditing: Auditing,
    wanted: EventFilter,
    chosen: Chosen,
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
) -> Iterator[list[_WithLeaf]]:
    """What was asked for with its leaves. Where the whole log is read, all leaves must lead to the signed root."""
    book, topics = auditing.log.head().book, set(wanted.topics)
    accounts = None if wanted.accounts is None else set(wanted.accounts)
    whole = (chosen.first, chosen.last) == (1, checkpoint.size)
    place, frontier = chosen.first - 1, list[bytes]()
    logged = auditing.log.logged(place, chosen.last)
    while page := list(islice(logged, EVENTS_PER_PAGE)):
        for position, each in enumerate(page, start=place + 1):
            if each.position != position:
                raise log_changed(position, f"there is no event at position {position}")
        kept = [(accounts is None or each.stream in accounts) and (not topics or each.topic in topics) for each in page]
        leaves = [_leaf(book, each) if whole or keep else b"" for each, keep in zip(page, kept, strict=True)]
        if whole:
            frontier = extend(place, frontier, leaves)
        place += len(page)
        yield [(each, leaf) for each, leaf, keep in zip(page, leaves, kept, strict=True) if keep]
        progress(place)
    if place < chosen.last:
        raise log_changed(place + 1, f"there is no event at position {place + 1}")
    if whole and root_of(frontier) != checkpoint.root:
        raise log_changed(checkpoint.size, "the events of the log do not lead to the root that was signed")


def _leaf(book: bytes, each: Logged) -> bytes:
    return leaf_of(book, each.position, each.stream.bytes, each.version, each.topic, each.recorded_us, each.state)


def _row(each: Logged, leaf: bytes, personal: str | None) -> EventRow:
    salt, facts, sealed = unpack(each.state)
    event = EventLine(
        each.position,
        each.stream.bytes,
        each.version,
        each.topic,
        each.recorded_us,
        salt,
        facts,
        sealed_hash(sealed),
    )
    return EventRow(event, leaf, personal)


def _personal_text(page: _WithLeaf, opened: Personal | None) -> str:
    """What a row tells of the personal part of an event."""
    if opened is not None:
        return encode_part(opened).decode()
    return ERASED if unpack(page[0].state).sealed else ""


def _chosen(auditing: Auditing, wanted: EventFilter, checkpoint: Checkpoint) -> Chosen:
    """What was asked for, as the manifest says it, with the positions that it comes to."""
    journal, size = auditing.book.journal, checkpoint.size
    until = size if wanted.until is None else wanted.until
    first = 1 if not wanted.from_day else 1 + journal.position_at(_start_us(wanted.from_day) - 1)
    last = until if not wanted.to_day else min(until, journal.position_at(_start_us(wanted.to_day) - 1))
    accounts = None if wanted.accounts is None else accounts_of([each.bytes for each in wanted.accounts])
    topics = tuple(sorted(set(wanted.topics)))
    # A day after the last event of the log: there is nothing, and the positions must say so within the log.
    first = min(first, size + 1)
    return Chosen(wanted.from_day, wanted.to_day, accounts, topics, first, max(first - 1, last))


def _start_us(day: str) -> int:
    return (day_number(day) - EPOCH_ORDINAL) * MICROSECONDS_PER_DAY


def refuse_unknown(wanted: EventFilter, size: int) -> None:
    """Whether a log of so many events has what a filter names.

    Raises Rejected ``topic_unknown``, ``position_unknown``.
    """
    unknown = sorted(set(wanted.topics) - set(TOPICS))
    if unknown:
        raise Rejected(
            "topic_unknown",
            f"no event is known under {', '.join(unknown)}",
            field="topics",
            remedy="docs/events.md lists the topics of all events",
        )
    if wanted.until is not None and wanted.until > size:
        raise Rejected(
            "position_unknown",
            f"the log has {size} events",
            field="until",
            remedy=f"name a position up to {size}, or leave it out",
        )
