"""Which role may use which route.

Keeps: a route says who may use it, where it is defined; nobody else gets as far as having his request read. A route
that says nothing is found by the tests' table of roles.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from domain.errors import Rejected
from interfaces.http.identity import Caller
from interfaces.http.service import Service, service_of
from interfaces.http.signing_in import SESSION_COOKIE

PUBLIC: Final = "public"
_bearer = HTTPBearer(
    auto_error=False,
    description="A token of the configured issuer, or a credential of `carbon-ledger dev-credentials`.",
)
_session = APIKeyCookie(
    name=SESSION_COOKIE,
    auto_error=False,
    description="The session of somebody who signed in at /sign-in; it acts from pages of this service alone.",
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
SessionCookie = Annotated[str | None, Depends(_session)]
Serving = Annotated[Service, Depends(service_of)]


def allowed(*roles: str) -> Any:
    """A dependency: the caller, who has one of these roles. Raises Rejected ``unauthenticated``, ``forbidden``."""

    async def caller(
        request: Request, service: Serving, credentials: Credentials, session: SessionCookie = None
    ) -> Caller:
        found = caller_of(request, service, credentials, session)
        if found is None:
            raise unauthenticated()
        if not found.roles & set(roles):
            raise Rejected("forbidden", "none of your roles may do this", remedy=f"one of: {', '.join(roles)}")
        return found

    return marked(caller, frozenset(roles))


def anybody() -> Any:
    """A dependency of public routes: the caller where he says who he is, None where he does not."""

    async def caller(request: Request, service: Serving, credentials: Credentials) -> Caller | None:
        # A session that is over keeps nobody from what everybody may see.
        return caller_of(request, service, credentials, None)

    return marked(caller, frozenset((PUBLIC,)))


async def nobody_asked() -> None:
    """A dependency of public routes that are the same for everybody, and believe nobody yet."""


def roles_of(dependency: object) -> frozenset[str] | None:
    """The roles that a dependency lets pass; None for one that is about something else."""
    found: frozenset[str] | None = getattr(dependency, "allowed_roles", None)
    return found


def unauthenticated() -> Rejected:
    """Nobody said who asks."""
    return Rejected(
        "unauthenticated",
        "this address is not for everybody",
        field="authorization",
        remedy="send `Authorization: Bearer` and a token",
    )


def caller_of(
    request: Request, service: Service, credentials: HTTPAuthorizationCredentials | None, session: str | None
) -> Caller | None:
    """Who asks, by the token, else by the session; None where there is neither.

    Raises Rejected ``token_invalid``, ``token_expired``, ``cross_site``, and as ``SigningIn.caller``.
    """
    if credentials is None:
        if "authorization" in request.headers:
            raise Rejected(
                "token_invalid", "the header is not of the scheme Bearer", field="authorization", remedy="send a token"
            )
        signing_in = service.signing_in
        if session is None or signing_in is None:
            return None
        found = signing_in.caller(session)
        signing_in.refuse_cross_site(request.method, request.headers)
    else:
        found = service.identity.caller(credentials.credentials)
    request.state.caller = found
    service.rates.take(found.name)
    return found


def marked(dependency: Callable[..., Awaitable[Any]], roles: frozenset[str]) -> Callable[..., Awaitable[Any]]:
    """A dependency that lets these roles pass, and nobody else."""
    dependency.allowed_roles = roles  # type: ignore[attr-defined]  # read by the tests' table, and by `roles_of`
    return dependency


marked(nobody_asked, frozenset((PUBLIC,)))
Anybody = Annotated[Caller | None, Depends(anybody())]
