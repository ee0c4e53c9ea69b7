"""For whoever runs the service: is it alive, is it ready and if not why, what has it counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from interfaces.http import metrics, problems, schemas
from interfaces.http.asking import no_parameters
from interfaces.http.readiness import DEV_WARNING
from interfaces.http.security import Anybody, Serving

router = APIRouter(tags=["operations"], dependencies=[Depends(no_parameters)])


@router.get("/healthz")
async def health(caller: Anybody) -> schemas.Health:
    """The process answers. Whether it can do its work, /readyz says."""
    return schemas.Health(status="alive")


@router.get("/readyz", response_model=schemas.Readiness)
def readiness(request: Request, service: Serving, caller: Anybody) -> Any:
    """Whether everything that an answer needs is there: 503 and what is not, otherwise."""
    checks = service.readiness.look()
    is_dev = service.identity.has_dev_credentials
    told: dict[str, Any] = {
        "ready": all(each.ok for each in checks),
        "dev_credentials": is_dev,
        "warning": DEV_WARNING if is_dev else None,
        "checks": [each._asdict() for each in checks],
    }
    if told["ready"]:
        return told
    missing = ", ".join(each.name for each in checks if not each.ok)
    body = problems.problem(
        503,
        "not_ready",
        f"not in order: {missing}",
        remedy="`checks` says by which code; see docs/OPERATING.md",
        request_id=problems.request_id_of(request),
        **told,
    )
    return problems.Problem(body)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
def show_metrics(service: Serving, caller: Anybody) -> Response:
    """What was counted and measured, for Prometheus."""
    service.readiness.look()
    return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)
