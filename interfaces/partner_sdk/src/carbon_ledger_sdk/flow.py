"""What is sent and when it is sent again, as a conversation that any kind of client carries out.

A ``Talk`` yields requests and pauses; it is given the answer to each, or what kept it from coming. Keeps: each try is
signed anew; a request is repeated only where the ledger said nothing, or said that it could not now, which is safe
because a ``source_ref`` counts once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator
from typing import NamedTuple

from carbon_ledger_sdk.errors import NoAnswer, Refused, TooBusy, refusal
from carbon_ledger_sdk.model import Acknowledged
from carbon_ledger_sdk.protocol import KEYS_PATH, Attempt, Batch, HttpAnswer, HttpRequest, Protocol

_AGAIN = (429, 503)
# From a proxy in front: the ledger's own answer, if there was one, is lost.
_LOST = (502, 504)


class Pause(NamedTuple):
    """Wait so long before going on."""

    seconds: float


class Lost(NamedTuple):
    """No answer came to a request; whether it arrived is not known."""

    why: str


Step = HttpRequest | Pause
Answer = HttpAnswer | Lost | None


class Retries(NamedTuple):
    """``tries``: of one request, with the first. Waits are random, up to ``first_s`` doubled each time and ``most_s``.

    What the ledger wishes (``Retry-After``) comes on top; a wish beyond ``patience_s`` is told to the caller at once.
    """

    tries: int = 6
    first_s: float = 0.2
    most_s: float = 10.0
    patience_s: float = 60.0

    def pause_s(self, tried: int, wished_s: float | None) -> float:
        """How long to wait after ``tried`` tries."""
        drawn = random.uniform(0, min(self.most_s, self.first_s * 2.0 ** (tried - 1)))
        return (wished_s or 0.0) + drawn


def tried(make: Callable[[], Attempt], retries: Retries) -> Generator[Step, Answer, tuple[Attempt, HttpAnswer]]:
    """Send until there is a good answer. Raises Refused and its kinds, NoAnswer."""
    count = 0
    while True:
        count += 1
        attempt = make()
        answer = yield attempt.http
        assert answer is not None
        if isinstance(answer, HttpAnswer) and answer.status == 200:
            return attempt, answer
        error, wished_s = _failure(answer)
        if count >= retries.tries or not _worth(error) or (wished_s or 0) > retries.patience_s:
            raise error
        yield Pause(retries.pause_s(count, wished_s))


def delivered(protocol: Protocol, batch: Batch, retries: Retries) -> Generator[Step, Answer, Acknowledged]:
    """Send a batch and read what became of it. Raises Refused and its kinds, NoAnswer, Untrusted."""
    signs = protocol.key is not None
    if signs and not protocol.keys:
        yield from _learned(protocol, retries)
    try:
        attempt, answer = yield from tried(lambda: protocol.attempt(batch.body), retries)
    except Refused as error:
        if error.code != "sealed_for_another":
            raise
        # The ledger has another key for seals than when it was asked.
        yield from _learned(protocol, retries)
        attempt, answer = yield from tried(lambda: protocol.attempt(batch.body), retries)
    told = protocol.opened(attempt, answer)
    if signs and protocol.receipt_key(told) not in protocol.keys["receipt"]:
        yield from _learned(protocol, retries)
    return protocol.acknowledged(batch, attempt, told)


def _learned(protocol: Protocol, retries: Retries) -> Generator[Step, Answer, None]:
    _, answer = yield from tried(lambda: Attempt(HttpRequest("GET", KEYS_PATH, {}, b"")), retries)
    protocol.learn(answer.body)


def _failure(answer: HttpAnswer | Lost) -> tuple[NoAnswer | Refused, float | None]:
    if isinstance(answer, Lost) or answer.status in _LOST:
        why = answer.why if isinstance(answer, Lost) else f"a proxy answered {answer.status}"
        return NoAnswer("no_answer", why, remedy="send the same again: what was recorded counts once"), None
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = None
    wish = answer.headers.get("retry-after", "")
    wished_s = float(wish) if wish.isascii() and wish.isdigit() else None
    return refusal(answer.status, told if isinstance(told, dict) else {}, wished_s), wished_s


def _worth(error: NoAnswer | Refused) -> bool:
    # A day's quota is full until tomorrow, whatever the headers of its status say.
    busy = isinstance(error, TooBusy) and error.status in _AGAIN and error.code != "rows_over_day_quota"
    return isinstance(error, NoAnswer) or busy
