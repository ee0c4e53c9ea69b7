"""The acts of people in a log or a bundle, held against the keys that are registered in it (docs/spec/acts.md).

Keeps: all are counted, the first thousand wrong ones are kept.
Leaves to ``domain.acts``: what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from domain.acts import ActJudge, WrongAct
from domain.events.base import Recorded
from domain.rulebook import Rulebook
from domain.signing_keys import Verify

_KEPT = 1_000


class ActsFound:
    """What was found in the rulebook and the accounts that were handed in. ``unsigned``: how many by each actor."""

    def __init__(self, verify: Verify, pinned: Mapping[str, frozenset[bytes]] | None = None) -> None:
        self._judge = ActJudge(verify, pinned)
        self.kept: list[WrongAct] = []

    def rulebook(self, recorded: Iterable[Recorded]) -> None:
        """The whole rulebook."""
        self._keep(self._judge.rulebook(recorded))

    def account(self, rulebook: Rulebook, recorded: Iterable[Recorded]) -> None:
        """One account's stream."""
        self._keep(self._judge.account(rulebook, recorded))

    @property
    def signed(self) -> int:
        return self._judge.signed

    @property
    def unsigned(self) -> dict[str, int]:
        return self._judge.unsigned

    @property
    def wrong(self) -> int:
        return self._judge.wrong

    @property
    def total(self) -> int:
        return self.signed + self.wrong + sum(self.unsigned.values())

    def _keep(self, wrong: Iterable[WrongAct]) -> None:
        for each in wrong:
            if len(self.kept) < _KEPT:
                self.kept.append(each)
