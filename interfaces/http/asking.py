"""What requests ask with: the parameters that several routes share, cursors, and whether an answer is still the same.

Keeps: an unknown parameter is refused, since a misspelled one would otherwise be answered as if it had not been
given; a cursor is nobody's business but ours, and names the log position that its page ended with, so that pages
neither repeat nor lose anything while the log grows.
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Final

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from domain.errors import Rejected
from domain.instants import instant_of
from domain.values import day_number

MOST: Final = 500
_CURSOR: Final = re.compile(rb"after:([0-9]{1,19})")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _instant(text: str) -> str:
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError
        instant_of(text)
    except (ValueError, OverflowError):
        raise ValueError("it is no RFC 3339 time with an offset (a + in an address is written %2B)") from None
    return text


def _day(text: str) -> str:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        day_number(text)
    except ValueError:
        raise ValueError("it is no civil day such as 2026-03-01") from None
    return text


Instant = Annotated[
    str,
    AfterValidator(_instant),
    Field(examples=["2026-03-01T08:15:00+08:00"], json_schema_extra={"format": "date-time"}),
]
Day = Annotated[str, AfterValidator(_day), Field(examples=["2026-03-01"], json_schema_extra={"format": "date"})]
Position = Annotated[int, Field(ge=0, lt=1 << 63)]


class Asked(BaseModel):
    """Base of all parameters and bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fresh(Asked):
    """A question that may wait for the log."""

    min_position: Position | None = Field(
        None, description="Answer when the log has this position: that of a write of yours. Bounded: 409 after a while."
    )


class KnownAs(Fresh):
    """A question as of what the ledger knew."""

    known_at: Instant | None = Field(None, description="As the ledger knew it at this time.")
    at_position: Position | None = Field(None, description="As the ledger knew it when its log had so many events.")

    @model_validator(mode="after")
    def _one_clock(self) -> KnownAs:
        if self.known_at is not None and self.at_position is not None:
            raise ValueError("give known_at or at_position, not both")
        return self

    @property
    def known_us(self) -> int | None:
        """``known_at`` in microseconds."""
        return None if self.known_at is None else instant_of(self.known_at)


class AsOf(KnownAs):
    """A question on both clocks."""

    occurred_before: Day | None = Field(None, description="Only behaviors of civil days before this one.")

    @property
    def before_day(self) -> int | None:
        """``occurred_before`` as a day number."""
        return None if self.occurred_before is None else day_number(self.occurred_before)


class Paged(Fresh):
    """A question that is answered in pages."""

    limit: int = Field(100, ge=1, le=MOST, description="At most so many on this page.")
    cursor: str | None = Field(None, max_length=64, description="`next` of the page before; without it the first page.")

    @property
    def after(self) -> int:
        """The log position that the page before ended with. Raises Rejected ``cursor_malformed``."""
        return 0 if self.cursor is None else _position_of(self.cursor)


def cursor_of(position: int | None) -> str | None:
    """What leads to the page after a position; None where there is none."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(f"after:{position}".encode()).decode().rstrip("=")


def _position_of(cursor: str) -> int:
    try:
        found = _CURSOR.fullmatch(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except ValueError:
        found = None
    if found is None:
        raise Rejected("cursor_malformed", "this is no cursor of ours", field="cursor", remedy="give `next` of a page")
    return int(found[1])


def etag_of(*parts: object) -> str:
    """A weak validator: it stays while nothing that was asked about has changed, whatever else the log took in."""
    return f'W/"{"-".join(map(str, parts))}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether the caller holds this very answer (RFC 9110 13.1.2: the weak comparison)."""
    given = request.headers.get("if-none-match", "")
    return any(each.strip() in ("*", etag) or f"W/{each.strip()}" == etag for each in given.split(","))


UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "Nothing that was asked about has changed."}}


def unchanged(etag: str) -> Response:
    """Nothing is shown, so nothing is recorded either."""
    return Response(status_code=304, headers={"etag": etag})


async def no_parameters(request: Request) -> None:
    """A dependency of routes that take none."""
    if request.query_params:
        raise Rejected(
            "request_malformed",
            "this address takes no parameters",
            remedy="GET /openapi.json lists those of each address",
        )
