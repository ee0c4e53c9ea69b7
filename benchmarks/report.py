"""The report on crediting from what was measured: pure, so that it can be tested.

Keeps: a ratio is formed within a round, between neighbors in time, and only then is the median taken; a bar counts as
met by that median. What could not be measured is named.
Leaves to ``document``: what else stands in docs/BENCHMARKS.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

from benchmarks.tables import cut, spread, table, yes

FLAT: Final = 1.25
"""Memory is called flat when four times the book takes at most this many times the memory."""


class Rate(NamedTuple):
    """Rows handled in a measured time; ``cpu_seconds``: what the process itself computed meanwhile."""

    rows: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.rows / self.seconds


class Memory(NamedTuple):
    """Peak memory in bytes of the same work on a book and on one four times its size."""

    work: str
    small_bytes: int
    large_bytes: int


Round = Mapping[str, Rate]
"""Path (a key of ``PATHS``) -> its rate; a path that could not be measured is absent."""


@dataclass(frozen=True)
class Measured:
    """One run. ``facts``: name and value of what it was measured on and with; ``remarks``: what to know besides."""

    facts: Sequence[tuple[str, str]]
    rounds: Sequence[Round]
    memory: Sequence[Memory]
    memory_rows: tuple[int, int]
    remarks: Sequence[str] = field(default_factory=list)


PATHS: Final[Mapping[str, str]] = {
    "credit": "crediting a CSV file, end to end",
    "credit_duplicates": "the same, 1 % of the rows credited before",
    "copy": "binary COPY of the event rows those two wrote (the baseline)",
    "stock_loaded": "stock `eventsourcing`, batch save, accounts in memory",
    "stock_cold": "stock `eventsourcing`, batch save, accounts loaded first",
    "stock_single": "stock `eventsourcing`, one behavior at a time",
    "umadb": "umadb server, the same bytes, no condition",
    "umadb_conditional": "umadb server, every reference must be new",
    "project": "views following the log",
    "read": "the log through a raw binary cursor",
    "rebuild": "rebuild of all views",
    "replay": "replay with the reference kernel",
}
"""What is measured, in the order of the tables."""


class Bar(NamedTuple):
    """``path`` as a multiple of ``against``, and what DESIGN 8 asks for (None: nothing)."""

    says: str
    path: str
    against: str
    least: float | None
    percent: bool = False


BARS: Final = (
    # Every append seals and hashes; DESIGN 8 asks for 50 % of a path without, and there is none.
    Bar("crediting, sealed and proven / binary COPY", "credit", "copy", 0.35, percent=True),
    Bar("crediting / stock batch save, loaded", "credit", "stock_loaded", 5),
    Bar("crediting / stock batch save, cold", "credit", "stock_cold", 20),
    Bar("crediting / stock one at a time", "credit", "stock_single", 80),
    Bar("crediting with 1 % duplicates / without", "credit_duplicates", "credit", 0.70, percent=True),
    Bar("view rebuild / raw cursor read", "rebuild", "read", 0.50, percent=True),
    Bar("crediting / umadb, no condition", "credit", "umadb", None, percent=True),
    Bar("crediting / umadb, every reference new", "credit", "umadb_conditional", None, percent=True),
    Bar("replay (reference kernel) / raw cursor read", "replay", "read", None, percent=True),
)

_INTRODUCTION = """## Crediting, views and rival stores

Every path does its work once in each round, so that all of them meet the same minutes of the machine. **Compare only
within a run**: the ratios mean something, events per second are those of one machine on one day. A ratio is formed
in each round; the table shows the median and, in brackets, the least and the greatest. The bars are those of the
design, and a bar is met by the median.
"""

_METHOD = """### How

- Every measurement is a process of its own, set up as the command line sets itself up; starting Python, opening the
  book and connecting do not count. CPU is that of this process with all its threads, without the database server.
- **Crediting**: a generated CSV file, ten behaviors for each of its people, in random order; their accounts exist and
  are loaded from the journal. Digest of the file, parsing, the look for duplicates, decision, encoding and durable
  commits of 1,000 rows all count, and so do opening and closing the intake.
- **Binary COPY**: the event rows that those imports wrote, into a table with the same columns, primary key and unique
  position index, holding the same rows already, one commit per 1,000. Packing counts, having the rows does not.
- **Stock `eventsourcing`**: an aggregate with an event of about the same fields, its own recorder, mapper and schema
  on the same server. It is spared parsing, the look for duplicates and the valuation, and its accounts have hardly any
  history to load. Batches are of 1,000. psycopg's pipeline mode, which it uses, now and then waits for ever after
  sending a large statement; `benchmarks/unsticking.py` keeps it from that, at no cost that could be measured.
- **umadb**: its own server with default settings on loopback (it syncs its file on every commit), the same stored
  bytes in batches of 1,000, tagged with the account and, where every reference must be new, with the reference.
- **Views and replay**: one book, read and rebuilt in each round; "following the log" shows what the round credited.
"""


def render(measured: Measured) -> str:
    """The section on crediting."""
    facts = table(("", ""), [(name, value) for name, value in measured.facts])
    parts = [
        _INTRODUCTION,
        "### Against the bars\n",
        table(("ratio", "median (least to greatest)", "bar", "met"), _bars(measured)),
        "### Events per second\n",
        table(
            ("path", "events a round", "events/s, median (least to greatest)", "CPU µs per event"),
            _rates(measured.rounds),
        ),
        "### Memory\n",
        _memory_words(*measured.memory_rows),
        table(("work", "book", "4 x book", "ratio", "flat"), [_memory_row(each) for each in measured.memory]),
        "### Rounds\n",
        table(
            ("events/s", *(f"round {number}" for number in range(1, len(measured.rounds) + 1))),
            _each_round(measured.rounds),
        ),
        _METHOD,
        "### Measured on and with\n",
        facts,
        *(["### Remarks\n", "".join(f"- {remark}\n" for remark in measured.remarks)] if measured.remarks else []),
    ]
    return "\n".join(parts)


def ratios(rounds: Sequence[Round], path: str, against: str) -> list[float]:
    """The ratio of two rates in every round that has both."""
    return [each[path].per_second / each[against].per_second for each in rounds if path in each and against in each]


def _bars(measured: Measured) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for bar in BARS:
        found = ratios(measured.rounds, bar.path, bar.against)
        asked = "none" if bar.least is None else f"≥ {cut(bar.least, percent=bar.percent)}"
        if not found:
            rows.append((bar.says, "not measured", asked, ""))
            continue
        shown = spread(found, percent=bar.percent)
        rows.append((bar.says, shown, asked, "" if bar.least is None else yes(median(found) >= bar.least)))
    return rows


def _rates(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for path, says in PATHS.items():
        found = [each[path] for each in rounds if path in each]
        if found:
            speeds = [rate.per_second for rate in found]
            shown = f"**{median(speeds):,.0f}** ({min(speeds):,.0f} to {max(speeds):,.0f})"
            cpu_us = median(1e6 * rate.cpu_seconds / rate.rows for rate in found)
            rows.append((says, f"{median(rate.rows for rate in found):,.0f}", shown, f"{cpu_us:,.1f}"))
        else:
            rows.append((says, "", "not measured", ""))
    return rows


def _each_round(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    return [
        (says, *(f"{each[path].per_second:,.0f}" if path in each else "" for each in rounds))
        for path, says in PATHS.items()
    ]


def _memory_words(small: int, large: int) -> str:
    return (
        f"Peak memory of the whole process on a book of {small:,} behaviors of {small // 10:,} people, and on one of"
        f" {large:,} of {large // 10:,}.\nIt is called flat when the larger book takes at most {FLAT} times as much.\n"
    )


def _memory_row(each: Memory) -> tuple[str, ...]:
    ratio = each.large_bytes / each.small_bytes
    sizes = (f"{size / 2**20:,.0f} MiB" for size in (each.small_bytes, each.large_bytes))
    return (each.work, *sizes, f"{ratio:.2f}", yes(ratio <= FLAT))
