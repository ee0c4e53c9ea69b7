"""The page of a planned revision: what it does, in print, for people who decide about it.

Keeps: the first sheet tells the whole story; whatever is rounded there stands exactly in the tables behind it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from interfaces.reports.charts import mass_rows
from interfaces.reports.figures import about, count, days, percent, region
from interfaces.reports.markup import Html, element, facts, joined, page, section, table
from interfaces.reports.parts import chart_sections, four_figures, impact_tables, mass_figure, titled
from interfaces.reports.versions import factor_rows, factor_table, factors_told, sources_told, version_part

_FACTORS_IN_THE_STORY = 2
_FACTORS_ON_THE_FIRST_SHEET = 6


class Recorded(NamedTuple):
    """Where the log records the plan; a dry run has no such place."""

    revision_id: str
    position: int


def plan_page(report: dict[str, Any], digest: str, recorded: Recorded | None) -> str:
    """The whole page. ``digest``: SM3 of the canonical report, which the log records."""
    after = report["version_after"]
    name = recorded.revision_id if recorded else "Dry run"
    heading = element("h1", titled(after), ": ", _versions(report))
    return page(
        f"Impact report {name}: {report['methodology']}",
        element(
            "div",
            element("p", "Impact report ", element("span", "影响报告", lang="zh"), class_="kind"),
            heading,
            element("p", _state(report, recorded), class_="under"),
            element("p", story(report, recorded), class_="story"),
            four_figures(_figures(report)),
            mass_rows(
                [("before", int(report["before_mg"]), "less"), ("after", int(report["after_mg"]), "more")],
                "What the credits in scope are worth, before and after",
                signed=False,
            ),
            facts(_facts(report, digest, recorded)),
            class_="first",
        ),
        chart_sections(report, "worth more than before", "worth less than before"),
        impact_tables(report),
        _who_values(report),
        _versions_section(report),
        _how_to_check(report, digest, recorded),
    )


def story(report: dict[str, Any], recorded: Recorded | None) -> str:
    """The revision in one paragraph."""
    where = region(report["region"])
    what = (
        f"{report['planned_by']} {'plans' if recorded else 'asks what it would mean'} to value the "
        f"{report['behavior']} credits of {days(report['from'], report['to'])} in {where} anew under "
        f"{report['methodology']}. {_factor_story(report)}"
    )
    if not report["credits"]:
        return f"{what}No booked credit is in scope, so no balance changes."
    before, after, delta = (int(report[key]) for key in ("before_mg", "after_mg", "delta_mg"))
    share = percent(delta, before)
    change = "exactly the same" if not delta else f"{about(abs(delta))} {'more' if delta > 0 else 'less'}"
    concerned = f"{_credits(report['credits'])} of {_accounts(report['accounts'])}"
    lost = (
        f" {_credits(report['not_valued'])} cannot be valued by the new version and would be worth nothing."
        if report["not_valued"]
        else ""
    )
    negative = report["turned_negative_accounts"]
    return (
        f"{what}This concerns {concerned}. They are worth {about(before)} CO2e and would be worth {about(after)}: "
        f"{change}{f' ({share})' if share and delta else ''}. {_accounts(report['rising_accounts'])} would rise, "
        f"{count(report['falling_accounts'])} fall and {count(report['unchanged_accounts'])} stay as they "
        f"are; {_accounts(negative) if negative else 'no account'} would turn negative.{lost} {_standing(recorded)}"
    )


def _standing(recorded: Recorded | None) -> str:
    if recorded is None:
        return "Nothing has been recorded: this is a question, not a plan."
    return "No balance has changed: it takes effect only after another person has approved it."


def _factor_story(report: dict[str, Any]) -> str:
    changed = [row for row in factor_rows(report["version_before"], report["version_after"]) if row[2] != row[3]]
    if not changed or len(changed) > _FACTORS_IN_THE_STORY or not all(row[2] and row[3] for row in changed):
        return ""
    told = (f"{name} from {was} to {now} {unit}" for name, _, was, now, unit in changed)
    return f"The factor changes: {' and '.join(told)}. "


def _credits(number: int) -> str:
    return f"{count(number)} credit{'' if number == 1 else 's'}"


def _accounts(number: int) -> str:
    return f"{count(number)} account{'' if number == 1 else 's'}"


def _figures(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    delta, before = int(report["delta_mg"]), int(report["before_mg"])
    label, value, precisely = mass_figure("Difference", delta, signed=True)
    share = percent(delta, before)
    return [
        mass_figure("Worth before", before),
        mass_figure("Worth after", int(report["after_mg"])),
        (f"{label}{f', {share}' if share else ''}", value, precisely),
        ("Accounts that change", count(report["changed_accounts"]), f"of {_accounts(report['accounts'])} in scope"),
    ]


def _versions(report: dict[str, Any]) -> str:
    before = dict.fromkeys(version["methodology"] for version in report["version_before"])
    return f"{', '.join(before) or 'no version'} → {report['methodology']}"


def _state(report: dict[str, Any], recorded: Recorded | None) -> str:
    if recorded is None:
        return f"Dry run asked for by {report['planned_by']}; nothing is recorded"
    return f"Revision {recorded.revision_id}, planned by {report['planned_by']}; not approved when this was made"


def _facts(report: dict[str, Any], digest: str, recorded: Recorded | None) -> list[tuple[str, str]]:
    plan = "not recorded" if recorded is None else f"{recorded.revision_id}, at log position {count(recorded.position)}"
    releases = ", ".join(f"{name} release {number}" for name, number in sorted(report["releases"].items()))
    before, after = report["version_before"], report["version_after"]
    return [
        ("plan", plan),
        ("planned by", report["planned_by"]),
        ("civil days", days(report["from"], report["to"])),
        ("region", region(report["region"])),
        ("factors", factors_told(before, after, _FACTORS_ON_THE_FIRST_SHEET)),
        ("factor releases", releases or "none named"),
        ("sources before", sources_told(before)),
        ("sources after", sources_told([after])),
        ("worked out on", f"the log's first {count(report['as_of'])} events"),
        ("report digest, SM3", element("code", digest)),
    ]


def _who_values(report: dict[str, Any]) -> Html:
    def before(change: dict[str, Any]) -> str:
        known = change["before"]
        return f"{known['methodology']} ({known['decision']})" if known else "nothing"

    rows = (
        (region(change["region"]), days(change["from"], change["to"]), before(change), change["after"] or "nothing")
        for change in report["changes"]
    )
    kept = ", ".join(map(region, report["left_out"])) or "none"
    return section(
        "What changes hands",
        "适用关系变化",
        table(("region", "days", "valued before by", "valued then by"), rows, empty="Nothing changes hands."),
        element("p", f"Regions that keep their own decision: {kept}.", class_="note"),
    )


def _versions_section(report: dict[str, Any]) -> Html:
    before, after = report["version_before"], report["version_after"]
    return section(
        "Versions, factors and sources",
        "方法学版本、因子与来源",
        factor_table(before, after),
        joined(version_part(version, "Before") for version in before),
        version_part(after, "After"),
    )


def _how_to_check(report: dict[str, Any], digest: str, recorded: Recorded | None) -> Html:
    where = (
        "A dry run is not recorded anywhere."
        if recorded is None
        else f"The log records this digest at position {count(recorded.position)}, and whoever approves the revision "
        "approves this digest."
    )
    return section(
        "How to check this report",
        "如何核对",
        element(
            "p",
            "This page was made from report.json, written with it. The SM3 digest of that file's bytes must be ",
            element("code", digest),
            f". {where} The report follows from the first {count(report['as_of'])} events of the log alone: worked out "
            "again on them, by whichever calculation kernel, it has the same bytes. Masses are exact integers of "
            "milligrams CO2e; only figures in other units are rounded.",
        ),
    )
