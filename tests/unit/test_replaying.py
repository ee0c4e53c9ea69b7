"""Replay of a whole book in memory: what it proves, and that each kind of tampering is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from application import initializing, methodologies, queries, revising
from application.book import Book
from application.crediting import Crediting
from application.intakes import close_intake, open_intake
from application.replaying import ReplayResult, replay
from domain.behavior import Behavior, parse_behavior
from domain.events import account as events
from domain.events.registry import decode, encode
from infrastructure import catalogue
from infrastructure.memory import MemoryJournal, MemoryKeys, MemoryViews

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
    initializing.open_book(book)
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


def test_a_reference_removed_from_the_index_is_found(town: Town) -> None:
    town.journal._refs.popitem()
    assert [detail.what for detail in town.replay().details] == ["references"]


def test_a_methodology_altered_after_the_fact_no_longer_fits_its_digest(town: Town) -> None:
    kind = type(town.journal.rulebook_events(0, town.journal.head().rulebook_position)[1].event)
    town.alter(kind, lambda facts: msgspec.structs.replace(facts, document=facts.document.replace("33.88", "99.88")))
    assert "digest" in {detail.what for detail in town.replay().details}


def test_an_approval_rewritten_to_its_proposer_is_found(town: Town) -> None:
    decision, _ = methodologies.propose_decision(town.book, "TRAVEL-BUS@1", "2030-01-01", None, "carol")
    done, _ = methodologies.approve_decision(town.book, decision, "dave")
    town.alter(type(done.new.event), lambda facts: msgspec.structs.replace(facts, by="carol"), nth=-1)
    assert "approved by its proposer" in {detail.what for detail in town.replay().details}
