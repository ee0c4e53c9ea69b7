"""The shapes of acts on rules and of the answers to them: methodologies, factor releases, decisions, revisions.

Keeps: as ``schemas``. The name of whoever acts is nowhere in what is sent: it is that of his token.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from interfaces.http.asking import Asked, Day
from interfaces.http.schemas import Digest, Mass, Release, Shape
from interfaces.http.signing import Signed

VersionName = Annotated[str, Field(pattern=r"^[A-Z0-9-]{1,64}@[1-9][0-9]{0,8}$", examples=["TRAVEL-METRO@2"])]
Region = Annotated[str, Field(min_length=1, max_length=64, examples=["*", "CN-440300"])]
Releases = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[int, Field(ge=1, lt=1 << 31)]],
    Field(max_length=100, description="Factor sets by name, each with the number of its release."),
]


class Proposing(Asked):
    """A decision that is proposed: ``methodology`` values the civil days [from, to) in a region; null = open."""

    methodology: VersionName
    from_: Day | None = Field(alias="from")
    to: Day | None
    region: Region = "*"
    releases: Releases = Field(default_factory=dict)
    leave_gap: bool = False


class Planning(Asked):
    """A revision: the civil days [from, to) valued anew; null = open. ``dry_run``: worked out and not recorded."""

    methodology: VersionName
    from_: Day | None = Field(alias="from")
    to: Day | None
    region: Region = "*"
    releases: Releases = Field(default_factory=dict)
    dry_run: bool = False


class Withdrawing(Signed):
    """The approval of a withdrawal. ``leave_gap``: also where nothing values some days from then on."""

    leave_gap: bool = False


class TextToSign(Shape):
    """What the actor signs for the act; nothing was done. ``text``: base64. ``shown``: SM3 of what he has to see."""

    act: str
    object: str
    actor: str
    shown: str
    content: str
    rulebook: int
    text: str


class Standing(Shape):
    """A methodology version after an act."""

    code: str
    version: int
    state: str
    digest: Digest
    position: int


class ValuedBy(Shape):
    """What values a set of days and regions."""

    methodology: str
    decision: str


class Change(Shape):
    """Days and a region that change hands; null: nothing values them."""

    region: str
    from_: str | None = Field(alias="from")
    to: str | None
    before: ValuedBy | None
    after: ValuedBy | None


class Withdrawn(Standing):
    """A version that is withdrawn, and what that changes."""

    changes: list[Change]


class LoadedRelease(Release):
    """A release that was loaded."""

    position: int


class Proposed(Shape):
    """A proposal; it changes nothing until somebody else approves it."""

    decision_id: str
    position: int
    state: Literal["proposed"]


class Decided(Shape):
    """A decision that holds from ``position`` on."""

    decision_id: str
    position: int
    state: Literal["approved"]
    changes: list[Change]


class Impact(Shape):
    """What a revision does or would do."""

    revision_id: str | None
    plan_digest: Digest
    accounts: int
    changed_accounts: int
    credits: int
    before_mg: Mass
    after_mg: Mass
    delta_mg: Mass
    state: str
    position: int


class Plan(Impact):
    """A plan with its impact. ``report``: what its digest was taken of; a dry run has no ``revision_id``."""

    rising_accounts: int
    falling_accounts: int
    unchanged_accounts: int
    turned_negative_accounts: int
    not_valued: int
    not_valued_by: list[dict[str, Any]]
    left_out: list[str]
    changes: list[Change]
    report: dict[str, Any]


class ApprovedRevision(Impact):
    """A revision that is approved, and what that changes."""

    changes: list[Change]


class Application(Shape):
    """A job: the application of a revision.

    ``state``: ``running``; ``stopped``: nobody works on it, POST again and it goes on; ``completed``. ``accounts``: how
    many there are, once it is completed; before that the plan says how many there were. ``accounts_done``: those that
    have all of their lines. ``failed_with``: the code with which it stopped, as far as this worker knows.
    """

    revision_id: str
    state: Literal["not_approved", "running", "stopped", "completed"]
    accounts_done: int
    accounts: int | None
    failed_with: str | None
    completed_position: int | None
