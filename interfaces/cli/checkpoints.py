"""``carbon-ledger checkpoint``: the log's signed word on what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from application import checkpoints
from application.answers import checkpoint_json
from application.cosignatures import cosigned_note
from domain.audit.note import parse_note
from domain.instants import instant_text
from interfaces.cli import background
from interfaces.cli.command import Cli, command, group
from interfaces.cli.files import write_new
from interfaces.cli.output import Answer, count_text, facts, heading, table

if TYPE_CHECKING:
    from application.checkpoints import Signed

app = group(
    "Checkpoints: what the log holds, signed, so that whoever keeps one sees every later change of the history."
)

WithMap = Annotated[bool, typer.Option("--with-map", help="Name the root of all accounts' balances too.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Write checkpoint, checkpoint.body and checkpoint.sig.der into this folder, as openssl reads them.",
        show_default=False,
    ),
]


@command(app, "sign", example="checkpoint sign --with-map --out given-to-the-exchange")
def sign(cli: Cli, with_map: WithMap = False, out: Out = None) -> Answer:
    """Sign the log as it stands: what was added since the last checkpoint is computed from the stored events."""
    with cli.ledger() as ledger:
        signed = checkpoints.sign(ledger.auditing, with_map=with_map)
        signed = signed._replace(note=cosigned_note(ledger.auditing, signed))
    files = _write(out, signed.note)
    return Answer(_json(signed, files), _shown(signed, files))


@command(app, "show", example="checkpoint show")
def show(cli: Cli, out: Out = None) -> Answer:
    """The newest checkpoint, its signature checked, with the cosignatures of its witnesses."""
    with cli.ledger() as ledger:
        signed = checkpoints.newest_signed(ledger.auditing)
        signed = signed._replace(note=cosigned_note(ledger.auditing, signed))
    files = _write(out, signed.note)
    return Answer(_json(signed, files), _shown(signed, files))


@command(app, "list", example="checkpoint list")
def list_(cli: Cli) -> Answer:
    """The last hundred checkpoints, newest first, each with its signature checked."""
    with cli.ledger() as ledger:
        auditing = ledger.auditing
        found = checkpoints.last(auditing, 100)
    rows = [
        (count_text(each.size), count_text(each.map_position), instant_text(each.recorded_us), each.root.hex())
        for each in found
    ]
    payload = {"checkpoints": [checkpoint_json(each) for each in found]}
    return Answer(payload, [table(("log size>", "map as of>", "time", "root"), rows)])


background.register(app)


@command(app, "rebuild", example="checkpoint rebuild")
def rebuild(cli: Cli) -> Answer:
    """Make what is kept to sign and prove anew from the log, and compare the log with every checkpoint there is."""
    with cli.ledger() as ledger:
        signed = checkpoints.rebuild(ledger.auditing)
    return Answer(_json(signed, []), _shown(signed, []))


def _write(out: Path | None, note: bytes) -> list[Path]:
    if out is None:
        return []
    from interfaces.bootstrap import signature_to_der

    body, (own, *_) = parse_note(note)
    content = {
        "checkpoint": note,
        "checkpoint.body": body,
        "checkpoint.sig.der": signature_to_der(own.signature),
    }
    return [write_new(out / name, each) for name, each in content.items()]


def _json(signed: Signed, files: list[Path]) -> dict[str, Any]:
    return {
        **checkpoint_json(signed.checkpoint),
        "note": signed.note.decode(),
        "is_new": signed.is_new,
        "files": [str(path) for path in files],
    }


def _shown(signed: Signed, files: list[Path]) -> list[Any]:
    checkpoint = signed.checkpoint
    pairs = [
        ("log", checkpoint.origin),
        ("log size", count_text(checkpoint.size)),
        ("root", checkpoint.root.hex()),
        ("last event", instant_text(checkpoint.recorded_us)),
        ("map as of", count_text(checkpoint.map_position) if checkpoint.map_position else "no map"),
    ]
    pairs += [("written", str(path)) for path in files]
    return [heading("a new checkpoint is signed" if signed.is_new else "the newest checkpoint"), facts(pairs)]
