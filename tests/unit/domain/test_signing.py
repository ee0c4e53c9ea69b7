"""Purposes of signatures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.note import signed_message
from domain.errors import Corrupt
from domain.signing import signed_bytes


def test_bytes_are_signed_with_their_purpose_in_front() -> None:
    assert signed_bytes("checkpoint", b"body") == b"carbon-ledger/checkpoint/v1\0body"
    assert signed_bytes("act/approve", b"") == b"carbon-ledger/act/approve/v1\0"


@pytest.mark.parametrize("purpose", ["", "A", "a\0b", "a/", "/a", "a b", "1", "a\n"])
def test_a_purpose_that_could_be_mistaken_for_another_is_refused(purpose: str) -> None:
    with pytest.raises(ValueError, match="not a purpose"):
        signed_bytes(purpose, b"")


@given(st.sampled_from(["signing-key", "checkpoint", "act/approve"]), st.binary(max_size=40))
def test_what_is_signed_for_a_purpose_is_never_the_text_of_a_note(purpose: str, body: bytes) -> None:
    """Checkpoints are signed without a prefix (ADR 0018): the zero byte alone keeps the two apart."""
    for signed in (signed_bytes(purpose, body), signed_bytes(purpose, body + b"\n")):
        with pytest.raises(Corrupt, match="note_malformed"):
            signed_message(signed)
