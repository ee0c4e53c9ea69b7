"""What erasing a person promises on every journal: the personal parts are gone, and nothing else has changed.

Use: a concrete ``Test…`` class overrides the fixture ``journal``; the clock it hands to its journal is ``clock``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from application import accounts, erasing, initializing, queries, revising
from application.book import Book
from application.crediting import Crediting
from application.intakes import close_intake, open_intake
from application.ports.journal import Append, Journal, RulebookMoved, StreamMoved
from application.ports.views import Views
from application.replaying import ReplayResult, replay
from domain.behavior import Behavior, Refusal
from domain.crediting import Credited, Duplicate, Intake, Outcome
from domain.digest import sm3_hex
from domain.erasure import DEFAULT_RETENTION_DAYS, GROUNDS
from domain.errors import Corrupt, Rejected
from domain.events.account import FactorRevised, PersonalDataErased
from domain.events.base import NewEvent, Recorded
from domain.events.registry import ACCOUNT_TOPICS
from domain.instants import instant_text
from infrastructure import catalogue
from infrastructure.memory import MemoryKeys
from tests.contract.journal_contract import ToldClock, credited, frozen, opened, put, rule
from tests.unit.domain.worlds import trip

DAY_US = 86_400_000_000
METRO = "travel.metro"


def receipt(account: UUID, version: int) -> NewEvent:
    return NewEvent(account, version, PersonalDataErased(request=1, epoch=1, by="otto"))


def two_people(journal: Journal) -> tuple[UUID, UUID]:
    """Two accounts with a credit each; their keys are their ids, the references of the credits 1 and 2."""
    one, two = uuid4(), uuid4()
    for number, account in enumerate((one, two), start=1):
        openings = [(account.bytes, account)]
        put(journal, opened(account), credited(account, 2), refs=[(bytes([number]) * 16, 1)], openings=openings)
    return one, two


def without_person(recorded: Sequence[Recorded]) -> list[Recorded]:
    return [each._replace(personal=None) for each in recorded]


class BookOfPeople:
    """A book of the demo catalogue in which people ride the metro."""

    def __init__(self, journal: Journal, clock: ToldClock, *, retention_days: int = 0) -> None:
        self.clock = clock
        self.book = Book(journal, MemoryKeys())
        initializing.open_book(self.book, retention_days=retention_days)
        initializing.load_catalogue(self.book, catalogue.documents())
        self.crediting = Crediting(self.book)

    def trip(self, source_ref: str, account_ref: str = "ann", **more: Any) -> Behavior:
        """A ride of a week ago."""
        return trip(source_ref, account_ref, at=instant_text(self.clock() - 7 * DAY_US), **more)

    def intake(self, content: str, *, opens: bool = True) -> Intake:
        return open_intake(self.book, "metro-co", sm3_hex(content.encode()), 1, "csv", opens_accounts=opens)

    def send(self, *rows: Behavior, opens: bool = True, crediting: Crediting | None = None) -> Sequence[Outcome]:
        """A whole intake, by default of a process that keeps heads of accounts."""
        intake = self.intake(f"{self.book.journal.head().size} {rows}", opens=opens)
        outcomes = (crediting or self.crediting).credit(intake, rows).outcomes
        duplicates = sum(isinstance(each, Duplicate) for each in outcomes)
        credits = sum(isinstance(each, Credited) for each in outcomes)
        codes = Counter(each.code for each in outcomes if isinstance(each, Refusal))
        close_intake(self.book, intake, len(rows), credits, duplicates, codes)
        return outcomes

    def erase(self, account_ref: str = "ann") -> UUID:
        erasing.request(self.book, account_ref, "alice", "a letter")
        return erasing.approve(self.book, account_ref, "bob").account_id

    def replay(self, until: int | None = None) -> ReplayResult:
        """By a process that has read nothing yet; there must be no mismatch."""
        result = replay(Book(self.book.journal, self.book.keys), until)
        assert result.details == []
        return result

    def refusal(self, act: Any, *args: Any) -> str:
        with pytest.raises(Rejected) as refused:
            act(self.book, *args)
        assert refused.value.remedy
        return refused.value.code


class ErasureContract:
    """Tests common to all journals."""

    @pytest.fixture
    def clock(self) -> ToldClock:
        return ToldClock()

    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError

    @pytest.fixture
    def views(self, journal: Journal) -> Views:
        raise NotImplementedError

    @pytest.fixture
    def people(self, journal: Journal, clock: ToldClock) -> BookOfPeople:
        return BookOfPeople(journal, clock)

    # The journal

    def test_the_personal_parts_of_an_erased_account_are_gone_from_every_answer(self, journal: Journal) -> None:
        one, two = two_people(journal)
        before = journal.stream(one, personal=True)
        assert all(each.personal is not None for each in before)
        put(journal, receipt(one, 3), erasures=[one])
        assert journal.stream(one, personal=True)[:2] == without_person(before)
        assert list(journal.log(0, 2, personal=True)) == without_person(before)
        streams = dict(journal.streams(ACCOUNT_TOPICS, journal.head().size, personal=True))
        assert [each.personal for each in streams[one]] == [None] * 3
        known = journal.find_refs([bytes([number]) * 16 for number in (1, 2)])
        assert known[bytes([1]) * 16].personal is None
        assert known[bytes([1]) * 16].facts == before[1].event
        assert known[bytes([2]) * 16].personal is not None
        assert all(each.personal is not None for each in streams[two])

    def test_nobody_finds_an_erased_account_by_its_reference_any_more(self, journal: Journal) -> None:
        one, two = two_people(journal)
        assert journal.named([one, two, uuid4()]) == {one, two}
        put(journal, receipt(one, 3), erasures=[one])
        assert journal.find_accounts([one.bytes, two.bytes]) == {two.bytes: two}
        assert journal.named([one, two]) == {two}
        assert journal.accounts([one])[one].status == "erased"
        assert journal.count_refs(99) == 2

    def test_the_reference_of_an_erased_account_may_open_another(self, journal: Journal) -> None:
        one, _ = two_people(journal)
        put(journal, receipt(one, 3), erasures=[one])
        again = uuid4()
        put(journal, opened(again), openings=[(one.bytes, again)])
        assert journal.find_accounts([one.bytes]) == {one.bytes: again}
        assert journal.stream(again, personal=True)[0].personal is not None

    def test_an_append_that_is_refused_erases_nobody(self, journal: Journal) -> None:
        one, two = two_people(journal)
        before = journal.stream(one, personal=True), journal.find_accounts([one.bytes])
        for refusal, batch in (
            (StreamMoved, Append([receipt(one, 2)], 0, erasures=[one])),
            (RulebookMoved, Append([receipt(one, 3)], 7, erasures=[one])),
            (StreamMoved, Append([receipt(one, 3), opened(two)], 0, erasures=[one, two])),
        ):
            with pytest.raises(refusal):
                journal.append(batch)
        with suppress(KeyError), journal.exclusive() as head:
            journal.append(Append([receipt(one, 3)], head.rulebook_position, erasures=[one]))
            raise KeyError("as work may fail")
        assert (journal.stream(one, personal=True), journal.find_accounts([one.bytes])) == before

    def test_who_decided_before_an_erasure_is_told_that_the_stream_moved(self, journal: Journal) -> None:
        one, two = two_people(journal)
        put(journal, receipt(one, 3), erasures=[one])
        for late in ([credited(one, 3)], [credited(two, 3), credited(one, 3)], [frozen(one, 3)]):
            with pytest.raises(StreamMoved):
                put(journal, *late)
        assert put(journal, credited(two, 3)).first == 6

    def test_nothing_personal_is_recorded_of_an_erased_account_and_facts_still_are(self, journal: Journal) -> None:
        one, _ = two_people(journal)
        put(journal, receipt(one, 3), erasures=[one])
        with pytest.raises(Corrupt, match="account_key_missing"):
            put(journal, credited(one, 4))
        put(journal, frozen(one, 4))
        assert [each.version for each in journal.stream(one)] == [1, 2, 3, 4]

    def test_the_epoch_of_the_keys_stands_still_while_the_journal_is_held(self, journal: Journal) -> None:
        two_people(journal)
        rule(journal)
        with journal.exclusive():
            assert journal.key_epoch() == 1

    # The book

    def test_an_erasure_changes_no_balance_no_total_and_no_digest(self, people: BookOfPeople, views: Views) -> None:
        people.send(people.trip("t1"), people.trip("t2"), people.trip("t3", "ben"))
        accounts.reverse(people.book, "ann", "t2", "olga", "she never rode", "metro-co")
        before = queries.totals(people.book, views), people.replay()
        log = without_person(list(people.book.journal.log(0, people.book.journal.head().size)))
        erased = people.erase()
        after = queries.totals(people.book, views), people.replay()
        assert after[0].digest == before[0].digest == before[1].digest == after[1].digest
        assert (after[0].credits, after[0].accounts) == (before[0].credits, before[0].accounts)
        assert after[0].behaviors == before[0].behaviors
        assert list(people.book.journal.log(0, len(log))) == log
        assert [type(e.event).__name__ for e in people.book.journal.log(len(log), len(log) + 9)] == [
            "ErasureRequested",
            "PersonalDataErased",
        ]
        assert people.replay(until=len(log)).digest == before[0].digest
        assert queries.show_account(people.book, str(erased), queries.known_at(people.book)).credited_mg > 0

    def test_personal_fields_of_an_erased_account_read_as_erased(self, people: BookOfPeople) -> None:
        people.send(people.trip("t1"))
        accounts.reverse(people.book, "ann", "t1", "olga", "she never rode", "metro-co")
        erasing.request(people.book, "ann", "alice", "a letter", "unlawful")
        asked = queries.show_account(people.book, "ann", queries.known_at(people.book)).erasure
        assert asked is not None
        assert (asked.requested_by, asked.ground, asked.reason, asked.erased) == ("alice", "unlawful", "a letter", None)
        erased = erasing.approve(people.book, "ann", "bob")
        name = str(erased.account_id)
        for known in (erased.position, asked.requested - 1):
            view = queries.show_account(people.book, name, queries.known_at(people.book, position=known))
            assert view.account_ref is None
        view = queries.show_account(people.book, name, queries.known_at(people.book))
        assert (view.status, view.consents) == ("erased", [])
        assert view.erasure == erasing.Erasure(
            asked.requested, "alice", "unlawful", None, "bob", erased.position, erased.epoch
        )
        told = queries.explain(people.book, name, "t1", "metro-co")
        assert (told["source_ref"], told["occurred_at"]) == (None, None)
        assert told["valuations"][-1]["reason"] is None
        assert people.refusal(queries.explain, "ann", "t1", "metro-co") == "account_unknown"

    def test_a_digest_by_reference_has_no_reference_for_who_was_erased(
        self, people: BookOfPeople, views: Views
    ) -> None:
        people.send(people.trip("t1"), people.trip("t3", "ben"))
        before = queries.totals(people.book, views)
        people.erase()
        mg = before.credited_mg // 2
        expected = sm3_hex(f",{METRO},{mg}\nben,{METRO},{mg}\n".encode())
        assert queries.totals(people.book, views, by_ref=True).digest == expected

    def test_a_resent_reference_is_a_duplicate_without_details_and_who_returns_is_somebody_new(
        self, people: BookOfPeople
    ) -> None:
        people.send(people.trip("t1"))
        erased = people.erase()
        outcomes = people.send(people.trip("t1"), people.trip("t1", "ben", quantity="7"), people.trip("t2"))
        assert outcomes[:2] == [Duplicate(None)] * 2
        assert accounts.account_id(people.book, "ann") != erased
        people.replay()

    def test_a_process_that_still_holds_the_account_goes_on_with_a_new_one(self, people: BookOfPeople) -> None:
        """Its head was kept from before the erasure: neither is it credited nor does the work stop."""
        other = Crediting(people.book)
        for crediting in (people.crediting, other):
            people.send(people.trip(f"t{id(crediting)}"), crediting=crediting)
        erased = people.erase()
        (outcome,) = people.send(people.trip("t2"), crediting=other)
        assert getattr(outcome, "account", erased) != erased
        (unknown,) = people.send(people.trip("t3", "ann2"), opens=False)
        assert getattr(unknown, "code", "") == "account_unknown"
        people.erase()
        (refused,) = people.send(people.trip("t4"), opens=False)
        assert getattr(refused, "code", "") == "account_unknown"
        people.replay()

    def test_an_import_in_batches_goes_on_while_the_person_is_erased(self, people: BookOfPeople) -> None:
        people.send(people.trip("t0"))
        intake = people.intake("batches")
        ids = []

        def batches() -> Any:
            for number in range(6):
                if number in (2, 4):
                    ids.append(people.erase())
                yield [people.trip(f"b{number}")]

        outcomes = [each for done in people.crediting.credit_all(intake, batches()) for each in done.outcomes]
        close_intake(people.book, intake, 6, 6, 0, Counter())
        assert len({outcome.account for outcome in outcomes if isinstance(outcome, Credited)}) == 3
        assert len(set(ids)) == 2
        assert len(people.replay().balances) == 1

    def test_an_open_intake_counts_its_rows_of_somebody_erased_as_credited(self, people: BookOfPeople) -> None:
        intake = people.intake("interrupted")
        rows = [people.trip("t1", line=2), people.trip("t2", line=3)]
        Crediting(people.book).credit(intake, rows[:1])
        erased = people.erase()
        first, second = Crediting(people.book).credit(intake, rows).outcomes
        assert (getattr(first, "account", None), getattr(second, "account", erased) != erased) == (erased, True)

    def test_a_revision_under_way_still_reaches_an_erased_account(self, people: BookOfPeople) -> None:
        people.send(people.trip("t1", behavior="cycling.shared_bike"))
        run = revising.plan(people.book, "CYCLING-SHARED@2", None, None, "alice").revision_id
        revising.approve(people.book, run, "bob")
        erased = people.erase()
        done = revising.apply(people.book, run)
        assert (done.accounts, done.delta_mg != "0") == (1, True)
        assert isinstance(people.book.journal.stream(erased)[-1].event, FactorRevised)
        assert people.replay().revisions == 1

    # Who, and when

    def test_an_erasure_takes_two_and_an_erased_account_takes_nothing(self, people: BookOfPeople) -> None:
        people.send(people.trip("t1"))
        assert people.refusal(erasing.approve, "ann", "bob") == "erasure_not_requested"
        assert people.refusal(erasing.request, "eve", "alice", "x") == "account_unknown"
        assert people.refusal(erasing.request, "ann", "alice", "x", "whim") == "ground_unknown"
        erasing.request(people.book, "ann", "alice", "a letter")
        assert people.refusal(erasing.request, "ann", "bob", "x") == "erasure_requested"
        assert people.refusal(erasing.approve, "ann", "ALICE") == "same_actor"
        name = str(erasing.approve(people.book, "ann", "bob").account_id)
        for act, args in (
            (erasing.request, ("alice", "x", GROUNDS[1])),
            (erasing.approve, ("bob",)),
            (accounts.freeze, ("alice", "x")),
            (accounts.close, ("alice", "x")),
            (accounts.reverse, ("t1", "alice", "x", "metro-co")),
        ):
            assert people.refusal(act, name, *args) == "account_erased"
        with pytest.raises(Rejected, match="account_erased"):
            accounts.grant_consent(
                people.book, name, scope=("*",), terms_version="1", valid_from=None, valid_to=None, evidence="", by="a"
            )

    def test_before_retention_is_over_neither_asking_nor_approving_helps(
        self, journal: Journal, clock: ToldClock
    ) -> None:
        people = BookOfPeople(journal, clock, retention_days=10)
        people.send(people.trip("t1"))
        assert people.refusal(erasing.request, "ann", "alice", "x") == "retention_not_over"
        clock.now_us += 11 * DAY_US
        erasing.request(people.book, "ann", "alice", "a letter")
        people.send(people.trip("t2"))
        assert people.refusal(erasing.approve, "ann", "bob") == "retention_not_over"
        clock.now_us += 10 * DAY_US
        assert people.refusal(erasing.approve, "ann", "bob") == "retention_not_over"
        clock.now_us += DAY_US
        erasing.approve(people.book, "ann", "bob")
        people.replay()

    def test_a_book_keeps_the_retention_period_that_it_was_opened_with(
        self, journal: Journal, clock: ToldClock
    ) -> None:
        book = Book(journal, MemoryKeys())
        assert initializing.open_book(book)
        genesis = book.rulebook().genesis
        assert genesis is not None
        assert genesis.retention_days == DEFAULT_RETENTION_DAYS
        for same in (None, DEFAULT_RETENTION_DAYS):
            assert not initializing.open_book(book, retention_days=same)
        with pytest.raises(Rejected, match="retention_recorded"):
            initializing.open_book(book, retention_days=0)
        with pytest.raises(Rejected, match="retention_malformed"):
            initializing.open_book(book, retention_days=-1)
