"""SM2 verification by ``gmssl``, in pure Python: what an auditor can read, inside the offline verifier.

Keeps: of gmssl, only the multiplication of a point is used, the part that was found right; ranges, the curve, the
digest and the final addition (wrong in gmssl 3.2.2 for sG = tP and sG = -tP) are done here. It makes no signature and
opens nothing: gmssl's nonces can be predicted (ADR 0015). Besides gmssl it needs Python's library only.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from domain.errors import Rejected
from infrastructure.gm.sm2_format import A, N, P, check_public_key, message_digest, signature_numbers

_Point = tuple[int, int]


def _load_gmssl() -> Any:
    """gmssl.sm2. It imports two DER classes of a C package for a mode that is not used here; they may be missing."""
    if "gmssl.sm2" not in sys.modules and importlib.util.find_spec("Cryptodome") is None:
        names = ("Cryptodome", "Cryptodome.Util", "Cryptodome.Util.asn1")
        absent = {name: ModuleType(name) for name in names}
        absent[names[-1]].__dict__.update(DerSequence=None, DerInteger=None)
        sys.modules.update(absent)
        try:
            from gmssl import sm2
        finally:
            for name in names:
                del sys.modules[name]
        return sm2
    from gmssl import sm2

    return sm2


class GmsslVerifier:
    """Port ``application.ports.verifier``."""

    def __init__(self) -> None:
        # Without a key: the constructor damages those that begin with 04.
        self._curve = _load_gmssl().CryptSM2("", "")

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the message; False for everything else."""
        numbers = signature_numbers(signature)
        if numbers is None:
            return False
        try:
            public_key = check_public_key(public_key)
        except Rejected:
            return False
        r, s = numbers
        point = _add(
            self._times(s, self._curve.ecc_table["g"]),
            self._times((r + s) % N, public_key.hex()),
        )
        if point is None:
            return False
        return (int.from_bytes(message_digest(public_key, message), "big") + point[0]) % N == r

    def _times(self, factor: int, point: str) -> _Point:
        # Right for 0 < factor < n: no step of the double-and-add then meets the point itself or its opposite.
        product = self._curve._kg(factor, point)
        return int(product[:64], 16), int(product[64:], 16)


def _add(one: _Point, other: _Point) -> _Point | None:
    """Sum of two points; None is the point at infinity."""
    (x1, y1), (x2, y2) = one, other
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = (3 * x1 * x1 + A) * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P
