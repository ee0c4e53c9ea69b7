"""``carbon-ledger verify``: what a ledger gave out, checked with a public key and nothing of the ledger."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from application.verification.bundle import Verified, verify_bundle
from application.verification.notes import Trusted
from application.verification.proof_files import Shown, check_proof
from domain.audit.proofs import EventProof
from domain.errors import LedgerError, Rejected
from interfaces.cli.command import Cli, command
from interfaces.cli.output import Answer, count_text, facts, heading, table

VERIFICATION_FAILED = 3
_SHOWN_FINDINGS = 20
_MAX_KEY_BYTES = 10_000

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A bundle as `export bundle` wrote it, or a proof as `prove` did.",
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
Need = Annotated[int, typer.Option("--need", metavar="K", min=0, help="How many of these witnesses must have signed.")]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    command(app, "verify", example="verify for-the-exchange.zip --key log.pem", panel="Audit")(verify)


def verify(cli: Cli, file: File, key: Key, witness: Witness = (), need: Need = 0) -> Answer:  # type: ignore[assignment]
    """Check a bundle or a proof with a public key; no ledger and no home is needed. 3 if it does not hold."""
    from interfaces.bootstrap import public_key_of, signature_to_der, verifier

    trusted = Trusted(
        [public_key_of(_text(path)) for path in key], [public_key_of(_text(path)) for path in witness], need
    )
    if zipfile.is_zipfile(file):
        with cli.progress.naming("verifying") as tell:
            verified = verify_bundle(file, trusted, verifier().verify, signature_to_der, lambda step, _: tell(step))
        return Answer(
            _bundle_json(verified), _bundle_shown(verified), VERIFICATION_FAILED if verified.findings.total else 0
        )
    try:
        shown = check_proof(file.read_bytes(), trusted, verifier().verify)
    except LedgerError as error:
        payload = {"ok": False, "code": error.code, "message": error.message}
        return Answer(payload, [heading("NOT PROVEN"), facts([(error.code, error.message)])], VERIFICATION_FAILED)
    return Answer(_json(shown), _shown(shown))


def _bundle_json(verified: Verified) -> dict[str, Any]:
    attested, findings = verified.attested, verified.findings
    return {
        "ok": findings.total == 0,
        "origin": None if attested is None else attested.checkpoint.origin,
        "size": None if attested is None else attested.checkpoint.size,
        "signed_by": None if attested is None else attested.signed_by.hex(),
        "witnesses": [] if attested is None else attested.witnesses,
        "complete": verified.complete,
        "events": verified.events,
        "accounts": verified.accounts,
        "credits": verified.credits,
        "by_behavior": {behavior: str(mg) for behavior, mg in sorted(verified.balances.items())},
        "digest": verified.digest,
        "steps": [vars(step) for step in findings.steps],
        "count": findings.total,
        "findings": [each._asdict() for each in findings.kept],
    }


def _bundle_shown(verified: Verified) -> list[Any]:
    findings = verified.findings
    said = "verified: everything holds" if not findings.total else f"{count_text(findings.total)} FINDINGS"
    pairs = [
        ("accounts", count_text(verified.accounts)),
        ("credits", count_text(verified.credits)),
        ("covers", "the whole log" if verified.complete else "the accounts shown"),
        ("digest", verified.digest),
    ]
    if verified.attested is not None:
        pairs.insert(0, ("log", f"{verified.attested.checkpoint.origin}, {verified.attested.checkpoint.size:,} events"))
        pairs.append(("witnesses", ", ".join(verified.attested.witnesses) or "none"))
    steps = [(step.name, count_text(step.checked), count_text(step.wrong)) for step in findings.steps]
    human: list[Any] = [heading(said), facts(pairs), table(("step", "checked>", "findings>"), steps)]
    if findings.kept:
        human.append(table(("step", "code", "place", "what"), findings.kept[:_SHOWN_FINDINGS]))
        if findings.total > _SHOWN_FINDINGS:
            human.append(Text(f"... and {findings.total - _SHOWN_FINDINGS:,} more; --json lists the first 1,000"))
    return human


def _text(path: Path) -> str:
    if path.stat().st_size > _MAX_KEY_BYTES:
        raise Rejected("public_key_malformed", "too long for a key", field=str(path), remedy="name a PEM file")
    return path.read_text(encoding="ascii", errors="replace")


def _json(shown: Shown) -> dict[str, Any]:
    checkpoint, proof = shown.attested.checkpoint, shown.proof
    told: dict[str, Any] = {
        "ok": True,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "signed_by": shown.attested.signed_by.hex(),
        "witnesses": shown.attested.witnesses,
    }
    if isinstance(proof, EventProof):
        event = proof.event
        return told | {"position": event.position, "topic": event.topic, "facts": event.facts}
    balances = {behavior: str(mg) for behavior, mg in proof.balances.items()}
    return told | {"stream": str(proof.stream), "events": proof.version, "by_behavior": balances}


def _shown(shown: Shown) -> list[Any]:
    checkpoint, proof = shown.attested.checkpoint, shown.proof
    pairs = [("log", checkpoint.origin), ("log size", count_text(checkpoint.size))]
    pairs.append(("witnesses", ", ".join(shown.attested.witnesses) or "none asked for"))
    if isinstance(proof, EventProof):
        event = proof.event
        said = f"proven: this event is at position {event.position} of the log"
        return [heading(said), facts([*pairs, ("event", event.topic), ("facts", event.facts)])]
    said = f"proven: account {proof.stream} holds this by all of its {proof.version} events"
    return [heading(said), facts([*pairs, *((behavior, f"{mg} mg") for behavior, mg in proof.balances.items())])]
