"""How acts on rules are answered, as JSON: by the command line and over HTTP alike.

Keeps: the sums have the same names in every answer; null = nothing values it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from application.acts import TextToSign
from application.revising import Planned
from domain.applicability import ChangeOfHand, Decision
from domain.rulebook import period_texts

DIRECTIONS: Final = ("rising_accounts", "falling_accounts", "unchanged_accounts", "turned_negative_accounts")


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


def plan_json(planned: Planned) -> dict[str, Any]:
    """A plan; a dry run has no ``revision_id``. ``report``: what its digest was taken of."""
    report = planned.report
    return {
        "revision_id": planned.revision_id or None,
        "plan_digest": planned.plan_digest,
        **planned.impact,
        "state": "planned" if planned.revision_id else "dry_run",
        **{key: report[key] for key in DIRECTIONS},
        "not_valued": planned.not_valued,
        "not_valued_by": planned.not_valued_by,
        "left_out": planned.left_out,
        "changes": changes_json(planned.changes),
        "report": report,
        "position": planned.position,
    }


def to_sign_json(asked: TextToSign) -> dict[str, Any]:
    """What a person is to sign, but the text itself. ``rulebook``: the position that it names."""
    act = asked.act
    return {
        "act": act.name,
        "object": act.object,
        "actor": act.actor,
        "shown": act.shown,
        "content": act.content,
        "rulebook": asked.seen,
    }


def _decision_json(decision: Decision | None) -> dict[str, str] | None:
    return None if decision is None else {"methodology": decision.methodology, "decision": decision.id}
