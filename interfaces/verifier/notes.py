"""``note``: whether a checkpoint of the log is signed by the key that an auditor was given (docs/spec/log.md).

Keeps: the steps of the specification in their order; a signature under the known name and key hash that is wrong is a
failure, never an unknown key. Lines of other keys are shown and not judged.
Leaves to the auditor: where the key comes from, and comparing the checkpoint with those that others hold.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, NamedTuple

from application.ports.verifier import Verifier
from domain.audit.checkpoint import Checkpoint, parse_body
from domain.audit.note import MAX_NOTE_BYTES, NoteSignature, key_hash_of, parse_note, signed_message
from domain.errors import Corrupt, Rejected
from domain.instants import instant_text
from infrastructure.gm.sm2_format import key_id, public_key_from_pem
from interfaces.verifier.answers import Answer, WrongUsage

ABOUT = "Check that a checkpoint of the log is signed by its key, and show it."
_KEEP = "keep the note as evidence, and ask the log's operator"


class Verified(NamedTuple):
    """A checkpoint that the key has signed, and all signatures of its note."""

    checkpoint: Checkpoint
    signatures: list[NoteSignature]


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the signed note")
    parser.add_argument(
        "--key", type=Path, metavar="PEM", required=True, help="the public key of the log, from elsewhere"
    )
    parser.add_argument(
        "--origin", metavar="NAME", help="the name of the log; without it, the name that the note gives"
    )


def run(arguments: Namespace, verifier: Verifier) -> Answer:
    """Verify one note. Raises Corrupt, WrongUsage."""
    note, pem = _read(arguments.file, "FILE"), _read(arguments.key, "--key")
    try:
        public_key = public_key_from_pem(pem.decode("ascii", "replace"))
    except Rejected as error:
        raise WrongUsage(error.message, "--key", error.remedy) from error
    verified = verify_note(note, arguments.origin, public_key, verifier)
    return _answer(verified, key_id(public_key))


def verify_note(note: bytes, origin: str | None, public_key: bytes, verifier: Verifier) -> Verified:
    """The checkpoint of a note signed by the key of 64 bytes.

    Raises Corrupt ``note_malformed``, ``checkpoint_malformed``, ``unknown_key``, ``signature_wrong``, ``other_origin``.
    """
    body, signatures = parse_note(note)
    claimed = body.partition(b"\n")[0].decode()
    name = claimed if origin is None else origin
    key_hash = key_hash_of(name, b"\4" + public_key)
    signature = next((each.signature for each in signatures if each[:2] == (name, key_hash)), None)
    if signature is None:
        raise Corrupt("unknown_key", f"no signature is by this key in the name {name}", field="signature", remedy=_KEEP)
    if not verifier.verify(public_key, signed_message(body), signature):
        raise Corrupt("signature_wrong", "the signature is not the key's over this text", field=name, remedy=_KEEP)
    checkpoint = parse_body(body)
    if checkpoint.origin != name:
        raise Corrupt(
            "other_origin", f"the checkpoint is of {checkpoint.origin}, not of {name}", field="origin", remedy=_KEEP
        )
    return Verified(checkpoint, signatures)


def _read(path: Path, field: str) -> bytes:
    """The file, or as much of it as shows that it is too long."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise WrongUsage(f"{path}: {error.strerror}", field, "check the name and the permissions") from error


def _answer(verified: Verified, key: str) -> Answer:
    checkpoint, signatures = verified
    payload: dict[str, Any] = {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "rulebook_position": checkpoint.rulebook_position,
        "recorded_at": instant_text(checkpoint.recorded_us),
        "map": None,
        "key": key,
        "signatures": [{"name": each.name, "key_hash": each.key_hash.hex()} for each in signatures],
    }
    human = [
        ("signed by", f"{checkpoint.origin}, key {key}"),
        ("events", f"{checkpoint.size:,}, the last one recorded at {payload['recorded_at']}"),
        ("root", payload["root"]),
        ("rulebook", f"position {checkpoint.rulebook_position}"),
    ]
    if checkpoint.map_position:
        payload["map"] = {"position": checkpoint.map_position, "root": checkpoint.map_root.hex()}
        human.append(("book map", f"as of position {checkpoint.map_position}, root {payload['map']['root']}"))
    human += [("not judged", f"{len(signatures) - 1} signatures by other keys")] if len(signatures) > 1 else []
    return Answer(payload, human)
