"""Signed acts for the golden logs: fixed keys and nonces, which only a test may use, give the same bytes again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from domain import decisions, erasure, methodology, registering, revision
from domain.access import EXPORTS, GIVEN, LOGIN, Reader, access_stream, exported, read
from domain.acts import Act, erasure_act, rulebook_act, text_of
from domain.applicability import ChangeOfHand
from domain.events.base import ActSignature, NewEvent
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.sm2_format import key_id
from tests.golden.signing_story import public_of, signed
from tests.unit.domain.documents import metro
from tests.unit.domain.worlds import World, trip

BOB, CAT, BOB_AGAIN = 2001, 2002, 2003


class Signers:
    """People who sign in a world: whoever has a key here signs what he does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys: dict[str, int] = {}
        self._verify = GmsslVerifier().verify

    def join(self, actor: str, number: int, *, by: str = "ann", approver: str = "dan") -> None:
        """Register a key and approve it; the actor's earlier key signs the registration too."""
        public_key, replaced = public_of(number), self.keys.get(actor)
        text, _ = registering.to_register(self.world.rulebook, actor, public_key)
        possession = bytes.fromhex(signed(number, text))
        of_replaced = b"" if replaced is None else bytes.fromhex(signed(replaced, text))
        arguments = (actor, public_key, by, possession, of_replaced, self._verify)
        self.world.act(registering.register(self.world.rulebook, *arguments))
        self.act(registering.approve(self.world.rulebook, actor, approver))
        self.keys[actor] = number

    def signature(self, act: Act) -> ActSignature | None:
        """The actor's, when he has a key."""
        number = self.keys.get(act.actor)
        if number is None:
            return None
        seen = self.world.rulebook.position
        text = text_of(self.world.rulebook, act, seen)
        return ActSignature(key=key_id(public_of(number)), rulebook=seen, signature=signed(number, text))

    def act(self, decided: NewEvent | tuple[NewEvent, list[ChangeOfHand]]) -> None:
        """Record an act, signed when its actor has a key."""
        new = decided if isinstance(decided, NewEvent) else decided[0]
        event: Any = new.event
        act = rulebook_act(self.world.rulebook, event)
        assert act is not None
        event = msgspec.structs.replace(event, signed=self.signature(act))
        self.world.append(NewEvent(new.stream, new.version, event))

    def erase(self, account_ref: str, by: str, approver: str) -> UUID:
        """Ask to erase a person and approve it; returns the account."""
        world = self.world
        head = world.head(account_ref)
        asked, personal = erasure.request(head, by, "consent-withdrawn", "a letter")
        asked = msgspec.structs.replace(asked, signed=self.signature(erasure_act(head.id, asked, None)))
        world.append(NewEvent(head.id, head.version + 1, asked, personal))
        receipt = erasure.erase(world.head(account_ref), approver, 1)
        receipt = msgspec.structs.replace(receipt, signed=self.signature(erasure_act(head.id, receipt, asked)))
        world.append(NewEvent(head.id, head.version + 2, receipt))
        return head.id


def tell_of_acts(world: World) -> Signers:
    """Every act once with a signature, some without; and what people were shown."""
    people = Signers(world)
    people.join("bob", BOB)
    people.join("cat", CAT)
    name = world.draft(metro())
    people.act(methodology.review(world.rulebook, name, "bob"))
    people.act(methodology.certify(world.rulebook, name, "cat"))
    people.act(methodology.publish(world.rulebook, name, "bob"))
    decision = world.propose(name)
    people.act(decisions.approve(world.rulebook, decision, "cat", world.now_us))
    world.tell("2026-02-01T00:00:00Z")
    world.credited(trip("t1", "ann", at="2026-01-20T10:00:00Z"), trip("t2", "ben", at="2026-01-20T10:00:00Z"))
    second = world.publish(metro(2, "60"))
    run = world.plan(second, "2026-01-01", "2026-02-01")
    people.act(revision.approve(world.rulebook, run, "bob"))
    world.apply_run(run)
    world.complete(run)
    people.join("bob", BOB_AGAIN, approver="cat")
    people.act(methodology.propose_withdrawal(world.rulebook, second, "bob"))
    people.act(methodology.approve_withdrawal(world.rulebook, second, "cat", leave_gap=True))
    tell_of_accesses(world)
    people.erase("ben", "bob", "cat")
    people.act(registering.revoke(world.rulebook, "bob", "cat", "left the bank"))
    return people


def tell_of_accesses(world: World) -> None:
    """One account is looked at by two, and exported."""
    ben = world.head("ben").id
    for number, reader in enumerate((Reader("olga", GIVEN), Reader("ledger", LOGIN)), start=1):
        world.append(NewEvent(access_stream(ben), number, read(reader, "account show", ben)))
    export = exported(Reader("olga", GIVEN), "export bundle", [ben], personal=True)
    world.append(NewEvent(EXPORTS, 1, export))
