"""What every journal promises (``application.ports.journal``), as one suite that each adapter runs.

Use: a concrete ``Test…`` class names its ``ADAPTER`` module and overrides the fixture ``journal``; the clock it hands
to its journal is the fixture ``clock``, which tests set.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from application.ports.journal import (
    Append,
    Appended,
    DayFull,
    DayRows,
    Head,
    Journal,
    LogMoved,
    Moved,
    RefTaken,
    RulebookMoved,
    StreamMoved,
)
from domain.account import Account
from domain.events.account import (
    AccountFrozen,
    AccountOpened,
    AccountOpenedPersonal,
    BehaviorCredited,
    BehaviorCreditedPersonal,
    BehaviorReversed,
    ConsentGranted,
)
from domain.events.base import Event, NewEvent, Recorded
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.events.registry import ACCOUNT_TOPICS, TOPICS
from domain.events.rulebook import DecisionApproved
from domain.values import day_text
from infrastructure.eventsourcing_journal import EventsourcingJournal, open_datastore
from infrastructure.gm.sm4 import SM4Key
from infrastructure.postgres.migrating import migrate
from infrastructure.postgres.recorder import Clock
from tests.fixtures.ledgers import Server

START_US = 1_790_000_000_000_000
DAY = 739_587
WAIT = 20.0
"""Seconds after which something that should have happened will not."""


class ToldClock:
    """A clock that shows what a test sets, also earlier times."""

    def __init__(self) -> None:
        self.now_us = START_US

    def __call__(self) -> int:
        return self.now_us


def opened(account: UUID) -> NewEvent:
    return NewEvent(account, 1, AccountOpened(kind="individual"), AccountOpenedPersonal(account_ref=f"ref-{account}"))


def credited(account: UUID, version: int, mg: int = 72_000, day: int = 737_425) -> NewEvent:
    event = BehaviorCredited(
        partner="metro-co",
        intake=1,
        line=version,
        ref="0" * 32,
        behavior="travel.metro",
        day=day_text(day),
        region="CN-44",
        quantity="1000",
        scale=3,
        unit="km",
        methodology="TRAVEL-METRO@1",
        decision="D1",
        rule="v1",
        consent=2,
        computed_mg=str(mg),
        credited_mg=str(mg),
    )
    personal = BehaviorCreditedPersonal(source_ref=f"trip {version}", occurred_at="2020-01-01T08:00:00+08:00")
    return NewEvent(account, version, event, personal)


def frozen(account: UUID, version: int) -> NewEvent:
    return NewEvent(account, version, AccountFrozen(by="bob"))


def approved(previous: int) -> NewEvent:
    """A rulebook event in a stream of its own."""
    return NewEvent(uuid4(), 1, DecisionApproved(previous=previous, decision="D1", by="bob"))


def put(journal: Journal, *events: NewEvent, **parts: Any) -> Appended:
    """Append on the rulebook as it stands."""
    return journal.append(Append(events, journal.head().rulebook_position, **parts))


def put_at_last(journal: Journal, *events: NewEvent) -> Appended:
    """The same for a writer whose rulebook may move meanwhile."""
    while True:
        try:
            return put(journal, *events)
        except RulebookMoved:
            continue


def rule(journal: Journal) -> Appended:
    """Append a rulebook event that names its predecessor."""
    previous = journal.head().rulebook_position
    return journal.append(Append([approved(previous)], previous, moves_rulebook=True))


def fill(journal: Journal, account: UUID, versions: int, per_append: int = 500) -> None:
    """Give an account a stream of so many events."""
    events = [opened(account), *(credited(account, version) for version in range(2, versions + 1))]
    for start in range(0, versions, per_append):
        put(journal, *events[start : start + per_append])


def everything(journal: Journal, *, accounts: list[UUID], refs: list[bytes], keys: list[bytes]) -> list[Any]:
    """All that a journal answers, to compare before and after."""
    size = journal.head().size
    return [
        journal.head(),
        list(journal.log(0, size + 100)),
        journal.span(size + 100),
        {i: account.snapshot() for i, account in journal.accounts(accounts).items()},
        list(journal.streams(tuple(TOPICS), size + 100)),
        journal.find_refs(refs),
        journal.find_accounts(keys),
        journal.position_at(START_US * 2),
        journal.recorded_at(range(1, size + 100)),
        journal.count_refs(size + 100),
        journal.rulebook_events(0, journal.head().rulebook_position),
    ]


_databases: dict[str, str] = {}


def new_journal(server: Server) -> str:
    """Conninfo of a database with an empty journal: one per server, made anew by each call."""
    conninfo = _databases.get(server.conninfo)
    if conninfo is None:
        conninfo = _databases[server.conninfo] = server.empty_database()
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        conn.execute("DROP SCHEMA IF EXISTS journal, views, views_shadow, webhooks CASCADE")
        conn.execute("DROP TABLE IF EXISTS public.ledger_migrations")
        migrate(conn)
    return conninfo


TEST_KEK = SM4Key(bytes(range(16)), 1)


@contextmanager
def postgres_journal(conninfo: str, clock: Clock | None = None) -> Iterator[EventsourcingJournal]:
    """The journal of a database, with a pool of its own."""
    datastore = open_datastore(conninfo)
    try:
        yield EventsourcingJournal(datastore, clock=clock, kek=TEST_KEK)
    finally:
        datastore.close()


def _try_claim(journal: Journal, stream: UUID, failure: Exception | None = None) -> bool:
    """Whether the stream could be claimed by somebody who then fails, or not."""
    found = []
    with suppress(KeyError), journal.claim(stream) as ours:
        found.append(ours)
        if failure is not None:
            raise failure
    return found[0]


class JournalContract:
    """Tests common to all journals."""

    ADAPTER: ModuleType
    """The adapter's module; every stored row goes through its ``decode`` or ``recorded``."""

    @pytest.fixture
    def clock(self) -> ToldClock:
        return ToldClock()

    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError

    def test_an_empty_journal_knows_nothing_and_nobody(self, journal: Journal) -> None:
        assert journal.head() == Head(0, 0, 0)
        assert journal.span(10) == (0, 0, 0)
        assert list(journal.log(0, 10)) == []
        assert list(journal.streams(ACCOUNT_TOPICS, 10)) == []
        assert (journal.position_at(START_US), journal.recorded_at([1])) == (0, {})
        assert journal.rulebook_events(0, 0) == journal.stream(uuid4()) == []
        nobody: list[Any] = [journal.accounts([uuid4()]), journal.find_refs([bytes(16)]), journal.find_accounts([])]
        assert nobody == [{}, {}, {}]

    def test_what_was_appended_is_read_back_with_its_personal_part(self, journal: Journal) -> None:
        account = uuid4()
        events = [opened(account), credited(account, 2), frozen(account, 3)]
        assert put(journal, *events) == Appended(1, 3, START_US)
        assert journal.head() == Head(3, 0, START_US)
        assert journal.stream(account, personal=True) == [
            Recorded(account, n, n, new.event, new.personal) for n, new in enumerate(events, start=1)
        ]

    def test_an_append_of_nothing_is_refused(self, journal: Journal) -> None:
        with pytest.raises(ValueError, match="without events"):
            put(journal)
        assert journal.head() == Head(0, 0, 0)

    # Rows of partners' days

    def test_a_day_counts_what_was_appended_and_never_more_than_its_quota(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account), day_rows=DayRows("metro", DAY, 2, 3))
        with pytest.raises(DayFull) as full:
            put(journal, credited(account, 2), day_rows=DayRows("metro", DAY, 2, 3))
        assert (full.value.counted, journal.head().size) == (2, 1)
        put(journal, credited(account, 2), day_rows=DayRows("metro", DAY, 1, 3))
        with pytest.raises(DayFull):
            put(journal, credited(account, 3), day_rows=DayRows("metro", DAY, 1, 3))
        for other, rows in ((DayRows("metro", DAY + 1, 3, 3), 3), (DayRows("rail", DAY, 1, 1), 1)):
            put(journal, credited(account, journal.head().size + 1), day_rows=other)
            assert journal.rows_of_day(other.partner, other.day) == rows
        with pytest.raises(DayFull) as never:
            put(journal, credited(account, 5), day_rows=DayRows("bus", DAY, 2, 1))
        assert (never.value.counted, journal.rows_of_day("metro", DAY), journal.rows_of_day("bus", DAY)) == (0, 3, 0)

    def test_a_day_without_a_quota_is_counted_for_one_that_comes(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account), day_rows=DayRows("metro", DAY, 1_000, None))
        put(journal, credited(account, 2), day_rows=DayRows("metro", DAY, 1_000, None))
        with pytest.raises(DayFull) as full:
            put(journal, credited(account, 3), day_rows=DayRows("metro", DAY, 1, 1_500))
        assert full.value.counted == journal.rows_of_day("metro", DAY) == 2_000

    def test_what_was_undone_or_refused_counts_nothing(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account))
        with suppress(KeyError), journal.exclusive():
            put(journal, credited(account, 2), day_rows=DayRows("metro", DAY, 1, 5))
            raise KeyError
        with pytest.raises(StreamMoved):
            put(journal, opened(account), day_rows=DayRows("metro", DAY, 1, 5))
        assert journal.rows_of_day("metro", DAY) == 0
        with pytest.raises(DayFull), journal.exclusive():
            put(journal, credited(account, 2), day_rows=DayRows("metro", DAY, 6, 5))
        assert (journal.head().size, journal.rows_of_day("metro", DAY)) == (1, 0)

    def test_of_many_writers_racing_for_the_last_rows_of_a_day_as_many_win_as_there_are(self, journal: Journal) -> None:
        ready = threading.Barrier(6)

        def race(_: int) -> int:
            won = 0
            ready.wait(WAIT)
            for _ in range(5):
                with suppress(DayFull):
                    put(journal, opened(uuid4()), day_rows=DayRows("metro", DAY, 1, 17))
                    won += 1
            return won

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(race, range(6))) == journal.rows_of_day("metro", DAY) == journal.head().size == 17

    # Positions and refusals

    def test_positions_have_no_gap_after_every_kind_of_refusal(self, journal: Journal) -> None:
        account, other, ref, key = uuid4(), uuid4(), bytes(16), bytes(15) + b"k"
        put(journal, opened(account), refs=[(ref, 0)], openings=[(key, account)])
        refused: list[tuple[type[Moved], Append]] = [
            (StreamMoved, Append([opened(other), opened(account)], 0)),
            (StreamMoved, Append([opened(other), opened(other)], 0)),
            (StreamMoved, Append([opened(other)], 0, openings=[(key, other)])),
            (StreamMoved, Append([opened(other)], 0, openings=[(bytes(15) + b"n", account)])),
            (StreamMoved, Append([opened(other)], 0, openings=[(bytes(15) + b"n", other)] * 2)),
            (RefTaken, Append([opened(other)], 0, refs=[(ref, 0)])),
            (RefTaken, Append([opened(other)], 0, refs=[(bytes(15) + b"n", 0)] * 2)),
            (RulebookMoved, Append([opened(other)], 1)),
            (LogMoved, Append([opened(other)], 0, at_size=0)),
        ]
        for number, (refusal, batch) in enumerate(refused):
            with pytest.raises(refusal):
                journal.append(batch)
            assert put(journal, credited(account, number + 2)).first == number + 2
        size = 1 + len(refused)
        assert [each.position for each in journal.log(0, size)] == list(range(1, size + 1))
        assert journal.span(size) == (size, 1, size)

    @pytest.mark.parametrize("fault", ["stream", "version twice", "key", "ref", "rulebook"])
    def test_a_refused_append_leaves_nothing_behind(self, journal: Journal, fault: str) -> None:
        account, other, rulebook = uuid4(), uuid4(), uuid4()
        taken, free = bytes(16), bytes(15) + b"f"
        put(journal, opened(account), refs=[(taken, 0)], openings=[(taken, account)])
        rule(journal)
        known: dict[str, Any] = {"accounts": [account, other], "refs": [taken, free], "keys": [taken, free]}
        before = everything(journal, **known)
        changed = journal.accounts([account])[account]
        changed.version, changed.status = 2, "frozen"
        batch = Append(
            [opened(other), credited(account, 2), NewEvent(rulebook, 1, approved(2).event)],
            2,
            refs=[(free, 1)],
            openings=[(free, other)],
            snapshots=[_snapshot(changed)],
            moves_rulebook=True,
        )
        faults = {
            "stream": batch._replace(events=[*batch.events, opened(account)]),
            "version twice": batch._replace(events=[*batch.events, credited(account, 2)]),
            "key": batch._replace(openings=[*batch.openings, (taken, uuid4())]),
            "ref": batch._replace(refs=[*batch.refs, (taken, 0)]),
            "rulebook": batch._replace(rulebook_seen=0),
        }
        with pytest.raises(Moved):
            journal.append(faults[fault])
        assert everything(journal, **known) == before
        assert journal.append(batch) == Appended(3, 5, journal.head().recorded_us)
        assert everything(journal, **known) != before

    def test_two_writers_at_the_same_version_one_loses(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account))
        put(journal, credited(account, 2, mg=1))
        with pytest.raises(StreamMoved):
            put(journal, credited(account, 2, mg=2))
        assert [each.event.credited_mg for each in journal.stream(account)[1:]] == ["1"]

    def test_of_many_writers_racing_for_a_version_exactly_one_wins(self, journal: Journal) -> None:
        account, ready = uuid4(), threading.Barrier(8)
        put(journal, opened(account))

        def race(number: int) -> int:
            won = 0
            for version in range(2, 12):
                ready.wait(WAIT)
                try:
                    put(journal, credited(account, version, mg=number))
                except StreamMoved:
                    continue
                won += 1
            return won

        with ThreadPoolExecutor(8) as pool:
            wins = list(pool.map(race, range(8)))
        assert sum(wins) == 10
        assert [each.version for each in journal.stream(account)] == list(range(1, 12))
        assert journal.span(99) == (11, 1, 11)

    def test_of_many_writers_racing_for_a_reference_exactly_one_wins(self, journal: Journal) -> None:
        ready = threading.Barrier(6)

        def race(_: int) -> int:
            won = 0
            for number in range(8):
                account, ref = uuid4(), bytes([number]) * 16
                ready.wait(WAIT)
                try:
                    put(journal, opened(account), credited(account, 2), refs=[(ref, 1)], openings=[(ref, account)])
                except (RefTaken, StreamMoved):
                    continue
                won += 1
            return won

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(race, range(6))) == 8
        refs = [bytes([number]) * 16 for number in range(8)]
        owners = {ref: known.account for ref, known in journal.find_refs(refs).items()}
        assert owners == journal.find_accounts(refs)
        assert len(set(owners.values())) == 8

    def test_a_decision_that_lands_meanwhile_refuses_the_append(self, journal: Journal) -> None:
        seen = journal.head().rulebook_position
        rule(journal)
        with pytest.raises(RulebookMoved):
            journal.append(Append([opened(uuid4())], seen))
        assert put(journal, opened(uuid4())).first == 2

    # Time

    def test_what_was_decided_under_the_lock_is_recorded_with_the_instant_it_was_decided_at(
        self, journal: Journal, clock: ToldClock
    ) -> None:
        with journal.exclusive() as head:
            clock.now_us += 7
            appended = put(journal, opened(uuid4()), decided_us=START_US + 3)
        assert (appended.recorded_us, head.size) == (START_US + 3, 0)
        assert journal.head().recorded_us == journal.recorded_at([1])[1] == START_US + 3
        assert put(journal, opened(uuid4()), decided_us=START_US).recorded_us == START_US + 4

    def test_the_time_of_commits_strictly_rises_whatever_the_clock_does(
        self, journal: Journal, clock: ToldClock
    ) -> None:
        steps = (0, 0, 0, -5_000_000, +5, +5_000_000, -1, 0, +2, +1)
        instants = []
        for step in steps:
            clock.now_us += step
            instants.append(put(journal, opened(uuid4()), opened(uuid4())).recorded_us)
            assert journal.head().recorded_us == instants[-1]
        assert instants == sorted(set(instants))
        assert instants[:5] == [START_US + n for n in range(5)]
        assert instants[-1] == max(clock.now_us, instants[-2] + 1)
        assert journal.now_us() == clock.now_us

    def test_positions_are_known_from_the_very_microsecond_of_their_commit(
        self, journal: Journal, clock: ToldClock
    ) -> None:
        assert put(journal, opened(uuid4()), opened(uuid4()), opened(uuid4())).recorded_us == START_US
        clock.now_us += 10
        put(journal, opened(uuid4()))
        put(journal, opened(uuid4()), opened(uuid4()))
        edges = {-1: 0, 0: 3, 1: 3, 9: 3, 10: 4, 11: 6, 12: 6}
        assert {us: journal.position_at(START_US + us) for us in edges} == edges
        assert journal.position_at(0) == 0
        expected = {1: 0, 2: 0, 3: 0, 4: 10, 5: 11, 6: 11}
        assert journal.recorded_at([6, 1, 5, 2, 4, 3]) == {p: START_US + us for p, us in expected.items()}
        assert journal.recorded_at([7, 6]) == {6: START_US + 11}

    def test_every_instant_resolves_to_the_last_position_recorded_by_then(
        self, journal: Journal, clock: ToldClock
    ) -> None:
        chance, size = random.Random(20_261_122), 0
        known = {}
        for _ in range(40):
            clock.now_us += chance.choice((-3, 0, 1, 2, 7))
            size += (count := chance.randint(1, 3))
            known[put(journal, *(opened(uuid4()) for _ in range(count))).recorded_us] = size
        for us in range(min(known) - 2, max(known) + 3):
            assert journal.position_at(us) == max((p for t, p in known.items() if t <= us), default=0)

    # Heads

    def test_a_head_from_a_snapshot_and_its_tail_equals_the_whole_stream(self, journal: Journal) -> None:
        chance = random.Random(7)
        heads = {uuid4(): Account(UUID(int=0)) for _ in range(4)}
        for account in heads:
            heads[account] = Account(account)
        day = 737_000
        for _ in range(60):
            account = chance.choice(list(heads))
            head = heads[account]
            events: list[NewEvent] = []
            for version in range(head.version + 1, head.version + chance.randint(2, 5)):
                day += chance.choice((0, 1, 40))
                events.append(opened(account) if version == 1 else credited(account, version, day=day))
                head.apply(version, events[-1].event)
            put(journal, *events, snapshots=[_snapshot(head)] if chance.random() < 0.4 else [])
        found = journal.accounts(list(heads))
        assert {i: account.snapshot() for i, account in found.items()} == {i: a.snapshot() for i, a in heads.items()}
        for account in heads:
            assert Account(account).extend(journal.stream(account)).snapshot() == found[account].snapshot()

    def test_a_head_starts_from_its_newest_snapshot(self, journal: Journal) -> None:
        account = uuid4()
        for version, status in ((1, "as of 1"), (2, "as of 2"), (3, "as of 3")):
            marked = Account(account)
            marked.version, marked.status = version, status
            put(journal, opened(account) if version == 1 else credited(account, version), snapshots=[_snapshot(marked)])
        put(journal, credited(account, 4))
        head = journal.accounts([account])[account]
        assert (head.version, head.status) == (4, "as of 3")

    def test_a_long_stream_loads_from_a_few_rows(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        long, without = uuid4(), uuid4()
        fill(journal, long, 5_000)
        fill(journal, without, 300)
        head = journal.accounts([long])[long]
        head.apply(5_001, credited(long, 5_001).event)
        put(journal, credited(long, 5_001), snapshots=[_snapshot(head)])
        put(journal, credited(long, 5_002), credited(long, 5_003))
        read = _count(monkeypatch, self.ADAPTER)
        assert journal.accounts([long])[long].version == 5_003
        assert len(read) == 2
        assert journal.accounts([without])[without].version == 300
        assert len(read) == 302

    def test_an_account_asked_for_twice_is_one_head_of_the_callers_own(self, journal: Journal) -> None:
        account, absent = uuid4(), uuid4()
        put(journal, opened(account), credited(account, 2), credited(account, 3))
        twice = journal.accounts([account, absent, account])
        assert list(twice) == [account]
        assert twice[account].snapshot() == Account(account).extend(journal.stream(account)).snapshot()
        twice[account].status = "changed by the caller"
        twice[account].use_of("TRAVEL-METRO").charge(737_425, 1)
        assert journal.accounts([account])[account].snapshot() != twice[account].snapshot()

    # References, accounts, rulebook

    def test_a_taken_reference_answers_with_what_it_was_recorded_as(self, journal: Journal) -> None:
        account, ref, key = uuid4(), b"r" * 16, b"k" * 16
        put(journal, opened(account), openings=[(key, account)])
        put(journal, frozen(account, 2), credited(account, 3, mg=5), refs=[(ref, 1)])
        known = journal.find_refs([b"x" * 16, ref])
        assert list(known) == [ref]
        assert known[ref] == (account, 3, 3, credited(account, 3, mg=5).event, credited(account, 3).personal)
        assert journal.find_accounts([b"x" * 16, key, ref]) == {key: account}

    def test_taken_references_are_counted_up_to_a_position(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account), credited(account, 2), refs=[(b"a" * 16, 1)])
        put(journal, credited(account, 3), credited(account, 4), refs=[(b"b" * 16, 0), (b"c" * 16, 1)])
        assert [journal.count_refs(upto) for upto in range(6)] == [0, 0, 1, 2, 3, 3]

    def test_the_rulebook_is_walked_from_the_newest_event_back(self, journal: Journal) -> None:
        chain = []
        for _ in range(5):
            put(journal, opened(uuid4()), opened(uuid4()))
            chain.append(rule(journal).last)
        assert chain == [3, 6, 9, 12, 15]
        assert journal.head().rulebook_position == 15
        for after in (0, *chain):
            for upto in (0, *chain):
                found = [each.position for each in journal.rulebook_events(after, upto)]
                assert found == [position for position in chain if after < position <= upto]
        assert [each.event.previous for each in journal.rulebook_events(0, 15)] == [0, *chain[:-1]]

    # Reading

    def test_a_stream_is_read_up_to_a_position(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account))
        put(journal, opened(uuid4()), credited(account, 2))
        put(journal, credited(account, 3))
        found = {upto: [each.version for each in journal.stream(account, upto)] for upto in range(6)}
        assert found == {0: [], 1: [1], 2: [1], 3: [1, 2], 4: [1, 2, 3], 5: [1, 2, 3]}
        assert journal.stream(account) == journal.stream(account, 4)
        assert (journal.version(account), journal.version(uuid4())) == (3, 0)

    def test_the_log_is_read_between_two_positions_and_by_topic(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account), credited(account, 2), frozen(account, 3), credited(account, 4), opened(uuid4()))
        for after in range(7):
            for upto in range(7):
                found = [each.position for each in journal.log(after, upto)]
                assert found == list(range(after + 1, min(upto, 5) + 1))
        topics = (BehaviorCredited.TOPIC, AccountFrozen.TOPIC)
        assert [each.position for each in journal.log(0, 5, topics)] == [2, 3, 4]
        assert [each.position for each in journal.log(2, 3, topics)] == [3]
        assert list(journal.log(0, 5, (BehaviorReversed.TOPIC,))) == []

    def test_streams_come_by_id_each_with_its_events_of_the_topics(self, journal: Journal) -> None:
        chance = random.Random(3)
        ids = sorted(UUID(int=chance.getrandbits(128)) for _ in range(30))
        intake = UUID(int=ids[15].int + 1)
        shuffled = chance.sample(ids, len(ids))
        put(journal, *(opened(account) for account in shuffled))
        put(journal, *_intake(intake))
        put(journal, *(credited(account, 2) for account in reversed(shuffled)))
        size = journal.head().size
        found = list(journal.streams(ACCOUNT_TOPICS, size))
        assert [stream for stream, _ in found] == ids
        assert all(recorded == journal.stream(stream) for stream, recorded in found)
        early = list(journal.streams(ACCOUNT_TOPICS, 40))
        assert [(stream, recorded) for stream, recorded in early] == [(i, journal.stream(i, 40)) for i in ids]
        assert [stream for stream, _ in journal.streams(ACCOUNT_TOPICS, 7)] == sorted(shuffled[:7])
        assert [stream for stream, _ in journal.streams(ACCOUNT_TOPICS, size, ids[20])] == ids[21:]
        only = list(journal.streams((IntakeOpened.TOPIC,), size))
        assert [(stream, [each.version for each in recorded]) for stream, recorded in only] == [(intake, [1])]

    def test_reading_may_stop_halfway_and_writing_may_go_on_meanwhile(self, journal: Journal) -> None:
        put(journal, *(opened(uuid4()) for _ in range(20)))
        for turn in range(20):
            for reading in (journal.log(0, 20), journal.streams(ACCOUNT_TOPICS, 20)):
                next(iter(reading))
                put(journal, opened(uuid4()))
            assert journal.head().size == 20 + 2 * (turn + 1)

    # Exclusive use

    def test_holding_the_journal_excludes_every_other_writer_and_no_reader(self, journal: Journal) -> None:
        put(journal, opened(uuid4()))
        begun = threading.Event()

        def write() -> Appended:
            begun.set()
            return put(journal, opened(uuid4()))

        with ThreadPoolExecutor(1) as pool:
            with journal.exclusive() as head:
                assert head == journal.head() == Head(1, 0, START_US)
                other = pool.submit(write)
                assert begun.wait(WAIT)
                mine = journal.append(Append([opened(uuid4()), opened(uuid4())], head.rulebook_position))
                assert (mine.first, mine.last) == (2, 3)
                with pytest.raises(TimeoutError):
                    other.result(0.2)
                assert journal.head() == head
                assert len(list(journal.log(0, 10))) == 1
            assert other.result(WAIT).first == 4
        assert journal.span(9) == (4, 1, 4)

    def test_a_failure_while_holding_the_journal_undoes_the_append(self, journal: Journal) -> None:
        account, ref, key = uuid4(), b"r" * 16, b"k" * 16
        known: dict[str, Any] = {"accounts": [account], "refs": [ref], "keys": [key]}
        put(journal, opened(uuid4()))
        before = everything(journal, **known)

        def fail_after_the_append() -> None:
            with journal.exclusive():
                put(journal, opened(account), refs=[(ref, 0)], openings=[(key, account)])
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail_after_the_append()
        assert everything(journal, **known) == before
        assert put(journal, opened(account)).first == 2

    def test_a_refusal_while_holding_the_journal_writes_nothing_and_lets_go(self, journal: Journal) -> None:
        account = uuid4()
        put(journal, opened(account))
        for batch in (Append([opened(account)], 0), Append([opened(uuid4())], 1)):
            with pytest.raises(Moved), journal.exclusive():
                journal.append(batch)
        assert put(journal, credited(account, 2)).first == 2

    def test_of_many_who_claim_a_stream_one_has_it_until_he_is_done_or_fails(self, journal: Journal) -> None:
        stream, other = uuid4(), uuid4()
        with journal.claim(stream) as mine, journal.claim(other) as also_mine:
            assert (mine, also_mine) == (True, True)
            with ThreadPoolExecutor(1) as elsewhere:
                assert elsewhere.submit(_try_claim, journal, stream).result(WAIT) is False
            with journal.claim(stream) as twice:
                assert twice is False
            with journal.claim(stream) as still_taken:
                assert still_taken is False
            put(journal, opened(stream))
        assert _try_claim(journal, stream, failure=KeyError("as work may")) is True
        assert _try_claim(journal, stream) is True

    def test_however_many_streams_are_claimed_the_work_can_go_on(self, journal: Journal) -> None:
        with ExitStack() as claims:
            assert all(claims.enter_context(journal.claim(uuid4())) for _ in range(20))
            put(journal, opened(uuid4()))
            assert journal.head().size == 1

    def test_holding_the_journal_twice_is_refused_and_the_first_hold_stands(self, journal: Journal) -> None:
        with journal.exclusive() as head:
            with pytest.raises(RuntimeError, match="already"), journal.exclusive():
                raise AssertionError("held twice")
            assert journal.append(Append([opened(uuid4())], head.rulebook_position)).first == 1
        with journal.exclusive() as head:
            assert head.size == 1

    def test_threads_that_hold_the_journal_take_turns(self, journal: Journal) -> None:
        """Each reads what the one before wrote: no update is lost."""
        account = uuid4()
        put(journal, opened(account))

        def add(_: int) -> None:
            for _ in range(5):
                with journal.exclusive() as head:
                    version = len(journal.stream(account)) + 1
                    assert head.size == version - 1
                    journal.append(Append([credited(account, version)], head.rulebook_position))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(add, range(6)))
        assert [each.version for each in journal.stream(account)] == list(range(1, 32))

    def test_however_many_threads_wait_to_write_the_holder_can_read(self, journal: Journal) -> None:
        with ThreadPoolExecutor(24) as pool:
            with journal.exclusive():
                waiting = [pool.submit(put, journal, opened(uuid4())) for _ in range(24)]
                with pytest.raises(TimeoutError):
                    waiting[0].result(0.3)
                assert [journal.head().size for _ in range(5)] == [0] * 5
            assert sorted(each.result(WAIT).first for each in waiting) == list(range(1, 25))


def _snapshot(account: Account) -> tuple[UUID, int, bytes]:
    return account.id, account.version, account.snapshot()


def _intake(stream: UUID) -> list[NewEvent]:
    events: list[Event] = [
        IntakeOpened(
            partner="p",
            digest="0" * 64,
            size_bytes=1,
            media="csv",
            received_at="2026-11-22T00:00:00Z",
            evidence="elsewhere",
        ),
        IntakeClosed(read=0, credited=0, duplicates=0, rejected=0, rejected_by_code={}),
    ]
    return [NewEvent(stream, version, event) for version, event in enumerate(events, start=1)]


def _count(monkeypatch: pytest.MonkeyPatch, adapter: ModuleType) -> list[str]:
    """The topics of the events that the adapter decodes from now on."""
    read: list[str] = []

    def counting(decode: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*row: Any) -> Any:
            read.append(row[-2])
            return decode(*row)

        return counted

    for name in {"recorded", "decode_facts"} & vars(adapter).keys():
        monkeypatch.setattr(adapter, name, counting(vars(adapter)[name]))
    return read


def consented(account: UUID, version: int) -> NewEvent:
    """A consent for everything, for all time."""
    event = ConsentGranted(
        scope=("*",),
        terms_version="1",
        basis="direct",
        valid_from=None,
        valid_to=None,
        evidence="",
        asserter=None,
    )
    return NewEvent(account, version, event)
