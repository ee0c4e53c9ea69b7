"""Events of a personal carbon account (one stream per account)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from domain.events.base import ActSignature, DayText, Event, IntText, Personal


class ReasonPersonal(Personal, frozen=True, kw_only=True):
    """Why, in the words of whoever acted: free text may tell whom it is about, so it is sealed."""

    reason: str


class AccountOpenedPersonal(Personal, frozen=True, kw_only=True):
    """Who the account belongs to, as the bank names the person."""

    account_ref: str


class AccountOpened(Event, frozen=True, kw_only=True):
    """A carbon account exists from here on. ``kind``: individual, household or enterprise."""

    TOPIC: ClassVar[str] = "carbon.account.opened.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = AccountOpenedPersonal
    kind: str


class ConsentGrantedPersonal(Personal, frozen=True, kw_only=True):
    """Who recorded a direct consent; that may be the person."""

    asserter: str


class ConsentGranted(Event, frozen=True, kw_only=True):
    """The person allows behaviors in ``scope`` to be collected and valued (DOMAIN rules 18, 19).

    ``scope``: behaviors, or ``*`` for all. ``valid_from``/``valid_to``: RFC 3339 instants in UTC, half-open, null =
    open.
    ``basis``: direct (the person) or imported (asserted by a partner). ``evidence``: SM3 of the document or file.
    ``asserter``: the partner; null for a direct consent, whose asserter is in the personal part.
    The consent is named by the version of this event in the account's stream.
    """

    TOPIC: ClassVar[str] = "carbon.account.consent-granted.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = ConsentGrantedPersonal
    scope: tuple[str, ...]
    terms_version: str
    basis: str
    valid_from: str | None
    valid_to: str | None
    evidence: str
    asserter: str | None


class ConsentWithdrawnPersonal(Personal, frozen=True, kw_only=True):
    """Who recorded it, which may be the person, and why."""

    by: str
    reason: str


class ConsentWithdrawn(Event, frozen=True, kw_only=True):
    """Consent ``consent`` (version in the stream) no longer allows crediting, from this event on."""

    TOPIC: ClassVar[str] = "carbon.account.consent-withdrawn.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = ConsentWithdrawnPersonal
    consent: int


class BehaviorCreditedPersonal(Personal, frozen=True, kw_only=True):
    """The partner's reference in clear and the exact instant, both as submitted."""

    source_ref: str
    occurred_at: str


class BehaviorCredited(Event, frozen=True, kw_only=True, gc=False):
    """A behavior was accepted and valued; also recorded when a cap cut it to 0.

    ``intake``: log position of the intake it came with; ``line``: its line there. ``ref``: HMAC of (partner,
    source_ref).
    ``quantity`` x 10^-``scale`` ``unit``. ``decision``: the applicability decision that values it; ``rule``: kernel
    rule version;
    ``consent``: version of the consent in this stream. Masses in mg.
    """

    TOPIC: ClassVar[str] = "carbon.account.behavior-credited.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = BehaviorCreditedPersonal
    partner: str
    intake: int
    line: int
    ref: str
    behavior: str
    day: DayText
    region: str
    quantity: IntText
    scale: int
    unit: str
    methodology: str
    decision: str
    rule: str
    consent: int
    computed_mg: IntText
    credited_mg: IntText


class BehaviorReversed(Event, frozen=True, kw_only=True):
    """Credit ``credit`` (version in this stream) is worth 0 from here on; ``reversed_mg`` is what it was worth.

    Its mass and its count stay charged to the caps (DESIGN 3, Reversal).
    """

    TOPIC: ClassVar[str] = "carbon.account.behavior-reversed.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = ReasonPersonal
    credit: int
    behavior: str
    day: DayText
    reversed_mg: IntText
    by: str


class RevisedLine(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One in-scope credit revalued: stream version, civil day, mg before, computed mg, credited mg, reason.

    ``computed_mg`` is null where the new version cannot value it; ``reason`` then says why, else it is "".
    """

    credit: int
    day: DayText
    before_mg: IntText
    computed_mg: IntText | None
    credited_mg: IntText
    reason: str


class FactorRevised(Event, frozen=True, kw_only=True):
    """All in-scope credits of one account valued anew by one revision run (DESIGN 3, Revision run).

    Parts of one run in one account follow each other in the same append; ``part`` counts from 1 and ``last`` marks
    the end.
    """

    TOPIC: ClassVar[str] = "carbon.account.factor-revised.v1"
    STREAM: ClassVar[str] = "account"
    revision: str
    behavior: str
    methodology: str
    rule: str
    part: int
    last: bool
    lines: tuple[RevisedLine, ...]


class AccountFrozen(Event, frozen=True, kw_only=True):
    """No credit is accepted until it is unfrozen; revisions still apply."""

    TOPIC: ClassVar[str] = "carbon.account.frozen.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = ReasonPersonal
    by: str


class AccountUnfrozen(Event, frozen=True, kw_only=True):
    """Credits are accepted again."""

    TOPIC: ClassVar[str] = "carbon.account.unfrozen.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = ReasonPersonal
    by: str


class AccountClosed(Event, frozen=True, kw_only=True):
    """No credit is ever accepted again; history stays and revisions still apply."""

    TOPIC: ClassVar[str] = "carbon.account.closed.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = ReasonPersonal
    by: str


class ErasureRequested(Event, frozen=True, kw_only=True):
    """Somebody asks to erase the person's data; nothing is erased yet.

    ``ground``: consent-withdrawn, purpose-over, service-ended, unlawful or other-law (PIPL 47).
    """

    TOPIC: ClassVar[str] = "carbon.account.erasure-requested.v1"
    STREAM: ClassVar[str] = "account"
    PERSONAL: ClassVar[type[Personal] | None] = ReasonPersonal
    ground: str
    by: str
    signed: ActSignature | None = None


class PersonalDataErased(Event, frozen=True, kw_only=True):
    """Receipt: with this event the account's look-up by reference and its wrapped key are gone. Facts stay as they are.

    Nothing opens its personal parts any more, from when the key-encryption key of ``epoch`` is destroyed too (the next
    ``keys rewrap``, with every backup of the key store that still holds it): until then a backup of the database does.
    ``request``: version of the request in this stream; ``by`` is not who asked. ``epoch``: the key-encryption key under
    which the account's key was wrapped.
    """

    TOPIC: ClassVar[str] = "carbon.account.personal-data-erased.v1"
    STREAM: ClassVar[str] = "account"
    request: int
    epoch: int
    by: str
    signed: ActSignature | None = None
