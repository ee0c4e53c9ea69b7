"""The example and the vectors of docs/spec/acts.md: the acts of two golden stories, with their texts and signatures."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from domain import partnering
from domain.acts import Act, erasure_act, rulebook_act, text_of
from domain.digest import sm3_hex
from domain.events import account, actors
from domain.events.base import Recorded, RulebookEvent
from domain.registering import statement
from domain.rulebook import Rulebook
from tests.golden.stories import told


@cache
def story(name: str = "acts") -> list[Recorded]:
    return told(name).events()


def acts(name: str = "acts") -> list[tuple[Recorded, Act, bytes]]:
    """Every signed act of the story: its event, what it is, and the text that was signed."""
    book, found, requests = Rulebook(), [], dict[int, Any]()
    for each in story(name):
        event, act = each.event, None
        if isinstance(event, RulebookEvent):
            act = rulebook_act(book, event)
        elif isinstance(event, account.ErasureRequested | account.PersonalDataErased):
            request = requests.get(event.request) if isinstance(event, account.PersonalDataErased) else None
            requests[each.version] = event
            act = erasure_act(each.stream, event, request)
        if act is not None and event.signed is not None:
            found.append((each, act, text_of(book, act, event.signed.rulebook)))
        if isinstance(event, RulebookEvent):
            book.extend([each])
    return found


def shown(text: bytes) -> str:
    """A text to sign, with its zero byte as people see it."""
    return text.decode().replace("\0", "<00>")


def example() -> str:
    return shown(acts()[0][2]) + "\n"


def vectors() -> str:
    """Registrations and acts in the order of the log."""
    registrations = [
        {
            "position": each.position,
            "public_key": each.event.public_key,
            "key": each.event.key,
            "text": shown(statement("town", each.event.actor, _hex(each.event.public_key), each.event.replaces)),
            "possession": each.event.possession,
            "signature_of_replaced": each.event.signature_of_replaced,
        }
        for each in story()
        if isinstance(each.event, actors.ActorKeyRegistered)
    ]
    return json.dumps({"registrations": registrations, "acts": _signed("acts")}, indent=1, ensure_ascii=False)


def partner_vectors() -> str:
    """Keys of partners and acts about them in the order of the log."""
    keys = [
        {
            "position": each.position,
            "public_key": each.event.public_key,
            "key": each.event.key,
            "text": shown(partnering.statement("town", each.event.partner, _hex(each.event.public_key))),
            "possession": each.event.possession,
        }
        for each in story("partners")
        if each.event.STREAM == "partner" and hasattr(each.event, "possession")
    ]
    return json.dumps({"keys": keys, "acts": _signed("partners")}, indent=1, ensure_ascii=False)


def _signed(name: str) -> list[dict[str, Any]]:
    documents = {sm3_hex(each.event.document.encode()) for each in story() if hasattr(each.event, "document")}
    return [
        {
            "position": each.position,
            "topic": each.event.TOPIC,
            "content": act.content if act.shown not in documents else "",
            "text": shown(text),
            "key": each.event.signed.key,
            "signature": each.event.signed.signature,
        }
        for each, act, text in acts(name)
    ]


def _hex(digits: str) -> bytes:
    return bytes.fromhex(digits)
