"""Laws of folding: however a stream is read, in whole or from a snapshot, it says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.account import CLOSING_DAYS, Account
from domain.behavior import decimal_text
from domain.crediting import Batch, Credited, Row
from domain.events import account as events
from domain.events.base import Event, Recorded
from domain.history import AccountHistory
from domain.screening import Rules
from domain.values import FIRST_DAY, day_number, day_text, month_period, year_period
from tests.unit.domain.documents import count_cap, day_cap, metro
from tests.unit.domain.worlds import World, key_of, trip

STREAM = UUID(int=3)
CODES = ("TRAVEL-METRO", "TRAVEL-BUS")
DAYS = st.integers(day_number("2023-06-01"), day_number("2027-03-31"))
# Mostly the days around which civil years close.
EDGES = st.sampled_from(["2024-12-31", "2025-01-01", "2025-01-31", "2025-02-01", "2025-02-02", "2026-02-01"])


class _Held(NamedTuple):
    """A credit of the stream being made: its code, day, and present mass."""

    code: str
    day: int
    mass: int


class _Writer:
    """Makes one random but possible stream: what refers to something refers to something that is there."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw
        self._held: dict[int, _Held] = {}
        self._reversed: set[int] = set()
        self._consents: list[int] = []
        self._runs = 0
        self._position = 0
        self.stream: list[Recorded] = []
        self._record(events.AccountOpened(kind="household"))

    def go_on(self) -> None:
        acts = [self._credit] * 6 + [self._grant, self._stand] + ([self._withdraw] if self._consents else [])
        if set(self._held) - self._reversed:
            acts += [self._reverse, self._revise, self._revise]
        self._draw(st.sampled_from(acts))()

    def _record(self, event: Event) -> int:
        self._position += self._draw(st.integers(1, 3))
        self.stream.append(Recorded(STREAM, len(self.stream) + 1, self._position, event, None))
        return len(self.stream)

    def _credit(self) -> None:
        code = self._draw(st.sampled_from(CODES))
        day = self._draw(DAYS | EDGES.map(day_number))
        mass = self._draw(st.integers(0, 1000) | st.just(2**70))
        credit = events.BehaviorCredited(
            partner="p", intake=1, line=1, ref="00", behavior=f"b.{code[-3:].lower()}", day=day_text(day), region="",
            quantity="1", scale=0, unit="km", methodology=f"{code}@{self._draw(st.integers(1, 3))}", decision="D1",
            rule="v1", consent=2, computed_mg=str(mass), credited_mg=str(mass),
        )  # fmt: skip
        self._held[self._record(credit)] = _Held(code, day, mass)

    def _reverse(self) -> None:
        version = self._draw(st.sampled_from(sorted(set(self._held) - self._reversed)))
        held = self._held[version]
        self._reversed.add(version)
        self._record(
            events.BehaviorReversed(
                credit=version, behavior="b", day=day_text(held.day), reversed_mg=str(held.mass), by="o"
            )
        )

    def _revise(self) -> None:
        unreversed = sorted(set(self._held) - self._reversed)
        code = self._held[self._draw(st.sampled_from(unreversed))].code
        scope = [version for version in unreversed if self._held[version].code == code and self._draw(st.booleans())]
        lines = []
        for version in scope:
            held = self._held[version]
            mass = self._draw(st.integers(0, 1000))
            lines.append(events.RevisedLine(version, day_text(held.day), str(held.mass), str(mass), str(mass), ""))
            self._held[version] = _Held(code, held.day, mass)
        self._runs += 1
        cut = self._draw(st.integers(1, len(lines))) if lines else 0
        parts = [lines[:cut], lines[cut:]] if cut < len(lines) else [lines]
        for number, part in enumerate(parts, start=1):
            self._record(
                events.FactorRevised(
                    revision=f"R{self._runs}", behavior="b", methodology=f"{code}@9", rule="v1", part=number,
                    last=number == len(parts), lines=tuple(part),
                )
            )  # fmt: skip

    def _grant(self) -> None:
        granted = events.ConsentGranted(
            scope=("*",), terms_version="1", basis="direct", valid_from=None, valid_to="2026-01-01T00:00:00Z",
            evidence="", asserter=None,
        )  # fmt: skip
        self._consents.append(self._record(granted))

    def _withdraw(self) -> None:
        consent = self._consents.pop(self._draw(st.integers(0, len(self._consents) - 1)))
        self._record(events.ConsentWithdrawn(consent=consent))

    def _stand(self) -> None:
        if self._draw(st.integers(0, 5)) == 0:
            self._record(events.ErasureRequested(ground="unlawful", by="olga"))
            if self._draw(st.booleans()):
                self._record(events.PersonalDataErased(request=len(self.stream), epoch=1, by="otto"))
            return
        kind = self._draw(st.sampled_from([events.AccountFrozen, events.AccountUnfrozen, events.AccountClosed]))
        self._record(kind(by="olga"))


@st.composite
def streams(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[Recorded]:
    """One account's stream of up to 30 acts."""
    writer = _Writer(draw)
    for _ in range(draw(st.integers(0, 30))):
        writer.go_on()
    return writer.stream


@given(streams(), st.data())
def test_a_head_from_a_snapshot_and_the_rest_equals_the_head_from_the_whole_stream(
    stream: list[Recorded], data: st.DataObject
) -> None:
    whole = Account(STREAM).extend(stream).snapshot()
    cut = data.draw(st.integers(0, len(stream)))
    again = data.draw(st.integers(cut, len(stream)))
    early = Account.from_snapshot(STREAM, Account(STREAM).extend(stream[:cut]).snapshot())
    late = Account.from_snapshot(STREAM, early.extend(stream[cut:again]).snapshot())
    assert late.extend(stream[again:]).snapshot() == whole


@given(streams())
def test_a_head_holds_of_the_caps_exactly_the_years_that_are_still_open(stream: list[Recorded]) -> None:
    account, history = Account(STREAM).extend(stream), AccountHistory().extend(stream)
    for code in CODES:
        days = [credit.day for credit in history.credits.values() if credit.code == code]
        since = max((year_period(day - CLOSING_DAYS).start for day in days), default=FIRST_DAY)
        use, everything = account.use_of(code), history.use_of(code)
        assert use.since == since
        assert use.days == {day: used for day, used in everything.days.items() if day >= since}
        assert all(account.needs_history(code, day) == (year_period(day).start < since) for day in days)


def balance_by_hand(stream: list[Recorded], known: int, before_day: int) -> dict[str, int]:
    """Every valuation of every credit written out, the last one known counts."""
    worth: dict[int, int] = {}
    facts: dict[int, events.BehaviorCredited] = {}
    for each in stream:
        if each.position > known:
            break
        if isinstance(each.event, events.BehaviorCredited):
            facts[each.version] = each.event
            worth[each.version] = int(each.event.credited_mg)
        elif isinstance(each.event, events.BehaviorReversed):
            worth[each.event.credit] = 0
        elif isinstance(each.event, events.FactorRevised):
            worth |= {line.credit: int(line.credited_mg) for line in each.event.lines}
    sums: dict[str, int] = {}
    for version, fact in facts.items():
        if day_number(fact.day) < before_day:
            sums[fact.behavior] = sums.get(fact.behavior, 0) + worth[version]
    return sums


@given(streams(), st.data())
def test_a_balance_at_any_day_and_any_position_is_the_sum_written_out(
    stream: list[Recorded], data: st.DataObject
) -> None:
    history, last = AccountHistory().extend(stream), stream[-1].position
    known, before_day = data.draw(st.integers(0, last + 1)), data.draw(DAYS)
    assert history.balances(known=known, before_day=before_day) == balance_by_hand(stream, known, before_day)
    assert history.balances(known=known) == balance_by_hand(stream, known, 10**9)
    assert history.balances(before_day=before_day) == balance_by_hand(stream, last, before_day)
    assert history.balances() == history.balances(known=last)


CAPS = [day_cap("150"), day_cap("400", "month"), day_cap("700", "year"), count_cap(9, "month")]


def credited_by_hand(days: list[int], computed: list[int]) -> list[int]:
    """What the caps of ``CAPS`` leave, each row against all rows before it."""
    credited: list[int] = []

    def used(start: int, end: int) -> int:
        return sum(mg for day, mg in zip(days, credited, strict=False) if start <= day < end)

    for row, (day, mg) in enumerate(zip(days, computed, strict=True)):
        month, year = month_period(day), year_period(day)
        rooms = [150_000 - used(day, day + 1), 400_000 - used(*month), 700_000 - used(*year)]
        full = sum(month.covers(other) for other in days[:row]) >= 9
        credited.append(0 if full else min(mg, *rooms))
    return credited


@given(st.lists(st.tuples(DAYS | EDGES.map(day_number), st.integers(1, 2000)), min_size=1, max_size=30), st.data())
def test_late_rows_of_closed_years_are_capped_as_if_no_year_had_ever_closed(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    world = World("2027-06-01T00:00:00Z")
    world.introduce(metro(rate="100", caps=CAPS))
    rules, intake, kept = Rules(world.rulebook), world.intake(), dict[bytes, Account]()
    key, booked, done = key_of("account", "ann"), list[int](), 0
    while done < len(rows):
        size = data.draw(st.integers(1, len(rows) - done))
        batch = Batch(rules, intake, kept, world.history_of)
        keyed = [
            Row(
                trip(f"t{n}", at=f"{day_text(day)}T12:00:00+08:00", quantity=decimal_text(metres, 3)),
                key_of(str(n)),
                key,
            )
            for n, (day, metres) in enumerate(rows[done : done + size], start=done)
        ]
        booked += [o.credited_mg for o in batch.decide(keyed, {}, world.now_us) if isinstance(o, Credited)]
        world.append(*batch.events)
        done += size
        (stream,) = {new.stream for new in batch.events}
        folded = world.head_of(stream)
        assert kept[key].snapshot() == folded.snapshot()
        kept = {key: data.draw(st.sampled_from([kept[key], folded, Account.from_snapshot(stream, folded.snapshot())]))}
    assert booked == credited_by_hand([day for day, _ in rows], [metres * 100 for _, metres in rows])
    assert world.replayed().mismatches == []
