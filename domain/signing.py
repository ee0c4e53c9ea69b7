"""What is signed: never bare bytes, always bytes with their purpose in front.

Keeps: a signature made for one purpose means nothing for another; the prefix ends with a zero byte, which no purpose
holds, so no two pairs of purpose and body give the same bytes.
"""

from __future__ import annotations

import re

_PURPOSE = re.compile(r"[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*)*")


def signed_bytes(purpose: str, body: bytes) -> bytes:
    """``carbon-ledger/PURPOSE/v1``, a zero byte, and the body: what a signer of this ledger signs."""
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError(f"{purpose!r} is not a purpose")
    return f"carbon-ledger/{purpose}/v1\0".encode() + body
