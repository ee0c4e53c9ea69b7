"""``carbon-ledger transport-key``, ``seal`` and ``unseal``: files that only their recipient reads on the way.

Keeps: no home and no ledger is needed; a file appears under its name when it is complete and authentic, or not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import typer

from domain.errors import Rejected
from interfaces.cli.command import Cli, command, group
from interfaces.cli.output import Answer, count_text, facts, heading
from interfaces.cli.verifying import key_text

app = group("Transport keys: a key pair of a recipient, to whom files are sealed.")

_BLOCK = 1 << 20
_STDIN = "-"

NewKey = Annotated[Path, typer.Argument(metavar="FILE", help="The new private file; FILE.pem is the public one.")]
Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        envvar="CARBON_LEDGER_TRANSPORT_PASSPHRASE_FILE",
        help="A file (mode 0600) with the passphrase of the private key, else the one that "
        "CARBON_LEDGER_TRANSPORT_PASSPHRASE_FILE names; without both, it is asked for.",
        show_default=False,
    ),
]
Plain = Annotated[
    str,
    typer.Argument(metavar="FILE", help="What to seal: a file, or - for stdin, such as a dump.", show_default=False),
]
To = Annotated[
    Path,
    typer.Option(
        "--to",
        metavar="PUB.pem",
        help="The recipient's public key, as `transport-key new` wrote it.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
SealedOut = Annotated[Path, typer.Option("--out", metavar="FILE.sealed", help="The new file.", show_default=False)]
SealedFile = Annotated[
    Path,
    typer.Argument(metavar="FILE.sealed", help="The sealed file.", exists=True, dir_okay=False, show_default=False),
]
PrivateKey = Annotated[
    Path, typer.Option("--key", metavar="KEY", help="The private file of `transport-key new`.", show_default=False)
]
PlainOut = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="The new file, for its owner alone (0600).", show_default=False)
]


class Recipient(NamedTuple):
    """To whom something is sealed: the id of the key, and its 64 bytes."""

    key: str
    public_key: bytes


def recipient_of(path: Path) -> Recipient:
    """The recipient whose public key a PEM file holds. Raises Rejected ``public_key_malformed``."""
    from interfaces.bootstrap import key_id, public_key_of

    public_key = public_key_of(key_text(path))
    return Recipient(key_id(public_key), public_key)


def register(root: typer.Typer) -> None:
    """Add the commands to the root."""
    command(root, "seal", example="seal base.tar --to backup.key.pem --out base.tar.sealed", panel="Audit")(seal)
    command(root, "unseal", example="unseal base.tar.sealed --key backup.key --out base.tar", panel="Audit")(unseal)


@command(app, "new", example="transport-key new backup.key")
def new(cli: Cli, file: NewKey, passphrase_file: Passphrase = None) -> Answer:
    """A key pair in two new files: the private one under a passphrase, which stays; the public one, for senders."""
    from interfaces.bootstrap import new_transport_key, public_path

    key = new_transport_key(file, _passphrase(passphrase_file, anew=True))
    public = public_path(file)
    payload = {"key": key.key_id, "private": str(file), "public": str(public)}
    pairs = [("key", key.key_id), ("private", f"{file}: never leaves this place"), ("public", f"{public}: for senders")]
    return Answer(
        payload, [heading("the key pair is made"), facts(pairs), cli.following(f"seal FILE --to {public} --out OUT")]
    )


def seal(cli: Cli, file: Plain, to: To, out: SealedOut) -> Answer:
    """Seal a file of any size to a recipient. It says nothing about who sealed it: what must be believed is signed."""
    from interfaces.bootstrap import PrivateBytes, sealing_for

    recipient = recipient_of(to)
    with (
        _reading(file) as source,
        PrivateBytes(out, "sealed") as target,
        sealing_for(recipient.public_key, target) as sealer,
        cli.progress.naming("sealing") as tell,
    ):
        tell(file)
        size = _copied(source, sealer.write)
    payload: dict[str, Any] = {"file": str(out), "sealed_to": recipient.key, "plain_bytes": size}
    payload["size_bytes"] = out.stat().st_size
    pairs = [("file", str(out)), ("sealed to", recipient.key), ("bytes", f"{count_text(size)} inside")]
    return Answer(payload, [heading("the file is sealed"), facts(pairs)])


def unseal(cli: Cli, file: SealedFile, key: PrivateKey, out: PlainOut, passphrase_file: Passphrase = None) -> Answer:
    """Open a sealed file. Nothing is left of one that was changed, cut, extended, or sealed to somebody else."""
    from interfaces.bootstrap import PrivateBytes, open_transport_key, opened_by

    if str(out) == _STDIN:
        # What came out before the last chunk would have been believed by then.
        raise typer.BadParameter("it opens into a file, which is there only when all of it held", param_hint="'--out'")
    own = open_transport_key(key, _passphrase(passphrase_file, anew=False))
    with (
        file.open("rb") as source,
        opened_by(own, source, str(file)) as sealed,
        PrivateBytes(out, "unsealed") as target,
        cli.progress.naming("unsealing") as tell,
    ):
        tell(str(file))
        for chunk in sealed.chunks():
            target.write(chunk)
        size = sealed.size_bytes
    payload = {"file": str(out), "key": own.key_id, "size_bytes": size}
    return Answer(payload, [heading("the file is opened"), facts([("file", str(out)), ("bytes", count_text(size))])])


def _copied(source: BinaryIO, write: Callable[[bytes], int]) -> int:
    size = 0
    while block := source.read(_BLOCK):
        size += write(block)
    return size


@contextmanager
def _reading(name: str) -> Iterator[BinaryIO]:
    if name == _STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield file
    except (FileNotFoundError, IsADirectoryError):
        raise Rejected("file_not_found", "there is no such file", field=name, remedy="check the name") from None


def _passphrase(file: Path | None, *, anew: bool) -> bytes:
    """The passphrase of a private key: from a file, or from whoever sits there."""
    from interfaces.bootstrap import passphrase_in

    if file is not None:
        return passphrase_in(file)
    if not sys.stdin.isatty():
        message = "no terminal to ask for the passphrase; name a file, mode 0600, that holds it"
        raise typer.BadParameter(message, param_hint="'--passphrase-file'")
    asked: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=anew, err=True)
    return asked.encode()
