"""Known-answer tests: they pass here, and a library that computes something else does not get past them."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from domain.errors import Unavailable
from infrastructure.gm import self_test, vectors


def test_all_known_answers_are_given_and_asked_for_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    self_test.run()
    self_test.run_once()
    monkeypatch.setattr(self_test, "run", lambda: pytest.fail("asked again"))
    self_test.run_once()


def test_sm4_a_million_times_over_gives_the_block_of_the_standard() -> None:
    encryptor = Cipher(algorithms.SM4(vectors.SM4_KEY), modes.ECB()).encryptor()
    block = vectors.SM4_KEY
    for _ in range(1_000_000):
        block = encryptor.update(block)
    assert block == vectors.SM4_ECB_MILLION


@pytest.mark.parametrize(
    "name",
    [
        "SM4_ECB",
        "SM4_GCM",
        "SM4_CCM",
        "RFC8998_AAD",
        "SM4_IV",
        "SM2_ZA",
        "SM2_E",
        "SM2_SIGNATURE",
        "SM2_PRIVATE",
        "SM2_PUBLIC",
        "SM2_MESSAGE",
        "SM2_PLAINTEXT",
        "SM2_C1",
        "SM2_C2",
        "SM2_C3",
    ],
)
def test_one_wrong_bit_in_any_answer_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(vectors, name)
    monkeypatch.setattr(vectors, name, right[:-1] + bytes([right[-1] ^ 1]))
    with pytest.raises(Unavailable) as refused:
        self_test.run()
    assert refused.value.code == "crypto_self_test_failed"


@pytest.mark.parametrize("name", ["SM3", "HMAC_SM3", "SM4_CBC", "SM4_CTR", "HKDF_SM3", "MERKLE_ROOT"])
def test_wrong_digests_and_chained_modes_stop_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(vectors, name)
    wrong: object = "00" * 32
    if name in ("SM3", "HMAC_SM3"):
        wrong = (*right, (*right[0][:-1], "00" * 32))
    elif name != "MERKLE_ROOT":
        wrong = (*right[:-1], right[-1][:-2] + (b"\0\0" if isinstance(right[-1], bytes) else "00"))
    monkeypatch.setattr(vectors, name, wrong)
    with pytest.raises(Unavailable, match="crypto_self_test_failed"):
        self_test.run()
