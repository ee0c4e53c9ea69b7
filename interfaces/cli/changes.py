"""How the (region, interval) sets that change hands are told (DESIGN 3, Applicability decision)."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from domain.applicability import ChangeOfHand, Decision
from domain.rulebook import period_texts
from interfaces.cli.output import table


def changes_table(changes: Sequence[ChangeOfHand], title: str = "What changes hands") -> RenderableType:
    """The sets as a table."""
    if not changes:
        return Text("Nothing changes hands.")
    rows = []
    for change in changes:
        start, end = period_texts(change.period)
        rows.append((change.region, start or "open", end or "open", _name(change.before), _name(change.after)))
    return table(("region", "from", "to", "valued before by", "valued now by"), rows, title=title)


def _name(decision: Decision | None) -> str:
    return "nothing" if decision is None else f"{decision.methodology} ({decision.id})"
