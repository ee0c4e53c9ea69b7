"""The archive against the log: every file with its manifest, every row with the event it came from.

Keeps: rows are derived again by the very function that builds them, account by account, so memory stays flat; a
difference is named by segment, account, position and column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from application.archive_rows import ArchiveRow
from application.ports.archive import NONE, ArchiveDifference, Progress, Segment
from application.ports.journal import Journal
from domain.errors import Corrupt
from infrastructure.archive.columns import SCHEMA, Group
from infrastructure.archive.manifests import NEWEST, Chain, Manifest
from infrastructure.archive.segments import SegmentFile, check_segment, groups

DIFFERENCES_KEPT: Final = 1_000
_Account = tuple[bytes, list[ArchiveRow]]


def compare(
    folder: Path,
    chain: Chain,
    journal: Journal,
    facts: Callable[[int], dict[str, Any]],
    progress: Progress | None,
) -> list[ArchiveDifference]:
    """The first differences; ``facts``: what a manifest says of the rules at a position."""
    found: list[ArchiveDifference] = []
    size = journal.head().size
    if chain.position > size:
        found.append(ArchiveDifference("", "position", str(chain.position), f"at most {size}, the size of the log"))
    if not chain.is_named:
        unnamed = f"names {chain.named} manifests, there are {len(chain.manifests)}"
        found.append(ArchiveDifference("", NEWEST, unnamed, "all; after a killed build `archive build` names the last"))
    for manifest, segment in zip(chain.manifests, chain.status().segments, strict=True):
        if manifest.upto <= size:
            found += _facts(manifest, facts(manifest.upto))
        wrong = check_segment(folder, segment)
        if wrong:
            found.append(
                ArchiveDifference(segment.name, "file", wrong, f"{segment.size_bytes} bytes, SM3 {segment.sm3}")
            )
            continue
        for difference in _rows(folder, segment, journal, progress):
            found.append(difference)
            if len(found) >= DIFFERENCES_KEPT:
                return found
    return found


def _facts(manifest: Manifest, expected: dict[str, Any]) -> Iterator[ArchiveDifference]:
    for name, value in expected.items():
        if getattr(manifest, name) != value:
            what = f"{name} of manifest {manifest.number}"
            yield ArchiveDifference(manifest.segment, what, str(getattr(manifest, name)), str(value))


def _rows(folder: Path, segment: Segment, journal: Journal, progress: Progress | None) -> Iterator[ArchiveDifference]:
    counted = {"rows": 0, "accounts": 0}

    def told(events: int) -> None:
        if progress is not None:
            progress(segment.after + events)

    try:
        file = SegmentFile(folder, segment, SCHEMA.names)
    except Corrupt as error:
        yield ArchiveDifference(segment.name, "file", error.message, "a readable file")
        return
    try:
        expected = groups(journal, segment.after, segment.upto, told)
        for key, archived, derived in _side_by_side(_accounts(file.rows()), _accounts(expected)):
            counted["rows"] += len(archived)
            counted["accounts"] += bool(archived)
            if archived != derived:
                yield from _account(segment, key, archived, derived)
    finally:
        file.close()
    for name, count in counted.items():
        if getattr(segment, name) != count:
            yield ArchiveDifference(segment.name, f"{name} of the manifest", str(getattr(segment, name)), str(count))


def _accounts(found: Iterable[Group]) -> Iterator[_Account]:
    for ids, counts, rows in found:
        begin = 0
        for key, count in zip(ids, counts, strict=True):
            yield key, list(rows[begin : begin + count])
            begin += count


def _side_by_side(
    archived: Iterator[_Account], derived: Iterator[_Account]
) -> Iterator[tuple[bytes, list[ArchiveRow], list[ArchiveRow]]]:
    """Both by account id; no rows where one side does not have the account."""
    left, right = next(archived, None), next(derived, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield left[0], left[1], []
            left = next(archived, None)
        elif left is None or right[0] < left[0]:
            yield right[0], [], right[1]
            right = next(derived, None)
        else:
            yield left[0], left[1], right[1]
            left, right = next(archived, None), next(derived, None)


def _account(
    segment: Segment, key: bytes, archived: list[ArchiveRow], derived: list[ArchiveRow]
) -> Iterator[ArchiveDifference]:
    account = UUID(bytes=key)
    was, should = _by_key(archived), _by_key(derived)
    differing = sorted(each for each in was.keys() | should.keys() if was.get(each) != should.get(each))
    for each in differing:
        place = f"account {account}, position {each[0]}"
        old, new = was.get(each), should.get(each)
        if old is None or new is None:
            yield ArchiveDifference(segment.name, f"{place}: row", _text(old), _text(new))
            continue
        for name in ArchiveRow._fields:
            one, other = getattr(old, name), getattr(new, name)
            if one != other:
                yield ArchiveDifference(segment.name, f"{place}: {name}", _plain(one), _plain(other))
    if not differing:
        yield ArchiveDifference(segment.name, f"account {account}: rows", "repeated or in another order", "each once")


def _by_key(rows: list[ArchiveRow]) -> dict[tuple[int, int, int], ArchiveRow]:
    return {(row.position, row.kind, row.refers_to): row for row in rows}


def _text(row: ArchiveRow | None) -> str:
    return "none" if row is None else str(row._asdict())


def _plain(value: int | str | bytes) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return "none" if value == NONE else str(value)
