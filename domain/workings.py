"""The workings of a credit on one line: where it came from, which decision values it, the formula with its values.

Keeps: nothing is in it that does not stand in the log or follow from it: whoever has the rulebook, the credit and its
intake makes the same bytes. It tells how the credit was valued when it was recorded, not what revisions made of it.
Leaves to others: whether it was valued rightly (``domain.replay``). The line is specified in ``docs/spec/bundle.md``.
"""

from __future__ import annotations

import json

from domain.behavior import decimal_text
from domain.events.account import BehaviorCredited
from domain.events.base import Recorded
from domain.events.intake import IntakeOpened
from domain.rulebook import Rulebook
from domain.values import day_number, integer_of


def workings_line(rulebook: Rulebook, credit: Recorded, intake: IntakeOpened) -> bytes:
    """The line, without its end. Raises ValueError where the rulebook gives no value."""
    facts: BehaviorCredited = credit.event
    day, quantity = day_number(facts.day), integer_of(facts.quantity)
    decision = rulebook.lookup(facts.behavior, facts.region, credit.position).on(day)
    found = None if decision is None else decision.valuer.explain(facts.region, day, quantity)
    if decision is None or found is None or found.exact is None:
        raise ValueError("no decision values it")
    parameters = [
        {"name": name, "region": row.region, "value": decimal_text(row.value.value, row.value.scale)}
        for name, row in found.rows
        if row is not None
    ]
    told = {
        "stream": str(credit.stream),
        "version": credit.version,
        "position": credit.position,
        "partner": facts.partner,
        "intake": facts.intake,
        "digest": intake.digest,
        "line": facts.line,
        "behavior": facts.behavior,
        "day": facts.day,
        "region": facts.region,
        "quantity": decimal_text(quantity, decision.method.scale),
        "unit": facts.unit,
        "consent": facts.consent,
        "decision": decision.id,
        "methodology": decision.methodology,
        "methodology_digest": rulebook.methodologies[decision.methodology].digest,
        "formula": decision.method.formula_text,
        "parameters": parameters,
        "exact": decimal_text(found.exact.value, found.exact.scale),
        "result_mg": decision.method.result_mg,
        "rounding": decision.method.rounding,
        "computed_mg": str(found.computed_mg),
        "credited_mg": facts.credited_mg,
    }
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
