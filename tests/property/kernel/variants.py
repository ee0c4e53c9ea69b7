"""The kernel as it stands, and copies of it with one planted mistake.

Keeps: a mistake is planted in the source text, which must occur exactly once, and the whole kernel is executed anew
from that source, so that every module sees the mutated one; the real modules are never touched.
Leaves to the tests: whether anybody notices.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[3]

# In the order in which they import each other.
MODULES = (
    "domain.values",
    "domain.kernel.rounding",
    "domain.kernel.decimals",
    "domain.kernel.formula",
    "domain.kernel.units",
    "domain.kernel.method",
    "domain.kernel.interval",
    "domain.kernel.document",
    "domain.kernel.method_file",
    "domain.kernel.valuation",
    "domain.kernel.caps",
)


@dataclass(frozen=True)
class Mutant:
    """A mistake: in ``module``, the text ``right`` becomes ``wrong``."""

    name: str
    module: str
    right: str
    wrong: str


class Kernel(SimpleNamespace):
    """The kernel's modules by their last name: ``kernel.caps``, ``kernel.values``, ..."""


def load_kernel(mutant: Mutant | None = None) -> Kernel:
    """A private copy of the kernel, with the mistake if one is given.

    Raises LookupError when the text to mutate is not found exactly once: the table of mutants must follow the source.
    """
    if mutant is not None and mutant.module not in MODULES:
        raise LookupError(f"{mutant.name}: {mutant.module} is not part of the kernel")
    copies: dict[str, ModuleType] = {}
    with patch.dict(sys.modules):
        for name in MODULES:
            source = (ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
            if mutant is not None and mutant.module == name:
                found = source.count(mutant.right)
                if found != 1:
                    raise LookupError(f"{mutant.name}: found {found} times in {name}, expected once: {mutant.right!r}")
                source = source.replace(mutant.right, mutant.wrong)
            copy = ModuleType(f"private.{name}")
            # Under its private name for its own classes, under the real one for the modules that import it.
            copies[name] = sys.modules[copy.__name__] = sys.modules[name] = copy
            exec(compile(source, f"<private {name}>", "exec"), copy.__dict__)
    return Kernel(**{name.rpartition(".")[2]: copy for name, copy in copies.items()})
