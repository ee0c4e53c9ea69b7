"""What webhooks keep beside the log, and what sends them.

Keeps: a subscription's position and the messages that follow from the log up to it are written together; a lease is
with one deliverer at a time and ends with its holder. Nothing here is a fact of the ledger: lost, it is set up again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol
from uuid import UUID

from domain.webhooks import Message, Wish

ACTIVE, DISABLED = "active", "disabled"


class Target(NamedTuple):
    """An origin that messages of an owner may go to. ``is_private``: it may lie within the house."""

    origin: str
    owner: str
    is_private: bool
    by: str
    since_us: int


class Subscription(NamedTuple):
    """Who is told what, where. ``position``: the log up to here is sent, waits as messages, or is of no interest.

    ``reason``: why it is disabled, or what went wrong last; ``waiting``, ``dead``: messages. ``next_us``: nothing is
    sent before. ``failing_since_us``: 0 while something gets through.
    """

    id: UUID
    owner: str
    url: str
    wish: Wish
    by: str
    since_us: int
    position: int
    state: str = ACTIVE
    reason: str = ""
    delivered: int = 0
    failed: int = 0
    waiting: int = 0
    dead: int = 0
    rounds_failed: int = 0
    next_us: int = 0
    failing_since_us: int = 0
    succeeded_us: int = 0


class Waiting(NamedTuple):
    """A message that waits. ``first_us``: when it failed first, 0 = it did not."""

    message: Message
    tries: int
    next_us: int
    first_us: int


class Dead(NamedTuple):
    """A message that was given up."""

    position: int
    kind: str
    tries: int
    first_us: int
    dead_us: int
    error: str


class Failure(NamedTuple):
    """A message that did not get through. ``is_dead``: it is not tried again by itself."""

    message: Message
    first_us: int
    next_us: int
    error: str
    is_dead: bool


class Settled(NamedTuple):
    """What a round did, and how its subscription stands after it."""

    delivered: Sequence[Message]
    failures: Sequence[Failure]
    state: str
    reason: str
    rounds_failed: int
    next_us: int
    failing_since_us: int
    succeeded_us: int


class Counts(NamedTuple):
    """Over all subscriptions; ``behind``: events of the log that the last active one has not read."""

    delivered: int
    failed: int
    waiting: int
    dead: int
    disabled: int
    behind: int


class Leases(Protocol):
    """Subscriptions that this deliverer works on. All end with the process, or the connection."""

    def take(self, subscription: UUID) -> bool:
        """False while another deliverer has it. Does not wait."""

    def give(self, subscription: UUID) -> None: ...


class Wakes(Protocol):
    """News of the log."""

    def wait(self, seconds: float) -> None:
        """Until something was appended, or the time is over."""


class WebhookStore(Protocol):
    """Port of subscriptions, targets and messages."""

    def targets(self) -> list[Target]: ...

    def target(self, origin: str, owner: str) -> Target | None: ...

    def allow(self, target: Target) -> None:
        """In the place of what was said of this origin and owner before."""

    def disallow(self, origin: str, owner: str) -> bool: ...

    def subscriptions(self, owner: str | None = None) -> list[Subscription]:
        """By age; ``owner`` None: everybody's."""

    def subscription(self, subscription: UUID) -> Subscription | None: ...

    def add(self, subscription: Subscription) -> None: ...

    def remove(self, subscription: UUID) -> bool:
        """With all its messages."""

    def rewind(self, subscription: UUID, position: int) -> None:
        """Active again, from after a position that it has passed; messages beyond it will be made anew."""

    def revive(self, subscription: UUID) -> int:
        """Active again, and what was given up waits again; returns how many."""

    def dead(self, subscription: UUID, limit: int) -> list[Dead]:
        """The oldest that were given up."""

    def counts(self, head: int) -> Counts: ...

    def due(self, head: int, now_us: int, window: int) -> list[UUID]:
        """Active ones with something to read, while fewer than ``window`` messages wait, or with one to send now."""

    def put(self, subscription: UUID, position: int, upto: int, messages: Sequence[Message]) -> bool:
        """The messages of (position, upto] and the new position together; False where the position has moved."""

    def waiting(self, subscription: UUID, limit: int) -> list[Waiting]:
        """In the order of their positions."""

    def settle(self, subscription: UUID, settled: Settled) -> None: ...

    def balances_before(self, places: Sequence[tuple[UUID, int]]) -> Mapping[UUID, int]:
        """mg of accounts before log positions, as the views show them."""

    def leases(self) -> AbstractContextManager[Leases]: ...

    def wakes(self) -> AbstractContextManager[Wakes]: ...


class Answer(NamedTuple):
    """What came of a message. ``status``: 0 where there was no answer; ``error``: "" where it got through.

    ``retry_after_s``: how long the receiver asks to be left alone.
    """

    status: int
    error: str
    retry_after_s: int | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether a receiver that is well does not want this message."""
        return 400 <= self.status < 500 and self.status not in (408, 425, 429)

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more messages, ever."""
        return self.status == 410


class Line(Protocol):
    """A connection to one target, made when it is first needed."""

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises nothing: whatever happens is an answer."""

    def close(self) -> None: ...


class Post(Protocol):
    """Port of sending."""

    def line(self, url: str, *, is_private: bool) -> Line: ...

    def expire(self, *, everything: bool = False) -> None:
        """End what takes longer than it may."""
