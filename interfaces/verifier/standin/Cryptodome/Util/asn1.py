"""Names that ``gmssl.sm2`` imports for signatures in DER, which are never used here."""

from __future__ import annotations

DerSequence = DerInteger = None
