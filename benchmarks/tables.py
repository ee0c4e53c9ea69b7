"""Tables and figures as all parts of the report show them.

Keeps: a ratio is cut, never rounded, towards the worse side, so that a bar that was just missed does not look met.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from statistics import median

_TINY = 1e-9
"""0.29 is stored as a little less; cutting must not make 28 % of it."""


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def yes(met: bool) -> str:
    """Whether a bar is met."""
    return "yes" if met else "**no**"


def cut(value: float, *, percent: bool = False, less_is_better: bool = False) -> str:
    """A ratio as people read it: ``1.8x`` or ``15 %``."""
    whole = ceil if less_is_better else floor
    tiny = -_TINY if less_is_better else _TINY
    if percent:
        return f"{whole(100 * value + tiny)} %"
    return f"{whole(value + tiny)}x" if value >= 20 else f"{whole(10 * value + tiny) / 10:g}x"


def spread(found: Sequence[float], *, percent: bool = False, less_is_better: bool = False) -> str:
    """Median, and the least and the greatest."""
    values = (median(found), min(found), max(found))
    middle, least, most = (cut(value, percent=percent, less_is_better=less_is_better) for value in values)
    return f"**{middle}** ({least} to {most})"
