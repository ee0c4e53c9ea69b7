"""``carbon-ledger verify``: what a ledger gave out, checked with a public key and nothing of the ledger."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from application.verification.bundle import verify_bundle
from application.verification.bundle_reader import is_zip
from application.verification.events import is_manifest, verify_events
from application.verification.findings import Findings, printable
from application.verification.notes import trusted_by
from application.verification.proof_files import check_proof
from application.verification.telling import (
    Pairs,
    bundle_json,
    bundle_pairs,
    bundle_said,
    events_json,
    events_pairs,
    events_said,
    proof_json,
    proof_pairs,
    proof_said,
)
from application.verification.verified import Verified
from domain.audit.proofs import MAX_PROOF_BYTES
from domain.errors import LedgerError, Rejected
from interfaces.cli.command import Cli, command
from interfaces.cli.output import Answer, count_text, facts, heading, table

VERIFICATION_FAILED = 3
_SHOWN_FINDINGS = 20
_CHARACTERS_SHOWN = 10_000
_MAX_KEY_BYTES = 10_000
_OWN = {"verifier": f"carbon-ledger {version('carbon-ledger')} as it is installed here"}
"""Many files have no one digest; the verifier in one file tells its own."""

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A bundle of `export bundle`, a manifest of `export events` beside its file, or a proof of `prove`.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Key = Annotated[
    list[Path],
    typer.Option(
        "--key",
        metavar="PUB",
        help="The log's public key as PEM, as `keys show --public` prints it; may be repeated.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Witness = Annotated[
    list[Path],
    typer.Option(
        "--witness",
        metavar="PUB",
        help="The public key of a witness; may be repeated.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Need = Annotated[
    str | None,
    typer.Option(
        "--need",
        metavar="K",
        help="How many of these witnesses must have signed, as K or as 'K of N': more than half, which is the default.",
        show_default=False,
    ),
]

Actors = Annotated[
    list[str],
    typer.Option(
        "--actor",
        metavar="NAME=PUB",
        help="An actor's public key as PEM, known from elsewhere: his acts count with this key alone; may be repeated.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    command(app, "verify", example="verify for-the-exchange.zip --key log.pem", panel="Audit")(verify)


def verify(
    cli: Cli,
    file: File,
    key: Key,
    witness: Witness = (),  # type: ignore[assignment]
    need: Need = None,
    actor: Actors = (),  # type: ignore[assignment]
) -> Answer:
    """Check a bundle, exported events or a proof with a public key; no ledger is needed. 3 if it does not hold."""
    from interfaces.bootstrap import parquet_rows, public_key_of, verifier

    keys, witnesses = ([public_key_of(key_text(path)) for path in paths] for paths in (key, witness))
    try:
        trusted = trusted_by(keys, witnesses, need, [_actor(each) for each in actor])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--need'") from error
    if is_zip(file):
        with cli.progress.naming("verifying") as tell:
            verified = verify_bundle(file, trusted, verifier().verify, lambda step, _: tell(step))
        failed = VERIFICATION_FAILED if verified.findings.total else 0
        return Answer(bundle_json(verified) | _OWN, _bundle_shown(verified), failed)
    if is_manifest(file):
        with cli.progress.naming("verifying"):
            events = verify_events(file, trusted, verifier().verify, parquet_rows)
        shown = [heading(events_said(events)), _facts(events_pairs(events)), *_steps_shown(events.findings)]
        return Answer(events_json(events) | _OWN, shown, VERIFICATION_FAILED if events.findings.total else 0)
    try:
        with file.open("rb") as proof:
            text = proof.read(MAX_PROOF_BYTES + 1)
        proven = check_proof(text, trusted, verifier().verify)
    except LedgerError as error:
        message = printable(error.message)
        payload = {"ok": False, "code": error.code, "message": message} | _OWN
        return Answer(payload, [heading("NOT PROVEN"), facts([(error.code, message)])], VERIFICATION_FAILED)
    return Answer(proof_json(proven) | _OWN, [heading(proof_said(proven)), _facts(proof_pairs(proven))])


def _bundle_shown(verified: Verified) -> list[Any]:
    return [heading(bundle_said(verified)), _facts(bundle_pairs(verified)), *_steps_shown(verified.findings)]


def _steps_shown(findings: Findings) -> list[Any]:
    steps = [(step.name, count_text(step.checked), count_text(step.wrong)) for step in findings.steps]
    human: list[Any] = [table(("step", "checked>", "findings>"), steps)]
    if findings.kept:
        human.append(table(("step", "code", "place", "what"), findings.kept[:_SHOWN_FINDINGS]))
        if findings.total > _SHOWN_FINDINGS:
            human.append(Text(f"... and {findings.total - _SHOWN_FINDINGS:,} more; --json lists the first 1,000"))
    return human


def _facts(pairs: Pairs) -> Any:
    return facts([(label, printable(value, _CHARACTERS_SHOWN)) for label, value in [*pairs, *_OWN.items()]])


def _actor(text: str) -> tuple[str, bytes]:
    from interfaces.bootstrap import public_key_of

    name, _, file = text.rpartition("=")
    if not name or not Path(file).is_file():
        raise typer.BadParameter(f"{text!r} is not NAME=PUB with the file of a public key", param_hint="'--actor'")
    return name, public_key_of(key_text(Path(file)))


def key_text(path: Path) -> str:
    if path.stat().st_size > _MAX_KEY_BYTES:
        raise Rejected("public_key_malformed", "too long for a key", field=str(path), remedy="name a PEM file")
    return path.read_text(encoding="ascii", errors="replace")
