"""No float comes into being in the domain: masses, quantities and factors are integers (DESIGN 2.3)."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.project import dotted, modules


def _float_uses(tree: ast.AST) -> list[int]:
    """Lines with a float or complex literal, a true division, or the names of the two types."""
    lines = []
    for node in ast.walk(tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
        division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        named = isinstance(node, ast.Name) and node.id in {"float", "complex"}
        operator = isinstance(node, ast.Attribute) and dotted(node) in {"operator.truediv", "math.sqrt", "math.pow"}
        if literal or division or named or operator:
            lines.append(getattr(node, "lineno", 0))
    return lines


def test_the_domain_never_makes_or_names_a_float() -> None:
    assert [(path, line) for path, tree in modules("domain") for line in _float_uses(tree)] == []


@pytest.mark.parametrize(
    "code",
    ["x = 0.5", "x = 1e3", "x = 2j", "x = a / b", "x /= 2", "x = float('1')", "def f(x: float): ...", "math.pow(2, 3)"],
)
def test_the_search_for_floats_sees_every_way_to_make_one(code: str) -> None:
    assert _float_uses(ast.parse(code)) == [1]


def test_the_search_for_floats_leaves_exact_arithmetic_alone() -> None:
    assert _float_uses(ast.parse("x = a // b % 3 + 10**18 - divmod(a, b)[0]\ns = 'half / float 0.5'")) == []
