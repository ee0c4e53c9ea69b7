"""The Merkle tree over the log: the shape of RFC 9162 (section 2.1) with SM3 (DESIGN 2.8).

Keeps: leaves are hashes already (``leaves.leaf``); a node is SM3(1 ‖ left ‖ right), the root of no leaf SM3(""). The
frontier, roots of the maximal complete subtrees from the left, is all that an append needs: one node for each leaf, on
average. Whatever is handed in by somebody else is refused in another shape, never guessed at.
Leaves to the caller: where complete subtrees are kept, and whether a root is one that was signed.
The bytes are specified in ``docs/spec/log.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from domain.digest import new_sm3, node_hash
from domain.errors import Corrupt, Rejected

Node = Callable[[int, int], bytes]
"""The root of the complete subtree of 2^level leaves, by level and index from the left."""

HASH_BYTES = 32
MAX_LEVEL = 62
"""A log has less than 2^63 leaves."""
KEPT_LEVELS = 8
"""Complete subtrees are kept at every eighth level (256 leaves, 65,536 leaves ...); the others are made when asked."""


class Subtree(NamedTuple):
    """The root of a complete subtree of 2^level leaves; ``number`` such subtrees stand to its left."""

    level: int
    number: int
    root: bytes


_NODE = new_sm3(b"\x01")
_REMEDY = "fetch the proof again for the sizes of the two checkpoints; if it stays so, report it to the log's operator"


def empty_root() -> bytes:
    """The root of the tree without leaves: SM3 of nothing."""
    return new_sm3().digest()


def extend(size: int, frontier: Sequence[bytes], leaves: Iterable[bytes]) -> list[bytes]:
    """The frontier after these leaves. Raises Corrupt ``frontier_malformed``."""
    if len(frontier) != size.bit_count():
        raise Corrupt(
            "frontier_malformed",
            f"{len(frontier)} subtrees cannot hold {size} leaves",
            field="frontier",
            remedy="stop; compute the frontier again from the stored leaves",
        )
    stack, copy = list(frontier), _NODE.copy
    pop, push = stack.pop, stack.append
    for each in leaves:
        rest = size
        while rest & 1:
            state = copy()
            state.update(pop() + each)
            each, rest = state.digest(), rest >> 1
        push(each)
        size += 1
    return stack


def grow(size: int, frontier: Sequence[bytes], leaves: Sequence[bytes]) -> tuple[list[bytes], list[Subtree]]:
    """The frontier after these leaves, and the subtrees to keep that they complete. Raises as ``extend``."""
    return _grow(size, list(frontier), leaves, 0)


def _grow(size: int, frontier: list[bytes], nodes: Sequence[bytes], level: int) -> tuple[list[bytes], list[Subtree]]:
    """The same for complete subtrees of one level in the place of leaves."""
    block = 1 << KEPT_LEVELS
    began = size % block
    cut = len(frontier) - began.bit_count()
    above, tail = frontier[: max(0, cut)], frontier[max(0, cut) :]
    complete: list[bytes] = []
    done = 0
    while done < len(nodes):
        part = nodes[done : done + block - began]
        tail = extend(began, tail, part)
        done, began = done + len(part), began + len(part)
        if began == block:
            complete += tail
            tail, began = [], 0
    if not complete:
        return extend(size >> KEPT_LEVELS, above, ()) + tail, []
    first = size >> KEPT_LEVELS
    kept = [Subtree(level + KEPT_LEVELS, first + place, root) for place, root in enumerate(complete)]
    above, higher = _grow(first, above, complete, level + KEPT_LEVELS)
    return above + tail, kept + higher


def root_of(frontier: Sequence[bytes]) -> bytes:
    """The root of the tree with this frontier."""
    if not frontier:
        return empty_root()
    root = frontier[-1]
    for each in reversed(frontier[:-1]):
        root = node_hash(each, root)
    return root


def subtree_root(leaves: Iterable[bytes]) -> bytes:
    """The root of the tree over exactly these leaves."""
    return root_of(extend(0, (), leaves))


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """The siblings on the way from leaf ``index`` to the root of ``size`` leaves, lowest first."""
    if not 0 <= index < size:
        raise _malformed(f"a tree of {size} leaves has no leaf {index}", "index")
    return _path(index, 0, size, node)


def root_from_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162, 2.1.3.2). Raises Rejected ``proof_malformed``."""
    if not 0 <= index < size:
        raise _malformed(f"a tree of {size} leaves has no leaf {index}", "index")
    if not _hashes(leaf, *path):
        raise _malformed(f"a leaf and each element of a path have {HASH_BYTES} bytes", "path")
    root, place, last = leaf, index, size - 1
    for each in path:
        if last == 0:
            raise _malformed(f"{len(path)} hashes are too many for leaf {index} of {size}", "path")
        if place & 1 or place == last:
            root = node_hash(each, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, each)
        place, last = place >> 1, last >> 1
    if last:
        raise _malformed(f"{len(path)} hashes are too few for leaf {index} of {size}", "path")
    return root


def consistency_path(old: int, new: int, node: Node) -> list[bytes]:
    """What shows that the first ``old`` of ``new`` leaves are those of the older tree (RFC 9162, 2.1.4.1)."""
    if not 0 < old <= new:
        raise _malformed(f"no proof leads from {old} to {new} leaves", "size")
    return _subproof(old, 0, new, node, known=True)


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the newer tree only adds to the older one (RFC 9162, 2.1.4.2); False for every other shape too."""
    if not 0 < old <= new or not _hashes(old_root, new_root, *path):
        return False
    if old == new:
        return not path and old_root == new_root
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not hashes:
        return False
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    first = second = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            first, second = node_hash(each, first), node_hash(each, second)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            second = node_hash(second, each)
        number, last = number >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def root_at(size: int, node: Node) -> bytes:
    """The root of the first ``size`` leaves, one or more, from complete subtrees."""
    return _root(0, size, node)


def subtrees_without(size: int, indexes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Level and index of the largest subtrees that hold none of these leaves (ascending), from the left.

    Together with the leaves themselves they are what ``Folding`` needs to come to the root.
    """
    wanted = iter(indexes)
    following = next(wanted, size)

    def visit(level: int, index: int) -> Iterator[tuple[int, int]]:
        nonlocal following
        if index + 1 << level <= following:
            yield level, index
        elif level == 0:
            following = next(wanted, size)
        else:
            yield from visit(level - 1, 2 * index)
            yield from visit(level - 1, 2 * index + 1)

    start = 0
    while start < size:
        level = (size - start).bit_length() - 1
        yield from visit(level, start >> level)
        start += 1 << level


class Folding:
    """The root over leaves and complete subtrees that are handed in from the left, each where the last one ended."""

    def __init__(self) -> None:
        self._size = 0
        self._frontier: list[bytes] = []

    def add(self, node: Subtree) -> None:
        """Raises Rejected ``proof_malformed`` for what stands elsewhere."""
        level, number, root = node
        if not 0 <= level <= MAX_LEVEL or number << level != self._size or len(root) != HASH_BYTES:
            raise _malformed(
                f"a subtree of level {level} with number {number} does not follow {self._size} leaves", "tree"
            )
        rest = self._size >> level
        while rest & 1:
            root, rest = node_hash(self._frontier.pop(), root), rest >> 1
        self._frontier.append(root)
        self._size += 1 << level

    def root(self, size: int) -> bytes:
        """Raises Rejected ``proof_malformed`` when it was not exactly ``size`` leaves."""
        if size != self._size:
            raise _malformed(f"{self._size} leaves are shown of {size}", "tree")
        return root_of(self._frontier)


def _hashes(*values: bytes) -> bool:
    """Whether each has the length of a hash: else two different cuts of a node would have the same bytes."""
    return all(len(each) == HASH_BYTES for each in values)


def _malformed(message: str, field: str) -> Rejected:
    return Rejected("proof_malformed", message, field=field, remedy=_REMEDY)


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def _root(start: int, size: int, node: Node) -> bytes:
    """The root of ``size`` leaves from ``start``, which is a multiple of the subtree they begin."""
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, start >> level)
    left = _split(size)
    return node_hash(_root(start, left, node), _root(start + left, size - left, node))


def _path(index: int, start: int, size: int, node: Node) -> list[bytes]:
    if size == 1:
        return []
    left = _split(size)
    if index < left:
        return [*_path(index, start, left, node), _root(start + left, size - left, node)]
    return [*_path(index - left, start + left, size - left, node), _root(start, left, node)]


def _subproof(old: int, start: int, size: int, node: Node, *, known: bool) -> list[bytes]:
    if old == size:
        return [] if known else [_root(start, size, node)]
    left = _split(size)
    if old <= left:
        return [*_subproof(old, start, left, node, known=known), _root(start + left, size - left, node)]
    return [*_subproof(old - left, start + left, size - left, node, known=False), _root(start, left, node)]
