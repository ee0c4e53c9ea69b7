"""A file of behaviors as JSON Lines, streamed; the sender is the caller, as with single behaviors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import IO, Annotated, Any, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from pydantic import Field

from domain.errors import Rejected
from interfaces.bootstrap.service import system_seconds
from interfaces.http.asking import no_parameters
from interfaces.http.identity import BANK_BACKEND, PARTNER, Caller
from interfaces.http.routes.behaviors import refuse_strangers
from interfaces.http.schemas import Digest, Mass, Shape
from interfaces.http.security import Serving, allowed
from interfaces.http.service import Service

PATH: Final = "/v1/behavior-files"
MEDIA_TYPE: Final = "application/x-ndjson"
_WRITES_AT_ONCE: Final = 1 << 20

router = APIRouter(tags=["behaviors"], dependencies=[Depends(no_parameters)])

Senders = Annotated[Caller, Depends(allowed(BANK_BACKEND, PARTNER))]

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {MEDIA_TYPE: {"schema": {"type": "string", "description": "One behavior on each line."}}},
    }
}


class RefusedLine(Shape):
    """A row that was not credited; its reference stays free. ``line``: of the file, from 1."""

    line: int
    code: str
    field: str
    message: str
    remedy: str


class Imported(Shape):
    """What became of a file: read = credited + duplicates + rejected. ``digest``: SM3 of its bytes, the evidence."""

    intake: int
    digest: Digest
    read: int
    credited: int
    duplicates: int
    rejected: int
    rejected_by_code: dict[str, int]
    credited_mg: Mass
    position: int
    refused: list[RefusedLine] = Field(description="The first hundred rows that were refused.")


@router.post(PATH, response_model=Imported, openapi_extra=_BODY)
async def send_file(request: Request, service: Serving, caller: Senders) -> Any:
    """Credit a file of behaviors. Answered when every row is durable; the same again doubles nothing, and resumes."""
    await refuse_strangers(service, caller)
    if BANK_BACKEND not in caller.roles:
        await anyio.to_thread.run_sync(_refuse_uncounted, service, caller.name)
    with service.files.coming(caller.name), service.files.uploads.file(".jsonl", system_seconds()) as (path, file):
        try:
            async with asyncio.timeout(service.settings.file_seconds):
                await _written(request, file, service.settings.file_bytes)
        except TimeoutError:
            raise Rejected(
                "body_slow",
                "the file did not arrive in time",
                remedy=f"send it within {service.settings.file_seconds} s, or in parts",
            ) from None
        return await anyio.to_thread.run_sync(service.files.take, Path(path), caller.name)


def _refuse_uncounted(service: Service, partner: str) -> None:
    """A file would be a way around the quotas of its sender. Raises Rejected ``files_uncounted``."""
    with service.ledger() as ledger:
        standing = ledger.book.rulebook().partners.standing(partner)
    if standing is not None and (standing.terms.rows_per_day, standing.terms.rows_per_request) != (None, None):
        raise Rejected(
            "files_uncounted",
            "your terms have a quota, and rows of files are not counted",
            field="authorization",
            remedy="send them to /v1/behaviors, in parts",
        )


async def _written(request: Request, file: IO[bytes], most: int) -> None:
    size, waiting = 0, bytearray()
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Rejected("body_too_large", "the file is too large", remedy=f"send at most {most} bytes in one file")
        waiting += part
        if len(waiting) >= _WRITES_AT_ONCE:
            await anyio.to_thread.run_sync(file.write, bytes(waiting))
            waiting.clear()
    file.write(waiting)
    file.flush()
