"""Registered partners: what each may send, from where to where in the log, and with which keys.

Keeps: a partner's rows are judged by what stood before their position, so a past credit can be judged for ever; a
further key is good beside the others until it is revoked; a name that was never registered has no standing, and
nothing is refused for it here. Folding never refuses.
Leaves to ``partnering``: which events may be added; to whoever serves partners over a network: registration as a
condition, signatures by the keys, and the quotas, which are kept here and counted there (ADR 0036).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from domain.applicability import NEVER
from domain.errors import Rejected
from domain.events.partners import (
    PartnerKeyProposed,
    PartnerKeyRevoked,
    PartnerProposalApproved,
    PartnerProposed,
    PartnerResumptionProposed,
    PartnerSuspended,
    PartnerTermsProposed,
)
from domain.values import CIVIL_OFFSET_MINUTES, civil_day, day_start_us, day_text

PARTNER_NAME: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")

Proposed: TypeAlias = PartnerProposed | PartnerKeyProposed | PartnerTermsProposed | PartnerResumptionProposed


class Terms(NamedTuple):
    """What a partner may send. ``behaviors`` None: all; a quota None: no limit; rows per civil day and per request."""

    behaviors: tuple[str, ...] | None
    rows_per_day: int | None
    rows_per_request: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a partner stands for rows at positions after ``since``, until its next standing.

    ``reason``: why it is suspended, "" when it is not.
    """

    since: int
    terms: Terms
    suspended: bool = False
    reason: str = ""

    def refusal(self, behavior: str) -> str:
        """The code with which a row of this behavior is refused, "" when the partner may send it."""
        if self.suspended:
            return "partner_suspended"
        allowed = self.terms.behaviors
        return "" if allowed is None or behavior in allowed else "behavior_not_allowed"


@dataclass(frozen=True, slots=True)
class PartnerKey:
    """A key of a partner: what it signs counts at positions after ``approved`` up to ``ended``."""

    partner: str
    key: str
    public_key: bytes
    approved: int
    ended: int = NEVER

    @property
    def state(self) -> str:
        return "active" if self.ended == NEVER else "revoked"

    def signs_at(self, position: int) -> bool:
        return self.approved < position <= self.ended


@dataclass(frozen=True, slots=True)
class Partner:
    """A registered partner. ``standings``: oldest first, at least one. ``changed``: where it last changed."""

    name: str
    standings: tuple[Standing, ...]
    changed: int

    @property
    def now(self) -> Standing:
        return self.standings[-1]

    @property
    def state(self) -> str:
        return "suspended" if self.now.suspended else "active"


@dataclass(frozen=True, slots=True)
class PartnerProposal:
    """What was proposed about a partner, where, and who approved it."""

    event: Proposed
    position: int
    approved: int | None = None
    approver: str = ""


class Partners:
    """All partners, their keys by id, and everything proposed about them, folded with the rulebook."""

    def __init__(self) -> None:
        self.all: dict[str, Partner] = {}
        self.keys: dict[str, PartnerKey] = {}
        self.proposals: dict[str, PartnerProposal] = {}

    # -- folding -------------------------------------------------------------------------------------------------

    def proposed(self, event: Proposed, position: int) -> None:
        self.proposals[event.proposal] = PartnerProposal(event, position)

    def approved(self, approval: PartnerProposalApproved, position: int) -> None:
        proposal = replace(self.proposals[approval.proposal], approved=position, approver=approval.by)
        self.proposals[approval.proposal] = proposal
        event = proposal.event
        if isinstance(event, PartnerProposed | PartnerKeyProposed):
            key = PartnerKey(event.partner, event.key, bytes.fromhex(event.public_key), position)
            self.keys[event.key] = key
        if isinstance(event, PartnerProposed):
            before = self.all.get(event.partner)
            first = Standing(position, terms_of(event))
            # A second registration of a name is against the rules; what was recorded all the same is still a change.
            standings = (first,) if before is None else (*before.standings, first)
            self.all[event.partner] = Partner(event.partner, standings, position)
        elif isinstance(event, PartnerTermsProposed):
            self._stands(event.partner, position, terms=terms_of(event))
        elif isinstance(event, PartnerResumptionProposed):
            self._stands(event.partner, position, suspended=False, reason="")
        else:
            self._changed(event.partner, position)

    def key_revoked(self, event: PartnerKeyRevoked, position: int) -> None:
        self.keys[event.key] = replace(self.keys[event.key], ended=position)
        self._changed(event.partner, position)

    def suspended(self, event: PartnerSuspended, position: int) -> None:
        self._stands(event.partner, position, suspended=True, reason=event.reason)

    def _stands(self, name: str, position: int, **changes: Any) -> None:
        standings = self.all[name].standings
        standing = replace(standings[-1], since=position, **changes)
        self.all[name] = Partner(name, (*standings, standing), position)

    def _changed(self, name: str, position: int) -> None:
        self.all[name] = replace(self.all[name], changed=position)

    # -- questions -----------------------------------------------------------------------------------------------

    def standing(self, name: str, position: int = NEVER) -> Standing | None:
        """How a partner stands for a row at this position; None for a name that was not registered before it."""
        partner = self.all.get(name)
        if partner is None:
            return None
        return next((each for each in reversed(partner.standings) if each.since < position), None)

    def keys_of(self, name: str) -> list[PartnerKey]:
        """The keys of a partner, in order of their approval."""
        return [each for each in self.keys.values() if each.partner == name]

    def key_at(self, name: str, key: str, position: int = NEVER) -> PartnerKey | None:
        """The key with this id, if what it signs counts for the partner at this position."""
        found = self.keys.get(key)
        return found if found is not None and found.partner == name and found.signs_at(position) else None

    def spelled_alike(self, name: str) -> Partner | None:
        """The registered partner of this name, in capitals or not."""
        return next((each for each in self.all.values() if each.name.lower() == name.lower()), None)

    def waits(self, proposal: PartnerProposal) -> bool:
        """Whether a proposal can still be approved: nothing of its partner has taken effect since it was made."""
        event = proposal.event
        if isinstance(event, PartnerProposed):
            return self.spelled_alike(event.partner) is None
        partner = self.all.get(event.partner)
        return partner is not None and partner.changed < proposal.position

    def waiting(self) -> list[PartnerProposal]:
        """The proposals that can still be approved, oldest first."""
        return [each for each in self.proposals.values() if self.waits(each)]


def terms_of(event: PartnerProposed | PartnerTermsProposed) -> Terms:
    """The terms that an event proposes."""
    return Terms(event.behaviors, event.rows_per_day, event.rows_per_request)


def over_day_quota(rows: int, most: int, left: int, now_us: int) -> Rejected:
    """The refusal of a request whose credits are more than is left of its partner's quota of a day."""
    tomorrow = civil_day(now_us, CIVIL_OFFSET_MINUTES) + 1
    seconds = -((now_us - day_start_us(tomorrow, CIVIL_OFFSET_MINUTES)) // 1_000_000)
    return Rejected(
        "rows_over_day_quota",
        f"your terms allow {most} rows a day, {left} are left until midnight at +08:00, and this request has {rows}",
        field="items",
        remedy=f"send it again from {day_text(tomorrow)} at +08:00 on" + (f", or at most {left} today" if left else ""),
        after_s=seconds,
    )
