"""Use cases of the methodology life cycle, factor releases and applicability decisions.

Leaves to ``domain``: every rule; to ``book.act``: the lock under which it is checked, and the actor's signature.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from application.acts import UNSIGNED, Signing
from application.book import Book, Done
from domain import decisions, factors, methodology
from domain.applicability import ChangeOfHand
from domain.events.rulebook import DecisionProposed, FactorReleaseLoaded, MethodologyDrafted


class Standing(NamedTuple):
    """A methodology version after an act."""

    code: str
    version: int
    state: str
    digest: str
    position: int


def import_methodology(book: Book, document: object, by: str) -> Standing:
    """Draft a version from its file."""
    done, _ = book.act(lambda rulebook, _: (methodology.draft(rulebook, document, by), None))
    event = cast(MethodologyDrafted, done.new.event)
    return _standing(book, f"{event.code}@{event.version}", done.position)


def review(book: Book, name: str, by: str, signing: Signing = UNSIGNED) -> Standing:
    done, _ = book.act(lambda rulebook, _: (methodology.review(rulebook, name, by), None), signing)
    return _standing(book, name, done.position)


def certify(book: Book, name: str, by: str, signing: Signing = UNSIGNED) -> Standing:
    done, _ = book.act(lambda rulebook, _: (methodology.certify(rulebook, name, by), None), signing)
    return _standing(book, name, done.position)


def publish(book: Book, name: str, by: str, signing: Signing = UNSIGNED) -> Standing:
    done, _ = book.act(lambda rulebook, _: (methodology.publish(rulebook, name, by), None), signing)
    return _standing(book, name, done.position)


def propose_withdrawal(book: Book, name: str, by: str, signing: Signing = UNSIGNED) -> Standing:
    done, _ = book.act(lambda rulebook, _: (methodology.propose_withdrawal(rulebook, name, by), None), signing)
    return _standing(book, name, done.position)


def approve_withdrawal(
    book: Book, name: str, by: str, signing: Signing = UNSIGNED, *, leave_gap: bool
) -> tuple[Standing, list[ChangeOfHand]]:
    done, changes = book.act(
        lambda rulebook, _: methodology.approve_withdrawal(rulebook, name, by, leave_gap=leave_gap), signing
    )
    return _standing(book, name, done.position), changes


def import_factors(book: Book, document: Any, by: str) -> FactorReleaseLoaded:
    """Load a factor release from its file."""
    done, _ = book.act(lambda rulebook, _: (factors.load(rulebook, document, by), None))
    return cast(FactorReleaseLoaded, done.new.event)


def propose_decision(
    book: Book,
    name: str,
    start: str | None,
    end: str | None,
    by: str,
    *,
    region: str = "*",
    releases: dict[str, int] | None = None,
    leave_gap: bool = False,
) -> tuple[str, int]:
    """Returns the decision id and the log position of the proposal."""
    done, _ = book.act(
        lambda rulebook, _: (
            decisions.propose(rulebook, name, start, end, region, releases or {}, by, leave_gap=leave_gap),
            None,
        )
    )
    return cast(DecisionProposed, done.new.event).decision, done.position


def approve_decision(
    book: Book, decision: str, by: str, signing: Signing = UNSIGNED
) -> tuple[Done, list[ChangeOfHand]]:
    return book.act(lambda rulebook, now_us: decisions.approve(rulebook, decision, by, now_us), signing)


def _standing(book: Book, name: str, position: int) -> Standing:
    rulebook = book.rulebook()
    version = rulebook.methodologies[name]
    return Standing(version.method.code, version.method.version, rulebook.state_of(name), version.digest, position)
