"""``carbon-ledger export``: files for those who check, and for those who must answer for the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from application import exporting
from application.accounts import account_id
from application.exporting import Selection
from domain.errors import Rejected
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import before_day
from interfaces.cli.output import Answer, count_text, facts, heading

if TYPE_CHECKING:
    from interfaces.bootstrap import Ledger

app = group("Exports: a bundle that an auditor checks without this ledger.")

_MAX_SEED_CHARACTERS = 200

Out = Annotated[Path, typer.Argument(metavar="OUT.zip", help="The new file.", show_default=False)]
Accounts = Annotated[
    Path | None,
    typer.Option(
        "--accounts",
        metavar="FILE",
        help="Only these accounts: a text file with one account reference on each line.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="Only accounts with a credit of this civil day or later."),
]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Only accounts with a credit of a civil day before this.")
]
Redacted = Annotated[bool, typer.Option("--redacted", help="Leave personal facts out; it is checked as fully.")]
Seed = Annotated[
    str,
    typer.Option(
        "--sample-seed", metavar="S", help="Draw samples by this seed, which the auditor names.", show_default=False
    ),
]


@command(app, "bundle", example="export bundle for-the-exchange.zip --redacted --sample-seed 20261130")
def bundle(
    cli: Cli,
    out: Out,
    accounts: Accounts = None,
    from_: From = None,
    to: To = None,
    redacted: Redacted = False,
    sample_seed: Seed = "",
) -> Answer:
    """Everything to check accounts offline: whole streams, the whole rulebook, and the way to a signed checkpoint.

    What is selected chooses which accounts are judged, never what is left out of them.
    """
    if len(sample_seed) > _MAX_SEED_CHARACTERS:
        raise typer.BadParameter(f"at most {_MAX_SEED_CHARACTERS} characters", param_hint="'--sample-seed'")
    from interfaces.bootstrap import signature_to_der

    with cli.ledger() as ledger:
        ids = None if accounts is None else _ids(ledger, accounts)
        selection = Selection(ids, before_day(from_), before_day(to))
        with cli.progress.counting("exporting", "events", ledger.book.journal.head().size) as tell:
            done = exporting.export_bundle(
                ledger.auditing,
                out,
                selection,
                signature_to_der,
                redacted=redacted,
                sample_seed=sample_seed,
                progress=tell,
            )
    payload: dict[str, Any] = {
        "file": str(out),
        "size_bytes": out.stat().st_size,
        "origin": done.checkpoint.origin,
        "size": done.checkpoint.size,
        "accounts": done.accounts,
        "events": done.events,
        "samples": done.samples,
        "redacted": redacted,
    }
    pairs = [
        ("file", str(out)),
        ("bytes", count_text(payload["size_bytes"])),
        ("accounts", count_text(done.accounts)),
        ("events", f"{count_text(done.events)} of {count_text(done.checkpoint.size)}"),
        ("personal facts", "left out" if redacted else "in clear, in personal.jsonl"),
    ]
    return Answer(
        payload, [heading("the bundle is written"), facts(pairs), cli.following(f"verify {out} --key log.pem")]
    )


def _ids(ledger: Ledger, file: Path) -> list[UUID]:
    """The accounts of a file of references. Raises Rejected ``account_unknown``, ``file_not_text``."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        remedy = "give a text file in UTF-8 with one account reference on each line"
        raise Rejected("file_not_text", "the file is not UTF-8", field=str(file), remedy=remedy) from error
    return [account_id(ledger.book, line.strip()) for line in lines if line.strip()]
