"""What behaviors are worth: from facts and a methodology version to milligrams. Columns in, columns out.

Keeps: each row is computed on its own and rounded once; the most specific region level with a row on the day wins,
parameter by parameter; a row without a value for some parameter is None, never 0.
Leaves to others: caps (``domain.kernel.caps``), checks before crediting, which version applies.
Source: DESIGN section 6 (rows, formula, rounding), DOMAIN rule 13.
A published rule is never edited: a change is a new rule version beside this one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from domain.kernel.formula import QUANTITY, Expression, Multiply, Number, bind, evaluate
from domain.kernel.method import NO_FACTORS, FactorRows, Method, ParameterRow, rows_of
from domain.kernel.rounding import ROUNDINGS, divide
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Scaled, region_chain

RULE = "v1"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a number: the row of each parameter (None where none covers), the exact result, the rounded mg.

    ``exact`` is in the methodology's result unit, before rounding; it and ``computed_mg`` are None when a row is
    missing.
    """

    rows: tuple[tuple[str, ParameterRow | None], ...]
    exact: Scaled | None
    computed_mg: int | None


class Parameters(NamedTuple):
    """The parameter values of one region from civil day ``start`` on; ``values`` is None when one has no row."""

    start: int
    values: dict[str, Scaled] | None


class _Rule(NamedTuple):
    """The formula bound to one set of parameter rows: exact mg = ``evaluate_mg(quantity)`` / ``divisor``."""

    evaluate_mg: Callable[[int], int]
    divisor: int


class _Calendar(NamedTuple):
    """``rules[i]`` holds from day ``starts[i]`` until the next start; None: some parameter has no row."""

    starts: list[int]
    rules: list[_Rule | None]

    def on(self, day: int) -> _Rule | None:
        return self.rules[bisect_right(self.starts, day) - 1]


def formula_in_mg(method: Method) -> Expression:
    """The formula times the mg of its result unit: what is rounded."""
    return Multiply(method.formula, Number(Scaled(method.result_mg, 0)))


class Valuer:
    """A methodology version, with the factor releases its decision names, ready to value columns of behaviors."""

    def __init__(self, method: Method, factors: FactorRows = NO_FACTORS) -> None:
        """Raises Rejected ``factor_release_missing`` when a parameter's factor set is not in ``factors``."""
        self.method = method
        self._rows: dict[str, dict[str, list[ParameterRow]]] = {}
        for parameter in method.parameters:
            by_region = self._rows.setdefault(parameter.name, {})
            for row in rows_of(parameter, factors):
                by_region.setdefault(row.region, []).append(row)
        self._levels = frozenset(region for by_region in self._rows.values() for region in by_region)
        # By the levels that have rows, so that codes invented by a caller cannot fill the memory.
        self._calendars: dict[tuple[str, ...], _Calendar] = {}

    def __getstate__(self) -> dict[str, object]:
        """What another process needs: the calendars, which hold bound formulas, are made anew there."""
        return {**self.__dict__, "_calendars": {}}

    def in_range(self, quantity: int) -> bool:
        """True inside the version's inclusive range."""
        return self.method.minimum <= quantity <= self.method.maximum

    def regions(self) -> frozenset[str]:
        """Every region level that some parameter row names."""
        return self._levels

    def breakpoints(self) -> frozenset[int]:
        """Every civil day on which some parameter row begins or has just ended."""
        rows = (row for by_region in self._rows.values() for rows in by_region.values() for row in rows)
        return frozenset(edge for row in rows for edge in row.period)

    def covers(self, region: str, day: int) -> bool:
        """True when every parameter has a row for the region and day, so that ``compute`` gives a number."""
        return self._calendar(region).on(day) is not None

    def parameters(self, region: str) -> list[Parameters]:
        """The region's parameter values over time: from one ``start`` to the next they do not change."""
        chain = self._chain(region)
        return [Parameters(day, self._values_on(chain, day)) for day in self._starts(chain)]

    def compute(self, regions: Sequence[str], days: Sequence[int], quantities: Sequence[int]) -> list[int | None]:
        """Computed mg of each row (may be negative); None where no row covers the region and day.

        ``days`` are civil days at the version's offset, ``quantities`` integers at its scale. Raises ValueError for
        columns of different length.
        """
        if not len(regions) == len(days) == len(quantities):
            raise ValueError("regions, days and quantities differ in length")
        rounded = ROUNDINGS[self.method.rounding]
        calendars = {region: self._calendar(region) for region in set(regions)}
        rules = {rule for calendar in calendars.values() for rule in calendar.rules}
        if len(rules) == 1 and None not in rules:
            # One rule for every row, the usual batch: no look-up per row.
            ((evaluate_mg, divisor),) = cast(set[_Rule], rules)
            return [rounded(evaluate_mg(quantity), divisor) for quantity in quantities]
        computed: list[int | None] = []
        for region, day, quantity in zip(regions, days, quantities, strict=True):
            rule = calendars[region].on(day)
            computed.append(None if rule is None else rounded(rule.evaluate_mg(quantity), rule.divisor))
        return computed

    def explain(self, region: str, day: int, quantity: int) -> Explanation:
        """The workings of one row, by the readable ``evaluate``; its mg equal those of ``compute``."""
        rows = self._rows_on(self._chain(region), day)
        values = {name: row.value for name, row in rows.items() if row is not None}
        if len(values) < len(rows):
            return Explanation(tuple(rows.items()), None, None)
        exact = evaluate(self.method.formula, {**values, QUANTITY: Scaled(quantity, self.method.scale)})
        mg = divide(exact.value * self.method.result_mg, 10**exact.scale, self.method.rounding)
        return Explanation(tuple(rows.items()), exact, mg)

    def _chain(self, region: str) -> tuple[str, ...]:
        return tuple(level for level in region_chain(region) if level in self._levels)

    def _calendar(self, region: str) -> _Calendar:
        chain = self._chain(region)
        if chain not in self._calendars:
            ordered = self._starts(chain)
            self._calendars[chain] = _Calendar(ordered, [self._rule(chain, day) for day in ordered])
        return self._calendars[chain]

    def _starts(self, chain: tuple[str, ...]) -> list[int]:
        starts = {FIRST_DAY}
        for by_region in self._rows.values():
            starts.update(edge for level in chain for row in by_region.get(level, ()) for edge in row.period)
        return sorted(starts - {AFTER_LAST_DAY})

    def _rule(self, chain: tuple[str, ...], day: int) -> _Rule | None:
        values = self._values_on(chain, day)
        if values is None:
            return None
        bound = bind(formula_in_mg(self.method), values, {QUANTITY: self.method.scale})
        return _Rule(bound.evaluate, 10**bound.scale)

    def _values_on(self, chain: tuple[str, ...], day: int) -> dict[str, Scaled] | None:
        values = {name: row.value for name, row in self._rows_on(chain, day).items() if row is not None}
        return values if len(values) == len(self._rows) else None

    def _rows_on(self, chain: tuple[str, ...], day: int) -> dict[str, ParameterRow | None]:
        return {
            name: next((row for level in chain for row in by_region.get(level, ()) if row.period.covers(day)), None)
            for name, by_region in self._rows.items()
        }
