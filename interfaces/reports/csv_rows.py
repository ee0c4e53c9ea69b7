"""A report as tidy CSV: one figure a row.

Keeps: columns ``section,key,metric,value``; figures are exact, as in the JSON; text that a spreadsheet would take for a
formula gets an apostrophe in front, numbers never do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

COLUMNS: Final = ("section", "key", "metric", "value")

Row = tuple[str, str, str, str]

_ABOUT: Final = ("behavior", "methodology", "from", "to", "region", "planned_by", "as_of")
_SCALARS: Final = (
    *("accounts", "changed_accounts", "credits", "before_mg", "after_mg", "delta_mg", "rising_accounts"),
    *("falling_accounts", "unchanged_accounts", "turned_negative_accounts", "not_valued"),
)
_LISTS: Final = {
    "by_behavior": ("behavior", ("behavior",)),
    "by_region": ("region", ("region",)),
    "by_month": ("month", ("month",)),
    "not_valued_by": ("not_valued", ("reason", "region")),
    "largest": ("largest", ("account_id",)),
    "histogram": ("histogram", ("least_mg", "most_mg")),
}
"""List of the report -> section, and the fields that make the key."""


def plan_csv(report: dict[str, Any], digest: str) -> str:
    """A plan's report."""
    return _written([*_about(report, "report"), ("report", "", "sm3", digest), *_figures(report, "")])


def comparison_csv(comparison: dict[str, Any], digest: str) -> str:
    """A comparison: sections are prefixed with ``first.``, ``second.`` or ``difference.``."""
    rows: list[Row] = [("report", "", "sm3", digest)]
    for side in ("first", "second"):
        rows += [*_about(comparison[side], f"{side}.report"), *_figures(comparison[side], f"{side}.")]
    return _written([*rows, *_figures(comparison["difference"], "difference.")])


def _about(report: dict[str, Any], section: str) -> Iterator[Row]:
    for name in _ABOUT:
        value = report[name]
        yield section, "", name, "" if value is None else str(value)


def _figures(impact: dict[str, Any], prefix: str) -> Iterator[Row]:
    for name in _SCALARS:
        yield f"{prefix}total", "", name, str(impact[name])
    for name, (section, fields) in _LISTS.items():
        for each in impact[name]:
            key = "/".join(each[field] for field in fields)
            for metric, value in each.items():
                if metric not in fields:
                    yield f"{prefix}{section}", key, metric, str(value)


def _written(rows: list[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: str) -> str:
    number = cell.removeprefix("-").isdecimal() and cell.isascii()
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") and not number else cell
