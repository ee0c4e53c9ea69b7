"""Partners for the golden logs: fixed keys and nonces, which only a test may use, give the same bytes again."""

from __future__ import annotations

from domain import partnering
from domain.partners import Terms
from infrastructure.gm.hardened_gmssl import GmsslVerifier
from infrastructure.gm.sm2_format import key_id
from tests.golden.acting_story import CAT, Signers
from tests.golden.signing_story import public_of, signed
from tests.unit.domain.documents import metro
from tests.unit.domain.worlds import World, trip

FIRST, SECOND, OTHER = 3001, 3002, 3003
METRO_CO = "metro-co"
_VERIFY = GmsslVerifier().verify


def possession(world: World, partner: str, number: int) -> bytes:
    """What the key signs to be proposed for the partner."""
    return bytes.fromhex(signed(number, partnering.to_prove(world.rulebook, partner, public_of(number))))


def propose(world: World, partner: str, terms: Terms, number: int) -> str:
    proof = (public_of(number), "alice", possession(world, partner, number), _VERIFY)
    world.act(partnering.propose(world.rulebook, partner, terms, *proof))
    return f"P{len(world.rulebook.partners.proposals)}"


def propose_key(world: World, partner: str, number: int) -> str:
    proof = (public_of(number), "alice", possession(world, partner, number), _VERIFY)
    world.act(partnering.propose_key(world.rulebook, partner, *proof))
    return f"P{len(world.rulebook.partners.proposals)}"


def propose_terms(world: World, partner: str, terms: Terms) -> str:
    world.act(partnering.propose_terms(world.rulebook, partner, terms, "alice"))
    return f"P{len(world.rulebook.partners.proposals)}"


def propose_resumption(world: World, partner: str) -> str:
    world.act(partnering.propose_resumption(world.rulebook, partner, "alice", "the readings are right again"))
    return f"P{len(world.rulebook.partners.proposals)}"


def tell_of_partners(world: World) -> Signers:
    """Two partners, one of which gets another key and other terms, is suspended and sends again; signed and by name."""
    world.introduce(metro())
    world.introduce(metro(1, "80.5", code="TRAVEL-BUS", behavior="travel.bus"))
    world.send(trip("t1"), partner=METRO_CO)
    people = Signers(world)
    people.join("cat", CAT)
    first = propose(world, METRO_CO, Terms(("travel.metro",), 10_000, 500), FIRST)
    people.act(partnering.approve(world.rulebook, first, "cat"))
    world.act(partnering.approve(world.rulebook, propose(world, "bus.co", Terms(None, None, None), OTHER), "dan"))
    world.tell("2026-02-01T00:00:00Z")
    world.send(trip("t1"), trip("t2"), trip("b1", behavior="travel.bus"), partner=METRO_CO)
    people.act(partnering.approve(world.rulebook, propose_key(world, METRO_CO, SECOND), "cat"))
    revocation = partnering.revoke_key(world.rulebook, METRO_CO, key_id(public_of(FIRST)), "cat", "its machine is sold")
    people.act(revocation)
    people.act(partnering.suspend(world.rulebook, METRO_CO, "cat", "readings of the night that nobody explains"))
    world.send(trip("t2"), trip("t3"), partner=METRO_CO)
    world.send(trip("t3"), partner="bus.co")
    terms = propose_terms(world, METRO_CO, Terms(("travel.bus", "travel.metro"), None, 500))
    people.act(partnering.approve(world.rulebook, terms, "cat"))
    people.act(partnering.approve(world.rulebook, propose_resumption(world, METRO_CO), "cat"))
    world.tell("2026-02-02T00:00:00Z")
    world.send(trip("t3"), trip("b1", behavior="travel.bus"), partner=METRO_CO)
    propose_terms(world, METRO_CO, Terms(None, None, None))
    world.act(partnering.suspend(world.rulebook, "bus.co", "dan", "at its own wish"))
    return people
