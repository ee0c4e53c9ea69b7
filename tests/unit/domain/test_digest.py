"""SM3 and the RFC 6962 tree over it."""

from __future__ import annotations

import builtins
import hashlib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import domain.digest
from domain.digest import FallbackSm3, MerkleRoot, leaf_hash, new_sm3, node_hash, sm3_hex
from domain.errors import Unavailable

# GB/T 32905, and the digest of nothing.
VECTORS = [
    (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
    (b"", "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b"),
]

# The leaves of the Certificate Transparency test trees.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]


@pytest.mark.parametrize(("data", "digest"), VECTORS)
def test_sm3_gives_the_digests_of_the_standard(data: bytes, digest: str) -> None:
    assert sm3_hex(data) == digest
    running = new_sm3(data[:2])
    running.update(data[2:])
    assert running.hexdigest() == digest


@contextmanager
def without_sm3_in_python() -> Iterator[pytest.MonkeyPatch]:
    """A Python linked to a libcrypto without SM3, with the digest module as it loads there."""

    def refuse(name: str, data: bytes = b"") -> Any:
        raise ValueError(f"unsupported hash type {name}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "new", refuse)
        yield patch
    importlib.reload(domain.digest)


@pytest.mark.parametrize(("data", "digest"), VECTORS)
def test_where_python_has_no_sm3_the_digests_are_the_same(data: bytes, digest: str) -> None:
    with without_sm3_in_python():
        elsewhere = importlib.reload(domain.digest)
        running = elsewhere.new_sm3(data[:2])
        earlier = running.copy()
        running.update(data[2:])
        assert [elsewhere.sm3_hex(data), running.hexdigest()] == [digest, digest]
        earlier.update(data[2:])
        assert earlier.hexdigest() == digest
        found = elsewhere.leaf_hash(data), elsewhere.node_hash(data, data)
    assert found == (leaf_hash(data), node_hash(data, data))
    assert FallbackSm3(data).hexdigest() == digest


def test_where_nothing_computes_sm3_the_ledger_says_what_is_missing() -> None:
    original = builtins.__import__

    def importing(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return original(name, *args, **more)

    module = sys.modules["domain.digest"]
    with without_sm3_in_python() as patch:
        patch.setattr(builtins, "__import__", importing)
        with pytest.raises(Unavailable) as refused:
            importlib.reload(module)
    assert refused.value.code == "sm3_missing"
    assert refused.value.remedy


def test_the_tree_over_the_transparency_test_leaves_has_the_known_roots() -> None:
    root = MerkleRoot()
    assert root.hex() == sm3_hex(b"")
    root.add(LEAVES[0])
    assert root.hex().startswith("2daef60e")
    for leaf in LEAVES[1:]:
        root.add(leaf)
    assert root.hex() == "bc48ba7a709184b5f2a631e1adeb8dc2a0d4c018c1d6cc89b5664fe154c93b38"


def by_the_book(entries: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, as written: split at the largest power of two below the size."""
    if not entries:
        return bytes.fromhex(sm3_hex(b""))
    if len(entries) == 1:
        return bytes.fromhex(sm3_hex(b"\x00" + entries[0]))
    half = 1
    while half * 2 < len(entries):
        half *= 2
    left, right = by_the_book(entries[:half]), by_the_book(entries[half:])
    return bytes.fromhex(sm3_hex(b"\x01" + left + right))


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_running_root_is_the_root_of_the_book_at_every_size(entries: list[bytes]) -> None:
    root = MerkleRoot()
    for size, entry in enumerate(entries, start=1):
        root.add(entry)
        assert root.hex() == by_the_book(entries[:size]).hex()
        assert root.hex() == root.hex()


def test_leaves_and_inner_nodes_can_not_be_mistaken_for_each_other() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)
    assert node_hash(left, right) != node_hash(right, left)
