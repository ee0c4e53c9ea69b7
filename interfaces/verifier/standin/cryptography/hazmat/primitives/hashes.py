"""SM3 in the shape that ``domain.digest`` asks ``cryptography`` for, computed by ``gmssl`` (ADR 0021)."""

from __future__ import annotations

from infrastructure.gm.gmssl_sm3 import GmsslSm3


class SM3:
    """The name of the algorithm; there is no other."""


class Hash:
    """A running digest."""

    def __init__(self, algorithm: SM3, state: GmsslSm3 | None = None) -> None:
        self._algorithm = algorithm
        self._state = GmsslSm3() if state is None else state

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next bytes."""
        self._state.update(data)

    def copy(self) -> Hash:
        """Another digest that stands where this one stands."""
        return Hash(self._algorithm, self._state.copy())

    def finalize(self) -> bytes:
        """The digest of what was taken in."""
        return self._state.digest()
