"""Keys of people registered, approved, revoked (docs/spec/acts.md).

Keeps: a key is one person's, once; a registration carries a signature by the new key, and by the one it replaces;
whoever approves it is neither its owner nor who registered it.
Leaves to infrastructure: the arithmetic, behind the function that checks a signature.
"""

from __future__ import annotations

import json

from domain.actors import check_actor, check_reason, person_of, refuse_same_actor
from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.events.actors import ActorKeyApproved, ActorKeyRegistered, ActorKeyRevoked
from domain.events.base import NewEvent
from domain.rulebook import Rulebook
from domain.signing import signed_bytes
from domain.signing_keys import Verify

PURPOSE = "actor-key"


def statement(book: str, actor: str, public_key: bytes, replaces: str) -> bytes:
    """What both keys sign when a key is registered; ``replaces`` is "" for a first key."""
    told = {"actor": actor, "book": book, "public_key": public_key.hex(), "replaces": replaces}
    return signed_bytes(PURPOSE, json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode())


def to_register(rulebook: Rulebook, actor: str, public_key: bytes) -> tuple[bytes, str]:
    """What is to be signed to register this key, and the id of the key it replaces.

    Raises Rejected ``actor_malformed``, ``actor_key_known``, ``registration_waits``.
    """
    check_actor(actor)
    key = sm3_hex(public_key)[:32]
    known = rulebook.actor_keys.all.get(key)
    if known is not None:
        raise Rejected(
            "actor_key_known",
            f"the key {key} was registered for {known.actor} at position {known.registered}",
            field="key",
            remedy="make a new one with `actor key new`: a key is one person's, once",
        )
    waiting = rulebook.actor_keys.waiting(actor)
    if waiting is not None:
        raise Rejected(
            "registration_waits",
            f"{waiting.by} has registered the key {waiting.key} for {actor}, and nobody has approved it",
            field="actor",
            remedy="somebody approves it with `actor approve-key`, or ends it with `actor revoke`",
        )
    active = rulebook.actor_keys.active(actor)
    replaces = "" if active is None else active.key
    return statement(_book(rulebook), actor, public_key, replaces), replaces


def register(
    rulebook: Rulebook,
    actor: str,
    public_key: bytes,
    by: str,
    possession: bytes,
    of_replaced: bytes,
    verify: Verify,
) -> NewEvent:
    """The registration. Raises Rejected as ``to_register``, ``actor_key_not_proven``."""
    _, replaces = to_register(rulebook, actor, public_key)
    event = ActorKeyRegistered(
        previous=rulebook.position,
        actor=actor,
        key=sm3_hex(public_key)[:32],
        public_key=public_key.hex(),
        replaces=replaces,
        by=check_actor(by),
        possession=possession.hex(),
        signature_of_replaced=of_replaced.hex() if replaces else "",
    )
    fault = registration_fault(rulebook, event, verify)
    if fault:
        raise Rejected(
            "actor_key_not_proven",
            fault,
            field="key",
            remedy="the owner signs the text that `actor register --to-sign` writes, with the new key and with the old",
        )
    return rulebook.record("actor", person_of(actor), event)


def registration_fault(rulebook: Rulebook, event: ActorKeyRegistered, verify: Verify) -> str:
    """What a registration does not show; "" when it shows everything. ``rulebook``: as it was before it."""
    try:
        public_key, possession = bytes.fromhex(event.public_key), bytes.fromhex(event.possession)
        of_replaced = bytes.fromhex(event.signature_of_replaced)
    except ValueError:
        return "its signatures are not hex digits"
    active = rulebook.actor_keys.active(event.actor)
    if event.replaces != ("" if active is None else active.key):
        return f"it replaces the key {event.replaces or 'none'}, which is not the actor's"
    message = statement(_book(rulebook), event.actor, public_key, event.replaces)
    if event.key != sm3_hex(public_key)[:32] or not verify(public_key, message, possession):
        return "nothing shows that the owner of the key has it: the key has not signed the registration"
    if active is not None and not verify(active.public_key, message, of_replaced):
        return f"the key {active.key}, which it replaces, has not signed the registration"
    return ""


def approve(rulebook: Rulebook, actor: str, by: str) -> NewEvent:
    """The approval. Raises Rejected ``registration_unknown``, ``same_actor``."""
    waiting = rulebook.actor_keys.waiting(actor)
    if waiting is None:
        raise Rejected(
            "registration_unknown",
            f"no key of {actor} waits for approval",
            field="actor",
            remedy="register it with `actor register`; `actor list` shows all keys",
        )
    refuse_same_actor(by, registrant=waiting.by, owner=waiting.actor)
    event = ActorKeyApproved(previous=rulebook.position, actor=waiting.actor, key=waiting.key, by=check_actor(by))
    return rulebook.record("actor", person_of(waiting.actor), event)


def revoke(rulebook: Rulebook, actor: str, by: str, reason: str, key: str | None = None) -> NewEvent:
    """The end of a key: the one named, else the one that waits, else the active one. Raises ``actor_key_unknown``."""
    keys = rulebook.actor_keys
    named = (keys.waiting(actor), keys.active(actor))
    found = next((each for each in named if each is not None and key in (None, each.key)), None)
    if found is None:
        raise Rejected(
            "actor_key_unknown",
            f"{actor} has no such key that is registered or active",
            field="actor",
            remedy="`actor list` shows all keys",
        )
    event = ActorKeyRevoked(
        previous=rulebook.position, actor=found.actor, key=found.key, reason=check_reason(reason), by=check_actor(by)
    )
    return rulebook.record("actor", person_of(found.actor), event)


def _book(rulebook: Rulebook) -> str:
    return "" if rulebook.genesis is None else rulebook.genesis.book
