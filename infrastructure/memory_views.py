"""In-memory twin of the port ``views``: the same promises, nothing durable (see ``infrastructure.memory``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from application.ports.journal import Journal
from application.ports.views import VIEWS, BehaviorTotal, ViewCheck
from application.projections.entries import StatementRow, balance_changes, statement_rows
from domain.errors import Rejected
from domain.events.base import Recorded


class _Tables:
    """The rows of the three views."""

    def __init__(self) -> None:
        self.account_statement: dict[tuple[UUID, int], StatementRow] = {}
        self.account_balance: dict[tuple[UUID, str], tuple[int, int]] = {}
        self.book_totals: dict[str, tuple[int, int, int]] = {}

    def show(self, page: Sequence[Recorded]) -> None:
        rows = statement_rows(page)
        self.account_statement.update(((row.account_id, row.position), row) for row in rows)
        for key, change in balance_changes(rows).items():
            accounts = 0 if key in self.account_balance else 1
            mg, credits = self.account_balance.get(key, (0, 0))
            self.account_balance[key] = (mg + change.credited_mg, credits + change.credits)
            mg, credits, known = self.book_totals.get(key[1], (0, 0, 0))
            self.book_totals[key[1]] = (mg + change.credited_mg, credits + change.credits, known + accounts)


class MemoryViews:
    """Views port; see ``application.ports.views``."""

    def __init__(self, journal: Journal, *, page: int = 5_000) -> None:
        self._journal = journal
        self._page = page
        self._position = 0
        self._tables = _Tables()
        self._held = threading.RLock()

    def advance(self, min_position: int) -> int:
        with self._held:
            min_position = min(min_position, self._journal.head().size)
            while self._position < min_position:
                upto = min(min_position, self._position + self._page)
                self._tables.show(list(self._journal.log(self._position, upto)))
                self._position = upto
            return self._position

    @contextmanager
    def still(self) -> Iterator[int]:
        with self._held:
            yield self._position

    def balances(self, at: int | None = None) -> Iterator[tuple[UUID, str, int]]:
        with self._held:
            balances = self._as_of(at).account_balance
            rows = sorted((account, behavior, mg) for (account, behavior), (mg, _) in balances.items())
        yield from rows

    def totals(self, at: int | None = None) -> list[BehaviorTotal]:
        with self._held:
            return [BehaviorTotal(behavior, *row) for behavior, row in sorted(self._as_of(at).book_totals.items())]

    def accounts(self, at: int | None = None) -> int:
        with self._held:
            return len({account for account, _ in self._as_of(at).account_balance})

    def statement(self, account: UUID) -> list[StatementRow]:
        with self._held:
            rows = [row for (owner, _), row in self._tables.account_statement.items() if owner == account]
        return sorted(rows, key=lambda row: row.position)

    def rebuild(
        self, names: tuple[str, ...], progress: Callable[[int], None] | None = None, archive: object = None
    ) -> int:
        unknown = sorted(set(names) - set(VIEWS))
        if unknown:
            raise Rejected("view_unknown", f"there is no view {unknown[0]}", field="name", remedy=", ".join(VIEWS))
        with self._held:
            anew = self._built(progress)
            for name in names:
                setattr(self._tables, name, getattr(anew, name))
            return sum(len(getattr(self._tables, name)) for name in names)

    def check(self, progress: Callable[[int], None] | None = None) -> list[ViewCheck]:
        with self._held:
            anew = self._built(progress)
            return [_compare(name, getattr(self._tables, name), getattr(anew, name)) for name in VIEWS]

    def _built(self, progress: Callable[[int], None] | None) -> _Tables:
        tables = _Tables()
        tables.show(list(self._journal.log(0, self._position)))
        if progress is not None and self._position:
            progress(self._position)
        return tables

    def _as_of(self, at: int | None) -> _Tables:
        if at is None:
            return self._tables
        tables = _Tables()
        tables.show(list(self._journal.log(0, min(at, self._position))))
        return tables


def _compare(name: str, shown: dict[object, object], built: dict[object, object]) -> ViewCheck:
    """A row that differs counts twice: one too many, one missing."""
    return ViewCheck(name, len(shown), len(shown.items() ^ built.items()))
