"""The background signer: a checkpoint whenever there is news, and one with a map every now and then.

Keeps: what is signed is decided by ``checkpoints.sign`` alone; this only says when. Steps may be of different
connections: after a failure the next step does what was due.
"""

from __future__ import annotations

from collections.abc import Callable

from application.checkpoints import Auditing, Signed, sign


class BackgroundSigner:
    """Signs step by step."""

    def __init__(self, map_every_s: float, elapsed_s: Callable[[], float]) -> None:
        """``elapsed_s``: seconds by a clock that only goes forward."""
        self._every, self._elapsed = map_every_s, elapsed_s
        self._mapped_s: float | None = None
        self._last: Signed | None = None

    def step(self, auditing: Auditing) -> Signed:
        """The newest checkpoint, made if there is news, or if a map is due and it has none. Raises as ``sign``."""
        head, kept, last = auditing.log.head(), auditing.log.newest(), self._last
        due = self._mapped_s is None or self._elapsed() - self._mapped_s >= self._every
        known = last is not None and kept is not None and (kept.size, kept.note) == (head.size, last.note)
        if last is not None and known and (last.checkpoint.map_position or not due):
            return last._replace(is_new=False)
        self._last = sign(auditing, with_map=due)
        if due:
            self._mapped_s = self._elapsed()
        return self._last
