"""In-memory twin of the evidence store: the same promises, nothing durable, nothing sealed."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from application.ports.behavior_source import BehaviorSource
from application.ports.evidence import PRESENT, REPAIRED, STORED
from domain.digest import sm3_hex
from domain.errors import Corrupt, LedgerError, Rejected
from infrastructure.behavior_files import behaviors_of
from infrastructure.behavior_files.content import StoredContent


class MemoryEvidence:
    """Evidence store port; ``held`` is what it holds, for a test to tamper with."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self._users = 0
        self._changed = threading.Condition()

    @contextmanager
    def keeping(self, digest: str, blocks: Iterable[bytes]) -> Iterator[str]:
        with self._changed:
            self._users += 1
        try:
            yield self._kept(digest, blocks)
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    @contextmanager
    def still(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._users == 0)
            yield

    def holds(self, digest: str) -> bool:
        return digest in self.held

    def digests(self) -> Iterator[str]:
        yield from sorted(self.held)

    def read(self, digest: str) -> Iterator[bytes]:
        content = self._content(digest)
        yield content
        if sm3_hex(content) != digest:
            raise Corrupt("evidence_differs", "other bytes than the intake received", field=digest, remedy="restore it")

    def faults(self, named: Collection[str]) -> Iterator[LedgerError]:
        yield from ()  # there is no epoch, nor a key

    def source(self, digest: str, media: str) -> BehaviorSource:
        content = self._content(digest)
        return behaviors_of(StoredContent(Path(digest), digest, len(content), lambda: io.BytesIO(content)), media)

    def destroy(self, digest: str) -> None:
        self.held.pop(digest, None)

    def _content(self, digest: str) -> bytes:
        if digest not in self.held:
            raise Corrupt("evidence_missing", "the file is not there", field=digest, remedy="restore it")
        return self.held[digest]

    def _kept(self, digest: str, blocks: Iterable[bytes]) -> str:
        held = self.held.get(digest)
        if held is not None and sm3_hex(held) == digest:
            return PRESENT
        content = b"".join(blocks)
        if sm3_hex(content) != digest:
            raise Rejected("file_changed", "other bytes than the digest's", field=digest, remedy="import it again")
        self.held[digest] = content
        return STORED if held is None else REPAIRED
