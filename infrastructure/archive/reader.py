"""Reading an archive: all that is needed is its folder.

Keeps: a file is compared with its manifest before its first row is used, or before the last one is given to whoever
asked for that, once for each reader; what a reader began with
stays what it reads, since segments never change.
Leaves to ``parquet_archive``: building, proving, and whose book the archive is of.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from application.ports.archive import ArchiveStatus, Names, Rows, Segment, Share
from infrastructure.archive.manifests import Chain, load_chain
from infrastructure.archive.reading import Cursor, columns_to_read, parts
from infrastructure.archive.segments import SegmentFile, changed, check_segment


class ArchiveReader:
    """The reading part of the archive port; see ``application.ports.archive``."""

    def __init__(self, folder: Path, checked: Iterable[Segment] = ()) -> None:
        """``checked``: segments whose files were compared with their manifests already."""
        self._folder = folder
        self._old = folder.with_name(f"{folder.name}.old")
        self._checked = set(checked)

    def status(self) -> ArchiveStatus:
        return self._chain().status()

    def check_files(self, upto: int) -> None:
        """Compare every file with rows up to a position with its manifest; raises Corrupt as ``rows`` does."""
        for segment in self._chain().status().segments:
            if segment.after < upto:
                self._check(self._place(), segment)

    def rows(
        self,
        upto: int | None = None,
        columns: frozenset[str] | None = None,
        share: Share | None = None,
        *,
        eager: bool = False,
    ) -> Generator[Rows]:
        folder = self._place()
        chain = self._chain()
        upto = chain.position if upto is None else upto
        segments = [segment for segment in chain.status().segments if segment.after < upto]
        cut = bool(segments) and segments[-1].upto > upto
        read = columns_to_read(columns, len(segments), cut=cut)
        names = Names()
        with self._comparing(folder, segments, eager=eager), ThreadPoolExecutor(1) as ahead, ExitStack() as opened:
            files = [opened.enter_context(closing(SegmentFile(folder, segment, read))) for segment in segments]
            cursors = [
                Cursor(file, segment, names, upto, share, ahead=ahead)
                for file, segment in zip(files, segments, strict=True)
            ]
            yield from parts(cursors, names, columns)

    @contextmanager
    def _comparing(self, folder: Path, segments: Sequence[Segment], *, eager: bool) -> Iterator[None]:
        """Every file is compared before what uses it begins; ``eager``: before it has ended, whatever it ended with."""
        with ThreadPoolExecutor(1) as beside:
            compared = [beside.submit(self._check, folder, segment) for segment in segments]
            try:
                if not eager:
                    _ended(compared)
                yield
            finally:
                _ended(compared)

    def _place(self) -> Path:
        """Where a reader finds the archive, also when a rebuild died between moving the old one away and its end."""
        return self._old if self._old.exists() and not self._folder.exists() else self._folder

    def _chain(self) -> Chain:
        return load_chain(self._place())

    def _check(self, folder: Path, segment: Segment) -> None:
        """Once for each segment; a segment never changes."""
        if segment not in self._checked:
            wrong = check_segment(folder, segment)
            if wrong:
                raise changed(segment, wrong)
            self._checked.add(segment)


def _ended(compared: Iterable[Future[None]]) -> None:
    for each in compared:
        each.result()
