"""Whose word a checkpoint is: the log's, by a key that the auditor brought along, and that of witnesses.

Keeps: a key named in the note is nothing; only keys that were handed in count. A wrong signature under a known name and
key is a failure, not an unknown key. A witness is its key, whatever names it signs under, and never the log itself;
more than half of the witnesses must be asked for, or two histories could each find enough of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from domain.actors import person_of
from domain.audit.checkpoint import Checkpoint, parse_body
from domain.audit.note import (
    Cosignature,
    NoteSignature,
    cosigned_message,
    cosigner_hash_of,
    key_hash_of,
    parse_note,
    signed_message,
)
from domain.errors import Rejected
from domain.signing_keys import Verify

UNCOMPRESSED = b"\x04"
_NEED = re.compile(r"(0|[1-9][0-9]?)(?: of (0|[1-9][0-9]?))?")


class Trusted(NamedTuple):
    """Public keys of 64 bytes that the auditor knows from elsewhere. ``need``: how many witnesses must have signed.

    ``actors``: names of people and keys of theirs, several for one who has changed his.
    """

    log_keys: Sequence[bytes]
    witness_keys: Sequence[bytes] = ()
    need: int = 0
    actors: Sequence[tuple[str, bytes]] = ()

    @property
    def pinned(self) -> dict[str, frozenset[bytes]]:
        """The keys of each of these people, by his name in one spelling."""
        found: dict[str, frozenset[bytes]] = {}
        for name, key in self.actors:
            person = person_of(name)
            found[person] = found.get(person, frozenset()) | {key}
        return found


class Attested(NamedTuple):
    """A checkpoint that the log signed. ``signed_by``: the log's key; ``witnesses``: those known who signed it too."""

    checkpoint: Checkpoint
    signed_by: bytes
    signature: bytes
    witnesses: list[Cosignature]


def trusted_by(
    log_keys: Sequence[bytes],
    witness_keys: Sequence[bytes] = (),
    need: str | None = None,
    actors: Sequence[tuple[str, bytes]] = (),
) -> Trusted:
    """What an auditor trusts. ``need``: ``K`` or ``K of N``; without it, more than half. Raises ValueError."""
    witnesses = list(dict.fromkeys(witness_keys))
    if set(witnesses) & set(log_keys):
        raise ValueError("a key of the log cannot be its own witness")
    count = len(witnesses)
    if need is None:
        return Trusted(log_keys, witnesses, count // 2 + 1 if count else 0, actors)
    found = _NEED.fullmatch(need)
    if found is None:
        raise ValueError(f"{need!r} is not a number of witnesses, such as 2 or '2 of 3'")
    if found[2] is not None and int(found[2]) != count:
        raise ValueError(f"{need!r} speaks of {found[2]} witnesses; the keys of {count} are given")
    least = int(found[1])
    if least > count or (count and 2 * least <= count):
        raise ValueError(f"of {count} witnesses more than half must be needed, and not more than all, not {least}")
    return Trusted(log_keys, witnesses, least, actors)


def attested(note: bytes, trusted: Trusted, verify: Verify) -> Attested:
    """Check a note's signatures.

    Raises Corrupt ``note_malformed``, ``checkpoint_malformed``; Rejected ``signature_wrong``, ``key_unknown``,
    ``witnesses_missing``.
    """
    body, signatures = parse_note(note)
    checkpoint = parse_body(body)
    signed_by, signature = signed_by_log(checkpoint.origin, body, signatures, trusted, verify)
    witnesses = cosigned(body, signatures, trusted.witness_keys, verify)
    if len(witnesses) < trusted.need:
        raise _refused("witnesses_missing", f"{len(witnesses)} of the witnesses known have signed, {trusted.need} must")
    return Attested(checkpoint, signed_by, signature, witnesses)


def signed_by_log(
    name: str, body: bytes, signatures: Sequence[NoteSignature], trusted: Trusted, verify: Verify
) -> tuple[bytes, bytes]:
    """The log's key that signed a text under its name, and the signature.

    Raises Rejected ``signature_wrong``, ``key_unknown``.
    """
    signed_by = signature = b""
    for each in signatures:
        if each.signed_s is None and each.name == name:
            for key in trusted.log_keys:
                if each.key_hash == key_hash_of(each.name, UNCOMPRESSED + key):
                    if not verify(key, signed_message(body), each.signature):
                        raise _refused("signature_wrong", f"the signature of {each.name} is not over this text")
                    signed_by, signature = key, each.signature
    if not signed_by:
        raise _refused("key_unknown", f"none of the keys given has signed as {name}; after a rotation give each --key")
    return signed_by, signature


def cosigned(
    body: bytes, signatures: Sequence[NoteSignature], witness_keys: Sequence[bytes], verify: Verify
) -> list[Cosignature]:
    """The witnesses known that signed a text, each key once. Raises Rejected ``signature_wrong``."""
    found: dict[bytes, Cosignature] = {}
    for each in signatures:
        if each.signed_s is None:
            continue
        for key in witness_keys:
            if each.key_hash == cosigner_hash_of(each.name, UNCOMPRESSED + key):
                if not verify(key, cosigned_message(body, each.signed_s), each.signature):
                    raise _refused("signature_wrong", f"the cosignature of {each.name} is not over this checkpoint")
                found.setdefault(key, Cosignature(each, key))
    return list(found.values())


def _refused(code: str, message: str) -> Rejected:
    remedy = "check that the key files are the right ones; if they are, keep the checkpoint as evidence"
    return Rejected(code, message, field="checkpoint", remedy=remedy)
