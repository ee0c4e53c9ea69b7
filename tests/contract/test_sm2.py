"""SM2: every implementation accepts what the others sign, and refuses everything else, the same way and quietly."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gmssl_pyx
import pytest
from gmssl import sm2 as gmssl_sm2

from application.ports.key_unwrap import KeyUnwrap
from application.ports.signer import Signer
from application.ports.verifier import Verifier
from domain.errors import Rejected, Unavailable
from infrastructure.gm import hardened_gmssl, vectors
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.sm2 import PyxVerifier, Sm2Key, new_sm2_key, wrap_for
from infrastructure.gm.sm2_format import N, P, check_public_key, message_digest
from tests.contract.gm_tools import signs, verifies

KEY = Sm2Key(vectors.SM2_PRIVATE, vectors.SM2_PUBLIC)
MESSAGE = b"carbon-ledger/test/v1\0body"
ALL_ONES = b"\xff" * 32
ZERO = bytes(32)


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


@pytest.fixture(params=[PyxVerifier, GmsslVerifier])
def verifier(request: pytest.FixtureRequest) -> Verifier:
    made: Verifier = request.param()
    return made


def gmssl_signs(private: bytes, public_key: bytes, message: bytes, nonce: bytes) -> bytes:
    """gmssl's own signature, with its own digest, under a nonce that the test gives."""
    curve = gmssl_sm2.CryptSM2(private.hex(), "")
    curve.public_key = public_key.hex()
    return bytes.fromhex(curve.sign_with_sm3(message, nonce.hex()))


def key_that_starts_with(first: int) -> Sm2Key:
    while (key := new_sm2_key()).public_key[0] != first:
        pass
    return key


def test_the_published_signature_is_accepted(verifier: Verifier) -> None:
    assert verifier.verify(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, vectors.SM2_SIGNATURE)
    assert not verifier.verify(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE + b"\0", vectors.SM2_SIGNATURE)


def test_the_published_nonce_gives_the_published_signature() -> None:
    made = gmssl_signs(vectors.SM2_PRIVATE, vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, vectors.SM2_NONCE)
    assert made == vectors.SM2_SIGNATURE


def test_every_verifier_accepts_what_every_signer_signs(verifier: Verifier, tmp_path: Path) -> None:
    for key in (KEY, new_sm2_key(), key_that_starts_with(0x04), key_that_starts_with(0x44)):
        private, public_key = key.exposed(), key.public_key
        nonce = random.Random(public_key).randbytes(31).rjust(32, b"\1")
        made = (
            key.sign(MESSAGE),
            gmssl_signs(private, public_key, MESSAGE, nonce),
            signs(tmp_path, private, public_key, MESSAGE),
        )
        for signature in made:
            assert verifier.verify(public_key, MESSAGE, signature)
            assert verifies(tmp_path, public_key, MESSAGE, signature)
            assert not verifier.verify(public_key, MESSAGE + b".", signature)
            assert not verifies(tmp_path, public_key, MESSAGE + b".", signature)


def test_a_signature_under_an_empty_user_id_is_refused(verifier: Verifier, tmp_path: Path) -> None:
    signature = signs(tmp_path, vectors.SM2_PRIVATE, vectors.SM2_PUBLIC, MESSAGE, distid="distid:")
    assert not verifier.verify(vectors.SM2_PUBLIC, MESSAGE, signature)


def test_a_flip_of_any_byte_is_refused(verifier: Verifier) -> None:
    signature = KEY.sign(MESSAGE)
    assert verifier.verify(KEY.public_key, MESSAGE, signature)
    for place in range(64):
        changed = bytearray(signature)
        changed[place] ^= 1 << place % 8
        assert not verifier.verify(KEY.public_key, MESSAGE, bytes(changed))


R, S = vectors.SM2_SIGNATURE[:32], vectors.SM2_SIGNATURE[32:]


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        R + S[:-1],
        R + S + b"\0",
        b"\0" + R + S,
        ZERO + S,
        R + ZERO,
        ZERO + ZERO,
        numbers(N) + S,
        R + numbers(N),
        ALL_ONES + S,
        R + ALL_ONES,
        numbers(1, N - 1),  # t = 0
        R + numbers(N - int.from_bytes(R, "big")),  # t = 0
        S + R,
        (R + S).hex().encode(),
        (R + S).hex().upper().encode(),
    ],
)
def test_signatures_out_of_range_or_shape_are_refused(verifier: Verifier, signature: bytes) -> None:
    assert verifier.verify(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, signature) is False


def test_numbers_too_large_by_n_are_no_second_signature(verifier: Verifier) -> None:
    # The same numbers modulo n: s of the published signature leaves no room in 32 bytes, a small one does.
    small = 5
    for signature in (numbers(small + N, small), numbers(small, small + N)):
        assert verifier.verify(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, signature) is False


OFF_CURVE = numbers(5, 7)
BAD_KEYS = [
    b"",
    bytes(64),
    OFF_CURVE,
    vectors.SM2_PUBLIC[:-1],
    vectors.SM2_PUBLIC + b"\0",
    b"\x03" + vectors.SM2_PUBLIC,
    b"\x04" + OFF_CURVE,
    numbers(P) + vectors.SM2_PUBLIC[32:],
    ALL_ONES + ALL_ONES,
    vectors.SM2_PUBLIC[:32] + bytes(32),
    vectors.SM2_PUBLIC[32:] + vectors.SM2_PUBLIC[:32],
]


@pytest.mark.parametrize("public_key", BAD_KEYS)
def test_a_key_that_is_no_point_of_the_curve_verifies_nothing(verifier: Verifier, public_key: bytes) -> None:
    assert verifier.verify(public_key, vectors.SM2_MESSAGE, vectors.SM2_SIGNATURE) is False
    with pytest.raises(Rejected) as refused:
        check_public_key(public_key)
    assert refused.value.code == "public_key_malformed"


def forged(verifier: Any, monkeypatch: pytest.MonkeyPatch, digest: int) -> None:
    """Fix the digest that both verifiers see: SM2 admits a signature for a chosen one."""
    for module in (hardened_gmssl, "infrastructure.gm.sm2"):
        target = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{target}.message_digest", lambda *_: digest.to_bytes(32, "big"))


def test_a_valid_signature_is_accepted_also_where_both_products_meet_in_one_point(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sG = tP with d = 2: t = r + s and s = 2t, a case in which bare gmssl says no."""
    public_key = point_times(2)
    t = 12345
    s, r = 2 * t, N - t
    forged(verifier, monkeypatch, (r - point_x(4 * t)) % N)
    assert verifier.verify(public_key, MESSAGE, numbers(r, s))
    assert not verifier.verify(public_key, MESSAGE, numbers(r - 1, s))


def test_products_that_cancel_out_are_refused_and_raise_nothing(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sG = -tP with d = 2: s = -2t, the sum is the point at infinity."""
    t = 12345
    s = (-2 * t) % N
    r = (t - s) % N
    for digest in (r, 0):
        forged(verifier, monkeypatch, digest)
        assert verifier.verify(point_times(2), MESSAGE, numbers(r, s)) is False


def point_times(factor: int) -> bytes:
    curve = gmssl_sm2.CryptSM2("", "")
    return bytes.fromhex(curve._kg(factor, curve.ecc_table["g"]))


def point_x(factor: int) -> int:
    return int.from_bytes(point_times(factor)[:32], "big")


def test_bad_signatures_leave_no_line_on_stderr(verifier: Verifier, capfd: pytest.CaptureFixture[str]) -> None:
    signature = bytearray(KEY.sign(MESSAGE))
    signature[40] ^= 1
    for _ in range(3):
        assert not verifier.verify(KEY.public_key, MESSAGE, bytes(signature))
    with pytest.raises(Rejected):
        KEY.unwrap(wrap_for(KEY.public_key, b"key")[:-1] + b"\0")
    assert capfd.readouterr() == ("", "")


def test_without_the_silence_the_library_would_flood_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    wrong = gmssl_pyx.sm2_sign_sm3_digest(vectors.SM2_PRIVATE, bytes(32))
    assert not gmssl_pyx.sm2_verify_sm3_digest(vectors.SM2_PUBLIC, bytes(31) + b"\1", wrong)
    assert capfd.readouterr().err


@pytest.mark.parametrize("private", [bytes(32), numbers(N - 1), numbers(N), ALL_ONES, b"\1" * 31])
def test_a_private_key_out_of_range_is_refused(private: bytes) -> None:
    with pytest.raises(Unavailable) as refused:
        Sm2Key(private, vectors.SM2_PUBLIC)
    assert refused.value.code == "signing_key_damaged"


def test_a_private_key_of_another_public_key_is_refused() -> None:
    with pytest.raises(Unavailable) as refused:
        Sm2Key(vectors.SM2_PRIVATE, new_sm2_key().public_key)
    assert refused.value.code == "signing_key_damaged"


def test_a_key_pair_is_signer_and_unwrap_and_is_never_shown() -> None:
    signer: Signer = KEY
    unwrap: KeyUnwrap = KEY
    assert signer.public_key == unwrap.public_key
    assert KEY.exposed().hex() not in repr(KEY)
    assert repr(KEY.exposed()) not in repr(KEY)
    assert signer.sign(MESSAGE) != signer.sign(MESSAGE)
    with pytest.raises(TypeError):
        KEY.__reduce__()


def test_a_wrapped_key_opens_for_its_recipient_alone() -> None:
    secret, other = b"0123456789abcdef", new_sm2_key()
    wrapped = wrap_for(KEY.public_key, secret)
    assert KEY.unwrap(wrapped) == secret
    for changed in (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped + b"\0", wrapped[:-1], b"", b"\x30\x00"):
        with pytest.raises(Rejected) as refused:
            KEY.unwrap(changed)
        assert refused.value.code == "key_wrap_broken"
    with pytest.raises(Rejected):
        other.unwrap(wrapped)
    with pytest.raises(Rejected):
        wrap_for(OFF_CURVE, secret)
    for size in (0, 256):
        with pytest.raises(ValueError, match="255"):
            wrap_for(KEY.public_key, bytes(size))


def _accepts_any_range(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")


@pytest.mark.parametrize(
    ("place", "bug", "signature"),
    [
        ("signature_numbers", _accepts_any_range, R + S + b"\0"),
        ("signature_numbers", _accepts_any_range, numbers(0) + S),
    ],
)
def test_a_verifier_without_range_checks_would_be_found_out(
    monkeypatch: pytest.MonkeyPatch, place: str, bug: Callable[..., object], signature: bytes
) -> None:
    monkeypatch.setattr(hardened_gmssl, place, bug)
    if signature[:32] == ZERO:
        # r = 0 for a chosen digest: e + x = 0 modulo n, the forgery that bare gmssl accepts.
        s = 7
        point = hardened_gmssl._add(_xy(point_times(s)), GmsslVerifier()._times(s, vectors.SM2_PUBLIC.hex()))
        assert point is not None
        forged(None, monkeypatch, -point[0] % N)
        signature = numbers(0, s)
    assert GmsslVerifier().verify(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, signature)
    monkeypatch.undo()
    assert not GmsslVerifier().verify(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, signature)


def _xy(point: bytes) -> tuple[int, int]:
    return int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")


def test_a_digest_without_the_user_id_would_be_found_out(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    assert message_digest(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE) == vectors.SM2_E
    forged(verifier, monkeypatch, int.from_bytes(vectors.SM2_ZA, "big"))
    assert not verifier.verify(vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, vectors.SM2_SIGNATURE)
