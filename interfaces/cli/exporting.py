"""``carbon-ledger export``: files for those who check, and for those who must answer for the records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from application import exporting, exporting_events
from application.access import record_export
from application.accounts import account_id
from application.exporting import Exported, Selection
from application.exporting_events import EventFilter
from application.verification.telling import chosen_text
from domain.audit.bundle import REPORT, VERIFIER
from domain.audit.event_rows import FORMATS, JSONL
from domain.audit.events_manifest import SUFFIX, Manifest
from domain.errors import Rejected
from interfaces.cli.accessing import ReadBy, reader
from interfaces.cli.asking import Wait, Witnesses, WitnessFolders, WitnessKeys, exit_code_of, told, witness_keys
from interfaces.cli.command import Cli, command, group
from interfaces.cli.options import before_day, civil_day, period_of
from interfaces.cli.output import Answer, count_text, facts, heading
from interfaces.cli.transport import Recipient, recipient_of
from interfaces.reports.bundle_page import bundle_page
from interfaces.verifier import build

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
    typer.Option(
        "--from", metavar="DATE", help="Only accounts with a credit of this civil day or later.", parser=civil_day
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="DATE", help="Only accounts with a credit of a civil day before this.", parser=civil_day
    ),
]
Redacted = Annotated[bool, typer.Option("--redacted", help="Leave personal facts out; it is checked as fully.")]
Seed = Annotated[
    str,
    typer.Option(
        "--sample-seed", metavar="S", help="Draw samples by this seed, which the auditor names.", show_default=False
    ),
]
SealTo = Annotated[
    Path | None,
    typer.Option(
        "--seal-to",
        metavar="PUB.pem",
        help="Seal the bundle to this public key, as `transport-key new` wrote it: nobody else reads it.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
EventsOut = Annotated[Path, typer.Argument(metavar="OUT", help="The new file, or a folder for it.", show_default=False)]
Format = Annotated[str, typer.Option("--format", metavar="F", help="jsonl, csv or parquet.")]
RecordedFrom = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="Only what was recorded on this day (UTC) or later.", parser=civil_day),
]
RecordedTo = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="Only what was recorded before this day (UTC).", parser=civil_day),
]
EventAccounts = Annotated[
    Path | None,
    typer.Option(
        "--accounts",
        metavar="FILE",
        help="Only events of these accounts: a text file with one account reference, or id, on each line.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Topics = Annotated[
    list[str],
    typer.Option(
        "--topics",
        metavar="TOPIC",
        help="Only events of this topic, or of several with commas between; may be repeated. See docs/events.md.",
        show_default=False,
    ),
]
Until = Annotated[
    int | None,
    typer.Option("--until", metavar="POSITION", min=0, help="Only events up to this position.", show_default=False),
]
Personal = Annotated[
    bool, typer.Option("--personal", help="Also personal facts, in clear; those of erased people are gone.")
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
    seal_to: SealTo = None,
    witness_folder: WitnessFolders = (),  # type: ignore[assignment]
    witness: WitnessKeys = (),  # type: ignore[assignment]
    wait: Wait = 30,
    by: ReadBy = None,
) -> Answer:
    """Everything to check accounts offline: whole streams, the whole rulebook, and the way to a signed checkpoint.

    What is selected chooses which accounts are judged, never what is left out of them. With --witness-folder the
    checkpoint is given to the witnesses, who are waited for; nothing else is signed meanwhile.
    """
    if len(sample_seed) > _MAX_SEED_CHARACTERS:
        raise typer.BadParameter(f"at most {_MAX_SEED_CHARACTERS} characters", param_hint="'--sample-seed'")
    from interfaces.bootstrap import PrivateBytes, sealing_for, signature_to_der

    recipient = None if seal_to is None else recipient_of(seal_to)
    witnesses = Witnesses(witness_folder, witness_keys(witness, witness_folder), wait)
    with cli.ledger() as ledger:
        ids = None if accounts is None else _ids(ledger, accounts)
        selection = Selection(ids, before_day(from_), before_day(to))
        with (
            PrivateBytes(out, "bundle") as private,
            nullcontext(private.file) if recipient is None else sealing_for(recipient.public_key, private) as target,
            cli.progress.counting("exporting", "events", ledger.book.journal.head().size) as tell,
        ):
            done = exporting.export_bundle(
                ledger.auditing,
                target,
                selection,
                signature_to_der,
                redacted=redacted,
                sample_seed=sample_seed,
                extras=_extras(redacted=redacted, sample_seed=sample_seed),
                ask_witnesses=lambda signed: witnesses.ask(ledger, signed),
                progress=tell,
                recorded=lambda chosen: record_export(
                    ledger.book, reader(by), "export bundle", chosen, personal=not redacted
                ),
            )
    return _answer(cli, out, done, witnesses, recipient, redacted=redacted)


@command(app, "events", example="export events march.csv --format csv --from 2026-03-01 --to 2026-04-01")
def events(
    cli: Cli,
    out: EventsOut,
    format_: Format = JSONL,
    from_: RecordedFrom = None,
    to: RecordedTo = None,
    accounts: EventAccounts = None,
    topics: Topics = (),  # type: ignore[assignment]
    until: Until = None,
    personal: Personal = False,
    by: ReadBy = None,
) -> Answer:
    """Events of the log as rows, with a manifest that the log's key signs: OUT and OUT.manifest, for `verify`.

    A folder as OUT gets a file named events. Personal facts are left out unless they are asked for.
    """
    if format_ not in FORMATS:
        raise typer.BadParameter(f"one of {', '.join(FORMATS)}", param_hint="'--format'")
    if from_ is not None or to is not None:
        period_of(from_, to)
    from interfaces.bootstrap import PrivateBytes, row_format

    path = out / f"events.{format_}" if out.is_dir() else out
    manifest = path.with_name(path.name + SUFFIX)
    named = tuple(each for text in topics for each in text.split(",") if each)
    with cli.ledger() as ledger:
        ids = None if accounts is None else _ids(ledger, accounts)
        wanted = EventFilter(from_ or "", to or "", ids, named, until)
        # The manifest takes its name last: a file without one is no export.
        with (
            PrivateBytes(manifest, "manifest") as note,
            PrivateBytes(path, "events") as file,
            cli.progress.counting("exporting", "events", ledger.book.journal.head().size) as tell,
        ):
            done = exporting_events.export_events(
                ledger.auditing,
                wanted,
                format_,
                row_format(format_),
                file.write,
                personal=personal,
                software=f"carbon-ledger {version('carbon-ledger')}",
                recorded=lambda ids: record_export(ledger.book, reader(by), "export events", ids, personal=personal),
                progress=tell,
            )
            note.write(done.note)
    return _events_answer(cli, path, manifest, done.manifest)


def _events_answer(cli: Cli, path: Path, manifest: Path, told: Manifest) -> Answer:
    payload: dict[str, Any] = {
        "file": str(path),
        "manifest": str(manifest),
        "format": told.format,
        "rows": told.rows,
        "size_bytes": told.size_bytes,
        "digest": told.sm3.hex(),
        "origin": told.log,
        "size": told.size,
        "personal": told.personal,
    }
    pairs = [
        ("file", str(path)),
        ("manifest", str(manifest)),
        ("rows", count_text(told.rows)),
        ("asked for", chosen_text(told)),
        ("personal facts", "in clear" if told.personal else "left out"),
    ]
    none = "no event is what was asked for: days are those of recording, not of behaviors"
    human: list[Any] = [
        heading("the events are written" if told.rows else none),
        facts(pairs),
        cli.following(f"verify {manifest} --key log.pem"),
    ]
    return Answer(payload, human)


@cache
def _verifier() -> bytes:
    """The one-file verifier; a process makes it once."""
    return build.archive(build.contents())


def _extras(*, redacted: bool, sample_seed: str) -> dict[str, Callable[[Exported], bytes]]:
    """What is put into a bundle for people: a page to read, and the verifier as one file, to compare with their own."""
    return {
        REPORT: lambda done: bundle_page(done, redacted=redacted, sample_seed=sample_seed).encode(),
        VERIFIER: lambda _: _verifier(),
    }


def _answer(
    cli: Cli, out: Path, done: Exported, witnesses: Witnesses, recipient: Recipient | None, *, redacted: bool
) -> Answer:
    payload: dict[str, Any] = {
        "file": str(out),
        "size_bytes": out.stat().st_size,
        "origin": done.checkpoint.origin,
        "size": done.checkpoint.size,
        "accounts": done.accounts,
        "events": done.events,
        "samples": done.samples,
        "redacted": redacted,
        "sealed_to": None if recipient is None else recipient.key,
        "witnesses": told(witnesses.found),
    }
    pairs = [
        ("file", str(out)),
        ("bytes", count_text(payload["size_bytes"])),
        ("accounts", count_text(done.accounts)),
        ("events", f"{count_text(done.events)} of {count_text(done.checkpoint.size)}"),
        ("personal facts", "left out" if redacted else "in clear, in personal.jsonl"),
        *witnesses.pairs,
    ]
    following = f"verify {out} --key log.pem"
    if recipient is not None:
        pairs.append(("sealed to", recipient.key))
        following = f"unseal {out} --key PRIVATE --out bundle.zip"
    human: list[Any] = [heading("the bundle is written"), facts(pairs), cli.following(following)]
    return Answer(payload, human, exit_code_of(witnesses.found))


def _ids(ledger: Ledger, file: Path) -> list[UUID]:
    """The accounts of a file of references. Raises Rejected ``account_unknown``, ``file_not_text``."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        remedy = "give a text file in UTF-8 with one account reference on each line"
        raise Rejected("file_not_text", "the file is not UTF-8", field=str(file), remedy=remedy) from error
    return [account_id(ledger.book, line.strip()) for line in lines if line.strip()]
