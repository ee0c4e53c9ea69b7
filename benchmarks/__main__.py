"""``python -m benchmarks``: measure, print the report, write docs/BENCHMARKS.md.

Keeps: a run touches nothing but its own temporary home and the sections of the report that it measured; a quick run,
whose figures say little, writes no report unless told where.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import auditing, report, scale, scale_report, serving, umadb_rival
from benchmarks.document import SECTIONS, document
from benchmarks.machine import describe, processors
from benchmarks.processes import ROOT, temporary_home
from benchmarks.report import Measured
from benchmarks.rounds import LARGE, Bench, Sizes, measure_memory, one_round, prepare
from benchmarks.scale_report import Scale

_REPORT = ROOT / "docs" / "BENCHMARKS.md"
_QUICK = Sizes(rounds=2, rows=5_000)
_FULL = Sizes(rounds=5, rows=100_000)
_FEWEST_ROWS = 2_000
_QUICK_SCALE = scale.Sizes(rounds=2, credits=scale.FEWEST_CREDITS)
_FULL_SCALE = scale.Sizes(rounds=3, credits=2_000_000)


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    usual, usual_scale = (_QUICK, _QUICK_SCALE) if options.quick else (_FULL, _FULL_SCALE)
    sizes = Sizes(options.rounds or usual.rounds, options.rows or usual.rows)
    rounds, credits = options.rounds or usual_scale.rounds, options.credits or usual_scale.credits
    scale_sizes = scale.Sizes(rounds, credits, options.by_law)
    if sizes.rounds < 1 or sizes.rows < _FEWEST_ROWS or scale_sizes.credits < scale.FEWEST_CREDITS:
        _parser().error(f"at least 1 round, {_FEWEST_ROWS} rows and {scale.FEWEST_CREDITS} credits")
    # A finally block must run when the process is asked to end: the server stops in one.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    generated: dict[str, str] = {}
    if options.only in (None, "crediting"):
        generated["crediting"] = report.render(measure(sizes, options.folder))
        print(generated["crediting"])
    if options.only in (None, "scale"):
        generated["scale"] = scale_report.render(measure_scale(scale_sizes, options.folder))
        print(generated["scale"])
    if options.only in (None, "auditing"):
        generated["auditing"] = auditing.render(measure_auditing(sizes, options.folder, with_large=not options.quick))
        print(generated["auditing"])
    if options.only in (None, "serving"):
        generated["serving"] = serving.render(measure_serving(sizes, options.folder))
        print(generated["serving"])
    output = options.output or (None if options.quick else _REPORT)
    if output is not None:
        former = output.read_text("utf-8") if output.exists() else ""
        output.write_text(document(generated, former), "utf-8")
        print(f"written to {output}", file=sys.stderr)
    return 0


def measure(sizes: Sizes, folder: Path | None) -> Measured:
    """Crediting, views and rivals, in a temporary home below ``folder``."""
    with temporary_home(folder) as home, ExitStack() as stack:
        command = f"python -m benchmarks --only crediting --rounds {sizes.rounds} --rows {sizes.rows}"
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


def measure_auditing(sizes: Sizes, folder: Path | None, *, with_large: bool) -> auditing.Audited:
    """Signing, exporting and verifying, in a temporary home below ``folder``."""
    with temporary_home(folder) as home:
        command = f"python -m benchmarks --only auditing --rounds {sizes.rounds} --rows {sizes.rows}"
        facts = describe(home.conninfo, home.folder, command)
        return auditing.measure(home, facts, sizes.rounds, sizes.rows, with_large=with_large)


def measure_serving(sizes: Sizes, folder: Path | None) -> serving.Served:
    """The service under load, in a temporary home below ``folder``."""
    with temporary_home(folder) as home:
        command = f"python -m benchmarks --only serving --rounds {sizes.rounds} --rows {sizes.rows}"
        return serving.measure(home, describe(home.conninfo, home.folder, command), sizes.rounds, sizes.rows)


def measure_scale(sizes: scale.Sizes, folder: Path | None) -> Scale:
    """Replay, revisions and the archive at scale, in a temporary home below ``folder``."""
    with temporary_home(folder) as home:
        command = f"python -m benchmarks --only scale --rounds {sizes.rounds} --credits {sizes.credits}"
        command += " --by-law" if sizes.by_law else ""
        facts = describe(home.conninfo, home.folder, command)
        bench = scale.Bench(home, sizes)
        scale.measure(bench)
    credits = {name: book.credits for name, book in bench.books.items()}
    return Scale(processors(), facts, credits, bench.samples, bench.bytes_per, bench.remarks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure the ledger against its bars.")
    rounds = f"rounds (default {_FULL.rounds}, at scale {_FULL_SCALE.rounds})"
    parser.add_argument("--only", choices=SECTIONS, help="measure one section, and keep the other as it stands")
    parser.add_argument("--rounds", type=int, help=rounds)
    parser.add_argument("--rows", type=int, help=f"crediting: rows per file (default {_FULL.rows})")
    parser.add_argument("--credits", type=int, help=f"at scale: credits of the book (default {_FULL_SCALE.credits})")
    parser.add_argument("--by-law", action="store_true", help="at scale: replay the whole book with the law too, once")
    parser.add_argument("--quick", action="store_true", help="little of everything, no report")
    parser.add_argument("--folder", type=Path, help="where to make the temporary home (default: the usual place)")
    parser.add_argument("--output", type=Path, help="the report (default docs/BENCHMARKS.md)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
