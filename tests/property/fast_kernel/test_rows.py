"""One number or word of one archived row is altered: the account is unproven, or nothing that is said of it changes.

Keeps: never a silently different balance, sum of a run or line of it. What may stay proven, and why:
- ``partner`` and ``intake`` are compared with the intakes by ``application.fast_replaying``;
- ``position`` matters by what stands before it, ``day``, ``region`` and ``quantity`` by what they select or compute,
  the words and ends of a consent by what they cover: another one may select or cover the same, and the reference would
  not mind such an event either;
- ``refers_to`` may name another credit or consent that is as good;
- cells that mean nothing in a row of that kind are never read.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest

from application.ports.archive import (
    BOUND,
    CONSENT_WITHDRAWN,
    CONSENTED,
    CREDITED,
    LINE,
    NONE,
    OPENED,
    REVERSED,
    REVISED,
    Names,
    Rows,
)
from application.ports.kernel import Kernel, KernelFactory, Recomputed
from domain.revision import Scope
from infrastructure.fast_kernel.kernel import FastKernel
from tests.property.fast_kernel.guards import CELLS
from tests.property.fast_kernel.questions import Question, balances_of, lines_of
from tests.property.fast_kernel.stories import question_of
from tests.property.fast_kernel.suite import of_trap, story
from tests.property.fast_kernel.traps import RIGHT, a_run_over_the_second_year
from tests.property.fast_kernel.variants import Mutant, plain_kernel

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
STORIES = range(2_000 if LONG else 25)
TIMES = 3
"""How often each column of a book is altered."""

ALWAYS_SEEN = {
    OPENED: {"kind", "version"},
    CONSENT_WITHDRAWN: {"version"},
    CONSENTED: {"version"},
    REVISED: {"kind", "version", "refers_to", "methodology", "decision", "terms"},
    CREDITED: {"kind", "version", "year", "behavior", "computed_mg", "credited_mg", "methodology", "decision", "terms"},
    REVERSED: {"kind", "version", "year", "behavior", "credited_mg", "day"},
    LINE: {"kind", "year", "behavior", "refers_to", "day", "computed_mg", "credited_mg", "before_mg"}
    | {"methodology", "decision", "terms"},
}
COLUMNS = [name for name in Rows._fields if name not in ("names", "ids", "account", "digests")]

pytestmark = pytest.mark.xdist_group("fast kernel")


def _others(rows: Rows, column: str, row: int) -> list[int]:
    """Other values for one cell."""
    cells = getattr(rows, column)
    old = int(cells[row])
    if column in Names.COLUMNS:
        values: list[int] = list(range(len(rows.names.words[column])))
    elif column == "kind":
        values = list(range(LINE + 1))
    else:
        values = [old - 1, old + 1, 0, 1, old + 31, old * 2 + 1, -old - 1]
        if cells.dtype == np.int64:
            values += [BOUND - 1, 1 - BOUND, NONE]
    limits = np.iinfo(cells.dtype)
    return [each for each in values if each != old and limits.min <= each <= limits.max]


def _altered(rows: Rows, column: str, row: int, value: int) -> Rows:
    cells = getattr(rows, column).copy()
    cells[row] = value
    return rows._replace(**{column: cells})


def _said(recomputed: Recomputed, rows: Rows) -> Any:
    """All that a replay says, as plain values."""
    return balances_of(recomputed, rows), {run: sums[:5] for run, sums in recomputed.runs.items()}


def _books() -> list[Question]:
    stories = [question_of(story(seed)) for seed in STORIES if not story(seed).wide]
    return [*(of_trap(trap)[0][0] for trap in RIGHT), *stories]


def _choices(rng: Random, question: Question) -> list[tuple[str, int]]:
    """Cells by column and kind of row, so that no rare kind is left out."""
    kinds = question.rows.kind
    chosen = []
    for column in COLUMNS:
        for kind in np.unique(kinds).tolist():
            chosen += [(column, int(rng.choice(np.flatnonzero(kinds == kind).tolist()))) for _ in range(TIMES)]
    return chosen


class _Book:
    """A right book and what the kernel says of it."""

    def __init__(self, question: Question, kernels: KernelFactory) -> None:
        self.rows = question.rows
        self._question = question
        self._kernel: Kernel = kernels(question.rulebook, question.runs, self.rows.names)
        self._right = _said(self._kernel.replay(self.rows, question.until), self.rows)

    def silent(self, column: str, row: int, value: int, seen: Counter[tuple[int, str]]) -> str:
        """What is wrong when this cell is altered, else ""; ``seen``: alterations that were noticed."""
        kind, account = int(self.rows.kind[row]), int(self.rows.account[row])
        changed = _altered(self.rows, column, row, value)
        recomputed = self._kernel.replay(changed, self._question.until)
        where = f"{self._question.name}, row {row} of kind {kind}: {column} {value}"
        if account in recomputed.unproven.tolist():
            seen[kind, column] += 1
            return f"{where}: unproven, yet with a balance" if account in balances_of(recomputed, changed) else ""
        always = column in ALWAYS_SEEN.get(kind, ())
        return where if always or _said(recomputed, self.rows) != self._right else ""


def test_an_altered_cell_of_the_archive_never_gives_another_result_in_silence() -> None:
    seen: Counter[tuple[int, str]] = Counter()
    for question in _books():
        rng, book = Random(question.name), _Book(question, FastKernel)
        for column, row in _choices(rng, question):
            if values := _others(book.rows, column, row):
                assert book.silent(column, row, rng.choice(values), seen) == ""
    expected = {(kind, column) for kind, columns in ALWAYS_SEEN.items() for column in columns}
    expected |= {(CREDITED, column) for column in ("position", "refers_to", "day", "region", "quantity")}
    expected |= {(CONSENTED, "terms"), (CONSENTED, "valid_to_us"), (CONSENT_WITHDRAWN, "refers_to")}
    assert (expected | {(REVISED, "position")}) - seen.keys() == set()


@pytest.mark.parametrize(("kind", "column", "mutant"), CELLS, ids=lambda each: getattr(each, "name", None))
def test_a_check_of_cells_that_is_missing_is_reported(kind: int, column: str, mutant: Mutant) -> None:
    (question, *_), _ = of_trap(a_run_over_the_second_year)
    with np.errstate(over="ignore"):
        right, wrong = _Book(question, plain_kernel()), _Book(question, plain_kernel(mutant))
        rows = np.flatnonzero(question.rows.kind == kind).tolist()
        cells = [(column, row, value) for row in rows for value in _others(question.rows, column, row)]
        assert not any(right.silent(*cell, Counter()) for cell in cells)
        assert any(wrong.silent(*cell, Counter()) for cell in cells)


def test_an_altered_cell_gives_no_lines_that_the_altered_events_would_not_give() -> None:
    """Lines rest on what is booked: other booked masses rightly give other lines; all else must not pass unnoticed."""
    booked = {"computed_mg", "credited_mg", "before_mg", "quantity", "day", "region", "position", "methodology"}
    for question in _books():
        rng, rows = Random(question.name), question.rows
        kernel = FastKernel(question.rulebook, [], rows.names)
        for _, scope in question.runs[:1]:
            right = _lines(kernel, rows, scope)
            for column, row in _choices(rng, question):
                if column in booked | {"refers_to", "kind", "behavior", "decision", "terms"}:
                    continue
                account = int(rows.account[row])
                values = _others(rows, column, row)
                got = _lines(kernel, _altered(rows, column, row, rng.choice(values)), scope) if values else {}
                where = f"{question.name}, row {row} of kind {rows.kind[row]}: {column}"
                assert account not in got or got[account] == right[account], where


def _lines(kernel: Kernel, rows: Rows, scope: Scope) -> dict[int, list[tuple[Any, ...]]]:
    """By account that is proven."""
    found = kernel.lines(rows, scope)
    lines = lines_of(found, rows)
    return {a: lines.get(a, []) for a in range(len(rows.ids)) if a not in found.unproven.tolist()}
