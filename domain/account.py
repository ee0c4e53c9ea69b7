"""A personal carbon account as far as deciding needs it: small, constant in size, kept as a snapshot.

Keeps (DESIGN 3, Account and Caps): applying never refuses; cap use holds the civil years still open (those a credit
younger than ``CLOSING_DAYS`` before the newest one can fall into), older years are read from the stream when a late
row needs them; applying the whole stream and applying a snapshot plus the rest give equal accounts.
Leaves to ``crediting``: what may be credited; to ``history``: balances and explanations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.actors import check_actor, check_reason
from domain.errors import Rejected
from domain.events import account as events
from domain.events.base import Event, Recorded
from domain.instants import instant_of
from domain.kernel.caps import CapUse
from domain.values import FIRST_DAY, day_number, integer_of, year_period

CLOSING_DAYS = 31
"""A civil year leaves the account's head once a credit more than this many days into the next year is recorded."""

KINDS = ("individual", "household", "enterprise")


class Consent(NamedTuple):
    """An active consent: version of its event, scope, and half-open validity in microseconds (None = open)."""

    version: int
    scope: tuple[str, ...]
    from_us: int | None
    to_us: int | None
    basis: str

    def covers(self, behavior: str, instant_us: int) -> bool:
        return (
            ("*" in self.scope or behavior in self.scope)
            and (self.to_us is None or instant_us < self.to_us)
            and (self.from_us is None or self.from_us <= instant_us)
        )


class Asked(NamedTuple):
    """An erasure that was asked for and not approved yet: version of the request, and who asked."""

    version: int
    by: str


class _State(msgspec.Struct, array_like=True):
    version: int
    kind: str
    status: str
    withdrawn: bool
    consents: list[Consent]
    uses: dict[str, tuple[int, list[tuple[int, str, int]]]]
    revised: dict[str, list[str]]
    erasure: Asked | None


class Account:
    """Head of an account's stream. ``version`` 0 means that it does not exist yet."""

    __slots__ = (
        "active", "erasure", "id", "kind", "nothing_in_scope", "revised", "status", "uses", "version", "withdrawn"
    )  # fmt: skip

    def __init__(self, account_id: UUID) -> None:
        self.id = account_id
        self.version = 0
        self.kind = ""
        self.status = "open"
        self.withdrawn = False
        self.active: dict[int, Consent] = {}
        """The active consents by version, oldest first."""
        self.uses: dict[str, CapUse] = {}
        self.revised: dict[str, list[str]] = {}
        self.erasure: Asked | None = None
        self.nothing_in_scope: set[str] = set()
        """Runs found to have no credit of this account in scope; an aid of this process, never stored."""

    def extend(self, recorded: Iterable[Recorded]) -> Account:
        """Fold further events of the stream, oldest first."""
        for each in recorded:
            self.apply(each.version, each.event)
        return self

    def apply(self, version: int, event: Event) -> None:
        """Fold one event; uses only what it recorded."""
        self.version = version
        _APPLY[type(event)](self, event)

    @property
    def consents(self) -> list[Consent]:
        """The active consents, oldest first."""
        return list(self.active.values())

    def consent_for(self, behavior: str, instant_us: int) -> int | None:
        """The newest active consent that covers the behavior at the instant, by version; None when there is none."""
        for consent in reversed(self.active.values()):
            if consent.covers(behavior, instant_us):
                return consent.version
        return None

    def use_of(self, code: str) -> CapUse:
        """Cap use under a methodology code, of the civil years still open."""
        use = self.uses.get(code)
        if use is None:
            use = self.uses[code] = CapUse()
        return use

    def needs_history(self, code: str, day: int) -> bool:
        """Whether a credit of that day falls into a civil year that has left the head."""
        use = self.uses.get(code)
        return use is not None and use.since > FIRST_DAY and year_period(day).start < use.since

    def close_years(self, code: str) -> None:
        """Forget the closed civil years of a code again, after a late row had them read back."""
        use = self.uses[code]
        close_past(use, max(use.days))

    def snapshot(self) -> bytes:
        """The account as bytes for a snapshot row."""
        uses = {
            code: (use.since, [(day, str(mg), count) for day, mg, count in use.to_list()])
            for code, use in sorted(self.uses.items())
        }
        state = _State(
            self.version, self.kind, self.status, self.withdrawn, self.consents, uses, self.revised, self.erasure
        )
        return msgspec.json.encode(state)

    @classmethod
    def from_snapshot(cls, account_id: UUID, state: bytes) -> Account:
        """The account that ``snapshot`` wrote."""
        stored = msgspec.json.decode(state, type=_State)
        account = cls(account_id)
        account.version, account.kind, account.status = stored.version, stored.kind, stored.status
        account.withdrawn, account.revised, account.erasure = stored.withdrawn, stored.revised, stored.erasure
        account.active = {consent.version: consent for consent in stored.consents}
        for code, (since, days) in stored.uses.items():
            account.uses[code] = CapUse.from_list([(day, int(mg), count) for day, mg, count in days], since)
        return account

    def _opened(self, event: events.AccountOpened) -> None:
        self.kind = event.kind

    def _granted(self, event: events.ConsentGranted) -> None:
        from_us = None if event.valid_from is None else instant_of(event.valid_from)
        to_us = None if event.valid_to is None else instant_of(event.valid_to)
        self.active[self.version] = Consent(self.version, event.scope, from_us, to_us, event.basis)

    def _withdrawn_consent(self, event: events.ConsentWithdrawn) -> None:
        self.active.pop(event.consent, None)
        self.withdrawn = True

    def _credited(self, event: events.BehaviorCredited) -> None:
        use, day = self.use_of(event.methodology.partition("@")[0]), day_number(event.day)
        use.charge(day, integer_of(event.credited_mg))
        close_past(use, day)

    def _reversed(self, event: events.BehaviorReversed) -> None:
        """Mass and count of a reversed credit stay charged (DESIGN 3)."""

    def _revised(self, event: events.FactorRevised) -> None:
        code = event.methodology.partition("@")[0]
        use = self.uses[code]
        for line in event.lines:
            use.adjust(day_number(line.day), integer_of(line.credited_mg) - integer_of(line.before_mg))
        if event.last:
            self.revised.setdefault(code, []).append(event.revision)

    def _frozen(self, event: events.AccountFrozen) -> None:
        self.status = "frozen"

    def _unfrozen(self, event: events.AccountUnfrozen) -> None:
        self.status = "open"

    def _closed(self, event: events.AccountClosed) -> None:
        self.status = "closed"

    def _asked(self, event: events.ErasureRequested) -> None:
        self.erasure = Asked(self.version, event.by)

    def _erased(self, event: events.PersonalDataErased) -> None:
        self.status, self.active, self.erasure = "erased", {}, None


def close_past(use: CapUse, day: int) -> None:
    """After a credit of ``day``: civil years that are over by then leave the cap use."""
    day = max(day - CLOSING_DAYS, FIRST_DAY)
    if use.since == FIRST_DAY or day >= use.since + 365:
        since = year_period(day).start
        if since > use.since:
            use.forget(since)


_APPLY: dict[type[Event], Callable[[Account, Any], None]] = {
    events.AccountOpened: Account._opened,
    events.ConsentGranted: Account._granted,
    events.ConsentWithdrawn: Account._withdrawn_consent,
    events.BehaviorCredited: Account._credited,
    events.BehaviorReversed: Account._reversed,
    events.FactorRevised: Account._revised,
    events.AccountFrozen: Account._frozen,
    events.AccountUnfrozen: Account._unfrozen,
    events.AccountClosed: Account._closed,
    events.ErasureRequested: Account._asked,
    events.PersonalDataErased: Account._erased,
}


def open_account(kind: str, account_ref: str) -> tuple[events.AccountOpened, events.AccountOpenedPersonal]:
    """The opening of an account. Raises Rejected ``kind_unknown``."""
    if kind not in KINDS:
        raise Rejected(
            "kind_unknown", f"{kind!r} is not an account kind", field="kind", remedy=f"one of {', '.join(KINDS)}"
        )
    return events.AccountOpened(kind=kind), events.AccountOpenedPersonal(account_ref=account_ref)


def freeze(account: Account, by: str, reason: str) -> tuple[events.AccountFrozen, events.ReasonPersonal]:
    """Raises Rejected ``account_frozen``, ``account_closed``, ``account_erased``."""
    refuse_ended(account)
    if account.status == "frozen":
        raise Rejected("account_frozen", "the account is frozen already", field="account", remedy="nothing to do")
    return events.AccountFrozen(by=check_actor(by)), because(reason)


def unfreeze(account: Account, by: str, reason: str) -> tuple[events.AccountUnfrozen, events.ReasonPersonal]:
    """Raises Rejected ``account_not_frozen``, ``account_closed``, ``account_erased``."""
    refuse_ended(account)
    if account.status != "frozen":
        raise Rejected("account_not_frozen", "the account is open", field="account", remedy="nothing to do")
    return events.AccountUnfrozen(by=check_actor(by)), because(reason)


def close(account: Account, by: str, reason: str) -> tuple[events.AccountClosed, events.ReasonPersonal]:
    """Raises Rejected ``account_closed``, ``account_erased``."""
    refuse_ended(account)
    return events.AccountClosed(by=check_actor(by)), because(reason)


def because(reason: str) -> events.ReasonPersonal:
    """A reason as it is recorded. Raises Rejected ``reason_malformed``."""
    return events.ReasonPersonal(reason=check_reason(reason))


def withdraw_consent(
    account: Account, consent: int, by: str, reason: str
) -> tuple[events.ConsentWithdrawn, events.ConsentWithdrawnPersonal]:
    """Raises Rejected ``consent_unknown``."""
    if consent not in account.active:
        raise Rejected(
            "consent_unknown",
            f"the account has no active consent {consent}",
            field="consent",
            remedy="`account show` lists the active consents",
        )
    personal = events.ConsentWithdrawnPersonal(by=check_actor(by), reason=check_reason(reason))
    return events.ConsentWithdrawn(consent=consent), personal


def refuse_erased(account: Account) -> None:
    """Raises Rejected ``account_erased``."""
    if account.status == "erased":
        raise Rejected(
            "account_erased",
            "the personal data of this account were erased",
            field="account",
            remedy="nothing more is recorded of it; a person who comes back gets a new account",
        )


def refuse_ended(account: Account) -> None:
    """Raises Rejected ``account_closed``, ``account_erased``."""
    refuse_erased(account)
    if account.status == "closed":
        raise Rejected(
            "account_closed", "the account is closed", field="account", remedy="a closed account stays closed"
        )
