"""The tree over the log: a plain recursion says what it must be, and nothing else is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.merkle import (
    Node,
    consistency_path,
    consistent,
    extend,
    inclusion_path,
    root_from_inclusion,
    root_of,
)
from domain.errors import Corrupt


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


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13, 64, 70])
def test_every_leaf_is_proven_and_no_other_path_is(size: int) -> None:
    leaves = some(size)
    root = naive(leaves)
    for index in range(size):
        path = inclusion_path(index, size, nodes(leaves))
        assert root_from_inclusion(index, size, leaves[index], path) == root
        assert root_from_inclusion(index, size, _sm3(b"other"), path) != root
        assert root_from_inclusion(index, size, leaves[index], [*path, root]) is None
        if path:
            assert root_from_inclusion(index, size, leaves[index], path[:-1]) != root
            flipped = [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]
            assert root_from_inclusion(index, size, leaves[index], flipped) != root
    for outside in (-1, size):
        assert root_from_inclusion(outside, size, leaves[0], []) is None
        with pytest.raises(ValueError, match="leaf"):
            inclusion_path(outside, size, nodes(leaves))


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
        flipped = [*path[:place], bytes([path[place][0] ^ 1]) + path[place][1:], *path[place + 1 :]]
        assert not consistent(old, new, *roots, flipped)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(Corrupt, match="frontier_malformed"):
        extend(3, some(1), some(1))
    for old, new in ((0, 1), (3, 2)):
        assert not consistent(old, new, b"", b"", [])
        with pytest.raises(ValueError, match="from"):
            consistency_path(old, new, nodes(some(new)))
    assert not consistent(3, 5, b"", b"", [])
