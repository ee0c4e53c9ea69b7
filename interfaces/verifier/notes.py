"""``note``: whether a checkpoint of the log is signed by the key that an auditor was given (docs/spec/log.md).

Leaves to the auditor: where the key comes from, and comparing the checkpoint with those that others hold.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from application.ports.verifier import Verifier
from application.verification.notes import Attested, attested
from application.verification.telling import witnesses_json, witnesses_text
from domain.audit.note import MAX_NOTE_BYTES
from domain.errors import Rejected
from domain.instants import instant_text
from infrastructure.gm.sm2_format import key_id
from interfaces.verifier import keys
from interfaces.verifier.answers import Answer

ABOUT = "Check that a checkpoint of the log is signed by its key, and show it."


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the signed note")
    keys.add_arguments(parser)
    parser.add_argument("--origin", metavar="NAME", help="the name that the log must have; without it, any")


def run(arguments: Namespace, verifier: Verifier) -> Answer:
    """Verify one note. Raises WrongUsage, and as ``attested`` whatever is wrong with the note."""
    trusted = keys.trusted(arguments)
    found = attested(keys.read(arguments.file, MAX_NOTE_BYTES, "FILE"), trusted, verifier.verify)
    if arguments.origin not in (None, found.checkpoint.origin):
        remedy = "fetch the checkpoint of the right log; the key has signed for both"
        raise Rejected("other_origin", f"the checkpoint is of {found.checkpoint.origin}", field="origin", remedy=remedy)
    return _answer(found)


def _answer(found: Attested) -> Answer:
    checkpoint, key = found.checkpoint, key_id(found.signed_by)
    payload: dict[str, Any] = {
        "ok": True,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "rulebook_position": checkpoint.rulebook_position,
        "recorded_at": instant_text(checkpoint.recorded_us),
        "map": None,
        "key": key,
        "signed_by": found.signed_by.hex(),
        "witnesses": witnesses_json(found),
    }
    human = [
        ("log", checkpoint.origin),
        ("signed by", f"key {key}"),
        ("witnesses", witnesses_text(found)),
        ("events", f"{checkpoint.size:,}, the last one recorded at {payload['recorded_at']}"),
        ("root", payload["root"]),
        ("rulebook", f"position {checkpoint.rulebook_position}"),
    ]
    if checkpoint.map_position:
        payload["map"] = {"position": checkpoint.map_position, "root": checkpoint.map_root.hex()}
        human.append(("book map", f"as of position {checkpoint.map_position}, root {payload['map']['root']}"))
    return Answer(payload, human)
