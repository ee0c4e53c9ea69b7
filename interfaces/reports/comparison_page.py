"""The page of a comparison: two candidate versions for the same days and region, side by side.

Keeps: nothing on it is a plan; the difference is that of the second candidate over the first.
"""

from __future__ import annotations

from typing import Any, Final

from interfaces.reports.charts import Series, mass_columns, mass_rows
from interfaces.reports.figures import about, count, days, percent, region
from interfaces.reports.markup import Html, element, facts, joined, page, section, table
from interfaces.reports.parts import by_time, chart_sections, four_figures, impact_tables, mass_figure, titled
from interfaces.reports.versions import factor_table, factors_told, sources_told, version_part

_ROWS: Final = (
    ("accounts in scope", "accounts"),
    ("accounts that change", "changed_accounts"),
    ("accounts that rise", "rising_accounts"),
    ("accounts that fall", "falling_accounts"),
    ("accounts that stay", "unchanged_accounts"),
    ("accounts that turn negative", "turned_negative_accounts"),
    ("credits in scope", "credits"),
    ("credits that cannot be valued", "not_valued"),
    ("worth before, mg", "before_mg"),
    ("worth after, mg", "after_mg"),
    ("difference, mg", "delta_mg"),
)


def comparison_page(comparison: dict[str, Any], digest: str) -> str:
    """The whole page. ``digest``: SM3 of the canonical comparison."""
    first, second, difference = (comparison[side] for side in ("first", "second", "difference"))
    names = _names(first, second)
    return page(
        f"Comparison: {names[0]} and {names[1]}",
        element(
            "div",
            element("p", "Comparison of two candidates ", element("span", "方案比较", lang="zh"), class_="kind"),
            element("h1", titled(first["version_after"]), f": {names[0]} or {names[1]}"),
            element("p", "A question, not a plan: nothing is recorded", class_="under"),
            element("p", _story(comparison, names), class_="story"),
            four_figures(
                [
                    mass_figure("Worth now", int(first["before_mg"])),
                    mass_figure(f"Under {names[0]}", int(first["after_mg"])),
                    mass_figure(f"Under {names[1]}", int(second["after_mg"])),
                    mass_figure("Second over first", int(difference["delta_mg"]), signed=True),
                ]
            ),
            mass_rows(
                [
                    ("now", int(first["before_mg"]), "less"),
                    (names[0], int(first["after_mg"]), "more"),
                    (names[1], int(second["after_mg"]), "more"),
                ],
                "What the credits in scope are worth now and under each candidate",
                signed=False,
            ),
            facts(_facts(comparison, digest)),
            class_="first",
        ),
        _side_by_side(first, second, names),
        section(
            "The second candidate over the first",
            "后者相对前者的差额",
            element("p", f"Here “before” is {names[0]} and “after” is {names[1]}.", class_="note"),
        ),
        chart_sections(difference, f"more under {names[1]}", f"less under {names[1]}"),
        impact_tables(difference),
        _candidates(first, second, names),
    )


def _names(first: dict[str, Any], second: dict[str, Any]) -> tuple[str, str]:
    """The candidates' names; with their releases where the version is the same."""

    def name(report: dict[str, Any]) -> str:
        releases = ", ".join(f"{each} release {number}" for each, number in sorted(report["releases"].items()))
        same = first["methodology"] == second["methodology"]
        return f"{report['methodology']} with {releases}" if same and releases else str(report["methodology"])

    return name(first), name(second)


def _story(comparison: dict[str, Any], names: tuple[str, str]) -> str:
    first, second, difference = (comparison[side] for side in ("first", "second", "difference"))
    what = (
        f"What would the {first['behavior']} credits of {days(first['from'], first['to'])} in "
        f"{region(first['region'])} be worth under {names[0]}, and what under {names[1]}? "
    )
    if not first["credits"]:
        return f"{what}No booked credit is in scope."
    now, one, two = int(first["before_mg"]), int(first["after_mg"]), int(second["after_mg"])
    delta = two - one
    share = percent(delta, one)
    more = f"{about(abs(delta))} {'more' if delta > 0 else 'less'}" if delta else "exactly as much"
    return (
        f"{what}{count(first['credits'])} credits of {count(first['accounts'])} accounts are concerned. They are worth "
        f"{about(now)} CO2e now, {about(one)} under the first candidate and {about(two)} under the second: {more}"
        f"{f' ({share})' if share and delta else ''}. {count(difference['rising_accounts'])} accounts would hold more "
        f"under the second than under the first, {count(difference['falling_accounts'])} less, "
        f"{count(difference['unchanged_accounts'])} the same."
    )


def _facts(comparison: dict[str, Any], digest: str) -> list[tuple[str, str]]:
    first, second = comparison["first"], comparison["second"]
    return [
        ("candidates", f"{_state(first)}; {_state(second)}"),
        ("factors", factors_told([first["version_after"]], second["version_after"], 6)),
        ("sources", sources_told([first["version_after"], second["version_after"]])),
        ("civil days", days(first["from"], first["to"])),
        ("region", region(first["region"])),
        ("worked out on", f"the log's first {count(comparison['as_of'])} events"),
        ("comparison digest, SM3", element("code", digest)),
    ]


def _state(report: dict[str, Any]) -> str:
    return f"{report['methodology']} ({report['version_after']['state']})"


def _side_by_side(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> Html:
    rows = [
        (label, *(count(value) for value in (one, two, two - one)))
        for label, key in _ROWS
        for one, two in [(int(first[key]), int(second[key]))]
    ]
    months, values, _ = by_time(first["by_month"])
    others = by_time(second["by_month"])[1]
    return section(
        "Side by side",
        "并列比较",
        table(("what each would do", f"{names[0]}>", f"{names[1]}>", "second − first>"), rows),
        mass_columns(
            months,
            [Series(names[0], values, "less"), Series(names[1], others, "more")],
            "Difference to today by civil month, for each candidate",
        ),
        element("p", f"Difference to today. Outlined bars: {names[0]}. Filled bars: {names[1]}.", class_="note"),
        _month_table(first, second, names),
    )


def _month_table(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> Html:
    rows = []
    for one, two in zip(first["by_month"], second["by_month"], strict=True):
        now, under_one, under_two = int(one["before_mg"]), int(one["after_mg"]), int(two["after_mg"])
        cells = (one["credits"], now, under_one, under_two, under_two - under_one)
        rows.append((one["month"], *map(count, cells)))
    head = ("month", "credits>", "now, mg>", f"{names[0]}, mg>", f"{names[1]}, mg>", "second − first, mg>")
    return table(head, rows, empty="No credit is in scope.")


def _candidates(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> Html:
    one, two = first["version_after"], second["version_after"]
    today = {version["decision"]: version for version in (*first["version_before"], *second["version_before"])}
    return section(
        "Versions, factors and sources",
        "方法学版本、因子与来源",
        element("p", f"“Before” is {names[0]}, “after” is {names[1]}.", class_="note"),
        factor_table([one], two),
        joined(version_part(version, "Today") for version in today.values()),
        version_part(one, "First candidate"),
        version_part(two, "Second candidate"),
    )
