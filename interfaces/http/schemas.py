"""The shapes of answers, as OpenAPI tells them.

Keeps: masses, quantities and factors are decimal text; times are RFC 3339 in UTC; positions are integers. The keys
are those of the command line's answers with ``--json`` (docs/formats.md).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Mass = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]*)$", description="Integer milligrams of CO2e, as text.")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SM3, hex.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Shape(BaseModel):
    """Base of all answers: what is not described is a mistake of ours."""

    model_config = ConfigDict(extra="forbid")


class FieldProblem(Shape):
    """One thing that is wrong with a request."""

    field: str
    message: str


class ProblemShape(BaseModel):
    """RFC 9457, with a stable ``code``."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str
    remedy: str
    request_id: str
    errors: list[FieldProblem] | None = None


class Consent(Shape):
    """A consent of an account."""

    consent: int
    scope: list[str]
    basis: str
    valid_from: Time | None
    valid_to: Time | None


class Erasure(Shape):
    """That the person behind an account was erased, or that it was asked for."""

    requested: int
    requested_by: str
    ground: str
    reason: str | None
    approved_by: str | None
    erased: int | None
    epoch: int | None
    effective: bool


class Opened(Shape):
    """``personal``: whether the caller may be shown what is personal. Where he may and it is null, it was erased."""

    personal: bool


class Account(Opened):
    """What an account holds, as of both clocks."""

    account_id: str
    credited_mg: Mass
    by_behavior: dict[str, Mass]
    position: int
    provisional: bool
    occurred_before: str | None
    known_at: str | None
    account_ref: str | None
    kind: str
    status: str
    consents: list[Consent]
    erasure: Erasure | None


class Entry(Shape):
    """A line of a statement."""

    position: int
    recorded_at: Time
    kind: str
    behavior: str
    day: str | None
    change_mg: Mass
    balance_mg: Mass
    source: str
    lines: int | None
    credit: int | None
    partner: str | None
    source_ref: str | None


class Statement(Opened):
    """A page of a statement; the sums are of the whole of it."""

    account_id: str
    credited_mg: Mass
    by_behavior: dict[str, Mass]
    position: int
    entries: list[Entry]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class Explanation(Opened):
    """Why a credit is worth what it is."""

    account_id: str
    credited_mg: Mass
    by_behavior: dict[str, Mass]
    position: int
    credit_position: int
    version: int
    partner: str
    intake: int
    line: int
    source_ref: str | None
    behavior: str
    occurred_at: str | None
    day: str
    region: str
    quantity: str
    unit: str
    consent: int
    rule: str
    valuations: list[dict[str, Any]]


class FoundAccount(Shape):
    """The id of an account that was looked up by its reference."""

    account_id: str


class FoundCredit(Shape):
    """The stream version of a credit that was looked up by its reference."""

    account_id: str
    version: int


class Totals(Shape):
    """What the whole book holds."""

    accounts: int
    credits: int
    credited_mg: Mass
    by_behavior: dict[str, Mass]
    position: int
    digest: Digest
    provisional: bool
    occurred_before: str | None
    known_at: str | None


class Checkpoint(Shape):
    """The log's signed word on what it holds."""

    origin: str
    size: int
    root: Digest
    rulebook_position: int
    recorded_at: Time
    map_position: int
    map_root: str


class NotedCheckpoint(Checkpoint):
    """A checkpoint with its note."""

    note: str


class Checkpoints(Shape):
    """Checkpoints, newest first."""

    checkpoints: list[Checkpoint]


class Proof(Shape):
    """A proof for whoever has the log's public key; ``carbon-ledger verify`` checks it."""

    size: int
    root: Digest
    proof: str


class Methodology(Shape):
    """A methodology version and where it stands."""

    code: str
    version: int
    state: str
    digest: Digest
    behavior: str
    unit: str
    in_force: list[str]
    title: dict[str, str]
    formula: str
    drafted_by: str
    reviewed_by: str | None
    certified_by: str | None
    withdrawal_proposed_by: str | None


class Methodologies(Shape):
    """All versions."""

    methodologies: list[Methodology]
    position: int


class WholeMethodology(Methodology):
    """A version with its document."""

    document: dict[str, Any]
    position: int


class Release(Shape):
    """A release of a factor set."""

    factor_set: str
    release: int
    rows: int
    digest: Digest
    by: str


class Releases(Shape):
    """All releases."""

    releases: list[Release]
    position: int


class Decision(Shape):
    """Which version values which days and regions."""

    decision_id: str
    mode: str
    methodology: str
    from_: str | None = Field(alias="from")
    to: str | None
    region: str
    releases: dict[str, int]
    state: str
    by: str
    position: int | None


class Decisions(Shape):
    """All proposals, decisions and revisions."""

    decisions: list[Decision]
    position: int


class Revision(Shape):
    """A revision run."""

    revision_id: str
    methodology: str
    from_: str | None = Field(alias="from")
    to: str | None
    region: str
    releases: dict[str, int]
    state: str
    planned_by: str
    approved_by: str | None
    plan_digest: Digest


class Revisions(Shape):
    """All revisions."""

    revisions: list[Revision]
    position: int


class Access(Shape):
    """Who was shown, handed or did what."""

    position: int
    recorded_at: Time
    kind: str
    by: str
    known_by: str
    command: str
    account_id: str | None
    object: str
    accounts: int


class Accesses(Shape):
    """A page of the access log."""

    accesses: list[Access]
    position: int
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class Health(Shape):
    """The process answers."""

    status: str


class Me(Shape):
    """Who asks. ``until``: null where what was shown does not run out."""

    name: str
    roles: list[str]
    until: str | None = Field(json_schema_extra={"format": "date-time"})


class Check(Shape):
    """One thing that has to be in order."""

    name: str
    ok: bool
    told: str


class Readiness(Shape):
    """What is in order and what is not."""

    ready: bool
    dev_credentials: bool
    warning: str | None
    checks: list[Check]
