"""A whole book in memory with files imported into it, for the use cases that compare and search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from application import initializing
from application.book import Book
from application.importing import ImportResult, import_behaviors
from application.ports.behavior_source import BehaviorSource
from domain.events.registry import decode, encode
from domain.instants import instant_of
from infrastructure import catalogue
from infrastructure.behavior_files import open_behavior_file
from infrastructure.memory import MemoryJournal, MemoryKeys
from infrastructure.memory_evidence import MemoryEvidence
from tests.e2e.cli_tools import HEADER

BEGINNING = "2026-06-01T00:00:00Z"


class MemoryTown:
    """The demo catalogue, a clock that is told, and an evidence store."""

    def __init__(self, folder: Path, retention_days: int = 0) -> None:
        self.folder, self.now_us = folder, instant_of(BEGINNING)
        self.journal = MemoryJournal(lambda: self.now_us)
        self.book = Book(self.journal, MemoryKeys())
        self.store = MemoryEvidence()
        initializing.open_book(self.book, retention_days=retention_days)
        initializing.load_catalogue(self.book, catalogue.documents())

    def tell(self, now: str) -> None:
        """Set the clock."""
        self.now_us = instant_of(now)

    def file(self, *rows: str, name: str = "rows.csv") -> BehaviorSource:
        """A behavior file of these rows."""
        path = self.folder / name
        path.write_text("\n".join((HEADER, *rows, "")), "utf-8")
        return open_behavior_file(path)

    def receive(
        self, *rows: str, partner: str = "metro", kept: bool = True, opens: bool = True, name: str = "rows.csv"
    ) -> ImportResult:
        """Import rows."""
        store = self.store if kept else None
        return import_behaviors(self.book, self.file(*rows, name=name), partner, opens_accounts=opens, evidence=store)

    def alter(self, position: int, **changes: Any) -> None:
        """Change the facts of a stored event, as somebody with the database could."""
        row = self.journal._rows[position - 1]
        facts, personal = decode(row.topic, row.state)
        changed = type(facts)(**{name: getattr(facts, name) for name in facts.__struct_fields__} | changes)
        self.journal._rows[position - 1] = row._replace(state=encode(changed, personal))
