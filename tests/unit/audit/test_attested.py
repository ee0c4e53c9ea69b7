"""Whose word a checkpoint is: the log's, by a key that was handed in. For witnesses see ``test_trusted_notes``."""

from __future__ import annotations

import pytest

from application.verification.notes import Trusted, attested
from domain.audit.checkpoint import body_of
from domain.audit.note import key_hash_of, note_of
from domain.errors import Rejected
from tests.unit.domain.audit_vectors import CHECKPOINT, NAME

LOG, FIRST, SECOND = (bytes([number]) * 64 for number in (1, 2, 3))
BODY = body_of(CHECKPOINT)


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """A signature is the key itself, and the message the checkpoint's text."""
    return signature == key and message == BODY


def note(*signed: tuple[str, bytes, bytes]) -> bytes:
    return note_of(BODY, [(name, key_hash_of(name, b"\4" + key), pair) for name, key, pair in signed])


OWN = (NAME, LOG, LOG)


def refused(text: bytes, trusted: Trusted) -> str:
    with pytest.raises(Rejected) as error:
        attested(text, trusted, verify)
    assert error.value.remedy
    return error.value.code


def test_keys_that_were_not_handed_in_count_for_nothing() -> None:
    assert refused(note(OWN), Trusted([SECOND])) == "key_unknown"
    assert refused(note(("other.example", LOG, LOG)), Trusted([LOG])) == "key_unknown"


def test_a_wrong_signature_under_a_known_name_and_key_is_no_unknown_key() -> None:
    assert refused(note((NAME, LOG, FIRST)), Trusted([LOG])) == "signature_wrong"
