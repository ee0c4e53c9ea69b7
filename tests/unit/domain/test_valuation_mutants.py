"""Whoever reads docs/spec/valuation.md wrongly is told so by its vectors alone.

Keeps: a mistake is planted in the text of the reader that was written from the document, which must occur exactly once;
the vectors must then not hold.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest

from tests.fixtures import independent_numbers, independent_valuation
from tests.unit.domain.test_valuation_vectors import KNOWN, LOG, SIZE, planted

NUMBERS, LAW = independent_numbers.__name__, independent_valuation.__name__

MUTANTS: dict[str, tuple[str, str, str]] = {
    # numbers
    "sums group to the right": (
        NUMBERS,
        'found = combined(EXACT.add if sign == "+" else EXACT.subtract, found, self.product(depth))',
        'return combined(EXACT.add if sign == "+" else EXACT.subtract, found, self.sum(depth))',
    ),
    "a sign for the whole sum": (NUMBERS, "operand = self.unary(depth + 1)", "operand = self.sum(depth + 1)"),
    "a product has the greater scale": (
        NUMBERS,
        "combined(EXACT.multiply, found, self.unary(depth))",
        "combined(lambda a, b: EXACT.multiply(a, b).normalize(EXACT), found, self.unary(depth))",
    ),
    "the least has its own scale": (
        NUMBERS,
        "return EXACT.add(pick(found), Decimal(0).scaleb(-max(map(scale_of, found))))",
        "return pick(found)",
    ),
    "ties go up": (NUMBERS, "round(abs(exact))", "(abs(exact) + Fraction(1, 2)).__floor__()"),
    "ties go to the even one": (NUMBERS, "(abs(exact) + Fraction(1, 2)).__floor__()", "round(abs(exact))"),
    "down is downwards": (
        NUMBERS,
        "return -size if exact < 0 else size",
        'return exact.__floor__() if mode == "down" else -size if exact < 0 else size',
    ),
    "rounded to the nearest always": (NUMBERS, "abs(exact).__floor__()", "round(abs(exact))"),
    # caps
    "a negative value gives room": (NUMBERS, "max(0, computed)", "computed"),
    "no room below nothing": (NUMBERS, "max(0, int(Fraction(", "(int(Fraction("),
    "count caps one later": (NUMBERS, 'len(inside) < cap["limit"]', 'len(inside) <= cap["limit"]'),
    "credits of nothing use no count": (NUMBERS, 'len(inside) < cap["limit"]', 'sum(map(bool, inside)) < cap["limit"]'),
    "years are months": (NUMBERS, '"year": 4', '"year": 7'),
    "months are days": (NUMBERS, '"month": 7', '"month": 10'),
    "only the first cap": (NUMBERS, "for cap in caps:", "for cap in list(caps)[:1]:"),
    "kg is g": (NUMBERS, '"kg": 1_000_000', '"kg": 1_000'),
    "caps of another code": (
        LAW,
        "for credit in self.credits.values() if credit.code == code]",
        "for credit in self.credits.values()]",
    ),
    "reversed credits leave the caps": (LAW, "credit.is_reversed = True", "credit.is_reversed, credit.mass = True, 0"),
    # look-up
    "the older decision": (LAW, "for d in reversed(known)", "for d in known"),
    "the newest decision wherever it is": (
        LAW,
        "for level in chain for d in reversed(known) if d.region == level",
        "for d in reversed(known) if d.region in chain",
    ),
    "a period with its end": (LAW, "d.start <= day < d.end", "d.start <= day <= d.end"),
    "withdrawals undo the past": (LAW, "not decision.position < ended < position", "not ended"),
    "withdrawals do nothing": (LAW, "not decision.position < ended < position", "True"),
    "decisions of any behavior": (LAW, "if self.behavior(d) == behavior and", "if"),
    "the newest release": (LAW, 'decision.releases[parameter["factor_set"]]]', "max(n for _, n in self.releases)]"),
    "no parents of regions": (LAW, 'for level in levels(region or "*"):', 'for level in (region, "*"):'),
    "a row with its last day": (
        LAW,
        'holds(row["from"], row["to"], day)',
        '(row["from"] or "") <= day <= (row["to"] or "9")',
    ),
    "a row after its first day": (
        LAW,
        'holds(row["from"], row["to"], day)',
        '(row["from"] or "") < day < (row["to"] or "9")',
    ),
    "a range without its ends": (LAW, 'Fraction(limits["min"]) <= Fraction', 'Fraction(limits["min"]) < Fraction'),
    "a range without its end": (LAW, '<= Fraction(limits["max"])', '< Fraction(limits["max"])'),
    # accounts
    "frozen accounts are credited": (
        LAW,
        'self.need(self.status == "open", "account")',
        'self.need(self.status != "closed", "account")',
    ),
    "closed accounts are credited": (
        LAW,
        'self.need(self.status == "open", "account")',
        'self.need(self.status != "frozen", "account")',
    ),
    "erased accounts go on": (LAW, 'self.status, self.consents = "erased", {}', "self.consents = {}"),
    "erased consents go on": (LAW, 'self.status, self.consents = "erased", {}', 'self.status = "erased"'),
    "who asks erases": (LAW, 'asked[0] == facts["request"] and not same', 'asked[0] == facts["request"]'),
    "consent without scope": (LAW, 'or not {facts["behavior"], "*"} & set(consent["scope"])', ""),
    "withdrawn consent": (LAW, 'self.consents.pop(facts["consent"], None)', "pass"),
    "consent to its last day": (LAW, "instant_us(end) - 1, offset", "instant_us(end), offset"),
    "consent in UTC": (LAW, "day_of(instant_us(start), offset)", 'day_of(instant_us(start), "+00:00")'),
    "a day in UTC": (LAW, 'self.line.recorded_us, file["utc_offset"]', 'self.line.recorded_us, "+00:00"'),
    "no day more": (LAW, 'file["late_window_days"] + 2', 'file["late_window_days"] + 1'),
    "two days more": (LAW, 'file["late_window_days"] + 2', 'file["late_window_days"] + 3'),
    # revisions
    "credits after the approval": (LAW, "credit.position < approved\n", "credit.position < run.completed\n"),
    "reversed credits in scope": (LAW, "            and not credit.is_reversed\n", ""),
    "scope by period and region alone": (
        LAW,
        "self.rules.decision_for(credit.behavior, credit.region, credit.day, approved + 1) == run.decision",
        "run.decision.start <= credit.day < run.decision.end",
    ),
    "scope by today's rulebook": (
        LAW,
        "credit.day, approved + 1) == run.decision",
        "credit.day, NEVER) == run.decision",
    ),
    "caps of out of scope are free": (LAW, "for credit in others], list", "for credit in []], list"),
    "reversed credits are free": (
        LAW,
        "c.code == code and c.version not in scoped",
        "c.code == code and c.version not in scoped and not c.is_reversed",
    ),
    "lines charge nothing": (LAW, "used.append((credit.day, mass))", "pass"),
    "lines charge what they computed": (
        LAW,
        "used.append((credit.day, mass))",
        "used.append((credit.day, computed or 0))",
    ),
    "no factor before range": (
        LAW,
        "if not self.rules.in_range(decision, credit.quantity):\n                comp",
        "if not reason and not self.rules.in_range(decision, credit.quantity):\n                comp",
    ),
    "nobody waits": (LAW, 'self.need(not self.pending(), "revision")\n        behavior', "behavior"),
    "reversals wait for nobody": (LAW, 'self.need(not self.pending(), "revision")\n        credit', "credit"),
    "runs are pending once completed": (
        LAW,
        "run.decision.position < self.line.position < run.completed\n            and",
        "run.decision.position < self.line.position\n            and",
    ),
    "parts stand alone": (LAW, '[line for part in parts for line in part["lines"]]', 'parts[-1]["lines"]'),
    "accounts that changed": (LAW, "sum(was != now for", "sum(was < now for"),
    "completed without it": (LAW, 'self.found.append((run.completed, "revision"))', "pass"),
    "a reversal takes what was credited first": (
        LAW,
        "0 if credit.is_reversed else credit.mass",
        "0 if credit.is_reversed else credit.worth[0][1]",
    ),
    "what is known later": (LAW, "if position <= known][-1]", "][-1]"),
    "days up to D": (LAW, "credit.day < before", "credit.day <= before"),
}


def mutated(module: str, right: str, wrong: str) -> tuple[Any, Any]:
    """Private copies of both modules, with the mistake. Raises LookupError where its text is not found once."""
    copies = {}
    with patch.dict(sys.modules):
        for real in (independent_numbers, independent_valuation):
            source = Path(str(real.__file__)).read_text("utf-8")
            if real.__name__ == module:
                if source.count(right) != 1:
                    raise LookupError(f"found {source.count(right)} times: {right!r}")
                source = source.replace(right, wrong)
            copy = ModuleType(real.__name__)
            copies[real.__name__] = sys.modules[real.__name__] = copy
            exec(compile(source, f"<private {real.__name__}>", "exec"), copy.__dict__)
    return copies[NUMBERS], copies[LAW]


def holds(numbers: Any, law: Any) -> bool:
    """Whether the vectors of the document hold for a reader."""
    for each in KNOWN["formulas"]:
        exact: Decimal = numbers.Formula(each["formula"]).value({n: Decimal(v) for n, v in each["values"].items()})
        mg = {mode: str(numbers.rounded(Fraction(exact) * 1_000, mode)) for mode in each["mg"]}
        if (numbers.written(exact), mg) != (each["exact"], each["mg"]):
            return False
    whole = law.judged(LOG, SIZE)
    for each in KNOWN["balances"]:
        account, before = whole.accounts[UUID(each["stream"])], each["before"] or "9999-99-99"
        if {b: str(mg) for b, mg in account.balances(each["known"], before).items()} != each["mg"]:
            return False
    faults = [{"found": []}, *KNOWN["faults"]]
    return all({(p, n) for p, n in each["found"]} == set(law.judged(planted(each), SIZE).found) for each in faults)


def test_the_vectors_hold_for_the_reader_without_a_mistake() -> None:
    assert holds(independent_numbers, independent_valuation)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_reader_with_a_mistake_is_told_by_the_vectors(name: str) -> None:
    assert not holds(*mutated(*MUTANTS[name]))
