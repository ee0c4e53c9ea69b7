"""The archive: the accounts' calculation facts in columns, a cache of the log for whole-book questions.

Keeps (DESIGN 4, Replay path): nothing personal; integers only; every row names the log position it came from, so that
the archive can be proved equal to the log and built again from it; rows come as whole accounts, in the order the fast
kernel needs. What the columns cannot hold exactly is marked ``IRREGULAR``: such an account is answered from the log.
Leaves to ``application.archive_rows``: which event gives which row.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, NamedTuple, Protocol, overload
from uuid import UUID

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

# Kinds of rows. Kinds below CREDITED belong to the account as a whole (no behavior, year 0) and sort before the rest.
IRREGULAR: Final = 0
OPENED: Final = 1
CONSENTED: Final = 2
CONSENT_WITHDRAWN: Final = 3
ERASURE_REQUESTED: Final = 4
FROZEN: Final = 5
UNFROZEN: Final = 6
CLOSED: Final = 7
ERASED: Final = 8
REVISED: Final = 9
CREDITED: Final = 10
REVERSED: Final = 11
LINE: Final = 12

NONE: Final = -(2**63)
"""Stands for "no value" in an integer column: a computed mass that does not exist, an open end of a validity."""
BOUND: Final = 2**62
"""Every integer of a regular row is smaller than this in magnitude."""


_DIGITS_OF_A_UUID = [place for place in range(36) if place not in (8, 13, 18, 23)]


class Names:
    """The words that the coded columns stand for. Grows while an archive is read; a code never changes its word."""

    COLUMNS: Final = ("behavior", "region", "methodology", "decision", "terms", "partner")

    def __init__(self) -> None:
        self.words: dict[str, list[str]] = {column: [] for column in self.COLUMNS}
        self._codes: dict[str, dict[str, int]] = {column: {} for column in self.COLUMNS}

    def code(self, column: str, word: str) -> int:
        """The word's code, a new one when it was not met before."""
        codes = self._codes[column]
        found = codes.get(word)
        if found is None:
            found = codes[word] = len(codes)
            self.words[column].append(word)
        return found


class AccountIds(Sequence[UUID]):
    """Account ids as they are asked for: making one costs as much as decoding ten rows, and few readers need them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """``keys``: 16 bytes each."""
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> UUID: ...

    @overload
    def __getitem__(self, index: slice) -> AccountIds: ...

    def __getitem__(self, index: int | slice) -> UUID | AccountIds:
        return AccountIds(self.keys[index]) if isinstance(index, slice) else UUID(bytes=self.keys[index])

    def texts(self) -> list[bytes]:
        """All ids as ``str`` would write them, without making any."""
        digits = np.frombuffer(b"".join(self.keys).hex().encode(), np.uint8).reshape(-1, 32)
        texts = np.full((len(self.keys), 36), ord("-"), np.uint8)
        texts[:, _DIGITS_OF_A_UUID] = digits
        written: list[bytes] = texts.view("S36").ravel().tolist()
        return written


class Rows(NamedTuple):
    """The rows of some whole accounts, by account id, then (behavior, civil year, position, ``refers_to``).

    ``ids``: account ids, ascending; ``account``: index into it. ``behavior``, ``region``, ``methodology``,
    ``decision``, ``terms``, ``partner``: codes of ``names`` (behaviors are ordered by their words, not their codes).
    What each kind of row says is written in ``docs/archive.md``.
    """

    names: Names
    ids: AccountIds
    account: Codes
    kind: npt.NDArray[np.int8]
    behavior: Codes
    year: npt.NDArray[np.int16]
    position: Ints
    version: Ints
    refers_to: Ints
    day: Codes
    region: Codes
    quantity: Ints
    computed_mg: Ints
    credited_mg: Ints
    before_mg: Ints
    methodology: Codes
    decision: Codes
    terms: Codes
    partner: Codes
    intake: Ints
    valid_from_us: Ints
    valid_to_us: Ints
    digests: dict[int, bytes]
    """Row index of a ``REVISED`` row -> SM3 digest of all lines of its run in this account."""


class Share(NamedTuple):
    """The accounts whose ids (16 bytes) lie in [``first``, ``stop``)."""

    first: bytes
    stop: bytes

    def meets(self, lowest: bytes, highest: bytes) -> bool:
        """Whether some account of a range of ids (both ends included) may be in it."""
        return lowest < self.stop and self.first <= highest


def shares(count: int) -> list[Share]:
    """All account ids in ``count`` shares of equal width, in order."""
    borders = [(index * 2**128 // count).to_bytes(17, "big")[1:] for index in range(count)]
    # Longer than any id, so that it stands after all of them.
    return [Share(first, stop) for first, stop in zip(borders, [*borders[1:], b"\xff" * 17], strict=True)]


class Segment(NamedTuple):
    """One immutable file of the archive: the rows of the log positions in (after, upto]."""

    name: str
    after: int
    upto: int
    rows: int
    accounts: int
    size_bytes: int
    sm3: str


class ArchiveStatus(NamedTuple):
    """``position``: log size that the archive covers. ``digest``: of the newest manifest, which names all before it."""

    position: int
    segments: list[Segment]
    methodologies: dict[str, str]
    rule: str
    digest: str


class ArchiveDifference(NamedTuple):
    """One thing in which the archive is not what the log says (or what its own manifests say)."""

    segment: str
    what: str
    archived: str
    expected: str


Progress = Callable[[int], None]


class Archive(Protocol):
    """Port of the archive. A reader sees the segments that were complete when it began."""

    def status(self) -> ArchiveStatus:
        """What is there, from the manifests alone; position 0 when nothing was built.

        Raises Corrupt ``archive_manifest_broken`` when the chain of manifests is broken.
        """

    def build(self, upto: int | None = None, progress: Progress | None = None) -> ArchiveStatus:
        """Follow the log to its head (or to ``upto``, a size the head once had): at most one new segment."""

    def rows(
        self,
        upto: int | None = None,
        columns: frozenset[str] | None = None,
        share: Share | None = None,
        *,
        eager: bool = False,
    ) -> Generator[Rows]:
        """Every account with its rows of positions up to ``upto``, part by part by account id; memory stays flat.

        ``share``: only the accounts in it. ``columns``: only these are read; others come as zeros of length 0. Raises
        Corrupt ``archive_file_changed`` for a file that is not what its manifest says (its digest is compared before
        its first row is used). ``eager``: files are compared while they are read, and that is raised at the end, or
        when the generator is closed; until then nothing may be concluded from the rows.
        """

    def verify(self, progress: Progress | None = None) -> list[ArchiveDifference]:
        """Compare files with manifests and every row with the log; empty when they are equal."""

    def rebuild(self, progress: Progress | None = None) -> ArchiveStatus:
        """Throw everything away and build again, in the same segments, so that the digests are the same."""


def row_values(rows: Rows, index: int) -> dict[str, Any]:
    """One row in words, for messages and tests."""
    words = {name: rows.names.words[name][getattr(rows, name)[index]] for name in Names.COLUMNS}
    plain = ("kind", "year", "position", "version", "refers_to", "day", "quantity", "computed_mg", "credited_mg")
    numbers = {name: int(getattr(rows, name)[index]) for name in (*plain, "before_mg", "intake")}
    return {"account": str(rows.ids[rows.account[index]]), **numbers, **words}
