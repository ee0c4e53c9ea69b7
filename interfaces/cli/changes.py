"""How the (region, interval) sets that change hands are told (DESIGN 3, Applicability decision)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from domain.applicability import ChangeOfHand, Decision
from domain.rulebook import period_texts
from interfaces.cli.output import table


def changes_json(changes: Sequence[ChangeOfHand]) -> list[dict[str, Any]]:
    """The sets as JSON: ``before`` and ``after`` name methodology and decision, null = nothing values it."""
    return [
        {
            "region": change.region,
            "from": period_texts(change.period)[0],
            "to": period_texts(change.period)[1],
            "before": _decision_json(change.before),
            "after": _decision_json(change.after),
        }
        for change in changes
    ]


def changes_table(changes: Sequence[ChangeOfHand], title: str = "What changes hands") -> RenderableType:
    """The sets as a table."""
    if not changes:
        return Text("Nothing changes hands.")
    rows = []
    for change in changes:
        start, end = period_texts(change.period)
        rows.append((change.region, start or "open", end or "open", _name(change.before), _name(change.after)))
    return table(("region", "from", "to", "valued before by", "valued now by"), rows, title=title)


def _decision_json(decision: Decision | None) -> dict[str, str] | None:
    return None if decision is None else {"methodology": decision.methodology, "decision": decision.id}


def _name(decision: Decision | None) -> str:
    return "nothing" if decision is None else f"{decision.methodology} ({decision.id})"
