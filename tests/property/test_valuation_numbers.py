"""Formulas at random, well made and not: who reads docs/spec/valuation.md alone reads them as the kernel does."""

from __future__ import annotations

import os
from collections import Counter
from fractions import Fraction
from random import Random

from domain.behavior import decimal_text
from domain.errors import Rejected
from domain.kernel.decimals import decimal_from_text
from domain.kernel.formula import evaluate, parse
from domain.kernel.rounding import ROUNDINGS, divide
from tests.fixtures.independent_numbers import Formula, decimal, rounded, written

TEXTS = 100_000 if os.environ.get("CARBON_LEDGER_LONG") == "1" else 3_000
TOKENS = (
    "+",
    "-",
    "*",
    "(",
    ")",
    ",",
    "min",
    "max",
    "min(",
    "max(",
    "quantity",
    "rate",
    "0",
    "1.50",
    "007.0",
    " ",
    "\t",
)
SLIPS = (".", "/", "1.", ".5", "e", "\u00a0", "\uff11", "**", "Min")


def formula_text(rng: Random, depth: int) -> str:
    kind = rng.randrange(7) if depth else 6
    if kind < 3:
        return f"{formula_text(rng, depth - 1)} {'+-*'[kind]} {formula_text(rng, depth - 1)}"
    if kind == 3:
        return f"-{formula_text(rng, depth - 1)}"
    if kind == 4:
        return f"({formula_text(rng, depth - 1)})"
    if kind == 5:
        parts = ", ".join(formula_text(rng, depth - 1) for _ in range(rng.choice((2, 2, 3))))
        return f"{rng.choice(('min', 'max'))}({parts})"
    return rng.choice(("quantity", "rate", "0", "0.00", "1.50", "007", "0.333333333"))


def a_decimal(rng: Random) -> str:
    digits, scale = rng.choice((1, 3, 12, 30)), rng.choice((0, 0, 1, 3, 8))
    text = str(rng.randrange(10**digits)).rjust(scale + 1, "0")
    return rng.choice(("", "", "-")) + (f"{text[:-scale]}.{text[-scale:]}" if scale else text)


def test_formulas_have_the_same_value_scale_and_rounding_by_the_document_and_by_the_kernel() -> None:
    rng = Random(2026)
    for _ in range(TEXTS):
        text = formula_text(rng, rng.choice((1, 2, 3)))
        given = {name: a_decimal(rng) for name in ("quantity", "rate")}
        scaled = {name: found for name, value in given.items() if (found := decimal_from_text(value)) is not None}
        theirs = evaluate(parse(text), scaled)
        ours = Formula(text).value({name: decimal(value) for name, value in given.items()})
        assert written(ours) == decimal_text(*theirs), (text, given)
        for mode in ROUNDINGS:
            mg = divide(theirs.value * 1_000, 10**theirs.scale, mode)
            assert rounded(Fraction(ours) * 1_000, mode) == mg, (text, given, mode)


def test_texts_are_formulas_by_the_document_exactly_where_they_are_to_the_kernel() -> None:
    rng, seen = Random(2026), Counter[bool]()
    for _ in range(TEXTS):
        if rng.random() < 0.5:
            text = "".join(rng.choice(TOKENS) for _ in range(rng.randrange(9)))
        else:
            made = formula_text(rng, 2)
            place = rng.randrange(len(made) + 1)
            text = made[:place] + rng.choice(TOKENS + SLIPS) + made[place + rng.randrange(2) :]
        try:
            parse(text)
            is_formula = True
        except Rejected:
            is_formula = False
        try:
            Formula(text)
            is_ours = True
        except ValueError:
            is_ours = False
        assert is_ours == is_formula, repr(text)
        seen[is_formula] += 1
    assert min(seen[True], seen[False]) > TEXTS // 10
