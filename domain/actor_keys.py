"""The keys of people: who signs acts with which key, and from where to where in the log.

Keeps: a registered key signs nothing before it is approved; an actor signs with one key at a time; whoever has had a
key acts by signature from then on, also when the key was revoked. Folding never refuses.
Leaves to ``registering``: which keys may be added; to ``acts``: what is signed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from domain.actors import person_of
from domain.applicability import NEVER
from domain.events.actors import ActorKeyApproved, ActorKeyRegistered, ActorKeyRevoked


@dataclass(frozen=True, slots=True)
class ActorKey:
    """A key of an actor: it signs acts at positions after ``approved`` (None: not yet) up to ``ended``."""

    actor: str
    key: str
    public_key: bytes
    replaces: str
    registered: int
    by: str
    approved: int | None = None
    approver: str = ""
    ended: int = NEVER
    revoked_by: str = ""

    @property
    def state(self) -> str:
        if self.ended != NEVER:
            return "revoked" if self.revoked_by else "replaced"
        return "registered" if self.approved is None else "active"

    def signs_at(self, position: int) -> bool:
        return self.approved is not None and self.approved < position <= self.ended


class ActorKeys:
    """All keys of people, by id, folded with the rulebook."""

    def __init__(self) -> None:
        self.all: dict[str, ActorKey] = {}

    def registered(self, event: ActorKeyRegistered, position: int) -> None:
        if event.key in self.all:
            raise ValueError(f"key {event.key} is registered twice")
        public_key = bytes.fromhex(event.public_key)
        self.all[event.key] = ActorKey(event.actor, event.key, public_key, event.replaces, position, event.by)

    def approved(self, event: ActorKeyApproved, position: int) -> None:
        before = self.active(self.all[event.key].actor)
        if before is not None:
            self.all[before.key] = replace(before, ended=position)
        self.all[event.key] = replace(self.all[event.key], approved=position, approver=event.by)

    def revoked(self, event: ActorKeyRevoked, position: int) -> None:
        self.all[event.key] = replace(self.all[event.key], ended=position, revoked_by=event.by)

    def of(self, actor: str) -> list[ActorKey]:
        """The keys of a person, in order of registration."""
        person = person_of(actor)
        return [each for each in self.all.values() if person_of(each.actor) == person]

    def active(self, actor: str, position: int = NEVER) -> ActorKey | None:
        """The key with which an actor signs an act at this position."""
        return next((each for each in self.of(actor) if each.signs_at(position)), None)

    def waiting(self, actor: str) -> ActorKey | None:
        """The key of an actor that nobody has approved yet."""
        return next((each for each in self.of(actor) if each.state == "registered"), None)

    def signs(self, actor: str, position: int) -> bool:
        """Whether the actor has had a key before this position, so that acts in this name are signed."""
        return any(each.approved is not None and each.approved < position for each in self.of(actor))

    def begun(self, position: int) -> bool:
        """Whether anybody has had a key before this position."""
        return any(each.approved is not None and each.approved < position for each in self.all.values())
