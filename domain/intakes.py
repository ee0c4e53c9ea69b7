"""What the events of an intake must say: of the bytes they are named after, of their own rows, and of the credits.

Keeps (DESIGN 3, Intake and Idempotency): every row is accounted for, and a row is credited at most once. So there are
never more credits of an intake than rows that were read, nor fewer than it counts as credited; more than it counts
there may be: a claim was lost, and another process imported the same bytes meanwhile.
Leaves to the caller: which credits name the intake, and whether all of them are there.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from domain.events.intake import IntakeClosed, IntakeOpened
from domain.streams import stream_id


class Miscount(NamedTuple):
    """What an intake says, and what follows from what it is about."""

    what: str
    booked: str
    recomputed: str


def is_named_after_its_bytes(stream: UUID, opened: IntakeOpened) -> bool:
    """Whether an intake stands in the stream of its partner and its bytes."""
    return stream == intake_stream(opened.partner, opened.digest)


def intake_stream(partner: str, digest: str) -> UUID:
    """The stream of a partner's intakes of the bytes with this SM3."""
    return stream_id("intake", f"{partner}\0{digest}")


def rows_unaccounted(closed: IntakeClosed) -> Miscount | None:
    """Rows that were read and are neither credited, duplicates nor rejected with a code."""
    parts = closed.credited + closed.duplicates + closed.rejected
    if closed.read == parts and closed.rejected == sum(closed.rejected_by_code.values()):
        return None
    return Miscount("rows accounted for", str(closed.read), str(parts))


def credits_miscounted(read: int, credited: int, named: int, *, all_shown: bool) -> Miscount | None:
    """Whether ``named`` credits can be of an intake that counts so many rows. ``all_shown``: there are no others."""
    if named > read:
        return Miscount("rows read", str(read), f"{named} credits")
    if all_shown and credited > named:
        return Miscount("credited by intake", str(credited), str(named))
    return None
