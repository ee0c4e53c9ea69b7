"""Instants: RFC 3339 text and integer microseconds since 1970-01-01T00:00:00Z.

Keeps: exact to the microsecond, no floats. The grammar that outsiders must keep is in ``domain.behavior``; this reads
back what the ledger itself wrote or has checked.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000


def instant_of(text: str) -> int:
    """Microseconds of an RFC 3339 instant; raises ValueError when it has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no UTC offset: {text!r}")
    return (moment - _EPOCH) // _MICROSECOND


def instant_text(instant_us: int) -> str:
    """RFC 3339 in UTC, with a fraction only where there is one."""
    moment = _EPOCH + timedelta(microseconds=instant_us)
    return moment.isoformat().replace("+00:00", "Z")


def microsecond_text(instant_us: int) -> str:
    """RFC 3339 in UTC, always with six digits."""
    seconds, fraction = divmod(instant_us, _SECOND_US)
    return f"{instant_text(seconds * _SECOND_US)[:-1]}.{fraction:06}Z"
