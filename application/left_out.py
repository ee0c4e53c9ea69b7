"""Why an intake of requests was not recorded, so that whoever grouped them leaves some out and tries again."""

from __future__ import annotations

from collections.abc import Sequence

from application.ports.journal import Append, DayFull
from domain.crediting import Outcome


class KeysEnded(Exception):
    """Keys that signed requests do not count for their partner any more; nothing was recorded."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__()
        self.keys = keys


class OverDay(Exception):
    """The rows would be more than the partner's quota of the day; nothing was recorded.

    ``outcomes``: what each would have become. ``most``: the quota; ``left``: what the day has room for.
    """

    def __init__(self, outcomes: Sequence[Outcome], most: int, left: int) -> None:
        super().__init__()
        self.outcomes, self.most, self.left = outcomes, most, left

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], append: Append, full: DayFull) -> OverDay:
        """From what the journal refused."""
        asked = append.day_rows
        assert asked is not None
        assert asked.most is not None
        return cls(outcomes, asked.most, max(0, asked.most - full.counted))
