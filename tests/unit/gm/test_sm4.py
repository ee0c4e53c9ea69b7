"""Sealing: what the tag protects, and how failures are told."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Corrupt
from infrastructure.gm.sm4 import (
    NONCE_BYTES,
    OVERHEAD_BYTES,
    SM4Key,
    aad_of,
    fresh_nonces,
    key_version,
    new_key,
    open_sealed,
    seal,
)

KEY = SM4Key(bytes(range(16)), 7)
AAD = aad_of(b"book", b"stream", b"1")


def code_of(key: SM4Key, sealed: bytes, aad: bytes) -> str:
    with pytest.raises(Corrupt) as refused:
        open_sealed(key, sealed, aad)
    assert refused.value.remedy
    return refused.value.code


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_was_sealed_opens_to_the_same_bytes(plaintext: bytes, aad: bytes) -> None:
    sealed = seal(KEY, plaintext, aad)
    assert len(sealed) == len(plaintext) + OVERHEAD_BYTES
    assert open_sealed(KEY, sealed, aad) == plaintext
    assert key_version(sealed) == 7


def test_equal_plaintexts_are_sealed_to_different_records() -> None:
    assert seal(KEY, b"same", AAD) != seal(KEY, b"same", AAD)


def test_a_flip_of_any_bit_is_noticed() -> None:
    sealed = seal(KEY, b"personal", AAD)
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        assert code_of(KEY, bytes(changed), AAD) in ("sealed_malformed", "sealed_under_another_key", "seal_broken")


def test_a_record_opens_only_in_its_place_and_under_its_key() -> None:
    sealed = seal(KEY, b"personal", AAD)
    assert code_of(KEY, sealed, aad_of(b"book", b"stream", b"2")) == "seal_broken"
    assert code_of(SM4Key(bytes(16), 7), sealed, AAD) == "seal_broken"
    assert code_of(SM4Key(bytes(range(16)), 8), sealed, AAD) == "sealed_under_another_key"


def test_the_version_of_the_key_can_not_be_rewritten() -> None:
    sealed = seal(KEY, b"personal", AAD)
    assert code_of(SM4Key(bytes(range(16)), 8), sealed[:4] + b"\x08" + sealed[5:], AAD) == "seal_broken"


@pytest.mark.parametrize("sealed", [b"", b"\x01", bytes([1]) * (OVERHEAD_BYTES - 1), bytes(OVERHEAD_BYTES)])
def test_what_is_no_record_is_refused(sealed: bytes) -> None:
    assert code_of(KEY, sealed, AAD) == "sealed_malformed"


def test_parts_of_the_bound_data_can_not_run_into_each_other() -> None:
    assert aad_of(b"ab", b"c") != aad_of(b"a", b"bc")
    assert aad_of(b"ab") != aad_of(b"ab", b"")
    assert aad_of(b"a", b"b") == b"\0\0\0\1a\0\0\0\1b"


def test_a_key_is_never_shown_and_never_passed_on() -> None:
    key = SM4Key(b"secret-secret-16", 1)
    assert "secret" not in repr(key) + str(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert new_key(1).exposed() != new_key(1).exposed()
    with pytest.raises(ValueError, match="16 bytes"):
        SM4Key(b"short", 1)


def test_nonces_that_are_drawn_together_are_all_different_and_as_good_as_one() -> None:
    key = new_key(1)
    nonces = fresh_nonces(500)
    assert {len(nonce) for nonce in nonces} == {NONCE_BYTES}
    assert len({*nonces, *fresh_nonces(500)}) == 1000
    assert fresh_nonces(0) == []
    assert open_sealed(key, seal(key, b"ann", b"here", nonces[0]), b"here") == b"ann"
