"""The words around an impact report: what is planned, which versions and factors, where they come from.

Keeps: everything is taken from the rulebook as it stood when the report was worked out, so that the same log gives the
same words; nothing here depends on the run's number, which is only known once it is recorded.
Leaves to ``application.impact``: the figures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from domain.applicability import ChangeOfHand, Decision, overlap
from domain.revision import left_out
from domain.rulebook import RevisionRun, Rulebook, period_of
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, day_text, region_chain

FORMAT: Final = "carbon-ledger impact report 1"


def terms_of(rulebook: Rulebook, run: RevisionRun, changes: Sequence[ChangeOfHand]) -> dict[str, Any]:
    """What a run would do, in words; ``changes`` are the (region, period) sets that it would take over."""
    start, end = _ends(run.period)
    return {
        "format": FORMAT,
        "behavior": run.behavior,
        "methodology": run.methodology,
        "from": start,
        "to": end,
        "region": run.region,
        "releases": run.releases,
        "planned_by": run.by or None,
        "as_of": run.as_of,
        "left_out": left_out(rulebook, run),
        "changes": [_change(change) for change in changes],
        "version_before": [_version(rulebook, run, before) for before in _before(changes)],
        "version_after": _version(rulebook, run, None),
    }


def _change(change: ChangeOfHand) -> dict[str, Any]:
    start, end = _ends(change.period)
    before = change.before
    return {
        "region": change.region,
        "from": start,
        "to": end,
        "before": None if before is None else {"methodology": before.methodology, "decision": before.id},
        "after": None if change.after is None else change.after.methodology,
    }


def _before(changes: Iterable[ChangeOfHand]) -> list[Decision]:
    """The decisions that lose something, oldest first."""
    found = {change.before.id: change.before for change in changes if change.before is not None}
    return sorted(found.values(), key=lambda decision: decision.position)


def _version(rulebook: Rulebook, run: RevisionRun, decision: Decision | None) -> dict[str, Any]:
    """A version as it would value (``decision`` None) or has valued the run's days: formula, factors, sources."""
    name = run.methodology if decision is None else decision.methodology
    releases = run.releases if decision is None else _releases(rulebook, decision)
    version = rulebook.methodologies[name]
    document = json.loads(version.document)
    return {
        "methodology": name,
        "decision": None if decision is None else decision.id,
        "state": rulebook.state_of(name),
        "digest": version.digest,
        "title": document["title"],
        "unit": version.method.unit,
        "formula": document["formula"],
        "result_unit": document["result_unit"],
        "rounding": document["rounding"],
        "caps": document["caps"],
        "parameters": [
            _parameter(rulebook, run, parameter, body, releases)
            for parameter, body in sorted(document["parameters"].items())
        ],
        "sources": document["sources"],
    }


def _releases(rulebook: Rulebook, decision: Decision) -> dict[str, int]:
    source = rulebook.revisions[decision.id] if decision.is_revision else rulebook.proposals[decision.id]
    return source.releases


def _parameter(
    rulebook: Rulebook, run: RevisionRun, name: str, body: dict[str, Any], releases: dict[str, int]
) -> dict[str, Any]:
    """A parameter with those of its rows that can value the run's region and days; texts as they were submitted."""
    factor_set = body.get("factor_set")
    if factor_set is None:
        rows = [
            {"region": row["region"], "from": row["from"], "to": row["to"], "value": row["value"], "source": None}
            for row in body["rows"]
            if _concerns(row["region"], run.region) and overlap(period_of(row["from"], row["to"]), run.period)
        ]
        return {"name": name, "unit": body["unit"], "factor_set": None, "release": None, "rows": rows}
    number = releases[factor_set]
    rows = [
        {
            "region": row.region,
            "from": None,
            "to": None,
            "value": row.value,
            "source": {"statistic": row.statistic, "data_year": row.data_year, "title": row.source, "grade": row.grade}
            | {"page": row.page, "document_sm3": row.document_sm3},
        }
        for row in rulebook.releases[factor_set, number].rows
        if _concerns(row.region, run.region)
    ]
    return {"name": name, "unit": body["unit"], "factor_set": factor_set, "release": number, "rows": rows}


def _concerns(region: str, wanted: str) -> bool:
    """Whether a row for ``region`` may value something in ``wanted``: one of them contains the other."""
    return region in region_chain(wanted) or wanted in region_chain(region)


def _ends(period: Period) -> tuple[str | None, str | None]:
    start = None if period.start == FIRST_DAY else day_text(period.start)
    return start, None if period.end == AFTER_LAST_DAY else day_text(period.end)
