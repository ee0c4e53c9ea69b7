"""temporary"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.digest import new_sm3

_NODE = new_sm3(b"\x01")


def _node(left: bytes, right: bytes) -> bytes:
    state = _NODE.copy()
    state.update(left + right)
    return state.digest()


def extend(size: int, frontier: Sequence[bytes], leaves: Iterable[bytes]) -> list[bytes]:
    stack = list(frontier)
    for each in leaves:
        n = size
        while n & 1:
            each = _node(stack.pop(), each)
            n >>= 1
        stack.append(each)
        size += 1
    return stack


def root_of(frontier: Sequence[bytes]) -> bytes:
    if not frontier:
        return new_sm3(b"").digest()
    root = frontier[-1]
    for each in reversed(frontier[:-1]):
        root = _node(each, root)
    return root
