"""``carbon-ledger reconcile`` and ``anomalies``: a book examined against a partner's list, and against what can be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from application import reconciling
from application.reconciling import (
    DIFFERS,
    MATCHED,
    MISSING_IN_LIST,
    MISSING_IN_LOG,
    REFUSED,
    REPEATED,
    Found,
    Reconciled,
    Tally,
)
from interfaces.cli.command import Cli, command
from interfaces.cli.options import DayAfter, FirstDay, InputFile, PartnerName, period_of
from interfaces.cli.output import Answer, count_text, facts, heading, mass_text, table

NOT_EQUAL = 1
"""As ``behaviors import --strict`` for refused rows: the caller has something to look at. 3 would say that the ledger's
own records contradict each other, which no list of somebody else can show."""

_KINDS = (MATCHED, DIFFERS, REFUSED, MISSING_IN_LOG, REPEATED, MISSING_IN_LIST)
_BOOKED_KINDS = (MATCHED, DIFFERS, MISSING_IN_LIST)

Report = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write one row for each difference into this new CSV file (mode 0600).",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    example = "reconcile metro their-list.csv --from 2026-03-01 --to 2026-04-01 --out differences.csv"
    command(app, "reconcile", example=example, panel="Audit")(reconcile)


def reconcile(
    cli: Cli, partner: PartnerName, file: InputFile, from_: FirstDay = None, to: DayAfter = None, out: Report = None
) -> Answer:
    """Compare a partner's own list of a period (a behavior file) with the log, both ways; 1 if they differ.

    What of it is in the log with the same content, what differs, what is missing on either side. Nothing is changed.
    """
    from interfaces.bootstrap import PrivateCsv, behavior_file

    period, source = period_of(from_, to), behavior_file(file)
    with (
        cli.ledger() as ledger,
        nullcontext() if out is None else PrivateCsv(out, Found._fields, "report") as sink,
        cli.progress.naming("reconciling") as tell,
    ):
        found = reconciling.reconcile(ledger.book, source, partner, period, sink=sink, progress=tell)
    payload = {
        "equal": found.is_equal,
        "partner": partner,
        "from": from_,
        "to": to,
        "digest": source.digest,
        **_tally(found.all),
        "listed": found.listed,
        "outside": found.outside,
        "booked": found.booked,
        "refused_by_code": dict(sorted(found.refused_by_code.items())),
        "by_behavior": {behavior: _tally(tally) for behavior, tally in sorted(found.by_behavior.items())},
        "file": None if out is None else str(out),
        "position": found.position,
        "seconds": round(found.seconds, 3),
    }
    return Answer(payload, _reconciled(found, payload), 0 if found.is_equal else NOT_EQUAL)


def _tally(tally: Tally) -> dict[str, Any]:
    counts = {kind: tally.count[kind] for kind in _KINDS}
    return counts | {f"{kind}_mg": str(tally.mg[kind]) for kind in _BOOKED_KINDS}


def _reconciled(found: Reconciled, payload: Mapping[str, Any]) -> list[Any]:
    said = "the list says what the log says" if found.is_equal else "LIST AND LOG DIFFER"
    pairs = [
        ("rows in the list", count_text(found.listed)),
        ("outside the period", count_text(found.outside)),
        ("credits compared", count_text(found.booked)),
        ("log position", found.position),
    ]
    rows = [_cells(behavior or "(unreadable)", tally) for behavior, tally in sorted(found.by_behavior.items())]
    if len(rows) > 1:
        rows.append(_cells("all", found.all))
    columns = ("behavior", *(f"{kind.replace('_', ' ')}>" for kind in _KINDS), "matched>", "missing in list>")
    human: list[Any] = [heading(said), facts(pairs)]
    if rows:
        human.append(table(columns, rows))
    if found.refused_by_code:
        refused = [(code, count_text(count)) for code, count in found.refused_by_code.most_common()]
        human.append(table(("refused now because", "rows>"), refused))
    if payload["file"] is not None:
        human.append(facts([("differences", payload["file"])]))
    elif not found.is_equal:
        human.append(Text("The same command with --out FILE lists every difference."))
    return human


def _cells(name: str, tally: Tally) -> tuple[str, ...]:
    counts = (count_text(tally.count[kind]) for kind in _KINDS)
    return name, *counts, mass_text(tally.mg[MATCHED]), mass_text(tally.mg[MISSING_IN_LIST])
