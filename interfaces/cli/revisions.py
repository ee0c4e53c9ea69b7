"""``carbon-ledger revision``: past days valued anew, without overwriting anything."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from application import revising
from domain.revision import changes_by, find_run
from domain.rulebook import RevisionRun
from interfaces.cli.changes import changes_json, changes_table, period_texts
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import By, End, Region, Releases, RevisionId, Start, Version, releases_of, wire_day
from interfaces.cli.output import Answer, count_text, facts, heading, mass_text, table

app = group("Revisions: past days valued anew. Planned by one, approved by another, applied; nothing is overwritten.")


@command(app, "plan", example="revision plan CYCLING-SHARED@2 --from 2018-10-01 --to 2019-04-01 --by alice")
def plan(
    cli: Cli,
    version: Version,
    start: Start,
    end: End,
    by: By,
    region: Region = "*",
    release: Releases = None,
) -> Answer:
    """Work out what valuing the civil days from --from until before --to anew would do. Changes no balance."""
    releases = releases_of(release)
    with cli.ledger() as ledger, cli.progress.counting("planning", "accounts") as tell:
        planned = revising.plan(
            ledger.book,
            version,
            wire_day(start),
            wire_day(end),
            by,
            region=region,
            releases=releases,
            progress=tell,
        )
    payload = {
        "revision_id": planned.revision_id,
        "plan_digest": planned.plan_digest,
        **planned.impact,
        "state": "planned",
        "not_valued": planned.not_valued,
        "not_valued_by": planned.not_valued_by,
        "left_out": planned.left_out,
        "changes": changes_json(planned.changes),
        "position": planned.position,
    }
    human: list[RenderableType] = [
        heading(f"{planned.revision_id}: {version} from {start} to {end} in region {region}, planned by {by}"),
        _impact(payload),
        changes_table(planned.changes),
    ]
    if not payload["credits"]:
        human.append(Text("No booked credit is in scope; approving it only decides how late rows are valued."))
    if planned.not_valued:
        human.append(Text(f"{planned.not_valued:,} credits cannot be valued by {version} and would be worth 0:"))
        human += [
            Text(f"  {each['credits']:,} in region {each['region'] or '(none)'}: {each['reason']}")
            for each in planned.not_valued_by
        ]
    if planned.left_out:
        human.append(Text(f"Regions that keep their own decision: {', '.join(planned.left_out)}"))
    human.append(cli.following(f"revision approve {planned.revision_id} --by SOMEBODY-ELSE   (not {by})"))
    return Answer(payload, human)


@command(app, "approve", example="revision approve R1 --by bob")
def approve(cli: Cli, revision: RevisionId, by: By) -> Answer:
    """Approve a planned revision; not by its planner. From here on it is a decision."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        # An approval is refused when the rulebook of its behavior moved, so these are the changes it makes.
        changes = changes_by(rulebook, find_run(rulebook, revision))
        done = revising.approve(ledger.book, revision, by)
        status = revising.status(ledger.book, revision)
    payload = {**status, "changes": changes_json(changes), "position": done.position}
    return Answer(
        payload,
        [
            heading(f"{revision} is approved"),
            _impact(payload),
            changes_table(changes),
            cli.following(f"revision apply {revision}"),
        ],
    )


@command(app, "apply", example="revision apply R1")
def apply(cli: Cli, revision: RevisionId) -> Answer:
    """Post the differences of an approved revision to every account. Resumes where it was stopped."""
    with cli.ledger() as ledger, cli.progress.counting("applying", "accounts") as tell:
        revising.apply(ledger.book, revision, progress=tell)
        status = revising.status(ledger.book, revision)
        run = ledger.book.rulebook().revisions[revision]
    payload = {**status, "position": run.completed_position}
    hints = cli.following("totals", f"totals --at-position {run.approved}   (as it was when the revision was approved)")
    return Answer(payload, [heading(f"{revision} is completed"), _impact(payload), hints])


@command(app, "status", example="revision status R1")
def status(cli: Cli, revision: RevisionId) -> Answer:
    """Where a revision stands, and what it does or would do."""
    with cli.ledger() as ledger:
        answer = revising.status(ledger.book, revision)
        position = ledger.book.journal.head().size
        run = find_run(ledger.book.rulebook(), revision)
    hints = {
        "planned": [cli.following(f"revision approve {revision} --by SOMEBODY-ELSE")],
        "approved": [cli.following(f"revision apply {revision}")],
    }
    human = [
        heading(f"{revision} is {answer['state']}: {_told(run)}"),
        _impact(answer),
        *hints.get(answer["state"], []),
    ]
    return Answer({**answer, "position": position}, human)


@command(app, "list", example="revision list")
def list_(cli: Cli) -> Answer:
    """All revisions with their state; `revision status` tells what one does or would do."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    revisions = [_summary(run) for run in rulebook.revisions.values()]
    rows = [
        (
            each["revision_id"],
            each["methodology"],
            each["from"] or "open",
            each["to"] or "open",
            each["region"],
            each["state"],
            each["planned_by"],
            each["approved_by"],
        )
        for each in revisions
    ]
    shown = table(("revision", "version", "from", "to", "region", "state", "planned by", "approved by"), rows)
    return Answer({"revisions": revisions, "position": rulebook.position}, [shown if rows else heading("no revisions")])


def _summary(run: RevisionRun) -> dict[str, Any]:
    start, end = period_texts(run.period)
    return {
        "revision_id": run.id,
        "methodology": run.methodology,
        "from": start,
        "to": end,
        "region": run.region,
        "releases": run.releases,
        "state": run.state,
        "planned_by": run.by,
        "approved_by": run.approver or None,
        "plan_digest": run.plan_digest,
    }


def _told(run: RevisionRun) -> str:
    start, end = period_texts(run.period)
    approved = f", approved by {run.approver}" if run.approver else ""
    return (
        f"{run.methodology} from {start or 'open'} to {end or 'open'} in region {run.region}, "
        f"planned by {run.by}{approved}"
    )


def _impact(payload: dict[str, Any]) -> RenderableType:
    return facts(
        [
            ("plan digest", payload["plan_digest"]),
            (
                "accounts",
                f"{count_text(payload['accounts'])}, of which {count_text(payload['changed_accounts'])} change",
            ),
            ("credits", count_text(payload["credits"])),
            ("before", mass_text(int(payload["before_mg"]))),
            ("after", mass_text(int(payload["after_mg"]))),
            ("difference", mass_text(int(payload["delta_mg"]))),
        ]
    )
