"""The three roundings by hand-checked values, and that nothing else in the kernel divides."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from domain.kernel import rounding
from domain.kernel.rounding import ROUNDINGS, divide


@pytest.mark.parametrize(
    ("numerator", "down", "half_even", "half_up"),
    [
        (25, 2, 2, 3),
        (35, 3, 4, 4),
        (24, 2, 2, 2),
        (26, 2, 3, 3),
        (20, 2, 2, 2),
        (5, 0, 0, 1),
        (0, 0, 0, 0),
        (-5, 0, 0, -1),
        (-15, -1, -2, -2),
        (-25, -2, -2, -3),
        (-24, -2, -2, -2),
        (-26, -2, -3, -3),
    ],
)
def test_tenths_are_rounded_as_the_methodology_names_it(
    numerator: int, down: int, half_even: int, half_up: int
) -> None:
    assert [divide(numerator, 10, mode) for mode in ("down", "half_even", "half_up")] == [down, half_even, half_up]


def test_numbers_beyond_63_bits_are_rounded_exactly() -> None:
    assert divide(10**40 + 5, 10, "half_even") == 10**39
    assert divide(10**40 + 15, 10, "half_even") == 10**39 + 2
    assert divide(-(10**40) - 5, 10, "half_up") == -(10**39) - 1


@pytest.mark.parametrize("denominator", [0, -10])
def test_a_denominator_that_is_not_positive_is_a_mistake(denominator: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        divide(1, denominator, "down")


def test_an_unknown_rounding_is_a_mistake_and_the_known_ones_are_fixed() -> None:
    assert sorted(ROUNDINGS) == ["down", "half_even", "half_up"]
    with pytest.raises(KeyError):
        divide(1, 2, "up")


def test_only_the_rounding_module_divides() -> None:
    divisions = (ast.Div, ast.FloorDiv, ast.Mod)
    for path in Path(rounding.__file__).parent.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        divides = any(isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, divisions) for node in nodes)
        calls = any(isinstance(node, ast.Name) and node.id in ("divmod", "round", "float", "eval") for node in nodes)
        floats = any(isinstance(node, ast.Constant) and isinstance(node.value, float) for node in nodes)
        assert (divides or calls, floats) == (path.name == "rounding.py", False), path.name
