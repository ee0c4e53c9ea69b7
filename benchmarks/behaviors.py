"""Generated behavior files for benchmarks: deterministic, and said to be generated.

A row is one behavior of one of ``accounts`` people in March 2025; every person has about rows / accounts of them, in
random order, as a bank's daily file has.
"""

from __future__ import annotations

import random
from pathlib import Path

CREDITS_EACH = 20
"""How many one person has in a book that is generated without a file (``big_book``)."""
_KINDS = (("travel.metro", "km", 30_000), ("travel.bus", "trip", 0), ("cycling.shared_bike", "km", 9_000))


def write_file(path: Path, rows: int, accounts: int, seed: int, repeat_every: int = 0, earlier_seed: int = 0) -> Path:
    """A CSV of ``rows`` behaviors; each ``repeat_every``-th repeats a row of the file made with ``earlier_seed``."""
    now, then = random.Random(seed), random.Random(earlier_seed)
    with path.open("w", encoding="utf-8") as file:
        file.write("source_ref,account_ref,behavior,occurred_at,quantity,unit,region\n")
        for number in range(rows):
            line = _row(now, seed, number, accounts)
            old = _row(then, earlier_seed, number, accounts) if repeat_every else ""
            file.write(old if repeat_every and number % repeat_every == 0 else line)
    return path


def _row(source: random.Random, seed: int, number: int, accounts: int) -> str:
    behavior, unit, most = source.choice(_KINDS)
    meters = source.randint(100, most) if most else 0
    quantity = f"{meters // 1000}.{meters % 1000:03d}" if most else "1"
    account = source.randrange(accounts)
    day, second = source.randint(1, 28), source.randrange(86_400)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    when = f"2025-03-{day:02d}T{clock}+08:00"
    return f"gen:{seed}/{number},person-{account:07d},{behavior},{when},{quantity},{unit},CN-440300\n"
