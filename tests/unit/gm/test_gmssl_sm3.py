"""SM3 in pure Python, for a Python whose own library has none: the same digests, however the bytes are cut."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.digest import new_sm3, sm3_hex
from infrastructure.gm import vectors
from infrastructure.gm.gmssl_sm3 import GmsslSm3
from interfaces.verifier.standin.cryptography.hazmat.primitives import hashes


@pytest.mark.parametrize(("data", "digest"), vectors.SM3)
def test_the_known_answers_of_the_standard_are_given(data: bytes, digest: str) -> None:
    assert GmsslSm3(data).digest().hex() == digest


@pytest.mark.parametrize("length", [0, 1, 54, 55, 56, 57, 63, 64, 65, 118, 119, 120, 121, 127, 128, 129, 1000])
def test_every_length_around_the_end_of_a_block_is_padded_right(length: int) -> None:
    data = bytes(number % 251 for number in range(length))
    assert GmsslSm3(data).digest().hex() == sm3_hex(data)


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=150), max_size=4))
def test_however_the_bytes_are_cut_the_digest_is_theirs(parts: list[bytes]) -> None:
    state, same = GmsslSm3(), new_sm3()
    for part in parts:
        state.update(memoryview(part))
        same.update(part)
        assert state.digest() == same.digest()


@settings(max_examples=20)
@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(max_size=100))
def test_a_copy_goes_its_own_way(first: bytes, second: bytes, third: bytes) -> None:
    state = hashes.Hash(hashes.SM3())
    state.update(first)
    copy = state.copy()
    state.update(second)
    copy.update(third)
    assert state.finalize().hex() == sm3_hex(first + second)
    assert copy.finalize().hex() == sm3_hex(first + third)


def test_it_needs_gmssl_and_python_alone() -> None:
    code = (
        "import sys\n"
        "for name in ('gmssl_pyx', 'Cryptodome', 'cryptography', 'msgspec', '_hashlib'):\n"
        "    sys.modules[name] = None\n"
        "from infrastructure.gm.gmssl_sm3 import GmsslSm3\n"
        "print(GmsslSm3(b'abc').digest().hex())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.strip() == dict(vectors.SM3)[b"abc"], ran.stderr
