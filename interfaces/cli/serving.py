"""``carbon-ledger serve`` and ``dev-credentials``: the HTTP service (docs/http.md)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from interfaces.cli.command import Cli, command, group
from interfaces.cli.output import Answer, facts, heading, table

if TYPE_CHECKING:
    from interfaces.bootstrap.service import DevCredentials

_SERVICE = "Service"
_MOST_WORKERS = 64
_LOUD = "DEV CREDENTIALS: whoever has one acts in its role. For trying things out, never for real data."

credentials = group("Credentials for trying the service out on this machine, one for each role. Never for real data.")

Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; this machine alone without it.")]
Port = Annotated[int, typer.Option("--port", metavar="N", min=0, max=65_535, help="The port; 0 takes a free one.")]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=_MOST_WORKERS, help="Processes that answer.")
]
Certificate = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="PEM", help="The certificate with its chain.", show_default=False),
]
Key = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="PEM", help="Its private key, without a passphrase.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the root."""
    command(app, "serve", example="serve --port 8080", panel=_SERVICE)(serve)
    app.add_typer(credentials, name="dev-credentials", rich_help_panel=_SERVICE)


def serve(
    cli: Cli,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    workers: Workers = 1,
    tls_cert: Certificate = None,
    tls_key: Key = None,
) -> Answer:
    """Answer over HTTP until SIGTERM or Ctrl-C; what is under way then is finished.

    Whose tokens are believed, and all limits, are set by CARBON_LEDGER_HTTP_... variables of the environment. While
    there are dev credentials, it listens to this machine alone.
    """
    # The framework takes long to load; no other command needs it.
    from interfaces.http.server import Bind, serve

    port = serve(cli.settings(), Bind(host, port, workers, tls_cert, tls_key), _tell)
    return Answer({"host": host, "port": port}, [heading("the service has stopped")])


@command(credentials, "create", example="dev-credentials create")
def create(cli: Cli) -> Answer:
    """Make a new credential for each role, and show them once; older ones are void.

    `serve` believes them from its next start on.
    """
    made, human = created(cli)
    return Answer({"credentials": made, "file": str(_kept(cli).path)}, human)


def created(cli: Cli) -> tuple[dict[str, str], list[RenderableType]]:
    """New ones, announced to whoever made them, also where a program reads the answer. `init` makes them here too."""
    from interfaces.http.identity import ROLES

    kept = _kept(cli)
    made = kept.create(ROLES)
    if cli.as_json:
        _tell(_LOUD)
    return made, [
        heading(_LOUD),
        table(("role", "credential"), list(made.items())),
        facts([("kept", f"{kept.path} (digests alone: this is the only time that they are shown)")]),
        cli.following("serve", "dev-credentials remove   (before anything is real)"),
    ]


def made_at_init(cli: Cli) -> tuple[dict[str, str], list[RenderableType]]:
    """As ``created``; none where there are some already, since a repeated `init` changes nothing."""
    if not _kept(cli).exist:
        return created(cli)
    if cli.as_json:
        _tell(_LOUD)
    return {}, [heading(_LOUD), facts([("kept", "those that were made before; `dev-credentials create` makes others")])]


def _kept(cli: Cli) -> DevCredentials:
    from interfaces.bootstrap.service import dev_credentials

    return dev_credentials(cli.settings())


@command(credentials, "remove", example="dev-credentials remove")
def remove(cli: Cli) -> Answer:
    """Make them void. A service that runs believes them until it is started again."""
    removed = _kept(cli).remove()
    return Answer({"removed": removed}, [heading("there are no dev credentials any more")])


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
