"""Dense seeded stories of a few accounts, written by the domain itself: every trap of the law, close together.

Keeps: the same stories on every run; methodology versions come from the dense suite of the kernel (ties, caps, holes in
region and time, formulas with min, max, minus and squares), days lie around an edge of the calendar at the offset,
rows come late, runs overlap, stay open and are applied in parts.
Leaves to ``questions``: what the fast kernel makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from domain import account as account_rules
from domain import revision as revisions
from domain.behavior import Behavior
from domain.errors import Rejected
from domain.instants import instant_of, instant_text
from domain.revision import Scope
from tests.property.fast_kernel.questions import Question
from tests.property.kernel.dense import EDGES, HUGE, instants, method_document
from tests.unit.domain.worlds import PARTNER, World, key_of, trip

REGIONS = ("", "CN", "CN-44", "CN-440300", "CN-440305", "CN-11", "US", "US-MA", "US-MA-BOS")
PLACES = ("*", "*", "*", "CN", "CN-44", "US", "US-MA")
OFFSETS = ("+08:00", "+08:00", "+00:00", "-05:00", "+05:45")
CODES = {"DENSE-A": "dense.case", "DENSE-B": "dense.case", "OTHER": "other.case"}
ACCOUNTS = ("ann", "bob", "cid")


class Story:
    """One book. ``refs``: every reference sent; ``wide``: some numbers leave 63 bits."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = Random(f"fast {seed}")
        self.seed = seed
        self.edges = [rng.choice(EDGES)]
        self.offset = rng.choice(OFFSETS)
        begin = datetime.combine(self.edges[0], datetime.min.time(), UTC)
        self.now = begin + timedelta(days=rng.choice((3, 40, 400)), hours=rng.randrange(24))
        # Decided two years ahead, so that decisions may overlap on every day that follows.
        self.world = World(instant_text(_us(begin - timedelta(days=800))))
        self.versions: dict[str, list[str]] = {code: [] for code in CODES}
        self.wide = False
        self.refs: list[str] = []
        self._begin()
        self.world.tell(instant_text(_us(self.now)))
        acts: list[tuple[int, Callable[[], None]]] = [
            (10, self._send), (3, self._reverse), (5, self._plan), (5, self._apply), (2, self._advance),
            (1, self._decide), (1, self._withdraw), (1, self._set_status), (1, self._consent),
        ]  # fmt: skip
        for _ in range(rng.choice((20, 30, 50))):
            (act,) = rng.choices([act for _, act in acts], [weight for weight, _ in acts])
            with suppress(Rejected):
                act()

    def _publish(self, code: str) -> str:
        number = len(self.versions[code]) + 1
        fixed = {"code": code, "behavior": CODES[code], "utc_offset": self.offset}
        document = method_document(self.rng, self.edges, number, **fixed)
        if HUGE in str(document) and self.rng.random() < 0.8:
            document = method_document(self.rng, self.edges, number, **fixed)
        self.wide = self.wide or HUGE in str(document)
        name = self.world.publish(document)
        self.versions[code].append(name)
        return name

    def _begin(self) -> None:
        self.world.decide(self._publish("DENSE-A"))
        for code in self.rng.choice(((), (), ("DENSE-A",), ("DENSE-B",), ("DENSE-B", "DENSE-A"))):
            start, end = self._period()
            ahead = (self.edges[0] - timedelta(days=700)).isoformat()
            self.world.decide(self._publish(code), start or ahead, end, self.rng.choice(PLACES), leave_gap=True)
        if self.rng.random() < 0.3:
            self.world.decide(self._publish("OTHER"))
        for ref in ACCOUNTS[: self.rng.choice((1, 2, 3))]:
            self.world.open_account(ref, UUID(int=self.rng.getrandbits(128)))
            if self.rng.random() < 0.7:
                self.world.grant(ref)

    def _period(self) -> tuple[str | None, str | None]:
        days = sorted(self._day() for _ in range(2))
        start = None if self.rng.random() < 0.4 else days[0].isoformat()
        end = None if self.rng.random() < 0.4 else (days[1] + timedelta(days=1)).isoformat()
        return start, end

    def _day(self) -> date:
        near = self.rng.choice((-366, -365, -31, -30, -2, -1, -1, 0, 0, 0, 1, 1, 2, 28, 29, 366))
        return min(self.edges[0] + timedelta(days=near), self.now.date())

    def _account(self) -> str:
        return self.rng.choice(ACCOUNTS)

    def _row(self) -> Behavior:
        rng = self.rng
        at = datetime.fromisoformat(rng.choice(instants(self._day(), self.offset)))
        behavior = rng.choice(("dense.case", "dense.case", "dense.case", "other.case"))
        ref = f"r{len(self.refs)}"
        account = self._account()
        self.refs.append(ref)
        return trip(
            ref,
            account,
            at=min(at, self.now).isoformat(),
            quantity=f"0.00{rng.randint(1, 9)}",
            behavior=behavior,
            region=rng.choice(REGIONS),
        )

    def _send(self) -> None:
        self.world.send(*(self._row() for _ in range(self.rng.choice((1, 4, 8)))))

    def _reverse(self) -> None:
        for ref in self.rng.sample(self.refs, min(4, len(self.refs))):
            known = self.world.refs.get(key_of("ref", PARTNER, ref))
            if known is not None and self.world.history_of(known.account).credits[known.version].reversed_at is None:
                self.world.reverse(ref)
                return

    def _plan(self) -> None:
        code = self.rng.choice(("DENSE-A", "DENSE-A", "DENSE-A", "DENSE-B", "OTHER"))
        if len(self.versions[code]) < 5:
            self._publish(code)
        if self.versions[code]:
            start, end = self._period() if self.rng.random() < 0.5 else (None, None)
            self.world.approve_run(
                self.world.plan(self.rng.choice(self.versions[code]), start, end, self.rng.choice(PLACES))
            )

    def _apply(self) -> None:
        """Some accounts of an open run, or all and its completion."""
        for run in self.world.rulebook.pending_runs():
            parts = self.rng.choice((1, 2, 10_000))
            known = [ref for ref in ACCOUNTS if self._known(ref)]
            if self.rng.random() < 0.5 and known:
                self.world.apply_run(run.id, self.rng.choice(known), lines_per_event=parts)
            else:
                self.world.apply_run(run.id, lines_per_event=parts)
                self.world.complete(run.id)

    def _known(self, ref: str) -> bool:
        try:
            return bool(self.world.account_id(ref))
        except KeyError:
            return False

    def _advance(self) -> None:
        self.now += timedelta(days=self.rng.choice((0, 1, 1, 9)), minutes=self.rng.randrange(1440))
        self.world.tell(instant_text(_us(self.now)))

    def _decide(self) -> None:
        code = self.rng.choice(("DENSE-A", "DENSE-B"))
        name = self._publish(code) if len(self.versions[code]) < 5 else self.versions[code][-1]
        start = (self.now.date() + timedelta(days=1)).isoformat()
        self.world.decide(name, start, None, self.rng.choice(PLACES), leave_gap=True)

    def _withdraw(self) -> None:
        named = [name for versions in self.versions.values() for name in versions]
        self.world.withdraw(self.rng.choice(named), leave_gap=True)

    def _set_status(self) -> None:
        if self._known(ref := self._account()):
            act = self.rng.choice((account_rules.freeze, account_rules.unfreeze, account_rules.unfreeze))
            self.world.on_account(act(self.world.head(ref), "ann", "a check"), ref)

    def _consent(self) -> None:
        if not self._known(ref := self._account()):
            return
        active = self.world.head(ref).consents
        if active and self.rng.random() < 0.3:
            self.world.on_account(
                account_rules.withdraw_consent(self.world.head(ref), self.rng.choice(active).version, "ann", "asked"),
                ref,
            )
            return
        ends = sorted(instant_of(self.rng.choice(instants(self._day(), self.offset))) for _ in range(2))
        start, end = (None if self.rng.random() < 0.4 else instant_text(us) for us in ends)
        scope = self.rng.choice((("*",), ("dense.case",), ("dense.case", "other.case")))
        self.world.grant(ref, scope, start, end)

    def hypothetical_scopes(self, count: int) -> Iterator[Scope]:
        """Runs that somebody might ask about, never recorded."""
        rng = Random(f"scopes {self.seed}")
        named = [name for versions in self.versions.values() for name in versions]
        for _ in range(count):
            period = self._period() if rng.random() < 0.7 else (None, None)
            with suppress(Rejected):
                run = revisions.candidate_run(
                    self.world.rulebook, rng.choice(named), *period, rng.choice(PLACES), {}, "ann", self.world.size
                )
                yield revisions.scope_of(self.world.rulebook, run)


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def streams_of(world: World) -> list[tuple[UUID, list[Any]]]:
    """The accounts of a book, by id."""
    return [(stream, world.streams[stream]) for stream in world.account_streams()]


def question_of(story: Story, until: int | None = None) -> Question:
    """A story as it stands, or stood at a log size."""
    world = story.world
    upto = world.size if until is None else until
    return Question(f"story {story.seed} until {upto}", world.rulebook, streams_of(world), upto, wide=story.wide)
