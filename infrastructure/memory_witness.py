"""In-memory twins of a witness's ports; for tests and for nothing that must outlive the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from application.ports.witness_home import Known
from domain.signing_keys import SigningKey


class MemoryWitnessHome:
    """Port ``WitnessHome``."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._lock = threading.Lock()
        self.kept: dict[str, bytes] = {}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._lock:
            yield

    def known(self) -> Known:
        return self._known

    def accept(self, note: bytes) -> None:
        self._known = self._known._replace(note=note)

    def trust(self, keys: Sequence[SigningKey]) -> None:
        self._known = self._known._replace(keys=list(keys))

    def keep_evidence(self, name: str, content: bytes, *, replace: bool = False) -> str:
        if replace or name not in self.kept:
            self.kept[name] = content
        return name

    def evidence(self) -> list[str]:
        return list(self.kept)


class MemoryFolder:
    """Port ``WitnessSide``; the log's end is whoever sets ``asked`` and reads the rest."""

    def __init__(self) -> None:
        self.asked: bytes | None = None
        self.answered: bytes | None = None
        self.refused: bytes | None = None

    def request(self) -> bytes | None:
        return self.asked

    def answer(self, note: bytes) -> None:
        self.answered = note

    def refuse(self, refusal: bytes) -> None:
        self.refused = refusal
