"""What the rules may lean on. The linter knows packages only by their first name; these tests look closer."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.architecture.project import imports, modules

_LIBRARIES = ("eventsourcing.domain", "msgspec", "pydantic")

# The one digest needs another maker where Python's own libcrypto has none (domain/digest.py); keys stay outside.
_DIGESTS = "cryptography.hazmat.primitives.hashes"

# The surroundings: files, processes, the network, threads. `hashlib` and `json` compute and may stay.
_SURROUNDINGS = {
    "asyncio", "concurrent", "ctypes", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os", "pathlib",
    "queue", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "urllib",
}  # fmt: skip


def _strangers(tree: ast.AST) -> list[tuple[int, str]]:
    """Imports that are neither the domain's own, nor pure standard library, nor one of the admitted libraries."""
    found = []
    for line, name in imports(tree):
        top = name.partition(".")[0]
        ours = top == "domain"
        pure = top in sys.stdlib_module_names and top not in _SURROUNDINGS
        admitted = any(f"{name}.".startswith(f"{library}.") for library in (*_LIBRARIES, _DIGESTS))
        if not (ours or pure or admitted):
            found.append((line, name))
    return found


def test_the_domain_leans_on_nothing_that_touches_the_outside_world() -> None:
    assert [(path, *hit) for path, tree in modules("domain") for hit in _strangers(tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "from eventsourcing.application import Application",
        "from eventsourcing import persistence",
        "import eventsourcing",
        "import os.path",
        "from pathlib import Path",
        "from infrastructure import clock",
        "import psycopg",
        "from cryptography.hazmat.primitives.ciphers import Cipher",
        "from . import values",
        "def f():\n    import socket",
    ],
)
def test_the_search_for_strangers_sees_imports_wherever_they_stand(code: str) -> None:
    assert len(_strangers(ast.parse(code))) == 1


def test_the_search_for_strangers_admits_what_the_rules_need() -> None:
    code = "import msgspec, hashlib\nfrom eventsourcing.domain import Snapshot\nfrom domain.values import Scaled"
    assert _strangers(ast.parse(code)) == []


def test_the_calculation_law_needs_nothing_but_python_itself() -> None:
    allowed = ("domain.kernel.", "domain.values.", "domain.errors.")
    found = [
        (path, line, name)
        for path, tree in modules("domain/kernel")
        for line, name in imports(tree)
        if not f"{name}.".startswith(allowed) and name.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert found == []
