"""Whose word a checkpoint is: the log's, by a key that the auditor brought along, and that of witnesses.

Keeps: a key named in the note is nothing; only keys that were handed in count. A wrong signature under a known name and
key is a failure, not an unknown key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain.audit.checkpoint import Checkpoint, parse_body
from domain.audit.note import key_hash_of, parse_note, signed_message
from domain.errors import Rejected
from domain.signing_keys import Verify

UNCOMPRESSED = b"\x04"


class Trusted(NamedTuple):
    """Public keys of 64 bytes that the auditor knows from elsewhere. ``need``: how many witnesses must have signed."""

    log_keys: Sequence[bytes]
    witness_keys: Sequence[bytes] = ()
    need: int = 0


class Attested(NamedTuple):
    """A checkpoint that the log signed. ``signed_by``: the log's key; ``witnesses``: those who signed it too."""

    checkpoint: Checkpoint
    signed_by: bytes
    witnesses: list[str]


def attested(note: bytes, trusted: Trusted, verify: Verify) -> Attested:
    """Check a note's signatures.

    Raises Corrupt ``note_malformed``, ``checkpoint_malformed``; Rejected ``signature_wrong``, ``key_unknown``,
    ``witnesses_missing``.
    """
    body, signatures = parse_note(note)
    checkpoint, message = parse_body(body), signed_message(body)
    signed_by, witnesses = b"", list[str]()
    for each in signatures:
        is_log = each.name == checkpoint.origin
        for key in trusted.log_keys if is_log else trusted.witness_keys:
            if each.key_hash != key_hash_of(each.name, UNCOMPRESSED + key):
                continue
            if not verify(key, message, each.signature):
                raise _refused("signature_wrong", f"the signature of {each.name} is not over this checkpoint")
            if is_log:
                signed_by = key
            else:
                witnesses.append(each.name)
    if not signed_by:
        raise _refused("key_unknown", f"none of the keys given has signed the checkpoint of {checkpoint.origin}")
    if len(witnesses) < trusted.need:
        raise _refused("witnesses_missing", f"{len(witnesses)} of the witnesses known have signed, {trusted.need} must")
    return Attested(checkpoint, signed_by, witnesses)


def _refused(code: str, message: str) -> Rejected:
    remedy = "check that the key files are the right ones; if they are, keep the checkpoint as evidence"
    return Rejected(code, message, field="checkpoint", remedy=remedy)
