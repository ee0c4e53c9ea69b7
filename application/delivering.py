"""Sending messages: what a round of one subscription does, and the deliverer that works on all of them.

Keeps: at least once, and in the order of the log for each account: a message is forgotten only after its receiver took
it, and nothing of its account goes before it while it waits. What waits in memory and in the database is bounded, for
the rest the position in the log is the queue. Subscriptions have a thread each, so that none waits for another's.
Leaves to ``domain.webhooks``: what messages say; to the ports: connections, leases, tables.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple
from uuid import UUID

from application.book import Book
from application.checkpoints import origin_of
from application.ports.signer import Signer
from application.ports.views import Views
from application.ports.webhooks import (
    ACTIVE,
    DISABLED,
    Answer,
    Failure,
    Leases,
    Post,
    Settled,
    Subscription,
    Target,
    Waiting,
    WebhookStore,
)
from domain.errors import LedgerError
from domain.events.account import BehaviorCredited, BehaviorReversed
from domain.events.base import Recorded
from domain.signing_keys import SIGNING_KEYS
from domain.webhook_targets import place_of
from domain.webhooks import (
    BANK,
    PURPOSE,
    TOPICS,
    Known,
    Message,
    change_mg,
    hmac_signature,
    is_over,
    messages_of,
    pause_us,
    signed_text,
    sm2_header,
    sm2_text,
)

MOST_SUBSCRIPTIONS: Final = 64
WINDOW: Final = 256
_PAGE: Final = 1_000
_CONNECTIONS: Final = 4
_ROUND_S: Final = 5.0
_LOOKS_EVERY_S: Final = 0.5
_GATHERS_S: Final = 0.02
_MOST_DEAD: Final = 10_000
_US: Final = 1_000_000
_NOT_ALLOWED_S: Final = 30
_LONGEST_PAUSE_OF_ALL_S: Final = 300


class Patience(NamedTuple):
    """How long a receiver is waited for. Pauses between tries grow from the first to the longest."""

    tries: int
    first_pause_s: float
    longest_pause_s: float
    disable_after_s: int
    answer_s: float


@dataclass
class Delivering:
    """What is worked with; all but ``book``, whose journal alone they use, is made for many threads.

    ``now_us``, ``elapsed_s``: the machine's clocks; ``draw``: by chance, 0 to 999; ``signing``: the key in use.
    """

    book: Book
    views: Views
    store: WebhookStore
    post: Post
    patience: Patience
    now_us: Callable[[], int]
    elapsed_s: Callable[[], float]
    draw: Callable[[], int]
    signing: Callable[[], Signer]
    tell: Callable[[str], None]
    stopping: threading.Event = field(default_factory=threading.Event)
    signer: Signer | None = None
    suspended: frozenset[str] = frozenset()
    # A page is read on two connections: threads that wait must not hold them all.
    reading: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(3))


class Deliverer:
    """Works until it is asked to stop. Raises what the ledger raises: whoever runs it begins again."""

    def __init__(self, delivering: Delivering) -> None:
        self._with = delivering
        self._keys_seen = -1

    def run(self, asked_to_stop: Callable[[], bool]) -> None:
        """Until then."""
        run = self._with
        run.stopping.clear()
        with (
            run.store.leases() as leases,
            run.store.wakes() as wakes,
            ThreadPoolExecutor(MOST_SUBSCRIPTIONS, "webhooks") as pool,
        ):
            working: dict[UUID, Future[None]] = {}
            try:
                while not asked_to_stop():
                    run.post.expire()
                    for done in [each for each, future in working.items() if future.done()]:
                        working.pop(done).result()
                    for each in self._due():
                        if each not in working and len(working) < MOST_SUBSCRIPTIONS:
                            working[each] = pool.submit(self._work, leases, each)
                    wakes.wait(_LOOKS_EVERY_S)
                    # Appends that follow each other are looked at together.
                    run.stopping.wait(_GATHERS_S)
            finally:
                run.stopping.set()
                self._end(working.values())

    def _due(self) -> list[UUID]:
        run = self._with
        head, version = run.book.journal.head().size, run.book.journal.version(SIGNING_KEYS)
        if version != self._keys_seen:
            run.signer, self._keys_seen = run.signing(), version
        partners = run.book.rulebook().partners.all
        run.suspended = frozenset(name for name, each in partners.items() if each.now.suspended)
        return run.store.due(head, run.now_us(), WINDOW)

    def _work(self, leases: Leases, subscription: UUID) -> None:
        if not leases.take(subscription):
            return
        try:
            while not self._with.stopping.is_set() and one_round(self._with, subscription):
                pass
        except Exception as error:  # noqa: BLE001 - whatever keeps one from going on keeps no other from it
            put_aside(self._with, subscription, error)
        finally:
            leases.give(subscription)

    def _end(self, working: Iterable[Future[None]]) -> None:
        """What is under way may be answered, for as long as an answer may take."""
        run, left = self._with, set(working)
        deadline = run.elapsed_s() + run.patience.answer_s
        while left and run.elapsed_s() < deadline:
            left = wait(left, 0.1).not_done
            run.post.expire()
        run.post.expire(everything=True)


def one_round(run: Delivering, subscription: UUID) -> bool:
    """Read on in the log, send what is due, note what came of it; whether there may be more to do at once."""
    found = run.store.subscription(subscription)
    if found is None or found.state != ACTIVE:
        return False
    target = run.store.target(place_of(found.url).origin, found.owner)
    against = "target_not_allowed" if target is None else "partner_suspended" if found.owner in run.suspended else ""
    if target is None or against:
        kept = (found.rounds_failed, run.now_us() + _NOT_ALLOWED_S * _US, found.failing_since_us, 0)
        run.store.settle(subscription, Settled([], [], ACTIVE, against, *kept))
        return False
    with run.reading:
        has_read = read_on(run, found)
    now_us = run.now_us()
    lanes = [lane for lane in _lanes(run.store.waiting(subscription, WINDOW)) if lane[0].next_us <= now_us]
    if not lanes:
        return has_read
    sending = _Sending(run, found, target, lanes)
    sending.run()
    if not (sending.delivered or sending.failures):
        return False
    settled = settled_of(run, found, [each.message for each in sending.delivered], sending.failures)
    run.store.settle(subscription, settled)
    if settled.state == DISABLED:
        run.tell(f"webhook {found.id} is disabled: {settled.reason}")
    return bool(sending.delivered) and settled.next_us <= run.now_us()


def put_aside(run: Delivering, subscription: UUID, error: Exception) -> None:
    """Note and tell what kept a subscription from going on; it is tried again after a pause that grows.

    Raises what the ledger raises, where it is the ledger that cannot be asked.
    """
    found = run.store.subscription(subscription)
    if found is None:
        return
    reason, rounds = error.code if isinstance(error, LedgerError) else "defect", found.rounds_failed + 1
    next_us = run.now_us() + _pause_us(run, rounds)
    run.store.settle(subscription, Settled([], [], ACTIVE, reason, rounds, next_us, found.failing_since_us, 0))
    run.tell(f"webhook {subscription} could not go on and is tried again: {reason} ({type(error).__name__})")


def read_on(run: Delivering, found: Subscription) -> bool:
    """Make messages of what the log holds beyond the position, as long as there is room; whether it moved."""
    head, position, room = run.book.journal.head().size, found.position, WINDOW - found.waiting
    while room > 0 and position < head and not run.stopping.is_set():
        made, upto = _page(run, found, position, min(head, position + _PAGE), room)
        if upto == position or not run.store.put(found.id, position, upto, made):
            break
        position, room = upto, room - len(made)
    return position != found.position


def _page(run: Delivering, found: Subscription, position: int, upto: int, room: int) -> tuple[list[Message], int]:
    """At most ``room`` messages of the log after ``position``, and how far it was read."""
    journal, wish = run.book.journal, found.wish
    crosses = wish.threshold_mg is not None
    if crosses:
        upto = min(upto, run.views.advance(upto))
    events = [each for each in journal.log(position, upto, TOPICS) if _may_concern(found.owner, each)]
    times = journal.recorded_at([each.position for each in events]) if events else {}
    balances = _balances(run, events) if crosses else {}
    source, made = origin_of(journal.book_id().bytes), list[Message]()
    for each in events:
        before = balances.get(each.stream, 0)
        partner = _partner_of(run, each) if found.owner != BANK and isinstance(each.event, BehaviorReversed) else ""
        of_event = messages_of(found.owner, wish, each, Known(source, times[each.position], partner, before))
        if len(made) + len(of_event) > room:
            # The messages of one event are made together, also where there is room for one alone.
            return (made, each.position - 1) if made else (of_event, each.position)
        made += of_event
        balances[each.stream] = before + change_mg(each.event)
    return made, upto


def _may_concern(owner: str, each: Recorded) -> bool:
    if owner == BANK or isinstance(each.event, BehaviorReversed):
        return True
    return isinstance(each.event, BehaviorCredited) and each.event.partner == owner


def _balances(run: Delivering, events: Sequence[Recorded]) -> dict[UUID, int]:
    """Balances of the accounts of a page, before its first event of each."""
    first: dict[UUID, int] = {}
    for each in events:
        first.setdefault(each.stream, each.position)
    return dict(run.store.balances_before(list(first.items()))) if first else {}


def _partner_of(run: Delivering, reversal: Recorded) -> str:
    stream = run.book.journal.stream(reversal.stream, reversal.position)
    credit = stream[reversal.event.credit - 1].event
    return credit.partner if isinstance(credit, BehaviorCredited) else ""


def _lanes(waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    by_lane = sorted(waiting, key=lambda each: each.message.lane)
    lanes = [list(lane) for _, lane in groupby(by_lane, key=lambda each: each.message.lane)]
    return sorted(lanes, key=lambda lane: lane[0].message.position)


class _Sending:
    """One round: lanes side by side on a few connections, each lane one message after the other."""

    def __init__(self, run: Delivering, found: Subscription, target: Target, lanes: Sequence[list[Waiting]]) -> None:
        self._run, self._found, self._target = run, found, target
        self._left = deque(lanes)
        self._lock = threading.Lock()
        self._until = run.elapsed_s() + _ROUND_S
        self._secret = run.book.keys.secret(PURPOSE, str(found.id))
        self.delivered: list[Waiting] = []
        self.failures: list[tuple[Waiting, Answer]] = []

    def run(self) -> None:
        """Until nothing is left, time is over, or the receiver does not answer."""
        others = [threading.Thread(target=self._work) for _ in range(min(_CONNECTIONS, len(self._left)) - 1)]
        for each in others:
            each.start()
        self._work()
        for each in others:
            each.join()

    def _work(self) -> None:
        line = self._run.post.line(self._found.url, is_private=self._target.is_private)
        try:
            while (lane := self._next()) is not None:
                for each in lane:
                    if self._is_over() or not self._send(line.post, each):
                        break
        finally:
            line.close()

    def _next(self) -> list[Waiting] | None:
        with self._lock:
            return self._left.popleft() if self._left else None

    def _is_over(self) -> bool:
        with self._lock:
            asks = any(answer.is_gone or answer.retry_after_s for _, answer in self.failures)
            is_down = not self.delivered and any(not answer.is_refusal for _, answer in self.failures)
        return asks or is_down or self._run.stopping.is_set() or self._run.elapsed_s() >= self._until

    def _send(self, post: Callable[..., Answer], waiting: Waiting) -> bool:
        message, at = waiting.message, self._run.now_us() // _US
        headers = headers_of(message, at, self._secret, self._run.signer)
        answer = post(message.body.encode(), headers)
        with self._lock:
            if answer.error:
                self.failures.append((waiting, answer))
            else:
                self.delivered.append(waiting)
        return not answer.error


def headers_of(message: Message, at_s: int, secret: bytes, signer: Signer | None) -> dict[str, str]:
    """What a message is sent with (docs/spec/webhooks.md)."""
    text = signed_text(message.id, at_s, message.body)
    headers = {
        "content-type": "application/cloudevents+json",
        "user-agent": "carbon-ledger",
        "webhook-id": message.id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": hmac_signature(secret, text),
    }
    if signer is not None:
        headers["webhook-signature-sm2"] = sm2_header(signer.key_id, signer.sign(sm2_text(text)))
    return headers


def settled_of(
    run: Delivering,
    found: Subscription,
    delivered: Sequence[Message],
    failed: Sequence[tuple[Waiting, Answer]],
) -> Settled:
    """How a subscription stands after a round."""
    now_us, patience = run.now_us(), run.patience
    first, longest = int(patience.first_pause_s * _US), int(patience.longest_pause_s * _US)
    # A receiver that refuses one message is well: others need not wait for that.
    is_well = bool(delivered) or any(answer.is_refusal for _, answer in failed)
    rounds = 0 if is_well else found.rounds_failed + 1
    pause = 0 if is_well else _pause_us(run, rounds)
    asked = max((answer.retry_after_s or 0 for _, answer in failed), default=0) * _US
    since = 0 if is_well else found.failing_since_us or now_us
    failures = [_failure(run, found, each, answer, bool(delivered), now_us) for each, answer in failed]
    reason = failed[-1][1].error if failed else ""
    is_gone = any(answer.is_gone for _, answer in failed)
    too_many = found.dead + sum(each.is_dead for each in failures) > _MOST_DEAD
    is_over = is_gone or too_many or (since and now_us - since > patience.disable_after_s * _US)
    return Settled(
        delivered,
        failures,
        DISABLED if is_over else ACTIVE,
        "gone" if is_gone else "too_many_dead" if too_many else reason,
        rounds,
        now_us + max(pause, min(asked, max(longest, first))) if failed else 0,
        since,
        now_us if delivered else 0,
    )


def _pause_us(run: Delivering, rounds: int) -> int:
    """After so many rounds that failed."""
    first, longest = int(run.patience.first_pause_s * _US), int(run.patience.longest_pause_s * _US)
    return pause_us(rounds, first, min(longest, _LONGEST_PAUSE_OF_ALL_S * _US), run.draw())


def _failure(
    run: Delivering, found: Subscription, waiting: Waiting, answer: Answer, others_pass: bool, now_us: int
) -> Failure:
    tries, first_us, patience = waiting.tries + 1, waiting.first_us or now_us, run.patience
    longest = int(patience.longest_pause_s * _US)
    pause = pause_us(tries, int(patience.first_pause_s * _US), longest, run.draw())
    passes = others_pass or found.succeeded_us > first_us
    is_dead = is_over(tries, patience.tries, is_refused=answer.is_refusal and not answer.is_gone, others_pass=passes)
    return Failure(waiting.message, first_us, now_us + pause, answer.error, is_dead)
