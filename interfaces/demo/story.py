"""The demo: the whole story on a generated town, from a fresh folder to a replayed book.

Keeps: a demo has a home of its own, always with the embedded PostgreSQL, so it can touch no real book; whatever is
refused, missing or different from what the story states ends it as such. It goes through the same use cases as every
other way in. Leaves to the caller: the exit code when ``ok`` is false.
"""

from __future__ import annotations

import shlex
import time
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console

from domain.errors import Rejected
from domain.instants import instant_of
from interfaces.bootstrap import Settings, initialize, open_ledger
from interfaces.demo import chapters, town
from interfaces.demo.screen import Screen, kg, ledger_command
from interfaces.demo.stage import Stage

DEFAULT_HOME = Path(".carbon-ledger-demo")
"""Where the demo goes when the user names no folder."""

_FIRST_FILES = 4
_BEGINNING = "2021-11-01T00:00:00+08:00"


def run_demo(home: Path, *, console: Console) -> dict[str, Any]:
    """Tell the story in ``home``, which must be missing or an empty folder.

    Returns figures for ``--json`` (masses in mg as strings); ``ok`` is false when one of ``checks`` is.
    Raises Rejected ``demo_home_in_use``; Unavailable as ``initialize`` and ``open_ledger`` do.
    """
    started = time.monotonic()
    _refuse_used(home)
    # Never a server from the environment: it may hold a real book.
    settings = Settings(home=home, dsn=None)
    screen = Screen(console, home)
    screen.title("carbon-ledger demo: one small town, four grid factors, no number lost")
    with screen.busy("making a database and a book in the demo's home"):
        server_version = initialize(settings, simulated_start_us=instant_of(_BEGINNING)).server_version
    folder = home / "town"
    folder.mkdir()
    files = town.month_files()
    with open_ledger(settings) as ledger:
        stage = Stage(ledger, screen, folder)
        _introduce(stage, home, server_version)
        chapters.the_town_reports(stage, files[:_FIRST_FILES])
        chapters.lin_lin(stage)
        chapters.the_notice_of_2022(stage, files[_FIRST_FILES:])
        chapters.the_year_2022_is_closed(stage)
        chapters.another_series_is_adopted(stage)
        chapters.a_mistake_is_taken_back(stage)
        figures = chapters.the_history_is_recomputed(stage)
        answers = _what_changed(stage)
    commands = _what_to_try_next(screen, folder)
    return _conclude(stage, home, figures, answers, commands, time.monotonic() - started)


def _refuse_used(home: Path) -> None:
    if not home.exists() or (home.is_dir() and not any(home.iterdir())):
        return
    base = home if home.name else DEFAULT_HOME
    numbered = (base.with_name(f"{base.name}-{number}") for number in count(2))
    fresh = next(folder for folder in numbered if not folder.exists())
    raise Rejected(
        "demo_home_in_use",
        f"{shlex.quote(str(home))} is not an empty folder, and a demo makes its book in a fresh one",
        field="home",
        remedy=f"put a new demo elsewhere: {ledger_command(fresh, 'demo')}; "
        f"or look at the ledger that is there: {ledger_command(home, 'totals')}",
    )


def _introduce(stage: Stage, home: Path, server_version: str) -> None:
    genesis = stage.ledger.book.rulebook().genesis
    clock = "missing" if genesis is None else genesis.clock
    stage.check("clock that the first event of the book names", "simulated", clock)
    stage.screen.say(
        "",
        f'Nobody here is real: all people and rows are generated from the seed "{town.SEED}". The clock is '
        f"{clock} as well, so that years fit into a minute; the first event of the book says so. The grid factors are "
        "the published ones.",
        "",
        f"Home of this demo: {home}",
        f"Database: PostgreSQL {server_version}, started for this home alone",
    )


def _what_changed(stage: Stage) -> list[dict[str, Any]]:
    """The closing tables; returns Lin Lin's answers."""
    screen = stage.screen
    screen.chapter("What changed, revision by revision")
    screen.table(
        ("run", "days of", "kg/kWh", "accounts", "before, kg", "difference, kg"),
        (
            (
                run.completed.revision,
                run.years,
                run.factor,
                str(run.completed.accounts),
                kg(run.completed.before_mg),
                kg(run.completed.delta_mg),
            )
            for run in stage.runs
        ),
        left=2,
    )
    screen.say('"2 kWh saved in 2022" has one answer for every day on which you ask, and keeps all of them:')
    answers: list[dict[str, Any]] = []
    rows = []
    for known_at, mg in chapters.ANSWERS:
        worth = stage.lin_lin(known_at)
        stage.check(f"2 kWh as known at {known_at}, asked at the end", mg, worth.mg)
        rows.append((known_at[:10], worth.methodology, worth.factor, kg(worth.mg, 4)))
        answers.append({"known_at": known_at, "credited_mg": str(worth.mg), "position": worth.position})
    screen.table(("known on", "method", "kg/kWh", "Lin Lin's 2 kWh, kg CO2e"), rows, left=2)
    return answers


def _what_to_try_next(screen: Screen, folder: Path) -> list[str]:
    """Commands on the demo's book; returned as one line each."""
    screen.chapter("What to try next")
    commands = []
    screen.say("Ask for Lin Lin's balance again, as it was known on three days:")
    for known_at, _ in chapters.ANSWERS[1:]:
        commands.append(screen.command("account", "show", town.LINLIN, "--known-at", known_at))
    screen.say("", "Why did it change? Every valuation, with its formula, factor and source:")
    reading = (town.LINLIN, town.LINLIN_READING, "--partner", town.PARTNER)
    commands.append(screen.command("account", "explain", *reading))
    screen.say("", "Send the first file once more; nothing is credited twice:")
    again = ("behaviors", "import", folder / "2021-11.csv", "--partner", town.PARTNER, "--open-accounts")
    commands.append(screen.command(*again))
    screen.say("", "Look at a revision, at the whole book, and recompute all of it:")
    commands += [screen.command("revision", "status", "R2"), screen.command("totals"), screen.command("replay")]
    return commands


def _conclude(
    stage: Stage,
    home: Path,
    figures: dict[str, Any],
    answers: list[dict[str, Any]],
    commands: list[str],
    seconds: float,
) -> dict[str, Any]:
    failed = [check for check in stage.checks if not check["ok"]]
    for check in failed:
        stage.screen.warn(f"DIFFERS: {check['check']}: expected {check['expected']}, found {check['found']}")
    if failed:
        stage.screen.say("", f"{len(failed)} of {len(stage.checks)} checks failed, in {seconds:.0f} s.")
    else:
        stage.screen.say("", f"All {len(stage.checks)} checks held. Done in {seconds:.0f} s.")
    return {
        "ok": not failed,
        "home": str(home),
        "simulated": True,
        "seed": town.SEED,
        "people": town.PEOPLE,
        "read": sum(result.read for result in stage.imports),
        "credited": sum(result.credited for result in stage.imports),
        "duplicates": sum(result.duplicates for result in stage.imports),
        "rejected": sum(result.rejected for result in stage.imports),
        "rejected_by_code": dict(sorted(stage.rejected_by_code().items())),
        **figures,
        "answers": answers,
        "runs": [
            {
                "revision_id": run.completed.revision,
                "methodology": run.methodology,
                "from": run.start,
                "to": run.end,
                "accounts": run.completed.accounts,
                "changed_accounts": run.completed.changed_accounts,
                "credits": run.completed.credits,
                "before_mg": run.completed.before_mg,
                "after_mg": run.completed.after_mg,
                "delta_mg": run.completed.delta_mg,
            }
            for run in stage.runs
        ],
        "checks": stage.checks,
        "try_next": commands,
        "seconds": round(seconds, 3),
    }
