"""What witnesses gave to this log's checkpoints: checked, kept beside them, and put into their notes.

Keeps: a cosignature is kept only under a key that somebody named as a witness's, and for a checkpoint that this log
signed with the same text; what is kept is checked again before it goes into a note.
Leaves to whoever reads the note: which witnesses to trust, and how many of them to ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from application.checkpoints import Auditing, Signed, origin_of, verified
from application.ports.audit_log import Kept
from application.verification.notes import cosigned
from domain.audit.checkpoint import Checkpoint
from domain.audit.note import MAX_SIGNATURES, Cosignature, note_of, parse_note
from domain.errors import Corrupt, Rejected


class Collected(NamedTuple):
    """What a note held. ``known``: by known witnesses; ``new``: how many of these were not kept before."""

    checkpoint: Checkpoint
    known: list[Cosignature]
    new: int


def cosigned_note(auditing: Auditing, signed: Signed) -> bytes:
    """A checkpoint's note with all cosignatures that are kept. Raises Corrupt ``cosignature_forged``."""
    body, signatures = parse_note(signed.note)
    size, lines = signed.checkpoint.size, list(signatures)
    for line, key in auditing.log.cosignatures(_kept(signed.checkpoint, signed.note)):
        try:
            fits = cosigned(body, [line], [key], auditing.verifier.verify)
        except Rejected:
            fits = []
        if not fits:
            raise Corrupt(
                "cosignature_forged",
                f"what is kept as the cosignature of {line.name} is not over the checkpoint of size {size}",
                field=f"journal.cosignatures {size}",
                remedy="keep the database as evidence, and ask the witness for its cosignature again",
            )
        lines.append(line)
    return note_of(body, lines)


def collect(auditing: Auditing, note: bytes, witness_keys: Sequence[bytes]) -> Collected:
    """Keep what known witnesses gave to a checkpoint of this log; ``note`` is from outside.

    Raises Corrupt ``note_malformed``, ``checkpoint_malformed``, ``signature_wrong`` (of the log); Rejected
    ``signature_wrong`` (of a witness), ``no_checkpoint``, ``too_many_witnesses``.
    """
    log, verifier = auditing.log, auditing.verifier
    with log.signing():
        checkpoint = verified(verifier, origin_of(log.head().book), note, auditing.keys())
        body, signatures = parse_note(note)
        known = cosigned(body, signatures, witness_keys, verifier.verify)
        of_this_size = log.checkpoints(checkpoint.size - 1, checkpoint.size)
        kept = next((each for each in list(of_this_size) if parse_note(each.note)[0] == body), None)
        if kept is None:
            raise Rejected(
                "no_checkpoint",
                f"this log keeps no checkpoint of size {checkpoint.size} that says the same",
                field="checkpoint",
                remedy="run `carbon-ledger check`, and compare the log with this checkpoint",
            )
        new = sum(log.keep_cosignature(kept, each) for each in known)
        if len(log.cosignatures(kept)) >= MAX_SIGNATURES:
            raise Rejected(
                "too_many_witnesses",
                f"a note has room for {MAX_SIGNATURES - 1} cosignatures",
                remedy="ask fewer witnesses",
            )
    return Collected(checkpoint, known, new)


def _kept(checkpoint: Checkpoint, note: bytes) -> Kept:
    return Kept(checkpoint.size, checkpoint.map_position, [], note)
