"""A recomputed part as bytes, on its way from a worker to the driver.

Keeps: what comes out is what went in; columns travel as their own memory, so that neither side makes objects of rows.
Nothing is executed by reading a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from application.ports.archive import AccountIds
from application.ports.engine import Part
from application.ports.kernel import Balances, Recomputed, RunSums
from infrastructure.archive.columns import ID_BYTES

_INDEX: Final[np.dtype[Any]] = np.dtype("<i4")
_NUMBER: Final[np.dtype[Any]] = np.dtype("<i8")
_BALANCES: Final = (_INDEX, _INDEX, _NUMBER, _NUMBER)


class _Run(msgspec.Struct, frozen=True, array_like=True):
    """``RunSums``, field by field."""

    accounts: int
    changed_accounts: int
    credits: int
    before_mg: int
    after_mg: int
    digests: list[tuple[int, bytes]]


class _Message(msgspec.Struct, frozen=True):
    """``Part``. ``ids``: one after the other; ``balances``: the columns of ``Balances``."""

    ids: bytes
    behaviors: list[str]
    balances: list[bytes]
    unproven: bytes
    lines: bytes
    runs: dict[str, _Run]
    intakes: dict[int, int]


def encode(part: Part, keys: Sequence[bytes]) -> bytes:
    """``keys``: the account ids of the part."""
    recomputed = part.recomputed
    message = _Message(
        b"".join(keys),
        list(part.behaviors),
        [_bytes(*each) for each in zip(recomputed.balances, _BALANCES, strict=True)],
        _bytes(recomputed.unproven, _INDEX),
        recomputed.lines,
        {name: _Run(*sums) for name, sums in recomputed.runs.items()},
        part.intakes,
    )
    return msgspec.msgpack.encode(message)


def decode(content: bytes) -> Part:
    """Raises msgspec.DecodeError when it is no such message."""
    message = msgspec.msgpack.decode(content, type=_Message)
    keys = [message.ids[at : at + ID_BYTES] for at in range(0, len(message.ids), ID_BYTES)]
    columns: Iterator[Any] = map(np.frombuffer, message.balances, _BALANCES)
    runs = {name: RunSums(*msgspec.structs.astuple(sums)) for name, sums in message.runs.items()}
    recomputed = Recomputed(Balances(*columns), runs, np.frombuffer(message.unproven, _INDEX), message.lines)
    return Part(AccountIds(keys), message.behaviors, recomputed, message.intakes)


def _bytes(column: Any, dtype: np.dtype[Any]) -> bytes:
    content: bytes = column.astype(dtype, casting="safe", copy=False).tobytes()
    return content
