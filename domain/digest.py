"""SM3 (GB/T 32905), the one digest of the ledger.

Keeps: every digest that is stored or shown is made here, so that its algorithm is named in one place.
Leaves to infrastructure: keyed digests and signatures.
"""

from __future__ import annotations

import hashlib


def new_sm3(data: bytes = b"") -> hashlib._Hash:
    """A running SM3 state; ``.update``, ``.copy``, ``.digest`` as in ``hashlib``."""
    return hashlib.new("sm3", data)


def sm3_hex(data: bytes) -> str:
    """SM3 of the bytes as 64 lower-case hex digits."""
    return hashlib.new("sm3", data).hexdigest()


_LEAF = hashlib.new("sm3", b"\x00")
_NODE = hashlib.new("sm3", b"\x01")


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 leaf hash with SM3."""
    state = _LEAF.copy()
    state.update(data)
    return state.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 inner node hash with SM3."""
    state = _NODE.copy()
    state.update(left + right)
    return state.digest()


class MerkleRoot:
    """Root of the RFC 6962 tree over entries added in order; logarithmic memory.

    The empty tree is SM3 of nothing, as in RFC 6962 section 2.1.
    """

    def __init__(self) -> None:
        self._peaks: list[bytes] = []
        self._size = 0

    def add(self, entry: bytes) -> None:
        """Add the next entry."""
        peak, carry = leaf_hash(entry), self._size
        while carry & 1:
            peak = node_hash(self._peaks.pop(), peak)
            carry >>= 1
        self._peaks.append(peak)
        self._size += 1

    def hex(self) -> str:
        """The root over what was added so far."""
        if not self._peaks:
            return sm3_hex(b"")
        *peaks, root = self._peaks
        for peak in reversed(peaks):
            root = node_hash(peak, root)
        return root.hex()
