"""docs/spec/valuation.md is what the code makes, and a program written from it alone computes and finds the same."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain import account as account_rules
from domain.behavior import decimal_text
from domain.events import account as events
from domain.events.base import Recorded
from domain.values import Scaled, day_number, integer_of
from tests.fixtures.independent_numbers import decimal, formula, integer, rounded, written
from tests.fixtures.independent_rulebook import Line, levels
from tests.fixtures.independent_valuation import Rules, judged
from tests.golden.regenerate import FOLDER
from tests.golden.test_golden_histories import read
from tests.unit.domain import valuation_vectors
from tests.unit.domain.documents import metro
from tests.unit.domain.test_spec_vectors import blocks, vectors
from tests.unit.domain.valuing import by_the_document, by_the_domain
from tests.unit.domain.worlds import World, trip

KNOWN = vectors("valuation.md")
LOG = [Line(**each | {"stream": UUID(each["stream"])}) for each in KNOWN["events"]]
SIZE = LOG[-1].position
FAULTS = {each["says"]: each for each in KNOWN["faults"]}


def test_the_document_shows_what_the_code_makes() -> None:
    assert blocks("valuation.md", "valuation") == [valuation_vectors.example()]
    assert blocks("valuation.md", "json") == [valuation_vectors.vectors() + "\n"]


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_a_reader_of_the_document_computes_every_formula_with_its_scale_and_rounds_it() -> None:
    for each in KNOWN["formulas"]:
        exact = formula(each["formula"]).value({name: decimal(value) for name, value in each["values"].items()})
        assert written(exact) == each["exact"], each
        assert {mode: str(rounded(Fraction(exact) * 1_000, mode)) for mode in each["mg"]} == each["mg"], each


def test_a_reader_of_the_document_refuses_the_formulas_that_the_domain_refuses() -> None:
    for text in (*KNOWN["refused"], "1".ljust(2_001)):
        assert not valuation_vectors.is_formula(text), text
        with pytest.raises(ValueError, match=r"."):
            formula(text)
    for text in (*KNOWN["allowed"], "1".ljust(2_000)):
        assert valuation_vectors.is_formula(text), text
        formula(text)


def test_a_reader_of_the_document_knows_the_levels_of_regions() -> None:
    for region, *found in KNOWN["levels"]:
        assert levels(region or "*") == found


def test_a_reader_of_the_document_writes_out_exact_values_as_the_workings_do() -> None:
    world = valuation_vectors.world()
    rules, seen = Rules(line for line in LOG), set[str]()
    for each in world.events():
        if isinstance(each.event, events.BehaviorCredited):
            facts, day = each.event, day_number(each.event.day)
            decision = rules.decision_for(facts.behavior, facts.region, facts.day, each.position)
            theirs = world.rulebook.lookup(facts.behavior, facts.region, each.position).on(day)
            assert decision is not None
            assert theirs is not None
            exact = theirs.valuer.explain(facts.region, day, integer_of(facts.quantity)).exact
            ours = rules.exact(decision, facts.region, facts.day, integer(facts.quantity))
            assert isinstance(exact, Scaled)
            assert ours is not None
            assert written(ours) == decimal_text(*exact)
            seen.add(written(ours).partition(".")[2])
    assert len(seen) > 3


# -- the log of the document -------------------------------------------------------------------------------------------


def planted(fault: dict[str, Any]) -> list[Line]:
    log = {line.position: line for line in LOG}
    if "change" in fault:
        line = log[fault["position"]]
        log[line.position] = line._replace(facts=line.facts | fault["change"])
    for position in fault.get("without", ()):
        del log[position]
    if "exchanged" in fault:
        first, second = (log[position] for position in fault["exchanged"])
        log[first.position] = second._replace(position=first.position, recorded_us=first.recorded_us)
        log[second.position] = first._replace(position=second.position, recorded_us=second.recorded_us)
    versions: dict[UUID, int] = {}
    for position, line in log.items():
        versions[line.stream] = versions.get(line.stream, 0) + 1
        log[position] = line._replace(version=versions[line.stream])
    return list(log.values())


def test_a_reader_of_the_document_finds_nothing_wrong_in_the_log_of_the_document() -> None:
    assert judged(LOG, SIZE).found == []
    assert {each["says"] for each in KNOWN["faults"] if not each["found"]} == set()


@pytest.mark.parametrize("says", FAULTS)
def test_a_reader_of_the_document_finds_what_was_planted_where_it_stands(says: str) -> None:
    fault = FAULTS[says]
    assert {(position, name) for position, name in fault["found"]} == set(judged(planted(fault), SIZE).found)


def test_a_reader_of_the_document_sums_up_the_balances_as_known_and_as_of_a_day() -> None:
    whole = judged(LOG, SIZE)
    for each in KNOWN["balances"]:
        stream, known, before = UUID(each["stream"]), each["known"], each["before"] or "9999-99-99"
        mg = {behavior: int(text) for behavior, text in each["mg"].items()}
        assert whole.accounts[stream].balances(known, before) == mg
        part = judged([line for line in LOG if line.position <= known], known).accounts
        assert (part[stream].balances(before=before) if stream in part else {}) == mg


# -- other logs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_reader_of_the_document_computes_the_golden_logs(path: Path) -> None:
    golden = read(path)
    found = by_the_document(golden.log, golden.recorded_us, len(golden.log))
    assert found.found == []
    assert {
        str(stream): {behavior: str(mg) for behavior, mg in account.balances().items()}
        for stream, account in found.accounts.items()
    } == golden.expected["balances"]


def test_a_reader_of_the_document_finds_what_is_recorded_of_somebody_erased_as_the_domain_does() -> None:
    world = town()
    stream = world.erase()
    credit, revised = world.all_of(events.BehaviorCredited)[0], world.plan("TRAVEL-METRO@2")
    world.approve_run(revised)
    for event in (credit, events.ErasureRequested(ground="unlawful", by="olga"), events.ConsentWithdrawn(consent=2)):
        world.append_to(stream, event)
    world.append_to(stream, events.PersonalDataErased(request=7, epoch=1, by="otto"))
    ours = set(by_the_document(world.events(), world.times(), world.size).found)
    theirs, _ = by_the_domain(world.events(), world.times(), world.size)
    assert ours == theirs
    assert {name for _, name in ours} >= {"account", "consent", "revision"}


# -- what no ledger records ------------------------------------------------------------------------------------------


def town() -> World:
    world = World()
    world.introduce(metro())
    world.publish(metro(2, "40"))
    world.credited(trip("t1"))
    return world


def not_opened(world: World) -> list[Recorded]:
    opened, granted, *_ = world.streams[world.account_id()]
    log = world.events()
    log[opened.position - 1] = opened._replace(event=granted.event)
    return log


def opened_twice(world: World) -> list[Recorded]:
    world.on_account(events.AccountOpened(kind="household"))
    return world.events()


def reopened(world: World) -> list[Recorded]:
    world.on_account(account_rules.close(world.head(), "olga", "moved"))
    world.on_account(events.AccountUnfrozen(by="olga"))
    world.on_account(world.all_of(events.BehaviorCredited)[0])
    return world.events()


def frozen_twice(world: World) -> list[Recorded]:
    for _ in range(2):
        world.on_account(events.AccountFrozen(by="olga"))
    return world.events()


def zeros_before_a_quantity(world: World) -> list[Recorded]:
    (position,) = [each.position for each in world.events() if isinstance(each.event, events.BehaviorCredited)]
    return world.altered(position, quantity="01000")


def lines_of_nothing(world: World) -> list[Recorded]:
    """A run is told of an account that has nothing in its scope, and counted."""
    world.approve_run(world.plan("TRAVEL-METRO@2", "2026-02-01"))
    world.on_account(
        events.FactorRevised(
            revision="R1",
            behavior="travel.metro",
            methodology="TRAVEL-METRO@2",
            rule="v1",
            part=1,
            last=True,
            lines=(),
        )
    )
    return world.events()


def parts_without_an_end(world: World) -> list[Recorded]:
    run = world.plan("TRAVEL-METRO@2")
    world.approve_run(run)
    world.apply_run(run)
    world.send(trip("b1", "ben"))
    (position,) = [each.position for each in world.events() if isinstance(each.event, events.FactorRevised)]
    return world.altered(position, last=False)


PLANTED = (
    not_opened,
    opened_twice,
    reopened,
    frozen_twice,
    zeros_before_a_quantity,
    lines_of_nothing,
    parts_without_an_end,
)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_no_ledger_records_is_found_by_the_domain_and_by_a_reader_of_the_document(plant: Any) -> None:
    world = town()
    log = plant(world)
    ours = set(by_the_document(log, world.times(), world.size).found)
    assert ours == by_the_domain(log, world.times(), world.size)[0] != set()
