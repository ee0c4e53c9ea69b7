"""The fast kernel in plain Python: as it stands, and with one planted mistake, without compiling anything.

Keeps: the sources that are compiled are executed as they are, over the same 64-bit numbers (a sum that wraps in machine
code wraps here); a mistake is one source edit whose text must occur exactly once; the real modules are never touched.
Leaves to the tests: whether anybody notices. That machine code does what these sources say is for the tests that run
the compiled kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np

import infrastructure.fast_kernel
from application.ports.archive import Names
from application.ports.kernel import KernelFactory
from domain.applicability import NEVER
from domain.revision import Scope
from domain.rulebook import Rulebook
from infrastructure.fast_kernel.tables import TableBuilder, Tables

PACKAGE = infrastructure.fast_kernel.__name__
FOLDER = Path(infrastructure.fast_kernel.__file__).parent
ENTRIES = {"v1_replay": "replay_rows", "v1_lines": "lines_of"}
"""The functions of the passes that the port calls."""


@dataclass(frozen=True)
class Mutant:
    """A mistake: in the module, or in one of several whose names begin so, the text ``right`` becomes ``wrong``."""

    name: str
    module: str
    right: str
    wrong: str


def plain_kernel(mutant: Mutant | None = None) -> KernelFactory:
    """A private copy of the kernel that is not compiled, with the mistake if one is given. Raises as ``_copies``."""
    port = _copies(mutant)[f"{PACKAGE}.kernel"].__dict__
    for module, entry in ENTRIES.items():
        passes = port[module].__dict__
        passes[entry] = _over_records(passes[entry])
    if mutant is None or mutant.module not in ("programs", "tables"):
        port["TableBuilder"] = _RememberingBuilder
    factory: KernelFactory = port["FastKernel"]
    return factory


def plain_function(name: str) -> Callable[..., Any]:
    """A function of the passes that is not compiled; arrays of records may be given as they are."""
    found = (copy.__dict__[name] for copy in _copies(None).values() if name in copy.__dict__)
    return _over_records(next(found))


def _copies(mutant: Mutant | None) -> dict[str, ModuleType]:
    """The kernel's modules, executed anew.

    Raises LookupError when the text to mutate is not found exactly once: the table of mutants must follow the source.
    """
    sources = _Sources(mutant)
    package, compiling = ModuleType(PACKAGE), ModuleType(f"{PACKAGE}.compiling")
    package.__path__ = []
    compiling.__dict__["compiled"] = compiling.__dict__["inlined"] = lambda function: function
    with patch.dict(sys.modules), patch.object(sys, "meta_path", [sources, *sys.meta_path]):
        for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
        sys.modules[PACKAGE], sys.modules[compiling.__name__] = package, compiling
        import_module(f"{PACKAGE}.kernel")
        return {name: module for name, module in sys.modules.items() if name.startswith(f"{PACKAGE}.")}


class _Sources(MetaPathFinder, Loader):
    """Finds the kernel's modules and executes them as they stand, or with the mistake."""

    def __init__(self, mutant: Mutant | None) -> None:
        self._sources = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}
        if mutant is not None:
            named = [name for name in self._sources if name.startswith(mutant.module)]
            if not named:
                raise LookupError(f"{mutant.name}: {mutant.module} is not part of the kernel")
            found = [name for name in named for _ in range(self._sources[name].count(mutant.right))]
            if len(found) != 1:
                raise LookupError(f"{mutant.name}: found in {found}, expected once: {mutant.right!r}")
            self._sources[found[0]] = self._sources[found[0]].replace(mutant.right, mutant.wrong)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package == PACKAGE and name in self._sources else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.rpartition(".")[2]
        exec(_in_bytes(name, self._sources[name]), module.__dict__)


@lru_cache(maxsize=16)
def _in_bytes(name: str, source: str) -> CodeType:
    return compile(source, f"<private {name}>", "exec")


class _RememberingBuilder:
    """The table builder as it stands, which gives the same tables for the same question: they are most of the work."""

    _made: ClassVar[dict[tuple[Any, ...], Tables]] = {}

    def __init__(self, rulebook: Rulebook, runs: Any, names: Names, scope: Scope | None = None) -> None:
        self._builder = TableBuilder(rulebook, runs, names, scope)
        self._names = names
        self._key = (rulebook, names, scope)

    def build(self, until: int = NEVER) -> Tables:
        key = (*self._key, until, *map(len, self._names.words.values()))
        if key not in self._made:
            self._made[key] = self._builder.build(until)
        return self._made[key]


def _over_records(entry: Callable[..., Any]) -> Callable[..., Any]:
    """The pass over arrays whose records have their fields as attributes, as in machine code."""
    return lambda *arguments: entry(*map(_with_attributes, arguments))


def _with_attributes(value: Any) -> Any:
    if isinstance(value, tuple):
        return type(value)._make(map(_with_attributes, value)) if hasattr(value, "_make") else value
    if isinstance(value, np.ndarray) and value.dtype.names:
        return _Records(value)
    return value


class _Records:
    """An array of records (numpy's own ``recarray`` would do, ten times as slowly)."""

    def __init__(self, array: Any) -> None:
        names = array.dtype.names
        self._columns = {name: array[name] for name in names}
        self._record = _record_class(names)
        self._length = len(array)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(self._length))

    def __getitem__(self, place: Any) -> Any:
        return self._record(self._columns, place)


@cache
def _record_class(names: tuple[str, ...]) -> type[Any]:
    def of_field(name: str) -> property:
        def get(record: Any) -> Any:
            return record.columns[name][record.place]

        def put(record: Any, value: Any) -> None:
            record.columns[name][record.place] = value

        return property(get, put)

    return type("_Record", (_Record,), {"__slots__": (), **{name: of_field(name) for name in names}})


class _Record:
    __slots__ = ("columns", "place")

    def __init__(self, columns: dict[str, Any], place: Any) -> None:
        self.columns = columns
        self.place = place
