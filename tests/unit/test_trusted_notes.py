"""Whose word a checkpoint is: the log's by a known key, and that of enough witnesses, each counted once."""

from __future__ import annotations

import pytest

from application.verification.notes import UNCOMPRESSED, Trusted, attested, trusted_by
from domain.audit.checkpoint import Checkpoint, body_of
from domain.audit.note import NoteSignature, cosigned_message, cosigner_hash_of, key_hash_of, note_of
from domain.digest import leaf_hash, new_sm3
from domain.errors import Rejected

LOG, ANN, BOB, CAT = (bytes([number]) * 64 for number in range(1, 5))
CHECKPOINT = Checkpoint("log", 3, leaf_hash(b""), 1, 7)
BODY = body_of(CHECKPOINT)
TIME = 1_772_323_260


def sign(key: bytes, message: bytes) -> bytes:
    """No signature at all, but one that is of a key and a message: what is tested here is whom it counts for."""
    return new_sm3(key + message).digest() * 2


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    return signature == sign(key, message)


def by_log(key: bytes = LOG, name: str = "log") -> NoteSignature:
    return NoteSignature(name, key_hash_of(name, UNCOMPRESSED + key), sign(key, BODY))


def by(key: bytes, name: str, signed_s: int = TIME) -> NoteSignature:
    signature = sign(key, cosigned_message(BODY, signed_s))
    return NoteSignature(name, cosigner_hash_of(name, UNCOMPRESSED + key), signature, signed_s)


def witnesses(*signatures: NoteSignature, trusted: Trusted) -> list[tuple[str, int | None]]:
    found = attested(note_of(BODY, [by_log(), *signatures]), trusted, verify)
    assert (found.checkpoint, found.signed_by) == (CHECKPOINT, LOG)
    return [(each.line.name, each.line.signed_s) for each in found.witnesses]


def refused(*signatures: NoteSignature, trusted: Trusted) -> str:
    with pytest.raises(Rejected) as failure:
        attested(note_of(BODY, signatures), trusted, verify)
    return failure.value.code


def test_witnesses_count_when_their_keys_are_known_and_others_are_ignored() -> None:
    trusted = trusted_by([LOG], [ANN, BOB])
    assert witnesses(by(ANN, "ann"), by(BOB, "bob", 9), trusted=trusted) == [("ann", TIME), ("bob", 9)]
    assert witnesses(by(CAT, "cat"), by(ANN, "ann"), trusted=Trusted([LOG], [ANN], 1)) == [("ann", TIME)]
    assert refused(by_log(), by(ANN, "ann"), by(CAT, "cat"), trusted=trusted) == "witnesses_missing"
    assert refused(by(ANN, "ann"), by(BOB, "bob"), trusted=trusted) == "key_unknown"


def test_a_key_under_two_names_counts_once() -> None:
    trusted = trusted_by([LOG], [ANN, BOB], "2 of 2")
    assert refused(by_log(), by(ANN, "ann"), by(ANN, "also ann".replace(" ", "-")), trusted=trusted) == (
        "witnesses_missing"
    )
    assert trusted_by([LOG], [ANN, ANN], "1 of 1").need == 1
    with pytest.raises(ValueError, match="the keys of 1"):
        trusted_by([LOG], [ANN, ANN], "2 of 2")


def test_a_wrong_cosignature_of_a_known_witness_is_a_failure() -> None:
    trusted = trusted_by([LOG], [ANN])
    assert refused(by_log(), by(ANN, "ann")._replace(signed_s=TIME + 1), trusted=trusted) == "signature_wrong"
    assert refused(by_log(), by(ANN, "ann")._replace(signature=bytes(64)), trusted=trusted) == "signature_wrong"
    moved = by_log()._replace(signature=bytes(64))
    assert refused(moved, trusted=trusted) == "signature_wrong"


def test_neither_the_log_nor_a_signature_over_the_bare_text_is_a_witness() -> None:
    trusted = trusted_by([LOG], [ANN])
    assert refused(by_log(), by_log(ANN, "ann"), trusted=trusted) == "witnesses_missing"
    assert refused(by_log(), by(LOG, "log"), trusted=trusted) == "witnesses_missing"
    assert refused(by(LOG, "log"), trusted=trusted) == "key_unknown"
    with pytest.raises(ValueError, match="its own witness"):
        trusted_by([LOG], [ANN, LOG])


@pytest.mark.parametrize(
    ("count", "need", "least"),
    [(0, None, 0), (0, "0", 0), (1, None, 1), (2, None, 2), (3, None, 2), (3, "2", 2), (3, "3 of 3", 3), (4, None, 3)],
)
def test_more_than_half_of_the_witnesses_are_needed(count: int, need: str | None, least: int) -> None:
    assert trusted_by([LOG], [ANN, BOB, CAT, b"d" * 64][:count], need).need == least


@pytest.mark.parametrize(
    ("count", "need"),
    [(0, "1"), (1, "0"), (2, "1"), (2, "3"), (3, "1"), (3, "2 of 2"), (3, "two"), (3, "02"), (3, "-2"), (3, "2 of")],
)
def test_a_policy_that_two_histories_could_both_meet_is_refused(count: int, need: str) -> None:
    with pytest.raises(ValueError, match="witnesses"):
        trusted_by([LOG], [ANN, BOB, CAT][:count], need)
