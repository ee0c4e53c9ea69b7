"""``Idempotency-Key`` of acts that a retry would do twice (ADR 0032; IETF draft-ietf-httpapi-idempotency-key-header).

Keeps: the same key of the same caller with the same request gets the answer that it got; with another request it is
refused; while the first one is under way too. Where it is not known what became of the first one, nothing is done
again: the caller is told to look. A refusal is not kept, since nothing was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request, Response

from application.acts import TextToSign
from domain.errors import Rejected, Unavailable
from interfaces.http.security import Serving
from interfaces.http.service import Service

REPLAYED: Final = "idempotency-replayed"
_NOTHING_DONE: Final = {"service_busy", "service_starting"}

Key = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        pattern=r"^[!-~]{1,255}$",
        description="A name of your own for this act, such as a UUID: sent again within a day with this request, it "
        "is answered as it was, and not done again.",
    ),
]


class Once:
    """An act that is done once for a key; without one it is done."""

    def __init__(self, service: Service, request: Request, response: Response, body: bytes, key: str | None) -> None:
        self._service, self._request, self._response, self._key = service, request, response, key
        self._told = f"{request.method} {request.url.path}\n".encode() + body

    def __call__(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the act answers, or answered.

        Raises Rejected ``idempotency_key_reused``, ``idempotency_in_progress``, ``idempotency_outcome_unknown``.
        """
        if self._key is None:
            return act()
        with self._service.answered.holding(self._request.state.caller.name, self._key) as kept:
            if kept is None:
                raise _refused(
                    "idempotency_in_progress", "a request with this key is under way", "wait for its answer, then retry"
                )
            if kept.is_new:
                kept.begin(self._told)
                with _forgetting(kept.forget):
                    answer = act()
                kept.finish({"status": self._response.status_code, "body": answer})
                return answer
            if not kept.is_of(self._told):
                raise _refused(
                    "idempotency_key_reused", "this key was used for another request", "use a new key for each act"
                )
            if kept.answer is None:
                raise _refused(
                    "idempotency_outcome_unknown",
                    "what became of the first request with this key is not known",
                    "look whether it was done; if it was not, send it with a new key",
                )
        self._response.headers[REPLAYED] = "true"
        if kept.answer["status"] is not None:
            self._response.status_code = kept.answer["status"]
        answered: dict[str, Any] = kept.answer["body"]
        return answered


@contextmanager
def _forgetting(forget: Callable[[], None]) -> Iterator[None]:
    """What was refused, or only asked about, was not done."""
    try:
        yield
    except (Rejected, TextToSign):
        forget()
        raise
    except Unavailable as error:
        if error.code in _NOTHING_DONE:
            forget()
        raise


def _refused(code: str, message: str, remedy: str) -> Rejected:
    return Rejected(code, message, field="idempotency-key", remedy=remedy)


async def _once(request: Request, response: Response, service: Serving, idempotency_key: Key = None) -> Once:
    return Once(service, request, response, await request.body(), idempotency_key)


OnceOnly = Annotated[Once, Depends(_once)]
