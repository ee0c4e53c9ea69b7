"""SM2 on the wire: one accepted encoding of everything."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from infrastructure.gm import vectors
from infrastructure.gm.sm2_format import (
    N,
    check_public_key,
    key_id,
    public_key_from_pem,
    public_key_to_pem,
    signature_from_der,
    signature_to_der,
)

DER = signature_to_der(vectors.SM2_SIGNATURE)
PEM = public_key_to_pem(vectors.SM2_PUBLIC)
_NUMBER = st.integers(1, N - 1) | st.integers(1, 300)


@given(_NUMBER, _NUMBER)
def test_a_signature_survives_der_and_back(r: int, s: int) -> None:
    if r + s != N:
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert signature_from_der(signature_to_der(raw)) == raw


def der_of(*integers: bytes, extra: bytes = b"") -> bytes:
    body = b"".join(b"\x02" + bytes([len(each)]) + each for each in integers) + extra
    return b"\x30" + bytes([len(body)]) + body


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        DER[:-1],
        DER + b"\0",
        b"\x31" + DER[1:],
        b"\x30\x81" + DER[1:],
        der_of(b"\0\x05", b"\x05"),  # not the shortest
        der_of(b"\x05", b"\x05", b"\x05"),
        der_of(b"\x05"),
        der_of(b"\x85", b"\x05"),  # negative
        der_of(b"", b"\x05"),
        der_of(b"\0", b"\x05"),
        der_of(b"\0" + N.to_bytes(32, "big"), b"\x05"),
        der_of(b"\x05" * 60, b"\x05"),
        b"\x30\x06\x03\x01\x05\x02\x01\x05",
    ],
)
def test_no_other_encoding_of_a_signature_is_accepted(der: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        signature_from_der(der)
    assert refused.value.code == "signature_malformed"


@given(st.binary(max_size=80))
def test_whatever_bytes_come_as_der_they_are_refused_or_are_that_encoding(der: bytes) -> None:
    try:
        raw = signature_from_der(der)
    except Rejected:
        return
    assert signature_to_der(raw) == der


def test_numbers_out_of_range_are_never_encoded() -> None:
    with pytest.raises(Rejected, match="signature_malformed"):
        signature_to_der(bytes(64))


def test_a_public_key_survives_pem_and_back_also_with_other_line_ends() -> None:
    assert public_key_from_pem(PEM) == vectors.SM2_PUBLIC
    assert public_key_from_pem(PEM.replace("\n", "\r\n")) == vectors.SM2_PUBLIC
    assert check_public_key(b"\4" + vectors.SM2_PUBLIC) == vectors.SM2_PUBLIC
    assert len(key_id(vectors.SM2_PUBLIC)) == 32


@pytest.mark.parametrize(
    "pem",
    [
        "",
        PEM + PEM,
        PEM.replace("PUBLIC KEY", "EC PRIVATE KEY"),
        PEM.replace("MFkwE", "MFkwF"),
        PEM.replace("MFkwE", "=FkwE"),
        public_key_to_pem(vectors.SM2_PUBLIC)[:60] + "\n-----END PUBLIC KEY-----\n",
        "note\n" + PEM,
    ],
)
def test_what_is_not_exactly_one_sm2_key_is_refused(pem: str) -> None:
    with pytest.raises(Rejected) as refused:
        public_key_from_pem(pem)
    assert refused.value.code == "public_key_malformed"


def test_the_verifier_of_the_auditor_needs_gmssl_and_python_alone() -> None:
    """Neither the C library nor the C package that gmssl imports may be there."""
    code = (
        "import sys\n"
        "for name in ('gmssl_pyx', 'Cryptodome', 'cryptography', 'msgspec', 'pydantic'):\n"
        "    sys.modules.setdefault(name, None)\n"
        "from infrastructure.gm.hardened_gmssl import GmsslVerifier\n"
        "from infrastructure.gm import vectors as v\n"
        "assert GmsslVerifier().verify(v.SM2_PUBLIC, v.SM2_MESSAGE, v.SM2_SIGNATURE)\n"
        "ours = sorted(n for n in sys.modules if n.partition('.')[0] in ('domain', 'application', 'infrastructure'))\n"
        "print(*ours)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [name for name in ran.stdout.split() if not name.startswith("domain")] == [
        "infrastructure",
        "infrastructure.gm",
        "infrastructure.gm.hardened_gmssl",
        "infrastructure.gm.sm2_format",
        "infrastructure.gm.vectors",
    ]
