"""Purposes of signatures."""

from __future__ import annotations

import pytest

from domain.signing import signed_bytes


def test_bytes_are_signed_with_their_purpose_in_front() -> None:
    assert signed_bytes("checkpoint", b"body") == b"carbon-ledger/checkpoint/v1\0body"
    assert signed_bytes("act/approve", b"") == b"carbon-ledger/act/approve/v1\0"


@pytest.mark.parametrize("purpose", ["", "A", "a\0b", "a/", "/a", "a b", "1", "a\n"])
def test_a_purpose_that_could_be_mistaken_for_another_is_refused(purpose: str) -> None:
    with pytest.raises(ValueError, match="not a purpose"):
        signed_bytes(purpose, b"")
