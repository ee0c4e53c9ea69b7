"""Factor releases: sourced rows, numbered, immutable, known but not applied."""

from __future__ import annotations

from typing import Any

import pytest

from domain import factors
from domain.errors import Rejected
from domain.values import Scaled
from tests.unit.domain.documents import factor_row, power, release
from tests.unit.domain.refusals import refusal
from tests.unit.domain.worlds import World


def test_loading_a_release_makes_it_known_and_applies_nothing() -> None:
    world = World()
    world.load(release(1, factor_row("0.5366"), factor_row("0.4403", "CN-44")))
    loaded = world.rulebook.releases["CN-ELEC-AVG", 1]
    assert [(row.region, row.value, row.data_year) for row in loaded.rows] == [
        ("*", "0.5366", 2022),
        ("CN-44", "0.4403", 2022),
    ]
    assert loaded.by == "fred"
    assert world.rulebook.decisions("living.power_saving") == []


def test_a_release_never_changes_and_its_correction_is_the_next_one() -> None:
    world = World()
    world.load(release(1, factor_row("0.5366")))
    assert refusal(world.load, release(1, factor_row("0.5366"))) == ("release_exists", "release")
    world.load(release(2, factor_row("0.5306")))
    world.load(release(1, factor_row("0.1"), name="OTHER"))
    digests = {loaded.digest for loaded in world.rulebook.releases.values()}
    assert len(digests) == 3
    # Releases of one set share a stream, so that two people cannot load the same number at once.
    assert [entry.recorded.version for entry in world.log[1:]] == [1, 2, 1]


def test_the_decision_names_the_release_whose_rows_are_used() -> None:
    world = World()
    name = world.publish(power(1))
    world.load(release(1, factor_row("0.5366"), factor_row("0.4403", "CN-44")))
    world.load(release(2, factor_row("0.5306")))
    world.decide(name, None, "2026-01-01", releases={"CN-ELEC-AVG": 1})
    world.decide(name, "2026-01-01", releases={"CN-ELEC-AVG": 2})
    one, two = world.rulebook.decisions("living.power_saving")
    method = world.rulebook.methodologies[name].method
    rows = world.rulebook.factors_for(method, {"CN-ELEC-AVG": 1})["CN-ELEC-AVG"]
    assert [(row.region, row.value) for row in rows] == [("*", Scaled(5366, 4)), ("CN-44", Scaled(4403, 4))]
    assert one.valuer.compute(["CN-44"], [1], [1000]) == [440_300]
    assert two.valuer.compute(["CN-44"], [1], [1000]) == [530_600]


def without(key: str) -> dict[str, Any]:
    row = factor_row("0.5366")
    del row[key]
    return row


MALFORMED: list[tuple[object, str]] = [
    ([], ""),
    ({"factor_set": "X", "release": 1}, ""),
    (release(1, factor_row("1")) | {"extra": 1}, ""),
    (release(1, factor_row("1"), name="cn elec"), "factor_set"),
    (release(1, factor_row("1"), name=""), "factor_set"),
    (release(0, factor_row("1")), "release"),
    (release(1), "release"),
    ({"factor_set": "X", "release": "1", "rows": []}, "release"),
    (release(1, factor_row("1") | {"note": "x"}), "rows[0]"),
    *((release(1, without(key)), "rows[0]") for key in factor_row("1")),
    (release(1, factor_row("1"), factor_row("1", "CN", data_year="2022")), "rows[1].data_year"),
    *((release(1, factor_row(value)), "rows[0].value") for value in ("", "0.5.1", "1e3", ".5", "5.", "+1", "０.５")),
    *((release(1, factor_row("1", region)), "rows[0].region") for region in ("", "CN--44", "中国", "CN ")),
    (release(1, factor_row("1"), factor_row("2")), "rows[1].region"),
    *(
        (release(1, factor_row("1", **{key: text})), f"rows[0].{key}")
        for key in ("statistic", "unit", "source", "page", "grade")
        for text in ("", "  ", "a\x00b", "\ud800")
    ),
    (release(1, factor_row("1", document_sm3="abc")), "rows[0].document_sm3"),
]


@pytest.mark.parametrize(("document", "field"), MALFORMED)
def test_a_release_with_a_malformed_row_is_refused_where_it_is_wrong(document: object, field: str) -> None:
    world = World()
    with pytest.raises(Rejected) as refused:
        factors.load(world.rulebook, document, "fred")
    assert (refused.value.code, refused.value.field) == ("factors_malformed", field)


def test_a_source_without_page_or_digest_may_say_so() -> None:
    world = World()
    world.load(release(1, factor_row("-0.5", page=None, document_sm3=None)))
    world.load(release(2, factor_row("0.5", document_sm3="0" * 64)))


def test_a_nameless_actor_loads_nothing() -> None:
    code = refusal(factors.load, World().rulebook, release(1, factor_row("1")), "")
    assert code == ("actor_malformed", "by")
