"""A file of rows in one of the formats of ``domain.audit.event_rows``, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from domain.audit.event_rows import EventRow


class RowWriter(Protocol):
    """Port of a format. What it has written is a file only after ``finish``."""

    def put(self, rows: Sequence[EventRow]) -> None:
        """The next rows."""

    def finish(self) -> None:
        """There are no more rows."""


Write = Callable[[bytes], object]
"""Takes the next bytes of the file."""

RowFormat = Callable[[Write, bool], RowWriter]
"""A writer for where bytes go, and whether the rows have a personal part."""
