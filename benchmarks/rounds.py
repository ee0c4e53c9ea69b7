"""The run: books of the right size, then every path once in each round.

Keeps: the ledger and its baseline write the same rows into tables that hold the same rows already; whoever goes first
changes from round to round; what a path did is checked before its time is believed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from benchmarks.behaviors import write_file
from benchmarks.processes import Done, Home, run
from benchmarks.report import Memory, Rate

BATCH_ROWS = 1_000
LARGE = 4
_REPEAT_EVERY = 100


@dataclass(frozen=True, slots=True)
class Sizes:
    """``rows`` per file, of a tenth as many people; slower paths get fewer, so that a round stays short."""

    rounds: int
    rows: int

    @property
    def single_rows(self) -> int:
        return max(200, self.rows // 50)

    @property
    def cold_rows(self) -> int:
        return max(BATCH_ROWS, self.rows // 10)

    @property
    def loaded_rows(self) -> int:
        return max(BATCH_ROWS, self.rows // 5)

    @property
    def rival_rows(self) -> int:
        return max(BATCH_ROWS, self.rows // 2)


@dataclass
class Bench:
    """A run in progress. ``umadb``: address of its server, or "" where it cannot run."""

    home: Home
    sizes: Sizes
    umadb: str
    speed: str = ""
    small: str = ""
    twin: str = ""
    stock: str = ""
    last_seed: int = 0
    remarks: list[str] = field(default_factory=list)

    def task(self, name: str, **arguments: Any) -> Done:
        done = run(name, arguments, self.home.files)
        if done.rows and done.seconds:
            speed = done.rows / done.seconds
            print(f"  {name:28} {done.rows:>9,} rows {speed:>9,.0f}/s", file=sys.stderr, flush=True)
        return done

    def ours(self, name: str, book: str, **arguments: Any) -> Done:
        return self.task(f"ours.{name}", home=str(self.home.folder), conninfo=book, **arguments)

    def credit(self, book: str, rows: int, seed: int, repeat_seed: int | None = None) -> Done:
        """Generate a file and import it; with ``repeat_seed`` every hundredth row repeats that earlier file."""
        every = 0 if repeat_seed is None else _REPEAT_EVERY
        path = self.home.files / f"generated-{seed}.csv"
        write_file(path, rows, rows // 10, seed, every, repeat_seed or 0)
        done = self.ours("credit", book, file=str(path))
        path.unlink()
        repeated = -(-rows // every) if every else 0
        found = {name: done.answer[name] for name in ("credited", "duplicates", "rejected")}
        expected = {"credited": rows - repeated, "duplicates": repeated, "rejected": 0}
        if found != expected:
            raise RuntimeError(f"an import ended with {found} instead of {expected}")
        return done

    def copy(self, written: Done) -> Done:
        """The rows that an import wrote, once more by COPY."""
        span = {name: written.answer[name] for name in ("after", "upto")}
        return self.task("copying.copy", source=self.speed, target=self.twin, batch_rows=BATCH_ROWS, **span)


def prepare(bench: Bench) -> None:
    """The book whose speed is measured with its first rows, its twin with the same, and the stock library's schema."""
    print("preparing", file=sys.stderr)
    bench.speed, bench.twin = bench.home.database("speed"), bench.home.database("twin")
    bench.stock = bench.home.database("stock")
    bench.ours("initialize", bench.speed)
    bench.task("copying.create", target=bench.twin)
    bench.task("stock.create", conninfo=bench.stock)
    first = bench.credit(bench.speed, bench.sizes.rows, seed=0)
    first.answer["after"] = 0
    bench.copy(first)
    bench.ours("project", bench.speed)


def measure_memory(bench: Bench) -> list[Memory]:
    """Peak memory of import, following, rebuild and replay of two books; leaves the smaller one for the rounds."""
    print("memory", file=sys.stderr)
    peaks: dict[str, list[int]] = {"import": [], "views following the log": [], "view rebuild": [], "replay": []}
    for name, factor in (("small", 1), ("large", LARGE)):
        book = bench.home.database(name)
        bench.ours("initialize", book)
        peaks["import"].append(bench.credit(book, factor * bench.sizes.rows, seed=1).peak_bytes)
        peaks["views following the log"].append(bench.ours("project", book).peak_bytes)
        peaks["view rebuild"].append(bench.ours("rebuild", book).peak_bytes)
        peaks["replay"].append(_replay(bench, book).peak_bytes)
        if factor == 1:
            bench.small = book
    return [Memory(work, small, large) for work, (small, large) in peaks.items()]


def one_round(bench: Bench, number: int) -> dict[str, Rate]:
    """Every path once; ``number`` counts from 1."""
    print(f"round {number} of {bench.sizes.rounds}", file=sys.stderr)
    seed = 10 * number
    rates: dict[str, Rate] = {}
    copies = []
    written: dict[str, Done] = {}
    paths = ["credit", "credit_duplicates"]
    for path in paths if number % 2 else reversed(paths):
        if path == "credit":
            written[path] = bench.credit(bench.speed, bench.sizes.rows, seed)
        else:
            written[path] = bench.credit(bench.speed, bench.sizes.rows, seed + 1, repeat_seed=bench.last_seed)
        rates[path] = _rate(written[path])
        copies.append(bench.copy(written[path]))
    rates["copy"] = _rate(*copies)
    bench.last_seed = seed
    rates["project"] = _rate(bench.ours("project", bench.speed))
    _stock(bench, seed, rates)
    _umadb(bench, written["credit"], rates)
    rates["read"] = _rate(bench.task("copying.read", conninfo=bench.small))
    rates["rebuild"] = _rate(bench.ours("rebuild", bench.small))
    rates["replay"] = _rate(_replay(bench, bench.small))
    return rates


def _stock(bench: Bench, seed: int, rates: dict[str, Rate]) -> None:
    sizes = bench.sizes
    path = bench.home.files / "stock.csv"
    write_file(path, sizes.rows, sizes.rows // 10, seed)
    common = {"conninfo": bench.stock, "file": str(path)}
    rates["stock_loaded"] = _rate(bench.task("stock.loaded", rows=sizes.loaded_rows, batch_rows=BATCH_ROWS, **common))
    rates["stock_cold"] = _rate(bench.task("stock.cold", rows=sizes.cold_rows, batch_rows=BATCH_ROWS, **common))
    rates["stock_single"] = _rate(bench.task("stock.one_by_one", rows=sizes.single_rows, **common))
    path.unlink()


def _umadb(bench: Bench, written: Done, rates: dict[str, Rate]) -> None:
    if not bench.umadb:
        return
    after = written.answer["after"]
    for path, conditional in (("umadb", False), ("umadb_conditional", True)):
        done = bench.task(
            "umadb_rival.append",
            url=bench.umadb,
            source=bench.speed,
            after=after,
            upto=after + bench.sizes.rival_rows,
            batch_rows=BATCH_ROWS,
            conditional=conditional,
        )
        rates[path] = _rate(done)


def _replay(bench: Bench, book: str) -> Done:
    done = bench.ours("replay", book)
    if done.answer["mismatches"]:
        raise RuntimeError(f"replay found {done.answer['mismatches']} mismatches")
    return done


def _rate(*done: Done) -> Rate:
    return Rate(
        sum(each.rows for each in done), sum(each.seconds for each in done), sum(each.cpu_seconds for each in done)
    )
