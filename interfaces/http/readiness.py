"""Whether everything is there that an answer needs, and how far behind the log its signer and its views are.

Keeps: nothing here tells more than names, counts and codes; the ledger is looked at once a second at most, however many
ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from domain.errors import LedgerError, Unavailable
from interfaces.bootstrap import Ledger
from interfaces.bootstrap.service import ServiceSettings, refuse_other_schema
from interfaces.bootstrap.webhooks import hooks_of
from interfaces.http import logs
from interfaces.http.metrics import Metrics

DEV_WARNING: Final = "DEV CREDENTIALS ARE IN USE: whoever has one acts in its role. Not for real data."
_LOOKS_EVERY_S: Final = 1.0
_PATIENCE_S: Final = 1.0
_US_PER_S: Final = 1_000_000

Borrow = Callable[[float], AbstractContextManager[Ledger]]


class Check(NamedTuple):
    """One thing that has to be in order."""

    name: str
    ok: bool
    told: str


class Readiness:
    """``ledger``: one to look at, within so many seconds."""

    def __init__(self, ledger: Borrow, settings: ServiceSettings, metrics: Metrics) -> None:
        self._ledger, self._settings, self._metrics = ledger, settings, metrics
        self._lock = threading.Lock()
        self._at = 0.0
        self._checks: list[Check] = []

    def look(self) -> list[Check]:
        """What is in order, as it was less than a second ago."""
        with self._lock:
            if not self._checks or time.monotonic() - self._at > _LOOKS_EVERY_S:
                self._checks, self._at = self._look(), time.monotonic()
                self._metrics.ready.set(all(each.ok for each in self._checks))
            return self._checks

    def _look(self) -> list[Check]:
        checks = {
            "database": self._database,
            "schema": self._schema,
            "views": self._views,
            "checkpoints": self._checkpoints,
            "keys": self._keys,
            "webhooks": self._webhooks,
        }
        try:
            with self._ledger(_PATIENCE_S) as ledger:
                return [_checked(name, check, ledger) for name, check in checks.items()]
        except LedgerError as error:
            return [Check("ledger", False, error.code)]

    def _database(self, ledger: Ledger) -> tuple[bool, str]:
        size = ledger.book.journal.head().size
        self._metrics.log_size.set(size)
        ledger.book.rulebook()
        return True, f"the log has {size} events"

    def _schema(self, ledger: Ledger) -> tuple[bool, str]:
        return True, f"schema version {refuse_other_schema(ledger)}"

    def _views(self, ledger: Ledger) -> tuple[bool, str]:
        # Asked for position 0 they tell where they are and go nowhere.
        behind = max(ledger.book.journal.head().size - ledger.views.advance(0), 0)
        self._metrics.views_behind.set(behind)
        most = self._settings.max_views_behind
        return not most or behind <= most, f"{behind} events behind"

    def _checkpoints(self, ledger: Ledger) -> tuple[bool, str]:
        journal, kept = ledger.book.journal, ledger.auditing.log.newest()
        signed = 0 if kept is None else kept.size
        unsigned, seconds = max(journal.head().size - signed, 0), 0
        if unsigned:
            began_us = journal.recorded_at([signed + 1])[signed + 1]
            seconds = max(journal.now_us() - began_us, 0) // _US_PER_S
        self._metrics.unsigned.set(unsigned)
        self._metrics.unsigned_seconds.set(seconds)
        most = self._settings.max_unsigned_seconds
        return not most or seconds <= most, f"{unsigned} events are not signed yet, the oldest for {seconds} s"

    def _webhooks(self, ledger: Ledger) -> tuple[bool, str]:
        # A receiver that is down is no reason to answer nobody.
        try:
            counts = hooks_of(ledger).store.counts(ledger.book.journal.head().size)
        except Unavailable as error:
            if error.code != "right_missing":
                raise
            return True, "not told to this role"
        for gauge, count in zip(self._metrics.webhooks.values(), counts, strict=True):
            gauge.set(count)
        return True, f"{counts.behind} events behind, {counts.dead} messages given up, {counts.disabled} disabled"

    def _keys(self, ledger: Ledger) -> tuple[bool, str]:
        if ledger.key_store is None:
            return True, "opened without keys: nothing personal is shown"
        stored, own = ledger.book.journal.key_epoch(), ledger.key_store.epoch
        # 0: no account has a key yet.
        return (True, f"epoch {own}") if stored in (0, own) else (False, "keys_moved")


def _checked(name: str, check: Callable[[Ledger], tuple[bool, str]], ledger: Ledger) -> Check:
    try:
        return Check(name, *check(ledger))
    except LedgerError as error:
        logs.failure(error, "")
        return Check(name, False, error.code)
