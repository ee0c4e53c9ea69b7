"""No function and no module outgrows what a reader takes in at once (STYLE rule 12)."""

from __future__ import annotations

import ast

from tests.architecture.project import PACKAGES, ROOT, modules

FUNCTION_LINES = 50
MODULE_LINES = 400


def _long_functions(tree: ast.AST) -> list[tuple[str, int]]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [(name, lines) for name, lines in sizes if lines > FUNCTION_LINES]


def test_no_function_is_longer_than_fifty_lines() -> None:
    found = [(path, *hit) for path, tree in modules(*PACKAGES, "benchmarks") for hit in _long_functions(tree)]
    assert found == []


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    sizes = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path, _ in modules(*PACKAGES, "benchmarks")}
    assert {path: lines for path, lines in sizes.items() if lines > MODULE_LINES} == {}


def test_the_measure_counts_a_function_from_its_first_line_to_its_last() -> None:
    fifty = "def fits():\n" + "    x = 1\n" * 49
    assert _long_functions(ast.parse(fifty)) == []
    assert _long_functions(
        ast.parse("class A:\n" + "".join(f"  {line}\n" for line in (fifty + "    x = 1").split("\n")))
    )
