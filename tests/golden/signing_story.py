"""Two signing keys for the golden logs: fixed keys and nonces, which only a test may use, give the same bytes again."""

from __future__ import annotations

from gmssl import sm2

from domain.events.base import NewEvent
from domain.events.keys import SigningKeyRegistered, SigningKeyRotated
from domain.signing_keys import SIGNING_KEYS, statement
from infrastructure.gm.sm2_format import key_id
from tests.unit.domain.worlds import World

FIRST, SECOND = 1001, 1002


def tell_of_keys(world: World) -> None:
    """A first key, and another one after it."""
    one, two, size = public_of(FIRST), public_of(SECOND), world.size + 1
    first = statement("town", one, size, "", "init")
    registered = SigningKeyRegistered(
        key=key_id(one), public_key=one.hex(), first_size=size, by="init", signature=signed(FIRST, first)
    )
    message = statement("town", two, size + 1, key_id(one), "alice")
    rotated = SigningKeyRotated(
        key=key_id(two),
        public_key=two.hex(),
        first_size=size + 1,
        replaces=key_id(one),
        by="alice",
        signature_of_replaced=signed(FIRST, message),
        signature=signed(SECOND, message),
    )
    world.append(NewEvent(SIGNING_KEYS, 1, registered))
    world.append(NewEvent(SIGNING_KEYS, 2, rotated))


def public_of(private: int) -> bytes:
    curve = sm2.CryptSM2("", "")
    return bytes.fromhex(curve._kg(private, curve.ecc_table["g"]))


def signed(private: int, message: bytes) -> str:
    curve = sm2.CryptSM2(f"{private:064x}", "")
    curve.public_key = public_of(private).hex()
    made: str = curve.sign_with_sm3(message, f"{7:064x}")
    return made
