"""Plans, dry runs and comparisons of a small book in memory, and the three files they are written to."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from application import impact_lines, initializing, methodologies, revising, what_if
from application.book import Book
from application.crediting import Crediting
from application.impact import canonical, digest_of
from application.intakes import close_intake, open_intake
from application.what_if import Candidate
from domain.behavior import Behavior, parse_behavior
from domain.digest import sm3_hex
from domain.errors import Rejected, Unavailable
from domain.events.rulebook import RevisionPlanned
from infrastructure import catalogue
from infrastructure.memory import MemoryJournal, MemoryKeys
from interfaces.reports.charts import Series, axis_for, mass_columns, mass_rows
from interfaces.reports.figures import about, bin_text, days, exact, percent
from interfaces.reports.folder import ReportFolder
from interfaces.reports.markup import element, page
from interfaces.reports.writing import write_comparison, write_plan
from tests.unit.domain.documents import factor_row, release

NOW_US = 1_790_000_000_000_000
ONE, TWO = "CYCLING-SHARED@1", "CYCLING-SHARED@2"
WICKED = "<script>alert('x')</script>"


def _rides(count: int) -> list[Behavior]:
    regions = ("CN-440300", "", "HK")
    rows = [
        parse_behavior(
            n + 1,
            f"ride-{n}",
            f"p-{n % 7}",
            "cycling.shared_bike",
            f"2026-0{n % 6 + 1}-11T09:00:00Z",
            f"{n + 1}.5",
            "km",
            regions[n % 3],
        )
        for n in range(count)
    ]
    return [row for row in rows if isinstance(row, Behavior)]


@pytest.fixture
def book() -> Book:
    journal = MemoryJournal(lambda: NOW_US)
    made = Book(journal, MemoryKeys())
    initializing.open_book(made)
    initializing.load_catalogue(made, catalogue.documents())
    intake = open_intake(made, "bikes", "ab" * 32, 1, "csv", opens_accounts=True)
    Crediting(made).credit(intake, _rides(40))
    close_intake(made, intake, 40, 40, 0, Counter())
    return made


def draft(book: Book, **changes: Any) -> str:
    """A further version of the bicycle methodology, drafted and no more; returns CODE@V."""
    catalogued: list[Any] = catalogue.documents()
    (second,) = (each for each in catalogued if (each["code"], each["version"]) == ("CYCLING-SHARED", 2))
    standing = methodologies.import_methodology(book, json.loads(json.dumps(second)) | {"version": 3} | changes, "dora")
    assert standing.state == "drafted"
    return "CYCLING-SHARED@3"


def written(folder: Path) -> tuple[bytes, list[dict[str, str]], str]:
    """The three files of a report."""
    rows = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text("utf-8"))))
    return (folder / "report.json").read_bytes(), rows, (folder / "report.html").read_text("utf-8")


class Page(HTMLParser):
    """What a browser would see: elements closed in order, texts, attributes."""

    VOID = frozenset(("meta",))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data}\n"


# -- plan and dry run --------------------------------------------------------------------------------------------


def test_the_recorded_digest_is_that_of_the_whole_report(book: Book) -> None:
    planned = revising.plan(book, TWO, "2026-02-01", "2026-05-01", "alice")
    (event,) = (e.event for e in book.journal.log(0, book.journal.head().size, (RevisionPlanned.TOPIC,)))
    assert event.plan_digest == planned.plan_digest == sm3_hex(canonical(planned.report)) == digest_of(planned.report)
    assert {key: planned.report[key] for key in planned.impact} == planned.impact
    told = ("methodology", "from", "to", "region", "planned_by", "as_of")
    assert [planned.report[key] for key in told] == [TWO, "2026-02-01", "2026-05-01", "*", "alice", event.as_of]


@pytest.mark.parametrize("size", [1, 5, 17])
def test_the_digest_does_not_depend_on_how_accounts_are_batched(
    book: Book, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = (TWO, "2026-02-01", None, "alice")
    at_once = revising.dry_run(book, *plan)
    parts = [p for p in impact_lines.reference_parts(book, [], book.journal.head().size) if p.ids]
    monkeypatch.setattr(impact_lines, "_CREDITS_PER_PART", size)
    more = [p for p in impact_lines.reference_parts(book, [], book.journal.head().size) if p.ids]
    assert len(more) > len(parts)
    assert revising.dry_run(book, *plan).plan_digest == at_once.plan_digest


def test_a_dry_run_says_what_the_plan_will_record_and_records_nothing(book: Book) -> None:
    plan = (TWO, "2026-02-01", None, "alice")
    size = book.journal.head().size
    dry = revising.dry_run(book, *plan)
    assert (book.journal.head().size, dry.revision_id, dry.position) == (size, "", size)
    planned = revising.plan(book, *plan)
    assert (planned.plan_digest, planned.report) == (dry.plan_digest, dry.report)


def test_a_version_that_is_only_drafted_can_be_looked_at_but_not_planned(book: Book) -> None:
    name = draft(book)
    dry = revising.dry_run(book, name, None, None, "alice")
    assert dry.report["version_after"]["state"] == "drafted"
    assert dry.impact == revising.dry_run(book, TWO, None, None, "alice").impact
    with pytest.raises(Rejected) as refused:
        revising.plan(book, name, None, None, "alice")
    assert refused.value.code == "wrong_state"


def test_the_report_names_both_versions_with_their_factors_and_sources(book: Book) -> None:
    report = revising.dry_run(book, TWO, "2026-02-01", None, "alice").report
    (before,), after = report["version_before"], report["version_after"]
    assert (before["methodology"], after["methodology"], after["decision"]) == (ONE, TWO, None)
    assert before["decision"] == report["changes"][0]["before"]["decision"]
    factors_of = [version["parameters"][0]["rows"][0]["value"] for version in (before, after)]
    assert factors_of == ["33.88", "48.7"]
    assert after["title"] == {"en": "Shared bike ride", "zh": "共享单车骑行"}
    assert after["sources"][0]["grade"] == "B"


def test_a_factor_of_a_release_is_shown_with_its_own_source(book: Book) -> None:
    rows = (factor_row("40", "CN", "g/km"), factor_row("45", "CN-44", "g/km"), factor_row("1", "HK", "g/km"))
    methodologies.import_factors(book, release(1, *rows, name="BIKES"), "fred")
    name = draft(book, parameters={"saving": {"unit": "g/km", "factor_set": "BIKES"}})
    dry = revising.dry_run(book, name, None, None, "alice", region="CN-44", releases={"BIKES": 1})
    (parameter,) = dry.report["version_after"]["parameters"]
    assert (parameter["factor_set"], parameter["release"]) == ("BIKES", 1)
    assert [(row["region"], row["value"]) for row in parameter["rows"]] == [("CN", "40"), ("CN-44", "45")]
    assert parameter["rows"][0]["source"]["data_year"] == 2022


# -- comparison --------------------------------------------------------------------------------------------------


def test_a_version_compared_with_one_of_the_same_values_makes_no_difference(book: Book) -> None:
    compared = what_if.compare(book, Candidate(TWO, {}), Candidate(draft(book), {}), None, None)
    assert compared["first"]["by_month"] == compared["second"]["by_month"]
    difference = compared["difference"]
    assert (difference["credits"], difference["changed_accounts"], difference["delta_mg"]) == (40, 0, "0")
    assert difference["histogram"] == [{"least_mg": "0", "most_mg": "0", "accounts": 7}]
    assert difference["largest"] == []


def test_a_comparison_writes_nothing_and_its_difference_is_second_minus_first(book: Book) -> None:
    name = draft(book, parameters={"saving": {"unit": "g/km", "rows": [open_everywhere("30")]}})
    head = book.journal.head()
    compared = what_if.compare(book, Candidate(TWO, {}), Candidate(name, {}), "2026-02-01", "2026-06-01")
    assert book.journal.head() == head
    first, second, difference = (compared[side] for side in ("first", "second", "difference"))
    for one, two, both in (
        (first, second, difference),
        *zip(first["by_month"], second["by_month"], difference["by_month"], strict=True),
        *zip(first["by_region"], second["by_region"], difference["by_region"], strict=True),
    ):
        assert (both["before_mg"], both["after_mg"]) == (one["after_mg"], two["after_mg"])
    assert int(difference["delta_mg"]) < 0
    assert first["rising_accounts"] == second["falling_accounts"] == difference["falling_accounts"] > 0
    alone = revising.dry_run(book, TWO, "2026-02-01", "2026-06-01", "alice").report
    assert {**first, "planned_by": "alice"} == alone


def test_one_version_is_compared_under_two_releases(book: Book) -> None:
    for number, value in ((1, "40"), (2, "50")):
        methodologies.import_factors(book, release(number, factor_row(value, unit="g/km"), name="BIKES"), "fred")
    name = draft(book, parameters={"saving": {"unit": "g/km", "factor_set": "BIKES"}}, caps=[])
    compared = what_if.compare(book, Candidate(name, {"BIKES": 1}), Candidate(name, {"BIKES": 2}), None, None)
    assert int(compared["second"]["after_mg"]) * 4 == int(compared["first"]["after_mg"]) * 5
    assert compared["first"]["releases"] == {"BIKES": 1}


def test_a_version_is_not_compared_with_itself(book: Book) -> None:
    with pytest.raises(Rejected) as refused:
        what_if.compare(book, Candidate(TWO, {}), Candidate(TWO, {}), None, None)
    assert refused.value.code == "same_candidate"


def test_versions_of_two_codes_are_not_compared(book: Book) -> None:
    with pytest.raises(Rejected) as refused:
        what_if.compare(book, Candidate(TWO, {}), Candidate("TRAVEL-METRO@1", {}), None, None)
    assert refused.value.code == "other_code"


def open_everywhere(value: str) -> dict[str, Any]:
    return {"region": "*", "from": None, "to": None, "value": value}


# -- files -------------------------------------------------------------------------------------------------------


def test_the_three_files_say_the_same_exact_figures(book: Book, tmp_path: Path) -> None:
    quantity = {"unit": "km", "scale": 3, "min": "0.100", "max": "30"}
    planned = revising.dry_run(book, draft(book, inputs={"quantity": quantity}), "2026-02-01", None, "alice")
    report = planned.report
    assert report["not_valued"] > 0
    write_plan(ReportFolder(tmp_path / "report"), planned)
    raw, rows, html = written(tmp_path / "report")
    assert (sm3_hex(raw), json.loads(raw)) == (planned.plan_digest, report)
    of = {(row["section"], row["key"], row["metric"]): row["value"] for row in rows}
    assert of["report", "", "sm3"] == planned.plan_digest
    for metric in ("credits", "before_mg", "after_mg", "delta_mg"):
        for section in ("month", "region", "behavior"):
            added = sum(int(v) for (s, _, m), v in of.items() if (s, m) == (section, metric))
            assert added == int(of["total", "", metric]) == int(report[metric])
    in_bins = sum(int(v) for (section, _, _), v in of.items() if section == "histogram")
    assert in_bins == int(of["total", "", "accounts"]) == report["accounts"]
    for each in (*report["by_month"], *report["by_region"], *report["largest"], report):
        for key in ("before_mg", "after_mg", "delta_mg"):
            assert f"{int(each[key]):,}".replace("-", "−") in html
    for text in (planned.plan_digest, "Shared bike ride", "共享单车骑行", "33.88", "alice", "2026-02-01"):
        assert text in html


def test_a_page_is_well_formed_asks_nothing_of_the_network_and_runs_nothing(book: Book, tmp_path: Path) -> None:
    write_plan(ReportFolder(tmp_path / "plan"), revising.plan(book, TWO, "2026-02-01", None, "alice"))
    compared = what_if.compare(book, Candidate(ONE, {}), Candidate(TWO, {}), None, None)
    write_comparison(ReportFolder(tmp_path / "comparison"), compared)
    write_plan(ReportFolder(tmp_path / "empty"), revising.dry_run(book, TWO, "2019-01-01", "2019-02-01", "alice"))
    for name in ("plan", "comparison", "empty"):
        html = written(tmp_path / name)[2]
        page = Page(html)
        assert not {"script", "img", "link", "iframe", "object", "a", "base", "form"} & page.tags
        assert not {name for name in page.attributes if name.startswith("on")} | ({"href", "src"} & page.attributes)
        assert not re.search(r"https?:|//[a-z]|url\(|@import", html)
        assert "default-src 'none'" in html
    assert "No booked credit is in scope" in Page(written(tmp_path / "empty")[2]).text


def test_names_and_titles_are_shown_as_text_whatever_they_hold(book: Book, tmp_path: Path) -> None:
    wicked = draft(
        book,
        title={"en": WICKED, "zh": "</title><b onload='x'>坏"},
        sources=[{"title": '"><svg/onload=alert(1)>', "page": WICKED, "document_sm3": None, "grade": "C"}],
    )
    planned = revising.dry_run(book, wicked, None, None, f"=1+1 {WICKED}")
    write_plan(ReportFolder(tmp_path / "plan"), planned)
    write_comparison(
        ReportFolder(tmp_path / "comparison"),
        what_if.compare(book, Candidate(wicked, {}), Candidate(TWO, {}), None, None),
    )
    for name in ("plan", "comparison"):
        page = Page(written(tmp_path / name)[2])
        assert "script" not in page.tags
        assert "b" not in page.tags
        assert "onload" not in page.attributes
        assert WICKED in page.text
    rows = written(tmp_path / "plan")[1]
    (actor,) = (row["value"] for row in rows if row["metric"] == "planned_by")
    assert actor == f"'=1+1 {WICKED}"


def test_a_report_is_never_overwritten_and_a_useless_folder_is_refused_beforehand(book: Book, tmp_path: Path) -> None:
    planned = revising.dry_run(book, TWO, None, None, "alice")
    files = write_plan(ReportFolder(tmp_path / "a" / "b"), planned)
    assert [Path(each).name for each in files] == ["report.json", "report.csv", "report.html"]
    with pytest.raises(Rejected) as refused:
        ReportFolder(tmp_path / "a" / "b")
    assert refused.value.code == "report_exists"
    with pytest.raises(Unavailable) as useless:
        ReportFolder(Path(files[0]))
    assert useless.value.code == "report_folder_unusable"


def test_a_comparison_in_csv_keeps_its_three_sides_apart(book: Book, tmp_path: Path) -> None:
    compared = what_if.compare(book, Candidate(ONE, {}), Candidate(TWO, {}), None, None)
    write_comparison(ReportFolder(tmp_path / "report"), compared)
    raw, rows, _ = written(tmp_path / "report")
    assert raw == canonical(compared)
    delta = {row["section"]: int(row["value"]) for row in rows if row["metric"] == "delta_mg" and row["key"] == ""}
    assert delta["difference.total"] == delta["second.total"] - delta["first.total"]
    assert all(None not in row.values() and len(row) == 4 for row in rows)


# -- figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mg", "told"),
    [
        (0, "0 g"),
        (999, "999 mg"),
        (-1_000, "−1.000 g"),
        (105_028, "105.0 g"),
        (15_672_079_172, "15.67 t"),
        (1_234_567_891_234_567, "1,234,568 t"),
        (999_995_000, "1,000.0 kg"),
    ],
)
def test_a_rounded_mass_has_four_digits_in_the_unit_that_suits_it(mg: int, told: str) -> None:
    assert about(mg) == told


def test_shares_days_and_bins_are_told_as_people_read_them() -> None:
    assert (percent(1, 8), percent(-1, 3), percent(5, 0)) == ("+12.5 %", "−33.3 %", "")
    assert exact(-1234, signed=True) == "−1,234 mg"
    assert days("2022-01-01", "2023-01-01") == "2022-01-01 to 2022-12-31"
    assert [days(None, "2023-01-01"), days("2022-01-01", None), days(None, None)] == [
        "all days up to 2022-12-31",
        "all days from 2022-01-01 on",
        "all days",
    ]
    assert [bin_text(0, 0), bin_text(1, 4_999), bin_text(500_000, 999_999), bin_text(-199_999, -100_000)] == [
        "no change",
        "0 to +5 g",
        "+0.5 to +1 kg",
        "−200 to −100 g",
    ]


# -- markup and charts -------------------------------------------------------------------------------------------


def test_attributes_and_the_page_title_are_escaped_like_every_other_text() -> None:
    made = element("p", element("b", "kept"), "<i>", title="\"><script>alert(1)</script>'")
    assert made == '<p title="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#x27;"><b>kept</b>&lt;i&gt;</p>'
    assert "script" not in Page(page(f"</title>{WICKED}", made)).tags


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    lying = mass_rows([("one", 250, ""), ("three", 750, ""), ("less", -500, ""), ("none", 0, "")], "masses")
    lengths = [int(width) for width in re.findall(r'<rect[^>]* width="(\d+)"', lying)]
    assert lengths[3] == 0
    assert [abs(3 * lengths[0] - lengths[1]) <= 3, abs(2 * lengths[0] - lengths[2]) <= 3] == [True, True]
    assert re.findall(r'class="(more|less)"', lying) == ["more", "more", "less", "more"]
    upright = mass_columns(["2026-01", "2026-02"], [Series("", [10**9, -(10**9) // 2])], "months")
    tall = [int(height) for height in re.findall(r'<rect[^>]* height="(\d+)"', upright)]
    assert abs(tall[0] - 2 * tall[1]) <= 2
    assert [label for label in ("1 t", "0 t", "−0.5 t", "2026-02") if f">{label}<" not in upright] == []


@pytest.mark.parametrize("values", [[0], [], [1], [-1], [10**30, -7], [3, 3, 3], [-5, -9]])
def test_an_axis_holds_zero_and_every_value_in_a_few_round_steps(values: list[int]) -> None:
    axis = axis_for(values)
    assert all(axis.low <= value <= axis.high for value in (0, *values))
    assert {0, axis.low, axis.high} <= set(axis.ticks())
    assert 2 <= len(axis.ticks()) <= 8
    assert str(axis.step).rstrip("0") in ("1", "2", "5")
