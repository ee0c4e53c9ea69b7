"""The vectors of docs/spec/proofs.md and docs/spec/bundle.md: a small book, and what its log shows of it.

Keeps: what is random in a ledger (ids) is told here, so that the same bytes come out again; the events are those that
the domain decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from itertools import count
from typing import Any
from unittest.mock import patch
from uuid import UUID

from domain.audit import bundle
from domain.audit.checkpoint import Checkpoint
from domain.audit.proofs import BalanceProof, balance_proof_text, event_proof_text
from domain.events.account import BehaviorCredited
from tests.golden.signing_story import FIRST, public_of
from tests.unit.domain.documents import metro
from tests.unit.domain.signed_books import BOOK_ID, ORIGIN, SignedBook, begun, row
from tests.unit.domain.worlds import World, trip

__all__ = ["BOOK_ID", "ORIGIN", "row"]
SEED = "drawn by the auditor"
ANN = UUID("00000000-0000-4000-8000-000000000001")


@cache
def world() -> World:
    """Two accounts, three files, a reversal."""
    numbers = count(1)
    with patch("domain.crediting.uuid4", lambda: UUID(f"00000000-0000-4000-8000-{next(numbers):012d}")):
        book = begun()
        book.introduce(metro())
        book.tell("2026-03-02T00:00:00Z")
        book.credited(trip("t1", "ann"), trip("t2", "ben", quantity="2.5"))
        book.credited(trip("t3", "ann", quantity="12.35"), partner="bike-co")
        book.credited(trip("t4", "ben"))
        book.reverse("t1")
    return book


@cache
def book() -> SignedBook:
    return SignedBook(world())


def lines() -> list[bytes]:
    """The line of each event, by position."""
    return book().lines


def leaves() -> list[bytes]:
    return book().leaves


def checkpoint() -> Checkpoint:
    return book().checkpoint


def note() -> bytes:
    return book().note


# -- proofs ------------------------------------------------------------------------------------------------------------


def balance() -> BalanceProof:
    return book().balance(ANN)


def event_proof() -> str:
    """The file that docs/spec/proofs.md begins with: ann's first credit."""
    (position,) = [each.position for each in world().streams[ANN] if isinstance(each.event, BehaviorCredited)][:1]
    return event_proof_text(book().shown(position), note())


def proof_vectors() -> str:
    return _text({"public_key": public_of(FIRST).hex(), "balance_proof": balance_proof_text(balance(), note())})


# -- bundle ------------------------------------------------------------------------------------------------------------


@cache
def members() -> dict[str, bytes]:
    """The members of a bundle that shows ann and not ben."""
    return book().members([ANN], SEED)


def example() -> str:
    """The members that docs/spec/bundle.md begins with, abridged."""
    found = members()
    parts = []
    for name in (bundle.ABOUT, bundle.ACCOUNTS, bundle.TREE, bundle.MAP, bundle.SAMPLES):
        parts.append(f"{name}\n{found[name].decode()}")
    return "\n".join(parts)


def vectors() -> str:
    """All members; the one that is no text in hexadecimal."""
    texts = {name: content.decode() for name, content in members().items() if name != bundle.SIGNATURE}
    found: dict[str, Any] = {
        "public_key": public_of(FIRST).hex(),
        "members": texts,
        f"{bundle.SIGNATURE}_hex": members()[bundle.SIGNATURE].hex(),
        "leaves": {str(bundle.parse_event(line).position): leaf.hex() for line, leaf in _shown_leaves()},
        "balances": {str(ANN): {behavior: str(mg) for behavior, mg in book().balances_of(ANN).items()}},
    }
    return _text(found)


def _shown_leaves() -> Iterable[tuple[bytes, bytes]]:
    positions = [each.position for each in world().streams[ANN]]
    return ((lines()[position - 1], leaves()[position - 1]) for position in positions)


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)
