"""Reading a bundle that a stranger made: nothing is unpacked to disk, no name in it is a path, every size has a bound.

Keeps: members are those of the format and no others, each once, and nothing else is in the file (``zip_layout``); what
a member says of its size must be what comes out; a line has a greatest length; memory does not grow with the file.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from application.verification.zip_layout import Member, NotAsWritten, members_of
from domain.audit.bundle import DOSSIER, MAX_LINE_BYTES, OPTIONAL, REQUIRED
from domain.errors import Rejected

MAX_SMALL_BYTES = 4 * 1024 * 1024
MAX_RATIO = 500
_BLOCK = 1 << 20
_SMALL_ENOUGH = 1 << 20
_RAW_DEFLATE = -15
_FIRST_BYTES = b"PK"
_UNREADABLE = (zipfile.BadZipFile, NotAsWritten, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def is_zip(path: Path) -> bool:
    """Whether a file is to be read as a bundle, be it a damaged one."""
    with path.open("rb") as file:
        return file.read(len(_FIRST_BYTES)) == _FIRST_BYTES or zipfile.is_zipfile(file)


class BundleReader:
    """A bundle opened. Raises Rejected ``bundle_malformed``."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise malformed(f"it cannot be read: {error}") from error
        try:
            self._members = self._found()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def names(self) -> list[str]:
        """The members there are."""
        return list(self._members)

    def small(self, name: str) -> bytes:
        """A small member as a whole."""
        if self._members[name].size > MAX_SMALL_BYTES:
            raise malformed(f"{name} has more than {MAX_SMALL_BYTES} bytes")
        return b"".join(self._blocks(self._members[name]))

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member without their ends; the last one has an end too."""
        rest = b""
        for block in self._blocks(self._members[name]):
            *whole, rest = (rest + block).split(b"\n")
            # A block is shorter than the greatest line: only what began before it can be too long.
            if len(whole[0] if whole else rest) > MAX_LINE_BYTES:
                raise malformed(f"{name} has a line of more than {MAX_LINE_BYTES} bytes")
            yield from whole
        if rest:
            raise malformed(f"{name} ends within a line")

    def _blocks(self, member: Member) -> Iterator[bytes]:
        """What a member makes, block by block: as many bytes as it says, and no others."""
        size = crc = 0
        try:
            for block in self._inflated(member) if member.is_deflated else self._stored(member):
                size, crc = size + len(block), zlib.crc32(block, crc)
                if size > member.size:
                    raise malformed(f"{member.name} unpacks to more than it says")
                yield block
        except _UNREADABLE as error:
            raise malformed(f"{member.name} cannot be read: {error}") from error
        if (size, crc) != (member.size, member.crc):
            raise malformed(f"{member.name} does not unpack to what it says")

    def _stored(self, member: Member) -> Iterator[bytes]:
        left, offset = member.packed, member.start
        while left:
            self._file.seek(offset)
            raw = self._file.read(min(_BLOCK, left))
            if not raw:
                raise EOFError("it ends too early")
            left, offset = left - len(raw), offset + len(raw)
            yield raw

    def _inflated(self, member: Member) -> Iterator[bytes]:
        inflating = zlib.decompressobj(_RAW_DEFLATE)
        for raw in self._stored(member):
            waiting = raw
            while waiting and not inflating.eof:
                yield inflating.decompress(waiting, _BLOCK)
                waiting = inflating.unconsumed_tail
            if inflating.unused_data or waiting:
                raise EOFError("something stands behind its end")
        while not inflating.eof:
            block = inflating.decompress(b"", _BLOCK)
            if not block and not inflating.eof:
                raise EOFError("it has no end")
            yield block

    def _found(self) -> dict[str, Member]:
        try:
            members = members_of(self._file)
        except _UNREADABLE as error:
            raise malformed(f"not a zip file as one writer writes it: {error}") from error
        by_name = {each.name: each for each in members}
        if len(by_name) < len(members):
            raise malformed("a member stands twice")
        for each in members:
            if each.name not in REQUIRED + OPTIONAL and not DOSSIER.fullmatch(each.name):
                raise malformed(f"{each.name[:100]!r} is no member of a bundle")
            if each.size > _SMALL_ENOUGH and each.size > MAX_RATIO * each.packed:
                raise malformed(f"{each.name} says that it unpacks to more than {MAX_RATIO} times its size")
        missing = [name for name in REQUIRED if name not in by_name]
        if missing:
            raise malformed(f"{', '.join(missing)} is missing")
        return by_name


def malformed(message: str) -> Rejected:
    """The file is not a bundle of this format."""
    return Rejected("bundle_malformed", message, field="bundle", remedy="ask for the bundle again; docs/spec/bundle.md")
