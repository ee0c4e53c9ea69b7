"""A stand-in for the package ``msgspec``, for the offline verifier, which carries no C (ADR 0021).

Keeps: what the ledger uses of msgspec, and nothing else, behaves as there: the same bytes are accepted and refused,
with the same values, and the same bytes are written (``tests/property/verifier``). What is not here is an error where
it is used, never a difference.
"""

from __future__ import annotations

from . import json, structs
from ._errors import DecodeError, MsgspecError, ValidationError
from ._structs import Struct, defstruct

__all__ = ["DecodeError", "MsgspecError", "Struct", "ValidationError", "defstruct", "json", "structs"]
