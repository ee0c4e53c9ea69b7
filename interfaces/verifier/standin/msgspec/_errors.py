"""What goes wrong with bytes."""

from __future__ import annotations


class MsgspecError(Exception):
    """Base of the errors here."""


class DecodeError(MsgspecError, ValueError):
    """The bytes are not JSON."""


class ValidationError(DecodeError):
    """The bytes are JSON of another shape."""
