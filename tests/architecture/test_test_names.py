"""A test's name is a sentence a bank would sign (STYLE rule 9)."""

from __future__ import annotations

import ast

from tests.architecture.project import modules

WORDS = 4


def _short_names(tree: ast.AST) -> list[str]:
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test")
        and len(node.name.split("_")) - 1 < WORDS
    ]


def test_every_test_is_named_by_a_sentence_of_four_words_or_more() -> None:
    assert [(path, name) for path, tree in modules("tests") for name in _short_names(tree)] == []


def test_the_count_of_words_leaves_out_the_prefix() -> None:
    assert _short_names(ast.parse("def test_a_trip_counts(): ...\ndef test_a_trip_counts_once(): ...")) == [
        "test_a_trip_counts"
    ]
