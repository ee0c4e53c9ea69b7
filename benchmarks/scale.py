"""The run at scale: three generated books, every kind of work on them, before and after a revision.

Keeps: what is compared is done in the same rounds, in changing order; what a work did is checked before its time is
believed. The books share one database server; each has a home of its own, since an archive lies in its home.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.behaviors import CREDITS_EACH, write_file
from benchmarks.machine import processors
from benchmarks.processes import TASK_SECONDS, Done, Home, run
from benchmarks.scale_report import SMALL, TENTH, WHOLE, Sample

SMALL_CREDITS = 40_000
FEWEST_CREDITS = 20_000
_STOCK_BATCH = 1_000
_SLOWEST_PER_SECOND = 2_000
"""Credits that the slowest task handles in a second, at the very least."""
_TABLES = {
    "events": "log: events",
    "event_indexes": "log: their two indexes",
    "refs": "look-up of references",
    "accounts": "look-up of accounts",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """``credits`` of the whole book."""

    rounds: int
    credits: int
    by_law: bool = False
    """Ask the law and the views for the whole book's digest as well: the law takes a minute per million credits."""

    def of(self, book: str) -> int:
        tenth = self.credits // 10
        found = {WHOLE: self.credits, TENTH: tenth, SMALL: min(SMALL_CREDITS, tenth)}[book]
        return found // CREDITS_EACH * CREDITS_EACH


Work = Callable[[], None]


@dataclass
class _Book:
    """``files``: the archive's; ``asked``: columns that a replay asks for (None: all), ``columns``: that it reads."""

    name: str
    home: Path
    conninfo: str
    credits: int
    files: list[str] = field(default_factory=list)
    asked: list[str] | None = None
    columns: list[str] = field(default_factory=list)
    digest: str = ""


@dataclass
class Bench:
    """A run in progress."""

    home: Home
    sizes: Sizes
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    bytes_per: dict[str, tuple[int, int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    stock: str = ""
    books: dict[str, _Book] = field(default_factory=dict)

    def task(self, name: str, **arguments: Any) -> Done:
        at_most = max(TASK_SECONDS, self.sizes.credits / _SLOWEST_PER_SECOND)
        return run(name, arguments, self.home.files, at_most)

    def work(self, work: str, book: _Book, name: str, **arguments: Any) -> Done:
        """Run a task on a book and keep what it took."""
        done = self.task(f"scale_tasks.{name}", **arguments)
        self.keep(work, book, done)
        return done

    def on(self, work: str, book: _Book, name: str, **arguments: Any) -> Done:
        """The same for a task that opens the book."""
        return self.work(work, book, name, home=str(book.home), conninfo=book.conninfo, **arguments)

    def keep(self, work: str, book: _Book, done: Done, rows: int | None = None) -> None:
        sample = Sample(done.rows if rows is None else rows, done.seconds, done.cpu_seconds, done.peak_bytes)
        self.samples.setdefault((work, book.name), []).append(sample)
        speed = sample.rows / sample.seconds
        told = f"  {work:18} {book.name:6} {sample.rows:>11,} rows {sample.seconds:>9,.2f} s {speed:>11,.0f}/s"
        print(f"{told} {sample.peak_bytes / 2**20:>6,.0f} MiB", file=sys.stderr, flush=True)


def measure(bench: Bench) -> None:
    """Everything once, and what is compared in rounds."""
    for name in (SMALL, TENTH, WHOLE):
        bench.books[name] = _made(bench, name)
    _prepare_stock(bench)
    for number in range(1, bench.sizes.rounds + 1):
        _in_turn(f"round {number}, before the revision", number, [*_replays(bench), *_questions(bench)])
    _views(bench)
    _spark(bench)
    for book in bench.books.values():
        _revise(bench, book)
    for number in range(1, bench.sizes.rounds + 1):
        _in_turn(f"round {number}, after the revision", number, _replays(bench, "_revised"))
    if bench.sizes.by_law:
        _by_law(bench, bench.books[WHOLE])


def _in_turn(says: str, number: int, works: list[Work]) -> None:
    print(says, file=sys.stderr)
    for work in works if number % 2 else reversed(works):
        work()


def _made(bench: Bench, name: str) -> _Book:
    book = _Book(name, bench.home.files / name, bench.home.database(f"scale_{name}"), bench.sizes.of(name))
    print(f"the {name} book: {book.credits:,} credits", file=sys.stderr)
    bench.on("make", book, "make", credits=book.credits)
    _archive(bench, book, "archive", book.credits)
    if name == WHOLE:
        sizes = _sizes(bench, book)
        bench.bytes_per |= {says: (sizes[part], book.credits) for part, says in _TABLES.items()}
    return book


def _archive(bench: Bench, book: _Book, work: str, rows: int) -> Done:
    """Let the archive follow, then a first replay: it tells what it reads, and leaves compiled code on the disk."""
    done = bench.on(work, book, "archive", credits=rows)
    book.files = done.answer["files"]
    first = bench.task("scale_tasks.fast", home=str(book.home), conninfo=book.conninfo)
    book.asked, book.columns, book.digest = (first.answer[key] for key in ("asked", "columns", "digest"))
    if book.name == WHOLE and work == "archive":
        bench.bytes_per["archive"] = (done.answer["size_bytes"], book.credits)
    return done


def _prepare_stock(bench: Bench) -> None:
    """The stock library's own book of as many credits as the small one."""
    bench.stock = bench.home.database("scale_stock")
    bench.task("stock.create", conninfo=bench.stock)
    credits = bench.books[SMALL].credits
    path = write_file(bench.home.files / "stock.csv", credits, credits // CREDITS_EACH, seed=0)
    bench.task("stock.loaded", conninfo=bench.stock, file=str(path), rows=credits, batch_rows=_STOCK_BATCH)
    path.unlink()


def _replays(bench: Bench, suffix: str = "") -> list[Work]:
    """What replays are compared by, as neighbors in time."""
    works: list[Work] = []
    for name in (TENTH, WHOLE):
        book = bench.books[name]
        works.append(partial(_decode, bench, book, f"decode{suffix}"))
        works.append(partial(_replay, bench, book, f"fast{suffix}", "fast"))
        works.append(partial(_kernel, bench, book, f"kernel{suffix}"))
    return [*works, partial(_replay, bench, bench.books[SMALL], f"reference{suffix}", "reference")]


def _questions(bench: Bench) -> list[Work]:
    """What else is asked of a whole book, and of the files of its archive."""
    whole = bench.books[WHOLE]
    works: list[Work] = [partial(_stock, bench), partial(_digest, bench, whole)]
    if processors() > 1:
        works.append(partial(_in_processes, bench, whole))
    for name in (TENTH, WHOLE):
        works += [partial(_ask, bench, bench.books[name], work) for work in ("plan", "totals")]
    return works


def _decode(bench: Bench, book: _Book, work: str) -> None:
    bench.work(work, book, "decode", files=book.files, columns=book.columns, credits=book.credits)


def _digest(bench: Bench, book: _Book) -> None:
    bench.work("digest", book, "digest", files=book.files, credits=book.credits)


def _kernel(bench: Bench, book: _Book, work: str) -> None:
    _expect("proven credits", bench.on(work, book, "kernel", asked=book.asked).rows, book.credits)


def _replay(bench: Bench, book: _Book, work: str, task: str) -> None:
    _expect_right(bench.on(work, book, task), book)


def _in_processes(bench: Bench, book: _Book) -> None:
    _expect_right(bench.on("processes", book, "in_processes", processes=2), book)


def _ask(bench: Bench, book: _Book, work: str) -> None:
    bench.on(work, book, work, credits=book.credits)


def _stock(bench: Bench) -> None:
    book = bench.books[SMALL]
    done = bench.task("stock.replay", conninfo=bench.stock)
    _expect("loaded credits", done.rows, book.credits)
    bench.keep("stock", book, done)


def _views(bench: Bench) -> None:
    """The views of each book, from nothing."""
    print("views", file=sys.stderr)
    for book in bench.books.values():
        done = bench.on("views_archive", book, "views", from_archive=True)
        _expect("credits in the views", done.rows, book.credits)
    small, whole = bench.books[SMALL], bench.books[WHOLE]
    _expect("credits in the views", bench.on("views_log", small, "views", from_archive=False).rows, small.credits)
    bench.bytes_per["views of balances and statements"] = (_sizes(bench, whole)["views"], whole.credits)


def _spark(bench: Bench) -> None:
    """With one worker and with two; the first use on a small book leaves compiled code for them."""
    print("Spark", file=sys.stderr)
    missing = _spark_on(bench, bench.books[SMALL], 1).answer["missing"]
    if missing:
        bench.remarks.append(f"Spark could not be measured on this machine: {missing}.")
        return
    book = bench.books[WHOLE]
    for workers in range(1, min(2, processors()) + 1):
        done = _spark_on(bench, book, workers)
        _expect_right(done, book)
        bench.keep(f"spark_{workers}", book, done)


def _spark_on(bench: Bench, book: _Book, workers: int) -> Done:
    where = {"home": str(book.home), "conninfo": book.conninfo}
    return bench.task("scale_tasks.spark", master=f"local[{workers}]", **where)


def _revise(bench: Bench, book: _Book) -> None:
    """The revision, then the very rows that it wrote once more by COPY."""
    print(f"revision of the {book.name} book", file=sys.stderr)
    before = _sizes(bench, book)
    where = {"home": str(book.home), "conninfo": book.conninfo}
    revision = bench.task("scale_tasks.approve", **where).answer["revision"]
    applied = bench.on("apply", book, "apply", revision=revision)
    lines, after, upto = (applied.answer[key] for key in ("lines", "after", "upto"))
    bench.keep("apply_lines", book, applied, rows=lines)
    if book.name != SMALL:
        bench.task("scale_tasks.twin", conninfo=book.conninfo, upto=after)
        batch_rows = -(-applied.rows // applied.answer["commits"])
        span = {"source": book.conninfo, "target": book.conninfo, "after": after, "upto": upto}
        copied = bench.task("copying.copy", batch_rows=batch_rows, **span)
        _expect("copied rows", copied.rows, applied.rows)
        bench.keep("copy", book, copied)
        bench.task("scale_tasks.drop_twin", conninfo=book.conninfo)
    _archive(bench, book, "archive_revised", lines)
    if book.name == WHOLE:
        grown = sum(_sizes(bench, book)[part] - before[part] for part in ("events", "event_indexes"))
        bench.bytes_per["log: the revision's events with their indexes"] = (grown, lines)


def _by_law(bench: Bench, book: _Book) -> None:
    """One digest of the revised book from the fast kernel, the law on the log, and the views."""
    print("the whole book by the law, and by the views", file=sys.stderr)
    _replay(bench, book, "reference_revised", "reference")
    where = {"home": str(book.home), "conninfo": book.conninfo}
    _expect("digest of the views", bench.task("scale_tasks.digest_of_views", **where).answer["digest"], book.digest)
    bench.remarks.append(
        "After the revision, the fast kernel, the law on the whole log, and the views that followed it gave one digest "
        f"of the whole book, and no mismatch: `{book.digest}`."
    )


def _sizes(bench: Bench, book: _Book) -> dict[str, Any]:
    return bench.task("scale_tasks.sizes", conninfo=book.conninfo).answer


def _expect_right(done: Done, book: _Book) -> None:
    """Nothing differs, every credit was replayed, and every kernel and engine gives the same digest."""
    found = (done.rows, done.answer["mismatches"], done.answer["digest"])
    _expect("credits, mismatches and digest", found, (book.credits, 0, book.digest))


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise RuntimeError(f"{what}: {found} instead of {expected}")
