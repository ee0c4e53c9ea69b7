"""What a failure looks like over HTTP: ``application/problem+json`` (RFC 9457), whatever went wrong.

Keeps: ``code`` is the stable code of the command line; the table below says which status it has; a caller's own
mistake is told in full, what is about this machine or its data by its code alone, since messages name hosts, folders
and places that are nobody's business outside. No answer ever holds a traceback, nor a value that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from domain.errors import Corrupt, LedgerError, Rejected, Unavailable
from interfaces.http import logs

MEDIA_TYPE: Final = "application/problem+json"
REALM: Final = 'Bearer realm="carbon-ledger"'

_NOT_FOUND = (
    "account_unknown",
    "actor_key_unknown",
    "consent_unknown",
    "credit_unknown",
    "decision_unknown",
    "export_unknown",
    "intake_unknown",
    "methodology_unknown",
    "no_checkpoint",
    "not_found",
    "not_signed_yet",
    "partner_key_unknown",
    "partner_unknown",
    "position_unknown",
    "proposal_unknown",
    "registration_unknown",
    "release_unknown",
    "revision_unknown",
    "sign_in_absent",
    "webhook_unknown",
)
_CONFLICT = (
    "account_closed",
    "account_erased",
    "account_exists",
    "account_frozen",
    "account_not_frozen",
    "act_stale",
    "already_approved",
    "already_reversed",
    "erasure_not_requested",
    "erasure_requested",
    "gap_left",
    "idempotency_in_progress",
    "idempotency_outcome_unknown",
    "partner_exists",
    "plan_stale",
    "position_not_reached",
    "proposal_stale",
    "registration_waits",
    "release_exists",
    "retention_not_over",
    "revision_in_progress",
    "same_actor",
    "use_revision",
    "version_exists",
    "too_many_webhooks",
    "withdrawal_already_proposed",
    "withdrawal_not_proposed",
    "wrong_state",
)
STATUS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_NOT_FOUND, 404),
    **dict.fromkeys(_CONFLICT, 409),
    "request_malformed": 422,
    "unauthenticated": 401,
    "token_invalid": 401,
    "token_expired": 401,
    "forbidden": 403,
    "session_invalid": 401,
    "session_expired": 401,
    "session_ended": 401,
    "sign_in_state_wrong": 401,
    "sign_in_replayed": 401,
    "sign_in_refused": 401,
    "id_token_invalid": 401,
    "no_role": 403,
    "cross_site": 403,
    "partner_unregistered": 403,
    "signature_missing": 401,
    "signature_incomplete": 401,
    "signature_malformed": 401,
    "signature_wrong": 401,
    "request_late": 401,
    "request_early": 401,
    "signature_key_unknown": 401,
    "partner_key_revoked": 401,
    "signer_differs": 403,
    "request_replayed": 409,
    "rows_over_request_quota": 413,
    "rows_over_day_quota": 429,
    "files_uncounted": 403,
    "target_not_allowed": 403,
    "method_not_allowed": 405,
    "head_malformed": 400,
    "head_slow": 408,
    "head_too_large": 431,
    "body_slow": 408,
    "too_busy": 429,
    "batch_too_long": 413,
    "body_too_large": 413,
    "media_type_unsupported": 415,
    "too_many_requests": 429,
}
"""Codes with a status of their own; others have that of their kind."""

_OF_KIND: Final = ((Rejected, 422), (Unavailable, 503), (Corrupt, 500))
_TOLD_OF_KIND: Final = {
    503: ("the service cannot answer this now", "try again later; its operator finds the reason by the request id"),
    500: ("the service stopped at something that must not be", "tell its operator the request id"),
}
_OURS: Final = {"provider_busy", "service_busy", "service_starting", "stopping"}
"""About the service itself: there is nothing in them to keep from anybody, and nothing for the log."""

_OF_HTTP: Final = {
    400: ("request_malformed", "the body cannot be read as JSON", "send JSON that is neither broken nor nested deeply"),
    404: ("not_found", "there is nothing at this address", "GET /openapi.json lists what there is"),
    405: ("method_not_allowed", "this address does not take this method", "the header Allow names those that it takes"),
}
_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
_ADDED: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"www-authenticate": REALM},
    429: {"retry-after": "1"},
    503: {"retry-after": "1"},
}
"""Headers that a status has to come with."""


def status_of(error: LedgerError) -> int:
    """The status of a failure."""
    own = STATUS.get(error.code)
    return own or next((status for kind, status in _OF_KIND if isinstance(error, kind)), 500)


def problem(
    status: int, code: str, detail: str, *, field: str = "", remedy: str = "", request_id: str = "", **more: Any
) -> dict[str, Any]:
    """The body of a problem."""
    return {
        "type": f"urn:carbon-ledger:problem:{code}",
        "title": _title(status),
        "status": status,
        "code": code,
        "detail": detail,
        "field": field,
        "remedy": remedy,
        "request_id": request_id,
        **more,
    }


def _title(status: int) -> str:
    # Python's releases differ in these names; RFC 9110 has one for each.
    return _TITLES.get(status) or HTTPStatus(status).phrase


class Problem(JSONResponse):
    """A problem as an answer."""

    media_type = MEDIA_TYPE

    def __init__(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        status = int(body["status"])
        added = _ADDED.get(status, {})
        super().__init__(dict(body), status_code=status, headers={**added, **(headers or {})})
        self._code = str(body["code"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # For whoever counts answers: the gate.
        scope.setdefault("state", {})["refused"] = self._code
        await super().__call__(scope, receive, send)


def problem_of(error: LedgerError, request_id: str, **more: Any) -> Problem:
    """A failure of the ledger as an answer; what is not told is logged."""
    status = status_of(error)
    if status < 500 or error.code in _OURS:
        told = (error.message, error.remedy, error.field)
    else:
        logs.failure(error, request_id)
        told = (*_TOLD_OF_KIND.get(status, _TOLD_OF_KIND[500]), "")
    detail, remedy, field = told
    after = {"retry-after": str(error.after_s)} if error.after_s else None
    return Problem(
        problem(status, error.code, detail, field=field, remedy=remedy, request_id=request_id, **more), after
    )


def defect(request_id: str) -> Problem:
    """A fault of the program."""
    return Problem(problem(500, "defect", _TOLD_OF_KIND[500][0], remedy=_TOLD_OF_KIND[500][1], request_id=request_id))


def request_id_of(request: Request) -> str:
    """The id that the gate gave to a request."""
    found: str = getattr(request.state, "request_id", "")
    return found


async def on_ledger_error(request: Request, error: Exception) -> Response:
    """Handler of every failure that is raised on purpose."""
    assert isinstance(error, LedgerError)
    return problem_of(error, request_id_of(request))


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of what the framework refuses: no such address, another method."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    code, detail, remedy = _OF_HTTP.get(error.status_code, ("request_refused", phrase, "see docs/http.md"))
    body = problem(error.status_code, code, detail, remedy=remedy, request_id=request_id_of(request))
    return Problem(body, error.headers)


async def on_malformed(request: Request, error: Exception) -> Response:
    """Handler of a request that is not of its route's shape: where it is wrong, and never what was sent."""
    assert isinstance(error, RequestValidationError)
    errors = [{"field": _place(each["loc"]), "message": _message(each)} for each in error.errors()]
    body = problem(
        422,
        "request_malformed",
        "the request is not of the shape that this address takes",
        field=errors[0]["field"] if errors else "",
        remedy="see `errors`, and GET /openapi.json for the shape",
        request_id=request_id_of(request),
        errors=errors,
    )
    return Problem(body)


def _place(location: Sequence[Any]) -> str:
    return ".".join(str(each) for each in location)


def _message(each: Mapping[str, Any]) -> str:
    # Some of pydantic's own messages repeat what they found; ours, raised as ValueError, do not.
    message = str(each["msg"])
    return message.removeprefix("Value error, ") if each["type"] == "value_error" else _SAID.get(each["type"], message)


_SAID: Final = {
    "json_invalid": "it is not JSON",
    "extra_forbidden": "there is no such field",
    "missing": "it is missing",
    "uuid_parsing": "it is not a UUID",
    "uuid_type": "it is not a UUID",
    "string_pattern_mismatch": "it is not of the pattern that its schema names",
}
