"""The rulebook as arrays: everything the compiled kernel looks up, and nothing it has to understand.

Keeps: tables follow from the rulebook and the words met so far, in the codes of ``Names``; look-up through them gives
the decision, rule and caps that ``Rulebook.lookup`` and ``Valuer`` give, for every log position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from application.ports.archive import BOUND, Names
from application.ports.kernel import REASONS
from domain.applicability import NEVER, Decision, build_lookup
from domain.kernel.valuation import RULE
from domain.revision import Scope
from domain.rulebook import RevisionRun, Rulebook
from domain.values import AFTER_LAST_DAY, MICROSECONDS_PER_MINUTE, day_number, region_chain
from infrastructure.fast_kernel.programs import Program, program_of
from infrastructure.fast_kernel.v1_account import DIRECT, IMPORTED

Array = npt.NDArray[Any]

NO_DECISION: Final = -1
NO_VALUE: Final = -1
BEYOND_63_BITS: Final = -2
WINDOW_CODES: Final = {"day": 0, "month": 1, "year": 2}
LAST_YEAR: Final = 9999


_CALENDAR: Final = np.dtype([("day", "i8"), ("decision", "i8"), ("rule", "i8")])
_DECISION: Final = np.dtype(
    [(name, "i8") for name in ("name", "methodology", "terms", "minimum", "maximum", "slot", "caps_from", "caps_to")]
)
_CAP: Final = np.dtype([("window", "i8"), ("is_mass", "i8"), ("limit", "i8")])
_RULE: Final = np.dtype([(name, "i8") for name in ("slope", "offset", "divisor", "rounding", "steps_from", "steps_to")])
_STEP: Final = np.dtype([("operation", "i8"), ("constant", "i8")])
_RUN: Final = np.dtype(
    [(name, "i8") for name in ("behavior", "approved", "completed", "decision", "methodology", "slot", "epoch")]
)


class Tables(NamedTuple):
    """Arrays for the kernel; an index named ``*_at`` gives where a variable-length part begins (and the next one's)."""

    change_at: Array
    """By behavior code: its epochs, the positions (``change_position``) at which its look-up changes."""
    change_position: Array
    calendar_base: Array
    """By behavior code: its first place in ``calendar_of``, which names a calendar by region and epoch."""
    calendar_of: Array
    calendar_at: Array
    calendar: Array
    """From which day which decision and rule."""
    decisions: Array
    caps: Array
    rules: Array
    steps: Array
    runs: Array
    run_of_name: Array
    behavior_offset_us: Array
    consent_covers: Array
    consent_basis: Array
    reason_terms: Array
    rule_terms: int
    code_of_methodology: Array
    year_start: Array
    month_of: Array
    slots: int
    until: int


def _civil_calendar() -> tuple[Array, Array]:
    starts = [0, *(day_number(f"{year:04}-01-01") for year in range(1, LAST_YEAR + 1)), AFTER_LAST_DAY]
    months = np.zeros((2, 366), np.int32)
    for leap, lengths in enumerate(((28, 31), (29, 31))):
        ends = np.cumsum([31, lengths[0], 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
        months[leap] = np.searchsorted(ends, np.arange(366), side="right").clip(max=11)
    return np.array(starts, np.int64), months


_YEAR_START, _MONTH_OF = _civil_calendar()


class TableBuilder:
    """Builds the tables for one rulebook and the words met so far.

    ``scope``: a run to be worked out (for ``lines``); its look-up then stands for every position.
    """

    def __init__(
        self, rulebook: Rulebook, runs: Sequence[tuple[RevisionRun, Scope]], names: Names, scope: Scope | None = None
    ) -> None:
        self._rulebook = rulebook
        self._runs = runs
        self._names = names
        self._scope = scope
        self._decisions: dict[tuple[str, bool], int] = {}
        self._decision_rows: list[Decision] = []
        self._programs: dict[Program, int] = {}
        self._slots: dict[str, dict[str, int]] = {}
        self._calendars: dict[Any, int] = {}
        self._calendar_rows: list[list[tuple[int, int, int]]] = []

    def build(self, until: int = NEVER) -> Tables:
        """``until``: the log size up to which rows are given."""
        for run, _ in self._runs:
            self._names.code("behavior", run.behavior)
        behaviors = self._names.words["behavior"]
        change_at, changes, bases, calendar_of = [0], list[int](), list[int](), list[int]()
        for behavior in behaviors:
            epochs = self._epochs(behavior)
            changes += epochs
            change_at.append(len(changes))
            bases.append(len(calendar_of))
            for region in self._names.words["region"]:
                calendar_of += [self._calendar(behavior, region, epoch, epochs) for epoch in range(len(epochs) + 1)]
        runs = np.array([self._run_row(run, scope) for run, scope in self._runs], _RUN)
        decisions = self._decision_array()
        reasons = [self._names.code("terms", f"{RULE};{reason}") for reason in REASONS]
        rule_terms = self._names.code("terms", RULE)
        flat = [entry for rows in self._calendar_rows for entry in rows]
        # Everything that is indexed by a word comes last: what stands above may name new words.
        return Tables(
            change_at=_ints(change_at),
            change_position=_ints(changes),
            calendar_base=_ints(bases),
            calendar_of=_ints(calendar_of),
            behavior_offset_us=_ints([self._offset_us(behavior) for behavior in behaviors]),
            calendar_at=_offsets(self._calendar_rows),
            calendar=np.array(flat, _CALENDAR),
            decisions=decisions,
            caps=self._caps(),
            rules=self._rules(),
            steps=np.array([step for program in self._programs for step in program.steps], _STEP),
            runs=runs,
            run_of_name=self._run_of_name(),
            consent_covers=self._consent_covers(),
            consent_basis=self._consent_basis(),
            reason_terms=_ints(reasons),
            rule_terms=rule_terms,
            code_of_methodology=_ints([self._is_code(name) for name in self._names.words["methodology"]]),
            year_start=_YEAR_START,
            month_of=_MONTH_OF,
            slots=max([1, *map(len, self._slots.values())]),
            until=until,
        )

    def _epochs(self, behavior: str) -> list[int]:
        return [] if self._scope is not None else list(self._rulebook.changes(behavior))

    def _calendar(self, behavior: str, region: str, epoch: int, epochs: Sequence[int]) -> int:
        if self._scope is not None:
            decisions = list(self._scope.decisions)
        else:
            known = epochs[epoch] if epoch < len(epochs) else NEVER
            decisions = self._rulebook.decisions(behavior, known)
        decisions = [d for d in decisions if d.method.behavior == behavior]
        named = {d.region for d in decisions}.union(*(d.valuer.regions() for d in decisions))
        chain = tuple(level for level in region_chain(region) if level in named)
        key = (behavior, epoch, chain)
        found = self._calendars.get(key)
        if found is None:
            found = self._calendars[key] = len(self._calendar_rows)
            self._calendar_rows.append(self._calendar_entries(decisions, region))
        return found

    def _calendar_entries(self, decisions: Sequence[Decision], region: str) -> list[tuple[int, int, int]]:
        lookup = build_lookup(decisions, region)
        entries: list[tuple[int, int, int]] = []
        for start, end, winner in zip(lookup.starts, [*lookup.starts[1:], AFTER_LAST_DAY], lookup.winners, strict=True):
            if winner is None:
                entries.append((start, NO_DECISION, NO_VALUE))
                continue
            periods = winner.valuer.parameters(region)
            ends = [*(later.start for later in periods[1:]), AFTER_LAST_DAY]
            for each, until in zip(periods, ends, strict=True):
                first = max(each.start, start)
                if first < min(until, end):
                    rule = NO_VALUE if each.values is None else self._rule(program_of(winner.method, each.values))
                    entries.append((first, self._decision(winner), rule))
        return entries

    def _rule(self, program: Program | None) -> int:
        return BEYOND_63_BITS if program is None else self._programs.setdefault(program, len(self._programs))

    def _decision(self, decision: Decision) -> int:
        key = (decision.id, decision.is_revision)
        if key not in self._decisions:
            self._decisions[key] = len(self._decision_rows)
            self._decision_rows.append(decision)
        return self._decisions[key]

    def _slot(self, decision: Decision) -> int:
        slots = self._slots.setdefault(decision.method.behavior, {})
        return slots.setdefault(decision.method.code, len(slots))

    def _decision_array(self) -> Array:
        caps_at, rows = _offsets([d.method.caps for d in self._decision_rows]), []
        for index, each in enumerate(self._decision_rows):
            method = each.method
            rows.append(
                (
                    self._names.code("decision", each.id),
                    self._names.code("methodology", each.methodology),
                    self._names.code("terms", f"{RULE};{method.unit};{method.scale}"),
                    _clamped(method.minimum),
                    _clamped(method.maximum),
                    self._slot(each),
                    caps_at[index],
                    caps_at[index + 1],
                )
            )
        return np.array(rows, _DECISION)

    def _caps(self) -> Array:
        caps = [cap for each in self._decision_rows for cap in each.method.caps]
        # A sum beyond the bound makes the account unproven: a higher limit can never bind.
        rows = [(WINDOW_CODES[cap.window], cap.kind == "mass", min(cap.limit, BOUND)) for cap in caps]
        return np.array(rows, _CAP)

    def _rules(self) -> Array:
        at = _offsets([program.steps for program in self._programs])
        rows = [
            (each.slope, each.offset, each.divisor, each.rounding, at[index], at[index + 1])
            for index, each in enumerate(self._programs)
        ]
        return np.array(rows, _RULE)

    def _run_of_name(self) -> Array:
        """By decision word: the run it names, or -1."""
        of_run = {run.id: index for index, (run, _) in enumerate(self._runs)}
        return _ints([of_run.get(word, -1) for word in self._names.words["decision"]])

    def _run_row(self, run: RevisionRun, scope: Scope) -> tuple[int, ...]:
        position = scope.decision.position
        epoch = sum(change <= position for change in self._epochs(run.behavior))
        return (
            self._names.code("behavior", run.behavior),
            position,
            run.completed_position,
            self._decision(scope.decision),
            self._names.code("methodology", run.methodology),
            self._slot(scope.decision),
            epoch,
        )

    def _consent_covers(self) -> Array:
        """[terms, behavior]: 1 where a consent with these terms covers the behavior."""
        behaviors, terms = self._names.words["behavior"], self._names.words["terms"]
        covers = np.zeros((max(1, len(terms)), max(1, len(behaviors))), np.uint8)
        for row, words in enumerate(terms):
            scope = words.split(";", 2)[2].split(",") if words.startswith(("imported;", "direct;")) else []
            for column, behavior in enumerate(behaviors):
                covers[row, column] = behavior in scope or "*" in scope
        return covers

    def _consent_basis(self) -> Array:
        """By terms: ``DIRECT``, ``IMPORTED``, or 0 where they are none of a consent."""
        known = {"direct": DIRECT, "imported": IMPORTED}
        return _ints([known.get(words.partition(";")[0], 0) for words in self._names.words["terms"]])

    def _offset_us(self, behavior: str) -> int:
        offset = next((m.method.utc_offset_minutes for m in self._rulebook.published(behavior)), 0)
        return offset * MICROSECONDS_PER_MINUTE

    def _is_code(self, methodology: str) -> int:
        return int(self._scope is not None and methodology.partition("@")[0] == self._scope.decision.method.code)


def _ints(values: Sequence[int]) -> Array:
    return np.array(values, np.int64)


def _offsets(parts: Sequence[Sequence[Any]]) -> Array:
    return np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)


def _clamped(quantity: int) -> int:
    """To where every quantity of a row lies anyway (a version with a wider range has no program)."""
    return max(-BOUND, min(BOUND, quantity))
