"""The tree over the log: a plain recursion says what it must be, and nothing else is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.merkle import (
    Folding,
    Node,
    Subtree,
    consistency_path,
    consistent,
    empty_root,
    extend,
    grow,
    inclusion_path,
    root_at,
    root_from_inclusion,
    root_of,
    subtree_root,
    subtrees_without,
)
from domain.errors import Corrupt
from tests.unit.domain.refusals import refusal


def _sm3(content: bytes) -> bytes:
    return hashlib.new("sm3", content).digest()


def naive(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.1, to the letter."""
    if not leaves:
        return _sm3(b"")
    if len(leaves) == 1:
        return leaves[0]
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    return _sm3(b"\x01" + naive(leaves[:left]) + naive(leaves[left:]))


def some(count: int) -> list[bytes]:
    return [_sm3(b"\0" + str(number).encode()) for number in range(count)]


def nodes(leaves: Sequence[bytes]) -> Node:
    return lambda level, index: naive(leaves[index << level : (index + 1) << level])


def test_the_root_of_each_size_is_that_of_its_leaves() -> None:
    leaves = some(20)
    assert [root_at(size, nodes(leaves)) for size in range(1, 21)] == [naive(leaves[:size]) for size in range(1, 21)]


def test_known_trees_of_the_certificate_transparency_inputs() -> None:
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [_sm3(b"\0" + bytes.fromhex(text)) for text in inputs]
    assert root_of(extend(0, [], leaves[:1])).hex().startswith("2daef60e")
    assert root_of(extend(0, [], leaves)).hex() == "bc48ba7a709184b5f2a631e1adeb8dc2a0d4c018c1d6cc89b5664fe154c93b38"


@pytest.mark.parametrize("size", range(71))
def test_the_frontier_gives_the_root_of_the_recursion_however_the_leaves_came(size: int) -> None:
    leaves = some(size)
    for cut in {0, 1, size // 2, size}:
        first = extend(0, [], leaves[:cut])
        assert root_of(extend(len(leaves[:cut]), first, leaves[cut:])) == naive(leaves)


def test_the_tree_of_no_leaf_and_of_some_leaves_is_that_of_the_recursion() -> None:
    assert empty_root().hex() == "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b"
    assert [subtree_root(some(size)) for size in range(20)] == [naive(some(size)) for size in range(20)]


def flipped(path: Sequence[bytes], place: int, byte: int) -> list[bytes]:
    """The path with one byte of one element changed."""
    altered = bytearray(path[place])
    altered[byte] ^= 1
    return [*path[:place], bytes(altered), *path[place + 1 :]]


@pytest.mark.parametrize("size", range(1, 71))
def test_every_leaf_of_every_size_is_proven(size: int) -> None:
    leaves = some(size)
    known = nodes(leaves)
    for index in range(size):
        path = inclusion_path(index, size, known)
        assert root_from_inclusion(index, size, leaves[index], path) == naive(leaves)


@given(st.integers(1, 300), st.data())
def test_an_altered_path_of_a_leaf_is_refused_or_leads_elsewhere(size: int, data: st.DataObject) -> None:
    leaves = some(size)
    root, index = naive(leaves), data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size, nodes(leaves))
    assert root_from_inclusion(index, size, leaves[index], path) == root
    assert root_from_inclusion(index, size, _sm3(b"other"), path) != root
    place = data.draw(st.integers(0, len(path)))
    longer = [*path[:place], _sm3(b"more"), *path[place:]]
    assert refusal(root_from_inclusion, index, size, leaves[index], longer) == ("proof_malformed", "path")
    if path:
        place, byte = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 31))
        assert root_from_inclusion(index, size, leaves[index], flipped(path, place, byte)) != root
        shorter = [*path[:place], *path[place + 1 :]]
        assert refusal(root_from_inclusion, index, size, leaves[index], shorter) == ("proof_malformed", "path")
        cut = [*path[:place], path[place][1:], *path[place + 1 :]]
        assert refusal(root_from_inclusion, index, size, leaves[index], cut) == ("proof_malformed", "path")


@pytest.mark.parametrize("outside", [-1, 5])
def test_a_leaf_outside_the_tree_has_no_proof(outside: int) -> None:
    assert refusal(root_from_inclusion, outside, 5, some(1)[0], []) == ("proof_malformed", "index")
    assert refusal(inclusion_path, outside, 5, nodes(some(5))) == ("proof_malformed", "index")


@given(st.integers(1, 70), st.integers(0, 70), st.data())
def test_a_tree_that_only_adds_is_consistent_and_any_other_is_not(old: int, more: int, data: st.DataObject) -> None:
    leaves = some(old + more)
    new = old + more
    path = consistency_path(old, new, nodes(leaves))
    roots = naive(leaves[:old]), naive(leaves)
    assert consistent(old, new, *roots, path)
    assert not consistent(old, new, _sm3(b"x"), roots[1], path)
    assert not consistent(old, new, roots[0], _sm3(b"x"), path)
    assert not consistent(old, new, *roots, [*path, roots[0]])
    if path:
        assert not consistent(old, new, *roots, path[:-1])
        place = data.draw(st.integers(0, len(path) - 1))
        assert not consistent(old, new, *roots, flipped(path, place, data.draw(st.integers(0, 31))))
        assert not consistent(old, new, *roots, [*path[:place], *path[place + 1 :]])
        assert not consistent(old, new, *roots, [*path[:place], roots[1], *path[place:]])
        assert not consistent(old, new, *roots, [*path[:place], path[place] + b"x", *path[place + 1 :]])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(Corrupt, match="frontier_malformed"):
        extend(3, some(1), some(1))
    for old, new in ((0, 1), (3, 2)):
        assert not consistent(old, new, naive(some(old)), naive(some(new)), [])
        assert refusal(consistency_path, old, new, nodes(some(new))) == ("proof_malformed", "size")
    assert not consistent(3, 5, naive(some(3)), naive(some(5)), [])
    assert not consistent(4, 5, naive(some(4)), naive(some(5)), [])
    assert not consistent(3, 3, b"", b"", [])


# -- subtrees that are kept, and subtrees that stand for what is not shown ------------------------------------------


@pytest.mark.parametrize("cuts", [(1_000,), (1, 255, 1, 743), (256, 0, 512, 232), (300, 300, 400)])
def test_growing_keeps_every_complete_subtree_of_256_leaves_however_the_leaves_came(cuts: Sequence[int]) -> None:
    leaves, size, frontier, kept = some(1_000), 0, list[bytes](), list[Subtree]()
    for cut in cuts:
        frontier, more = grow(size, frontier, leaves[size : size + cut])
        size += cut
        kept += more
        assert frontier == extend(0, [], leaves[:size])
    assert kept == [Subtree(8, index, naive(leaves[256 * index : 256 * (index + 1)])) for index in range(3)]


def test_growing_keeps_subtrees_of_subtrees() -> None:
    leaves = [bytes(32)] * 65_600
    frontier, kept = grow(0, [], leaves)
    assert frontier == extend(0, [], leaves)
    assert [each.level for each in kept] == [8] * 256 + [16]
    assert kept[-1] == Subtree(16, 0, subtree_root(leaves[:65_536]))
    again, more = grow(65_536, [kept[-1].root], leaves[65_536:])
    assert (again, more) == (frontier, [])


@given(st.integers(1, 300), st.data())
def test_leaves_and_the_subtrees_without_them_fold_to_the_root(size: int, data: st.DataObject) -> None:
    leaves = some(size)
    wanted = sorted(data.draw(st.sets(st.integers(0, size - 1), max_size=9)))
    node = nodes(leaves)
    rest = [Subtree(level, index, node(level, index)) for level, index in subtrees_without(size, wanted)]
    shown = [Subtree(0, index, leaves[index]) for index in wanted]
    folding = Folding()
    for each in sorted([*rest, *shown], key=lambda part: part.number << part.level):
        folding.add(each)
    assert folding.root(size) == naive(leaves)
    assert len(rest) <= (len(wanted) + 1) * size.bit_length()


def test_subtrees_that_leave_a_gap_overlap_or_end_early_are_refused() -> None:
    folding = Folding()
    folding.add(Subtree(1, 0, some(1)[0]))
    for wrong in (Subtree(0, 3, some(1)[0]), Subtree(1, 0, some(1)[0]), Subtree(0, 2, b""), Subtree(64, 0, some(1)[0])):
        assert refusal(folding.add, wrong) == ("proof_malformed", "tree")
    assert refusal(folding.root, 3) == ("proof_malformed", "tree")
    assert Folding().root(0) == empty_root()
