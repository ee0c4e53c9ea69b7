"""How the passes are compiled, and where compiled code is kept.

Keeps: one folder of the user's cache for each rule version, each state of the sources it is made from (with the
constants they take from elsewhere) and each release of the compiler, so that code of another state is never loaded;
the folder is the user's alone. Without a place to write, the passes are compiled anew in each process.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import config as _numba_config

from application.ports import archive, kernel
from domain.digest import sm3_hex
from domain.kernel.valuation import RULE

config: Any = _numba_config
Function = TypeVar("Function", bound=Callable[..., Any])

# The passes allocate nothing, so they need no reference counting: with it, passing this many arrays from function to
# function takes twenty times as long as the work (0.3 against 6 million rows a second, both measured). numba knows the
# option by a private name.
_OPTIONS: Final[dict[str, Any]] = {"cache": True, "nogil": True, "_nrt": False}


def compiled(function: Function) -> Function:
    """The function as machine code, compiled when first called and kept on disk."""
    with _kept_in(_FOLDER):
        return cast(Function, numba.njit(**_OPTIONS)(function))


def inlined(function: Function) -> Function:
    """The same for what passes call row by row: it becomes part of its callers, which is four times as fast."""
    with _kept_in(_FOLDER):
        return cast(Function, numba.njit(forceinline=True, **_OPTIONS)(function))


def _folder() -> Path:
    """The folder for compiled code, made if need be; a new one of this process where the user's cache is closed."""
    sources = [*Path(__file__).parent.glob("*.py"), Path(archive.__file__), Path(kernel.__file__)]
    state = sm3_hex(b"".join(path.read_bytes() for path in sorted(sources)))[:16]
    name = f"kernel-{RULE}-{state}-numba{numba.__version__}-py{sys.version_info.major}{sys.version_info.minor}"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = base / "carbon-ledger" / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o022 and os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="carbon-ledger-kernel-"))


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """The compiler looks up its folder when a function is decorated; other users of it keep their own."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        config.CACHE_DIR = before


_FOLDER: Final = _folder()
