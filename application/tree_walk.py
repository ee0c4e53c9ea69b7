"""The tree over the log, grown again from the stored events, checkpoint by checkpoint.

Keeps: a page ends where a checkpoint was made, so that the tree is compared with each of them; nothing of an event that
the database tells beside its envelope (position, stream, version, topic, time) escapes, since its leaf holds it. Times
never fall, neither those of events nor behind that of a checkpoint.
Leaves to the caller: which checkpoint to begin at, and whether its signature is good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from application.ports.audit_log import AuditLog, Kept, Logged, TreeHead
from domain.audit.leaves import leaf_of, unpack
from domain.audit.merkle import Subtree, grow, root_of
from domain.errors import Corrupt
from domain.events.base import Event, Recorded
from domain.events.registry import RULEBOOK_TOPICS, decode_facts, placed

PAGE = 5_000


class Grown(NamedTuple):
    """The tree after a page of events. ``rulebook_position``, ``recorded_us``: as a checkpoint of this size tells them.

    ``subtrees``: those to keep that the page completed. ``kept``: the checkpoints of this size.
    """

    size: int
    frontier: list[bytes]
    rulebook_position: int
    recorded_us: int
    page: list[Logged]
    subtrees: list[Subtree]
    kept: list[Kept]


def beginning() -> Grown:
    """The tree before the first event."""
    return Grown(0, [], 0, 0, [], [], [])


def walk(log: AuditLog, head: TreeHead, began: Grown) -> Iterator[Grown]:
    """The tree page by page up to the head. Raises Corrupt ``log_changed`` where positions are missing, or the head."""
    grown = began
    logged = log.logged(began.size, head.size)
    stops = log.checkpoints(began.size)
    stop = next(stops, None)
    while grown.size < head.size:
        end = min(grown.size + PAGE, head.size if stop is None else stop.size)
        page = list(islice(logged, end - grown.size))
        _check_times(grown.recorded_us, page)
        frontier, subtrees = grow(grown.size, grown.frontier, _leaves(head.book, grown.size, end, page))
        rulebook = [each.position for each in page if each.topic in _RULEBOOK]
        kept = []
        while stop is not None and stop.size == end:
            kept.append(stop)
            stop = next(stops, None)
        rulebook_position = max(rulebook, default=grown.rulebook_position)
        grown = Grown(end, frontier, rulebook_position, page[-1].recorded_us, page, subtrees, kept)
        yield grown
    if (grown.frontier, root_of(grown.frontier)) != (head.frontier, head.root):
        raise log_changed(grown.size, "the head of the log is not the tree over its events")
    if (grown.rulebook_position, grown.recorded_us) != (head.rulebook_position, head.recorded_us):
        raise log_changed(grown.size, "the head of the log tells another rulebook position or time than its events")


def recorded_of(each: Logged, decode: Callable[[str, bytes], Event] = decode_facts) -> Recorded:
    """The facts of a stored event. ``decode``: how strictly they are read. Raises Corrupt with the place."""
    try:
        facts = decode(each.topic, unpack(each.state).facts)
    except Corrupt as error:
        raise placed(error, each.stream, each.version, each.position) from error
    return Recorded(each.stream, each.version, each.position, facts, None)


def log_changed(position: int, message: str) -> Corrupt:
    """The log is no longer what was signed, or what its head says."""
    return Corrupt(
        "log_changed",
        message,
        field=f"position {position}",
        remedy="stop writing, keep the database as evidence, and run `carbon-ledger check`",
    )


def log_behind_checkpoint(size: int, signed: int) -> Corrupt:
    """The log is shorter than it was when it was signed. Nothing may be appended: it would take a position twice."""
    return Corrupt(
        "log_behind_checkpoint",
        f"the log has {size} events; a checkpoint of {signed} was signed",
        field=f"position {size}",
        remedy="the end of the log was lost: restore the newest backup before anybody writes again",
    )


_RULEBOOK = frozenset(RULEBOOK_TOPICS)


def _check_times(latest_us: int, page: list[Logged]) -> None:
    for each in page:
        if each.recorded_us < latest_us:
            raise log_changed(each.position, f"position {each.position} was recorded before the one before it")
        latest_us = each.recorded_us


def _leaves(book: bytes, size: int, end: int, page: list[Logged]) -> list[bytes]:
    for place, each in enumerate(page, start=size + 1):
        if each.position != place:
            raise log_changed(place, f"there is no event at position {place}")
    if len(page) < end - size:
        raise log_changed(size + len(page) + 1, f"there is no event at position {size + len(page) + 1}")
    return [
        leaf_of(book, position, stream.bytes, version, topic, recorded_us, state)
        for position, stream, version, topic, recorded_us, state in page
    ]
