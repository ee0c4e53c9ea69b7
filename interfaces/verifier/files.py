"""``verify``: a bundle, exported events or a proof, as a ledger has written it (docs/spec)."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from application.ports.verifier import Verifier
from application.verification.bundle import verify_bundle
from application.verification.bundle_reader import is_zip
from application.verification.events import is_manifest, verify_events
from application.verification.findings import Findings, printable
from application.verification.proof_files import check_proof
from application.verification.telling import (
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
from domain.audit.proofs import MAX_PROOF_BYTES
from domain.digest import new_sm3
from interfaces.verifier import keys
from interfaces.verifier.answers import DONE, FAILED, Answer, WrongUsage

ABOUT = (
    "Check a bundle, exported events or a proof: signatures, every leaf from its values, every credit computed again."
)
_SHOWN_FINDINGS = 20
_CHARACTERS_SHOWN = 10_000
_BLOCK = 1 << 20


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the bundle, the manifest beside its file, or the proof"
    )
    keys.add_arguments(parser)


def run(arguments: Namespace, verifier: Verifier) -> Answer:
    """Verify one file. Raises WrongUsage, and as ``check_proof`` whatever is wrong with a proof."""
    trusted = keys.trusted(arguments)
    if not _there(arguments.file):
        raise WrongUsage(f"{arguments.file}: there is no such file", "FILE", "check the name")
    keys.read(arguments.file, 0, "FILE")  # what may not be read is wrong usage, not a failed verification
    if not is_zip(arguments.file):
        if is_manifest(arguments.file):
            events = verify_events(arguments.file, trusted, verifier.verify, None)
            return _answer(events_said(events), events_pairs(events), events.findings, events_json(events))
        digest = own_digest()
        shown = check_proof(keys.read(arguments.file, MAX_PROOF_BYTES, "FILE"), trusted, verifier.verify)
        human = [("result", proof_said(shown)), *_printable(proof_pairs(shown)), *_own(digest)]
        return Answer(proof_json(shown) | {"verifier_sm3": digest}, human)
    bundle = verify_bundle(arguments.file, trusted, verifier.verify)
    return _answer(bundle_said(bundle), bundle_pairs(bundle), bundle.findings, bundle_json(bundle))


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be entered: reading it tells that
        return True


def _answer(said: str, pairs: list[tuple[str, str]], findings: Findings, told: dict[str, Any]) -> Answer:
    """What was found in all steps."""
    digest = own_digest()
    steps = [(f"step {step.name}", f"{step.checked:,} checked, {step.wrong:,} findings") for step in findings.steps]
    found = [(each.code, f"{each.place}: {each.message}") for each in findings.kept[:_SHOWN_FINDINGS]]
    if findings.total > _SHOWN_FINDINGS:
        found.append(("and more", f"{findings.total - _SHOWN_FINDINGS:,}; --json lists the first 1,000"))
    human = [("result", said), *_printable([*pairs, *steps, *found]), *_own(digest)]
    return Answer(told | {"verifier_sm3": digest}, human, FAILED if findings.total else DONE)


def _own(digest: str) -> list[tuple[str, str]]:
    return [("verifier", f"SM3 {digest}")] if digest else []


def own_digest() -> str:
    """SM3 of the file that this verifier is; empty where it is not one file."""
    own = Path(sys.argv[0] if sys.argv else "")
    if own.suffix != ".pyz" or not own.is_file():
        return ""
    state = new_sm3()
    with own.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def _printable(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(label, printable(value, _CHARACTERS_SHOWN)) for label, value in pairs]
