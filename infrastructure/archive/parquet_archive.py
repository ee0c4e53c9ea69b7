"""The archive port over Parquet segments and a chain of manifests, in a folder of the home.

Keeps: segments are immutable; a segment counts once its manifest stands; one process changes the archive at a time,
and whoever reads meanwhile sees what was complete when it began; whatever a crash leaves behind is ignored, and
removed by the next build. The log is never written, and nothing here is believed over it.
Leaves to ``application.archive_rows``: what the rows say.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from application.book import Book
from application.ports.archive import ArchiveDifference, ArchiveStatus, Progress
from domain.errors import Corrupt, Rejected
from domain.kernel.valuation import RULE
from domain.rulebook import Rulebook
from infrastructure.archive.files import UNFINISHED, explained, locked
from infrastructure.archive.manifests import (
    FORMAT,
    MANIFESTS,
    NO_CHAIN,
    REMEDY,
    SEGMENTS,
    Chain,
    Manifest,
    Newest,
    known_borders,
    segment_name,
    segment_path,
    write_manifest,
    write_newest,
)
from infrastructure.archive.reader import ArchiveReader
from infrastructure.archive.segments import write_segment
from infrastructure.archive.verifying import compare


class ParquetArchive(ArchiveReader):
    """Archive port; see ``application.ports.archive``."""

    def __init__(self, folder: Path, book: Book) -> None:
        """``folder``: made by the first build. Beside it a lock file and, during a rebuild, two more folders."""
        super().__init__(folder)
        self._book = book
        self._lock = folder.with_name(f"{folder.name}.lock")
        self._new = folder.with_name(f"{folder.name}.new")

    def reader(self) -> ArchiveReader:
        """What only reads, with the files that were compared already; it can be sent to another process."""
        return ArchiveReader(self._folder.resolve(), self._checked)

    def build(self, upto: int | None = None, progress: Progress | None = None) -> ArchiveStatus:
        with locked(self._lock), explained(self._folder):
            self._recover()
            size = self._book.journal.head().size
            upto = size if upto is None else upto
            self._check_border(upto, size)
            chain = self._chain()
            if chain.position > size:
                raise Corrupt(
                    "archive_ahead_of_log",
                    f"the archive covers {chain.position} events, the log has {size}",
                    remedy="find out what the log lost; `carbon-ledger archive rebuild` makes one of what is there",
                )
            _clean(self._folder, chain)
            if upto > chain.position:
                chain = self._extended(self._folder, chain, upto, progress)
            return chain.status()

    def verify(self, progress: Progress | None = None) -> list[ArchiveDifference]:
        chain = self._chain()
        if not chain.is_named:
            # Somebody may be building, and about to name it: then it is named when the lock is free.
            with locked(self._lock):
                chain = self._chain()
        return compare(self._place(), chain, self._book.journal, self._manifest_facts(), progress)

    def rebuild(self, progress: Progress | None = None) -> ArchiveStatus:
        with locked(self._lock), explained(self._folder):
            self._recover()
            size = self._book.journal.head().size
            borders = [position for position in known_borders(self._folder) if self._is_border(position, size)]
            shutil.rmtree(self._new, ignore_errors=True)
            chain = NO_CHAIN
            for border in borders or [size]:
                chain = self._extended(self._new, chain, border, progress)
            if self._folder.exists():
                self._folder.replace(self._old)
            self._new.replace(self._folder)
            shutil.rmtree(self._old, ignore_errors=True)
            self._checked.clear()
            return chain.status()

    def _recover(self) -> None:
        """Finish or undo what a rebuild was doing when it was killed."""
        if self._old.exists() and not self._folder.exists():
            self._old.replace(self._folder)
        shutil.rmtree(self._old, ignore_errors=True)
        shutil.rmtree(self._new, ignore_errors=True)

    def _chain(self) -> Chain:
        chain = super()._chain()
        genesis = self._book.rulebook().genesis
        book = "" if genesis is None else genesis.book
        if chain.manifests and chain.manifests[-1].book != book:
            raise Corrupt(
                "archive_manifest_broken",
                "the archive was made of another book",
                field=str(self._folder),
                remedy=REMEDY,
            )
        return chain

    def _extended(self, folder: Path, chain: Chain, upto: int, progress: Progress | None) -> Chain:
        """The chain with one more segment, which ends at ``upto``."""
        for each in (folder, folder / SEGMENTS, folder / MANIFESTS):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not chain.manifests:
            write_newest(folder, Newest(format=FORMAT, number=0, position=0, sm3=""))
        after = chain.position
        name = segment_name(after, upto)
        told = None if progress is None else (lambda events: progress(after + events))
        written = write_segment(segment_path(folder, name), self._book.journal, after, upto, told)
        manifest = Manifest(
            format=FORMAT,
            number=len(chain.manifests) + 1,
            previous=chain.digest,
            segment=name,
            after=after,
            upto=upto,
            **written._asdict(),
            **self._manifest_facts()(upto),
        )
        return Chain([*chain.manifests, manifest], write_manifest(folder, manifest), manifest.number)

    def _manifest_facts(self) -> Callable[[int], dict[str, Any]]:
        """What manifests say of the rules, by the size of the log."""
        journal = self._book.journal
        events = journal.rulebook_events(0, journal.head().rulebook_position)

        def facts(upto: int) -> dict[str, Any]:
            rulebook = Rulebook()
            rulebook.extend(each for each in events if each.position <= upto)
            published = {name: m.digest for name, m in rulebook.methodologies.items() if m.published_at}
            return {
                "book": "" if rulebook.genesis is None else rulebook.genesis.book,
                "rule": RULE,
                "rulebook_position": rulebook.position,
                "methodologies": published,
                "releases": {f"{name}={number}": event.digest for (name, number), event in rulebook.releases.items()},
            }

        return facts

    def _check_border(self, upto: int, size: int) -> None:
        if upto and not self._is_border(upto, size):
            raise Rejected(
                "position_unknown",
                f"no append ended at position {upto}; the log has {size} events",
                field="upto",
                remedy="leave it out, or give a size that the log once had",
            )

    def _is_border(self, position: int, size: int) -> bool:
        """Whether the log once had this size: a segment never ends inside an append."""
        if not 0 < position <= size:
            return False
        journal = self._book.journal
        return journal.position_at(journal.recorded_at([position])[position]) == position


def _clean(folder: Path, chain: Chain) -> None:
    """Remove what an interrupted build left, and finish what it could not."""
    segments = {segment_path(folder, manifest.segment) for manifest in chain.manifests}
    left = [path for path in (folder / SEGMENTS).glob("*") if path not in segments]
    left += [path for place in (folder, folder / MANIFESTS) for path in place.glob(f"*{UNFINISHED}")]
    for path in left:
        path.unlink()
    if not chain.is_named:
        last = chain.manifests[-1]
        write_newest(folder, Newest(format=FORMAT, number=last.number, position=last.upto, sm3=chain.digest))
