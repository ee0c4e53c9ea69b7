"""A methodology version as the kernel computes with it.

Keeps: immutable; masses are integers in mg, quantities integers at the version's scale, days civil days at its fixed
offset; two rows of one region and parameter never cover the same day (``method_file`` refuses them).
Leaves to others: the life cycle, titles of sources, who approved what.
Source: DESIGN section 3 (caps) and section 6 (methodology file).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from domain.errors import Rejected
from domain.kernel.formula import Expression
from domain.values import Period, Scaled

Window: TypeAlias = Literal["day", "month", "year"]
CapKind: TypeAlias = Literal["mass", "count"]
FactorRows: TypeAlias = Mapping[str, Sequence["ParameterRow"]]

NO_FACTORS: FactorRows = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``limit`` in each civil ``window``: mg of credited mass, or recorded credits."""

    window: Window
    kind: CapKind
    limit: int


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """The value of a parameter in one region level (``*`` is everywhere) on the days of ``period``."""

    region: str
    period: Period
    value: Scaled


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named input of the formula: its own ``rows``, or the rows of a release of ``factor_set``."""

    name: str
    unit: str
    rows: tuple[ParameterRow, ...]
    factor_set: str | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """One methodology version.

    ``minimum`` and ``maximum`` are inclusive and, like every quantity, integers at ``scale`` in ``unit``.
    ``result_mg`` is how many mg one unit of the formula's result is (1,000 for g, 1,000,000 for kg).
    """

    code: str
    version: int
    behavior: str
    title: dict[str, str]
    unit: str
    scale: int
    minimum: int
    maximum: int
    parameters: tuple[Parameter, ...]
    formula: Expression
    formula_text: str
    result_mg: int
    rounding: str
    utc_offset_minutes: int
    late_window_days: int
    caps: tuple[Cap, ...]


def rows_of(parameter: Parameter, factors: FactorRows) -> Sequence[ParameterRow]:
    """The rows a parameter has under the given factor releases.

    Raises Rejected ``factor_release_missing`` when it names a set that ``factors`` does not hold.
    """
    if parameter.factor_set is None:
        return parameter.rows
    if parameter.factor_set not in factors:
        raise Rejected(
            "factor_release_missing",
            f"parameter {parameter.name} takes its values from {parameter.factor_set}, but no release of it is named",
            field=f"parameters.{parameter.name}.factor_set",
            remedy=f"name a release of {parameter.factor_set} in the decision",
        )
    return factors[parameter.factor_set]
