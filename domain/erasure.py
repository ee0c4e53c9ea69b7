"""Erasure of a person (PIPL 47, DOMAIN rule 19): asked for by one actor, approved by another.

Keeps: nothing is erased before the retention period of the book has passed since the account's last entry or its
closing, and nothing of a frozen account: what it was frozen for may need the data. Until then the person's data can be
restricted: consents withdrawn, account frozen. Erasing ends the account; its facts, and every number, stay.
Leaves to the journal: destroying the look-up by reference and the account's key, together with recording it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from domain.account import Account, because, refuse_erased
from domain.actors import check_actor, refuse_same_actor
from domain.errors import Rejected
from domain.events import account as events
from domain.events.base import Recorded
from domain.values import CIVIL_OFFSET_MINUTES, civil_day, day_text

GROUNDS: Final = ("consent-withdrawn", "purpose-over", "service-ended", "unlawful", "other-law")
"""PIPL 47, first paragraph: items 3, 1, 2, 4 and 5."""

DEFAULT_RETENTION_DAYS: Final = 3_653
"""Ten years with three leap days: the longest statutory period known for such records (anti-money-laundering law)."""
MAX_RETENTION_DAYS: Final = 36_525

_RETAINED = (events.AccountOpened, events.BehaviorCredited, events.BehaviorReversed, events.AccountClosed)


def check_retention(days: int) -> int:
    """A usable retention period. Raises Rejected ``retention_malformed``."""
    if not 0 <= days <= MAX_RETENTION_DAYS:
        raise Rejected(
            "retention_malformed",
            f"{days} days are no retention period",
            field="retention_days",
            remedy=f"give 0 to {MAX_RETENTION_DAYS} days",
        )
    return days


def last_entry(recorded: Iterable[Recorded]) -> int:
    """Position of the record of an account from which its retention period runs: opening, entry or closing.

    A revision does not count: it values what happened before once more, and would keep people for ever.
    """
    return max((each.position for each in recorded if is_entry(each)), default=0)


def is_entry(each: Recorded) -> bool:
    """Whether the retention period of its account runs anew from an event."""
    return isinstance(each.event, _RETAINED)


def first_day(last_entry_us: int, retention_days: int) -> int:
    """The civil day from which on erasure is allowed: the day of the entry itself is not counted (Civil Code 201)."""
    day = civil_day(last_entry_us, CIVIL_OFFSET_MINUTES)
    return day + retention_days + 1 if retention_days else day


def refuse_retained(last_entry_us: int, retention_days: int, now_us: int) -> None:
    """Raises Rejected ``retention_not_over``."""
    day = first_day(last_entry_us, retention_days)
    if civil_day(now_us, CIVIL_OFFSET_MINUTES) < day:
        raise Rejected(
            "retention_not_over",
            f"the law asks to keep these records: erasure is allowed from {day_text(day)} on",
            field="account",
            remedy="restrict it until then: `consent withdraw`, then `account freeze`",
        )


def request(
    account: Account, by: str, ground: str, reason: str
) -> tuple[events.ErasureRequested, events.ReasonPersonal]:
    """Raises Rejected ``account_erased``, ``account_frozen``, ``erasure_requested``, ``ground_unknown``."""
    _refuse_held(account)
    if account.erasure is not None:
        raise Rejected(
            "erasure_requested",
            f"{account.erasure.by} has asked for it already",
            field="account",
            remedy="somebody else approves it with `account approve-erasure`",
        )
    if ground not in GROUNDS:
        raise Rejected(
            "ground_unknown", f"{ground!r} is not a ground", field="ground", remedy=f"one of {', '.join(GROUNDS)}"
        )
    return events.ErasureRequested(ground=ground, by=check_actor(by)), because(reason)


def erase(account: Account, by: str, epoch: int) -> events.PersonalDataErased:
    """The receipt. ``epoch``: of the key-encryption key under which the account's key is wrapped.

    Raises Rejected ``account_erased``, ``account_frozen``, ``erasure_not_requested``, ``same_actor``.
    """
    _refuse_held(account)
    if account.erasure is None:
        raise Rejected(
            "erasure_not_requested",
            "nobody has asked to erase this account",
            field="account",
            remedy="ask for it with `account erase`; somebody else approves it",
        )
    refuse_same_actor(by, requester=account.erasure.by)
    return events.PersonalDataErased(request=account.erasure.version, epoch=epoch, by=check_actor(by))


def _refuse_held(account: Account) -> None:
    refuse_erased(account)
    if account.status == "frozen":
        raise Rejected(
            "account_frozen",
            "the account is frozen, and what it was frozen for may need its data",
            field="account",
            remedy="`account unfreeze` it first, if that is over",
        )
