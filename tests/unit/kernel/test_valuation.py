"""Valuation by hand-checked cases: known answers, regions, dates, what is missing, what is explained."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import pytest

from domain.errors import Rejected
from domain.kernel.method import ParameterRow
from domain.kernel.method_file import method_from_document
from domain.kernel.valuation import RULE, Explanation, Valuer
from domain.values import AFTER_LAST_DAY, FIRST_DAY, Period, Scaled
from tests.unit.kernel.documents import metro, open_row

DAY = date(2022, 5, 1).toordinal()
ALWAYS = Period(FIRST_DAY, AFTER_LAST_DAY)


def valuer(**changes: Any) -> Valuer:
    return Valuer(method_from_document(metro(**changes)))


def single(rows: list[dict[str, Any]], **changes: Any) -> Valuer:
    """quantity x one parameter."""
    return valuer(parameters={"a": {"unit": "g/km", "rows": rows}}, formula="quantity * a", **changes)


def row(region: str, start: str | None, end: str | None, value: str) -> dict[str, Any]:
    return {"region": region, "from": start, "to": end, "value": value}


def test_a_metro_ride_of_12_350_km_saves_889_200_mg() -> None:
    assert valuer().compute(["CN-440300"], [DAY], [12_350]) == [889_200]


def test_two_kilowatt_hours_follow_the_real_chain_of_grid_factors() -> None:
    for factor, mg in (("0.6101", 1_220_200), ("0.5810", 1_162_000), ("0.5703", 1_140_600), ("0.5366", 1_073_200)):
        grid = {"grid": {"unit": "kg/km", "rows": [open_row(factor)]}}
        assert valuer(parameters=grid, formula="quantity * grid", result_unit="kg").compute([""], [DAY], [2_000]) == [
            mg
        ]


def test_a_column_gives_one_value_per_row_in_order() -> None:
    assert valuer().compute(["CN", "", "US-MA"], [DAY, DAY + 1, FIRST_DAY], [1, 2, 3]) == [72, 144, 216]
    assert valuer().compute([], [], []) == []


def test_a_valuer_values_alike_in_another_process_also_after_it_was_used() -> None:
    used = valuer()
    columns = (["CN", "US-MA"], [DAY, FIRST_DAY], [12_350, 3])
    computed = used.compute(*columns)
    assert pickle.loads(pickle.dumps(used)).compute(*columns) == computed == used.compute(*columns)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        valuer().compute(["CN"], [DAY, DAY], [1])


@pytest.mark.parametrize(
    ("region", "mg"),
    [
        ("CN-440300", 4),
        ("CN-440305", 3),
        ("CN-110000", 2),
        ("CN-11", 2),
        ("CN", 2),
        ("US-MA", 1),
        ("", 1),
        ("*", 1),
        ("CN-4403", 2),
    ],
)
def test_the_nearest_region_level_with_a_row_wins(region: str, mg: int) -> None:
    rows = [open_row("1"), open_row("2", "CN"), open_row("3", "CN-44"), open_row("4", "CN-440300")]
    assert single(rows).compute([region], [DAY], [1]) == [mg]


def test_a_wider_region_level_serves_the_days_that_the_nearer_one_leaves_open() -> None:
    rows = [open_row("1"), row("CN", "2022-01-01", "2022-02-01", "2")]
    days = [date(2021, 12, 31), date(2022, 1, 1), date(2022, 1, 31), date(2022, 2, 1)]
    assert single(rows).compute(["CN-11"] * 4, [day.toordinal() for day in days], [1] * 4) == [1, 2, 2, 1]


def test_adjacent_rows_change_on_the_first_day_of_the_later_one() -> None:
    rows = [
        row("*", None, "2020-02-29", "1"),
        row("*", "2020-02-29", "2020-03-01", "2"),
        row("*", "2020-03-01", None, "3"),
    ]
    days = [date(2020, 2, 28), date(2020, 2, 29), date(2020, 3, 1)]
    assert single(rows).compute(["US"] * 3, [day.toordinal() for day in days], [1] * 3) == [1, 2, 3]


def test_a_behavior_without_a_row_has_no_value_rather_than_zero() -> None:
    only_january = single([row("CN", "2022-01-01", "2022-02-01", "2")])
    inside, outside = date(2022, 1, 31).toordinal(), date(2022, 2, 1).toordinal()
    assert only_january.compute(["CN", "CN", "US", ""], [inside, outside, inside, inside], [1] * 4) == [
        2,
        None,
        None,
        None,
    ]
    assert [only_january.covers("CN-11", day) for day in (inside, outside)] == [True, False]


def test_a_whole_column_without_any_row_has_no_values() -> None:
    assert single([open_row("1", "CN")]).compute(["US", "", "US-MA"], [DAY] * 3, [1] * 3) == [None] * 3


def test_region_codes_invented_by_a_sender_do_not_fill_the_memory() -> None:
    ride = single([open_row("1"), open_row("2", "CN")])
    ride.compute([f"X{number}" for number in range(1_000)], [DAY] * 1_000, [1] * 1_000)
    ride.compute([f"CN-{number:06d}" for number in range(1_000)], [DAY] * 1_000, [1] * 1_000)
    assert len(vars(ride)["_calendars"]) == 2


def test_each_parameter_finds_its_own_row() -> None:
    both = valuer(
        parameters={
            "baseline": {"unit": "g/km", "rows": [open_row("100"), open_row("90", "CN")]},
            "project": {"unit": "g/km", "rows": [row("*", "2022-01-01", None, "30")]},
        }
    )
    before = date(2021, 12, 31).toordinal()
    assert both.compute(["CN", "US", "CN"], [DAY, DAY, before], [1, 1, 1]) == [60, 70, None]
    assert both.regions() == {"*", "CN"}
    assert both.breakpoints() == {FIRST_DAY, before + 1, AFTER_LAST_DAY}


def test_values_may_be_negative_and_are_rounded_once() -> None:
    for mode, mg in (("down", [-1, -2, 1]), ("half_even", [-2, -2, 2]), ("half_up", [-2, -3, 2])):
        assert single([open_row("-0.5")], rounding=mode).compute([""] * 3, [DAY] * 3, [3, 5, -3]) == mg


def test_a_value_beyond_63_bits_is_exact() -> None:
    huge = single([open_row("9" * 38)])
    assert huge.compute([""], [DAY], [200_000]) == [200_000 * (10**38 - 1)]


def test_a_formula_without_parameters_has_a_value_everywhere() -> None:
    inputs = {"quantity": {"unit": "g", "scale": 0, "min": "1", "max": "9"}}
    plain = valuer(inputs=inputs, parameters={}, formula="max(quantity, 0)")
    assert plain.compute(["", "CN"], [DAY, FIRST_DAY], [2, 3]) == [2_000, 3_000]


def test_both_ends_of_the_quantity_range_are_inside() -> None:
    ride = valuer()
    assert [ride.in_range(quantity) for quantity in (0, 1, 200_000, 200_001)] == [False, True, True, False]


def test_an_explanation_names_the_rows_the_exact_result_and_the_milligrams() -> None:
    ride = valuer(
        parameters={
            "baseline": {"unit": "g/km", "rows": [open_row("104.0"), open_row("99.9995", "CN")]},
            "project": {"unit": "g/km", "rows": [open_row("32")]},
        },
        rounding="half_up",
    )
    cn, project = ParameterRow("CN", ALWAYS, Scaled(999_995, 4)), ParameterRow("*", ALWAYS, Scaled(32, 0))
    assert ride.explain("CN-11", DAY, 1_001) == Explanation(
        (("baseline", cn), ("project", project)), Scaled(1_001 * 679_995, 7), 68_067
    )


def test_an_explanation_says_which_row_is_missing() -> None:
    ride = valuer(
        parameters={
            "baseline": {"unit": "g/km", "rows": [open_row("104", "CN")]},
            "project": {"unit": "g/km", "rows": [open_row("32")]},
        }
    )
    everywhere = ParameterRow("*", ALWAYS, Scaled(32, 0))
    assert ride.explain("US", DAY, 1) == Explanation((("baseline", None), ("project", everywhere)), None, None)


def test_a_parameter_may_take_its_rows_from_a_factor_release() -> None:
    document = metro(parameters={"grid": {"unit": "g/km", "factor_set": "CN-ELEC-AVG"}}, formula="quantity * grid")
    method = method_from_document(document)
    release = {"CN-ELEC-AVG": (ParameterRow("CN", ALWAYS, Scaled(5703, 1)),)}
    assert Valuer(method, release).compute(["CN-11", "US"], [DAY, DAY], [1_000, 1_000]) == [570_300, None]
    with pytest.raises(Rejected, match="factor_release_missing") as refusal:
        Valuer(method)
    assert refusal.value.field == "parameters.grid.factor_set"


def test_the_rule_version_is_pinned() -> None:
    assert RULE == "v1"
