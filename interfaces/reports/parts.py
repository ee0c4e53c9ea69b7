"""What the pages of a plan and of a comparison have in common: tables and charts of one impact.

Keeps: every figure of the report stands on the page exactly; a chart shows nothing that no table says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from interfaces.reports.charts import Series, count_columns, mass_columns, mass_rows
from interfaces.reports.figures import about, bin_text, count, exact, reason, region, title
from interfaces.reports.markup import Html, element, facts, joined, section, table

Impact = dict[str, Any]

_MONTHS_IN_A_CHART = 48
_REGIONS_IN_A_CHART = 14

MASS_HEAD = ("credits>", "before, mg>", "after, mg>", "difference, mg>", "rounded>")


def masses(row: dict[str, Any]) -> tuple[str, ...]:
    """The cells under ``MASS_HEAD``."""
    before, after, delta = (int(row[name]) for name in ("before_mg", "after_mg", "delta_mg"))
    return count(row["credits"]), count(before), count(after), count(delta), about(delta, signed=True)


def titled(version: dict[str, Any]) -> Html:
    """The version's titles, English and Chinese side by side."""
    return joined(
        piece
        for number, (language, text) in enumerate(title(version))
        for piece in ([" "] if number else []) + [element("span", text, lang=language)]
    )


def four_figures(figures: Iterable[tuple[str, str, str]]) -> Html:
    """The figures that a reader should remember: label, rounded value, what it is exactly."""
    return element(
        "div",
        *(
            element(
                "div",
                element("p", label, class_="label"),
                element("p", value, class_="value"),
                element("p", precisely, class_="exact"),
                class_="figure",
            )
            for label, value, precisely in figures
        ),
        class_="four",
    )


def by_time(months: Sequence[dict[str, Any]]) -> tuple[list[str], list[int], str]:
    """Labels and differences for a chart: by month, or by year where there are too many months to print."""
    if len(months) <= _MONTHS_IN_A_CHART:
        return [each["month"] for each in months], [int(each["delta_mg"]) for each in months], "month"
    years: dict[str, int] = {}
    for each in months:
        year = each["month"][:4]
        years[year] = years.get(year, 0) + int(each["delta_mg"])
    return list(years), list(years.values()), "year"


def month_chart(impact: Impact, name: str) -> Html:
    """The difference by civil month."""
    labels, values, _ = by_time(impact["by_month"])
    return mass_columns(labels, [Series(name, values)], name)


def region_chart(impact: Impact, name: str) -> Html:
    """The difference by region: the greatest, and the sum of the others."""
    rows = sorted(impact["by_region"], key=lambda each: (-abs(int(each["delta_mg"])), each["region"]))
    shown = [(region(each["region"]), int(each["delta_mg"]), "") for each in rows[:_REGIONS_IN_A_CHART]]
    others = rows[_REGIONS_IN_A_CHART:]
    if others:
        shown.append((f"{count(len(others))} other regions", sum(int(each["delta_mg"]) for each in others), ""))
    return mass_rows(shown, name)


def histogram_chart(impact: Impact, name: str) -> Html:
    """Accounts by what changes for them."""
    labels = [bin_text(int(each["least_mg"]), int(each["most_mg"])) for each in impact["histogram"]]
    return count_columns(labels, [each["accounts"] for each in impact["histogram"]], name)


def chart_sections(impact: Impact, more: str, less: str) -> Html:
    """The three charts; ``more`` and ``less`` say what filled and outlined bars mean."""
    legend = element("p", f"Filled bars: {more}. Outlined bars: {less}.", class_="note")
    bins = element(
        "p",
        "A bin holds accounts whose difference is at least its border nearer to 0 and less than the other one; "
        "exact borders are in the table.",
        class_="note",
    )
    return joined(
        (
            section("Difference by month", "按月差额", month_chart(impact, "Difference by civil month"), legend),
            section("Difference by region", "按地区差额", region_chart(impact, "Difference by region"), legend),
            section("Accounts by difference", "账户差额分布", histogram_chart(impact, "Accounts by difference"), bins),
        )
    )


def impact_tables(impact: Impact) -> Html:
    """Every figure of an impact, exactly."""
    total = masses(impact)
    many = "No credit is in scope."
    return joined(
        (
            section(
                "By behavior",
                "按行为",
                table(
                    ("behavior", *MASS_HEAD), [(r["behavior"], *masses(r)) for r in impact["by_behavior"]], empty=many
                ),
            ),
            section(
                "By civil month",
                "按月",
                table(
                    ("month", *MASS_HEAD),
                    [(r["month"], *masses(r)) for r in impact["by_month"]],
                    foot=("all", *total),
                    empty=many,
                ),
            ),
            section(
                "By region",
                "按地区",
                table(
                    ("region", *MASS_HEAD),
                    [(region(r["region"]), *masses(r)) for r in impact["by_region"]],
                    foot=("all", *total),
                    empty=many,
                ),
            ),
            _accounts(impact),
            _not_valued(impact),
        )
    )


def _accounts(impact: Impact) -> Html:
    directions = (
        ("rise", "rising_accounts"),
        ("fall", "falling_accounts"),
        ("stay as they are", "unchanged_accounts"),
        ("turn negative, from a balance of 0 or more", "turned_negative_accounts"),
    )
    bins = []
    for each in impact["histogram"]:
        least, most = int(each["least_mg"]), int(each["most_mg"])
        bins.append((bin_text(least, most), count(least), count(most), count(each["accounts"])))
    return section(
        "Accounts",
        "账户",
        facts((f"accounts that {words}", count(impact[key])) for words, key in directions),
        element("h3", "Accounts by difference"),
        table(
            ("difference", "from, mg>", "up to and including, mg>", "accounts>"),
            bins,
            foot=("all", "", "", count(impact["accounts"])),
            empty="No credit is in scope.",
        ),
        element("h3", "The largest changes"),
        table(
            ("account", *MASS_HEAD),
            [(element("code", r["account_id"]), *masses(r)) for r in impact["largest"]],
            empty="No account changes.",
        ),
        element("p", "Accounts are named by their random ids, never by a customer's name or number.", class_="note"),
    )


def _not_valued(impact: Impact) -> Html:
    rows = [
        (reason(r["reason"]), region(r["region"]), count(r["credits"]), count(int(r["before_mg"])))
        for r in impact["not_valued_by"]
    ]
    lost = sum(int(r["before_mg"]) for r in impact["not_valued_by"])
    return section(
        "Credits that cannot be valued",
        "无法估值的记录",
        table(
            ("reason", "region", "credits>", "worth before, mg>"),
            rows,
            foot=("all; they would be worth 0", "", count(impact["not_valued"]), count(lost)),
            empty="There are none: the new version can value every credit in scope.",
        ),
    )


def mass_figure(label: str, mg: int, *, signed: bool = False) -> tuple[str, str, str]:
    """One of the four figures for a mass."""
    return label, about(mg, signed=signed), f"exactly {exact(mg, signed=signed)}"
