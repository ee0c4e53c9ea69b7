"""``python -m benchmarks``: measure, print the report, write docs/BENCHMARKS.md.

Keeps: a run touches nothing but its own temporary home and the report; a quick run, whose figures say little, writes
no report unless told where.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import umadb_rival
from benchmarks.machine import describe
from benchmarks.processes import ROOT, temporary_home
from benchmarks.report import Measured, render, with_notes
from benchmarks.rounds import LARGE, Bench, Sizes, measure_memory, one_round, prepare

_REPORT = ROOT / "docs" / "BENCHMARKS.md"
_QUICK = Sizes(rounds=2, rows=5_000)
_FULL = Sizes(rounds=5, rows=100_000)
_FEWEST_ROWS = 2_000


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    usual = _QUICK if options.quick else _FULL
    sizes = Sizes(options.rounds or usual.rounds, options.rows or usual.rows)
    if sizes.rows < _FEWEST_ROWS or sizes.rounds < 1:
        _parser().error(f"at least 1 round of {_FEWEST_ROWS} rows")
    # A finally block must run when the process is asked to end: the server stops in one.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    measured = measure(sizes, options.folder)
    generated = render(measured)
    print(generated)
    output = options.output or (None if options.quick else _REPORT)
    if output is not None:
        former = output.read_text("utf-8") if output.exists() else ""
        output.write_text(with_notes(generated, former), "utf-8")
        print(f"written to {output}", file=sys.stderr)
    return 0


def measure(sizes: Sizes, folder: Path | None) -> Measured:
    """The whole run, in a temporary home below ``folder``."""
    with temporary_home(folder) as home, ExitStack() as stack:
        command = f"python -m benchmarks --rounds {sizes.rounds} --rows {sizes.rows}"
        facts = describe(home.conninfo, home.folder, command)
        bench = Bench(home, sizes, "")
        try:
            bench.umadb = stack.enter_context(umadb_rival.server(home.files / "umadb"))
        except umadb_rival.NotRunning as reason:
            bench.remarks.append(f"umadb could not be measured on this machine: {reason}")
        memory = measure_memory(bench)
        prepare(bench)
        rounds = [one_round(bench, number) for number in range(1, sizes.rounds + 1)]
    return Measured(facts, rounds, memory, (sizes.rows, LARGE * sizes.rows), bench.remarks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure the ledger against its bars.")
    parser.add_argument("--rounds", type=int, help=f"rounds (default {_FULL.rounds})")
    parser.add_argument("--rows", type=int, help=f"rows per file (default {_FULL.rows})")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK.rounds} rounds of {_QUICK.rows} rows, no report")
    parser.add_argument("--folder", type=Path, help="where to make the temporary home (default: the usual place)")
    parser.add_argument("--output", type=Path, help="the report (default docs/BENCHMARKS.md)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
