"""Partners in a world: proposed by alice, approved by bob, with keys whose signatures nobody looks at."""

from __future__ import annotations

from domain import partnering
from domain.digest import sm3_hex
from domain.partners import Standing, Terms
from tests.unit.domain.worlds import PARTNER, World

ALL = Terms(None, None, None)
POSSESSION = b"\1" * 64


def taken_for_good(_: bytes, __: bytes, ___: bytes) -> bool:
    """Stands for the arithmetic where a test is not about it."""
    return True


def public_key(number: int) -> bytes:
    return bytes([number]) * 64


def id_of(number: int) -> str:
    return sm3_hex(public_key(number))[:32]


def propose(world: World, name: str = PARTNER, terms: Terms = ALL, key: int = 1, by: str = "alice") -> str:
    """Propose to register a partner; returns the proposal."""
    proof = (public_key(key), by, POSSESSION, taken_for_good)
    world.act(partnering.propose(world.rulebook, name, terms, *proof))
    return last_proposal(world)


def register(world: World, name: str = PARTNER, *behaviors: str, key: int = 1) -> None:
    """A registered partner; without behaviors it may send all."""
    approve(world, propose(world, name, Terms(behaviors or None, None, None), key))


def propose_key(world: World, key: int, name: str = PARTNER, by: str = "alice") -> str:
    world.act(partnering.propose_key(world.rulebook, name, public_key(key), by, POSSESSION, taken_for_good))
    return last_proposal(world)


def propose_terms(world: World, terms: Terms, name: str = PARTNER, by: str = "alice") -> str:
    world.act(partnering.propose_terms(world.rulebook, name, terms, by))
    return last_proposal(world)


def propose_resumption(world: World, name: str = PARTNER, by: str = "alice") -> str:
    world.act(partnering.propose_resumption(world.rulebook, name, by, "repaired"))
    return last_proposal(world)


def approve(world: World, proposal: str, by: str = "bob") -> None:
    world.act(partnering.approve(world.rulebook, proposal, by))


def suspend(world: World, name: str = PARTNER, by: str = "carol") -> int:
    """Returns its log position."""
    world.act(partnering.suspend(world.rulebook, name, by, "odd readings"))
    return world.size


def revoke(world: World, key: int, name: str = PARTNER, by: str = "carol") -> None:
    world.act(partnering.revoke_key(world.rulebook, name, id_of(key), by, "lost"))


def last_proposal(world: World) -> str:
    return f"P{len(world.rulebook.partners.proposals)}"


def now(world: World, name: str = PARTNER) -> Standing:
    standing = world.rulebook.partners.standing(name)
    assert standing is not None
    return standing


def tell_of_a_partner(world: World, name: str = "bus-co") -> None:
    """Every kind of event about a partner once, by the rules."""
    register(world, name, "travel.metro")
    approve(world, propose_key(world, 2, name))
    revoke(world, 1, name)
    approve(world, propose_terms(world, Terms(None, 10_000, 500), name))
    suspend(world, name)
    approve(world, propose_resumption(world, name))
