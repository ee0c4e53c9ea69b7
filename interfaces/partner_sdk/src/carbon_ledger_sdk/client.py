"""The two clients. What they say and when is in ``flow``; they only carry it out, waiting or awaiting."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from typing import Any, Self, TypeVar

from carbon_ledger_sdk import gm
from carbon_ledger_sdk.errors import Misused
from carbon_ledger_sdk.flow import Answer, Pause, Retries, Step, delivered
from carbon_ledger_sdk.model import Acknowledged, Behavior, Result
from carbon_ledger_sdk.protocol import MAX_ITEMS, Batch, Protocol, batches
from carbon_ledger_sdk.transport import Transport

_T = TypeVar("_T")


class _Base:
    """What both clients are made of."""

    def __init__(
        self,
        base_url: str,
        *,
        origin: str = "",
        key: gm.PartnerKey | None = None,
        log_keys: Iterable[str] = (),
        token: str = "",
        sealed: bool = False,
        items_per_request: int = MAX_ITEMS,
        retries: Retries = Retries(),  # noqa: B008  # immutable
        timeout_s: float = 30.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``base_url``: of the service. A signed client needs ``origin`` (of the ledger's log), ``key``, and
        ``log_keys``: PEM texts of the log's public keys, got by another way than from the service. ``token``: a bearer
        token besides, or instead. ``sealed``: bodies and answers are sealed for the ledger and for us alone.
        ``items_per_request``: fewer where the partner's terms say so. ``timeout_s``: for each wait on the network.
        ``context``: of TLS, for a private authority.

        Raises Misused ``origin_missing``, ``log_keys_missing``, ``key_missing``, ``credential_missing``,
        ``items_malformed``, ``address_malformed``, ``public_key_malformed``.
        """
        keys = [gm.public_key_of(pem) for pem in log_keys]
        for wrong, code, why in (
            (key is not None and (not origin or "\n" in origin), "origin_missing", "a signed client names its ledger"),
            (key is not None and not keys, "log_keys_missing", "receipts cannot be verified without the log's key"),
            (key is None and sealed, "key_missing", "only signed requests can be sealed"),
            (key is None and not token, "credential_missing", "neither a key nor a token"),
            (not 1 <= items_per_request <= MAX_ITEMS, "items_malformed", f"1 to {MAX_ITEMS} items go in one request"),
        ):
            if wrong:
                raise Misused(code, why, field=code.rpartition("_")[0])
        self._protocol = Protocol(origin, key, keys, token, sealed)
        self._items, self._retries = items_per_request, retries
        self._transport = Transport(base_url, timeout_s, context)

    def _batches(self, items: Iterable[Behavior]) -> Iterator[Batch]:
        return batches(items, self._items, self._protocol.max_body_bytes)

    def _talk(self, batch: Batch) -> Generator[Step, Answer, Acknowledged]:
        return delivered(self._protocol, batch, self._retries)


class PartnerClient(_Base):
    """Sends behaviors, and waits for what became of them. May be shared by threads."""

    def send(self, items: Iterable[Behavior]) -> Iterator[Acknowledged]:
        """Send any number of behaviors in as few requests as may be; each request is acknowledged when it is durable.

        Nothing is sent before the next result is asked for. Raises Refused and its kinds, NoAnswer, Untrusted, Misused;
        what was acknowledged before stands, and everything may be sent again.
        """
        for batch in self._batches(items):
            yield self._run(self._talk(batch))

    def credit(self, behavior: Behavior) -> Result:
        """Send one behavior. Raises as ``send``."""
        (acknowledged,) = self.send((behavior,))
        return acknowledged.items[0]

    def close(self) -> None:
        """End the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, talk: Generator[Step, Answer, _T]) -> _T:
        answer: Answer = None
        while True:
            try:
                step = talk.send(answer)
            except StopIteration as end:
                done: _T = end.value
                return done
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._transport.exchange(step)


class AsyncPartnerClient(_Base):
    """The same for ``asyncio``: requests wait in threads, so that the loop does not.

    A task that is cancelled leaves its request behind: whether it was recorded is told by sending it again.
    """

    async def send(self, items: Iterable[Behavior]) -> AsyncIterator[Acknowledged]:
        """As ``PartnerClient.send``."""
        for batch in self._batches(items):
            yield await self._run(self._talk(batch))

    async def credit(self, behavior: Behavior) -> Result:
        """As ``PartnerClient.credit``."""
        (batch,) = self._batches((behavior,))
        return (await self._run(self._talk(batch))).items[0]

    async def close(self) -> None:
        """End the connections."""
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, talk: Generator[Step, Answer, _T]) -> _T:
        answer: Answer = None
        while True:
            try:
                # Signing takes under a millisecond for what is usual; a full batch of 8 MiB is built in a thread.
                step = await asyncio.to_thread(_next, talk, answer)
            except _Ended as end:
                done: _T = end.value
                return done
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await asyncio.to_thread(self._transport.exchange, step)


class _Ended(Exception):
    """StopIteration cannot leave a coroutine."""

    def __init__(self, value: Any) -> None:
        self.value: Any = value


def _next(talk: Generator[Step, Answer, object], answer: Answer) -> Step:
    try:
        return talk.send(answer)
    except StopIteration as end:
        raise _Ended(end.value) from None
