"""The application: routes, gate and handlers put together; and the OpenAPI document that tells of them.

Keeps: there is one way in for every request (the gate) and one shape for every failure (``problems``); a route can
only be put in here together with the roles that may use it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse

from application.acts import TextToSign
from domain.errors import LedgerError
from domain.requests import MAX_BODY_BYTES
from interfaces.http import problems, schemas, written
from interfaces.http.arriving import Arriving
from interfaces.http.asking import no_parameters
from interfaces.http.docs_page import POLICY, page
from interfaces.http.gate import Gate
from interfaces.http.identity import ROLES
from interfaces.http.routes import (
    accounts,
    acts,
    behaviors,
    book,
    exports,
    files,
    log,
    operations,
    partners,
    revisions,
    rule_acts,
    rulebook,
    sign_in,
    webhooks,
)
from interfaces.http.security import PUBLIC, Anybody, roles_of
from interfaces.http.service import Service
from interfaces.http.signing import on_text_to_sign

API_VERSION: Final = "1.0.0"
_DESCRIPTION: Final = (
    "Accounts, rules and proofs of a carbon ledger. Masses are integer milligrams of CO2e as text; times are RFC 3339; "
    "every failure is application/problem+json with a stable code. Answers have the keys of the command line's."
)
_ROUTERS: Final = (
    # First, since it is asked most: routes are tried in this order.
    behaviors.router,
    accounts.router,
    acts.router,
    files.router,
    book.router,
    rulebook.router,
    revisions.router,
    rule_acts.router,
    exports.router,
    partners.router,
    log.router,
    webhooks.router,
    operations.router,
    sign_in.router,
)
_REF: Final = "#/components/schemas/{model}"
_PROBLEM: Final = {"$ref": _REF.format(model=schemas.ProblemShape.__name__)}


def create_app(service: Service) -> FastAPI:
    """The application over a service, which runs from its start to its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = service.running()
        await anyio.to_thread.run_sync(running.__enter__)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(running.__exit__, None, None, None)

    app = FastAPI(
        title="carbon-ledger",
        version=API_VERSION,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # What is told of a request is for ``traces`` alone to say: this would add addresses, and send them by itself.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=lambda route: route.name,
        # Beside it the framework would add a shape of its own for what is malformed, which nobody is ever sent.
        responses={"default": {"description": "A problem.", "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}}}},
    )
    app.state.service = service
    app.state.routers = [*_ROUTERS, _documents(lambda: openapi_of(app))]
    for router in app.state.routers:
        app.include_router(router)
    app.add_exception_handler(TextToSign, on_text_to_sign)
    app.add_exception_handler(LedgerError, problems.on_ledger_error)
    app.add_exception_handler(RequestValidationError, problems.on_malformed)
    app.add_exception_handler(HTTPException, problems.on_http_error)
    settings = service.settings
    app.add_middleware(
        Gate,
        metrics=service.metrics,
        traces=service.traces,
        in_flight=settings.in_flight,
        arriving=Arriving(settings.in_flight, service.identity.knows),
        body_bytes=settings.body_bytes,
        body_seconds=settings.body_seconds,
        larger={behaviors.PATH: MAX_BODY_BYTES, **rule_acts.DOCUMENTS},
        sealed=(behaviors.PATH,),
        streamed={files.PATH: (files.MEDIA_TYPE, settings.file_bytes)},
    )
    return app


def _documents(document: Callable[[], dict[str, Any]]) -> APIRouter:
    router = APIRouter(tags=["documents"], dependencies=[Depends(no_parameters)])

    @router.get("/openapi.json", response_class=JSONResponse)
    async def openapi(caller: Anybody) -> JSONResponse:
        """The description of the API for programs (OpenAPI 3.1)."""
        return JSONResponse(document())

    @router.get("/docs", response_class=HTMLResponse)
    async def docs(caller: Anybody) -> HTMLResponse:
        """The description of the API for people; works without a network."""
        return HTMLResponse(page(document()), headers={"content-security-policy": POLICY})

    return router


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the roles of each operation as ``x-roles``."""
    if app.openapi_schema is None:
        document = app.openapi()
        for route in routes_of(app):
            if not route.include_in_schema:
                roles_allowed(route)  # none of them may forget to say so
                continue
            for method in sorted(route.methods or ()):
                operation, roles = document["paths"][route.path][method.lower()], roles_allowed(route)
                operation["x-roles"] = sorted(roles)
                if PUBLIC in roles or route.path == behaviors.PATH:
                    # A token may be shown, and need not be: a partner signs instead.
                    operation["security"] = [{}, *operation["security"]]
        shape = schemas.ProblemShape.model_json_schema(ref_template=_REF)
        sent = written.SentBehavior.model_json_schema(ref_template=_REF)
        for each in (written.SealedBody, written.SealedAnswer):
            document["components"]["schemas"][each.__name__] = each.model_json_schema(ref_template=_REF)
        document["components"]["schemas"] |= {
            **shape.pop("$defs"),
            schemas.ProblemShape.__name__: shape,
            written.SentBehavior.__name__: sent,
        }
    return app.openapi()


def routes_of(app: FastAPI) -> Iterator[APIRoute]:
    """Every route of the API, with its whole path."""
    # Of the routers as they were made: how the framework keeps them once they are in is its own affair.
    for router in app.state.routers:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            yield route


def roles_allowed(route: APIRoute) -> frozenset[str]:
    """Who may use a route: roles, or ``public``. A route that does not say is a mistake of ours, told at the start."""
    waiting, found = [route.dependant], list[frozenset[str]]()
    while waiting:
        dependant = waiting.pop()
        waiting += dependant.dependencies
        roles = roles_of(dependant.call)
        if roles is not None:
            found.append(roles)
    if len(found) != 1 or not found[0] <= {*ROLES, PUBLIC}:
        raise RuntimeError(f"{route.path} does not say once who may use it")
    return found[0]
