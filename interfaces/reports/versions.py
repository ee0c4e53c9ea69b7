"""Methodology versions on a page: formula, factors and where each comes from (DOMAIN rules 2, 11).

Keeps: a factor is shown with its region, days, unit, source, page and grade, as they were submitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from interfaces.reports.figures import days, region
from interfaces.reports.markup import Html, element, facts, table
from interfaces.reports.parts import titled

Version = dict[str, Any]


def factor_rows(before: Sequence[Version], after: Version) -> list[tuple[str, str, str, str, str]]:
    """Parameter, region, value before, value after, unit; several values are those of several days or versions."""
    old = _values(before)
    new = _values([after])
    units = {
        parameter["name"]: parameter["unit"] for version in (*before, after) for parameter in version["parameters"]
    }
    return [
        (name, place, ", ".join(old.get((name, place), ())), ", ".join(new.get((name, place), ())), units[name])
        for name, place in sorted({*old, *new})
    ]


def factors_told(before: Sequence[Version], after: Version, most: int) -> str:
    """The factors before and after in one line, where there are no more than ``most``."""
    rows = factor_rows(before, after)
    if len(rows) > most:
        return f"{len(rows)} factors; see the table of factors"
    return "; ".join(
        f"{name}{'' if place == '*' else f' ({region(place)})'}: {was or '—'} → {now or '—'} {unit}"
        for name, place, was, now, unit in rows
    )


def sources_told(versions: Iterable[Version]) -> str:
    """What these versions and their factors name as their sources."""
    found: dict[str, None] = {}
    for version in versions:
        found |= dict.fromkeys(map(_source, version["sources"]))
        sources = (row["source"] for parameter in version["parameters"] for row in parameter["rows"])
        found |= dict.fromkeys(_source(source) for source in sources if source is not None)
    return "; ".join(found) or "none named"


def factor_table(before: Sequence[Version], after: Version) -> Html:
    """Every factor before and after."""
    rows = (
        (name, region(place), was or "—", now or "—", unit)
        for name, place, was, now, unit in factor_rows(before, after)
    )
    return table(("factor", "region", "before>", "after>", "unit"), rows, empty="These versions have no factors.")


def version_part(version: Version, role: str) -> Html:
    """One version with everything that a verifier looks for first."""
    decided = f", by decision {version['decision']}" if version["decision"] else ""
    return element(
        "div",
        element("h3", f"{role}: {version['methodology']} ", titled(version)),
        facts(
            [
                ("state", f"{version['state']}{decided}"),
                ("formula", element("code", f"{version['formula']} [{version['result_unit']}]")),
                ("quantity in", version["unit"]),
                ("rounding", version["rounding"]),
                ("caps", "; ".join(map(_cap, version["caps"])) or "none"),
                ("sources", "; ".join(map(_source, version["sources"])) or "none"),
                ("document, SM3", element("code", version["digest"])),
            ]
        ),
        table(("factor", "region", "days", "value>", "unit", "source"), _parameter_rows(version["parameters"])),
    )


def _values(versions: Iterable[Version]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for version in versions:
        for parameter in version["parameters"]:
            for row in parameter["rows"]:
                values = found.setdefault((parameter["name"], row["region"]), [])
                if row["value"] not in values:
                    values.append(row["value"])
    return found


def _parameter_rows(parameters: Iterable[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    for parameter in parameters:
        factor_set = parameter["factor_set"]
        name = (
            f"{parameter['name']} (set {factor_set}, release {parameter['release']})"
            if factor_set
            else parameter["name"]
        )
        for row in parameter["rows"]:
            source = "the version's own document" if row["source"] is None else _factor_source(row["source"])
            yield name, region(row["region"]), days(row["from"], row["to"]), row["value"], parameter["unit"], source


def _factor_source(source: dict[str, Any]) -> str:
    return f"{source['statistic']}, data year {source['data_year']}; {_source(source)}"


def _source(source: dict[str, Any]) -> str:
    page = f", {source['page']}" if source["page"] else ""
    digest = f", SM3 {source['document_sm3']}" if source["document_sm3"] else ""
    return f"{source['title']}{page} (grade {source['grade']}{digest})"


def _cap(cap: dict[str, Any]) -> str:
    unit = f" {cap['unit']}" if "unit" in cap else " credits"
    return f"{cap['limit']}{unit} a {cap['window']}"
