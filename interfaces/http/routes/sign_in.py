"""For people with a browser: sign in at the provider, come back, sign out; and who am I.

The first three are not in the OpenAPI document: they answer with redirects and cookies for browsers, hold no data, and
what follows them is between a person, the provider and the service (docs/http.md).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from domain.errors import Rejected
from domain.instants import instant_text
from interfaces.http import schemas
from interfaces.http.asking import no_parameters
from interfaces.http.identity import ROLES, Caller
from interfaces.http.security import Serving, allowed, nobody_asked
from interfaces.http.service import Service
from interfaces.http.signing_in import AFTER_SIGN_IN, FLOW_COOKIE, SESSION_COOKIE, Answered, SigningIn

router = APIRouter(tags=["people"])
_Person = Annotated[Caller, Depends(allowed(*ROLES))]
_Said = Annotated[str, Query(max_length=4_096)]


@router.get("/sign-in", include_in_schema=False, dependencies=[Depends(nobody_asked)])
def sign_in(service: Serving, return_to: Annotated[str, Query()] = AFTER_SIGN_IN) -> Response:
    """On to the provider."""
    signing_in = _of(service)
    address, cookie = signing_in.begin(return_to)
    answer = RedirectResponse(address, 303)
    signing_in.keep_flow(answer, cookie)
    return answer


@router.get("/signed-in", include_in_schema=False, dependencies=[Depends(nobody_asked)])
def signed_in(
    request: Request, service: Serving, state: _Said = "", code: _Said = "", error: _Said = "", iss: _Said = ""
) -> Response:
    """Back from the provider, which may add parameters of its own."""
    signing_in = _of(service)
    told = Answered(state, code, error, iss)
    address, cookie = signing_in.complete(told, request.cookies.get(FLOW_COOKIE, ""))
    answer = RedirectResponse(address, 303)
    signing_in.keep_flow(answer, "")
    signing_in.keep_session(answer, cookie)
    return answer


@router.post("/sign-out", include_in_schema=False, dependencies=[Depends(nobody_asked), Depends(no_parameters)])
def sign_out(request: Request, service: Serving) -> Response:
    """The session has ended, whoever else has its cookie."""
    signing_in = _of(service)
    signing_in.refuse_cross_site(request.method, request.headers)
    signing_in.end(request.cookies.get(SESSION_COOKIE, ""))
    answer = Response(status_code=204)
    signing_in.keep_session(answer, "")
    return answer


@router.get("/v1/me", response_model=schemas.Me, dependencies=[Depends(no_parameters)])
async def who_am_i(caller: _Person) -> Any:
    """Who asks, in which roles, and until when he is believed: null for a credential that does not run out."""
    until = None if caller.until_s is None else instant_text(caller.until_s * 1_000_000)
    return {"name": caller.name, "roles": sorted(caller.roles), "until": until}


def _of(service: Service) -> SigningIn:
    found = service.signing_in
    if found is None:
        raise Rejected(
            "sign_in_absent",
            "people do not sign in at this service",
            remedy="its operator sets CARBON_LEDGER_OIDC_ISSUER; until then send `Authorization: Bearer`",
        )
    return found
