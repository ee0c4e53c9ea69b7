"""A witness accepts before it signs, keeps what it refuses, and trusts the log's next key by the old one's word."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from application.ports.witness_home import Known
from application.verification.notes import UNCOMPRESSED
from application.witness_exchange import Answering
from application.witnessing import Cosigned, Refused, Witness, beginning
from domain.audit.checkpoint import Checkpoint, body_of
from domain.audit.merkle import consistency_path, subtree_root
from domain.audit.note import NoteSignature, cosigned_message, cosigner_hash_of, key_hash_of, note_of, parse_note
from domain.audit.proofs import ConsistencyProof, EventProof, ShownEvent, consistency_proof_text, event_proof_text
from domain.digest import leaf_hash, new_sm3, sm3_hex
from domain.errors import Corrupt, Rejected
from domain.events.keys import SigningKeyRotated
from domain.events.registry import encode_part
from domain.signing_keys import SIGNING_KEYS, statement
from infrastructure.memory_witness import MemoryFolder, MemoryWitnessHome

BOOK = UUID(int=7)
ORIGIN = f"carbon-ledger/{BOOK.hex}"
LEAVES = [leaf_hash(bytes([number])) for number in range(9)]
NOW_S = 1_772_323_260


class Key:
    """A key whose signatures anybody could make: what is tested here is when they are made."""

    def __init__(self, number: int) -> None:
        self.public_key = bytes([number]) * 64
        self.key_id = sm3_hex(self.public_key)[:32]

    def sign(self, message: bytes) -> bytes:
        return new_sm3(self.public_key + message).digest() * 2


class Checks:
    """Port ``Verifier`` for such keys."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return signature == new_sm3(public_key + message).digest() * 2


OLD, NEW, OWN = Key(1), Key(2), Key(3)


def note(size: int, key: Key = OLD, leaves: list[bytes] = LEAVES) -> bytes:
    body = body_of(Checkpoint(ORIGIN, size, subtree_root(leaves[:size]), 1, size))
    return note_of(body, [(ORIGIN, key_hash_of(ORIGIN, UNCOMPRESSED + key.public_key), key.sign(body))])


def request(old: int, new: int, key: Key = OLD, leaves: list[bytes] = LEAVES) -> bytes:
    path = consistency_path(old, new, lambda level, number: subtree_root(leaves[number << level :][: 1 << level]))
    return consistency_proof_text(ConsistencyProof(note(old, OLD, leaves), path), note(new, key, leaves)).encode()


def known(size: int = 3) -> Known:
    return beginning("w", ORIGIN, OLD.public_key, note(size), Checks())


class Recording(MemoryWitnessHome):
    """Says in which order things happen, and fails when told."""

    def __init__(self, known: Known) -> None:
        super().__init__(known)
        self.done: list[str] = []
        self.fails = False

    def accept(self, note: bytes) -> None:
        if self.fails:
            raise OSError("no space left")
        self.done.append("accepted")
        super().accept(note)


def made(home: MemoryWitnessHome) -> Witness:
    class Signer(Key):
        def sign(self, message: bytes) -> bytes:
            if isinstance(home, Recording):
                home.done.append("signed")
            return super().sign(message)

    return Witness(home, Signer(3), Checks(), lambda: NOW_S)


def size_of(home: MemoryWitnessHome) -> int:
    return made(home).stands().size


def test_a_checkpoint_is_accepted_before_it_is_signed_with_the_witnesss_own_time() -> None:
    home = Recording(known())
    result = made(home).cosign(request(3, 8))
    assert isinstance(result, Cosigned)
    assert home.done == ["accepted", "signed"]
    body, (log, own) = parse_note(result.note)
    assert note_of(body, [log]) == note(8)
    signature = OWN.sign(cosigned_message(body, NOW_S))
    assert own == NoteSignature("w", cosigner_hash_of("w", UNCOMPRESSED + OWN.public_key), signature, NOW_S)
    again = made(home).cosign(request(3, 8))
    assert isinstance(again, Cosigned)
    assert (again.is_new, home.done) == (False, ["accepted", "signed", "signed"])


def test_what_cannot_be_accepted_is_not_signed() -> None:
    home = Recording(known())
    home.fails = True
    with pytest.raises(OSError, match="no space"):
        made(home).cosign(request(3, 8))
    assert (home.done, size_of(home)) == ([], 3)


def test_the_words_of_others_are_not_carried_along() -> None:
    body, (own,) = parse_note(note(8))
    stranger = NoteSignature("other", b"abcd", bytes(64), 5)
    asked = json.loads(request(3, 8)) | {"checkpoint": note_of(body, [stranger, own]).decode()}
    home = MemoryWitnessHome(known())
    result = made(home).cosign(json.dumps(asked).encode())
    assert isinstance(result, Cosigned)
    assert [each.name for each in parse_note(result.note)[1]] == [ORIGIN, "w"]
    assert home.known().note == note(8)


def refused(home: MemoryWitnessHome, asked: bytes) -> Refused:
    result = made(home).cosign(asked)
    assert isinstance(result, Refused)
    assert result.message
    return result


FORK = [*LEAVES[:2], *(leaf_hash(bytes([99, number])) for number in range(7))]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (request(2, 2), "log_rolled_back"),
        (request(3, 8, leaves=FORK), "log_forked"),
        (json.dumps(json.loads(request(3, 8)) | {"path": []}).encode(), "not_consistent"),
    ],
)
def test_what_the_logs_key_signed_and_is_refused_is_kept_with_both_notes_once(asked: bytes, code: str) -> None:
    home = MemoryWitnessHome(known())
    assert refused(home, asked).code == code
    assert refused(home, asked).evidence == home.evidence()[0]
    (content,) = home.kept.values()
    told = json.loads(content)
    assert (told["code"], told["accepted"], told["request"]) == (code, note(3).decode(), json.loads(asked))
    assert (told["format"], told["refused_at"]) == ("carbon-ledger/witness-refusal/1", "2026-03-01T00:01:00Z")
    assert size_of(home) == 3


def test_what_anybody_could_have_written_takes_the_place_of_one_file_only() -> None:
    home = MemoryWitnessHome(known())
    for asked, code in (
        (request(3, 8, NEW), "key_unknown"),
        (request(3, 8).replace(b"rulebook 1", b"rulebook 2"), "signature_wrong"),
        (request(3, 8).replace(b"rulebook 1", b"rulebook 01"), "checkpoint_malformed"),
        (json.dumps(json.loads(request(3, 8)) | {"checkpoint": "x"}).encode(), "note_malformed"),
    ):
        assert refused(home, asked).code == code
    assert home.evidence() == ["not-signed-by-the-log.json"]
    assert refused(home, request(2, 8)) == Refused(
        "proof_elsewhere", "the proof begins at 2; the last checkpoint accepted has size 3", made(home).stands(), ""
    )
    for asked in (b"", b"{}", event_proof_text(EventProof(rotation(), []), note(3)).encode()):
        with pytest.raises(Rejected) as failure:
            made(home).cosign(asked)
        assert failure.value.code == "proof_malformed"
    assert home.evidence() == ["not-signed-by-the-log.json"]


def test_a_witness_whose_newest_note_was_damaged_signs_nothing() -> None:
    for damaged in (b"", note(3, NEW), note(3).replace(b"rulebook 1", b"rulebook 2")):
        witness = made(MemoryWitnessHome(known()._replace(note=damaged)))
        for act in (witness.stands, witness.newest, lambda: witness.cosign(request(3, 8))):  # noqa: B023  # at once
            with pytest.raises(Corrupt) as failure:
                act()
            assert failure.value.code == "witness_damaged"


def rotation(first: int = 5, replaces: Key = OLD, **changes: Any) -> ShownEvent:
    message = statement(str(BOOK), NEW.public_key, first, replaces.key_id, "alice")
    told: dict[str, Any] = {
        "key": NEW.key_id,
        "public_key": NEW.public_key.hex(),
        "first_size": first,
        "replaces": replaces.key_id,
        "by": "alice",
        "signature_of_replaced": replaces.sign(message).hex(),
        "signature": NEW.sign(message).hex(),
    }
    event = SigningKeyRotated(**(told | changes))
    return ShownEvent(first, SIGNING_KEYS, 2, event.TOPIC, 5, bytes(16), encode_part(event).decode(), bytes(32))


def trust(home: MemoryWitnessHome, event: ShownEvent) -> str:
    text = event_proof_text(EventProof(event, []), note(3)).encode()
    try:
        made(home).trust(text)
    except (Rejected, Corrupt) as error:
        return error.code
    return ""


def test_the_next_key_signs_from_its_first_size_on_and_the_old_one_no_more() -> None:
    home = MemoryWitnessHome(known())
    assert refused(home, request(3, 8, NEW)).code == "key_unknown"
    assert trust(home, rotation()) == ""
    assert trust(home, rotation()) == ""
    assert refused(home, request(3, 8)).code == "key_unknown"
    assert isinstance(made(home).cosign(request(3, 4)), Cosigned)
    assert isinstance(made(home).cosign(request(4, 8, NEW)), Cosigned)


def test_a_key_that_the_old_one_did_not_sign_for_is_not_trusted() -> None:
    home = MemoryWitnessHome(known())
    assert trust(home, rotation(by="mallory")) == "signing_key_forged"
    assert trust(home, rotation(replaces=Key(4))) == "signing_key_forged"
    assert trust(home, rotation(first=3)) == "key_out_of_range"
    assert trust(home, rotation()._replace(stream=UUID(int=1))) == "not_a_rotation"
    with pytest.raises(Rejected) as failure:
        made(home).trust(request(3, 8))
    assert failure.value.code == "proof_malformed"
    assert home.known().keys == known().keys


@pytest.mark.parametrize("name", ["", "with space", "a+b", ORIGIN])
def test_a_witness_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(Rejected) as failure:
        beginning(name, ORIGIN, OLD.public_key, note(3), Checks())
    assert failure.value.code == "name_malformed"


def test_what_is_asked_is_answered_once_and_tried_again_while_it_is_refused() -> None:
    home, folder = MemoryWitnessHome(known()), MemoryFolder()
    answering = Answering(made(home), folder)
    assert answering.begin().size == 3
    assert folder.answered is not None
    assert parse_note(folder.answered)[0] == parse_note(note(3))[0]
    assert answering.step() is None
    folder.asked = request(3, 8, NEW)
    assert isinstance(answering.step(), Refused)
    assert answering.step() is None
    assert json.loads(folder.refused or b"")["request_sm3"] == sm3_hex(request(3, 8, NEW))
    assert trust(home, rotation()) == ""
    assert isinstance(answering.step(), Cosigned)
    assert answering.step() is None
    folder.asked = b"rubbish"
    result = answering.step()
    assert isinstance(result, Refused)
    assert (result.code, result.evidence) == ("proof_malformed", "")
    assert parse_note(folder.answered)[0] == parse_note(note(8, NEW))[0]
