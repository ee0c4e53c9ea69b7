"""The manifests of an archive: a chain in which each names the digest of the one before it.

Keeps: one manifest for each segment, as canonical JSON, written after the segment is durable; ``newest.json`` names the
last of them, so that also a missing end of the chain is noticed. A crash between the two leaves one manifest more than
``newest.json`` names: it counts.
Leaves to ``parquet_archive``: whether the files are what the manifests say.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from application.ports.archive import ArchiveStatus, Segment
from domain.digest import sm3_hex
from domain.errors import Corrupt
from infrastructure.archive.files import explained, write_durably

FORMAT: Final = 1
REMEDY: Final = "run `carbon-ledger archive rebuild`; the log is not affected"
MANIFESTS, SEGMENTS, NEWEST = "manifests", "segments", "newest.json"


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every JSON file of the archive begins with."""

    format: int


T = TypeVar("T", bound=Document)


class Manifest(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one segment is, and what the rulebook said at its end (``upto``).

    ``previous``: SM3 of the manifest before, "" for the first. ``book``: id of the book. ``segment``: name of its file
    without extension. ``methodologies``: digest of the document of every version published by then;
    ``releases``: ``SET=N`` and the digest of every factor release known by then.
    """

    number: int
    previous: str
    book: str
    segment: str
    after: int
    upto: int
    rows: int
    accounts: int
    size_bytes: int
    sm3: str
    rule: str
    rulebook_position: int
    methodologies: dict[str, str]
    releases: dict[str, str]


class Newest(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Number, SM3 and ``upto`` of the last manifest; 0, "" and 0 before the first."""

    number: int
    position: int
    sm3: str


class Chain(NamedTuple):
    """Manifests, oldest first. ``digest``: SM3 of the last. ``named``: how many of them ``newest.json`` names."""

    manifests: list[Manifest]
    digest: str
    named: int

    @property
    def is_named(self) -> bool:
        """Whether ``newest.json`` names the last of them; a build that was killed, or an edit, leaves one beyond it."""
        return self.named == len(self.manifests)

    @property
    def position(self) -> int:
        return self.manifests[-1].upto if self.manifests else 0

    def status(self) -> ArchiveStatus:
        last = self.manifests[-1] if self.manifests else None
        segments = [
            Segment(m.segment, m.after, m.upto, m.rows, m.accounts, m.size_bytes, m.sm3) for m in self.manifests
        ]
        return ArchiveStatus(
            self.position,
            segments,
            {} if last is None else last.methodologies,
            "" if last is None else last.rule,
            self.digest,
        )


NO_CHAIN: Final = Chain([], "", 0)


def segment_name(after: int, upto: int) -> str:
    """Positions in the name: the borders of a lost manifest are known from it."""
    return f"{after:015d}-{upto:015d}"


def manifest_path(folder: Path, number: int) -> Path:
    return folder / MANIFESTS / f"{number:08d}.json"


def segment_path(folder: Path, name: str) -> Path:
    return folder / SEGMENTS / f"{name}.parquet"


def canonical(document: Document) -> bytes:
    """Keys in order, no spaces, one line."""
    return msgspec.json.encode(document, order="sorted") + b"\n"


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Add a manifest whose segment is durable, then name it as the newest; returns its SM3."""
    content = canonical(manifest)
    digest = sm3_hex(content)
    write_durably(manifest_path(folder, manifest.number), content)
    write_newest(folder, Newest(format=FORMAT, number=manifest.number, position=manifest.upto, sm3=digest))
    return digest


def write_newest(folder: Path, newest: Newest) -> None:
    write_durably(folder / NEWEST, canonical(newest))


def load_chain(folder: Path) -> Chain:
    """All manifests, checked against each other. Raises Corrupt ``archive_manifest_broken``."""
    with explained(folder):
        files = {path.name for path in (folder / MANIFESTS).glob("*.json")}
        if not (folder / NEWEST).exists():
            if files or any((folder / SEGMENTS).glob("*.parquet")):
                raise broken(NEWEST, "it is missing")
            return NO_CHAIN
        newest = _decoded(Newest, folder / NEWEST)[0]
        manifests: list[Manifest] = []
        digest = ""
        for number in range(1, max(newest.number, len(files)) + 1):
            path = manifest_path(folder, number)
            if path.name not in files:
                raise broken(path.name, "it is missing")
            manifest, content = _decoded(Manifest, path)
            _check_link(path.name, manifest, manifests, number, digest)
            manifests.append(manifest)
            digest = sm3_hex(content)
            if number == newest.number and (newest.sm3, newest.position) != (digest, manifest.upto):
                raise broken(path.name, f"{NEWEST} names another content")
    if len(manifests) > newest.number + 1 or (newest.number == 0 and (newest.position or newest.sm3)):
        raise broken(NEWEST, f"it names {newest.number} manifests, there are {len(manifests)}")
    return Chain(manifests, digest, newest.number)


def _check_link(name: str, manifest: Manifest, before: list[Manifest], number: int, digest: str) -> None:
    expected: dict[str, Any] = {
        "number": number,
        "previous": digest,
        "after": before[-1].upto if before else 0,
        "segment": segment_name(manifest.after, manifest.upto),
    }
    if before:
        expected["book"] = before[-1].book
    for field, value in expected.items():
        if getattr(manifest, field) != value:
            raise broken(name, f"{field} is {getattr(manifest, field)!r}, expected {value!r}")


def _decoded(kind: type[T], path: Path) -> tuple[T, bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise broken(path.name, "it is missing") from None
    try:
        document = msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise broken(path.name, f"it cannot be read: {error}") from error
    if document.format != FORMAT:
        raise broken(path.name, f"it is of format {document.format}, this release reads {FORMAT}")
    if canonical(document) != content:
        raise broken(path.name, "it is not in canonical form")
    return document, content


def broken(name: str, message: str) -> Corrupt:
    return Corrupt("archive_manifest_broken", message, field=name, remedy=REMEDY)


def known_borders(folder: Path) -> list[int]:
    """Positions at which segments ended, from whatever of the archive can still be read; ascending.

    Every border stands in several files (a manifest, the next one, names of segments, ``newest.json``): one that only
    a single file tells of is a trace of damage, unless files are lost: without it there would be fewer segments than
    ``newest.json`` counts.
    """
    found: Counter[int] = Counter()
    segments = 0
    for path in (folder / MANIFESTS).glob("*.json"):
        with suppress(Corrupt):
            manifest, _ = _decoded(Manifest, path)
            found.update((manifest.after, manifest.upto))
    with suppress(Corrupt):
        newest, _ = _decoded(Newest, folder / NEWEST)
        segments = newest.number
        found[newest.position] += 1
    for path in (folder / SEGMENTS).glob("*.parquet"):
        found.update(int(text) for text in path.stem.split("-") if text.isascii() and text.isdigit())
    known = sorted(position for position in found if position > 0)
    told_twice = [position for position in known if found[position] > 1]
    return known if len(told_twice) < segments else told_twice
