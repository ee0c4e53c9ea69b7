"""Events of the rulebook: methodologies, factor releases, applicability decisions, revision runs.

Keeps: each names the log position of the previous one (``previous``), so none can be withheld (DESIGN 3, Rulebook).
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from domain.events.base import ActSignature, DayText, IntText, RulebookEvent


class BookOpened(RulebookEvent, frozen=True, kw_only=True):
    """Genesis of a book. ``clock``: system, or simulated when times are told rather than measured (demonstrations).

    ``pepper_check`` lets a start with the wrong pepper be refused; it reveals nothing about it. ``retention_days``: how
    long the law asks to keep an account's personal data after its last entry or its closing (DOMAIN rule 19).
    ``signed_acts``: whether every act of ``domain.acts`` has to be signed, also in names that have no key.
    """

    TOPIC: ClassVar[str] = "carbon.book.opened.v1"
    STREAM: ClassVar[str] = "book"
    book: str
    clock: str
    pepper_check: str
    retention_days: int
    signed_acts: bool = False


class MethodologyDrafted(RulebookEvent, frozen=True, kw_only=True):
    """A methodology version was submitted. ``document``: its file as canonical JSON; ``digest``: SM3 of that."""

    TOPIC: ClassVar[str] = "carbon.methodology.drafted.v1"
    STREAM: ClassVar[str] = "methodology"
    code: str
    version: int
    document: str
    digest: str
    by: str


class MethodologyReviewed(RulebookEvent, frozen=True, kw_only=True):
    """Reviewed by somebody other than the drafter."""

    TOPIC: ClassVar[str] = "carbon.methodology.reviewed.v1"
    STREAM: ClassVar[str] = "methodology"
    methodology: str
    by: str
    signed: ActSignature | None = None


class MethodologyCertified(RulebookEvent, frozen=True, kw_only=True):
    """Certified by somebody who neither drafted nor reviewed it."""

    TOPIC: ClassVar[str] = "carbon.methodology.certified.v1"
    STREAM: ClassVar[str] = "methodology"
    methodology: str
    by: str
    signed: ActSignature | None = None


class MethodologyPublished(RulebookEvent, frozen=True, kw_only=True):
    """Public and immutable from here on; not yet applicable to anything (DOMAIN rule 4)."""

    TOPIC: ClassVar[str] = "carbon.methodology.published.v1"
    STREAM: ClassVar[str] = "methodology"
    methodology: str
    by: str
    signed: ActSignature | None = None


class WithdrawalProposed(RulebookEvent, frozen=True, kw_only=True):
    """Somebody asks to end a version's decisions."""

    TOPIC: ClassVar[str] = "carbon.methodology.withdrawal-proposed.v1"
    STREAM: ClassVar[str] = "methodology"
    methodology: str
    by: str
    signed: ActSignature | None = None


class MethodologyWithdrawn(RulebookEvent, frozen=True, kw_only=True):
    """The version's decisions end at this position; ``by`` is not the proposer."""

    TOPIC: ClassVar[str] = "carbon.methodology.withdrawn.v1"
    STREAM: ClassVar[str] = "methodology"
    methodology: str
    leave_gap: bool
    by: str
    signed: ActSignature | None = None


class FactorRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published factor with its source (DOMAIN rules 2, 11)."""

    statistic: str
    region: str
    data_year: int
    value: str
    unit: str
    source: str
    page: str | None
    document_sm3: str | None
    grade: str


class FactorReleaseLoaded(RulebookEvent, frozen=True, kw_only=True):
    """A release of a factor set is known; knowing does not make it applicable (DOMAIN rule 4)."""

    TOPIC: ClassVar[str] = "carbon.factors.release-loaded.v1"
    STREAM: ClassVar[str] = "factor_set"
    factor_set: str
    release: int
    rows: tuple[FactorRow, ...]
    digest: str
    by: str


class DecisionProposed(RulebookEvent, frozen=True, kw_only=True):
    """Proposal: ``methodology`` values behaviors of civil days [start, end) in ``region``; null = open."""

    TOPIC: ClassVar[str] = "carbon.decision.proposed.v1"
    STREAM: ClassVar[str] = "decision"
    decision: str
    methodology: str
    start: DayText | None
    end: DayText | None
    region: str
    releases: dict[str, int]
    leave_gap: bool
    by: str


class DecisionApproved(RulebookEvent, frozen=True, kw_only=True):
    """The proposal applies to every credit positioned after this event; ``by`` is not the proposer."""

    TOPIC: ClassVar[str] = "carbon.decision.approved.v1"
    STREAM: ClassVar[str] = "decision"
    decision: str
    by: str
    signed: ActSignature | None = None


class RevisionPlanned(RulebookEvent, frozen=True, kw_only=True):
    """A requantification was worked out but not done. ``as_of``: log size it was worked out at.

    ``behavior_position``: position of the last event that changed the look-up of the behavior. Masses in mg.
    """

    TOPIC: ClassVar[str] = "carbon.revision.planned.v1"
    STREAM: ClassVar[str] = "revision"
    revision: str
    methodology: str
    start: DayText | None
    end: DayText | None
    region: str
    releases: dict[str, int]
    as_of: int
    behavior_position: int
    plan_digest: str
    by: str


class RevisionApproved(RulebookEvent, frozen=True, kw_only=True):
    """The run is decided: it is itself an applicability decision from this position on; ``by`` is not the planner."""

    TOPIC: ClassVar[str] = "carbon.revision.approved.v1"
    STREAM: ClassVar[str] = "revision"
    revision: str
    plan_digest: str
    by: str
    signed: ActSignature | None = None


class RevisionCompleted(RulebookEvent, frozen=True, kw_only=True):
    """Every account with an in-scope credit has its lines.

    ``lines_root``: RFC 6962 root with SM3 over one entry per account, by account id:
    ``account_id:`` and the SM3 of its lines. Masses in mg.
    """

    TOPIC: ClassVar[str] = "carbon.revision.completed.v1"
    STREAM: ClassVar[str] = "revision"
    revision: str
    accounts: int
    changed_accounts: int
    credits: int
    before_mg: IntText
    after_mg: IntText
    delta_mg: IntText
    lines_root: str
