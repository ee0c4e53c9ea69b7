"""Signing, exporting and verifying, measured in interleaved rounds; the report on them.

Keeps: the ratio is formed within a round, from processor seconds, since one process does the work of both sides; then
the median is taken. Memory is compared between a book and one twenty times its size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from benchmarks.behaviors import write_file
from benchmarks.processes import Done, Home, run
from benchmarks.tables import cut, spread, table, yes

BAR = 0.40
"""Of the rate of the floor (DESIGN 8)."""
LARGE = 20
_ROWS_EACH = 20


@dataclass
class Audited:
    """One run. ``verified`` and ``floors``: one for each round; ``large``: of the larger book, once each."""

    facts: list[tuple[str, str]]
    rows: int
    signed: Done
    exported: Done
    verified: list[Done] = field(default_factory=list)
    floors: list[Done] = field(default_factory=list)
    large: dict[str, Done] = field(default_factory=dict)


def measure(home: Home, facts: list[tuple[str, str]], rounds: int, rows: int, *, with_large: bool) -> Audited:
    """A book of ``rows`` credits, and one ``LARGE`` times its size for the memory."""
    found = Audited(facts, rows, *_book(home, "audited", rows))
    for _ in range(rounds):
        found.verified.append(run("auditing_tasks.verify", {"file": _file(home, "audited")}, home.files))
        found.floors.append(run("auditing_tasks.floor", {"file": _file(home, "audited")}, home.files))
    if with_large:
        signed, exported = _book(home, "audited_large", LARGE * rows)
        verified = run("auditing_tasks.verify", {"file": _file(home, "audited_large")}, home.files)
        found.large = {"sign": signed, "export": exported, "verify": verified}
    return found


def _book(home: Home, name: str, rows: int) -> tuple[Done, Done]:
    where = {"home": str(home.folder / "books" / name), "conninfo": home.database(name)}
    run("ours.initialize", where, home.files)
    file = write_file(home.files / f"{name}.csv", rows, max(1, rows // _ROWS_EACH), seed=rows)
    run("ours.credit", {**where, "file": str(file)}, home.files)
    signed = run("auditing_tasks.sign", where, home.files)
    return signed, run("auditing_tasks.bundle", {**where, "file": _file(home, name)}, home.files)


def _file(home: Home, name: str) -> str:
    return str(home.files / f"{name}.zip")


def render(found: Audited) -> str:
    """The section of the report."""
    shares = [floor.cpu_seconds / done.cpu_seconds for floor, done in zip(found.floors, found.verified, strict=True)]
    works = [("checkpoint with map, from the first event", found.signed), ("export bundle", found.exported)]
    rows = [(name, f"{done.rows:,}", _rate(done), _megabytes(done)) for name, done in works]
    for name, several in (("verify bundle", found.verified), ("floor: leaves and reference kernel", found.floors)):
        done = sorted(several, key=lambda each: each.cpu_seconds)[len(several) // 2]
        rows.append((name, f"{done.rows:,}", _rate(done), _megabytes(done)))
    rows += [(f"{name}, larger book", f"{d.rows:,}", _rate(d), _megabytes(d)) for name, d in found.large.items()]
    share = median(shares)
    bars = [("verify: rate of the floor", f">= {BAR:.0%}", spread(shares, percent=True), yes(share >= BAR))]
    if found.large:
        growth = found.large["verify"].peak_bytes / median([each.peak_bytes for each in found.verified])
        bars.append(
            ("verify: memory, 20 times the events", "flat", cut(growth, less_is_better=True), yes(growth < 1.25))
        )
    return "\n".join(
        (
            "## Audit: signing, exporting, verifying\n",
            table(("what", "value"), found.facts),
            table(("bar", "wanted", "measured", "met"), bars),
            table(("work", "events", "events/s (processor)", "peak memory"), rows),
        )
    )


def _rate(done: Done) -> str:
    return f"{done.rows / done.cpu_seconds:,.0f}"


def _megabytes(done: Done) -> str:
    return f"{done.peak_bytes / 2**20:,.0f} MiB"
