"""The evidence store: the bytes that intakes were received as, by their SM3 digest, sealed.

Keeps: what ``keeping`` has told is in the store is durable and opens to exactly those bytes; the same bytes are stored
once; what was destroyed opens no more. Memory is flat, whatever the bytes' length.
Leaves to the caller: which bytes should be there, and whether they may go (``domain.evidence``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from application.ports.behavior_source import BehaviorSource
from domain.errors import LedgerError

STORED, PRESENT, REPAIRED = "stored", "present", "repaired"


class EvidenceStore(Protocol):
    """Port of the evidence store. Digests are 64 lower-case hex digits."""

    def keeping(self, digest: str, blocks: Iterable[bytes]) -> AbstractContextManager[str]:
        """The bytes are in the store when the block begins, and nobody destroys them until it ends.

        Gives ``stored``, ``present`` (they were there already) or ``repaired`` (what was there did not open to them any
        more). Raises Rejected ``file_changed`` when they are not those of the digest, Unavailable
        ``evidence_not_written``, ``keys_moved``.
        """

    def still(self) -> AbstractContextManager[None]:
        """Until the block ends nobody stores anything; waits for those who do."""

    def holds(self, digest: str) -> bool:
        """Whether something is stored under the digest, opening or not."""

    def digests(self) -> Iterator[str]:
        """Of everything that is stored, in order."""

    def read(self, digest: str) -> Iterator[bytes]:
        """All bytes, in parts. They are to be trusted only when the last has come: then the digest was compared.

        Raises Corrupt ``evidence_missing``, ``evidence_key_missing``, ``evidence_broken``, ``evidence_differs``;
        Unavailable ``keys_moved``, ``evidence_unreadable``.
        """

    def faults(self, named: Collection[str]) -> Iterator[LedgerError]:
        """What else would refuse to store a file or to wrap keys again: the epoch, and keys of files not ``named``."""

    def source(self, digest: str, media: str) -> BehaviorSource:
        """The rows of a stored behavior file. Raises as ``read``."""

    def destroy(self, digest: str) -> None:
        """Make the bytes unreadable for ever, within ``still``; nothing to do where they are not there."""
