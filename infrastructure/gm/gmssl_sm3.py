"""SM3 by ``gmssl``, in pure Python: for the offline verifier, where Python's own library has no SM3.

Keeps: of gmssl only the compression of one block is used; its ``sm3_hash`` changes the list that it is given and takes
everything at once. A state may be copied and goes on. It is some hundred times slower than ``hashlib`` and needs
Python's library and gmssl only.
"""

from __future__ import annotations

from gmssl.sm3 import IV, sm3_cf

_BLOCK = 64


class GmsslSm3:
    """A running state, as in ``hashlib``."""

    def __init__(self, data: bytes = b"") -> None:
        self._state: list[int] = list(IV)
        self._rest = b""
        self._length = 0
        self.update(data)

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next bytes."""
        content = self._rest + bytes(data)
        self._length += len(content) - len(self._rest)
        whole = len(content) // _BLOCK * _BLOCK
        self._state = _compressed(self._state, content[:whole])
        self._rest = content[whole:]

    def copy(self) -> GmsslSm3:
        """Another state that stands where this one stands."""
        copied = GmsslSm3()
        copied._state, copied._rest, copied._length = self._state, self._rest, self._length
        return copied

    def digest(self) -> bytes:
        """Digest of what was taken in so far; the state may go on."""
        # A one, zeros, and the length in bits in the last 8 bytes of a block.
        zeros = (_BLOCK - 9 - self._length) % _BLOCK
        end = self._rest + b"\x80" + bytes(zeros) + (8 * self._length).to_bytes(8, "big")
        return b"".join(word.to_bytes(4, "big") for word in _compressed(self._state, end))


def _compressed(state: list[int], blocks: bytes) -> list[int]:
    for place in range(0, len(blocks), _BLOCK):
        state = sm3_cf(state, blocks[place : place + _BLOCK])
    return state
