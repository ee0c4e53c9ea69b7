"""The file of one proof: whose checkpoint it is, and whether it shows what it says."""

from __future__ import annotations

from typing import NamedTuple

from application.verification.notes import Attested, Trusted, attested
from domain.audit.checkpoint import Checkpoint
from domain.audit.proofs import (
    ConsistencyProof,
    EventProof,
    Proof,
    check_balance,
    check_consistency,
    check_event,
    parse_proof,
)
from domain.signing_keys import Verify


class Shown(NamedTuple):
    """A proof that was found good. ``old``: the older checkpoint that a consistency proof begins at."""

    proof: Proof
    attested: Attested
    old: Checkpoint | None = None


def check_proof(text: bytes, trusted: Trusted, verify: Verify) -> Shown:
    """Raises Rejected and Corrupt as ``attested``, ``parse_proof``, ``check_event``, ``check_balance`` ...

    Witnesses are asked for at the newer checkpoint of a consistency proof: what it begins with, they have signed too.
    """
    proof, note = parse_proof(text)
    by = attested(note, trusted, verify)
    if isinstance(proof, EventProof):
        check_event(proof, by.checkpoint)
    elif isinstance(proof, ConsistencyProof):
        old = attested(proof.old, Trusted(trusted.log_keys), verify).checkpoint
        check_consistency(proof, old, by.checkpoint)
        return Shown(proof, by, old)
    else:
        check_balance(proof, by.checkpoint)
    return Shown(proof, by)
