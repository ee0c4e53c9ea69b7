"""Balances as the lines under the digest of a book, written in machine code.

Keeps: byte for byte what ``application.replaying`` hashes for the accounts that the reference recomputed; made in
Python, the lines took as long as recomputing the accounts.
Source: DESIGN section 7, the digest of totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from application.ports.kernel import Balances
from infrastructure.fast_kernel.compiling import compiled, inlined

_ID_BYTES: Final = 16
_ID_CHARACTERS: Final = 36
_MOST_DIGITS: Final = 19
_SIGNS: Final = 3
"""A comma before the behavior, one before the number, a line end."""
_COMMA, _HYPHEN, _LINE_END, _ZERO, _TEN_AS_LETTER = ord(","), ord("-"), ord("\n"), ord("0"), ord("a") - 10


def balance_lines(balances: Balances, keys: Sequence[bytes], behaviors: Sequence[str]) -> bytes:
    """``account,behavior,mg`` of each balance, a line each. ``keys``: account ids; ``behaviors``: words by code."""
    words = [behavior.encode() for behavior in behaviors]
    longest = max(map(len, words), default=0)
    count = len(balances.account)
    out = np.empty(count * (_ID_CHARACTERS + longest + 1 + _MOST_DIGITS + _SIGNS), np.uint8)
    size = _write(
        np.frombuffer(b"".join(keys), np.uint8),
        np.frombuffer(b"".join(words), np.uint8),
        np.cumsum([0, *map(len, words)]),
        balances.account,
        balances.behavior,
        balances.credited_mg,
        np.empty(_MOST_DIGITS, np.uint8),
        out,
    )
    return out[:size].tobytes()


@inlined
def _digit(nibble: int) -> int:
    return nibble + (_ZERO if nibble < 10 else _TEN_AS_LETTER)


@inlined
def _write_id(ids: Any, account: int, out: Any, at: int) -> int:
    """As ``str`` writes a UUID."""
    for place in range(_ID_BYTES):
        if place in (4, 6, 8, 10):
            out[at] = _HYPHEN
            at += 1
        value = ids[account * _ID_BYTES + place]
        out[at], out[at + 1] = _digit(value >> 4), _digit(value & 15)
        at += 2
    return at


@inlined
def _write_number(number: int, digits: Any, out: Any, at: int) -> int:
    if number < 0:
        out[at] = _HYPHEN
        at += 1
        number = -number
    count = 0
    while True:
        digits[count] = _ZERO + number % 10
        count += 1
        number //= 10
        if number == 0:
            break
    while count:
        count -= 1
        out[at] = digits[count]
        at += 1
    return at


@compiled
def _write(
    ids: Any, words: Any, starts: Any, account: Any, behavior: Any, credited_mg: Any, digits: Any, out: Any
) -> int:
    at = 0
    for balance in range(len(account)):
        at = _write_id(ids, account[balance], out, at)
        out[at] = _COMMA
        at += 1
        for place in range(starts[behavior[balance]], starts[behavior[balance] + 1]):
            out[at] = words[place]
            at += 1
        out[at] = _COMMA
        at = _write_number(credited_mg[balance], digits, out, at + 1)
        out[at] = _LINE_END
        at += 1
    return at
