"""Messages to those who want to be told: which events become one, what it says, how it is signed, when it comes again.

Keeps (docs/spec/webhooks.md): a message follows from one event of the log and the wish of a subscription, so that
sending again, or from an earlier position, gives the same bytes under the same id. A partner is told of its own
credits and of no account; nothing personal is in any message. Masses are text.
Leaves to ``application.delivering``: sending; to ``webhook_targets``: where to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.audit.note import signature_der
from domain.errors import Rejected
from domain.events.account import BehaviorCredited, BehaviorReversed, FactorRevised
from domain.events.base import Recorded
from domain.instants import instant_text
from domain.signing import signed_bytes
from domain.values import integer_of

BANK: Final = ""
"""The owner of subscriptions that are told of all accounts."""

CREDITED, REVERSED, REVISED, CROSSED = "credited", "reversed", "revised", "crossed"
TYPES: Final[Mapping[str, str]] = {
    CREDITED: "org.carbon-ledger.behavior.credited.v1",
    REVERSED: "org.carbon-ledger.behavior.reversed.v1",
    REVISED: "org.carbon-ledger.account.revised.v1",
    CROSSED: "org.carbon-ledger.balance.crossed.v1",
}
KINDS: Final = tuple(TYPES)
OF_PARTNERS: Final = (CREDITED, REVERSED)
"""What a partner may be told: a balance, and what a revision does to it, is of all partners together."""

TOPICS: Final = (BehaviorCredited.TOPIC, BehaviorReversed.TOPIC, FactorRevised.TOPIC)
SECRET_PREFIX: Final = "whsec_"
PURPOSE: Final = "webhook"
_BEHAVIOR: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MOST_BEHAVIORS: Final = 100


class Wish(NamedTuple):
    """What is told. ``behaviors``: of these alone, all where empty; ``threshold_mg``: for ``CROSSED``."""

    kinds: tuple[str, ...]
    behaviors: tuple[str, ...]
    threshold_mg: int | None


class Message(NamedTuple):
    """What is sent. ``lane``: messages of one lane come in the order of their positions."""

    position: int
    kind: str
    id: str
    lane: UUID
    body: str


class Known(NamedTuple):
    """What a message needs beside its event.

    ``source``: the log; ``recorded_us``: when the event was recorded; ``partner``: whose credit a reversal is of;
    ``before_mg``: the account's balance before the event, where somebody wants to know what it crosses.
    """

    source: str
    recorded_us: int
    partner: str
    before_mg: int


def checked_wish(owner: str, kinds: Sequence[str], behaviors: Sequence[str], threshold_mg: int | None) -> Wish:
    """Raises Rejected ``webhook_kind_unknown``, ``.._refused``, ``threshold_wrong``, ``behavior_malformed``."""
    chosen = tuple(kind for kind in KINDS if kind in kinds)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or not chosen:
        message = f"there are no messages of kind {unknown[0]}" if unknown else "no kind of message is asked for"
        raise Rejected("webhook_kind_unknown", message, field="kinds", remedy=f"one or more of: {', '.join(KINDS)}")
    if owner != BANK and set(chosen) - set(OF_PARTNERS):
        raise Rejected(
            "webhook_kind_refused",
            "a partner is told of its own credits, not of what accounts hold",
            field="kinds",
            remedy=f"one or more of: {', '.join(OF_PARTNERS)}",
        )
    if (CROSSED in chosen) != (threshold_mg is not None) or (
        threshold_mg is not None and not 0 < threshold_mg < 1 << 63
    ):
        raise Rejected(
            "threshold_wrong",
            f"{CROSSED} and a threshold belong together, and a threshold is more than 0 mg",
            field="threshold_mg",
            remedy=f"give both, or neither; e.g. 1000000000 for a ton, with the kind {CROSSED}",
        )
    wrong = [each for each in behaviors if not _BEHAVIOR.fullmatch(each)]
    if wrong or len(behaviors) > _MOST_BEHAVIORS:
        raise Rejected(
            "behavior_malformed",
            f"{wrong[0]!r} is no behavior" if wrong else f"more than {_MOST_BEHAVIORS} behaviors",
            field="behaviors",
            remedy="name them as the methodologies do, such as travel.metro; none means all",
        )
    return Wish(chosen, tuple(sorted(set(behaviors))), threshold_mg)


def change_mg(event: object) -> int:
    """What an event changes in its account's balance."""
    if isinstance(event, BehaviorCredited):
        return integer_of(event.credited_mg)
    if isinstance(event, BehaviorReversed):
        return -integer_of(event.reversed_mg)
    if isinstance(event, FactorRevised):
        return sum(integer_of(line.credited_mg) - integer_of(line.before_mg) for line in event.lines)
    return 0


def messages_of(owner: str, wish: Wish, recorded: Recorded, known: Known) -> list[Message]:
    """The messages that an event becomes: none, one, or one more where a threshold is crossed."""
    event, found = recorded.event, []
    change = change_mg(event)
    kind = _kind(event, change)
    wanted = kind in wish.kinds and (not wish.behaviors or event.behavior in wish.behaviors)
    if wanted and owner != BANK:
        wanted = owner == (event.partner if kind == CREDITED else known.partner)
    if wanted:
        data = _data(event, kind, change) if owner == BANK else _data_of_partner(event, kind)
        found.append(_message(owner, recorded, kind, str(recorded.position), data, known))
    limit = wish.threshold_mg
    if limit is not None and (known.before_mg < limit) != (known.before_mg + change < limit):
        data = {
            "direction": "up" if change > 0 else "down",
            "threshold_mg": str(limit),
            "before_mg": str(known.before_mg),
            "balance_mg": str(known.before_mg + change),
        }
        found.append(_message(owner, recorded, CROSSED, f"{recorded.position}-crossed-{limit}", data, known))
    return found


def _kind(event: object, change: int) -> str:
    if isinstance(event, BehaviorCredited):
        return CREDITED
    if isinstance(event, BehaviorReversed):
        return REVERSED
    # A run that leaves an account's sum as it was changed nobody's balance.
    return REVISED if change else ""


def _data(event: Any, kind: str, change: int) -> dict[str, object]:
    told: dict[str, object] = {"behavior": event.behavior, "change_mg": str(change)}
    if kind == REVISED:
        return told | {"revision": event.revision, "methodology": event.methodology, "credits": len(event.lines)}
    told["day"] = event.day
    if kind == REVERSED:
        return told | {"credit": event.credit}
    of_credit = {"partner": event.partner, "intake": event.intake, "line": event.line}
    return told | of_credit | {"methodology": event.methodology, "decision": event.decision}


def _data_of_partner(event: Any, kind: str) -> dict[str, object]:
    """No account, by no name; nor its version, which would tell how much else happens there."""
    told = {"behavior": event.behavior, "day": event.day}
    if kind == REVERSED:
        return told | {"reversed_mg": event.reversed_mg}
    return told | {
        "credited_mg": event.credited_mg,
        "intake": event.intake,
        "line": event.line,
        "methodology": event.methodology,
    }


def _message(owner: str, recorded: Recorded, kind: str, name: str, data: dict[str, object], known: Known) -> Message:
    data["position"] = recorded.position
    if owner == BANK:
        data |= {"account_id": str(recorded.stream), "version": recorded.version}
    told = {
        "specversion": "1.0",
        "id": name,
        "source": known.source,
        "type": TYPES[kind],
        "subject": str(recorded.stream) if owner == BANK else str(recorded.position),
        "time": instant_text(known.recorded_us),
        "datacontenttype": "application/json",
        "data": data,
    }
    body = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Message(recorded.position, kind, name, recorded.stream, body)


def secret_text(secret: bytes) -> str:
    """A secret as it is given to whoever checks messages."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signed_text(name: str, timestamp_s: int, body: str) -> bytes:
    """What is signed of a message: its id, when it is sent, and its bytes."""
    return f"{name}.{timestamp_s}.{body}".encode()


def hmac_signature(secret: bytes, text: bytes) -> str:
    """The header ``webhook-signature`` (Standard Webhooks 1.0: HMAC-SHA256)."""
    return "v1," + base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()


def sm2_text(text: bytes) -> bytes:
    """What the ledger's key signs: the same, with its purpose in front."""
    return signed_bytes(PURPOSE, text)


def sm2_header(key: str, signature: bytes) -> str:
    """The header ``webhook-signature-sm2``: which key, and its 64 bytes as openssl reads them."""
    return f"v1,{key},{base64.b64encode(signature_der(signature)).decode()}"


def pause_us(failures: int, first_us: int, longest_us: int, draw: int) -> int:
    """How long to wait after so many failures: twice as long each time, less up to a half by ``draw``, 0 to 999."""
    whole = min(longest_us, first_us << min(failures - 1, 40))
    return whole - whole * draw // 2_000


def is_over(tries: int, most_tries: int, *, is_refused: bool, others_pass: bool) -> bool:
    """Whether a message is given up. ``is_refused``: the receiver answered that it does not want it.

    Where nothing gets through, it is the receiver that is down, and no message is given up for that.
    """
    return tries >= most_tries and (is_refused or others_pass)
