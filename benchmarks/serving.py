"""The service under load, in interleaved rounds: singles, batches, and how soon a balance shows them; the report.

Keeps: two worker processes of ``carbon-ledger serve`` over one book, clients on the same machine; in each round the
file import, the stock library one by one and bare inserts on the same server, so that ratios are of one round.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from pydantic import SecretStr

from benchmarks.behaviors import write_file
from benchmarks.processes import ROOT, Done, Home, run
from benchmarks.tables import spread, table, yes
from interfaces.bootstrap import Settings
from interfaces.bootstrap.service import dev_credentials

WORKERS: Final = 2
SINGLE_CLIENTS: Final = 64
BATCH_CLIENTS: Final = 4
BATCH_ROWS: Final = 1_000
BAR_STOCK, BAR_IMPORT = 10, 0.60
_COUNTED: Final = ("stock.one_by_one", "serving_tasks.insert")
"""Tasks that are told how many."""
_ROLE: Final = "bank_backend"
_ADDRESS: Final = re.compile(r"serves on http://127\.0\.0\.1:([0-9]+)")
_NAMES: Final = {
    "singles": f"HTTP, one behavior each, {SINGLE_CLIENTS} clients",
    "batches": f"HTTP, {BATCH_ROWS:,} each, {BATCH_CLIENTS} clients",
    "import": "file import on the command line",
    "stock": "stock `eventsourcing`, one by one",
    "visible": "HTTP, one client: behavior, then the balance that has it",
    "insert": "bare INSERT, one commit each",
}


@dataclass
class Served:
    """One run: what each way took in each round."""

    facts: list[tuple[str, str]]
    rounds: list[dict[str, Done]] = field(default_factory=list)


class _Load:
    """A book with its people, the service over it, and files of new behaviors of the same people."""

    def __init__(self, home: Home, rows: int) -> None:
        self.home, self.rows, self._seed = home, rows, 0
        self.where = {"home": str(home.folder / "books" / "served"), "conninfo": home.database("served")}
        run("ours.initialize", self.where, home.files)
        self.task("ours.credit", rows, **self.where)
        self.stock = home.database("served_stock")
        run("stock.create", {"conninfo": self.stock}, home.files)

    def task(self, name: str, rows: int, **arguments: Any) -> Done:
        """Run a task on a file of its own."""
        self._seed += 1
        file = write_file(self.home.files / f"served-{self._seed}.csv", rows, self.rows // 10, self._seed)
        counted = {"rows": rows} if name in _COUNTED else {}
        done = run(name, {**arguments, **counted, "file": str(file)}, self.home.files)
        file.unlink()
        print(f"  {name:28} {done.rows:>9,} rows {done.rows / done.seconds:>9,.0f}/s", file=sys.stderr, flush=True)
        return done


def measure(home: Home, facts: list[tuple[str, str]], rounds: int, rows: int) -> Served:
    """``rows`` in each batch and import; singles and what is slower still get fewer."""
    found, load = Served(facts), _Load(home, rows)
    settings = Settings(home=Path(load.where["home"]), dsn=SecretStr(load.where["conninfo"]))
    credential = dev_credentials(settings).create((_ROLE,))[_ROLE]
    with _service(load.where) as port:
        to = {"port": port, "credential": credential}
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}" if number else "warming up", file=sys.stderr)
            done = _one_round(load, number, to)
            # The first time workers learn who the people are; a service that runs has done that.
            found.rounds += [done] if number else []
    return found


def _one_round(load: _Load, number: int, to: dict[str, Any]) -> dict[str, Done]:
    """Every way once; whoever goes first changes from round to round."""
    many, few = load.rows, max(100, load.rows // 100)
    ways: list[tuple[str, str, int, dict[str, Any]]] = [
        ("singles", "serving_tasks.singles", many // 10, {**to, "clients": SINGLE_CLIENTS}),
        ("import", "ours.credit", many, load.where),
        ("batches", "serving_tasks.batches", many, {**to, "clients": BATCH_CLIENTS, "batch_rows": BATCH_ROWS}),
        ("stock", "stock.one_by_one", few, {"conninfo": load.stock}),
        ("visible", "serving_tasks.visible", few, to),
        ("insert", "serving_tasks.insert", few, {"conninfo": load.stock}),
    ]
    return {
        name: load.task(task, rows, **arguments)
        for name, task, rows, arguments in (ways if number % 2 else reversed(ways))
    }


@contextmanager
def _service(where: dict[str, str]) -> Iterator[int]:
    """``carbon-ledger serve`` with its workers, and its port; ended when done."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARBON_LEDGER_")}
    environment |= {"CARBON_LEDGER_DSN": where["conninfo"], "CARBON_LEDGER_HTTP_REQUESTS_PER_SECOND": "0"}
    command = [sys.executable, "-c", "import sys; from interfaces.cli.main import main; sys.exit(main())"]
    command += ["--home", where["home"], "serve", "--port", "0", "--workers", str(WORKERS)]
    log = Path(where["home"]) / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
    try:
        yield _port(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    for _ in range(600):
        told = _ADDRESS.search(log.read_text("utf-8"))
        if told is not None:
            return int(told[1])
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise RuntimeError(f"the service did not start: {log.read_text('utf-8')[-400:]}")


def render(found: Served) -> str:
    """The section of the report."""
    of_stock = [_rate(done["singles"]) / _rate(done["stock"]) for done in found.rounds]
    of_import = [_rate(done["batches"]) / _rate(done["import"]) for done in found.rounds]
    bars = [
        ("singles / stock one by one", spread(of_stock), f">= {BAR_STOCK}x", yes(median(of_stock) >= BAR_STOCK)),
        (
            "batches / file import",
            spread(of_import, percent=True),
            f">= {BAR_IMPORT:.0%}",
            yes(median(of_import) >= BAR_IMPORT),
        ),
    ]
    rates = [(shown, f"{median(_rate(done[name]) for done in found.rounds):,.0f}") for name, shown in _NAMES.items()]
    waits = [
        (shown, *_percentiles([each for done in found.rounds for each in done[name].answer["latencies_ms"]]))
        for name, shown in _NAMES.items()
        if "latencies_ms" in found.rounds[0][name].answer
    ]
    return "\n".join(
        (
            "## The HTTP service\n",
            f"{WORKERS} worker processes of `carbon-ledger serve`; clients, service and database share the machine.\n",
            table(("what", "value"), found.facts),
            table(("ratio", "median (least to greatest)", "bar", "met"), bars),
            table(("way", "behaviors/s, median"), rates),
            table(("from request to answer, ms", "p50", "p95", "p99"), waits),
        )
    )


def _rate(done: Done) -> float:
    return done.rows / done.seconds


def _percentiles(latencies_ms: Sequence[float]) -> tuple[str, str, str]:
    cuts = quantiles(latencies_ms, n=100)
    return f"{cuts[49]:.1f}", f"{cuts[94]:.1f}", f"{cuts[98]:.1f}"
