"""The exchange between a log and its witnesses, step by step, from both ends.

Keeps: a witness says where it stands with a note it signed; the log asks with a proof that begins there. A lost file,
an old one or a crash on either side costs a step and nothing else. The log looks at what a witness holds first: a
checkpoint that this log's key signed, and that this log does not lead on from, says that the log was changed or cut.
All witnesses are asked for the same checkpoint until they signed it or patience ends, so that one has enough of them.
Leaves to ``witnessing``: whether to sign. Leaves to the caller: how often, and what to tell whom.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from application.checkpoints import Auditing, Signed, origin_of, sign, verified
from application.cosignatures import collect
from application.ports.witness_folder import LogSide, WitnessSide
from application.proofs import path_between
from application.witnessing import Cosigned, Refused, Witness
from domain.audit.checkpoint import Checkpoint, parse_body
from domain.audit.note import parse_note
from domain.audit.proofs import ConsistencyProof, consistency_proof_text, parse_proof
from domain.audit.witnessing import STALE, contradiction
from domain.digest import sm3_hex
from domain.errors import Corrupt, LedgerError, Rejected, Unavailable

ANSWER_FORMAT = "carbon-ledger/witness-answer/1"
SILENT, ASKED, COSIGNED, AHEAD, REFUSED, FAILED = "silent", "asked", "cosigned", "ahead", "refused", "failed"
"""No word of the witness yet; asked; it signed what is asked for; it signed a later one already; it said no; the folder
or what the witness wrote there cannot be used."""
_SIGNED = frozenset((COSIGNED, AHEAD))
DONE = _SIGNED | {REFUSED}


class Exchanged(NamedTuple):
    """How a log and a witness stand. ``size``: of the newest checkpoint that the witness signed, 0 if unknown.

    ``code``, ``message``: why it refused or failed. ``new``: cosignatures that were not kept before.
    """

    place: str
    state: str
    size: int = 0
    code: str = ""
    message: str = ""
    new: int = 0


def exchange(auditing: Auditing, folder: LogSide, witness_keys: Sequence[bytes], wanted: Signed) -> Exchanged:
    """Take what the witness answered, and ask it for a checkpoint of this log, unless it signed it.

    Raises Corrupt ``log_behind_witness``, ``log_forked`` and as ``sign``.
    """
    # One at a time also at the folder: a request never goes back to an older checkpoint.
    with auditing.log.signing():
        try:
            return _exchanged(auditing, folder, witness_keys, wanted)
        except (Unavailable, Rejected) as error:
            if isinstance(error, Unavailable) and error.code != "folder_failed":
                raise
            return Exchanged(folder.place, FAILED, 0, error.code, error.message)


def _exchanged(auditing: Auditing, folder: LogSide, witness_keys: Sequence[bytes], wanted: Signed) -> Exchanged:
    answer = folder.answer()
    if answer is None:
        return Exchanged(folder.place, SILENT)
    try:
        at = verified(auditing.verifier, origin_of(auditing.log.head().book), answer, auditing.keys())
    except Corrupt as error:
        text = f"what the witness wrote is no checkpoint that this log signed: {error.message}"
        return Exchanged(folder.place, FAILED, 0, error.code, text)
    now = wanted.checkpoint if at.size <= wanted.checkpoint.size else sign(auditing).checkpoint
    _check_leads_on(auditing, at, now, folder.place)
    known, new = _collected(auditing, answer, witness_keys)
    stands = Exchanged(folder.place, COSIGNED, at.size, new=new)
    if not known:
        text = "its cosignature is by none of the witness keys that were given"
        return stands._replace(state=FAILED, code="witness_unknown", message=text)
    there, to = (at.size, at.map_position), (wanted.checkpoint.size, wanted.checkpoint.map_position)
    if there >= to:
        return stands if there == to else stands._replace(state=AHEAD)
    proof = ConsistencyProof(answer, path_between(auditing, at.size, wanted.checkpoint))
    request = consistency_proof_text(proof, wanted.note).encode()
    before = folder.asked()
    if before != request and _asked_for(before) <= to:
        folder.ask(request)
    code, message = _refusal_of(folder.refusal(), request)
    if code in ("", STALE):
        return stands._replace(state=ASKED)
    return stands._replace(state=REFUSED, code=code, message=message)


def _collected(auditing: Auditing, answer: bytes, witness_keys: Sequence[bytes]) -> tuple[bool, int]:
    """Whether a known witness signed it, and how many cosignatures were new."""
    try:
        collected = collect(auditing, answer, witness_keys)
    except Rejected as error:
        if error.code != "no_checkpoint":
            raise
        return True, 0  # it was signed, and lost before it was kept: the next one is asked for all the same
    return bool(collected.known), collected.new


def _check_leads_on(auditing: Auditing, at: Checkpoint, now: Checkpoint, place: str) -> None:
    if at.size > now.size:
        raise Corrupt(
            "log_behind_witness",
            f"the log has {now.size} events; the witness holds a checkpoint of {at.size}, signed by this log's key",
            field=place,
            remedy="the end of the log was lost: restore the newest backup before anybody writes again",
        )
    found = contradiction(at, now, path_between(auditing, at.size, now))
    if found is not None:
        raise Corrupt(
            "log_forked",
            f"the witness holds a checkpoint of {at.size} events that this log's key signed: {found.message}",
            field=place,
            remedy="stop writing, keep the database and the witness's note as evidence: what was signed was changed",
        )


def _asked_for(request: bytes | None) -> tuple[int, int]:
    """Size and map position of the checkpoint that was asked for last."""
    try:
        checkpoint = parse_body(parse_note(parse_proof(request or b"")[1])[0])
    except LedgerError:
        return 0, 0
    return checkpoint.size, checkpoint.map_position


class Rounds:
    """All witnesses of a log, asked for one checkpoint at a time."""

    def __init__(
        self, auditing: Auditing, folders: Sequence[LogSide], witness_keys: Sequence[bytes], patience: int = 0
    ) -> None:
        """``patience``: how many steps a checkpoint is asked for before a newer one takes its place."""
        self._auditing, self._folders, self._keys, self._patience = auditing, folders, witness_keys, patience
        self._wanted: Signed | None = None
        self._steps = 0
        self._found: list[Exchanged] = []

    def step(self, newest: Signed) -> list[Exchanged]:
        """Look at every folder once. A checkpoint with a map does not wait: balances are proven by it."""
        if self._wanted is not None and newest.note == self._wanted.note:
            if self._found and all(each.state in _SIGNED for each in self._found):
                return [each._replace(new=0) for each in self._found]
        elif self._wanted is None or self._steps >= self._patience or self._is_mapped_now(newest):
            self._wanted, self._steps = newest, 0
        self._steps += 1
        found = [exchange(self._auditing, folder, self._keys, self._wanted) for folder in self._folders]
        if all(each.state in DONE for each in found):
            self._steps = self._patience
        self._found = found
        return found

    def _is_mapped_now(self, newest: Signed) -> bool:
        assert self._wanted is not None
        return newest.checkpoint.map_position > self._wanted.checkpoint.map_position


def refusal_text(refused: Refused, request: bytes) -> bytes:
    """What a witness says to the log."""
    told = {
        "format": ANSWER_FORMAT,
        "request_sm3": sm3_hex(request),
        "code": refused.code,
        "message": refused.message,
        "size": refused.checkpoint.size,
    }
    return json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n"


def _refusal_of(text: bytes | None, request: bytes) -> tuple[str, str]:
    """Code and message, if it is about this request."""
    try:
        told = json.loads((text or b"{}").decode("utf-8"))
        if told.get("format") == ANSWER_FORMAT and told["request_sm3"] == sm3_hex(request):
            return str(told["code"])[:100], str(told["message"])[:1_000]
    except (ValueError, KeyError, AttributeError, RecursionError):
        pass
    return "", ""


class Answering:
    """The witness's end of a folder."""

    def __init__(self, witness: Witness, folder: WitnessSide) -> None:
        self._witness, self._folder = witness, folder
        self._last = (b"", "")

    def begin(self) -> Checkpoint:
        """Say where the witness stands."""
        stands = self._witness.newest()
        self._folder.answer(stands.note)
        return stands.checkpoint

    def step(self) -> Cosigned | Refused | None:
        """Answer what is asked; None if nothing new is. What was refused is tried again: keys change."""
        request = self._folder.request()
        if request is None or (request, "") == self._last:
            return None
        try:
            result = self._witness.cosign(request)
        except Rejected as error:
            result = Refused(error.code, error.message, self._witness.stands(), "")
        if isinstance(result, Cosigned):
            self._folder.answer(result.note)
            self._last = (request, "")
            return result
        if (request, result.code) == self._last:
            return None
        self._folder.refuse(refusal_text(result, request))
        self._last = (request, result.code)
        return result
