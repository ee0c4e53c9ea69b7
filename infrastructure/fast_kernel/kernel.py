"""The kernel port over compiled code: prepares arrays, runs the passes of the rule version, reads the results.

Keeps: nothing is computed here; tables are built anew when new words were met, so every code has its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from application.ports.archive import NONE, Names, Rows
from application.ports.kernel import Balances, Lines, Recomputed, RunSums
from domain.revision import Scope
from domain.rulebook import RevisionRun, Rulebook
from infrastructure.fast_kernel import v1_law, v1_lines, v1_replay
from infrastructure.fast_kernel.tables import TableBuilder, Tables
from infrastructure.fast_kernel.written import balance_lines

Array = npt.NDArray[Any]

_STACK = 256


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


_ROW: Final = np.dtype(
    [
        *((name, "i8") for name in ("slot", "mass", "computed", "final", "ended", "reason", "told_at")),
        *((name, "?") for name in ("reversed", "in_scope")),
    ],
    align=True,
)
_ACCOUNT: Final = np.dtype(
    [
        *((name, "i8") for name in ("last_position", "balance", "credits")),
        ("has_status", "?"),
    ],
    align=True,
)
_RUN: Final = np.dtype(
    [
        *((name, "i8") for name in ("first_position", "last_position", "expected", "lines", "before", "after")),
        *((name, "?") for name in ("finished", "waiting", "in_group")),
    ],
    align=True,
)
_TOTALS: Final = np.dtype([(name, "i8") for name in ("accounts", "changed", "credits", "before", "after")])
_USE: Final = np.dtype([("mg", "i8"), ("count", "i8")])


class _State(NamedTuple):
    """What the passes remember of each row, and of the account at hand (one record)."""

    rows: Array
    account: Array


class _Balances(NamedTuple):
    made: Array
    account: Array
    behavior: Array
    credited_mg: Array
    credits: Array
    unproven: Array
    overflow: Array


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
        tables = self._current_tables(until)
        count, accounts, runs = len(rows.account), len(rows.ids), len(self._runs)
        columns = _columns(rows)
        out = _Balances(
            _ints(1),
            np.empty(count, np.int32),
            np.empty(count, np.int32),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
            np.zeros(accounts, np.bool_),
            np.zeros(1, np.bool_),
        )
        of_run, totals = np.zeros(runs, _RUN), np.zeros(runs, _TOTALS)
        uses, state, stack = _uses(tables.slots), _state(count), _ints(_STACK)
        v1_replay.replay_rows(tables, columns, state, uses, stack, of_run, totals, out)
        if out.overflow[0]:
            # The sums of a run over these rows leave the bound: let the reference add them up.
            return Recomputed(_no_balances(), {}, np.arange(accounts, dtype=np.int32), b"")
        made = int(out.made[0])
        balances = Balances(out.account[:made], out.behavior[:made], out.credited_mg[:made], out.credits[:made])
        digests = self._digests(rows, out.unproven)
        sums = {}
        for index, (run, _) in enumerate(self._runs):
            accounts_with, changed, credits, before, after = totals[index].tolist()
            sums[run.id] = RunSums(accounts_with, changed, credits, before, after, digests.get(run.id, []))
        unproven = np.flatnonzero(out.unproven).astype(np.int32)
        behaviors = self._names.words["behavior"]
        lines = b"" if len(unproven) else balance_lines(balances, rows.ids.keys, behaviors)
        return Recomputed(balances, sums, unproven, lines)

    def lines(self, rows: Rows, scope: Scope) -> Lines:
        tables = self._tables_for(scope)
        count, accounts = len(rows.account), len(rows.ids)
        columns, state = _columns(rows), _state(count)
        out = _Found(_ints(1), _ints(count), _ints(accounts), _ints(accounts), np.zeros(accounts, np.bool_))
        behavior = self._names.code("behavior", scope.decision.method.behavior)
        v1_lines.lines_of(tables, columns, state, _uses(tables.slots), _ints(_STACK), behavior, out)
        found = out.row[: int(out.made[0])]
        # Groups are civil years; log order is the order of versions.
        found = found[np.lexsort((rows.version[found], rows.account[found]))]
        reason = state.rows["reason"][found].astype(np.int8)
        return Lines(
            rows.account[found],
            found,
            rows.version[found],
            rows.day[found],
            rows.region[found],
            state.rows["mass"][found],
            np.where(reason == v1_law.VALUED, state.rows["computed"][found], NONE),
            state.rows["final"][found],
            reason,
            out.last_version,
            out.balance_mg,
            np.flatnonzero(out.unproven).astype(np.int32),
        )

    def _current_tables(self, until: int) -> Tables:
        met = [until, *(len(words) for words in self._names.words.values())]
        if self._tables is None or met != self._met:
            self._tables = TableBuilder(self._rulebook, self._runs, self._names).build(until)
            self._met = [until, *(len(words) for words in self._names.words.values())]
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
    return _Columns._make([*(_read_only(getattr(rows, name)) for name in _Columns._fields[:-1]), is_last])


def _read_only(column: Array) -> Array:
    """The same numbers, contiguous and read-only whatever they came from: each kind of array would be compiled anew."""
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def _state(count: int) -> _State:
    return _State(np.empty(count, _ROW), np.zeros(1, _ACCOUNT))


def _uses(slots: int) -> Array:
    return np.zeros((slots, v1_law.YEAR + 1), _USE)


def _ints(count: int, value: int = 0) -> Array:
    return np.full(count, value, np.int64)


def _no_balances() -> Balances:
    empty = np.empty(0, np.int32)
    return Balances(empty, empty, np.empty(0, np.int64), np.empty(0, np.int64))
