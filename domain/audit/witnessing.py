"""What may follow a checkpoint that was accepted: the same log, grown. The rule of witnesses and of every verifier.

Keeps: after a checkpoint nothing is accepted that is of another log, shorter, or not proven to begin with the same
events; positions and times never go back. A witness asks for more: a proof that begins where it stands, and one map for
each size. So whatever it signed, in any order of requests, belongs to one history.
Leaves to the caller: whether the checkpoints are signed by the log's key, and to remember what was accepted before
anybody learns of it.
The rules are specified in ``docs/spec/log.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain.audit.checkpoint import Checkpoint
from domain.audit.merkle import consistent


class Refusal(NamedTuple):
    """Why a checkpoint is not accepted."""

    code: str
    message: str


STALE = "proof_elsewhere"
"""The one refusal that speaks against nobody: the proof begins at another checkpoint than the last one accepted."""


def contradiction(seen: Checkpoint, shown: Checkpoint, path: Sequence[bytes]) -> Refusal | None:
    """Why the log of ``shown`` is not that of ``seen`` grown, by a consistency proof between their sizes."""
    if shown.origin != seen.origin:
        return _other_origin(seen, shown)
    if shown.size < seen.size:
        return Refusal("log_rolled_back", f"the log has {shown.size} events; it had {seen.size} before")
    if shown.size == seen.size:
        return _of_one_size(seen, shown)
    if seen.size and not consistent(seen.size, shown.size, seen.root, shown.root, path):
        return Refusal("not_consistent", f"the first {seen.size} of {shown.size} events are not shown to be the same")
    if shown.rulebook_position < seen.rulebook_position:
        text = f"the rulebook ended at position {seen.rulebook_position}, and now at {shown.rulebook_position}"
        return Refusal("rulebook_went_back", text)
    if shown.recorded_us < seen.recorded_us:
        return Refusal("time_went_back", "the last event was recorded before the last one of the shorter log")
    return _of_one_map(seen, shown)


def refusal(seen: Checkpoint, began: Checkpoint, shown: Checkpoint, path: Sequence[bytes]) -> Refusal | None:
    """Why a witness that accepted ``seen`` does not sign ``shown``; ``path`` leads from ``began`` to it."""
    for each in (began, shown):
        if each.origin != seen.origin:
            return _other_origin(seen, each)
    if began.size == seen.size:
        forked = _of_one_size(seen, began)  # two words of the log on one size say more than any path
        if forked is not None:
            return forked
    elif shown.size > seen.size:
        return Refusal(STALE, f"the proof begins at {began.size}; the last checkpoint accepted has size {seen.size}")
    found = contradiction(seen, shown, path)
    if found is None and shown.map_position not in (0, shown.size):
        return Refusal("map_elsewhere", f"the map is as of {shown.map_position}, not of the size {shown.size}")
    return found


def is_newer(seen: Checkpoint, shown: Checkpoint) -> bool:
    """Whether what was accepted takes the place of what was accepted before."""
    return (shown.size, shown.map_position) > (seen.size, seen.map_position)


def _other_origin(seen: Checkpoint, shown: Checkpoint) -> Refusal:
    return Refusal("origin_differs", f"the checkpoint is of the log {shown.origin}, not of {seen.origin}")


def _of_one_size(seen: Checkpoint, shown: Checkpoint) -> Refusal | None:
    told = (shown.root, shown.rulebook_position, shown.recorded_us)
    if told != (seen.root, seen.rulebook_position, seen.recorded_us):
        return Refusal("log_forked", f"two checkpoints of size {seen.size} say different things of the log")
    return _of_one_map(seen, shown)


def _of_one_map(seen: Checkpoint, shown: Checkpoint) -> Refusal | None:
    if shown.map_position and shown.map_position == seen.map_position and shown.map_root != seen.map_root:
        return Refusal("map_forked", f"two checkpoints give different maps as of {seen.map_position}")
    return None
