"""Methodology files: what is accepted, and for every refusal the code and the place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Rejected
from domain.kernel.formula import parse
from domain.kernel.interval import fits_63_bits, method_bounds
from domain.kernel.method import Cap, Method, Parameter, ParameterRow
from domain.kernel.method_file import factor_rows_from, method_from_document
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, Scaled
from tests.unit.kernel.documents import edited, metro, open_row, without

ALWAYS = Period(FIRST_DAY, AFTER_LAST_DAY)
CATALOGUE = Path(__file__).resolve().parents[3] / "infrastructure" / "catalogue"


def refusal_of(document: object) -> tuple[str, str]:
    with pytest.raises(Rejected) as refusal:
        method_from_document(document)
    assert refusal.value.remedy
    assert refusal.value.message
    return refusal.value.code, refusal.value.field


def test_the_example_of_the_format_is_read_whole() -> None:
    baseline = Parameter("baseline", "g/km", (ParameterRow("*", ALWAYS, Scaled(104, 0)),))
    project = Parameter("project", "g/km", (ParameterRow("*", ALWAYS, Scaled(32, 0)),))
    assert method_from_document(metro()) == Method(
        code="TRAVEL-METRO",
        version=1,
        behavior="travel.metro",
        title={"en": "Metro ride", "zh": "地铁出行"},
        unit="km",
        scale=3,
        minimum=1,
        maximum=200_000,
        parameters=(baseline, project),
        formula=parse("quantity * (baseline - project)"),
        formula_text="quantity * (baseline - project)",
        result_mg=1_000,
        rounding="down",
        utc_offset_minutes=480,
        late_window_days=400,
        caps=(Cap("day", "mass", 2_000_000), Cap("day", "count", 4)),
    )


def test_rows_have_half_open_dates_and_open_sides() -> None:
    rows = [
        {"region": "CN", "from": None, "to": "2020-02-29", "value": "1"},
        {"region": "CN", "from": "2020-02-29", "to": "9999-12-31", "value": "-2.50"},
        {"region": "us-ma", "from": "0001-01-01", "to": None, "value": "0"},
    ]
    leap_day = date(2020, 2, 29).toordinal()
    assert method_from_document(edited("parameters.baseline.rows", rows)).parameters[0].rows == (
        ParameterRow("CN", Period(FIRST_DAY, leap_day), Scaled(1, 0)),
        ParameterRow("CN", Period(leap_day, date.max.toordinal()), Scaled(-250, 2)),
        ParameterRow("us-ma", ALWAYS, Scaled(0, 0)),
    )


@pytest.mark.parametrize(
    ("offset", "minutes"),
    [("+08:00", 480), ("+00:00", 0), ("-05:00", -300), ("+05:45", 345), ("-03:30", -210), ("+14:00", 840)],
)
def test_the_offset_is_read_in_minutes(offset: str, minutes: int) -> None:
    assert method_from_document(metro(utc_offset=offset)).utc_offset_minutes == minutes


@pytest.mark.parametrize(("limit", "unit", "mg"), [("0.001", "g", 1), ("1.50000", "g", 1_500), ("0.000001", "kg", 1)])
def test_a_mass_limit_is_a_whole_number_of_milligrams(limit: str, unit: str, mg: int) -> None:
    caps = [{"window": "year", "kind": "mass", "limit": limit, "unit": unit}]
    assert method_from_document(metro(caps=caps)).caps == (Cap("year", "mass", mg),)


def test_quantity_limits_may_have_trailing_zeros() -> None:
    inputs = {"quantity": {"unit": "km", "scale": 1, "min": "0.10000", "max": "0.1"}}
    method = method_from_document(metro(inputs=inputs))
    assert (method.minimum, method.maximum) == (1, 1)


def test_a_parameter_may_name_a_factor_set_and_results_may_be_in_kilograms() -> None:
    document = metro(
        parameters={"grid": {"unit": "kg/km", "factor_set": "CN-ELEC-AVG"}}, formula="grid*quantity", result_unit="kg"
    )
    method = method_from_document(document)
    assert method.parameters == (Parameter("grid", "kg/km", (), "CN-ELEC-AVG"),)
    assert method.result_mg == 1_000_000


def test_leakage_may_be_a_parameter_of_the_formula() -> None:
    document = without("leakage") | {"formula": "quantity * (baseline - project) - leakage"}
    document["parameters"]["leakage"] = {"unit": "g", "rows": [open_row("5")]}
    assert method_from_document(document).parameters[2].name == "leakage"
    assert refusal_of(document | {"leakage": metro()["leakage"]}) == ("methodology_malformed", "leakage")


@pytest.mark.parametrize("document", [None, [], "{}", 5, 0.5, True, {1: 2}, {"\ud800": 1}])
def test_what_is_not_an_object_is_refused(document: object) -> None:
    assert refusal_of(document) == ("methodology_malformed", "")


@pytest.mark.parametrize("key", sorted(metro()))
def test_a_missing_key_is_named(key: str) -> None:
    assert refusal_of(without(key)) == ("methodology_malformed", key)


@pytest.mark.parametrize(
    "path", ["inputs.quantity.unit", "inputs.quantity.scale", "parameters.project.unit", "leakage.reason"]
)
def test_a_missing_inner_key_is_named(path: str) -> None:
    assert refusal_of(without(path)) == ("methodology_malformed", path)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("note", "note"),
        ("inputs.distance", "inputs.distance"),
        ("inputs.quantity.step", "inputs.quantity.step"),
        ("parameters.baseline.note", "parameters.baseline.note"),
        ("parameters.baseline.rows.0.source", "parameters.baseline.rows[0].source"),
        ("caps.1.note", "caps[1].note"),
        ("leakage.note", "leakage.note"),
        ("sources.0.url", "sources[0].url"),
    ],
)
def test_an_unknown_key_is_refused_wherever_it_is(path: str, field: str) -> None:
    assert refusal_of(edited(path, "x")) == ("methodology_malformed", field)


MALFORMED: list[tuple[str, Any, str]] = [
    ("code", "travel-metro", "code"),
    ("code", "TRAVEL@1", "code"),
    ("code", 7, "code"),
    ("code", "A" * 65, "code"),
    ("version", 0, "version"),
    ("version", True, "version"),
    ("version", "1", "version"),
    ("version", 1.0, "version"),
    ("version", 2**31, "version"),
    ("behavior", "Travel.Metro", "behavior"),
    ("behavior", "travel..metro", "behavior"),
    ("title", {}, "title"),
    ("title", {"EN": "x"}, "title.EN"),
    ("title", {"en": " "}, "title.en"),
    ("title", {"en": "a\ud800"}, "title.en"),
    ("title", {"en": "a" * 2_001}, "title.en"),
    ("inputs", {}, "inputs.quantity"),
    ("inputs.quantity.scale", 10, "inputs.quantity.scale"),
    ("inputs.quantity.scale", -1, "inputs.quantity.scale"),
    ("inputs.quantity.scale", None, "inputs.quantity.scale"),
    ("inputs.quantity.min", 1, "inputs.quantity.min"),
    ("inputs.quantity.max", "1e3", "inputs.quantity.max"),
    ("inputs.quantity.max", "9" * 39, "inputs.quantity.max"),
    ("parameters", [], "parameters"),
    ("parameters.Baseline", {"unit": "g/km", "rows": [open_row("1")]}, "parameters.Baseline"),
    ("parameters.quantity", {"unit": "g/km", "rows": [open_row("1")]}, "parameters.quantity"),
    ("parameters.min", {"unit": "g/km", "rows": [open_row("1")]}, "parameters.min"),
    ("parameters.baseline", {"unit": "g/km"}, "parameters.baseline"),
    ("parameters.baseline", {"unit": "g/km", "factor_set": "X", "rows": [open_row("1")]}, "parameters.baseline"),
    ("parameters.baseline", {"unit": "g/km", "factor_set": "x y"}, "parameters.baseline.factor_set"),
    ("parameters.baseline.rows", {}, "parameters.baseline.rows"),
    ("parameters.baseline.rows", [], "parameters.baseline.rows"),
    ("parameters.baseline.rows", [open_row("1"), 5], "parameters.baseline.rows[1]"),
    ("parameters.baseline.rows.0.value", 104, "parameters.baseline.rows[0].value"),
    ("parameters.baseline.rows.0.value", 0.5, "parameters.baseline.rows[0].value"),
    ("parameters.baseline.rows.0.value", "1e2", "parameters.baseline.rows[0].value"),
    ("parameters.baseline.rows.0.value", "", "parameters.baseline.rows[0].value"),
    ("parameters.baseline.rows.0.region", "", "parameters.baseline.rows[0].region"),
    ("parameters.baseline.rows.0.region", "CN-", "parameters.baseline.rows[0].region"),
    ("parameters.baseline.rows.0.region", "中国", "parameters.baseline.rows[0].region"),
    ("parameters.baseline.rows.0.from", "2022-1-1", "parameters.baseline.rows[0].from"),
    ("parameters.baseline.rows.0.from", "2022-02-29", "parameters.baseline.rows[0].from"),
    ("parameters.baseline.rows.0.from", "2022-W01-1", "parameters.baseline.rows[0].from"),
    ("parameters.baseline.rows.0.from", "２０２２-01-01", "parameters.baseline.rows[0].from"),
    ("parameters.baseline.rows.0.to", 20220101, "parameters.baseline.rows[0].to"),
    ("parameters.baseline.rows.0.to", "0001-01-01", "parameters.baseline.rows[0].to"),
    ("formula", 5, "formula"),
    ("formula", "", "formula"),
    ("result_unit", "t", "result_unit"),
    ("rounding", "up", "rounding"),
    ("rounding", ["down"], "rounding"),
    ("utc_offset", "+8:00", "utc_offset"),
    ("utc_offset", "+08:60", "utc_offset"),
    ("utc_offset", "-00:00", "utc_offset"),
    ("utc_offset", "+14:01", "utc_offset"),
    ("utc_offset", "Asia/Shanghai", "utc_offset"),
    ("utc_offset", "Z", "utc_offset"),
    ("utc_offset", 480, "utc_offset"),
    ("late_window_days", -1, "late_window_days"),
    ("late_window_days", 36_526, "late_window_days"),
    ("late_window_days", "400", "late_window_days"),
    ("caps", None, "caps"),
    ("caps.0.window", "week", "caps[0].window"),
    ("caps.0.kind", "points", "caps[0].kind"),
    ("caps.0.unit", "t", "caps[0].unit"),
    ("caps.0.limit", 2000, "caps[0].limit"),
    ("caps.1.limit", "4", "caps[1].limit"),
    ("caps.1.limit", 0, "caps[1].limit"),
    ("leakage.unit", "t", "leakage.unit"),
    ("leakage.reason", "", "leakage.reason"),
    ("sources", [], "sources"),
    ("sources.0.title", "", "sources[0].title"),
    ("sources.0.page", 7, "sources[0].page"),
    ("sources.0.grade", "high", "sources[0].grade"),
    ("sources.0.document_sm3", "abc", "sources[0].document_sm3"),
]


@pytest.mark.parametrize(("path", "value", "field"), MALFORMED)
def test_a_value_of_the_wrong_shape_is_refused_at_its_place(path: str, value: Any, field: str) -> None:
    assert refusal_of(edited(path, value)) == ("methodology_malformed", field)


WRONG_MEANING: list[tuple[str, Any, str, str]] = [
    ("inputs.quantity.min", "0", "quantity_range_invalid", "inputs.quantity.min"),
    ("inputs.quantity.min", "-1", "quantity_range_invalid", "inputs.quantity.min"),
    ("inputs.quantity.min", "0.0001", "quantity_range_invalid", "inputs.quantity.min"),
    ("inputs.quantity.max", "200.0001", "quantity_range_invalid", "inputs.quantity.max"),
    ("inputs.quantity.min", "200.001", "quantity_range_invalid", "inputs.quantity.max"),
    ("inputs.quantity.unit", "k m", "unit_malformed", "inputs.quantity.unit"),
    ("parameters.baseline.unit", "g per km", "unit_malformed", "parameters.baseline.unit"),
    ("parameters.baseline.unit", "kg/km", "unit_mismatch_in_formula", "formula"),
    ("result_unit", "kg", "unit_mismatch_in_formula", "formula"),
    ("formula", "quantity * (baseline - project", "formula_malformed", "formula"),
    ("formula", "quantity * (baseline - project) / 1", "formula_malformed", "formula"),
    ("formula", "quantity * (baseline - projct)", "formula_name_unknown", "formula"),
    ("formula", "quantity * baseline", "parameter_unused", "parameters.project"),
    ("formula", "baseline - project", "parameter_unused", "formula"),
    ("caps.0.limit", "0.0001", "cap_invalid", "caps[0].limit"),
    ("caps.0.limit", "0", "cap_invalid", "caps[0].limit"),
    ("caps.0.limit", "-1", "cap_invalid", "caps[0].limit"),
    ("caps.1.unit", "g", "cap_invalid", "caps[1].unit"),
    ("caps.0", {"window": "day", "kind": "mass", "limit": "1"}, "cap_invalid", "caps[0].unit"),
    ("caps.0", {"window": "day", "kind": "count", "limit": 5}, "cap_invalid", "caps[1]"),
    ("leakage.value", "0.1", "leakage_not_zero", "leakage.value"),
    ("leakage.value", 0, "leakage_not_zero", "leakage.value"),
]


@pytest.mark.parametrize(("path", "value", "code", "field"), WRONG_MEANING)
def test_a_file_that_contradicts_itself_is_refused_with_its_own_code(
    path: str, value: Any, code: str, field: str
) -> None:
    assert refusal_of(edited(path, value)) == (code, field)


def test_a_formula_error_tells_the_character() -> None:
    with pytest.raises(Rejected, match="character 22"):
        method_from_document(metro(formula="quantity * (baseline / project)"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((None, None), (None, None)),
        ((None, "2022-01-02"), ("2022-01-01", None)),
        (("2022-01-01", "2022-03-01"), ("2022-01-31", "2022-02-01")),
        (("2022-01-01", "2022-01-02"), ("2022-01-01", "2022-01-02")),
    ],
)
def test_rows_of_one_region_that_share_a_day_are_refused(
    first: tuple[str | None, str | None], second: tuple[str | None, str | None]
) -> None:
    rows = [
        {"region": "*", "from": start, "to": end, "value": "1"}
        for start, end in (first, ("1990-01-01", "1990-01-02") if first[0] else ("2090-01-01", "2090-01-02"), second)
    ]
    if first == (None, None):
        rows.pop(1)
    for order in (rows, rows[::-1]):
        code, field = refusal_of(edited("parameters.baseline.rows", order))
        assert (code, field.rpartition("[")[0]) == ("parameter_rows_overlap", "parameters.baseline.rows")
    for each, region in zip(rows, ("CN", "US", "*"), strict=False):
        each["region"] = region
    apart = method_from_document(edited("parameters.baseline.rows", rows))
    assert len(apart.parameters[0].rows) == len(rows)


@pytest.mark.parametrize("path", sorted(CATALOGUE.glob("*.json")), ids=lambda path: path.stem)
def test_every_version_of_the_shipped_catalogue_is_read_and_fits_a_machine_integer(path: Path) -> None:
    method = method_from_document(json.loads(path.read_text(encoding="utf-8")))
    assert f"{method.code}@{method.version}" == path.stem
    assert fits_63_bits(method_bounds(method))


def test_the_shipped_catalogue_is_where_these_tests_look_for_it() -> None:
    assert len(list(CATALOGUE.glob("*.json"))) >= 10


def test_a_source_may_have_no_page_and_a_document_digest() -> None:
    source = {"title": "Notice 12/2024", "page": None, "document_sm3": "0f" * 32, "grade": "A"}
    assert method_from_document(metro(sources=[source])) == method_from_document(metro())


def test_reading_does_not_change_the_document() -> None:
    document = metro()
    method_from_document(document)
    assert document == metro()


@dataclass(frozen=True)
class Factor:
    """A row of a factor release, as far as the kernel reads it."""

    region: str
    value: str
    unit: str = "kg/kWh"


def test_a_factor_release_gives_one_row_per_region_for_all_days() -> None:
    assert factor_rows_from([Factor("CN", "0.5703"), Factor("CN-44", "0.4403")], "kg/kWh") == (
        ParameterRow("CN", ALWAYS, Scaled(5703, 4)),
        ParameterRow("CN-44", ALWAYS, Scaled(4403, 4)),
    )


@pytest.mark.parametrize(
    ("rows", "code", "field"),
    [
        ([], "methodology_malformed", "rows"),
        ([Factor("CN", "1"), Factor("US", "1", "g/kWh")], "factor_unit_differs", "rows[1].unit"),
        ([Factor("CN", "1"), Factor("US", "1"), Factor("CN", "2")], "parameter_rows_overlap", "rows[2]"),
        ([Factor("CN", "1e3")], "methodology_malformed", "rows[0].value"),
        ([Factor("中国", "1")], "methodology_malformed", "rows[0].region"),
    ],
)
def test_a_factor_release_that_a_parameter_cannot_use_is_refused(rows: list[Factor], code: str, field: str) -> None:
    with pytest.raises(Rejected) as refusal:
        factor_rows_from(rows, "kg/kWh")
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert refusal.value.remedy
