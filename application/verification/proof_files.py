"""The file of one proof: whose checkpoint it is, and whether it shows what it says."""

from __future__ import annotations

from typing import NamedTuple

from application.verification.notes import Attested, Trusted, attested
from domain.audit.proofs import BalanceProof, EventProof, check_balance, check_event, parse_proof
from domain.signing_keys import Verify


class Shown(NamedTuple):
    """A proof that was found good."""

    proof: EventProof | BalanceProof
    attested: Attested


def check_proof(text: bytes, trusted: Trusted, verify: Verify) -> Shown:
    """Raises Rejected and Corrupt as ``attested``, ``parse_proof``, ``check_event`` and ``check_balance``."""
    proof, note = parse_proof(text)
    by = attested(note, trusted, verify)
    if isinstance(proof, EventProof):
        check_event(proof, by.checkpoint)
    else:
        check_balance(proof, by.checkpoint)
    return Shown(proof, by)
