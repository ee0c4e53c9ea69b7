"""``carbon-ledger check``: one command over everything that a live ledger keeps."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from application import checking
from application.checking import Checked
from application.verification.telling import acts_json, acts_text
from interfaces.cli.command import Cli, command
from interfaces.cli.output import Answer, count_text, facts, heading, table

VERIFICATION_FAILED = 3
_SHOWN_FINDINGS = 20

WithoutArchive = Annotated[bool, typer.Option("--without-archive", help="Leave out the archive, where there is one.")]

WithoutEvidence = Annotated[
    bool, typer.Option("--without-evidence", help="Leave out the files as received, which may be many gigabytes.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    command(app, "check", example="check", panel="Audit")(check)


def check(cli: Cli, without_archive: WithoutArchive = False, without_evidence: WithoutEvidence = False) -> Answer:
    """Hold keys, log, checkpoints, map, acts, replay, views, archive and evidence against each other; 3 if any differ.

    Also what stands beside the log, and what keeps it from being changed. It reads the whole log several times.
    Nothing is changed: every finding says what to do.
    """
    with cli.ledger() as ledger:
        archive = None if without_archive or not ledger.archive.status().segments else ledger.archive
        with cli.progress.naming("checking") as tell:
            store = None if without_evidence else ledger.evidence
            found = checking.check(ledger.auditing, ledger.views, archive, store, tell)
    return Answer(_json(found), _shown(cli, found), VERIFICATION_FAILED if found.total else 0)


def _json(found: Checked) -> dict[str, Any]:
    replayed = found.replayed
    return {
        "ok": found.total == 0,
        "size": found.size,
        "count": found.total,
        "findings": [each._asdict() for each in found.findings],
        "digest": None if replayed is None else replayed.digest,
        "acts": acts_json(found.acts),
        "credited_mg": None if replayed is None else str(replayed.credited_mg),
    }


def _shown(cli: Cli, found: Checked) -> list[Any]:
    if not found.total:
        pairs = [("log size", count_text(found.size))]
        if found.replayed is not None:
            pairs.append(("digest", found.replayed.digest))
        pairs.append(("acts of people", acts_text(found.acts)))
        return [heading("checked: everything agrees"), facts(pairs)]
    rows = [(each.area, each.code, each.place, each.message, each.remedy) for each in found.findings]
    human: list[Any] = [
        heading(f"{count_text(found.total)} FINDINGS"),
        table(("area", "code", "place", "what", "what to do"), rows[:_SHOWN_FINDINGS]),
    ]
    if found.total > _SHOWN_FINDINGS:
        human.append(Text(f"... and {found.total - _SHOWN_FINDINGS:,} more; --json lists the first 1,000"))
    return human
