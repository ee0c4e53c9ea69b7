"""Why a number: the answer of ``account explain`` for people."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType

from interfaces.cli.output import facts, heading, mass_text, table


def explain_text(payload: dict[str, Any]) -> list[RenderableType]:
    """For people: what happened, then each valuation with its workings."""
    human: list[RenderableType] = [
        heading(f"{mass_text(int(payload['credited_mg']))} CO2e"),
        facts(
            [
                ("behavior", payload["behavior"]),
                ("quantity", f"{payload['quantity']} {payload['unit']}"),
                ("occurred", f"{payload['occurred_at'] or 'erased'}, civil day {payload['day']}"),
                ("region", payload["region"] or "none given"),
                ("reported by", f"{payload['partner']} as {payload['source_ref'] or 'erased'}"),
                ("evidence", f"intake {payload['intake']}, line {payload['line']}"),
                ("consent", payload["consent"]),
                ("recorded", f"at log position {payload['credit_position']}, account {payload['account_id']}"),
            ]
        ),
    ]
    for number, valuation in enumerate(payload["valuations"], start=1):
        human += _valuation_text(number, valuation)
    return human


def _valuation_text(number: int, valuation: dict[str, Any]) -> list[RenderableType]:
    since = f"since log position {valuation['position']} ({valuation['recorded_at']})"
    title = heading(f"{number}. {mass_text(int(valuation['credited_mg']))} {since}")
    if valuation["by"] == "reversal":
        return [title, facts([("reversed", valuation["reason"] or "erased")])]
    values = "; ".join(
        f"{each['name']} = {each['value']} (region {each['region']})" for each in valuation["parameters"]
    )
    pairs = [
        ("version", f"{valuation['methodology']}, digest {valuation['methodology_digest']}"),
        ("decided by", f"{valuation['by']}, by {', '.join(valuation['decided_by'])}"),
        ("formula", valuation["formula"]),
        ("values", values),
        ("exact result", valuation["exact"]),
        ("rounded", _computed(valuation)),
        ("credited", mass_text(int(valuation["credited_mg"]))),
    ]
    if valuation["reason"]:
        pairs.append(("reason", valuation["reason"]))
    if valuation["releases"]:
        pairs.append(("releases", ", ".join(f"{name}={release}" for name, release in valuation["releases"].items())))
    sources = [(each["title"], each["page"] or "", each["grade"]) for each in valuation["sources"]]
    return [title, facts(pairs), table(("source", "page", "grade"), sources)]


def _computed(valuation: dict[str, Any]) -> str:
    if valuation["computed_mg"] is None:
        return "cannot be valued"
    return f"{valuation['rounding']}, to {mass_text(int(valuation['computed_mg']))}"
