"""``carbon-ledger verify``: what a ledger gave out, checked with a public key and nothing of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from application.verification.notes import Trusted
from application.verification.proof_files import Shown, check_proof
from domain.audit.proofs import EventProof
from domain.errors import LedgerError, Rejected
from interfaces.cli.command import Cli, command
from interfaces.cli.output import Answer, count_text, facts, heading

VERIFICATION_FAILED = 3
_MAX_KEY_BYTES = 10_000

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A proof, as `prove` wrote it.", exists=True, dir_okay=False, show_default=False
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
    command(app, "verify", example="verify ann-01.json --key log.pem", panel="Audit")(verify)


def verify(cli: Cli, file: File, key: Key, witness: Witness = (), need: Need = 0) -> Answer:  # type: ignore[assignment]
    """Check a proof with a public key; no ledger and no home is needed. 3 if it does not show what it says."""
    from interfaces.bootstrap import public_key_of, verifier

    trusted = Trusted(
        [public_key_of(_text(path)) for path in key], [public_key_of(_text(path)) for path in witness], need
    )
    try:
        shown = check_proof(file.read_bytes(), trusted, verifier().verify)
    except LedgerError as error:
        payload = {"ok": False, "code": error.code, "message": error.message}
        return Answer(payload, [heading("NOT PROVEN"), facts([(error.code, error.message)])], VERIFICATION_FAILED)
    return Answer(_json(shown), _shown(shown))


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
