"""``carbon-ledger revision``: past days valued anew, without overwriting anything."""

from __future__ import annotations

from application import revising, what_if
from application.act_answers import changes_json, plan_json
from application.acts import Signing
from application.answers import revision_json
from application.impact import digest_of
from application.what_if import Candidate
from domain.revision import changes_by, find_run
from domain.rulebook import RevisionRun, period_texts
from interfaces.cli.acting import signable
from interfaces.cli.changes import changes_table
from interfaces.cli.command import Cli, command, group
from interfaces.cli.impacts import comparison_text, impact_facts, plan_text
from interfaces.cli.kernels import Kernel
from interfaces.cli.options import (
    By,
    DryRun,
    End,
    FirstVersion,
    Region,
    Releases,
    ReleasesOfFirst,
    ReleasesOfSecond,
    ReportTo,
    RevisionId,
    SecondVersion,
    Start,
    Version,
    releases_of,
    wire_day,
)
from interfaces.cli.output import Answer, heading, table
from interfaces.kernels import accounts_by, parts_by
from interfaces.reports.folder import ReportFolder
from interfaces.reports.writing import write_comparison, write_plan

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
    report: ReportTo = None,
    dry_run: DryRun = False,
    kernel: Kernel = "auto",
) -> Answer:
    """Work out what valuing the civil days from --from until before --to anew would do. Changes no balance."""
    asked = (version, wire_day(start), wire_day(end), by)
    releases = releases_of(release)
    folder = None if report is None else ReportFolder(report)
    with cli.ledger() as ledger, cli.progress.counting("planning", "accounts") as tell:
        work_out = revising.dry_run if dry_run else revising.plan
        parts = parts_by(kernel, ledger)
        planned = work_out(ledger.book, *asked, region=region, releases=releases, progress=tell, parts=parts)
    files = [] if folder is None else write_plan(folder, planned)
    payload = {**plan_json(planned), "files": files}
    human = plan_text(payload, planned)
    if not dry_run:
        human.append(cli.following(f"revision approve {planned.revision_id} --by SOMEBODY-ELSE   (not {by})"))
    return Answer(payload, human)


@command(app, "compare", example="revision compare CYCLING-SHARED@1 CYCLING-SHARED@2 --from 2018-10-01 --to 2019-04-01")
def compare(
    cli: Cli,
    first: FirstVersion,
    second: SecondVersion,
    start: Start,
    end: End,
    region: Region = "*",
    release_a: ReleasesOfFirst = None,
    release_b: ReleasesOfSecond = None,
    report: ReportTo = None,
    kernel: Kernel = "auto",
) -> Answer:
    """What each of two candidate versions would do to the same days, and by how much they differ. Records nothing.

    The versions need not be published.
    """
    one = Candidate(first, releases_of(release_a, "--release-a"))
    other = Candidate(second, releases_of(release_b, "--release-b"))
    folder = None if report is None else ReportFolder(report)
    with cli.ledger() as ledger, cli.progress.counting("comparing", "accounts") as tell:
        days, parts = (wire_day(start), wire_day(end)), parts_by(kernel, ledger)
        compared = what_if.compare(ledger.book, one, other, *days, region=region, progress=tell, parts=parts)
    files = [] if folder is None else write_comparison(folder, compared)
    payload = {"digest": digest_of(compared), **compared, "files": files, "position": compared["as_of"]}
    return Answer(payload, comparison_text(payload))


@command(app, "report", example="revision report R1 --report impact-of-R1")
def report_(cli: Cli, revision: RevisionId, report: ReportTo = None, kernel: Kernel = "auto") -> Answer:
    """Work out the impact report of a recorded plan again, and hold it against the recorded digest; 3 if it differs.

    It shows the book as it was when the revision was planned, whatever has happened since.
    """
    folder = None if report is None else ReportFolder(report)
    with cli.ledger() as ledger, cli.progress.counting("working out", "accounts") as tell:
        planned = revising.worked_out_again(ledger.book, revision, progress=tell, parts=parts_by(kernel, ledger))
        run = find_run(ledger.book.rulebook(), revision)
    files = [] if folder is None else write_plan(folder, planned)
    payload = {**plan_json(planned), "files": files, "state": run.state}
    human = plan_text(payload, planned)
    if run.state == "planned":
        human.append(cli.following(f"revision approve {revision} --by SOMEBODY-ELSE   (not {run.by})"))
    return Answer(payload, human)


@command(app, "approve", example="revision approve R1 --by bob")
@signable
def approve(cli: Cli, signing: Signing, revision: RevisionId, by: By) -> Answer:
    """Approve a planned revision; not by its planner. From here on it is a decision."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
        # An approval is refused when the rulebook of its behavior moved, so these are the changes it makes.
        changes = changes_by(rulebook, find_run(rulebook, revision))
        done = revising.approve(ledger.book, revision, by, signing)
        status = revising.status(ledger.book, revision)
    payload = {**status, "changes": changes_json(changes), "position": done.position}
    return Answer(
        payload,
        [
            heading(f"{revision} is approved"),
            impact_facts(payload),
            changes_table(changes),
            cli.following(f"revision apply {revision}"),
        ],
    )


@command(app, "apply", example="revision apply R1")
def apply(cli: Cli, revision: RevisionId, kernel: Kernel = "auto") -> Answer:
    """Post the differences of an approved revision to every account. Resumes where it was stopped."""
    with cli.ledger() as ledger, cli.progress.counting("applying", "accounts") as tell:
        revising.apply(ledger.book, revision, progress=tell, accounts=accounts_by(kernel, ledger))
        status = revising.status(ledger.book, revision)
        run = ledger.book.rulebook().revisions[revision]
    payload = {**status, "position": run.completed_position}
    hints = cli.following("totals", f"totals --at-position {run.approved}   (as it was when the revision was approved)")
    return Answer(payload, [heading(f"{revision} is completed"), impact_facts(payload), hints])


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
        impact_facts(answer),
        *hints.get(answer["state"], []),
    ]
    return Answer({**answer, "position": position}, human)


@command(app, "list", example="revision list")
def list_(cli: Cli) -> Answer:
    """All revisions with their state; `revision status` tells what one does or would do."""
    with cli.ledger() as ledger:
        rulebook = ledger.book.rulebook()
    revisions = [revision_json(run) for run in rulebook.revisions.values()]
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


def _told(run: RevisionRun) -> str:
    start, end = period_texts(run.period)
    approved = f", approved by {run.approver}" if run.approver else ""
    return (
        f"{run.methodology} from {start or 'open'} to {end or 'open'} in region {run.region}, "
        f"planned by {run.by}{approved}"
    )
