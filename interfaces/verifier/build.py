"""Builds the verifier as one file that needs Python alone: ``python -m interfaces.verifier.build [FILE]``.

Keeps: in it are the modules that the entry reaches by its imports, wherever these stand in the code, the files of
``gmssl`` whose digests are pinned here, stand-ins for packages in C, and the licences; whatever else is imported is
Python's own library without the network, or the build is refused. The same sources give the same bytes, whatever the
machine, the Python or the day: nothing is compressed, since compressors differ and an auditor reads it with ``unzip``.
"""

from __future__ import annotations

import ast
import io
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from domain.digest import sm3_hex

NAME = "carbon-ledger-verify.pyz"
ENTRY = "interfaces.verifier.__main__"
ROOT = Path(__file__).resolve().parents[2]

ROOMS = ("domain", "application", "infrastructure.gm", "interfaces.verifier")
"""Where modules of the ledger may come from."""

STANDIN = Path(__file__).resolve().parent / "standin"

NETWORK = frozenset(
    {
        *("asyncio", "ctypes", "ftplib", "http", "imaplib", "nntplib", "poplib", "selectors", "smtplib", "socket"),
        *("socketserver", "ssl", "telnetlib", "urllib", "webbrowser", "wsgiref", "xmlrpc"),
    }
)
"""What of Python's library an offline program has no use for."""

GMSSL = {
    "gmssl/__init__.py": "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b",
    "gmssl/func.py": "457eba28e579607adf15d9cb9970b1ec062a00afa2cfedda4a67c5c92ec258e1",
    "gmssl/sm2.py": "a40c9a608e85c9ee6331f285e979417e2a5238cbafbedc08ae353b4255e3082a",
    "gmssl/sm3.py": "9263464b89cbb3f14d837e3300a24e260893aeb4bf4e2ed8a8b30295d9a8a20e",
    "gmssl-3.2.2.dist-info/METADATA": "67c69d79dc95e86f7dedceb225dcbba09c65de6a9901ef07ebe7046cedc4f362",
}
"""SM3 of the files that were read and measured (ADR 0015); others of the package stay outside."""


class Refused(Exception):
    """The verifier would hold, or need, what it must not."""


class Module(NamedTuple):
    """A module that goes in: its name, and its file on this machine."""

    name: str
    file: Path

    @property
    def is_package(self) -> bool:
        return self.file.name == "__init__.py"

    @property
    def path(self) -> str:
        """Where it stands in the archive."""
        return self.name.replace(".", "/") + ("/__init__.py" if self.is_package else ".py")


def reachable(roots: Iterable[str]) -> dict[str, Module]:
    """The modules that these import, directly or not, with the packages around them. Raises Refused."""
    found: dict[str, Module] = {}
    waiting = [(root, "the build") for root in roots]
    while waiting:
        name, importer = waiting.pop()
        for each in _with_parents(name):
            if each not in found:
                module = found[each] = _located(each, importer)
                waiting += [(imported, each) for imported in _imports(module)]
    return found


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: place + 1]) for place in range(len(parts))]


def _located(name: str, importer: str) -> Module:
    top = name.partition(".")[0]
    if top in ("domain", "application", "infrastructure", "interfaces"):
        # The packages around a room hold a docstring at most; what else they import is refused like everything.
        inside = any(f"{name}.".startswith(f"{room}.") or room.startswith(f"{name}.") for room in ROOMS)
        folder = ROOT if inside and not name.startswith("interfaces.verifier.standin") else None
    elif top == "gmssl":
        folder = _site_packages()
    else:
        folder = STANDIN if (STANDIN / top).is_dir() else None
    file = None if folder is None else _file(folder, name)
    if file is None:
        raise Refused(f"{importer} imports {name}, which is neither Python's own nor for the verifier")
    return Module(name, file)


def _file(folder: Path, name: str) -> Path | None:
    path = folder.joinpath(*name.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _site_packages() -> Path:
    spec = find_spec("gmssl")
    if spec is None or spec.origin is None:
        raise Refused("the package gmssl is not installed")
    return Path(spec.origin).resolve().parents[1]


def _imports(module: Module) -> Iterator[str]:
    """Names of the modules of ours that a module imports, wherever in it; Python's own are held to the rule."""
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    for node in _statements(ast.parse(module.file.read_bytes(), module.path)):
        for name, members in _named(node, package):
            top = name.partition(".")[0]
            if top in NETWORK or (top == "importlib" and "import_module" in members):
                raise Refused(f"{module.name} imports {name}, which an offline program has no use for")
            if top in sys.stdlib_module_names or top == "__future__":
                continue
            yield name
            home = _located(name, module.name)
            if home.is_package:
                folder = home.file.parent
                yield from (f"{name}.{each}" for each in members if _file(folder, each) is not None)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that may run: not what stands there for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node = ast.Module(node.orelse, [])
        yield node
        yield from _statements(node)


def _named(node: ast.AST, package: str) -> Iterator[tuple[str, list[str]]]:
    """What an import names: a module, and what is taken from it."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, []) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")
        base = above[: len(above) - node.level + 1] if node.level else []
        name = ".".join([*base, *([node.module] if node.module else [])])
        yield name, [alias.name for alias in node.names]
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("__import__", "import_module", "exec_module", "load_module", "run_path", "run_module"):
            raise Refused(f"{package} calls {called}: an import that only shows when it runs")


def contents(also: Iterable[str] = ()) -> dict[str, bytes]:
    """Path and bytes of every file. ``also``: further modules that go in although the entry does not reach them."""
    modules = reachable([ENTRY, *also])
    files = {module.path: module.file.read_bytes() for module in modules.values()}
    # A Python that is handed the file runs this one.
    files["__main__.py"] = files.pop(f"{ENTRY.replace('.', '/')}.py")
    files["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    if "gmssl" in modules:
        for path in GMSSL:
            if path.endswith("METADATA"):
                files[path] = (_site_packages() / path).read_bytes()
    for path, content in files.items():
        if path.startswith("gmssl") and sm3_hex(content) != GMSSL.get(path):
            raise Refused(f"{path} is not the one that was read and measured (ADR 0015)")
    return dict(sorted(files.items()))


def archive(files: dict[str, bytes]) -> bytes:
    """A zip archive that a Python runs; the same bytes for the same files."""
    made = io.BytesIO(b"#!/usr/bin/env python3\n")
    made.seek(0, io.SEEK_END)
    with zipfile.ZipFile(made, "a", zipfile.ZIP_STORED) as opened:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            # As if made on the same system by everybody: a file that all may read.
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            opened.writestr(entry, content)
    return made.getvalue()


def main(arguments: list[str]) -> int:
    """Write the file and tell its digest."""
    target = Path(arguments[0]) if arguments else ROOT / "dist" / NAME
    try:
        files = contents()
    except (Refused, OSError) as error:
        print(f"not built: {error}", file=sys.stderr)
        return 1
    built = archive(files)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(built)
    target.chmod(0o755)
    print(f"{target}\n  {len(files)} files, {len(built):,} bytes\n  SM3 {sm3_hex(built)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
