"""Rows of partners that were credited on each civil day, in ``journal.partner_days``: what quotas of a day are held to.

Keeps: a day never counts more than its quota allows, and nothing that was not recorded: the row is changed by the
append's own transaction, which holds the head, so of several processes one counts after the other. What counts and
what says that it did not are parts of the append's last message: a round trip is only needed where a day is full.
"""

from __future__ import annotations

from typing import Any

from psycopg import Cursor, sql

from application.ports.journal import DayFull, DayRows
from domain.values import day_text

ROWS = "SELECT rows FROM journal.partner_days WHERE partner = %s AND day = %s"


def counting(cursor: Cursor[Any], added: DayRows) -> str:
    """The statement that counts, with its end; it must be the first of its message."""
    partner = sql.Literal(added.partner).as_string(cursor)
    row = f"{partner}, DATE '{day_text(added.day)}', {added.rows:d}"
    add = "ON CONFLICT (partner, day) DO UPDATE SET rows = d.rows + EXCLUDED.rows"
    if added.most is None:
        return f"INSERT INTO journal.partner_days AS d VALUES ({row}) {add};"
    return (
        f"INSERT INTO journal.partner_days AS d SELECT {row} WHERE {added.rows:d} <= {added.most:d}"
        f" {add} WHERE d.rows + EXCLUDED.rows <= {added.most:d};"
    )


def refuse_uncounted(cursor: Cursor[Any], added: DayRows) -> None:
    """Asked right after the message that counts. Raises DayFull: the transaction must be undone."""
    if cursor.rowcount != 1:
        raise DayFull(rows_of(cursor.execute(ROWS, (added.partner, day_text(added.day))).fetchall()))


def rows_of(found: list[Any]) -> int:
    """What ``ROWS`` found; a day without a row has none."""
    return int(found[0][0]) if found else 0
