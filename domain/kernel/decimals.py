"""Decimal strings as exact integers with a scale.

Keeps: nothing is rounded; a text is a decimal by one grammar (ASCII ``-?[0-9]+(\\.[0-9]+)?``, at most 38 digits).
Leaves to others: what an unreadable or too precise text means to the caller.
Source: DESIGN section 5 (grammar) and section 6 (values are strings).
"""

from __future__ import annotations

import re

from domain.kernel.rounding import divide
from domain.values import Scaled

MAX_DIGITS = 38

_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")


def decimal_from_text(text: str) -> Scaled | None:
    """The decimal as written (``1.50`` is ``Scaled(150, 2)``); None when it breaks the grammar."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(whole) + len(fraction) > MAX_DIGITS:
        return None
    return Scaled(int(sign + whole + fraction), len(fraction))


def at_scale(value: Scaled, scale: int) -> int | None:
    """The integer of the same value at ``scale``; None when that would lose a digit (trailing zeros may go)."""
    if value.scale <= scale:
        raised: int = value.value * 10 ** (scale - value.scale)
        return raised
    step: int = 10 ** (value.scale - scale)
    shortened = divide(value.value, step, "down")
    return shortened if shortened * step == value.value else None
