"""What the tests that kill processes share: files to import, a run to apply, and what a book says in the end."""

from __future__ import annotations

import random
from pathlib import Path

from application import queries, replaying, revising
from interfaces.bootstrap import Ledger


def write_behaviors(path: Path, seed: int, rows: int, accounts: int) -> Path:
    """Rides with caps, refused rows and repeated rows; the same seed gives the same file."""
    chance = random.Random(seed)
    lines = ["source_ref,account_ref,behavior,occurred_at,quantity,unit,region"]
    for number in range(rows):
        ref = number if chance.random() > 0.03 else max(0, number - chance.randint(1, 50))
        meters = chance.choice((0, 90, 1_500, 7_250, 31_000))
        month, day = chance.randint(1, 12), chance.randint(1, 28)
        lines.append(
            f"{seed}/{ref},person-{seed}-{chance.randrange(accounts)},cycling.shared_bike,"
            f"2025-{month:02d}-{day:02d}T08:00:00+08:00,{meters // 1000}.{meters % 1000:03d},km,"
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def outcome(ledger: Ledger) -> tuple[str, int, int]:
    """What the book says to the outside, and that replay and views agree with it."""
    totals = queries.totals(ledger.book, ledger.views, by_ref=True)
    replayed = replaying.replay(ledger.book)
    assert replayed.mismatches == 0, replayed.details[:5]
    assert replayed.digest == queries.totals(ledger.book, ledger.views).digest
    assert all(check.differing == 0 for check in ledger.views.check())
    return totals.digest, totals.credits, totals.credited_mg


def planned_and_approved(ledger: Ledger, start: str = "2025-03-01", end: str = "2025-10-01") -> str:
    """A run that nobody has applied yet; returns its name."""
    plan = revising.plan(ledger.book, "CYCLING-SHARED@2", start, end, "alice")
    revising.approve(ledger.book, plan.revision_id, "bob")
    return plan.revision_id
