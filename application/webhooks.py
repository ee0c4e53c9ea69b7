"""Who is told what, and where to: targets of the operator, and subscriptions within them.

Keeps: a subscription goes to an allowed origin of its owner, and stops when that is taken back; whoever changes one is
in the access log before it is changed, since a subscription hands out records from then on; its secret is told once.
Leaves to ``delivering``: sending.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from application.access import record_export
from application.book import Book
from application.delivering import MOST_SUBSCRIPTIONS
from application.ports.webhooks import Dead, Subscription, Target, WebhookStore
from domain.access import Reader
from domain.errors import Rejected
from domain.webhook_targets import origin_of, place_of
from domain.webhooks import BANK, PURPOSE, checked_wish, secret_text

MOST_OF_PARTNER: Final = 4
KEPT_FOR_BANK: Final = 16
"""Subscriptions that partners together cannot take."""
_MOST_SHOWN: Final = 500


class Hooks(NamedTuple):
    """What all of these need. ``now_us``: the machine's clock."""

    book: Book
    store: WebhookStore
    now_us: Callable[[], int]


class Asked(NamedTuple):
    """What somebody wants to be told. ``after``: from after this log position; None: from now on."""

    url: str
    kinds: Sequence[str]
    behaviors: Sequence[str] = ()
    threshold_mg: int | None = None
    after: int | None = None


def allow(hooks: Hooks, origin: str, owner: str, by: Reader, *, is_private: bool = False) -> Target:
    """Let messages of an owner go to an origin. Raises Rejected ``target_malformed``, ``partner_unknown``."""
    target = Target(origin_of(origin, is_private=is_private), owner, is_private, by.name, hooks.now_us())
    _check_owner(hooks, owner)
    _record(hooks, by, "webhooks allow", f"{owner} {target.origin}")
    hooks.store.allow(target)
    return target


def disallow(hooks: Hooks, origin: str, owner: str, by: Reader) -> str:
    """Let nothing of an owner go there any more, within seconds. Raises Rejected ``target_unknown``."""
    named = place_of(origin).origin
    if hooks.store.target(named, owner) is None:
        raise Rejected("target_unknown", f"{named} is not allowed", field="url", remedy="`webhooks targets` lists them")
    _record(hooks, by, "webhooks disallow", f"{owner} {named}")
    hooks.store.disallow(named, owner)
    return named


def subscribe(hooks: Hooks, owner: str, asked: Asked, by: Reader) -> tuple[Subscription, str]:
    """A new subscription, and its secret, which is not told again.

    Raises Rejected ``target_malformed``, ``target_not_allowed``, ``too_many_webhooks``, ``position_unknown``, and as
    ``checked_wish``; Unavailable ``keys_absent``.
    """
    wish = checked_wish(owner, asked.kinds, asked.behaviors, asked.threshold_mg)
    place, head = place_of(asked.url), hooks.book.journal.head().size
    _check_owner(hooks, owner)
    if hooks.store.target(place.origin, owner) is None:
        raise Rejected(
            "target_not_allowed",
            f"{place.origin} is not on the list of allowed origins for you",
            field="url",
            remedy="let the ledger's operator add it: `carbon-ledger webhooks allow`",
        )
    _refuse_crowd(hooks, owner)
    after = head if asked.after is None else asked.after
    if after > head:
        raise _no_position(head)
    made = Subscription(uuid.uuid4(), owner, f"{place.origin}{place.path}", wish, by.name, hooks.now_us(), after)
    secret = secret_text(hooks.book.keys.secret(PURPOSE, str(made.id)))
    _record(hooks, by, "webhooks subscribe", f"{made.id} {place.origin}")
    hooks.store.add(made)
    return made, secret


def listed(hooks: Hooks, owner: str | None) -> list[Subscription]:
    """Those of an owner; None: everybody's."""
    return hooks.store.subscriptions(owner)


def shown(hooks: Hooks, subscription: UUID, owner: str | None) -> Subscription:
    """One of an owner; None: anybody's. Raises Rejected ``webhook_unknown``."""
    found = hooks.store.subscription(subscription)
    if found is None or owner not in (None, found.owner):
        raise Rejected(
            "webhook_unknown",
            "there is no such subscription of yours",
            field="webhook",
            remedy="list them for their ids",
        )
    return found


def unsubscribe(hooks: Hooks, subscription: UUID, owner: str | None, by: Reader) -> Subscription:
    """End a subscription; what waited for it is not sent. Raises Rejected ``webhook_unknown``."""
    found = shown(hooks, subscription, owner)
    _record(hooks, by, "webhooks unsubscribe", str(found.id))
    hooks.store.remove(found.id)
    return found


def replay(hooks: Hooks, subscription: UUID, owner: str | None, first: int, by: Reader) -> Subscription:
    """Tell everything again from a log position on, also what was given up; one that was disabled is active again.

    Nothing is passed over: what was not told yet cannot be begun behind. Raises Rejected ``webhook_unknown``,
    ``position_unknown``.
    """
    found = shown(hooks, subscription, owner)
    if not 0 < first <= found.position + 1:
        raise Rejected(
            "position_unknown",
            f"it was told of the log up to position {found.position}",
            field="from_position",
            remedy=f"begin at 1 to {found.position + 1}; what follows is told in its turn",
        )
    _record(hooks, by, "webhooks replay", f"{found.id} from {first}")
    hooks.store.rewind(found.id, first - 1)
    return shown(hooks, subscription, owner)


def revive(hooks: Hooks, subscription: UUID, owner: str | None, by: Reader) -> tuple[Subscription, int]:
    """Send what was given up again, and go on where a disabled one stopped; how many wait again."""
    found = shown(hooks, subscription, owner)
    _record(hooks, by, "webhooks replay", f"{found.id} dead letters")
    again = hooks.store.revive(found.id)
    return shown(hooks, subscription, owner), again


def dead_letters(hooks: Hooks, subscription: UUID, owner: str | None) -> list[Dead]:
    """The oldest five hundred that were given up. Raises Rejected ``webhook_unknown``."""
    return hooks.store.dead(shown(hooks, subscription, owner).id, _MOST_SHOWN)


def _check_owner(hooks: Hooks, owner: str) -> None:
    if owner != BANK and owner not in hooks.book.rulebook().partners.all:
        raise Rejected(
            "partner_unknown", f"no partner {owner} is registered", field="partner", remedy="`partner list` names them"
        )


def _refuse_crowd(hooks: Hooks, owner: str) -> None:
    there = hooks.store.subscriptions()
    of_owner = sum(each.owner == owner for each in there)
    of_partners = sum(each.owner != BANK for each in there)
    crowd = of_owner >= MOST_OF_PARTNER or of_partners >= MOST_SUBSCRIPTIONS - KEPT_FOR_BANK
    if len(there) >= MOST_SUBSCRIPTIONS or (owner != BANK and crowd):
        raise Rejected(
            "too_many_webhooks",
            f"there are {of_owner} of yours, and {len(there)} in all",
            field="url",
            remedy=f"end one first: a partner may have {MOST_OF_PARTNER}, all together {MOST_SUBSCRIPTIONS}",
        )


def _record(hooks: Hooks, by: Reader, command: str, about: str) -> None:
    record_export(hooks.book, by, command, None, personal=False, about=about)


def _no_position(head: int) -> Rejected:
    return Rejected(
        "position_unknown", f"the log has {head} events", field="from_position", remedy="name a position that it has"
    )
