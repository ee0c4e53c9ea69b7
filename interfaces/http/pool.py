"""Ledgers for requests that are answered at the same time.

Keeps: a ledger is with one request at a time, so that nobody's rulebook moves on while it is read; whoever waits longer
than he wants to is told, and nobody waits holding anything; a ledger that failed under a request is not used again.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from application.acts import TextToSign
from domain.errors import Rejected, Unavailable
from interfaces.bootstrap import Ledger


class LedgerPool:
    """``another``: a further ledger over the same connections, cheap to make."""

    def __init__(self, another: Callable[[], Ledger], size: int) -> None:
        self._another = another
        # The one that was used last has folded most of the rulebook already.
        self._free: queue.LifoQueue[Ledger] = queue.LifoQueue()
        for _ in range(size):
            self._free.put(another())

    @contextmanager
    def ledger(self, patience_s: float) -> Iterator[Ledger]:
        """One to work with. Raises Unavailable ``service_busy``."""
        try:
            taken = self._free.get(timeout=max(patience_s, 0.001))
        except queue.Empty:
            raise Unavailable("service_busy", "all ledgers are in use", remedy="try again a little later") from None
        given_back = taken
        try:
            yield taken
        except (Rejected, TextToSign):
            raise
        except BaseException:
            # What failed half way through may have left a rulebook folded half way.
            given_back = self._another()
            raise
        finally:
            self._free.put(given_back)
