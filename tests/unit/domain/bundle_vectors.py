"""The vectors of docs/spec/proofs.md and docs/spec/bundle.md: a small book, and what its log shows of it.

Keeps: what is random in a ledger (ids, salts, what is sealed, the nonce of a signature) is told here, so that the same
bytes come out again; the events are those that the domain decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from typing import Any
from unittest.mock import patch
from uuid import UUID

from domain.audit import bundle
from domain.audit.book_map import Entry, MapProof, map_key, map_paths, map_rest, map_root, map_value
from domain.audit.checkpoint import Checkpoint, body_of
from domain.audit.leaves import pack
from domain.audit.merkle import Subtree, inclusion_path, subtree_root, subtrees_without
from domain.audit.note import key_hash_of, note_of, signature_der, signed_message
from domain.audit.proofs import BalanceProof, EventProof, ShownEvent, balance_proof_text, event_proof_text
from domain.digest import new_sm3
from domain.events.account import BehaviorCredited
from domain.events.base import NewEvent
from domain.events.keys import SigningKeyRegistered
from domain.events.registry import encode_part
from domain.history import AccountHistory
from domain.signing_keys import SIGNING_KEYS, statement
from infrastructure.gm.sm2_format import key_id
from tests.golden.signing_story import FIRST, public_of, signed
from tests.unit.domain.documents import metro
from tests.unit.domain.worlds import Entry as Row
from tests.unit.domain.worlds import World, trip

BOOK_ID = UUID("b0b1b2b3-b4b5-46b7-88b9-babbbcbdbebf")
ORIGIN = f"carbon-ledger/{BOOK_ID.hex}"
SEED = "drawn by the auditor"
ANN = UUID("00000000-0000-4000-8000-000000000001")


@cache
def world() -> World:
    """Two accounts, three files, a reversal."""
    numbers = count(1)
    with patch("domain.crediting.uuid4", lambda: UUID(f"00000000-0000-4000-8000-{next(numbers):012d}")):
        book = World("2026-03-01T00:00:00Z", str(BOOK_ID))
        key = public_of(FIRST)
        message = statement(str(BOOK_ID), key, book.size + 1, "", "init")
        registered = SigningKeyRegistered(
            key=key_id(key), public_key=key.hex(), first_size=book.size + 1, by="init", signature=signed(FIRST, message)
        )
        book.append(NewEvent(SIGNING_KEYS, 1, registered))
        book.introduce(metro())
        book.tell("2026-03-02T00:00:00Z")
        book.credited(trip("t1", "ann"), trip("t2", "ben", quantity="2.5"))
        book.credited(trip("t3", "ann", quantity="12.35"), partner="bike-co")
        book.credited(trip("t4", "ben"))
        book.reverse("t1")
    return book


def row(entry: Row) -> tuple[int, UUID, int, str, int, bytes]:
    """An event as the log of the example holds it."""
    each = entry.recorded
    salt = new_sm3(b"salt %d" % each.position).digest()[:16]
    sealed = b"" if each.personal is None else b"sealed %d" % each.position
    state = pack(salt, encode_part(each.event), sealed)
    return each.position, each.stream, each.version, entry.topic, entry.recorded_us, state


@cache
def lines() -> list[bytes]:
    """The line of each event, by position."""
    return [bundle.event_line(*row(entry)) for entry in world().log]


@cache
def leaves() -> list[bytes]:
    return [bundle.parse_event(line).leaf(BOOK_ID.bytes) for line in lines()]


def node(level: int, number: int) -> bytes:
    return subtree_root(leaves()[number << level : (number + 1) << level])


def balances_of(stream: UUID) -> dict[str, int]:
    """What an account holds; nothing for every other stream."""
    return AccountHistory().extend(world().streams[stream]).balances() if stream in accounts() else {}


def accounts() -> list[UUID]:
    return world().account_streams()


def entries() -> list[Entry]:
    """The map."""
    return sorted(
        (map_key(stream.bytes), map_value(stream.bytes, len(held), sorted(balances_of(stream).items())))
        for stream, held in world().streams.items()
    )


def checkpoint() -> Checkpoint:
    book = world()
    root, last = subtree_root(leaves()), book.log[-1].recorded_us
    return Checkpoint(ORIGIN, book.size, root, book.rulebook.position, last, book.size, map_root(entries()))


@cache
def signature() -> bytes:
    return bytes.fromhex(signed(FIRST, signed_message(body_of(checkpoint()))))


def note() -> bytes:
    return note_of(body_of(checkpoint()), [(ORIGIN, key_hash_of(ORIGIN, b"\4" + public_of(FIRST)), signature())])


# -- proofs ------------------------------------------------------------------------------------------------------------


def shown(position: int) -> EventProof:
    line = bundle.parse_event(lines()[position - 1])
    event = ShownEvent(
        line.position, UUID(bytes=line.stream), line.version, line.topic, line.recorded_us, line.salt,
        line.facts.decode(), line.sealed,
    )  # fmt: skip
    return EventProof(event, inclusion_path(position - 1, world().size, node))


def balance() -> BalanceProof:
    held, key = world().streams[ANN], map_key(ANN.bytes)
    place: MapProof = map_paths(entries(), [key])[key]
    return BalanceProof(ANN, len(held), balances_of(ANN), place, [shown(each.position) for each in held])


def event_proof() -> str:
    """The file that docs/spec/proofs.md begins with: ann's first credit."""
    (position,) = [each.position for each in world().streams[ANN] if isinstance(each.event, BehaviorCredited)][:1]
    return event_proof_text(shown(position), note())


def proof_vectors() -> str:
    return _text({"public_key": public_of(FIRST).hex(), "balance_proof": balance_proof_text(balance(), note())})


# -- bundle ------------------------------------------------------------------------------------------------------------


@cache
def members() -> dict[str, bytes]:
    """The members of a bundle that shows ann and not ben."""
    streams = world().streams
    rulebook = [each for each in world().log if hasattr(each.recorded.event, "previous")]
    named = {each.event.intake for each in streams[ANN] if isinstance(each.event, BehaviorCredited)}
    intakes = sorted(each.recorded.stream for each in world().log if each.recorded.position in named)
    written = {
        bundle.RULEBOOK: [each.recorded.position for each in rulebook],
        bundle.KEYS: _positions([SIGNING_KEYS]),
        bundle.INTAKES: _positions(intakes),
        bundle.ACCOUNTS: _positions([ANN]),
    }
    shown = sorted(position for positions in written.values() for position in positions)
    keys = [map_key(each.bytes) for each in {world().log[position - 1].recorded.stream for position in shown}]
    tree = [Subtree(*each, node(*each)) for each in subtrees_without(world().size, (p - 1 for p in shown))]
    credits = [each for each in streams[ANN] if isinstance(each.event, BehaviorCredited)]
    drawn = sorted((bundle.draw(SEED, ANN.bytes, each.version), ANN.bytes, each.version) for each in credits)
    about = bundle.About(ORIGIN, world().size, 1, len(shown), all_accounts=False, redacted=True, sample_seed=SEED)
    documents = {
        f"methodologies/{name}.json": version.document.encode()
        for name, version in world().rulebook.methodologies.items()
    }
    return {
        bundle.ABOUT: bundle.about_text(about),
        bundle.CHECKPOINT: note(),
        bundle.BODY: body_of(checkpoint()),
        bundle.SIGNATURE: signature_der(signature()),
        **{name: _lines(lines()[position - 1] for position in positions) for name, positions in written.items()},
        bundle.TREE: _lines(map(bundle.subtree_line, tree)),
        bundle.MAP: _lines(map(bundle.part_line, map_rest(entries(), keys))),
        bundle.SAMPLES: _lines(bundle.sample_line(*each) for each in drawn),
        **documents,
    }


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
        "balances": {str(ANN): {behavior: str(mg) for behavior, mg in balances_of(ANN).items()}},
    }
    return _text(found)


def _shown_leaves() -> Iterable[tuple[bytes, bytes]]:
    positions = _positions([ANN])
    return ((lines()[position - 1], leaves()[position - 1]) for position in positions)


def _positions(streams: Sequence[UUID]) -> list[int]:
    return [each.position for stream in streams for each in world().streams[stream]]


def _lines(made: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in made)


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)
