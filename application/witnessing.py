"""A witness: it signs a log's checkpoints as long as they belong to one history, and keeps what does not.

Keeps: a checkpoint is accepted durably before its cosignature is made, in one process at a time; so whatever the moment
of a crash, no two histories are ever signed. A new key of the log is trusted only by the statement that the old key
and the new one signed, and by somebody who says so. Every refusal of something that the log's key signed is evidence.
Leaves to ``domain.audit.witnessing``: what may follow what. Leaves to the caller: how requests and answers travel.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from application.ports.signer import Signer
from application.ports.verifier import Verifier
from application.ports.witness_home import Known, WitnessHome
from application.verification.notes import UNCOMPRESSED, Trusted, attested
from domain.audit.checkpoint import Checkpoint, parse_body
from domain.audit.note import (
    NoteSignature,
    cosigned_message,
    cosigner_hash_of,
    is_name,
    key_hash_of,
    note_of,
    parse_note,
)
from domain.audit.proofs import ConsistencyProof, EventProof, book_of, parse_proof
from domain.audit.witnessing import STALE, Refusal, is_newer, refusal
from domain.digest import sm3_hex
from domain.errors import Corrupt, LedgerError, Rejected
from domain.events.keys import SigningKeyRotated
from domain.instants import instant_text
from domain.signing_keys import SIGNING_KEYS, SigningKey, continued, key_at

REFUSAL_FORMAT = "carbon-ledger/witness-refusal/1"
UNSIGNED = "not-signed-by-the-log.json"
"""Where the last refused request is kept that the log's key did not sign: anybody may have written it."""


class Cosigned(NamedTuple):
    """A checkpoint that was signed. ``note``: with both signatures. ``is_new``: it became the newest by this."""

    checkpoint: Checkpoint
    note: bytes
    is_new: bool


class Refused(NamedTuple):
    """A request that was refused. ``evidence``: where it is kept; ``checkpoint``: the newest that was accepted."""

    code: str
    message: str
    checkpoint: Checkpoint
    evidence: str


@dataclass(frozen=True)
class Witness:
    """``now_s``: seconds since 1970 by the witness's own clock."""

    home: WitnessHome
    signer: Signer
    verifier: Verifier
    now_s: Callable[[], int]

    def stands(self) -> Checkpoint:
        """The newest checkpoint that was accepted."""
        with self.home.exclusive():
            return self._seen(self.home.known())

    def newest(self) -> Cosigned:
        """The same, signed with the time of now."""
        with self.home.exclusive():
            known = self.home.known()
            return Cosigned(self._seen(known), self._cosigned(known.name, known.note), is_new=False)

    def cosign(self, request: bytes) -> Cosigned | Refused:
        """Sign the newer checkpoint of a consistency proof. Raises Rejected ``proof_malformed``."""
        with self.home.exclusive():
            known = self.home.known()
            seen = self._seen(known)
            proof, note = parse_proof(request)
            if not isinstance(proof, ConsistencyProof):
                raise _malformed("a witness is asked with a consistency proof")
            try:
                shown, own = self._signed(note, known)
                began, _ = self._signed(proof.old, known)
            except LedgerError as error:
                return self._refused(Refusal(error.code, error.message), known, seen, request, by_log=False)
            found = refusal(seen, began, shown, proof.path)
            if found is not None:
                return self._refused(found, known, seen, request, by_log=True)
            newer = is_newer(seen, shown)
            if newer:
                self.home.accept(own)  # before anybody, this process too, holds a signature over it
            return Cosigned(shown, self._cosigned(known.name, own), is_new=newer)

    def trust(self, text: bytes) -> SigningKey:
        """Trust the log's next key, by the proof of the event that says so; its statement is signed by both keys.

        Raises Rejected ``proof_malformed``, ``not_a_rotation``, ``key_out_of_range``; Corrupt ``signing_key_forged``.
        """
        proof, _ = parse_proof(text)
        if not isinstance(proof, EventProof):
            raise _malformed("the proof of an event is expected")
        recorded = proof.event.recorded()
        with self.home.exclusive():
            known = self.home.known()
            if recorded.stream != SIGNING_KEYS or not isinstance(recorded.event, SigningKeyRotated):
                raise Rejected(
                    "not_a_rotation",
                    "the event does not rotate the log's signing key",
                    field="proof",
                    remedy="ask for `prove event` of the first log size that `keys show` tells of the new key",
                )
            if recorded.event.key == known.keys[-1].key:
                return known.keys[-1]
            keys = continued(str(UUID(bytes=book_of(known.origin))), list(known.keys), recorded, self.verifier.verify)
            if keys[-1].first_size <= self._seen(known).size:
                raise Rejected(
                    "key_out_of_range",
                    "a checkpoint by the old key was accepted for a size that the new one signs",
                    field="proof",
                    remedy="ask the log's operator which of the two was signed by mistake; keep both",
                )
            self.home.trust(keys)
            return keys[-1]

    def _seen(self, known: Known) -> Checkpoint:
        try:
            return self._signed(known.note, known)[0]
        except LedgerError as error:
            raise Corrupt(
                "witness_damaged",
                f"the newest note that this witness accepted is none any more ({error.message})",
                field="accepted",
                remedy="do not sign: begin anew with the newest checkpoint that carries this witness's cosignature",
            ) from error

    def _signed(self, note: bytes, known: Known) -> tuple[Checkpoint, bytes]:
        """A checkpoint by the log's key of its size, and its note without the words of others."""
        body, signatures = parse_note(note)
        key = key_at(known.keys, parse_body(body).size)
        found = attested(note, Trusted([] if key is None else [key.public_key]), self.verifier.verify)
        key_hash = key_hash_of(found.checkpoint.origin, UNCOMPRESSED + found.signed_by)
        own = [each for each in signatures if (each.name, each.key_hash) == (found.checkpoint.origin, key_hash)]
        return found.checkpoint, note_of(body, own)

    def _cosigned(self, name: str, note: bytes) -> bytes:
        body, signatures = parse_note(note)
        now_s = self.now_s()
        signature = self.signer.sign(cosigned_message(body, now_s))
        key_hash = cosigner_hash_of(name, UNCOMPRESSED + self.signer.public_key)
        return note_of(body, [*signatures, NoteSignature(name, key_hash, signature, now_s)])

    def _refused(self, why: Refusal, known: Known, seen: Checkpoint, request: bytes, *, by_log: bool) -> Refused:
        if why.code == STALE:
            return Refused(*why, seen, "")
        told = {
            "format": REFUSAL_FORMAT,
            "code": why.code,
            "message": why.message,
            "refused_at": instant_text(self.now_s() * 1_000_000),
            "accepted": known.note.decode(),
            "request": json.loads(request),
        }
        name = f"{sm3_hex(known.note + request)[:32]}.json" if by_log else UNSIGNED
        content = json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n"
        return Refused(*why, seen, self.home.keep_evidence(name, content, replace=not by_log))


def beginning(name: str, origin: str, public_key: bytes, note: bytes, verifier: Verifier) -> Known:
    """What a witness begins with: the log's key and a first checkpoint, both handed over by people.

    Raises Corrupt ``note_malformed``, ``checkpoint_malformed``; Rejected ``signature_wrong``, ``key_unknown``,
    ``origin_differs``, ``name_malformed``.
    """
    if not is_name(name) or name == origin:
        raise Rejected(
            "name_malformed",
            "a witness's name is 1 to 100 printable ASCII characters without space and plus, and not the log's",
            field="name",
            remedy="take a name that stands for your organization, such as exchange.example/witness-1",
        )
    checkpoint = attested(note, Trusted([public_key]), verifier.verify).checkpoint
    if checkpoint.origin != origin:
        raise Rejected(
            "origin_differs",
            f"the first checkpoint is of the log {checkpoint.origin}",
            field="first",
            remedy="ask the log's operator for its origin, and for a checkpoint of that log",
        )
    return Known(name, origin, [SigningKey(sm3_hex(public_key)[:32], public_key, 0, None)], note)


def _malformed(message: str) -> Rejected:
    return Rejected("proof_malformed", message, field="proof", remedy="ask for the file that `prove` wrote")
