"""The read side: views that follow the log, may be dropped at any time, and are never asked to decide anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from application.projections.entries import StatementRow

if TYPE_CHECKING:
    from application.ports.archive import Archive

VIEWS = ("account_balance", "account_statement", "book_totals")


class BehaviorTotal(NamedTuple):
    """Book total of one behavior: mg, recorded credits, accounts with a credit."""

    behavior: str
    credited_mg: int
    credits: int
    accounts: int


class ViewCheck(NamedTuple):
    """One view against the same view built anew from the log: rows, and how many differ."""

    view: str
    rows: int
    differing: int


class Views(Protocol):
    """Port of the read side."""

    def advance(self, min_position: int) -> int:
        """Follow the log until at least ``min_position`` is shown (read your own writes); returns the position.

        It is an earlier one where this role may read the views and not write them.
        """

    def still(self) -> AbstractContextManager[int]:
        """Hold what this thread reads inside still, at one position, which is given; others go on meanwhile."""

    def balances(self, at: int | None = None) -> Iterator[tuple[UUID, str, int]]:
        """(account, behavior, mg) of every pair with a credit, by account id and behavior; as of position ``at``."""

    def totals(self, at: int | None = None) -> list[BehaviorTotal]:
        """Totals by behavior, as of position ``at`` (default: as shown)."""

    def accounts(self, at: int | None = None) -> int:
        """How many accounts have a recorded credit."""

    def statement(self, account: UUID) -> list[StatementRow]:
        """The account's statement in log order."""

    def rebuild(
        self, names: tuple[str, ...], progress: Callable[[int], None] | None = None, archive: Archive | None = None
    ) -> int:
        """Build the named views anew beside the live ones, then swap; returns the number of rows.

        ``archive``: what it covers is taken from its columns, which is faster; only the rest is read from the log.
        """

    def check(self, progress: Callable[[int], None] | None = None) -> list[ViewCheck]:
        """Build all views anew and compare them with the live ones, row by row, at one position.

        ``progress`` is listed too when its position is beyond the log.
        """
