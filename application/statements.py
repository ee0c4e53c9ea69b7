"""An account's statement: every credit, reversal and revision in log order, with the balance after each.

Keeps: the balance of a line is that of all lines before it, whatever part of the statement is shown; a line says of a
credit what its own event says.
Leaves to ``projections.entries``: which events are lines, and what each changes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

from application.book import Book
from application.ports.views import Views
from domain.history import AccountHistory
from domain.instants import instant_text


class Statement(NamedTuple):
    """``entries``: the lines asked for. ``by_behavior``: sums in mg of the whole statement, by name.

    ``position``: log size that it shows; ``changed``: position of its last line, 0 without any. ``following``: the
    position after which the next part begins; None where this is the last.
    """

    account_id: str
    entries: list[dict[str, Any]]
    by_behavior: dict[str, int]
    position: int
    changed: int
    following: int | None


def statement(
    book: Book, views: Views, account: UUID, *, personal: bool, after: int = 0, most: int | None = None
) -> Statement:
    """The lines after a log position, at most so many. ``personal``: with the partners' references, unsealed."""
    position = views.advance(book.journal.head().size)
    rows = views.statement(account)
    history = AccountHistory().extend(book.journal.stream(account, position, personal=personal))
    lines = Counter(valuation.position for credit in history.credits.values() for valuation in credit.valuations)
    sums: dict[str, int] = {}
    total, shown = 0, list[tuple[Any, int]]()
    for row in rows:
        sums[row.behavior] = sums.get(row.behavior, 0) + row.change_mg
        total += row.change_mg
        if row.position > after:
            shown.append((row, total))
    page = shown if most is None else shown[:most]
    times = book.journal.recorded_at([row.position for row, _ in page])
    entries = []
    for row, balance_mg in page:
        version = int(row.source) if row.kind == "reversed" else row.version
        credit = history.credits.get(version)
        entries.append(
            {
                "position": row.position,
                "recorded_at": instant_text(times[row.position]),
                "kind": row.kind,
                "behavior": row.behavior,
                "day": row.day,
                "change_mg": str(row.change_mg),
                "balance_mg": str(balance_mg),
                "source": row.source,
                "lines": lines[row.position] if row.kind == "revised" else None,
                "credit": None if credit is None else version,
                "partner": None if credit is None else credit.facts.partner,
                "source_ref": None if credit is None or credit.personal is None else credit.personal.source_ref,
            }
        )
    following = page[-1][0].position if len(page) < len(shown) else None
    changed = rows[-1].position if rows else 0
    return Statement(str(account), entries, dict(sorted(sums.items())), position, changed, following)
