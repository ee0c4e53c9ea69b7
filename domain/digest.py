"""SM3 (GB/T 32905), the one digest of the ledger.

Keeps: every digest that is stored or shown is made here, so that its algorithm is named in one place. Python's own
library computes it; where that is linked to a libcrypto without SM3 (FIPS and BoringSSL builds), ``cryptography`` does.
Leaves to infrastructure: keyed digests and signatures.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from domain.errors import Unavailable


class Sm3(Protocol):
    """A running SM3 state, as in ``hashlib``."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def copy(self) -> Sm3: ...

    def digest(self) -> bytes: ...

    def hexdigest(self) -> str: ...


class FallbackSm3:
    """SM3 by ``cryptography``, in the shape of ``hashlib``."""

    def __init__(self, data: bytes = b"", state: object = None) -> None:
        from cryptography.hazmat.primitives.hashes import SM3, Hash

        self._state = state if isinstance(state, Hash) else Hash(SM3())
        self._state.update(data)

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in the next bytes."""
        self._state.update(data)

    def copy(self) -> FallbackSm3:
        """Another state that stands where this one stands."""
        return FallbackSm3(state=self._state.copy())

    def digest(self) -> bytes:
        """Digest of what was taken in so far; the state may go on."""
        return self._state.copy().finalize()

    def hexdigest(self) -> str:
        """The digest as 64 lower-case hex digits."""
        return self.digest().hex()


def _fallback() -> bool:
    """Whether the fallback is needed. Raises Unavailable ``sm3_missing`` when there is none."""
    try:
        hashlib.new("sm3")
        return False
    except ValueError:
        pass
    try:
        FallbackSm3()
    except ImportError as error:
        raise Unavailable(
            "sm3_missing",
            "neither Python's hashlib nor the package cryptography computes SM3 here",
            remedy="use a Python linked to OpenSSL 1.1.1 or later, or install the package cryptography",
        ) from error
    return True


_IS_FALLBACK = _fallback()


def new_sm3(data: bytes = b"") -> Sm3:
    """A running SM3 state; ``.update``, ``.copy``, ``.digest`` as in ``hashlib``."""
    return FallbackSm3(data) if _IS_FALLBACK else hashlib.new("sm3", data)


def sm3_hex(data: bytes) -> str:
    """SM3 of the bytes as 64 lower-case hex digits."""
    return new_sm3(data).hexdigest()


_LEAF = new_sm3(b"\x00")
_NODE = new_sm3(b"\x01")


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
