"""A book: the journal with the rulebook kept up to date, and the way every rulebook act is done.

Keeps (DESIGN 3): all checks of an act run under the append lock, on the rulebook as it stands there; an act is one
event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

from application.acts import UNSIGNED, Signing, signed
from application.ports.journal import Append, Journal
from application.ports.keys import Keys
from domain.acts import rulebook_act
from domain.errors import Unavailable
from domain.events.base import NewEvent, RulebookEvent
from domain.rulebook import Rulebook

T = TypeVar("T")


def keys_absent() -> Unavailable:
    """What needs a key, in a ledger that was opened without any."""
    return Unavailable(
        "keys_absent",
        "the ledger was opened without keys: nothing personal can be looked up, read or recorded, and nothing signed",
        field="CARBON_LEDGER_WITHOUT_KEYS",
        remedy="name an account by its id; for everything else use the home that has the keys, without this setting",
    )


class Done(NamedTuple):
    """An act that was recorded: its event and log position."""

    new: NewEvent
    position: int


class Book:
    """What all use cases share."""

    def __init__(self, journal: Journal, keys: Keys | None) -> None:
        """``keys`` None: facts are read, and nothing else."""
        self.journal = journal
        self._keys = keys
        self._rulebook = Rulebook()

    @property
    def opens(self) -> bool:
        """Whether names can be looked up and personal parts opened here."""
        return self._keys is not None

    @property
    def keys(self) -> Keys:
        """Raises Unavailable ``keys_absent``."""
        if self._keys is None:
            raise keys_absent()
        return self._keys

    def rulebook(self, position: int | None = None) -> Rulebook:
        """The rulebook as of a rulebook position (default: now).

        Raises Unavailable ``not_initialized``, ``pepper_wrong``.
        """
        upto = self.journal.head().rulebook_position if position is None else position
        if upto < self._rulebook.position:
            # An earlier one is a book of its own: nobody else's view of it may move on with this one.
            earlier = Rulebook()
            earlier.extend(self.journal.rulebook_events(0, upto))
            return earlier
        first_time = self._rulebook.position == 0
        if upto != self._rulebook.position:
            self._rulebook.extend(self.journal.rulebook_events(self._rulebook.position, upto))
        if first_time:
            self._check_genesis()
        return self._rulebook

    def act(self, decide: Callable[[Rulebook, int], tuple[NewEvent, T]], signing: Signing = UNSIGNED) -> tuple[Done, T]:
        """Decide and record one rulebook event under the append lock, signed if it is an act that people sign.

        ``decide(rulebook, now_us)`` returns the event and whatever the caller wants to tell about it.
        Raises Rejected as ``application.acts.signed``.
        """
        with self.journal.exclusive() as head:
            rulebook = self.rulebook(head.rulebook_position)
            # Recorded with the instant it was decided at, so that whoever reads the log decides on the same day.
            now_us = max(self.journal.now_us(), head.recorded_us + 1)
            new, answer = decide(rulebook, now_us)
            act = rulebook_act(rulebook, cast(RulebookEvent, new.event))
            if act is not None:
                new = NewEvent(new.stream, new.version, signed(rulebook, new.event, act, signing))
            batch = Append([new], head.rulebook_position, moves_rulebook=True, decided_us=now_us)
            appended = self.journal.append(batch)
        return Done(new, appended.last), answer

    def _check_genesis(self) -> None:
        genesis = self._rulebook.genesis
        if genesis is None:
            raise Unavailable("not_initialized", "this home has no book yet", remedy="run `carbon-ledger init`")
        if self.opens and genesis.pepper_check != self.keys.check():
            raise Unavailable(
                "pepper_wrong",
                "the key file of this home belongs to another book",
                remedy="put back the key file that was made with this database",
            )
