"""The command ``carbon-ledger``: all its commands, and what its failures look like.

Keeps (DESIGN 7): exit codes 0 done, 1 rejected, 2 usage, 3 corrupt or verification failed, 4 environment; 130 and 143
for a command that was interrupted, 141 when nobody reads on. With ``--json`` a failure is one object on stdout too.
No expected failure ever shows a traceback; a defect of the ledger shows one when CARBON_LEDGER_DEBUG=1.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from types import FrameType, TracebackType
from typing import Annotated, Any, NoReturn

import typer

from domain.errors import LedgerError
from interfaces.cli import (
    accessing,
    accounts,
    actors,
    applicability,
    archive,
    behaviors,
    book,
    checking,
    checkpoints,
    consents,
    database,
    evidence,
    examining,
    exporting,
    factors,
    keys,
    methodology,
    partners,
    proving,
    revisions,
    serving,
    transport,
    verifying,
    webhooks,
    witness,
)
from interfaces.cli.command import AsJson, Home
from interfaces.cli.output import write_json

PROGRAM = "carbon-ledger"
USAGE, ENVIRONMENT, INTERRUPTED, NOBODY_READS, TERMINATED = 2, 4, 130, 141, 143

_EPILOG = (
    "Exit codes: 0 done, 1 rejected, 2 wrong usage, 3 corrupt or verification failed, 4 environment. "
    "CARBON_LEDGER_DSN selects a PostgreSQL server instead of the embedded one."
)

app = typer.Typer(
    help="An event-sourced ledger for personal carbon accounts: exact, replayable, auditable.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


ShowVersion = Annotated[
    bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
]


@app.callback()
def root_options(home: Home = None, as_json: AsJson = False, show_version: ShowVersion = False) -> None:
    """The shared options, and those of the program itself."""


book.register(app)
checking.register(app)
verifying.register(app)
examining.register(app)
transport.register(app)
serving.register(app)
app.add_typer(archive.app, name="archive", rich_help_panel="Audit")
app.add_typer(checkpoints.app, name="checkpoint", rich_help_panel="Audit")
app.add_typer(proving.app, name="prove", rich_help_panel="Audit")
app.add_typer(exporting.app, name="export", rich_help_panel="Audit")
app.add_typer(accessing.app, name="access", rich_help_panel="Audit")
app.add_typer(evidence.app, name="evidence", rich_help_panel="Audit")
app.add_typer(keys.app, name="keys", rich_help_panel="Audit")
app.add_typer(database.app, name="database", rich_help_panel="Book")
app.add_typer(transport.app, name="transport-key", rich_help_panel="Audit")
app.add_typer(witness.app, name="witness", rich_help_panel="Audit")
app.add_typer(webhooks.app, name="webhooks", rich_help_panel="Service")
app.add_typer(behaviors.app, name="behaviors", rich_help_panel="Accounts and behaviors")
app.add_typer(accounts.app, name="account", rich_help_panel="Accounts and behaviors")
app.add_typer(consents.app, name="consent", rich_help_panel="Accounts and behaviors")
app.add_typer(methodology.app, name="methodology", rich_help_panel="Rules (every two-person act is two commands)")
app.add_typer(factors.app, name="factors", rich_help_panel="Rules (every two-person act is two commands)")
app.add_typer(applicability.app, name="applicability", rich_help_panel="Rules (every two-person act is two commands)")
app.add_typer(actors.app, name="actor", rich_help_panel="Rules (every two-person act is two commands)")
app.add_typer(partners.app, name="partner", rich_help_panel="Rules (every two-person act is two commands)")
app.add_typer(revisions.app, name="revision", rich_help_panel="Rules (every two-person act is two commands)")


class _Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    try:
        previous = signal.signal(signal.SIGTERM, _terminate)
    except ValueError:  # not the main thread: whoever started it looks after signals
        previous = None
    try:
        with _Boundary(as_json="--json" in own) as boundary:
            boundary.exit_code = _execute(arguments)
    except BrokenPipeError:
        _give_up_stdout()
        return NOBODY_READS
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    return boundary.exit_code


def _give_up_stdout() -> None:
    # Python flushes stdout once more on its way out: that has to go somewhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


@cache
def _program() -> Any:
    """All commands; making them takes longer than many of them do, so a process does it once."""
    return typer.main.get_command(app)


def _execute(arguments: list[str]) -> int:
    try:
        code = _program().main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except SystemExit:
        # Typer ends the process itself in one case only: nobody reads its output any more.
        raise BrokenPipeError from None
    sys.stdout.flush()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return int(code or 0)


class _Boundary:
    """Nothing passes: whatever went wrong becomes a message and an exit code."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.exit_code = 0

    def __enter__(self) -> _Boundary:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if error is None:
            return True
        if isinstance(error, BrokenPipeError | SystemExit | GeneratorExit):
            return False
        word, failure, self.exit_code = _failure(error)
        if not self.as_json:
            _tell(word, failure)
            try:
                sys.stdout.flush()
            except OSError:  # what could not be written must not be tried again on the way out
                _give_up_stdout()
            return True
        try:
            write_json({"error": failure})
        except BrokenPipeError:
            return False
        except OSError:  # a full disk, say: then at least stderr tells
            _tell(word, failure)
            _give_up_stdout()
        return True


def _failure(error: BaseException) -> tuple[str, dict[str, str], int]:
    """What it is called, its four parts, and the exit code."""
    if isinstance(error, LedgerError):
        return (
            type(error).__name__.lower(),
            _parts(error.code, error.message, error.field, error.remedy),
            error.exit_code,
        )
    if isinstance(error, typer.TyperException):
        return "usage", _usage(error), USAGE
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", _parts("interrupted", "the command was interrupted", "", _RESUME), INTERRUPTED
    if isinstance(error, _Terminated):
        return "terminated", _parts("terminated", "the command was asked to end", "", _RESUME), TERMINATED
    if isinstance(error, OSError):
        place = error.filename if isinstance(error.filename, str) else ""
        remedy = "check the disk and the permissions, then run it again"
        return "unavailable", _parts("io_failed", error.strerror or str(error), place, remedy), ENVIRONMENT
    if os.environ.get("CARBON_LEDGER_DEBUG") == "1":
        traceback.print_exception(error)
    return "defect", _parts("defect", f"{type(error).__name__}: {error}", "", _REPORT), ENVIRONMENT


_RESUME = "what was acknowledged is safe; running it again resumes"
_REPORT = (
    "this is a defect of the ledger, nothing half done was recorded: run it again with CARBON_LEDGER_DEBUG=1 and "
    "report what it prints"
)


def _parts(code: str, message: str, field: str, remedy: str) -> dict[str, str]:
    return {"code": code, "message": message, "field": field, "remedy": remedy}


def _usage(error: typer.TyperException) -> dict[str, str]:
    context = getattr(error, "ctx", None)
    path = PROGRAM if context is None else context.command_path
    parameter = getattr(error, "param", None)
    hint = getattr(error, "param_hint", None) or ("" if parameter is None else parameter.opts[0])
    return _parts("usage", error.format_message(), str(hint).strip("'"), f"see `{path} --help`")


def _tell(word: str, failure: dict[str, str]) -> None:
    """Say it on stderr; where typer has shown the help instead of an error, there is nothing to add."""
    if not failure["message"]:
        return
    place = f" [{failure['field']}]" if failure["field"] else ""
    named = word if failure["code"] == word else f"{word}: {failure['code']}{place}"
    remedy = f"\n  remedy: {failure['remedy']}" if failure["remedy"] else ""
    print(f"{named}\n  {failure['message']}{remedy}", file=sys.stderr)
