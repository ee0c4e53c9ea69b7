"""Known answers of SM3 and SM2, asked for before anything is verified.

Keeps: a Python whose digest is another, or a damaged copy of the verifier, is found before it says that all is well.
"""

from __future__ import annotations

from application.ports.verifier import Verifier
from domain.digest import sm3_hex
from domain.errors import Unavailable
from infrastructure.gm import vectors


def ask(verifier: Verifier) -> None:
    """Raises Unavailable ``crypto_self_test_failed``."""
    key, message, signature = vectors.SM2_PUBLIC, vectors.SM2_MESSAGE, vectors.SM2_SIGNATURE
    _expect("SM3", all(sm3_hex(data) == digest for data, digest in vectors.SM3))
    _expect("SM2", verifier.verify(key, message, signature) and not verifier.verify(key, message + b".", signature))


def _expect(name: str, passed: object) -> None:
    if not passed:
        raise Unavailable(
            "crypto_self_test_failed",
            f"{name} does not give the answers of its standard here",
            remedy="fetch the verifier again and compare its digest; try another Python",
        )
