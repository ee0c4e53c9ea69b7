"""What a witness keeps for itself: what it knows of one log, and what it refused."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from domain.signing_keys import SigningKey


class Known(NamedTuple):
    """A witness and its log. ``keys``: the log's, each with its range of sizes; ``note``: the newest it accepted."""

    name: str
    origin: str
    keys: Sequence[SigningKey]
    note: bytes


class WitnessHome(Protocol):
    """Port of a witness's memory. It is on this machine's own disk, and no copy of it is ever used beside it."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Until the block ends, in no other process or thread anybody is inside; a process that dies leaves it."""

    def known(self) -> Known:
        """Raises Unavailable ``witness_unknown`` where there is none, ``witness_damaged``."""

    def accept(self, note: bytes) -> None:
        """From now on this is the newest note. When it returns, no crash takes that back."""

    def trust(self, keys: Sequence[SigningKey]) -> None:
        """From now on these are the log's keys. As durable."""

    def keep_evidence(self, name: str, content: bytes, *, replace: bool = False) -> str:
        """Keep a file; one that is there already stays, unless it is to be replaced. Returns where it is."""

    def evidence(self) -> list[str]:
        """Where all of it is, oldest first."""
