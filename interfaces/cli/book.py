"""Commands on the whole book: ``init``, ``totals``, ``replay``, ``views``, ``demo``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from application import queries, replaying
from application.act_checks import acts_found
from application.answers import totals_json
from application.ports.views import VIEWS
from application.queries import BookTotals
from application.replaying import ReplayResult
from application.verification.signed_acts import ActsFound
from application.verification.telling import acts_json, acts_text
from domain.erasure import DEFAULT_RETENTION_DAYS, MAX_RETENTION_DAYS
from domain.errors import Unavailable
from domain.instants import instant_of
from interfaces.cli.command import Cli, command, group
from interfaces.cli.kernels import ReplayKernel
from interfaces.cli.options import AtPosition, Before, KnownAt, before_day
from interfaces.cli.output import Answer, console_on, count_text, facts, heading, mass_text, masses_table, table
from interfaces.cli.serving import made_at_init
from interfaces.kernels import is_fast

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

VERIFICATION_FAILED = 3
_BOOK, _AUDIT = "Book", "Audit"
_SHOWN_MISMATCHES = 20
_ENGINES = ("local", "spark")
_PROCESSES_PER_CORE = 4
"""More of them only take memory from each other."""

views = group("Views: the read side, made from the log and disposable.")

RetentionDays = Annotated[
    int | None,
    typer.Option(
        "--retention-days",
        metavar="N",
        min=0,
        max=MAX_RETENTION_DAYS,
        help="How long the law asks to keep personal data after an account's last entry or its closing; is recorded "
        f"once for ever. 0 = not at all; {DEFAULT_RETENTION_DAYS} (ten years) without it.",
        show_default=False,
    ),
]
SignedActs = Annotated[
    bool,
    typer.Option(
        "--signed-acts",
        help="Every review, approval, withdrawal and erasure has to be signed with a registered key; is recorded once "
        "for ever. Needs --empty: nobody signs for the demo catalogue.",
    ),
]
WithDevCredentials = Annotated[
    bool,
    typer.Option(
        "--dev-credentials",
        help="Also make credentials for trying the service out, and show them once; never with real data. Those that "
        "are there stay.",
    ),
]
Empty = Annotated[bool, typer.Option("--empty", help="Without the demo catalogue of methodologies.")]
ByRef = Annotated[
    bool, typer.Option("--by-ref", help="Make the digest from account references, to compare two ledgers.")
]
Until = Annotated[int | None, typer.Option("--until", metavar="N", help="Only the first N events of the log.", min=0)]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        help="local: this machine. spark: the fast kernel inside Apache Spark, for a book beyond one machine.",
    ),
]
Master = Annotated[
    str | None,
    typer.Option(
        "--master", metavar="URL", help="Spark's master; all cores of this machine without it.", show_default=False
    ),
]


def _processes(count: int | None) -> int | None:
    most = _PROCESSES_PER_CORE * (os.cpu_count() or 1)
    if count is not None and count > most:
        raise typer.BadParameter(f"{count} are more than this machine is worth: at most {most}, four for each core")
    return count


Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        metavar="N",
        min=1,
        help="For the fast kernel on this machine, at most four for each core; without it as many as the book and the "
        "cores are worth.",
        callback=_processes,
        show_default=False,
    ),
]
FromArchive = Annotated[
    bool, typer.Option("--from-archive", help="Bring the archive up to date and read it: faster for a large book.")
]
ViewName = Annotated[
    str | None, typer.Argument(metavar="NAME", help=f"One of {', '.join(VIEWS)}; all without it.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add these commands to the root."""
    command(app, "init", example="--home ./ledger init", panel=_BOOK)(init)
    command(app, "demo", example="demo", panel=_BOOK)(demo)
    command(app, "totals", example="totals --at-position 5000", panel=_BOOK)(totals)
    command(app, "replay", example="replay", panel=_AUDIT)(replay)
    app.add_typer(views, name="views", rich_help_panel=_AUDIT)


def init(
    cli: Cli,
    empty: Empty = False,
    retention_days: RetentionDays = None,
    signed_acts: SignedActs = False,
    dev_credentials: WithDevCredentials = False,
) -> Answer:
    """Make a ledger: home folder, database, keys and the demo catalogue. Running it again changes nothing."""
    from interfaces.bootstrap import initialize

    if signed_acts and not empty:
        raise typer.BadParameter("nobody signs for the demo catalogue: add --empty", param_hint="'--signed-acts'")
    settings = cli.settings()
    made = initialize(settings, with_catalogue=not empty, retention_days=retention_days, signed_acts=signed_acts)
    home = settings.home.resolve()
    credentials, announced = made_at_init(cli) if dev_credentials else (None, [])
    hints = cli.following(
        "behaviors import FILE --open-accounts --rejects refused.csv",
        "methodology import FILE --by ACTOR" if empty else "methodology list",
    )
    return Answer(
        {
            "home": str(home),
            "server_version": made.server_version,
            "retention_days": made.retention_days,
            "signed_acts": made.signed_acts,
            "dev_credentials": credentials,
        },
        [
            heading("the ledger is ready"),
            facts(
                [
                    ("home", home),
                    ("PostgreSQL", made.server_version),
                    ("acts of people", "all have to be signed" if made.signed_acts else "signed by whoever has a key"),
                    ("personal data", f"kept for {made.retention_days:,} days after an account's last entry"),
                ]
            ),
            hints,
            *announced,
        ],
    )


def totals(
    cli: Cli,
    occurred_before: Before = None,
    known_at: KnownAt = None,
    at_position: AtPosition = None,
    by_ref: ByRef = False,
) -> Answer:
    """What the whole book holds: now, or as the ledger knew it, of all days or of those before one.

    Of days before one it is answered from the archive, which follows the log first where that is needed.
    """
    if known_at is not None and at_position is not None:
        raise typer.BadParameter("give --known-at or --at-position, not both")
    with cli.ledger() as ledger:
        instant = None if known_at is None else instant_of(known_at)
        known = queries.known_at(ledger.book, position=at_position, instant_us=instant)
        day = before_day(occurred_before)
        if day is not None:
            answer = _as_of(cli, ledger, known.position, day, by_ref=by_ref)
        else:
            now = at_position is None and known_at is None
            answer = queries.totals(ledger.book, ledger.views, at=None if now else known.position, by_ref=by_ref)
    payload = totals_json(answer, known, occurred_before=occurred_before, known_at=known_at)
    behind = max(known.position - answer.position, 0)
    return Answer(payload, _totals(answer, occurred_before, provisional=known.provisional, behind=behind))


def _as_of(cli: Cli, ledger: Ledger, position: int, day: int, *, by_ref: bool) -> BookTotals:
    # Its libraries take long to load; no other question needs them.
    from application import as_of

    with cli.progress.counting("archiving", "events", ledger.book.journal.head().size) as tell:
        as_of.follow(ledger.archive, position, tell)
    with cli.progress.counting("summing", "accounts") as tell:
        return as_of.totals(ledger.book, ledger.archive, position, day, by_ref=by_ref, progress=tell)


def replay(
    cli: Cli,
    until: Until = None,
    kernel: ReplayKernel = "reference",
    engine: EngineName = "local",
    master: Master = None,
    processes: Processes = None,
) -> Answer:
    """Recompute every credit and revision from the facts and compare with what was booked; 3 if any differ.

    Acts of people are held against their registered keys too; `check` names those that are not signed as they must be.

    The reference reads the log. The fast kernel reads the archive: an edit of the log that is younger than the archive
    is found by `archive verify`, or by the reference.
    """
    _check_engine(engine, master, kernel)
    with cli.ledger() as ledger:
        fast = is_fast(kernel, ledger)
        if until is not None:
            queries.known_at(ledger.book, position=until, field="until")
        journal = ledger.book.journal
        # Each credit holds one reference: so many are there to replay.
        credits = journal.count_refs(journal.head().size if until is None else until)
        with cli.progress.counting("replaying", "credits", credits) as tell:
            if fast:
                # Loaded only here: its libraries take longer to load than a small question to answer.
                from application.fast_replaying import replay_on

                runner = ledger.spark(master or "local[*]") if engine == "spark" else ledger.engine(processes)
                result = replay_on(runner, ledger.book, ledger.archive, until, progress=tell)
            else:
                result = replaying.replay(ledger.book, until, progress=tell)
        acts = acts_found(ledger.book, ledger.verifier.verify, until)
    human = _replayed(result, acts, fast=fast)
    if fast:
        human.append(cli.following("archive verify   (are the archive's rows those of the log?)"))
    payload = _replayed_json(result, fast=fast) | {"acts": acts_json(acts)}
    return Answer(payload, human, VERIFICATION_FAILED if result.mismatches or acts.wrong else 0)


def _check_engine(engine: str, master: str | None, kernel: str) -> None:
    if engine not in _ENGINES:
        raise typer.BadParameter(f"{engine!r} is not an engine: {', '.join(_ENGINES)}", param_hint="'--engine'")
    if engine == "spark" and kernel != "fast":
        raise typer.BadParameter("Spark runs the fast kernel: add --kernel fast", param_hint="'--engine'")
    if master is not None and engine != "spark":
        raise typer.BadParameter("only --engine spark has a master", param_hint="'--master'")


@command(views, "rebuild", example="views rebuild account_balance")
def rebuild(cli: Cli, name: ViewName = None, from_archive: FromArchive = False) -> Answer:
    """Build views anew from the log beside the live ones, then swap. Writers and readers go on."""
    if name is not None and name not in VIEWS:
        raise typer.BadParameter(f"{name!r} is not a view: {', '.join(VIEWS)}", param_hint="'NAME'")
    names = VIEWS if name is None else (name,)
    with cli.ledger() as ledger, cli.progress.counting("rebuilding", "events") as tell:
        before = _before_rebuild(ledger)
        if from_archive:
            ledger.archive.build(progress=tell)
        rows = ledger.views.rebuild(names, progress=tell, archive=ledger.archive if from_archive else None)
        after = queries.totals(ledger.book, ledger.views)
        # Views that claimed more than the log has were wrong, whatever they showed.
        equal = before is not None and before.position <= after.position
        if before is not None and equal:
            as_before = queries.totals(ledger.book, ledger.views, at=before.position)
            equal = before.digest == as_before.digest
    payload = {"views": list(names), "rows": rows, "digest": after.digest, "equal": equal, "position": after.position}
    said = "nothing changed" if equal else "the live views were wrong and are repaired"
    pairs = [("views", ", ".join(names)), ("rows", count_text(rows)), ("digest", after.digest)]
    return Answer(payload, [heading(f"rebuilt: {said}"), facts(pairs)])


def _before_rebuild(ledger: Ledger) -> BookTotals | None:
    """What the live views say; None where one of them was dropped."""
    try:
        return queries.totals(ledger.book, ledger.views)
    except Unavailable as error:
        if error.code != "view_missing":
            raise
        return None


@command(views, "check", example="views check")
def check(cli: Cli) -> Answer:
    """Build all views anew and compare them with the live ones, row by row; 3 if any differ."""
    with cli.ledger() as ledger:
        answer = queries.totals(ledger.book, ledger.views)
        with cli.progress.counting("checking", "events", ledger.book.journal.head().size) as tell:
            checks = ledger.views.check(progress=tell)
    equal = all(each.differing == 0 for each in checks)
    payload = {
        "views": [each.view for each in checks],
        "rows": sum(each.rows for each in checks),
        "digest": answer.digest,
        "equal": equal,
        "position": answer.position,
        "details": [each._asdict() for each in checks],
    }
    rows = [(each.view, count_text(each.rows), count_text(each.differing)) for each in checks]
    said = "the views are what the log says" if equal else "the views differ from the log"
    human: list[RenderableType] = [heading(said), table(("view", "rows>", "differing>"), rows)]
    human.append(facts([("digest", answer.digest)]))
    if not equal:
        human.append(cli.following("views rebuild"))
    return Answer(payload, human, 0 if equal else VERIFICATION_FAILED)


def demo(cli: Cli) -> Answer:
    """The whole story on generated people: credits, a revision, a replay (in ./.carbon-ledger-demo)."""
    from interfaces.demo import DEFAULT_HOME, run_demo

    console = console_on(sys.stderr if cli.as_json else sys.stdout)
    told = run_demo(cli.home_given or DEFAULT_HOME, console=console)
    return Answer(told, (), 0 if told.get("ok") else VERIFICATION_FAILED)


def _totals(answer: BookTotals, occurred_before: str | None, *, provisional: bool, behind: int) -> list[RenderableType]:
    pairs = [
        ("accounts", count_text(answer.accounts)),
        ("credits", count_text(answer.credits)),
        ("position", answer.position),
        ("digest", answer.digest),
    ]
    days = "" if occurred_before is None else f" of behaviors before {occurred_before}"
    human: list[RenderableType] = [heading(f"{mass_text(answer.credited_mg)} CO2e{days}"), facts(pairs)]
    if behind:
        human.append(
            Text(f"The views are {count_text(behind)} events behind the log, and this role may not write them.")
        )
    if provisional:
        human.append(Text("Provisional: more may still be recorded before that time."))
    if answer.behaviors:
        human.append(masses_table({total.behavior: total.credited_mg for total in answer.behaviors}))
    return human


def _replayed_json(result: ReplayResult, *, fast: bool) -> dict[str, Any]:
    return {
        "events": result.events,
        "credits": result.credits,
        "revisions": result.revisions,
        "mismatches": result.mismatches,
        "credited_mg": str(result.credited_mg),
        "digest": result.digest,
        "seconds": round(result.seconds, 3),
        "until": result.until,
        "accounts": result.accounts,
        "kernel": "fast" if fast else "reference",
        "judged": "archive" if fast else "log",
        "by_reference": result.by_reference,
        "details": [each._asdict() | {"stream": str(each.stream)} for each in result.details],
    }


def _replayed(result: ReplayResult, acts: ActsFound, *, fast: bool) -> list[RenderableType]:
    rate = f" ({result.events / result.seconds:,.0f} events/s)" if result.seconds else ""
    said = "what the archive holds follows from its facts" if fast else "the history is what it was"
    if result.mismatches:
        said = "THE HISTORY DOES NOT MATCH ITS FACTS"
    pairs = [
        ("events", count_text(result.events)),
        ("credits", count_text(result.credits)),
        ("revisions", count_text(result.revisions)),
        ("mismatches", count_text(result.mismatches)),
        ("credited", mass_text(result.credited_mg)),
        ("acts of people", acts_text(acts)),
        ("by the reference", f"{count_text(result.by_reference)} accounts"),
        ("digest", result.digest),
        ("time", f"{result.seconds:.1f} s{rate}"),
    ]
    human: list[RenderableType] = [heading(f"replayed: {said}"), facts(pairs)]
    if fast:
        human.append(
            Text(
                f"The fast kernel judged the archive, up to position {result.until}. The archive's rows were not "
                "compared with the log's: `carbon-ledger archive verify` does that."
            )
        )
    if result.details:
        rows = [(d.stream, d.version, d.position, d.what, d.booked, d.recomputed) for d in result.details]
        columns = ("stream", "version>", "position>", "what", "booked>", "recomputed>")
        human.append(table(columns, rows[:_SHOWN_MISMATCHES]))
        if result.mismatches > _SHOWN_MISMATCHES:
            human.append(Text(f"... and {result.mismatches - _SHOWN_MISMATCHES:,} more; --json lists the first 1,000"))
    return human
