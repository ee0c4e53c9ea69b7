"""Exports of events: asked for, written by a job, handed to whoever asked.

Keeps: an auditor's export has nothing personal; somebody else's export does not exist for a caller.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field, model_validator
from starlette.responses import FileResponse

from application.accounts import account_named
from application.exporting_events import EventFilter, refuse_unknown
from domain.errors import Rejected
from interfaces.http.asking import Asked, Day, Position, no_parameters
from interfaces.http.identity import AUDITOR, COMPLIANCE, Caller
from interfaces.http.schemas import Shape
from interfaces.http.security import Serving, allowed

router = APIRouter(prefix="/v1/exports", tags=["exports"], dependencies=[Depends(no_parameters)])

Exporters = Annotated[Caller, Depends(allowed(COMPLIANCE, AUDITOR))]
ExportId = Annotated[UUID, Path(description="As POST /v1/exports answered.")]
_BYTES: Any = {200: {"description": "The file.", "content": {"application/octet-stream": {}}}}


class Exporting(Asked):
    """Which events. ``from``, ``to``: days of recording (UTC), [from, to); ``until``: the last position."""

    format: Literal["jsonl", "csv", "parquet"] = "jsonl"
    from_: Day | None = Field(default=None, alias="from")
    to: Day | None = None
    topics: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(default_factory=list, max_length=100)
    accounts: Annotated[list[UUID], Field(min_length=1, max_length=1_000)] | None = None
    until: Position | None = None
    personal: bool = Field(default=False, description="Also personal facts, in clear: compliance alone.")

    @model_validator(mode="after")
    def _in_order(self) -> Exporting:
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise ValueError("from must be before to")
        return self


class Export(Shape):
    """A job: an export. ``stopped``: its process ended before it was completed; ask for another one."""

    export_id: str
    format: str
    personal: bool
    state: Literal["running", "stopped", "failed", "completed"]
    failed_with: str | None


@router.post("", status_code=202, response_model=Export)
def export_events(asked: Exporting, response: Response, service: Serving, caller: Exporters) -> Any:
    """Write events out, with a manifest that the log's key signs: a job. It is recorded who asked for what."""
    if asked.personal and COMPLIANCE not in caller.roles:
        raise Rejected("forbidden", "none of your roles may have what is personal", remedy=f"one of: {COMPLIANCE}")
    with service.ledger() as ledger:
        ids = None if asked.accounts is None else [account_named(ledger.book, each) for each in asked.accounts]
        wanted = EventFilter(asked.from_ or "", asked.to or "", ids, tuple(asked.topics), asked.until)
        refuse_unknown(wanted, ledger.book.journal.head().size)
        export = service.exports.start(caller.name, wanted, asked.format, personal=asked.personal)
        job = service.exports.job(ledger, export, caller.name)
    response.headers["location"] = f"{router.prefix}/{export}"
    return job


@router.get("/{export_id}", response_model=Export)
def show_export(export_id: ExportId, service: Serving, caller: Exporters) -> Any:
    """Where an export of the caller's stands."""
    with service.ledger() as ledger:
        return service.exports.job(ledger, export_id, caller.name)


@router.get("/{export_id}/events", response_class=FileResponse, responses=_BYTES)
def download_events(export_id: ExportId, service: Serving, caller: Exporters) -> Any:
    """The rows, as the format names them."""
    with service.ledger() as ledger:
        form = service.exports.job(ledger, export_id, caller.name)["format"]
        may = COMPLIANCE in caller.roles
        _, events = service.exports.files(ledger, export_id, caller.name, may_personal=may)
    return FileResponse(events, media_type="application/octet-stream", filename=f"events.{form}")


@router.get("/{export_id}/manifest", response_class=FileResponse, responses=_BYTES)
def download_manifest(export_id: ExportId, service: Serving, caller: Exporters) -> Any:
    """The manifest, for `carbon-ledger verify`, beside the rows under the name events.FORMAT.manifest."""
    with service.ledger() as ledger:
        form = service.exports.job(ledger, export_id, caller.name)["format"]
        may = COMPLIANCE in caller.roles
        manifest, _ = service.exports.files(ledger, export_id, caller.name, may_personal=may)
    return FileResponse(manifest, media_type="application/octet-stream", filename=f"events.{form}.manifest")


@router.delete("/{export_id}", status_code=204, response_class=Response)
def remove_export(export_id: ExportId, service: Serving, caller: Exporters) -> None:
    """Remove its files; that it was made stays in the access log."""
    service.exports.remove(export_id, caller.name)
