"""The shapes of acts on partners and of the answers about them.

Keeps: as ``schemas``. ``behaviors`` null: all that there are and will be; a quota null: none.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from interfaces.http.asking import Asked
from interfaces.http.schemas import Shape
from interfaces.http.signing import Der, Signed

PartnerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,64}$", examples=["metro-co"])]
Quota = Annotated[int, Field(ge=1, le=1_000_000_000)]
Behavior = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", examples=["travel.metro"])]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Read by everybody who reads the rules.")]


class TermsAsked(Asked):
    """What a partner may send, in whole: what is not given again is gone."""

    behaviors: Annotated[list[Behavior], Field(min_length=1, max_length=1_000)] | None
    rows_per_day: Quota | None = None
    rows_per_request: Quota | None = None


class KeyAsked(Asked):
    """A key of a partner. ``public_key``: PEM; ``possession``: its signature; ``to_sign``: tell what it has to sign."""

    public_key: str = Field(min_length=1, max_length=1_000)
    possession: Der | None = None
    to_sign: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> KeyAsked:
        if self.to_sign == (self.possession is not None):
            raise ValueError("give possession, or to_sign to learn what the key has to sign")
        return self


class Registering(TermsAsked, KeyAsked):
    """A new partner with its terms and its first key."""

    partner: PartnerName


class Reasoned(Asked):
    """Why."""

    reason: Reason


class Stopping(Signed):
    """Why, and how it is signed."""

    reason: Reason


class KeyText(Shape):
    """What the partner's key signs; nothing was done. ``text``: base64."""

    partner: str
    text: str


class PartnerAsked(Shape):
    """A proposal; it changes nothing until somebody else approves it. ``key``: the id of a key that is proposed."""

    partner: str
    proposal: str
    state: str
    position: int
    key: str | None = None


class PartnerActed(Shape):
    """What holds from ``position`` on. ``proposal``: what was approved; ``key``: what was revoked."""

    partner: str
    state: str
    position: int
    proposal: str | None = None
    key: str | None = None


class _Terms(Shape):
    partner: str
    state: str
    behaviors: list[str] | None
    rows_per_day: int | None
    rows_per_request: int | None
    since: int | None
    reason: str | None


class ListedPartner(_Terms):
    """A partner, or one that waits to be: the ids of its keys in use, and the proposals that wait."""

    keys: list[str]
    waiting: list[str]


class Partners(Shape):
    """All of them."""

    partners: list[ListedPartner]
    position: int


class PartnerKey(Shape):
    """A key of a partner: good from ``approved`` to ``ended``."""

    key: str
    public_key: str
    state: str
    approved: int
    ended: int | None


class PartnerProposal(Shape):
    """Something that was proposed about a partner, and what became of it."""

    proposal: str
    about: Literal["registration", "key", "terms", "resumption"]
    asks: dict[str, Any]
    state: str
    by: str
    proposed: int
    approved_by: str | None
    approved: int | None


class WholePartner(_Terms):
    """A partner with every key it had and everything that was proposed about it."""

    keys: list[PartnerKey]
    proposals: list[PartnerProposal]
    position: int
