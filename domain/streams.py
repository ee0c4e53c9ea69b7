"""Names of streams.

Keeps: every stream that is not an account has an id that follows from its name, so that two writers who mean the same
thing meet in the same stream and the optimistic check holds them apart. Account ids are random (DESIGN 3).
"""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("6f4b1d0e-6f0c-4b57-9d27-2c7b1d5a9c11")


def stream_id(kind: str, name: str) -> UUID:
    """Stream of a named thing: ``stream_id("methodology", "TRAVEL-METRO@1")``."""
    return uuid5(_NAMESPACE, f"{kind}:{name}")


BOOK = stream_id("book", "book")
