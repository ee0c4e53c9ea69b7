"""Replay of a whole book in memory: what it proves, and that each kind of tampering is named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from uuid import UUID

import msgspec
import pytest

from application import accounts, erasing, initializing, methodologies, queries, revising
from application.book import Book
from application.crediting import Crediting
from application.intakes import close_intake, open_intake
from application.replaying import ReplayResult, replay
from domain import methodology
from domain.account import Account
from domain.behavior import Behavior, parse_behavior
from domain.errors import Corrupt
from domain.events import account as events
from domain.events.intake import IntakeClosed, IntakeOpened
from domain.events.registry import decode, encode
from domain.events.rulebook import BookOpened, RevisionApproved
from domain.instants import instant_of
from infrastructure import catalogue
from infrastructure.memory import MemoryJournal, MemoryKeys
from infrastructure.memory_views import MemoryViews

NOW_US = 1_790_000_000_000_000


@dataclass
class Town:
    """A small book with credits, a revision and a reversal, whose stored rows a test may alter."""

    journal: MemoryJournal
    book: Book
    size: int

    def replay(self) -> ReplayResult:
        """By a process that has read nothing yet."""
        return replay(Book(self.journal, self.book.keys))

    def alter(self, kind: type[Any], change: Callable[[Any], Any], *, nth: int = 0) -> None:
        """Change the facts of the nth stored event of a kind, as somebody with the database could."""
        places = [i for i, row in enumerate(self.journal._rows) if row.topic == kind.TOPIC]
        row = self.journal._rows[places[nth]]
        facts, personal = decode(row.topic, row.state)
        self.journal._rows[places[nth]] = row._replace(state=encode(change(facts), personal))


def _behaviors(count: int) -> list[Behavior]:
    rows = [
        parse_behavior(
            n + 1,
            f"ride-{n}",
            f"p-{n % 3}",
            "cycling.shared_bike",
            f"2026-0{n % 6 + 1}-11T09:00:00Z",
            f"{n + 1}.5",
            "km",
            "",
        )
        for n in range(count)
    ]
    return [row for row in rows if isinstance(row, Behavior)]


@pytest.fixture
def town() -> Town:
    journal = MemoryJournal(lambda: NOW_US)
    book = Book(journal, MemoryKeys())
    initializing.open_book(book, retention_days=0)
    initializing.load_catalogue(book, catalogue.documents())
    intake = open_intake(book, "bikes", "ab" * 32, 1, "csv", opens_accounts=True)
    Crediting(book).credit(intake, _behaviors(12))
    close_intake(book, intake, 12, 12, 0, Counter())
    planned = revising.plan(book, "CYCLING-SHARED@2", "2026-02-01", "2026-05-01", "alice")
    revising.approve(book, planned.revision_id, "bob")
    revising.apply(book, planned.revision_id)
    return Town(journal, book, journal.head().size)


def test_an_untouched_book_replays_without_a_mismatch_and_with_the_digest_of_its_views(town: Town) -> None:
    result = town.replay()
    totals = queries.totals(town.book, MemoryViews(town.journal))
    assert (result.mismatches, result.credits, result.revisions) == (0, 12, 1)
    assert (result.digest, result.credited_mg) == (totals.digest, totals.credited_mg)


def test_what_is_appended_while_the_positions_are_counted_is_no_mismatch(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    span, before, acts = town.journal.span, town.journal.head().size, cycle([accounts.freeze, accounts.unfreeze])

    def counted_late(upto: int) -> tuple[int, int, int]:
        next(acts)(town.book, "p-0", "bob", "dispute")
        return span(upto)

    monkeypatch.setattr(town.journal, "span", counted_late)
    assert town.replay().details == []
    assert town.journal.head().size > before


def test_the_book_as_it_was_before_the_revision_can_be_replayed_by_itself(town: Town) -> None:
    before = next(p for p, row in enumerate(town.journal._rows) if row.topic == events.FactorRevised.TOPIC)
    early = replay(town.book, until=before - 1)
    assert (early.mismatches, early.revisions) == (0, 0)
    assert early.credited_mg != town.replay().credited_mg


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (events.BehaviorCredited, {"credited_mg": "1"}, "credited_mg"),
        (events.BehaviorCredited, {"quantity": "999"}, "computed_mg"),
        (events.BehaviorCredited, {"decision": "D2"}, "decision"),
        (events.BehaviorCredited, {"intake": 1}, "intake"),
        (events.BehaviorCredited, {"day": "2026-13-01"}, "unreadable facts"),
        (events.FactorRevised, {"lines": ()}, "line of credit"),
        (events.FactorRevised, {"revision": "R9"}, "revision"),
    ],
)
def test_one_altered_fact_is_named_with_its_stream_and_version(
    town: Town, kind: type[Any], change: dict[str, Any], what: str
) -> None:
    town.alter(kind, lambda facts: msgspec.structs.replace(facts, **change))
    result = town.replay()
    assert result.mismatches
    assert any(detail.what.startswith(what) and detail.version for detail in result.details)


def test_a_credit_that_names_an_intake_opened_after_it_is_found(town: Town) -> None:
    later = open_intake(town.book, "bikes", "cd" * 32, 1, "csv", opens_accounts=True)
    town.alter(events.BehaviorCredited, lambda facts: msgspec.structs.replace(facts, intake=later.position))
    (found,) = [detail for detail in town.replay().details if detail.what == "intake"]
    assert (found.booked, found.recomputed) == (f"opened at {later.position}", "before its first credit")
    assert found.position < later.position


def test_a_reference_removed_from_the_index_is_found(town: Town) -> None:
    town.journal._refs.popitem()
    assert {detail.what for detail in town.replay().details} == {"reference", "references"}


def test_a_reference_that_leads_to_another_credit_is_found(town: Town) -> None:
    one, other = list(town.journal._refs)[:2]
    refs = town.journal._refs
    refs[one], refs[other] = refs[other], refs[one]
    assert [detail.what for detail in town.replay().details] == ["reference", "reference"]


def test_a_persons_name_that_leads_to_another_account_is_found(town: Town) -> None:
    keys = town.journal._account_keys
    one, other = list(keys)[:2]
    keys[one], keys[other] = keys[other], keys[one]
    assert [detail.what for detail in town.replay().details] == ["account name", "account name"]


def test_a_clear_reference_that_does_not_fit_its_key_is_found(town: Town) -> None:
    kind = events.BehaviorCredited
    place = next(i for i, row in enumerate(town.journal._rows) if row.topic == kind.TOPIC)
    row = town.journal._rows[place]
    facts, personal = decode(row.topic, row.state)
    assert isinstance(personal, events.BehaviorCreditedPersonal)
    other = msgspec.structs.replace(personal, source_ref="ride-9999")
    town.journal._rows[place] = row._replace(state=encode(facts, other))
    assert [detail.what for detail in town.replay().details] == ["reference"]


def erase(town: Town, account_ref: str) -> UUID:
    erasing.request(town.book, account_ref, "alice", "a letter")
    return erasing.approve(town.book, account_ref, "bob").account_id


def test_an_erased_account_is_no_mismatch_now_or_as_of_earlier(town: Town) -> None:
    before = town.replay()
    erase(town, "p-1")
    for result in (town.replay(), replay(Book(town.journal, town.book.keys), until=town.size)):
        assert (result.details, result.digest) == ([], before.digest)


def test_whoever_is_erased_while_names_are_compared_is_no_mismatch(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    found, people = town.journal.find_accounts, ["p-1", "p-2"]

    def erased_first(keys: Any) -> Any:
        if people and len(keys) > 1:
            monkeypatch.setattr(town.journal, "find_accounts", found)
            erase(town, people.pop())
            monkeypatch.setattr(town.journal, "find_accounts", erased_first)
        return found(keys)

    monkeypatch.setattr(town.journal, "find_accounts", erased_first)
    assert town.replay().details == []
    assert people == ["p-1"]


def test_a_person_without_key_and_without_receipt_is_found(town: Town) -> None:
    account = accounts.account_id(town.book, "p-1")
    town.journal._erased.add(account)
    assert [(d.stream, d.what) for d in town.replay().details] == [(account, "personal part")]


def test_a_receipt_after_which_key_or_name_are_still_there_is_found(town: Town) -> None:
    keys = dict(town.journal._account_keys)
    account = erase(town, "p-1")
    town.journal._account_keys = keys
    (named,) = town.replay().details
    assert (named.stream, named.what, named.booked[:11]) == (account, "erasure", "a reference")
    town.journal._erased.clear()
    assert len(town.replay().details) == 2


def test_an_erasure_before_retention_was_over_is_found(town: Town) -> None:
    erase(town, "p-1")
    town.alter(BookOpened, lambda facts: msgspec.structs.replace(facts, retention_days=10))
    (early,) = town.replay().details
    assert (early.what, early.booked[:6]) == ("erasure", "before")


def test_an_erasure_approved_by_who_asked_is_found(town: Town) -> None:
    erase(town, "p-1")
    town.alter(events.PersonalDataErased, lambda facts: msgspec.structs.replace(facts, by="alice"))
    assert [detail.what for detail in town.replay().details] == ["erasure"]


def test_a_snapshot_that_the_stream_does_not_give_is_found(town: Town) -> None:
    stream = next(row.stream for row in town.journal._rows if row.topic == events.AccountOpened.TOPIC)
    head = Account(stream).extend(town.journal.stream(stream))
    town.journal._snapshots[stream] = (head.version, head.snapshot())
    assert town.replay().mismatches == 0
    town.journal._snapshots[stream] = (head.version, head.snapshot().replace(b'"open"', b'"frozen"'))
    assert [detail.what for detail in town.replay().details] == ["snapshot"]


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (IntakeClosed, {"credited": 1_012}, "rows accounted for"),
        (IntakeClosed, {"read": 13, "credited": 13}, "credited by intake"),
        (IntakeOpened, {"digest": "cd" * 32}, "intake"),
        (events.ConsentGranted, {"evidence": "cd" * 32}, "evidence"),
        (RevisionApproved, {"plan_digest": "cd" * 32}, "plan_digest"),
    ],
)
def test_what_was_received_and_approved_must_agree_with_what_came_of_it(
    town: Town, kind: type[Any], change: dict[str, Any], what: str
) -> None:
    town.alter(kind, lambda facts: msgspec.structs.replace(facts, **change))
    assert what in {detail.what for detail in town.replay().details}


def test_a_rulebook_event_that_the_chain_leaves_out_is_found(town: Town) -> None:
    """The newest one by setting the head back, any other by pointing past it."""
    newest, before = town.journal.rulebook_events(0, town.journal.head().rulebook_position)[-1:-3:-1]
    head = town.journal._head
    town.journal._head = head._replace(rulebook_position=before.position)
    assert "rulebook chain" in {detail.what for detail in town.replay().details}
    town.journal._head = head
    town.alter(type(newest.event), lambda facts: msgspec.structs.replace(facts, previous=before.event.previous))
    assert "rulebook chain" in {detail.what for detail in town.replay().details}


def test_a_rulebook_that_does_not_fit_together_stops_the_replay_as_corrupt(town: Town) -> None:
    town.alter(RevisionApproved, lambda facts: msgspec.structs.replace(facts, revision="R9"))
    with pytest.raises(Corrupt, match="rulebook_unreadable"):
        town.replay()


def test_a_methodology_altered_after_the_fact_no_longer_fits_its_digest(town: Town) -> None:
    kind = type(town.journal.rulebook_events(0, town.journal.head().rulebook_position)[1].event)
    town.alter(kind, lambda facts: msgspec.structs.replace(facts, document=facts.document.replace("33.88", "99.88")))
    assert "digest" in {detail.what for detail in town.replay().details}


def test_a_version_that_one_person_made_reviewed_certified_and_withdrew_past_its_rules_is_found(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another scale and offset than its code has: whoever patches the refusals away writes it all the same."""
    documents: list[dict[str, Any]] = json.loads(json.dumps(catalogue.documents()))
    (document,) = [each for each in documents if (each["code"], each["version"]) == ("TRAVEL-METRO", 1)]
    document["inputs"]["quantity"]["scale"] = 4
    with monkeypatch.context() as patch:
        patch.setattr(methodology, "refuse_same_actor", lambda *_, **__: None)
        patch.setattr(methodology, "_check_fixed", lambda *_: None)
        changed = document | {"version": 2, "utc_offset": "+00:00"}
        places = [methodologies.import_methodology(town.book, changed, "li").position]
        for step, actor in ((methodologies.review, "LI"), (methodologies.certify, "Li"), (methodologies.publish, "li")):
            places.append(step(town.book, "TRAVEL-METRO@2", actor).position)
        methodologies.propose_withdrawal(town.book, "TRAVEL-METRO@2", "li")
        withdrawn, _ = methodologies.approve_withdrawal(town.book, "TRAVEL-METRO@2", "lI", leave_gap=False)
        places.append(withdrawn.position)
    found = [(detail.position, detail.what) for detail in town.replay().details]
    drafted, reviewed, certified, _, ended = places
    assert found == [
        (drafted, "fixed_per_code"),
        *((place, "same_actor") for place in (reviewed, certified, ended)),
    ]
    assert replay(town.book, until=drafted - 1).details == []


def test_an_approval_is_of_the_day_it_was_decided_on_though_midnight_passes_while_it_is_recorded() -> None:
    midnight = instant_of("2026-07-02T00:00:00+08:00")
    instants = [midnight - 1, midnight, midnight + 1]

    def ticking() -> int:
        """Whoever asks again is told the next instant."""
        return instants.pop(0) if instants else NOW_US

    journal = MemoryJournal(lambda: NOW_US - 10**15)
    book = Book(journal, MemoryKeys())
    initializing.open_book(book)
    initializing.load_catalogue(book, catalogue.documents())
    decision, _ = methodologies.propose_decision(book, "CYCLING-SHARED@2", "2026-07-01", None, "carol")
    journal.clock = ticking
    done, _ = methodologies.approve_decision(book, decision, "dave")
    assert journal.recorded_at([done.position]) == {done.position: midnight - 1}
    assert replay(book).details == []


def test_an_approval_rewritten_to_its_proposer_is_found(town: Town) -> None:
    decision, _ = methodologies.propose_decision(town.book, "TRAVEL-BUS@1", "2030-01-01", None, "carol")
    done, _ = methodologies.approve_decision(town.book, decision, "dave")
    town.alter(type(done.new.event), lambda facts: msgspec.structs.replace(facts, by="carol"), nth=-1)
    assert ("same_actor", done.position) in {(detail.what, detail.position) for detail in town.replay().details}
