"""A slow second opinion on the calculation law, written from DESIGN sections 3 and 6 alone.

Keeps: shares no code and no representation with ``domain.kernel``: fractions instead of scaled integers, calendar
dates instead of day numbers, the methodology file as it stands instead of a parsed method, Python's own grammar
instead of the formula reader, and every cap total counted anew from the list of all credits.
Leaves to the callers: making cases and comparing.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from functools import lru_cache
from typing import Any

Document = Mapping[str, Any]
Factors = Mapping[str, Sequence[Mapping[str, Any]]]
Recorded = tuple[date, int]  # a recorded credit: its civil day and the mg it holds


def civil_date(instant: str, utc_offset: str) -> date:
    """The date on a wall calendar that always runs ``utc_offset`` ahead of UTC."""
    sign = -1 if utc_offset[0] == "-" else 1
    ahead = sign * timedelta(hours=int(utc_offset[1:3]), minutes=int(utc_offset[4:6]))
    return datetime.fromisoformat(instant).astimezone(timezone(ahead)).date()


def rounded(value: Fraction, mode: str) -> int:
    """To a whole number: toward zero, to the nearest with ties to even, or with ties away from zero."""
    if mode == "down":
        return math.trunc(value)
    if mode == "half_even":
        return round(value)
    nearest = math.floor(abs(value) + Fraction(1, 2))
    return nearest if value >= 0 else -nearest


def formula_value(text: str, values: Mapping[str, Fraction]) -> Fraction:
    """The value of a formula, read as a Python expression with exact literals."""
    source = f"({text})"
    return _value(_tree(source), source, values)


@lru_cache
def _tree(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def _value(node: ast.expr, source: str, values: Mapping[str, Fraction]) -> Fraction:
    if isinstance(node, ast.Constant):
        return Fraction(ast.get_source_segment(source, node) or "")
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, source, values)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        arguments = sorted(_value(argument, source, values) for argument in node.args)
        return arguments[{"min": 0, "max": -1}[node.func.id]]
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, source, values), _value(node.right, source, values)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
    raise AssertionError(f"not in the language: {ast.dump(node)}")


def levels(region: str) -> list[str]:
    """The region levels from the nearest to ``*``."""
    found = [region] if region else []
    if re.match(r"CN-\d{6}$", region):
        found.append(region[:5])
    if "-" in region:
        found.append(region.partition("-")[0])
    return [*found, "*"] if "*" not in found else found


def row_value(rows: Sequence[Mapping[str, Any]], region: str, day: date) -> Fraction | None:
    """The value of the nearest level that has a row on the day; None when no level has."""
    for level in levels(region):
        for row in rows:
            begun = row.get("from") is None or date.fromisoformat(row["from"]) <= day
            ended = row.get("to") is not None and date.fromisoformat(row["to"]) <= day
            if row["region"] == level and begun and not ended:
                return Fraction(row["value"])
    return None


def exact_result(
    document: Document, region: str, day: date, quantity: Fraction, factors: Factors | None = None
) -> Fraction | None:
    """The unrounded result in the methodology's result unit; None when some parameter has no row."""
    values = {"quantity": quantity}
    for name, parameter in document["parameters"].items():
        rows = parameter["rows"] if "rows" in parameter else (factors or {})[parameter["factor_set"]]
        value = row_value(rows, region, day)
        if value is None:
            return None
        values[name] = value
    return formula_value(document["formula"], values)


def computed_mg(
    document: Document, region: str, day: date, quantity: Fraction, factors: Factors | None = None
) -> int | None:
    """The computed mg, rounded once."""
    exact = exact_result(document, region, day, quantity, factors)
    if exact is None:
        return None
    return rounded(exact * {"g": 1_000, "kg": 1_000_000}[document["result_unit"]], document["rounding"])


def in_range(document: Document, quantity: Fraction) -> bool:
    """Whether the quantity is allowed; both ends are."""
    limits = document["inputs"]["quantity"]
    return Fraction(limits["min"]) <= quantity <= Fraction(limits["max"])


def same_window(window: str, one: date, other: date) -> bool:
    """Whether two days lie in one civil day, month or year."""
    pieces = {"day": 3, "month": 2, "year": 1}[window]
    return one.timetuple()[:pieces] == other.timetuple()[:pieces]


def credited_mg(document: Document, day: date, computed: int, recorded: Sequence[Recorded]) -> int:
    """What may be credited, after everything in ``recorded``."""
    credited = max(0, computed)
    for cap in document["caps"]:
        window = [mg for other, mg in recorded if same_window(cap["window"], day, other)]
        if cap["kind"] == "count":
            room: Fraction | int = credited if len(window) < cap["limit"] else 0
        else:
            room = Fraction(cap["limit"]) * {"g": 1_000, "kg": 1_000_000}[cap["unit"]] - sum(window)
        credited = int(min(credited, max(0, room)))
    return credited


@dataclass
class Credit:
    """A recorded credit of an account; ``mg`` is what it holds, or last held before it was reversed."""

    day: date
    region: str
    quantity: Fraction
    mg: int
    reversed: bool = False


@dataclass
class Account:
    """One account's credits under one methodology code, in log order."""

    credits: list[Credit]

    def behave(self, document: Document, instant: str, region: str, quantity: Fraction) -> str:
        """A behavior arrives; the answer is what became of it."""
        if not in_range(document, quantity):
            return "quantity_out_of_range"
        day = civil_date(instant, document["utc_offset"])
        computed = computed_mg(document, region, day, quantity)
        if computed is None:
            return "no_factor_for_region"
        mg = credited_mg(document, day, computed, [(credit.day, credit.mg) for credit in self.credits])
        self.credits.append(Credit(day, region, quantity, mg))
        return f"{day} {computed} {mg}"

    def revise(self, document: Document, start: date, end: date, region: str) -> str:
        """Unreversed credits of ``[start, end)`` in ``region`` take the version's value; the others come first."""
        inside = [c for c in self.credits if not c.reversed and start <= c.day < end and region in levels(c.region)]
        recorded = [(c.day, c.mg) for c in self.credits if not any(c is other for other in inside)]
        lines: list[str] = []
        for credit in inside:
            computed = None
            if in_range(document, credit.quantity):
                computed = computed_mg(document, credit.region, credit.day, credit.quantity)
            credit.mg = credited_mg(document, credit.day, computed or 0, recorded)
            recorded.append((credit.day, credit.mg))
            lines.append(f"{computed} {credit.mg}")
        return "; ".join(lines)
