"""The kernel port over compiled code: prepares arrays, runs the passes of the rule version, reads the results.

Keeps: nothing is computed here; tables are built anew when new words were met, so every code has its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from application.ports.archive import NONE, Names, Rows
from application.ports.kernel import Balances, Lines, Recomputed, RunSums
from domain.revision import Scope
from domain.rulebook import RevisionRun, Rulebook
from infrastructure.fast_kernel import v1
from infrastructure.fast_kernel.tables import TableBuilder, Tables

Array = npt.NDArray[Any]

_STACK = 256
_DAYS, _MONTHS = 366, 12


class _Columns(NamedTuple):
    """The columns of ``Rows`` that the passes read."""

    account: Array
    kind: Array
    behavior: Array
    year: Array
    position: Array
    version: Array
    refers_to: Array
    day: Array
    region: Array
    quantity: Array
    computed_mg: Array
    credited_mg: Array
    before_mg: Array
    methodology: Array
    decision: Array
    terms: Array
    valid_from_us: Array
    valid_to_us: Array
    is_last: Array


class _State(NamedTuple):
    """What the passes remember of each row, and of the account at hand (arrays of a few)."""

    slot: Array
    mass: Array
    reversed: Array
    in_scope: Array
    computed: Array
    reason: Array
    final: Array
    ended: Array
    events: Array
    has_status: Array
    sums: Array


class _Runs(NamedTuple):
    """By run, what the account at hand has shown of it."""

    first_position: Array
    last_position: Array
    expected: Array
    lines: Array
    before: Array
    after: Array
    finished: Array
    waiting: Array
    in_group: Array
    until: Array


class _Totals(NamedTuple):
    accounts: Array
    changed: Array
    credits: Array
    before: Array
    after: Array
    overflow: Array


class _Balances(NamedTuple):
    made: Array
    account: Array
    behavior: Array
    credited_mg: Array
    credits: Array
    unproven: Array


class _Found(NamedTuple):
    made: Array
    row: Array
    balance_mg: Array
    last_version: Array
    unproven: Array


class FastKernel:
    """Kernel port; see ``application.ports.kernel``. Can be sent to another process."""

    def __init__(self, rulebook: Rulebook, runs: Sequence[tuple[RevisionRun, Scope]], names: Names) -> None:
        self._rulebook = rulebook
        self._runs = runs
        self._names = names
        self._tables: Tables | None = None
        self._met: list[int] = []

    def replay(self, rows: Rows, until: int) -> Recomputed:
        tables = self._current_tables()
        count, accounts, runs = len(rows.account), len(rows.ids), len(self._runs)
        columns = _columns(rows)
        out = _Balances(
            _ints(1),
            np.empty(count, np.int32),
            np.empty(count, np.int32),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
            np.zeros(accounts, np.bool_),
        )
        of_run = _runs(runs, until)
        totals = _Totals(_ints(runs), _ints(runs), _ints(runs), _ints(runs), _ints(runs), np.zeros(1, np.bool_))
        uses, state, stack = _uses(tables.slots), _state(count), _ints(_STACK)
        v1.replay_rows(tables, columns, state, uses, stack, of_run, totals, out)
        if totals.overflow[0]:
            # The sums of a run over these rows leave the bound: let the reference add them up.
            return Recomputed(_no_balances(), {}, np.arange(accounts, dtype=np.int32))
        made = int(out.made[0])
        balances = Balances(out.account[:made], out.behavior[:made], out.credited_mg[:made], out.credits[:made])
        digests = self._digests(rows, out.unproven)
        sums = {
            run.id: RunSums(
                int(totals.accounts[index]),
                int(totals.changed[index]),
                int(totals.credits[index]),
                int(totals.before[index]),
                int(totals.after[index]),
                digests.get(run.id, []),
            )
            for index, (run, _) in enumerate(self._runs)
        }
        return Recomputed(balances, sums, np.flatnonzero(out.unproven).astype(np.int32))

    def lines(self, rows: Rows, scope: Scope) -> Lines:
        tables = self._tables_for(scope)
        count, accounts = len(rows.account), len(rows.ids)
        columns, state = _columns(rows), _state(count)
        out = _Found(_ints(1), _ints(count), _ints(accounts), _ints(accounts), np.zeros(accounts, np.bool_))
        behavior = self._names.code("behavior", scope.decision.method.behavior)
        v1.lines_of(tables, columns, state, _uses(tables.slots), _ints(_STACK), behavior, out)
        found = out.row[: int(out.made[0])]
        # Groups are civil years; log order is the order of versions.
        found = found[np.lexsort((rows.version[found], rows.account[found]))]
        reason = state.reason[found]
        return Lines(
            rows.account[found],
            found,
            rows.version[found],
            rows.day[found],
            rows.region[found],
            state.mass[found],
            np.where(reason == v1.VALUED, state.computed[found], NONE),
            state.final[found],
            reason,
            out.last_version,
            out.balance_mg,
            np.flatnonzero(out.unproven).astype(np.int32),
        )

    def _current_tables(self) -> Tables:
        met = [len(words) for words in self._names.words.values()]
        if self._tables is None or met != self._met:
            self._tables = TableBuilder(self._rulebook, self._runs, self._names).build()
            self._met = [len(words) for words in self._names.words.values()]
        return self._tables

    def _tables_for(self, scope: Scope) -> Tables:
        run = RevisionRun(
            scope.decision.id,
            scope.decision.methodology,
            scope.decision.method.behavior,
            scope.decision.period,
            scope.decision.region,
            {},
            0,
            0,
            "",
            "",
        )
        return TableBuilder(self._rulebook, [(run, scope)], self._names, scope).build()

    def _digests(self, rows: Rows, unproven: Array) -> dict[str, list[tuple[int, bytes]]]:
        words, found = self._names.words["decision"], dict[str, list[tuple[int, bytes]]]()
        for row, digest in rows.digests.items():
            account = int(rows.account[row])
            if not unproven[account]:
                found.setdefault(words[rows.decision[row]], []).append((account, digest))
        return found


def _columns(rows: Rows) -> _Columns:
    is_last = np.zeros(len(rows.account), np.bool_)
    is_last[list(rows.digests)] = True
    return _Columns._make([*(getattr(rows, name) for name in _Columns._fields[:-1]), is_last])


def _state(count: int) -> _State:
    return _State(
        slot=np.empty(count, np.int64),
        mass=np.empty(count, np.int64),
        reversed=np.empty(count, np.bool_),
        in_scope=np.empty(count, np.bool_),
        computed=np.empty(count, np.int64),
        reason=np.empty(count, np.int8),
        final=np.empty(count, np.int64),
        ended=np.empty(count, np.int64),
        events=_ints(3),
        has_status=np.zeros(1, np.bool_),
        sums=_ints(2),
    )


def _runs(count: int, until: int) -> _Runs:
    numbers = [_ints(count) for _ in range(6)]
    flags = [np.zeros(count, np.bool_) for _ in range(3)]
    return _Runs._make([*numbers, *flags, _ints(1, until)])


def _uses(slots: int) -> tuple[Array, ...]:
    by_day, by_month = (slots, _DAYS), (slots, _MONTHS)
    return tuple(np.zeros(shape, np.int64) for shape in (by_day, by_day, by_month, by_month, (slots,), (slots,)))


def _ints(count: int, value: int = 0) -> Array:
    return np.full(count, value, np.int64)


def _no_balances() -> Balances:
    empty = np.empty(0, np.int32)
    return Balances(empty, empty, np.empty(0, np.int64), np.empty(0, np.int64))
