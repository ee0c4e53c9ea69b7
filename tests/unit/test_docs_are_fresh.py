"""The documents say what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from domain.behavior import Behavior, columns_of, parse_behavior
from domain.events.account import RevisedLine
from domain.events.base import Event, Personal
from domain.events.registry import EVENTS
from domain.events.rulebook import FactorRow
from domain.factors import load
from domain.kernel.method_file import method_from_document
from domain.rulebook import Rulebook
from domain.screening import REFUSALS
from domain.values import region_chain
from infrastructure.postgres import views
from infrastructure.rejects_file import REJECT_COLUMNS
from interfaces import docs
from tests.e2e.cli_tools import COMMANDS

FORMATS = (docs.DOCS / "formats.md").read_text("utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", FORMATS)


def test_the_generated_documents_are_fresh() -> None:
    assert docs.stale(docs.DOCS) == []


def test_a_stale_or_missing_document_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, page in docs.PAGES.items():
        (tmp_path / name).write_text(page(), "utf-8")
    assert docs.stale(tmp_path) == []
    (tmp_path / "cli.md").write_text("old")
    assert docs.stale(tmp_path) == ["cli.md"]
    (tmp_path / "events.md").unlink()
    assert docs.stale(tmp_path) == ["events.md", "cli.md"]


def test_the_check_exits_with_one_and_names_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    assert docs.main(["--check"]) == 1
    assert "docs/events.md is stale" in capsys.readouterr().err
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    assert docs.main(["--nonsense"]) == 2


def test_every_event_with_every_field_is_documented() -> None:
    page = docs.events_page()
    for event in EVENTS:
        assert f"`{event.TOPIC}`" in page


@pytest.mark.parametrize("cls", [*EVENTS, *(e.PERSONAL for e in EVENTS if e.PERSONAL), RevisedLine, FactorRow])
def test_every_field_of_an_event_has_a_meaning(cls: type[Event] | type[Personal] | type[msgspec.Struct]) -> None:
    assert [name for name, meaning in docs.meanings(cls).items() if not meaning] == []


def test_the_events_that_views_show_are_those_that_the_projector_reads() -> None:
    assert {event.TOPIC for event in docs.SHOWN_BY_VIEWS} == set(views._TOPICS)


def test_every_command_is_documented_with_its_example() -> None:
    page = docs.cli_page()
    for command in COMMANDS:
        assert f"\n## {command}\n" in page
        part = page.split(f"\n## {command}\n")[1].split("\n## ")[0]
        assert f"carbon-ledger {command}" in part
        assert "Example: `carbon-ledger" in part


def test_every_code_of_a_refused_row_is_in_the_formats_in_the_order_of_the_checks() -> None:
    table = FORMATS.split("### Why a row is refused")[1].split("##")[0]
    assert re.findall(r"(?m)^\| `([a-z_]+)` \|", table) == ["malformed", *REFUSALS]


def test_the_examples_of_behavior_files_are_well_formed() -> None:
    header, *rows = examples("csv")[0].splitlines()
    parsed = [parse_behavior(line, *row.split(",")) for line, row in enumerate(rows, start=2)]
    assert all(isinstance(each, Behavior) for each in parsed)
    objects = [json.loads(line) for line in examples("jsonl")[0].splitlines()]
    assert [tuple(each.values()) for each in objects] == [tuple(row.split(",")) for row in rows]
    assert [list(each) for each in objects] == [header.split(",")] * len(rows)
    assert columns_of(parsed[1])[0] == "trip-78"  # type: ignore[arg-type]  # checked above


def test_the_example_of_a_rejects_file_has_its_columns() -> None:
    assert examples("csv")[1].splitlines()[0] == ",".join(REJECT_COLUMNS)


def test_the_examples_of_methodology_and_factor_files_are_accepted() -> None:
    methodology, with_factor_set, release, _ = map(json.loads, examples("json"))
    method = method_from_document(methodology)
    assert (method.code, method.version) == ("TRAVEL-METRO", 2)
    assert load(Rulebook(), release, "ann").version == 1
    used = {parameter.factor_set for parameter in method_from_document(with_factor_set).parameters}
    assert used == {release["factor_set"]}


def test_regions_of_the_examples_are_levels_of_a_region_code() -> None:
    for document in map(json.loads, examples("json")[:3]):
        rows = document.get("rows") or [r for p in document["parameters"].values() for r in p.get("rows", ())]
        assert {row["region"] for row in rows} <= set(region_chain("CN-440300"))
