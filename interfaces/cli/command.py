"""How every command is made: its shared options, the ledger it opens, the answer it gives.

Keeps: ``--home`` and ``--json`` are understood before and after every command; a command returns its answer, which is
written when the ledger is closed again, so that a failure on the way out leaves no half-told success on stdout.
Leaves to ``main``: what a failure looks like.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer
from rich.text import Text

from domain.errors import Unavailable
from interfaces.cli.output import Answer, following, write_answer
from interfaces.cli.progress import Progress

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger, Settings

EXAMPLE = "[bold]Example:[/bold]"
"""What stands between a command's help and its example."""

_COMMON = "Common options"
Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Home folder of the ledger; CARBON_LEDGER_HOME or ./.carbon-ledger without it.",
        rich_help_panel=_COMMON,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on stdout, nothing else.", rich_help_panel=_COMMON)
]
Parameters = ParamSpec("Parameters")


class Cli:
    """What a command is called with."""

    def __init__(self, home: Path | None, *, as_json: bool) -> None:
        self._home = home
        self.as_json = as_json
        self.progress = Progress()

    @property
    def home_given(self) -> Path | None:
        """The home of the command line, if it names one."""
        return self._home

    def following(self, *commands: str) -> Text:
        """What a person would run next: commands without the program, which is added with the home in use."""
        program = "carbon-ledger" if self._home is None else f"carbon-ledger --home {shlex.quote(str(self._home))}"
        return following(*(f"{program} {each}" for each in commands))

    def settings(self) -> Settings:
        """Raises Unavailable ``settings_malformed``."""
        # The adapters take half a second to load; help and wrong usage do without them.
        from interfaces.bootstrap import Settings

        try:
            return Settings() if self._home is None else Settings(home=self._home)
        except ValueError as error:
            raise Unavailable(
                "settings_malformed", str(error), remedy="check the CARBON_LEDGER_... variables of the environment"
            ) from error

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger of the home."""
        from interfaces.bootstrap import open_ledger

        with open_ledger(self.settings()) as opened:
            yield opened


def group(help_text: str) -> typer.Typer:
    """A group of commands on one topic."""
    made = typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode="rich", add_completion=False)
    made.callback()(shared_options)
    return made


def shared_options(home: Home = None, as_json: AsJson = False) -> None:
    """Makes the shared options understood in front of a command; ``_runnable`` reads them there."""


def command(
    app: typer.Typer, name: str, *, example: str, panel: str | None = None
) -> Callable[[Callable[Concatenate[Cli, Parameters], Answer]], Callable[Concatenate[Cli, Parameters], Answer]]:
    """Register a function as a command; its docstring is the help, ``example`` (without the program) is added to it."""

    def register(
        function: Callable[Concatenate[Cli, Parameters], Answer],
    ) -> Callable[Concatenate[Cli, Parameters], Answer]:
        app.command(name, help=_help(function, example), rich_help_panel=panel)(_runnable(function))
        return function

    return register


def _help(function: Callable[..., Answer], example: str) -> str:
    text = inspect.getdoc(function) or ""
    return f"{text}\n\n{EXAMPLE} carbon-ledger {example}"


def _refuse_undecodable(arguments: dict[str, Any]) -> None:
    """Bytes that are no text in the terminal's encoding cannot be recorded; names of files may hold them."""
    for value in arguments.values():
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise typer.BadParameter("an argument is not valid text in the encoding of this terminal")


def _runnable(function: Callable[..., Answer]) -> Callable[..., None]:
    """The function as typer calls it: with the shared options in its signature, and its answer written."""

    def run(ctx: typer.Context, home: Path | None, as_json: bool, **arguments: Any) -> None:
        above: Any = ctx.parent
        while above is not None:
            home, as_json = home or above.params["home"], as_json or above.params["as_json"]
            above = above.parent
        _refuse_undecodable(arguments)
        cli = Cli(home, as_json=as_json)
        answer = function(cli, **arguments)
        write_answer(answer, as_json=cli.as_json)
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in own),
        inspect.Parameter("home", keyword, annotation=Home, default=None),
        inspect.Parameter("as_json", keyword, annotation=AsJson, default=False),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it from here
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run
