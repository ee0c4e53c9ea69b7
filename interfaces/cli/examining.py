"""``carbon-ledger reconcile`` and ``anomalies``: a book examined against a partner's list, and against what can be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from application import examining, reconciling
from application.access import record_export
from application.examining import Examined, Odd
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
from domain.anomalies import ASSUMED, CLOCKS_SECONDS, CODES, START, Travel
from interfaces.cli.accessing import ReadBy, reader
from interfaces.cli.command import Cli, command
from interfaces.cli.options import DayAfter, FirstDay, InputFile, OnlyPartner, PartnerName, period_of
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
_SPEED = re.compile(r"([^=]{1,64})=([1-9][0-9]{0,3})(?::([1-9][0-9]{0,3}))?")
_SHOWN_FINDINGS = 20


def _speed(text: str) -> str:
    if not _SPEED.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not BEHAVIOR=USUAL or BEHAVIOR=USUAL:LIMIT such as travel.ebike=20:60")
    return text


Speeds = Annotated[
    list[str] | None,
    typer.Option(
        "--speed",
        metavar="BEHAVIOR=USUAL[:LIMIT]",
        help="Assume these speeds of a behavior in whole km/h, LIMIT thrice USUAL without it; may be repeated.",
        parser=_speed,
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    example = "reconcile metro their-list.csv --from 2026-03-01 --to 2026-04-01 --out differences.csv"
    command(app, "reconcile", example=example, panel="Audit")(reconcile)
    command(app, "anomalies", example="anomalies --from 2026-03-01 --to 2026-04-01 --out odd.csv", panel="Audit")(
        anomalies
    )


def reconcile(
    cli: Cli,
    partner: PartnerName,
    file: InputFile,
    from_: FirstDay = None,
    to: DayAfter = None,
    out: Report = None,
    by: ReadBy = None,
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
        if out is not None:  # the report tells references in clear, and which of them the log has
            record_export(ledger.book, reader(by), "reconcile", None, personal=True, about=partner)
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
    columns = ("behavior", *(f"{kind.replace('_', ' ')}>" for kind in _KINDS), "mass matched>", "mass missing in list>")
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


def anomalies(
    cli: Cli,
    partner: OnlyPartner = None,
    from_: FirstDay = None,
    to: DayAfter = None,
    speed: Speeds = None,
    out: Report = None,
) -> Answer:
    """Rides of one account that one person can hardly have made: overlapping, too fast, stamped at the same instant.

    Each is a question, not a verdict: the answer is 0 whatever is found, and nothing is changed.
    """
    from interfaces.bootstrap import PrivateCsv

    period = None if from_ is None and to is None else period_of(from_, to)
    assumed = {**ASSUMED, **dict(_travel(text) for text in speed or ())}
    with (
        cli.ledger() as ledger,
        nullcontext() if out is None else PrivateCsv(out, Odd._fields, "report") as sink,
        cli.progress.counting("examining", "accounts") as tell,
    ):
        found = examining.examine_book(ledger.book, assumed, partner=partner, period=period, sink=sink, progress=tell)
    payload = {
        "found": found.by_code.total(),
        "by_code": {code: found.by_code[code] for code in CODES},
        "accounts": found.accounts,
        "odd_accounts": found.odd_accounts,
        "rides": found.rides,
        "other": found.other,
        "unopened": found.unopened,
        "assumed": {behavior: travel._asdict() for behavior, travel in sorted(assumed.items())},
        "clocks_seconds": CLOCKS_SECONDS,
        "findings": [each._asdict() for each in found.first],
        "file": None if out is None else str(out),
        "position": found.position,
        "seconds": round(found.seconds, 3),
    }
    return Answer(payload, _examined(found, assumed, out))


def _travel(text: str) -> tuple[str, Travel]:
    match = _SPEED.fullmatch(text)
    assert match is not None
    behavior, usual, limit = match[1], int(match[2]), int(match[3] or 3 * int(match[2]))
    if limit < usual:
        raise typer.BadParameter(f"{text!r}: the limit is below what is usual", param_hint="'--speed'")
    stamped = ASSUMED[behavior].stamped if behavior in ASSUMED else START
    return behavior, Travel(stamped, usual, limit, "given with --speed")


def _examined(found: Examined, assumed: Mapping[str, Travel], out: Path | None) -> list[Any]:
    total = found.by_code.total()
    pairs = [
        ("accounts", f"{count_text(found.odd_accounts)} of {count_text(found.accounts)}"),
        ("rides", count_text(found.rides)),
        ("other credits", f"{count_text(found.other)}, of which nothing is assumed"),
        ("of erased people", count_text(found.unopened)),
        ("log position", found.position),
    ]
    speeds = [
        (behavior, travel.stamped, travel.usual_kmh or "", travel.limit_kmh or "", travel.source)
        for behavior, travel in sorted(assumed.items())
    ]
    human: list[Any] = [
        heading(f"{count_text(total)} anomalies" if total else "nothing odd"),
        facts(pairs),
        table(("code", "found>"), [(code, count_text(found.by_code[code])) for code in CODES]),
        table(("assumed of", "instant is its", "usual km/h>", "limit km/h>", "source"), speeds),
    ]
    if found.first:
        rows = [
            (
                each.code,
                each.account_id,
                each.first_position,
                each.second_position,
                each.day,
                each.seconds,
                each.needed_seconds,
            )
            for each in found.first[:_SHOWN_FINDINGS]
        ]
        human.append(table(("what", "account", "first>", "second>", "day", "had s>", "needed s>"), rows))
        if total > _SHOWN_FINDINGS:
            human.append(Text(f"... and {total - _SHOWN_FINDINGS:,} more; --out FILE lists all"))
    if out is not None:
        human.append(facts([("all of them", str(out))]))
    return human
