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
from infrastructure.fast_kernel.programs import SAFE, Program, program_of

Array = npt.NDArray[Any]

NO_DECISION: Final = -1
NO_VALUE: Final = -1
BEYOND_63_BITS: Final = -2
WINDOW_CODES: Final = {"day": 0, "month": 1, "year": 2}
LAST_YEAR: Final = 9999


class Tables(NamedTuple):
    """Arrays for the kernel; an index named ``*_at`` gives where a variable-length part begins (and the next one's)."""

    # By behavior code: epochs (positions at which its look-up changes), and its calendars by region and epoch.
    change_at: Array
    change_position: Array
    calendar_base: Array
    calendar_of: Array
    behavior_offset_us: Array
    # By calendar: from which day which decision and rule.
    calendar_at: Array
    calendar_day: Array
    calendar_decision: Array
    calendar_rule: Array
    # By decision.
    decision_name: Array
    decision_methodology: Array
    decision_terms: Array
    decision_minimum: Array
    decision_maximum: Array
    decision_slot: Array
    cap_at: Array
    cap_window: Array
    cap_is_mass: Array
    cap_limit: Array
    # By rule.
    rule_slope: Array
    rule_offset: Array
    rule_divisor: Array
    rule_rounding: Array
    step_at: Array
    step_operation: Array
    step_constant: Array
    # By run.
    run_behavior: Array
    run_approved: Array
    run_completed: Array
    run_decision: Array
    run_methodology: Array
    run_slot: Array
    run_epoch: Array
    run_of_name: Array
    # Words.
    consent_covers: Array
    reason_terms: Array
    rule_terms: int
    code_of_methodology: Array
    # The civil calendar.
    year_start: Array
    month_of: Array
    slots: int


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

    def build(self) -> Tables:
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
        runs = self._run_arrays()
        decisions = self._decision_arrays()
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
            calendar_day=_ints([day for day, _, _ in flat]),
            calendar_decision=_ints([decision for _, decision, _ in flat]),
            calendar_rule=_ints([rule for _, _, rule in flat]),
            **decisions,
            **self._rule_arrays(),
            **runs,
            run_of_name=self._run_of_name(),
            consent_covers=self._consent_covers(),
            reason_terms=_ints(reasons),
            rule_terms=rule_terms,
            code_of_methodology=_ints([self._is_code(name) for name in self._names.words["methodology"]]),
            year_start=_YEAR_START,
            month_of=_MONTH_OF,
            slots=max([1, *map(len, self._slots.values())]),
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

    def _decision_arrays(self) -> dict[str, Array]:
        decisions = self._decision_rows
        caps = [cap for d in decisions for cap in d.method.caps]
        return {
            "decision_name": _ints([self._names.code("decision", d.id) for d in decisions]),
            "decision_methodology": _ints([self._names.code("methodology", d.methodology) for d in decisions]),
            "decision_terms": _ints(
                [self._names.code("terms", f"{RULE};{d.method.unit};{d.method.scale}") for d in decisions]
            ),
            "decision_minimum": _ints([_clamped(d.method.minimum) for d in decisions]),
            "decision_maximum": _ints([_clamped(d.method.maximum) for d in decisions]),
            "decision_slot": _ints([self._slot(d) for d in decisions]),
            "cap_at": _offsets([d.method.caps for d in decisions]),
            "cap_window": _ints([WINDOW_CODES[cap.window] for cap in caps]),
            "cap_is_mass": _ints([int(cap.kind == "mass") for cap in caps]),
            # A sum beyond the bound makes the account unproven: a higher limit can never bind.
            "cap_limit": _ints([min(cap.limit, BOUND) for cap in caps]),
        }

    def _rule_arrays(self) -> dict[str, Array]:
        programs = list(self._programs)
        steps = [step for program in programs for step in program.steps]
        return {
            "rule_slope": _ints([program.slope for program in programs]),
            "rule_offset": _ints([program.offset for program in programs]),
            "rule_divisor": _ints([program.divisor for program in programs]),
            "rule_rounding": _ints([program.rounding for program in programs]),
            "step_at": _offsets([program.steps for program in programs]),
            "step_operation": _ints([operation for operation, _ in steps]),
            "step_constant": _ints([constant for _, constant in steps]),
        }

    def _run_arrays(self) -> dict[str, Array]:
        rows = [self._run_row(run, scope) for run, scope in self._runs]
        behavior, approved, completed, decision, methodology, slot, epoch = (
            zip(*rows, strict=True) if rows else [()] * 7
        )
        return {
            "run_behavior": _ints(behavior),
            "run_approved": _ints(approved),
            "run_completed": _ints(completed),
            "run_decision": _ints(decision),
            "run_methodology": _ints(methodology),
            "run_slot": _ints(slot),
            "run_epoch": _ints(epoch),
        }

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
    return max(-SAFE, min(SAFE, quantity))
