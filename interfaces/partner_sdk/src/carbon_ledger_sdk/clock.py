"""The only place that asks the machine for the time."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """UTC, as ``Carbon-Timestamp`` wants it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
