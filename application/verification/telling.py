"""What was verified, in words and in JSON: the same from the command line and from the verifier in one file."""

from __future__ import annotations

from typing import Any

from application.verification.events import VerifiedEvents
from application.verification.notes import Attested
from application.verification.proof_files import Shown
from application.verification.signed_acts import ActsFound
from application.verification.verified import Verified
from domain.audit.checkpoint import Checkpoint
from domain.audit.events_manifest import OPEN, Manifest
from domain.audit.proofs import BalanceProof, EventProof
from domain.instants import instant_text

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
        "witnesses": [] if attested is None else witnesses_json(attested),
        "complete": verified.complete,
        "rulebook_position": None if attested is None else attested.checkpoint.rulebook_position,
        "not_shown": verified.not_shown,
        "events": verified.events,
        "accounts": verified.accounts,
        "credits": verified.credits,
        "by_behavior": {behavior: str(mg) for behavior, mg in sorted(verified.balances.items())},
        "digest": verified.digest,
        "sample_seed": verified.sample_seed,
        "acts": acts_json(verified.acts),
        "accesses": verified.accesses,
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
        ("rulebook", _rulebook_text(verified)),
        ("digest", verified.digest),
        ("samples drawn by", verified.sample_seed or "no seed"),
        ("acts of people", acts_text(verified.acts)),
        ("accesses shown", f"{verified.accesses:,}"),
        ("witnesses", "none" if attested is None else witnesses_text(attested)),
        *(("not shown", each) for each in verified.not_shown),
    ]


def _rulebook_text(verified: Verified) -> str:
    if verified.attested is None:
        return "unknown"
    upto = f"up to position {verified.attested.checkpoint.rulebook_position:,}"
    return f"{upto}, the last of the log" if verified.complete else f"{upto}, as the checkpoint says"


def events_json(verified: VerifiedEvents) -> dict[str, Any]:
    """Exported events, for machines."""
    manifest, findings = verified.manifest, verified.findings
    return {
        "ok": findings.total == 0,
        "origin": None if manifest is None else manifest.log,
        "size": None if manifest is None else manifest.size,
        "signed_by": verified.signed_by.hex() or None,
        "format": None if manifest is None else manifest.format,
        "events": verified.rows,
        "complete": verified.complete,
        "not_shown": verified.not_shown,
        "steps": [vars(step) for step in findings.steps],
        "count": findings.total,
        "findings": [each._asdict() for each in findings.kept],
    }


def events_said(verified: VerifiedEvents) -> str:
    """The first line for people."""
    total = verified.findings.total
    return f"{total:,} FINDINGS" if total else "verified: this is what the log's key signed"


def events_pairs(verified: VerifiedEvents) -> Pairs:
    """Exported events, for people. What a stranger wrote is not made printable here."""
    manifest = verified.manifest
    if manifest is None:
        return []
    return [
        ("log", f"{manifest.log}, {manifest.size:,} events"),
        ("rows", f"{manifest.rows:,} as {manifest.format}, {verified.rows:,} checked"),
        ("asked for", chosen_text(manifest)),
        ("personal facts", "in clear" if manifest.personal else "left out"),
        ("covers", "the whole log" if verified.complete else "what was asked for"),
        ("made by", manifest.software),
        *(("not shown", each) for each in verified.not_shown),
    ]


def chosen_text(manifest: Manifest) -> str:
    """What was asked for, in words."""
    chosen = manifest.chosen
    accounts = "all accounts" if chosen.accounts is None else f"{chosen.accounts.number:,} accounts"
    topics = "all topics" if not chosen.topics else ", ".join(chosen.topics)
    days = f"recorded from {chosen.from_day or OPEN} to {chosen.to_day or OPEN} (UTC)"
    return f"positions {chosen.first:,} to {chosen.last:,}, {days}, {accounts}, {topics}"


def acts_json(found: ActsFound | None) -> dict[str, Any] | None:
    """What people did and signed, for machines. ``unsigned_by``: how many acts of each actor are a name alone."""
    if found is None:
        return None
    unsigned = sum(found.unsigned.values())
    return {
        "signed": found.signed,
        "unsigned": unsigned,
        "wrong": found.wrong,
        "unsigned_by": dict(sorted(found.unsigned.items())),
    }


def acts_text(found: ActsFound | None) -> str:
    """The same for people."""
    if found is None:
        return "none seen"
    names = ", ".join(f"{actor} ({count:,})" for actor, count in sorted(found.unsigned.items()))
    unsigned = f"{sum(found.unsigned.values()):,} unsigned" + (f": {names}" if names else "")
    return f"{found.signed:,} signed, {found.wrong:,} wrong, {unsigned}"


def proof_json(shown: Shown) -> dict[str, Any]:
    """A proof, for machines."""
    checkpoint, proof = shown.attested.checkpoint, shown.proof
    told: dict[str, Any] = {
        "ok": True,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "signed_by": shown.attested.signed_by.hex(),
        "witnesses": witnesses_json(shown.attested),
    }
    if isinstance(proof, EventProof):
        event = proof.event
        return told | {"position": event.position, "topic": event.topic, "facts": event.facts}
    if not isinstance(proof, BalanceProof):
        return told | {"root": checkpoint.root.hex(), "old_size": _old(shown).size, "old_root": _old(shown).root.hex()}
    balances = {behavior: str(mg) for behavior, mg in proof.balances.items()}
    return told | {"stream": str(proof.stream), "events": proof.version, "by_behavior": balances}


def proof_said(shown: Shown) -> str:
    """The first line for people."""
    proof = shown.proof
    if isinstance(proof, EventProof):
        return f"proven: this event is at position {proof.event.position} of the log"
    if not isinstance(proof, BalanceProof):
        return f"proven: the first {_old(shown).size:,} events of the log are the same ever since"
    size = shown.attested.checkpoint.size
    return f"proven: as of position {size:,} account {proof.stream} holds this by all of its {proof.version} events"


def proof_pairs(shown: Shown) -> Pairs:
    """A proof, for people. What a stranger wrote is not made printable here."""
    checkpoint, proof = shown.attested.checkpoint, shown.proof
    pairs = [
        ("log", checkpoint.origin),
        ("log size", f"{checkpoint.size:,}"),
        ("witnesses", witnesses_text(shown.attested)),
    ]
    if isinstance(proof, EventProof):
        return [*pairs, ("event", proof.event.topic), ("facts", proof.event.facts)]
    if not isinstance(proof, BalanceProof):
        return [*pairs, ("older root", _old(shown).root.hex()), ("root", checkpoint.root.hex())]
    return [*pairs, *((behavior, f"{mg} mg") for behavior, mg in proof.balances.items())]


def witnesses_json(attested: Attested) -> list[dict[str, str]]:
    """Who signed too, and when by his own clock, for machines."""
    return [
        {
            "name": line.name,
            "public_key": key.hex(),
            "signed_at": instant_text((line.signed_s or 0) * 1_000_000),
        }
        for line, key in attested.witnesses
    ]


def witnesses_text(attested: Attested) -> str:
    """The same for people."""
    told = [f"{each['name']} at {each['signed_at']}" for each in witnesses_json(attested)]
    return ", ".join(told) or "none asked for"


def _old(shown: Shown) -> Checkpoint:
    assert shown.old is not None
    return shown.old
