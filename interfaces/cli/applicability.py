"""``carbon-ledger applicability``: which version values which days and regions."""

from __future__ import annotations

from typing import Annotated

import typer

from application import methodologies
from application.act_answers import changes_json
from application.acts import Signing
from application.answers import decisions_json
from interfaces.cli.acting import signable
from interfaces.cli.changes import changes_table
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import By, End, LeaveGap, Region, Releases, Start, Version, releases_of, wire_day
from interfaces.cli.output import Answer, facts, heading, table

app = group("Decisions on which version values which days and regions; proposed by one, approved by another.")

DecisionId = Annotated[
    str, typer.Argument(metavar="ID", help="The proposal, as `applicability propose` named it.", show_default=False)
]


@command(app, "propose", example="applicability propose TRAVEL-METRO@2 --from 2026-01-01 --to open --by alice")
def propose(
    cli: Cli,
    version: Version,
    start: Start,
    end: End,
    by: By,
    region: Region = "*",
    release: Releases = None,
    leave_gap: LeaveGap = False,
) -> Answer:
    """Propose that a version values the civil days from --from until before --to."""
    releases = releases_of(release)
    with cli.ledger() as ledger:
        decision, position = methodologies.propose_decision(
            ledger.book,
            version,
            wire_day(start),
            wire_day(end),
            by,
            region=region,
            releases=releases,
            leave_gap=leave_gap,
        )
    return Answer(
        {"decision_id": decision, "position": position, "state": "proposed"},
        [
            heading(f"{decision}: {version} from {start} to {end} in region {region}, proposed by {by}"),
            cli.following(f"applicability approve {decision} --by SOMEBODY-ELSE   (not {by})"),
        ],
    )


@command(app, "approve", example="applicability approve D7 --by bob")
@signable
def approve(cli: Cli, signing: Signing, decision: DecisionId, by: By) -> Answer:
    """Approve a proposal; not by its proposer. It holds from this log position on; shows what changes hands."""
    with cli.ledger() as ledger:
        done, changes = methodologies.approve_decision(ledger.book, decision, by, signing)
    return Answer(
        {"decision_id": decision, "position": done.position, "state": "approved", "changes": changes_json(changes)},
        [heading(f"{decision} is approved"), facts([("position", done.position)]), changes_table(changes)],
    )


@command(app, "list", example="applicability list")
def list_(cli: Cli) -> Answer:
    """All proposals, decisions and revisions with their state."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    decisions = decisions_json(rulebook)
    rows = [
        (
            each["decision_id"],
            "revision" if each["mode"] == "requantify" else each["mode"],
            each["methodology"],
            each["from"] or "open",
            each["to"] or "open",
            each["region"],
            each["state"],
            each["position"],
        )
        for each in decisions
    ]
    shown = table(("decision", "mode", "version", "from", "to", "region", "state", "position>"), rows)
    return Answer({"decisions": decisions, "position": rulebook.position}, [shown])
