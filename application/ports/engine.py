"""The engine of a fast replay: what runs the kernel over the archive, on this machine or on many.

Keeps: whatever the engine, the same accounts with the same results come out, so the joined result of a replay is the
same in every field; the answer is small against the rows, and comes in parts, so whoever joins it needs flat memory.
Leaves to ``application.recomputing``: what is done with the rows; to ``application.fast_replaying``: joining.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple, Protocol

from application.ports.archive import AccountIds
from application.ports.kernel import Recomputed
from domain.revision import Scope
from domain.rulebook import RevisionRun, Rulebook


class Task(NamedTuple):
    """What is to be recomputed: the book at log size ``until``. Everything in it can be sent to another process.

    ``partners``: the partner of each intake, by the intake's log position.
    """

    rulebook: Rulebook
    runs: Sequence[tuple[RevisionRun, Scope]]
    until: int
    partners: Mapping[int, str]


class Part(NamedTuple):
    """Some whole accounts, recomputed.

    ``ids``: account ids, ascending; the indexes in ``recomputed`` lead here. ``behaviors``: the words of its behavior
    codes. ``intakes``: how many credits of the proven accounts name each intake.
    """

    ids: AccountIds
    behaviors: Sequence[str]
    recomputed: Recomputed
    intakes: dict[int, int]


class Engine(Protocol):
    """Port of the engine."""

    def parts(self, task: Task) -> Generator[Part]:
        """Every account of the archive, part after part by account id.

        Raises Corrupt ``archive_file_changed`` and ``archive_manifest_broken`` as ``Archive.rows`` does; Unavailable
        when the machines do not do their work.
        """
