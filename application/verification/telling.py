"""What was verified, in words and in JSON: the same from the command line and from the verifier in one file."""

from __future__ import annotations

from typing import Any

from application.verification.bundle import Verified
from application.verification.proof_files import Shown
from domain.audit.proofs import EventProof

Pairs = list[tuple[str, str]]
"""Labels and values, for people."""


def bundle_json(verified: Verified) -> dict[str, Any]:
    """A bundle, for machines."""
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
        "sample_seed": verified.sample_seed,
        "steps": [vars(step) for step in findings.steps],
        "count": findings.total,
        "findings": [each._asdict() for each in findings.kept],
    }


def bundle_said(verified: Verified) -> str:
    """The first line for people."""
    total = verified.findings.total
    return f"{total:,} FINDINGS" if total else "verified: everything holds"


def bundle_pairs(verified: Verified) -> Pairs:
    """A bundle, for people. What a stranger wrote is not made printable here."""
    attested = verified.attested
    log = "unknown" if attested is None else f"{attested.checkpoint.origin}, {attested.checkpoint.size:,} events"
    return [
        ("log", log),
        ("accounts", f"{verified.accounts:,}"),
        ("credits", f"{verified.credits:,}"),
        ("covers", "the whole log" if verified.complete else "the accounts shown"),
        ("digest", verified.digest),
        ("samples drawn by", verified.sample_seed or "no seed"),
        ("witnesses", "none" if attested is None else ", ".join(attested.witnesses) or "none"),
    ]


def proof_json(shown: Shown) -> dict[str, Any]:
    """A proof, for machines."""
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


def proof_said(shown: Shown) -> str:
    """The first line for people."""
    proof = shown.proof
    if isinstance(proof, EventProof):
        return f"proven: this event is at position {proof.event.position} of the log"
    return f"proven: account {proof.stream} holds this by all of its {proof.version} events"


def proof_pairs(shown: Shown) -> Pairs:
    """A proof, for people. What a stranger wrote is not made printable here."""
    checkpoint, proof = shown.attested.checkpoint, shown.proof
    pairs = [
        ("log", checkpoint.origin),
        ("log size", f"{checkpoint.size:,}"),
        ("witnesses", ", ".join(shown.attested.witnesses) or "none asked for"),
    ]
    if isinstance(proof, EventProof):
        return [*pairs, ("event", proof.event.topic), ("facts", proof.event.facts)]
    return [*pairs, *((behavior, f"{mg} mg") for behavior, mg in proof.balances.items())]
