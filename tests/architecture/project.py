"""The project's own files, for tests that read code and documents instead of running them.

Keeps: only what belongs to the project is listed, never an environment, a cache or a ledger's home.
Leaves to the tests: what the files may say.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("domain", "application", "infrastructure", "interfaces")
"""What the wheel installs."""

FOLDERS = (*PACKAGES, "benchmarks", "tests", "docs", ".ci")

_GENERATED = {"__pycache__", "build", "dist"}


class Module(NamedTuple):
    """A Python file: its path from the root and its syntax tree."""

    path: str
    tree: ast.Module


def files(*folders: str) -> Iterator[Path]:
    """Every file below ``folders`` that was written, not generated, in a stable order."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not _GENERATED & set(path.parts) and path.suffix != ".pyc":
                yield path


def root_files() -> Iterator[Path]:
    """The files that lie in the root itself."""
    return (path for path in sorted(ROOT.iterdir()) if path.is_file() and not path.name.startswith(".coverage"))


def modules(*folders: str) -> Iterator[Module]:
    """Every Python file below ``folders``, parsed."""
    for path in files(*folders):
        if path.suffix == ".py":
            yield Module(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"), path))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, anywhere in ``tree``; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}"


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for a name or a chain of attributes, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""
