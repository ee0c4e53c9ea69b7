"""``carbon-ledger evidence``: the files as they were received, kept sealed by their SM3 digest."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from application import evidence
from application.access import record_export
from application.accounts import account_id
from application.evidence import Listed, ShownLine, Verified
from application.ports.behavior_source import RefusedRow
from domain.behavior import COLUMNS, columns_of
from domain.values import day_number
from interfaces.cli.accessing import ReadBy, reader
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import By, OpenReason, ReceivedBefore
from interfaces.cli.output import Answer, count_text, facts, heading, table

VERIFICATION_FAILED = 3
_SHOWN_FINDINGS = 20

app = group("Evidence: the files as they were received, kept sealed until their retention is over.")

Intake = Annotated[
    int,
    typer.Argument(
        metavar="INTAKE",
        min=1,
        help="The intake, as `behaviors import` and `account explain` name it: its log position.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the file as it was received to this new file (mode 0600). It holds personal data in clear.",
        show_default=False,
    ),
]
Unnamed = Annotated[
    bool,
    typer.Option(
        "--unnamed",
        help="Also files that no intake names. Not after the end of the log was lost: see `evidence recover`.",
    ),
]
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder to write them into, under their digests.", show_default=False)
]
OfAccount = Annotated[
    str | None,
    typer.Option(
        "--account", metavar="REF", help="Only files that this account was credited from.", show_default=False
    ),
]
Line = Annotated[
    int | None,
    typer.Option("--line", metavar="N", min=1, help="Show the row on this line, and its credit.", show_default=False),
]


@command(app, "list", example="evidence list")
def list_(cli: Cli, account: OfAccount = None) -> Answer:
    """Every intake, where its file is, and from which day on that may be destroyed.

    With --account: the files that hold rows of one person, for the answer to a request for erasure.
    """
    with cli.ledger() as ledger:
        whose = None if account is None else account_id(ledger.book, account)
        listed = evidence.list_evidence(ledger.book, ledger.evidence, whose)
        position = ledger.book.journal.head().size
    rows = [
        (
            each.intake.position,
            each.intake.received_at[:10],
            each.intake.partner,
            each.intake.media,
            count_text(each.intake.size_bytes),
            _state(each),
            each.may_go_from if each.stored else "",
            each.intake.digest[:16],
        )
        for each in listed
    ]
    columns = ("intake>", "received", "partner", "format", "bytes>", "evidence", "may go from", "SM3")
    human = [table(columns, rows) if rows else Text("no intakes yet")]
    return Answer({"intakes": [_intake(each) for each in listed], "position": position}, human)


@command(app, "show", example="evidence show 54 --line 2")
def show(cli: Cli, intake: Intake, out: Out = None, line: Line = None, by: ReadBy = None) -> Answer:
    """The file of an intake as it was received: whether it opens to the very bytes; one row of it; all of it."""
    from interfaces.bootstrap import PrivateBytes

    with cli.ledger() as ledger:
        listed = evidence.shown(ledger.book, ledger.evidence, intake)
        found = None if line is None else evidence.line(ledger.book, ledger.evidence, listed.intake, line)
        if line is not None or out is not None:
            about = f"intake {intake}" if line is None else f"intake {intake} line {line}"
            record_export(ledger.book, reader(by), "evidence show", None, personal=True, about=about)
        if out is not None:
            with PrivateBytes(out, "evidence") as file:
                for block in evidence.read(ledger.evidence, listed.intake):
                    file.write(block)
        elif line is None:
            for _ in evidence.read(ledger.evidence, listed.intake):
                pass
    payload = _intake(listed) | {
        "file": None if out is None else str(out),
        "line": line,
        "row": None if found is None else _row(found),
        "credit": None if found is None else _credit(found),
    }
    return Answer(payload, _shown(payload))


@command(app, "verify", example="evidence verify")
def verify(cli: Cli) -> Answer:
    """Open every file that should be here and compare its SM3 digest with the log; 3 if anything is wrong."""
    with cli.ledger() as ledger, cli.progress.counting("verifying evidence", "bytes") as tell:
        found = evidence.verify(ledger.book, ledger.evidence, tell)
        position = ledger.book.journal.head().size
    payload = {
        "ok": found.total == 0,
        "files": found.files,
        "size_bytes": found.size_bytes,
        "elsewhere": found.elsewhere,
        "destroyed": found.destroyed,
        "unnamed": found.unnamed,
        "count": found.total,
        "findings": [each._asdict() for each in found.findings],
        "position": position,
    }
    return Answer(payload, _verified(found), VERIFICATION_FAILED if found.total else 0)


@command(app, "expire", example='evidence expire --before 2021-07-01 --by alice --reason "retention is over"')
def expire(cli: Cli, before: ReceivedBefore, by: By, reason: OpenReason, unnamed: Unnamed = False) -> Answer:
    """Destroy files whose retention is over for ever; the log says which, when, by whom and why.

    They are kept for five years after their last intake, or as long as the book keeps people if that is longer.

    Refused as a whole, with the day from which on it is possible, when the retention of any of them is not over.
    """
    with cli.ledger() as ledger:
        done = evidence.expire(ledger.book, ledger.evidence, day_number(before), by, reason, with_unnamed=unnamed)
    payload = done._asdict() | {"before": before}
    pairs = [("bytes", count_text(done.size_bytes)), ("position", done.position)]
    if done.finished:
        pairs.insert(1, ("recorded before, and left", count_text(done.finished)))
    if done.unnamed:
        pairs.insert(1, ("that no intake names", count_text(done.unnamed)))
    said = f"{count_text(done.files)} files received before {before} are destroyed"
    return Answer(payload, [heading(said if done.files else "nothing is due"), facts(pairs)])


@command(app, "recover", example="evidence recover to-import")
def recover(cli: Cli, folder: Folder, by: ReadBy = None) -> Answer:
    """Write files that no intake names into a folder, to be imported again: when the end of the log was lost.

    There are such files too where an import was interrupted before the log named its file.
    """
    from interfaces.bootstrap import PrivateBytes

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with cli.ledger() as ledger:
        digests = evidence.unnamed(ledger.book, ledger.evidence)
        if digests:
            about = f"{len(digests)} files that no intake names"
            record_export(ledger.book, reader(by), "evidence recover", None, personal=True, about=about)
        for digest in digests:
            with PrivateBytes(folder / digest, "evidence") as file:
                for block in ledger.evidence.read(digest):
                    file.write(block)
        position = ledger.book.journal.head().size
    files = [str(folder / digest) for digest in digests]
    payload = {"files": files, "position": position}
    human: list[Any] = [heading(f"{count_text(len(digests))} files that no intake names")]
    if files:
        first = shlex.quote(files[0])
        human.append(cli.following(f"behaviors import {first} --partner P   (as it was imported first)"))
    return Answer(payload, human)


def _state(listed: Listed) -> str:
    state = listed.intake.evidence
    if state == "kept" and not listed.stored:
        return "MISSING"
    return "destroyed" if state == "destroyed" else ("kept" if listed.stored else "elsewhere")


def _intake(listed: Listed) -> dict[str, Any]:
    intake = listed.intake
    return {
        "intake_id": intake.position,
        "partner": intake.partner,
        "digest": intake.digest,
        "size_bytes": intake.size_bytes,
        "format": intake.media,
        "received_at": intake.received_at,
        "evidence": intake.evidence,
        "stored": listed.stored,
        "may_go_from": listed.may_go_from,
        "destroyed_at": intake.destroyed or None,
    }


def _row(found: ShownLine) -> dict[str, str]:
    row = found.row
    if isinstance(row, RefusedRow):
        return {**dict(zip(COLUMNS, row.columns, strict=True)), "raw": row.raw, "refused": row.refusal.message}
    return {**dict(zip(COLUMNS, columns_of(row), strict=True)), "raw": "", "refused": ""}


def _credit(found: ShownLine) -> dict[str, Any] | None:
    credit = found.credit
    if credit is None:
        return None
    return {
        "account_id": str(credit.account),
        "version": credit.version,
        "position": credit.position,
        "intake": credit.facts.intake,
        "line": credit.facts.line,
    }


def _shown(payload: dict[str, Any]) -> list[Any]:
    pairs = [
        ("received", f"{payload['received_at']} from {payload['partner']}"),
        ("file", f"{payload['format']}, {count_text(payload['size_bytes'])} bytes"),
        ("SM3", payload["digest"]),
        ("may go from", payload["may_go_from"]),
    ]
    if payload["file"] is not None:
        pairs.append(("written to", payload["file"]))
    row, credit = payload["row"], payload["credit"]
    opened = f"intake {payload['intake_id']}: the file opens to the bytes that were received"
    human: list[Any] = [heading(opened if row is None else f"intake {payload['intake_id']}, line {payload['line']}")]
    human.append(facts(pairs))
    if row is not None:
        human.append(facts([(name, text) for name, text in row.items() if text or name in COLUMNS]))
        if credit is None:
            human.append(Text("no credit has this reference"))
        else:
            place = f"intake {credit['intake']}, line {credit['line']}"
            human.append(
                facts([("credited at log position", credit["position"]), ("from", place), ("to", credit["account_id"])])
            )
    return human


def _verified(found: Verified) -> list[Any]:
    said = "every file opens to the bytes that were received"
    pairs = [
        ("files", count_text(found.files)),
        ("bytes", count_text(found.size_bytes)),
        ("kept elsewhere", count_text(found.elsewhere)),
        ("destroyed", count_text(found.destroyed)),
    ]
    if found.unnamed:
        pairs.append(("that no intake names", f"{count_text(found.unnamed)}; see `evidence recover`"))
    human: list[Any] = [heading(f"{count_text(found.total)} FINDINGS" if found.total else said), facts(pairs)]
    if found.findings:
        human.append(table(("code", "place", "what", "what to do"), found.findings[:_SHOWN_FINDINGS]))
        if found.total > _SHOWN_FINDINGS:
            human.append(Text(f"... and {found.total - _SHOWN_FINDINGS:,} more; --json lists the first 1,000"))
    return human
