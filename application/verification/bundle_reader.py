"""Reading a bundle that a stranger made: nothing is unpacked, no name in it is a path, every size has a bound.

Keeps: members are those of the format and no others, each once; what a member says of its size is not believed; a line
has a greatest length; memory does not grow with the file.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from domain.audit.bundle import ABOUT, DOSSIER, FORMAT, MAX_LINE_BYTES, OPTIONAL, REQUIRED
from domain.errors import Rejected

MAX_MEMBERS = 10_000
MAX_SMALL_BYTES = 4 * 1024 * 1024
MAX_RATIO = 500
_BLOCK = 1 << 20
_SMALL_ENOUGH = 1 << 20
_ENCRYPTED = 0x1


class BundleReader:
    """A bundle opened. Raises Rejected ``bundle_malformed``."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise malformed(f"not a zip file: {error}") from error
        try:
            self._check_members()
        except Rejected:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """The members there are."""
        return [info.filename for info in self._zip.infolist()]

    def small(self, name: str) -> bytes:
        """A small member as a whole."""
        return b"".join(self._blocks(name, MAX_SMALL_BYTES))

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member without their ends; the last one has an end too."""
        rest = b""
        for block in self._blocks(name, None):
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if len(rest) > MAX_LINE_BYTES:
                raise malformed(f"{name} has a line of more than {MAX_LINE_BYTES} bytes")
        if rest:
            raise malformed(f"{name} ends within a line")

    def _blocks(self, name: str, most: int | None) -> Iterator[bytes]:
        try:
            info = self._zip.getinfo(name)
            read = 0
            with self._zip.open(info) as member:
                while block := member.read(_BLOCK):
                    read += len(block)
                    if most is not None and read > most:
                        raise malformed(f"{name} has more than {most} bytes")
                    if read > _SMALL_ENOUGH and read > MAX_RATIO * info.compress_size:
                        raise malformed(f"{name} unpacks to more than {MAX_RATIO} times its size")
                    yield block
        except (
            KeyError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise malformed(f"{name} cannot be read: {error}") from error

    def _check_members(self) -> None:
        members = self._zip.infolist()
        if len(members) > MAX_MEMBERS:
            raise malformed(f"{len(members)} members are more than {MAX_MEMBERS}")
        names = [info.filename for info in members]
        if len(set(names)) < len(names):
            raise malformed("a member stands twice")
        for info in members:
            if info.filename not in REQUIRED + OPTIONAL and not DOSSIER.fullmatch(info.filename):
                raise malformed(f"{info.filename[:100]!r} is no member of a bundle")
            if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise malformed(f"{info.filename} is stored in another way than deflated")
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise malformed(f"{', '.join(missing)} is missing")


def parse_about(content: bytes) -> dict[str, Any]:
    """What the bundle says of itself. Raises Rejected ``bundle_malformed``."""
    try:
        about = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise malformed(f"{ABOUT} is not JSON: {error}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise malformed(f"{ABOUT} does not say that the format is {FORMAT}")
    if not isinstance(about.get("sample_seed", ""), str):
        raise malformed("a sample seed is text")
    return about


def malformed(message: str) -> Rejected:
    """The file is not a bundle of this format."""
    return Rejected("bundle_malformed", message, field="bundle", remedy="ask for the bundle again; docs/spec/bundle.md")
