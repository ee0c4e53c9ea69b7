"""Who sends behaviors: a caller with a token, or a partner by the signature of its request.

Keeps: the checks come in the order of docs/spec/partner-api.md; a partner that has to sign is not believed by its
token alone; what is taken from the headers is what was signed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import anyio.to_thread
from fastapi import Request

from application.partner_requests import Believed, believe, take_once
from domain.errors import Rejected
from domain.partner_protocol import HEADERS, PLAIN, SEALED, Addressed, Headers, headers_of
from domain.requests import Signed
from interfaces.bootstrap.service import Opened, signature_of, system_seconds
from interfaces.http.identity import BANK_BACKEND, PARTNER, Caller
from interfaces.http.security import Credentials, Serving, SessionCookie, caller_of, marked, unauthenticated
from interfaces.http.service import Service

SENDERS: Final = frozenset((BANK_BACKEND, PARTNER))


class SignedRequest(NamedTuple):
    """``target``: path and query as they were signed; ``opened``: where the body was sealed; ``sent``: its bytes."""

    target: str
    believed: Believed
    opened: Opened | None
    sent: bytes

    @property
    def kept(self) -> Signed:
        """As it is kept with the request."""
        headers, opened = self.believed.headers, self.opened
        return Signed(
            key=headers.key,
            timestamp=headers.timestamp,
            nonce=headers.nonce,
            signature=self.believed.signature.hex(),
            sealed="" if opened is None else self.sent.decode(),
            content_key="" if opened is None else opened.content_key.hex(),
        )


class Sender(NamedTuple):
    """Who sends, and what: ``body`` is in clear. ``signed``: None for whoever is believed by a token."""

    caller: Caller
    body: bytes
    signed: SignedRequest | None


async def sender(request: Request, service: Serving, credentials: Credentials, session: SessionCookie = None) -> Sender:
    """Who sends behaviors. Raises Rejected as ``caller_of`` and docs/spec/partner-api.md."""
    caller = caller_of(request, service, credentials, session)
    headers = headers_of({name: request.headers.getlist(name) for name in HEADERS})
    if headers is None:
        if caller is None:
            raise unauthenticated()
        if not caller.roles & SENDERS:
            raise Rejected(
                "forbidden", "none of your roles may do this", remedy=f"one of: {', '.join(sorted(SENDERS))}"
            )
        if _kind(request) == SEALED:
            raise _missing("a sealed body is signed")
        return Sender(caller, await request.body(), None)
    body = await request.body()
    where = Addressed(service.protocol.origin, request.method, _target(request), _kind(request))
    signed = await anyio.to_thread.run_sync(_believed, service, where, headers, body)
    if caller is not None and (caller.name != signed.partner or PARTNER not in caller.roles):
        raise Rejected(
            "signer_differs",
            "the token is not that of the partner that signed",
            field="authorization",
            remedy="send a token of the same partner, or none: the signature is enough",
        )
    if caller is None:
        caller = Caller(signed.partner, frozenset((PARTNER,)))
        request.state.caller = caller
        service.rates.take(caller.name)
    opened = await anyio.to_thread.run_sync(_taken, service, where, headers, body)
    # Who signed is a partner, whatever else its token may do.
    caller = caller._replace(roles=frozenset((PARTNER,)))
    return Sender(caller, body if opened is None else opened.body, SignedRequest(where.target, signed, opened, body))


marked(sender, SENDERS)


def require_signature(service: Service, name: str) -> None:
    """A partner signs, unless the operator lets it come by its token. Raises Rejected ``signature_missing``."""
    if name not in service.settings.unsigned_partners.split():
        raise _missing("this partner signs its requests")


def _believed(service: Service, where: Addressed, headers: Headers, body: bytes) -> Believed:
    protocol = service.protocol
    with service.ledger() as ledger:
        partners = ledger.book.rulebook().partners
        now_s, signature = system_seconds(), signature_of(headers.signature)
        return believe(partners, protocol.verifier, where, body, headers, signature, now_s)


def _taken(service: Service, where: Addressed, headers: Headers, body: bytes) -> Opened | None:
    take_once(service.protocol.nonces, headers)
    return service.protocol.open_body(body, where, headers) if where.kind == SEALED else None


def _target(request: Request) -> str:
    """Path and query as they came."""
    path, query = request.scope.get("raw_path") or request.url.path.encode(), request.scope["query_string"]
    return bytes(path + b"?" + query if query else path).decode("latin-1")


def _kind(request: Request) -> str:
    return request.headers.get("content-type", PLAIN).partition(";")[0].strip().lower()


def _missing(why: str) -> Rejected:
    return Rejected(
        "signature_missing",
        why,
        field=HEADERS[-1],
        remedy="sign it with a registered key, as docs/spec/partner-api.md says",
    )
