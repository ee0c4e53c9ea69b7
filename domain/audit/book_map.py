"""The book map: one root over the state of every account, by which an account is shown to be in the book, or not.

Keeps: a sparse Merkle tree of 256 levels over hashed stream ids; an empty subtree is 32 zero bytes, a subtree with one
leaf is that leaf's node whatever its height, so that the root costs a few hashes for each account and a path is short.
Roots and paths are made in one pass over sorted entries that remembers one hash for each level. The prefixes (4 value,
5 node, 6 lone leaf) hold the kinds of hash apart from each other and from those of the log.
Leaves to the caller: sorting, the states themselves, and whether a root is one that was signed.
The bytes are specified in ``docs/spec/book-map.md``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import NamedTuple

from domain.digest import new_sm3
from domain.errors import Corrupt, Rejected

FORMAT = 1
LEVELS = 256
EMPTY = bytes(32)
"""The root of a subtree without leaves."""

_HASH_BYTES = 32
_STREAM_BYTES = 16
_STATE = Struct(">B16sQ")
_VALUE = new_sm3(b"\x04")
_NODE = new_sm3(b"\x05")
_LONE = new_sm3(b"\x06")

Entry = tuple[bytes, bytes]
"""Key and value, 32 bytes each."""


class MapPart(NamedTuple):
    """A subtree that is given by its root alone, in the place of its entries.

    ``depth`` leading bits of ``prefix`` say which, its other bits are 0. A part of one entry is given only at the depth
    where that entry stands, see ``docs/spec/book-map.md``.
    """

    depth: int
    prefix: bytes
    root: bytes


Item = Entry | MapPart


class MapProof(NamedTuple):
    """The siblings from the root down to where a key's subtree holds at most one leaf.

    ``other`` is the leaf found there when it is another key's: the key has none. It is None when the leaf is the key's
    own, and when there is no leaf at all.
    """

    siblings: tuple[bytes, ...]
    other: Entry | None = None


def map_key(stream: bytes) -> bytes:
    """Where in the map a stream stands: SM3(stream id)."""
    if len(stream) != _STREAM_BYTES:
        raise _corrupt(f"a stream id has {_STREAM_BYTES} bytes, not {len(stream)}", "stream")
    return new_sm3(stream).digest()


def balances_bytes(balances: Iterable[tuple[str, int]]) -> bytes:
    """The lines ``behavior,mg`` in the order of the behaviors, each of which stands once."""
    lines, before = [], ""
    for behavior, mg in balances:
        if not behavior.isascii() or not behavior.isprintable() or "," in behavior:
            raise _corrupt("a behavior is printable ASCII without a comma", "behavior")
        if behavior <= before:
            raise _corrupt("behaviors are not empty, stand once and are sorted", "behavior")
        lines.append(f"{behavior},{mg}\n")
        before = behavior
    return "".join(lines).encode("ascii")


def map_value(stream: bytes, version: int, balances: Iterable[tuple[str, int]]) -> bytes:
    """SM3(4 ‖ format ‖ stream id ‖ version ‖ SM3(balances))."""
    if len(stream) != _STREAM_BYTES:
        raise _corrupt(f"a stream id has {_STREAM_BYTES} bytes, not {len(stream)}", "stream")
    if not 0 <= version < 1 << 63:
        raise _corrupt(f"a stream has no version {version}", "version")
    state = _VALUE.copy()
    state.update(_STATE.pack(FORMAT, stream, version) + new_sm3(balances_bytes(balances)).digest())
    return state.digest()


def map_root(items: Iterable[Item]) -> bytes:
    """The root over entries and parts in the order of their keys. Raises Corrupt ``map_malformed`` in another order."""
    root = EMPTY
    for subtree in _subtrees(items):
        root = subtree.root
    return root


def map_part(depth: int, prefix: bytes, entries: Iterable[Entry]) -> Item | None:
    """What stands for these entries, all that begin with the prefix: a part, the entry if it is one, None if none."""
    root, number, alone = EMPTY, _number_of((prefix, EMPTY)), None
    for subtree in _subtrees(entries, depth):
        if _shared(number, subtree.number) < depth:
            raise _corrupt("an entry stands outside the part that it is in", "key")
        root, alone = subtree.root, subtree.lone
    return alone or (None if root == EMPTY else MapPart(depth, prefix, root))


def map_rest(items: Iterable[Item], wanted: Iterable[bytes]) -> Iterator[MapPart]:
    """The largest subtrees without any of the wanted keys, which are all in the map, in the order of their keys.

    With the entries of the wanted keys they are what ``map_root`` needs to come to the root.
    """
    numbers = sorted(int.from_bytes(key, "big") for key in wanted)
    for depth, number, root, _ in _subtrees(items):
        if not _below(numbers, number, depth) and (not depth or _below(numbers, number, depth - 1)):
            yield MapPart(depth, _prefix(number, depth), root)


def map_paths(items: Iterable[Item], wanted: Iterable[bytes]) -> dict[bytes, MapProof]:
    """For each wanted key, in the map or not, what shows it. No part that is given holds one of the keys."""
    keys = sorted(set(wanted))
    if any(len(key) != _HASH_BYTES for key in keys):
        raise _corrupt(f"a key has {_HASH_BYTES} bytes", "key")
    numbers = [int.from_bytes(key, "big") for key in keys]
    siblings: list[dict[int, bytes]] = [{} for _ in keys]
    others: list[Entry | None] = [None] * len(keys)
    for depth, number, root, lone in _subtrees(items):
        if lone is not None:
            for place in _below(numbers, number, depth):
                others[place] = lone if lone[0] != keys[place] else None
        if depth:
            for place in _below(numbers, number ^ 1 << LEVELS - depth, depth):
                siblings[place][depth] = root
    proofs = {}
    for key, found, other in zip(keys, siblings, others, strict=True):
        path = tuple(found.get(depth, EMPTY) for depth in range(1, max(found, default=0) + 1))
        proofs[key] = MapProof(path, other)
    return proofs


def root_from_path(key: bytes, value: bytes | None, proof: MapProof) -> bytes:
    """The root that a proof leads to: that ``key`` has ``value``, or with None that it has none.

    Raises Rejected ``proof_malformed``.
    """
    siblings, other = proof
    depth = len(siblings)
    if depth > LEVELS or (siblings and siblings[-1] == EMPTY):
        raise _malformed(f"a path has at most {LEVELS} levels and does not end beside an empty subtree", "siblings")
    if not _hashes(key, *siblings, *(other or ()), *(() if value is None else (value,))):
        raise _malformed(f"keys, values and siblings have {_HASH_BYTES} bytes", "siblings")
    number = int.from_bytes(key, "big")
    root = EMPTY
    if value is not None:
        if other is not None:
            raise _malformed("a key that is there needs no other leaf", "other")
        root = _lone(key, value)
    elif other is not None:
        if other[0] == key or _shared(number, int.from_bytes(other[0], "big")) < depth:
            raise _malformed("the other leaf does not stand where the key would", "other")
        root = _lone(*other)
    for level in range(depth, 0, -1):
        root = _joined(number, level, root, siblings[level - 1])
    return root


class _Subtree(NamedTuple):
    """A subtree that holds a leaf: its depth, the number of a key in it, its root, its leaf if that is alone."""

    depth: int
    number: int
    root: bytes
    lone: Entry | None


def _subtrees(items: Iterable[Item], top: int = 0) -> Iterator[_Subtree]:
    """Every subtree with a leaf whose sibling was or will be needed, when it is complete; that of ``top`` is last."""
    waiting: dict[int, bytes] = {}  # by depth: roots of left subtrees whose right sibling is not complete
    before, number = top - 1, -1
    held: Item | None = None
    for item in items:
        following = _part_number(item) if isinstance(item, MapPart) else _number_of(item)
        if held is not None:
            after = _shared(number, following)
            if following <= number:
                raise _corrupt("entries are sorted by key, and each key stands once", "key")
            yield from _risen(held, number, max(before, after) + 1, after + 1, waiting)
            before = after
        held, number = item, following
    if held is not None:
        yield from _risen(held, number, before + 1, top, waiting)


def _risen(item: Item, number: int, depth: int, stop: int, waiting: dict[int, bytes]) -> Iterator[_Subtree]:
    """The subtrees that are complete with this item, from its own up to the depth where another key joins.

    ``depth``: from where on no other key is below it.
    """
    if isinstance(item, MapPart):
        if item.depth < depth:
            raise _corrupt("parts and entries stand side by side, never one within the other", "depth")
        depth, root = item.depth, item.root
        yield _Subtree(depth, number, root, None)
    else:
        root = _lone(*item)
        yield _Subtree(depth, number, root, item)
    while depth > stop:
        root = _joined(number, depth, root, waiting.pop(depth, EMPTY) if _is_right(number, depth) else EMPTY)
        depth -= 1
        yield _Subtree(depth, number, root, None)
    waiting[depth] = root


def _part_number(part: MapPart) -> int:
    if not 0 <= part.depth <= LEVELS or not _hashes(part.prefix, part.root) or part.root == EMPTY:
        raise _corrupt(f"a part has 0 to {LEVELS} levels, a prefix and a root", "depth")
    number = int.from_bytes(part.prefix, "big")
    if number & (1 << LEVELS - part.depth) - 1:
        raise _corrupt("the bits of a prefix after its depth are 0", "prefix")
    return number


def _prefix(number: int, depth: int) -> bytes:
    """The first bits of a key, the others 0."""
    shift = LEVELS - depth
    return (number >> shift << shift).to_bytes(_HASH_BYTES, "big")


def _number_of(entry: Entry) -> int:
    if not _hashes(*entry):
        raise _corrupt(f"a key and a value have {_HASH_BYTES} bytes each", "entry")
    return int.from_bytes(entry[0], "big")


def _shared(one: int, other: int) -> int:
    """How many leading bits two keys share."""
    return LEVELS - (one ^ other).bit_length()


def _is_right(number: int, depth: int) -> bool:
    """Whether the subtree of this key at this depth is the right one of two."""
    return number >> LEVELS - depth & 1 == 1


def _below(numbers: Sequence[int], number: int, depth: int) -> range:
    """Places of the sorted numbers that share the first ``depth`` bits."""
    shift = LEVELS - depth
    first = number >> shift
    return range(bisect_left(numbers, first << shift), bisect_left(numbers, first + 1 << shift))


def _joined(number: int, depth: int, root: bytes, sibling: bytes) -> bytes:
    """The node above a subtree of this key at this depth and its sibling."""
    state = _NODE.copy()
    state.update(sibling + root if _is_right(number, depth) else root + sibling)
    return state.digest()


def _lone(key: bytes, value: bytes) -> bytes:
    """SM3(6 ‖ key ‖ value)."""
    state = _LONE.copy()
    state.update(key + value)
    return state.digest()


def _hashes(*values: bytes) -> bool:
    return all(len(each) == _HASH_BYTES for each in values)


def _corrupt(message: str, field: str) -> Corrupt:
    return Corrupt("map_malformed", message, field=field, remedy="stop; compare the balances with a replay of the log")


def _malformed(message: str, field: str) -> Rejected:
    remedy = "fetch the proof again for the checkpoint's map; if it stays so, report it to the log's operator"
    return Rejected("proof_malformed", message, field=field, remedy=remedy)
