"""The report on replay, revisions and the archive at scale, from what was measured: pure, so that it can be tested.

Keeps: as ``report``: a ratio is formed within a round and only then is the median taken; a bar counts as met by that
median; ratios are cut towards the worse side; what was not measured is named. Work on books of different size is
compared per credit.
Leaves to ``document``: what else stands in docs/BENCHMARKS.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple

from benchmarks.behaviors import CREDITS_EACH
from benchmarks.tables import cut, spread, table, yes

SMALL, TENTH, WHOLE = "small", "tenth", "whole"
MEMORY_BAR: Final = 1 << 30
"""Bytes that a fast replay may take."""


class Sample(NamedTuple):
    """One run of some work: rows handled, seconds, processor seconds of its process, peak memory of that in bytes."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


Samples = Mapping[tuple[str, str], Sequence[Sample]]
"""(work, book) -> its samples: one for each round, or only one. What could not be measured is absent."""


@dataclass(frozen=True)
class Scale:
    """One run. ``credits``: of each book. ``bytes_per``: what -> bytes, and of how many credits or lines they are."""

    processors: int
    facts: Sequence[tuple[str, str]]
    credits: Mapping[str, int]
    samples: Samples
    bytes_per: Mapping[str, tuple[int, int]]
    remarks: Sequence[str] = field(default_factory=list)


WORKS: Final[Mapping[str, str]] = {
    "make": "generating the book (not crediting)",
    "archive": "archive: build from the log",
    "decode": "Parquet: decode only",
    "digest": "Parquet: SM3 of the files only",
    "kernel": "Parquet: decode and fast kernel",
    "fast": "replay, fast kernel",
    "processes": "replay, fast kernel in 2 processes, start included",
    "reference": "replay, reference kernel",
    "stock": "stock `eventsourcing`: load every account",
    "spark_1": "replay, Spark with 1 worker, start included",
    "spark_2": "replay, Spark with 2 workers, start included",
    "plan": "what-if plan, fast kernel",
    "totals": "totals as of a day in the middle of the year",
    "views_log": "views: rebuild from the log",
    "views_archive": "views: rebuild from the archive",
    "apply": "revision apply, fast kernel (accounts)",
    "apply_lines": "the same (lines)",
    "copy": "binary COPY of the event rows it wrote (accounts)",
    "archive_revised": "archive: the revision's events",
    "decode_revised": "Parquet: decode only, with the revision",
    "kernel_revised": "Parquet: decode and fast kernel, with the revision",
    "fast_revised": "replay, fast kernel, with the revision",
    "reference_revised": "replay, reference kernel, with the revision",
}
"""What is measured, in the order of the tables."""


class Bar(NamedTuple):
    """``work`` against other work, and what DESIGN 8 or the plan asks for: at least, or at most; neither: nothing.

    The ratio is that of rows per second (``unit`` seconds) or rows per processor second; with ``time`` that of the
    seconds for the same rows. ``from_processors``: on fewer it is reported and asks for nothing.
    """

    says: str
    work: tuple[str, str]
    against: tuple[str, str]
    least: float | None = None
    most: float | None = None
    unit: str = "seconds"
    time: bool = False
    percent: bool = False
    from_processors: int = 1


BARS: Final = (
    Bar("replay, fast / reference", ("fast", WHOLE), ("reference", SMALL), 60),
    Bar("the same, by CPU", ("fast", WHOLE), ("reference", SMALL), 60, unit="cpu_seconds"),
    Bar("the same after a revision", ("fast_revised", WHOLE), ("reference_revised", SMALL), 60),
    Bar(
        "the same after a revision, by CPU",
        ("fast_revised", WHOLE),
        ("reference_revised", SMALL),
        60,
        unit="cpu_seconds",
    ),
    Bar("replay, fast / Parquet decode, time", ("fast", WHOLE), ("decode", WHOLE), most=3, time=True),
    Bar(
        "the same after a revision",
        ("fast_revised", WHOLE),
        ("decode_revised", WHOLE),
        most=3,
        time=True,
    ),
    Bar("decode and kernel / Parquet decode, time", ("kernel", WHOLE), ("decode", WHOLE), time=True),
    Bar("revision apply / binary COPY", ("apply", WHOLE), ("copy", WHOLE), 0.30, percent=True),
    Bar("the same on the book of a tenth", ("apply", TENTH), ("copy", TENTH), percent=True),
    Bar("replay, fast / stock `eventsourcing`", ("fast", WHOLE), ("stock", SMALL)),
    Bar("views from the archive / from the log", ("views_archive", WHOLE), ("views_log", SMALL)),
    Bar("replay, fast, 2 processes / 1", ("processes", WHOLE), ("fast", WHOLE), 1.6, from_processors=4),
    Bar("replay, Spark, 2 workers / 1, start included", ("spark_2", WHOLE), ("spark_1", WHOLE)),
)

_INTRODUCTION = """## Replay, revisions and the archive at scale

Generated books: **whole** has {whole:,} credits of {whole_people:,} people, **tenth** {tenth:,}, **small** {small:,}.
What the law in plain Python does, what the stock library does, and views from the log are measured on the small book
and compared per credit. **Compare only within a run.** A ratio is formed in each round; tables show the median and, in
brackets, the least and the greatest; a bar is met by the median.
"""

_METHOD = """### How this was measured

- Every measurement is a process of its own. Starting Python, opening the book, and what libraries do on their first
  use (loading the compiled kernel above all) do not count towards seconds; memory is that of the whole process. CPU is
  that of this process with all its threads, without the database server. Replays, decoding, plan and totals are
  repeated in rounds, in changing order; the rest is done once on each book.
- **Books** are made by `benchmarks/big_book.py`: a template of 1,000 people with 20 credits each in one civil year,
  valued by the law, replicated with other accounts, references and personal facts, in log order month by month;
  vacuumed and analyzed. Every replay must find nothing wrong, and both kernels the same digest.
- **Parquet decode** reads the files, columns and dictionaries that the replay reads, with the same library, in one
  thread, and looks at nothing. **Decode and kernel** adds the kernel's pass over them. **Replay** is all that the
  command does: also the digest of every file, the checks of the log beside the kernel, joining, sums and the digest.
- **Stock `eventsourcing`** loads every account of as many credits from a schema of its own by `repository.get`, and
  computes nothing anew.
- **Plan** is the whole impact report, recorded nowhere. **The revision** is CYCLING-SHARED@2 for the whole year,
  planned by one and approved by another; each account concerned gets one event with a line for each of its rides.
- **COPY** writes these very events once more, into a table with the same columns, primary key and unique position
  index, which holds the keys of all earlier events, with as many rows per commit as apply has.
- **Views** are built from nothing, as after somebody dropped them.
- **2 processes** and **Spark** run on this machine, and their time includes their start; CPU is that of the process
  that joins their results, memory is that of the largest Python process. Two processes must be 1.6 times as fast as one
  only where there are 4 processors.
"""


def render(scale: Scale) -> str:
    """The section on scale."""
    whole, tenth, small = (scale.credits[book] for book in (WHOLE, TENTH, SMALL))
    parts = [
        _INTRODUCTION.format(whole=whole, whole_people=whole // CREDITS_EACH, tenth=tenth, small=small),
        "### Against the bars, at scale\n",
        table(("ratio", "median (least to greatest)", "bar", "met"), [*_bars(scale), _memory_bar(scale)]),
        "### What each work took\n",
        table(
            ("work", "book", "rows", "seconds", "rows/s", "CPU µs per row", "peak memory"),
            [_work(scale, *key) for key in _measured(scale)],
        ),
        f"### Growth from {tenth:,} to {whole:,} credits\n",
        table(
            ("work", "µs per row, tenth", "whole", "ratio", "peak memory, tenth", "whole", "ratio"),
            _growth(scale),
        ),
        "### Sizes on disk\n",
        table(("what", "bytes", "per credit or line"), _sizes(scale)),
        "### Seconds in each round\n",
        _rounds(scale),
        _METHOD,
        "### Measured at scale on and with\n",
        table(("", ""), list(scale.facts)),
        *(["### Remarks on scale\n", "".join(f"- {each}\n" for each in scale.remarks)] if scale.remarks else []),
    ]
    return "\n".join(parts)


def ratios(samples: Samples, bar: Bar) -> list[float]:
    """The bar's ratio in every round that has both."""
    pairs = zip(samples.get(bar.work, ()), samples.get(bar.against, ()), strict=False)
    if bar.time:
        return [one.seconds / other.seconds for one, other in pairs]
    return [(one.rows / getattr(one, bar.unit)) / (other.rows / getattr(other, bar.unit)) for one, other in pairs]


def _bars(scale: Scale) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for bar in BARS:
        found = ratios(scale.samples, bar)
        less = bar.time
        bound = bar.most if less else bar.least
        if scale.processors < bar.from_processors:
            bound = None
        asked = "none" if bound is None else f"{'≤' if less else '≥'} {cut(bound, percent=bar.percent)}"
        if not found:
            rows.append((bar.says, "not measured", asked, ""))
            continue
        met = "" if bound is None else yes(median(found) <= bound if less else median(found) >= bound)
        rows.append((bar.says, spread(found, percent=bar.percent, less_is_better=less), asked, met))
    return rows


def _memory_bar(scale: Scale) -> tuple[str, ...]:
    keys = (("fast", WHOLE), ("fast_revised", WHOLE))
    peaks = [sample.peak_bytes for key in keys for sample in scale.samples.get(key, ())]
    says, asked = "replay, fast: peak memory, the greatest", "< 1 GiB"
    return (
        (says, f"**{_mib(max(peaks))}**", asked, yes(max(peaks) < MEMORY_BAR))
        if peaks
        else (
            says,
            "not measured",
            asked,
            "",
        )
    )


def _measured(scale: Scale) -> list[tuple[str, str]]:
    """What was measured, and once each work that was not."""
    keys: list[tuple[str, str]] = []
    for work in WORKS:
        books = [book for book in (SMALL, TENTH, WHOLE) if scale.samples.get((work, book))]
        keys += [(work, book) for book in books or [""]]
    return keys


def _work(scale: Scale, work: str, book: str) -> tuple[str, ...]:
    found = scale.samples.get((work, book))
    if not found:
        return (WORKS[work], "", "", "not measured", "", "", "")
    seconds = [each.seconds for each in found]
    middle = median(seconds)
    shown = _seconds(middle)
    if len(found) > 1:
        shown += f" ({_seconds(min(seconds))} to {_seconds(max(seconds))})"
    return (
        WORKS[work],
        book,
        f"{found[0].rows:,}",
        shown,
        f"**{median(each.rows / each.seconds for each in found):,.0f}**",
        f"{median(1e6 * each.cpu_seconds / each.rows for each in found):,.2f}",
        _mib(max(each.peak_bytes for each in found)),
    )


def _growth(scale: Scale) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for work, says in WORKS.items():
        tenth, whole = scale.samples.get((work, TENTH)), scale.samples.get((work, WHOLE))
        if not tenth or not whole:
            continue
        times = [median(1e6 * each.seconds / each.rows for each in found) for found in (tenth, whole)]
        peaks = [max(each.peak_bytes for each in found) for found in (tenth, whole)]
        rows.append(
            (
                says,
                *(f"{time:,.2f}" for time in times),
                f"{times[1] / times[0]:.2f}",
                *(_mib(peak) for peak in peaks),
                f"{peaks[1] / peaks[0]:.2f}",
            )
        )
    return rows


def _sizes(scale: Scale) -> list[tuple[str, ...]]:
    return [(what, f"{size:,}", f"{size / count:,.1f}") for what, (size, count) in scale.bytes_per.items()]


def _rounds(scale: Scale) -> str:
    keys = [key for key in _measured(scale) if len(scale.samples.get(key, ())) > 1]
    most = max((len(scale.samples[key]) for key in keys), default=0)
    header = ("seconds", "book", *(f"round {number}" for number in range(1, most + 1)))
    return table(
        header, [(WORKS[key[0]], key[1], *(_seconds(each.seconds) for each in scale.samples[key])) for key in keys]
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:,.3f}" if seconds < 10 else f"{seconds:,.1f}"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
