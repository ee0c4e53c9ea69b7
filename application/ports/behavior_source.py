"""Where behavior rows come from, and where refused ones go.

Keeps: every row of the source comes out exactly once, in order, as a ``Behavior`` or as a ``RefusedRow``; one bad row
never hides a good one. Reading is streamed: memory does not grow with the source.
Leaves to others: what a row is worth, and every refusal that depends on the ledger's state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from domain.behavior import Behavior, Refusal, columns_of


class RefusedRow(NamedTuple):
    """A refused row with what its sender needs to repair it.

    ``columns`` are the seven columns as submitted, in ``domain.behavior.COLUMNS`` order. Where they are not known
    (broken quotes, invalid UTF-8, not JSON) all are empty and ``raw`` holds the row's own text, of a very long row its
    beginning. So the row can never be taken for a good one when the rejects file is imported unrepaired.
    """

    refusal: Refusal
    columns: tuple[str, ...]
    raw: str = ""


ParsedRow = Behavior | RefusedRow


def refuse(row: Behavior, code: str, field: str, message: str, remedy: str) -> RefusedRow:
    """A well-formed row that a later check refuses; its decimal is written in normalized form."""
    return RefusedRow(Refusal(row.line, code, field, message, remedy), columns_of(row))


class BehaviorSource(Protocol):
    """A file of behaviors whose content is fixed by ``digest``."""

    @property
    def digest(self) -> str:
        """SM3 of all bytes, in lower-case hex; known before the first row is read."""

    @property
    def size_bytes(self) -> int:
        """Length in bytes."""

    @property
    def format(self) -> str:
        """``csv``, ``jsonl`` or ``parquet``."""

    @property
    def bytes_read(self) -> int:
        """How far the latest pass of ``rows`` has come, from 0 to ``size_bytes`` (Parquet: in proportion to rows)."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes themselves, in blocks; a new pass as ``rows``, raising as it does."""

    def rows(self, batch_rows: int) -> Iterator[list[ParsedRow]]:
        """All rows in order, in lists of ``batch_rows`` (the last may be shorter, none is empty).

        Every call is a new pass from the beginning. Raises ``Rejected`` ``file_changed`` when the bytes are no longer
        those of ``digest``; what was read before that must then not be closed as an intake of this digest.
        """


class RejectsSink(Protocol):
    """Takes refused rows for the sender of the file."""

    def write(self, row: RefusedRow) -> None:
        """Keep one refused row."""
