"""The book map follows the log: for every stream its version, for every account its balances (docs/spec/book-map.md).

Keeps: the map is changed by events alone, never by a view; before a prefix's streams are changed, what is stored of
them must lead to the part that is stored for them, and before the first change all parts to the root that was signed.
So whoever edits the stored map is found, at the latest when a stream beside the edited one moves.
Leaves to ``checkpoints``: that the events are those of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from uuid import UUID

from application.book import Book
from application.ports.audit_log import MapStore, StreamState
from application.projections.entries import balance_changes, statement_rows
from domain.audit.book_map import Entry, Item, MapPart, balances_bytes, map_key, map_part, map_root, map_value
from domain.errors import Corrupt
from domain.events.base import Recorded
from domain.events.registry import TOPICS
from domain.values import integer_of

PREFIX_BITS = 16
STREAMS_AT_ONCE = 100_000
_PREFIXES_AT_ONCE = 1_024


def stored_root(maps: MapStore) -> bytes:
    """The root of the map as it is stored. Raises Corrupt ``map_changed`` when a part stands under another prefix."""
    return map_root(_parts(maps))


def _parts(maps: MapStore) -> Iterator[Item]:
    for prefix, item in maps.parts():
        if prefix_of(item.prefix if isinstance(item, MapPart) else item[0]) != prefix:
            raise changed(f"what is stored for the prefix {prefix:04x} is another's")
        yield item


def check_root(maps: MapStore, signed: bytes) -> None:
    """Raises Corrupt ``map_changed`` unless the stored parts lead to the root that was signed."""
    if stored_root(maps) != signed:
        raise changed("the stored map does not lead to the root of the last checkpoint that names one")


def entry_of(key: bytes, state: StreamState) -> Entry:
    """What the map holds for a stream."""
    return key, map_value(state.stream.bytes, state.version, balances_of(state.balances).items())


def balances_of(text: str) -> dict[str, int]:
    """Balances from lines ``behavior,mg``. Raises Corrupt ``map_changed``."""
    try:
        return {behavior: integer_of(mg) for behavior, mg in (line.split(",") for line in text.splitlines())}
    except ValueError as error:
        raise changed("a stored balance is not a line of behavior and mg") from error


def prefix_of(key: bytes) -> int:
    """The first 16 bits of a key."""
    return int.from_bytes(key[:2], "big")


class MapChanges:
    """Changes of the map, gathered from pages of the log and written when they are many."""

    def __init__(self, maps: MapStore) -> None:
        self._maps = maps
        self._versions: dict[UUID, int] = {}
        self._balances: dict[UUID, dict[str, int]] = {}

    def add(self, page: Sequence[Recorded]) -> None:
        """The next events of the log."""
        self._versions.update((each.stream, each.version) for each in page)
        for (stream, behavior), change in balance_changes(statement_rows(page)).items():
            sums = self._balances.setdefault(stream, {})
            sums[behavior] = sums.get(behavior, 0) + change.credited_mg
        if len(self._versions) >= STREAMS_AT_ONCE:
            self.write()

    def write(self) -> None:
        """Store what was gathered. Raises Corrupt ``map_changed``."""
        touched = sorted((map_key(stream.bytes), stream) for stream in self._versions)
        groups = groupby(touched, key=lambda each: prefix_of(each[0]))
        by_prefix = {prefix: list(group) for prefix, group in groups}
        stored = dict(self._maps.parts())
        waiting = iter(by_prefix)
        while prefixes := list(islice(waiting, _PREFIXES_AT_ONCE)):
            self._write(prefixes, by_prefix, stored)
        self._versions, self._balances = {}, {}

    def _write(
        self, prefixes: Sequence[int], touched: Mapping[int, list[tuple[bytes, UUID]]], stored: Mapping[int, Item]
    ) -> None:
        states: dict[int, dict[bytes, StreamState]] = {prefix: {} for prefix in prefixes}
        for key, state in self._maps.streams(prefixes):
            states[prefix_of(key)][key] = state
        new_states: dict[bytes, StreamState] = {}
        new_parts: dict[int, Item] = {}
        for prefix, held in states.items():
            if part_of(prefix, held) != stored.get(prefix):
                raise changed(f"the streams with the prefix {prefix:04x} are not those that its part stands for")
            moved = {key: self._moved(key, stream, held.get(key)) for key, stream in touched[prefix]}
            part = part_of(prefix, {**held, **moved})
            assert part is not None
            new_states |= moved
            new_parts[prefix] = part
        self._maps.put(new_states, new_parts)

    def _moved(self, key: bytes, stream: UUID, before: StreamState | None) -> StreamState:
        balances = balances_of(before.balances) if before is not None else {}
        for behavior, mg in self._balances.get(stream, {}).items():
            balances[behavior] = balances.get(behavior, 0) + mg
        return StreamState(stream, self._versions[stream], balances_bytes(sorted(balances.items())).decode("ascii"))


def map_states(book: Book, upto: int) -> Iterator[tuple[UUID, StreamState]]:
    """Every stream's place in the map as the first ``upto`` events say, by stream id."""
    for stream, recorded in book.journal.streams(sorted(TOPICS), upto):
        changes = balance_changes(statement_rows(recorded))
        balances = {behavior: change.credited_mg for (_, behavior), change in changes.items()}
        text = balances_bytes(sorted(balances.items())).decode("ascii")
        yield stream, StreamState(stream, recorded[-1].version, text)


def part_of(prefix: int, states: Mapping[bytes, StreamState]) -> Item | None:
    """What stands for the streams of a prefix."""
    entries = [entry_of(key, states[key]) for key in sorted(states)]
    return map_part(PREFIX_BITS, prefix.to_bytes(2, "big") + bytes(30), entries)


def changed(message: str) -> Corrupt:
    """The stored map is not what it was when it was signed."""
    return Corrupt(
        "map_changed",
        message,
        field="views.map_streams, views.map_parts",
        remedy="run `carbon-ledger checkpoint rebuild`: it makes the map anew from the log and compares",
    )
