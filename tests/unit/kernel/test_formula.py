"""The formula language: what it reads, what it refuses, what it is worth."""

from __future__ import annotations

import pytest

from domain.errors import Rejected
from domain.kernel.formula import (
    MAX_LENGTH,
    MAX_NESTING,
    MAX_TOKENS,
    Add,
    Greatest,
    Least,
    Multiply,
    Name,
    Negate,
    Number,
    Subtract,
    bind,
    evaluate,
    names,
    parse,
)
from domain.values import Scaled

A, B, C = Name("a"), Name("b"), Name("c")


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("a", A),
        ("1.50", Number(Scaled(150, 2))),
        ("a - b - c", Subtract(Subtract(A, B), C)),
        ("a - b + c", Add(Subtract(A, B), C)),
        ("a + b * c", Add(A, Multiply(B, C))),
        ("a * b * c", Multiply(Multiply(A, B), C)),
        ("a * (b + c)", Multiply(A, Add(B, C))),
        ("-a * b", Multiply(Negate(A), B)),
        ("a * -b", Multiply(A, Negate(B))),
        ("a - -b", Subtract(A, Negate(B))),
        ("---a", Negate(Negate(Negate(A)))),
        ("-(a + b)", Negate(Add(A, B))),
        ("min(a, b)", Least((A, B))),
        ("max(a, b, 0)", Greatest((A, B, Number(Scaled(0, 0))))),
        ("min (a, max(b,c))", Least((A, Greatest((B, C))))),
        (" \t\r\na\n", A),
        ("minimum", Name("minimum")),
        ("((a))", A),
    ],
)
def test_a_formula_reads_as_the_grammar_says(text: str, expression: object) -> None:
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("   ", 4),
        ("a +", 4),
        ("* a", 1),
        ("a b", 3),
        ("2a", 2),
        ("1e3", 2),
        ("a / b", 3),
        ("a ** b", 4),
        ("a // b", 3),
        ("a % b", 3),
        ("a.b", 2),
        (".5", 1),
        ("5.", 2),
        ("+a", 1),
        ("(a", 3),
        ("a)", 2),
        ("()", 2),
        ("min", 4),
        ("min(a)", 1),
        ("max()", 5),
        ("min(a,)", 7),
        ("abs(a)", 4),
        ("a(b)", 2),
        ("a, b", 2),
        ("a; b", 2),
        ("a = b", 3),
        ("a['b']", 2),
        ("１ + a", 1),
        ("数 * a", 1),
        ("a × b", 3),
        ("a\x00", 2),
        ("a\u00a0+ b", 2),
        ("1" * 39, 1),
        ("__import__('os')", 12),
    ],
)
def test_a_wrong_formula_is_refused_at_the_place(text: str, position: int) -> None:
    with pytest.raises(Rejected) as refusal:
        parse(text)
    assert (refusal.value.code, refusal.value.field) == ("formula_malformed", str(position))
    assert refusal.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "-" * 1_500 + "a",
        "(" * 40 + "a" + ")" * 40,
        "min(a," * 40 + "a" + ")" * 40,
        "a" * (MAX_LENGTH + 1),
        "+".join(["a"] * MAX_TOKENS),
        "-(" * 20 + "a" + ")" * 20,
    ],
)
def test_hostile_formulas_are_refused_before_they_exhaust_anything(text: str) -> None:
    with pytest.raises(Rejected, match=r"formula_malformed.*(deep|characters|parts)"):
        parse(text)


def test_the_largest_formulas_that_are_read_can_be_computed() -> None:
    values = {"a": Scaled(3, 0), "quantity": Scaled(0, 0)}
    for text, value in (
        ("+".join(["a"] * (MAX_TOKENS // 2)), 3 * MAX_TOKENS // 2),
        ("-" * MAX_NESTING + "a", 3),
        ("(" * MAX_NESTING + "a" + ")" * MAX_NESTING, 3),
    ):
        e = parse(text)
        assert evaluate(e, values) == Scaled(value, 0)
        assert bind(e, values, {"quantity": 0}).evaluate(0) == value
        assert hash(e) == hash(parse(text))
        assert repr(e)


def test_names_are_listed_once() -> None:
    assert names(parse("a * quantity - max(a, b, 1) * -quantity")) == {"a", "b", "quantity"}
    assert names(parse("1 + 2")) == frozenset()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("quantity * (a - b)", Scaled(12350 * 720, 4)),
        ("0.5 * quantity", Scaled(61750, 4)),
        ("quantity + 1", Scaled(13350, 3)),
        ("1 - quantity", Scaled(-11350, 3)),
        ("min(quantity, a, 12.3501)", Scaled(123500, 4)),
        ("max(quantity, 12.35010)", Scaled(1235010, 5)),
        ("--quantity * -0.0", Scaled(0, 4)),
        ("min(1, 2.00)", Scaled(100, 2)),
    ],
)
def test_a_formula_keeps_every_digit(text: str, value: Scaled) -> None:
    values = {"quantity": Scaled(12350, 3), "a": Scaled(1040, 1), "b": Scaled(320, 1)}
    e = parse(text)
    assert evaluate(e, values) == value
    bound = bind(e, values, {"quantity": 3})
    assert Scaled(bound.evaluate(12350), bound.scale) == value


def test_numbers_beyond_63_bits_simply_work() -> None:
    e = parse("quantity * quantity * a - 0.5")
    quantity, a = Scaled(10**38 - 1, 9), Scaled(10**38 - 7, 9)
    expected = Scaled((10**38 - 1) ** 2 * (10**38 - 7) - 5 * 10**26, 27)
    assert evaluate(e, {"quantity": quantity, "a": a}) == expected
    bound = bind(e, {"a": a}, {"quantity": 9})
    assert Scaled(bound.evaluate(quantity.value), bound.scale) == expected


def test_a_name_without_a_value_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match="a"):
        evaluate(A, {})
    with pytest.raises(KeyError, match="a"):
        bind(A, {}, {"quantity": 0})
