"""What each event changes in the views: the pure part of every projection.

Keeps: rows depend on the event alone; applying the pages of the log in any sizes gives the same views (rebuild equals
incremental, by digest). Masses are changes in mg.
- ``account_statement``: one row per credit, reversal and revision part, as the account holder reads it.
- ``account_balance``: per (account, behavior) the sum of these rows and the number of credits.
- ``book_totals``: per behavior the same over all accounts, and how many accounts have a credit.
Leaves to ``infrastructure.postgres.views``: tables, position, transactions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from domain.events.account import BehaviorCredited, BehaviorReversed, FactorRevised
from domain.events.base import Recorded
from domain.values import day_number, integer_of


class StatementRow(NamedTuple):
    """One row of ``account_statement``. ``kind``: credited, reversed or revised; ``day`` is None for revisions.

    ``source``: decision of a credit, revision id of a revision, stream version of the reversed credit.
    """

    account_id: UUID
    position: int
    version: int
    kind: str
    behavior: str
    day: str | None
    change_mg: int
    source: str


class BalanceChange(NamedTuple):
    """What a page of the log changes in one row of ``account_balance``."""

    credited_mg: int
    credits: int


def statement_rows(recorded: Iterable[Recorded]) -> list[StatementRow]:
    """The statement rows of a page of the log, in log order."""
    rows: list[StatementRow] = []
    for stream, version, position, event, _ in recorded:
        kind = type(event)
        if kind is BehaviorCredited:
            change = integer_of(event.credited_mg)
            rows.append(
                StatementRow(stream, position, version, "credited", event.behavior, _day(event), change, event.decision)
            )
        elif kind is BehaviorReversed:
            change = -integer_of(event.reversed_mg)
            source = str(event.credit)
            rows.append(
                StatementRow(stream, position, version, "reversed", event.behavior, _day(event), change, source)
            )
        elif kind is FactorRevised:
            change = sum(integer_of(line.credited_mg) - integer_of(line.before_mg) for line in event.lines)
            rows.append(
                StatementRow(stream, position, version, "revised", event.behavior, None, change, event.revision)
            )
    return rows


def _day(event: BehaviorCredited | BehaviorReversed) -> str:
    """The event's civil day, once it is known to be one."""
    day_number(event.day)
    return event.day


def balance_changes(rows: Iterable[StatementRow]) -> dict[tuple[UUID, str], BalanceChange]:
    """What statement rows change, per (account, behavior)."""
    sums: dict[tuple[UUID, str], list[int]] = {}
    for row in rows:
        change = sums.setdefault((row.account_id, row.behavior), [0, 0])
        change[0] += row.change_mg
        change[1] += row.kind == "credited"
    return {key: BalanceChange(mg, credits) for key, (mg, credits) in sums.items()}
