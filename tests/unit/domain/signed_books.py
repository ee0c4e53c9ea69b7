"""A whole book in memory with its log signed: what a ledger shows of it, whoever wrote the book.

Keeps: what is random in a ledger (salts, what is sealed, the nonce of a signature) follows from the place, so that the
same bytes come out again. Nothing is refused: a book that no ledger would write is signed like any other.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from uuid import UUID

from domain.audit import bundle
from domain.audit.book_map import Entry, map_key, map_paths, map_rest, map_root, map_value
from domain.audit.checkpoint import Checkpoint, body_of
from domain.audit.leaves import pack
from domain.audit.merkle import Subtree, inclusion_path, subtree_root, subtrees_without
from domain.audit.note import key_hash_of, note_of, signature_der, signed_message
from domain.audit.proofs import BalanceProof, EventProof, ShownEvent
from domain.digest import new_sm3
from domain.events.account import BehaviorCredited
from domain.events.base import NewEvent, RulebookEvent
from domain.events.keys import SigningKeyRegistered
from domain.events.registry import encode_part
from domain.history import AccountHistory
from domain.signing_keys import SIGNING_KEYS, statement
from domain.workings import workings_line
from infrastructure.gm.sm2_format import key_id
from tests.golden.signing_story import FIRST, public_of, signed
from tests.unit.domain.worlds import Entry as Row
from tests.unit.domain.worlds import World

BOOK_ID = UUID("b0b1b2b3-b4b5-46b7-88b9-babbbcbdbebf")
ORIGIN = f"carbon-ledger/{BOOK_ID.hex}"


def begun(now: str = "2026-03-01T00:00:00Z") -> World:
    """A book with the first key of its log."""
    book = World(now, str(BOOK_ID))
    key = public_of(FIRST)
    message = statement(str(BOOK_ID), key, book.size + 1, "", "init")
    registered = SigningKeyRegistered(
        key=key_id(key), public_key=key.hex(), first_size=book.size + 1, by="init", signature=signed(FIRST, message)
    )
    book.append(NewEvent(SIGNING_KEYS, 1, registered))
    return book


def row(entry: Row) -> tuple[int, UUID, int, str, int, bytes]:
    """An event as its log holds it."""
    each = entry.recorded
    salt = new_sm3(b"salt %d" % each.position).digest()[:16]
    sealed = b"" if each.personal is None else b"sealed %d" % each.position
    state = pack(salt, encode_part(each.event), sealed)
    return each.position, each.stream, each.version, entry.topic, entry.recorded_us, state


class SignedBook:
    """The log of a world that is finished. ``change``: what the signer does to the checkpoint before he signs it."""

    def __init__(self, world: World, change: Callable[[Checkpoint], Checkpoint] = lambda honest: honest) -> None:
        self.world, self._change = world, change

    @cached_property
    def lines(self) -> list[bytes]:
        """The line of each event, by position."""
        return [bundle.event_line(*row(entry)) for entry in self.world.log]

    @cached_property
    def leaves(self) -> list[bytes]:
        return [bundle.parse_event(line).leaf(BOOK_ID.bytes) for line in self.lines]

    def node(self, level: int, number: int) -> bytes:
        return subtree_root(self.leaves[number << level : (number + 1) << level])

    def balances_of(self, stream: UUID) -> dict[str, int]:
        """What an account holds; nothing for every other stream."""
        is_account = stream in self.world.account_streams()
        return AccountHistory().extend(self.world.streams[stream]).balances() if is_account else {}

    @cached_property
    def entries(self) -> list[Entry]:
        """The map."""
        return sorted(
            (map_key(stream.bytes), map_value(stream.bytes, len(held), sorted(self.balances_of(stream).items())))
            for stream, held in self.world.streams.items()
        )

    @cached_property
    def checkpoint(self) -> Checkpoint:
        size, root, last_us = self.world.size, subtree_root(self.leaves), self.world.log[-1].recorded_us
        rulebook = max(each.recorded.position for each in self.world.log if _is_rule(each))
        return self._change(Checkpoint(ORIGIN, size, root, rulebook, last_us, size, map_root(self.entries)))

    @cached_property
    def signature(self) -> bytes:
        return bytes.fromhex(signed(FIRST, signed_message(body_of(self.checkpoint))))

    @property
    def note(self) -> bytes:
        return note_of(
            body_of(self.checkpoint), [(ORIGIN, key_hash_of(ORIGIN, b"\4" + public_of(FIRST)), self.signature)]
        )

    def shown(self, position: int) -> EventProof:
        """The proof of an event."""
        line = bundle.parse_event(self.lines[position - 1])
        event = ShownEvent(
            line.position, UUID(bytes=line.stream), line.version, line.topic, line.recorded_us, line.salt,
            line.facts.decode(), line.sealed,
        )  # fmt: skip
        return EventProof(event, inclusion_path(position - 1, self.world.size, self.node))

    def balance(self, stream: UUID) -> BalanceProof:
        """The proof of an account's balances."""
        held, key = self.world.streams[stream], map_key(stream.bytes)
        place = map_paths(self.entries, [key])[key]
        return BalanceProof(
            stream, len(held), self.balances_of(stream), place, [self.shown(each.position) for each in held]
        )

    def members(self, accounts: Sequence[UUID] | None = None, seed: str = "") -> dict[str, bytes]:
        """The members of a bundle that shows these accounts; without them, of the whole log."""
        world, streams = self.world, self.world.streams
        chosen = world.account_streams() if accounts is None else sorted(accounts)
        credits = [each for stream in chosen for each in streams[stream] if isinstance(each.event, BehaviorCredited)]
        named = {each.event.intake for each in credits}
        intakes = {
            each.recorded.stream
            for each in world.log
            if each.recorded.event.STREAM == "intake" and (accounts is None or each.recorded.position in named)
        }
        # Rules that the checkpoint does not count are left out with it.
        rules = [e.recorded.position for e in world.log if _is_rule(e)]
        written = {
            bundle.RULEBOOK: [each for each in rules if each <= self.checkpoint.rulebook_position],
            bundle.KEYS: self._positions([SIGNING_KEYS]),
            bundle.INTAKES: self._positions(sorted(intakes)),
            bundle.ACCOUNTS: self._positions(chosen),
        }
        shown = sorted(position for positions in written.values() for position in positions)
        keys = [map_key(each.bytes) for each in {world.log[position - 1].recorded.stream for position in shown}]
        places = (position - 1 for position in shown)
        tree = [Subtree(*each, self.node(*each)) for each in subtrees_without(world.size, places)]
        drawn = [(bundle.draw(seed, e.stream.bytes, e.version), e.stream.bytes, e.version) for e in credits if seed]
        about = bundle.About(
            ORIGIN, world.size, len(chosen), len(shown), all_accounts=accounts is None, redacted=True, sample_seed=seed
        )
        return {
            bundle.ABOUT: bundle.about_text(about),
            bundle.CHECKPOINT: self.note,
            bundle.BODY: body_of(self.checkpoint),
            bundle.SIGNATURE: signature_der(self.signature),
            **{name: _lines(self.lines[each - 1] for each in positions) for name, positions in written.items()},
            bundle.TREE: _lines(map(bundle.subtree_line, tree)),
            bundle.MAP: _lines(map(bundle.part_line, map_rest(self.entries, keys))),
            bundle.SAMPLES: _lines(bundle.sample_line(*each) for each in sorted(drawn)[: bundle.SAMPLES_DRAWN]),
            **({bundle.WORKINGS: _lines(map(self._workings, sorted(drawn)[: bundle.SAMPLES_DRAWN]))} if seed else {}),
            **{
                f"methodologies/{name}.json": version.document.encode()
                for name, version in world.rulebook.methodologies.items()
                if version.published_at <= self.checkpoint.rulebook_position
            },
        }

    def _workings(self, drawn: tuple[bytes, bytes, int]) -> bytes:
        credit = self.world.streams[UUID(bytes=drawn[1])][drawn[2] - 1]
        return workings_line(self.world.rulebook, credit, self.world.log[credit.event.intake - 1].recorded.event)

    def bundle(self, path: Path, accounts: Sequence[UUID] | None = None, seed: str = "") -> Path:
        """The bundle as a file."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.members(accounts, seed).items():
                archive.writestr(name, content)
        return path

    def _positions(self, streams: Sequence[UUID]) -> list[int]:
        return [each.position for stream in streams for each in self.world.streams[stream]]


def _is_rule(entry: Row) -> bool:
    return isinstance(entry.recorded.event, RulebookEvent)


def _lines(made: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in made)
