"""The demo, run once as a newcomer runs it: in a fresh folder, with the embedded PostgreSQL, whatever is configured."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from application import queries
from domain.digest import sm3_hex
from domain.errors import Rejected
from domain.instants import instant_of
from interfaces.bootstrap import Ledger, Settings, open_ledger
from interfaces.cli.main import main
from interfaces.demo import chapters, run_demo, story, town
from interfaces.demo.screen import Screen, kg, ledger_command
from interfaces.demo.stage import Stage
from tests.contract.embedded_postgres_tools import temporary_home

FILES_SM3 = "df2b153067fb5779ee7b7cd1684df4747ead2d8f5e940076116ddb9edfe58f61"
"""SM3 over all generated behavior files, one after the other. Changes only when the town is meant to change."""

BALANCES_SM3 = "d4b84bd1a98a0c40ce7fc3ee5f97fdf74b3f189dc91f4b09bdf5602226b08451"
"""`totals --by-ref` of the finished demo. Changes only when the town, the story or the calculation law does."""

ANSWERS = {
    "2022-06-30T00:00:00+08:00": 1_162_000,
    "2023-03-31T00:00:00+08:00": 1_140_600,
    "2024-12-31T00:00:00+08:00": 1_073_200,
}

# One process makes the demo's home for all tests of this file.
pytestmark = pytest.mark.xdist_group("demo")

SECONDS = 180
"""The demo takes some 15 s on a small busy machine; this is for a slow one that runs other tests at the same time."""


@dataclass
class Told:
    """A finished demo: its home, its answer, and what was on the screen."""

    home: Path
    answer: dict[str, Any]
    text: str


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    screen = io.StringIO()
    with temporary_home("a town's ledger") as home, pytest.MonkeyPatch.context() as environment:
        # Somebody else's server: the demo must neither need it nor find it.
        environment.setenv("CARBON_LEDGER_DSN", "host=nowhere.invalid dbname=bank")
        answer = run_demo(home, console=Console(file=screen, width=200))
        environment.undo()
        yield Told(home, answer, screen.getvalue())


@pytest.fixture(scope="module")
def files() -> list[town.MonthFile]:
    """What the partner sends, generated apart from the demo's own run."""
    return town.month_files()


@pytest.fixture(scope="module")
def book(told: Told) -> Iterator[Ledger]:
    """The demo's book, opened again."""
    with open_ledger(Settings(home=told.home, dsn=None)) as ledger:
        yield ledger


def test_the_demo_ends_well_and_every_figure_it_states_is_the_ledgers(told: Told) -> None:
    assert [check for check in told.answer["checks"] if not check["ok"]] == []
    assert told.answer["ok"] is True
    assert len(told.answer["checks"]) > 30
    assert told.answer["people"] == told.answer["accounts"] == 300
    assert told.answer["seconds"] < SECONDS


def test_two_kwh_saved_in_2022_have_three_lawful_answers_for_ever(told: Told, book: Ledger) -> None:
    found = {}
    for known_at in ANSWERS:
        known = queries.known_at(book.book, instant_us=instant_of(known_at))
        assert not known.provisional
        found[known_at] = queries.show_account(book.book, "demo-linlin", known).credited_mg
    assert found == ANSWERS
    said = {answer["known_at"]: int(answer["credited_mg"]) for answer in told.answer["answers"]}
    assert {known_at: said[known_at] for known_at in ANSWERS} == ANSWERS
    for figure in ("1.2202", "1.1620", "1.1406", "1.0732"):
        assert figure in told.text


def test_the_demo_replays_to_its_own_digest_without_a_mismatch(told: Told, book: Ledger) -> None:
    totals = queries.totals(book.book, book.views, at=told.answer["position"])
    assert told.answer["mismatches"] == 0
    assert told.answer["revisions"] == 3
    assert told.answer["views_equal"] is True
    assert told.answer["digest"] == totals.digest
    assert told.answer["credited_mg"] == str(totals.credited_mg)
    assert told.answer["credits"] == told.answer["credited"] == totals.credits


def test_every_revision_of_the_demo_did_what_its_plan_said(told: Told) -> None:
    runs = told.answer["runs"]
    assert [run["methodology"][-2:] for run in runs] == ["@2", "@3", "@4"]
    for run in runs:
        assert int(run["before_mg"]) + int(run["delta_mg"]) == int(run["after_mg"])
        assert int(run["delta_mg"]) < 0
        assert 0 < run["changed_accounts"] <= run["accounts"] < 300
    assert int(runs[1]["after_mg"]) == int(runs[2]["before_mg"])


def test_every_generated_row_is_credited_or_known_or_refused_with_a_code(
    told: Told, files: list[town.MonthFile]
) -> None:
    answer = told.answer
    rows = sum(len(file.rows) for file in files) + 1
    assert answer["read"] == rows == answer["credited"] + answer["duplicates"] + answer["rejected"]
    assert answer["duplicates"] > 0
    assert sum(answer["rejected_by_code"].values()) == answer["rejected"]
    assert set(answer["rejected_by_code"]) == {
        "conflicting_duplicate", "malformed", "no_consent", "occurred_in_future", "quantity_not_positive",
        "quantity_out_of_range", "quantity_too_precise", "timestamp_without_offset", "unit_mismatch",
        "unknown_behavior",
    }  # fmt: skip


def test_the_generated_town_is_the_same_bytes_on_every_machine(told: Told, files: list[town.MonthFile]) -> None:
    everything = b"".join(town.csv_bytes(file.rows) for file in files)
    assert sm3_hex(everything) == FILES_SM3
    sent = b"".join((told.home / "town" / f"{file.month}.csv").read_bytes() for file in files)
    assert sent == everything


def test_every_demo_ends_with_the_same_balances_by_reference(told: Told) -> None:
    assert told.answer["digest_by_ref"] == BALANCES_SM3


def test_nobody_could_take_the_generated_people_or_the_told_time_for_real(
    told: Told, book: Ledger, files: list[town.MonthFile]
) -> None:
    genesis = book.book.rulebook().genesis
    assert genesis is not None
    assert genesis.clock == "simulated"
    beginning = " ".join(told.text.split("1. A town")[0].split())
    assert "generated from the seed" in beginning
    assert "The clock is simulated" in beginning
    assert {row.account_ref[:5] for file in files for row in file.rows} == {"demo-"}


def test_the_commands_that_the_demo_prints_work_as_printed(
    told: Told, book: Ledger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARBON_LEDGER_DSN", raising=False)
    printed = " ".join(told.text.replace("\\\n", "").split())
    answers = {}
    for command in told.answer["try_next"]:
        assert " ".join(command.split()) in printed
        *ahead, home = shlex.split(command)[:6]
        assert (ahead[:3], ahead[4:], home) == (["env", "-u", "CARBON_LEDGER_DSN"], ["--home"], str(told.home))
        assert Path(ahead[3]).name == "carbon-ledger"
        arguments = shlex.split(command)[4:]
        assert main([*arguments, "--json"]) == 0
        answers[shlex.join(arguments[2:])] = json.loads(capsys.readouterr().out)
    for known_at, mg in ANSWERS.items():
        assert answers[f"account show demo-linlin --known-at {known_at}"]["credited_mg"] == str(mg)
    again = next(answer for words, answer in answers.items() if words.startswith("behaviors import"))
    assert (again["credited"], again["duplicates"] > 2_000) == (0, True)
    assert answers["replay"]["mismatches"] == 0
    assert answers["totals"]["digest"] == answers["replay"]["digest"] == told.answer["digest"]


def test_a_printed_command_survives_the_shell_although_the_folder_has_a_space(told: Told, book: Ledger) -> None:
    command = told.answer["try_next"][0]
    done = subprocess.run(["sh", "-c", f"{command} --json"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["credited_mg"] == "1162000"


def test_the_story_reads_well_in_eighty_columns_without_colors(told: Told) -> None:
    assert "\x1b" not in told.text
    story_lines = [line for line in told.text.splitlines() if str(told.home.parent) not in line]
    assert [line for line in story_lines if len(line) > 80] == []
    assert told.text.replace("─", "-").isascii()


def test_a_terminal_without_unicode_gets_the_tables_as_well(tmp_path: Path) -> None:
    raw = io.BytesIO()
    screen = Screen(Console(file=io.TextIOWrapper(raw, encoding="ascii", write_through=True), width=80), tmp_path)
    screen.chapter("A table")
    screen.table(("month", "kg"), [("2022-01", kg(1_162_000))])
    assert "1.162000" in raw.getvalue().decode("ascii")


def test_a_narrow_screen_breaks_a_figure_but_never_shortens_it(tmp_path: Path) -> None:
    text = io.StringIO()
    screen = Screen(Console(file=text, width=12), tmp_path)
    screen.table(("kg",), [("123456789012.345678",)], left=0)
    screen.facts([("kg", "987654321098.765432")])
    together = "".join(text.getvalue().split())
    assert "123456789012.345678" in together
    assert "987654321098.765432" in together


@pytest.mark.parametrize(
    ("mg", "places", "shown"),
    [
        (1_162_000, 4, "1.1620"),
        (1_162_000, 6, "1.162000"),
        (4_722_080, 4, "4.72208"),
        (-58_200, 6, "-0.058200"),
        (0, 4, "0.0000"),
        ("4606071970", 6, "4,606.071970"),
        (1, 4, "0.000001"),
    ],
)
def test_masses_are_shown_exactly_whatever_the_places(mg: int | str, places: int, shown: str) -> None:
    assert kg(mg, places) == shown


def test_a_figure_that_differs_from_the_story_fails_the_demo(
    told: Told, book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = io.StringIO()
    stage = Stage(book, Screen(Console(file=text, width=80), told.home), told.home / "town")
    wrong = chapters.Answer("2022-06-30T00:00:00+08:00", 1_162_001)
    monkeypatch.setattr(chapters, "ANSWERS", (wrong,))
    answers = story._what_changed(stage)
    assert story._conclude(stage, told.home, {}, answers, [], 1)["ok"] is False
    assert "expected 1162001, found 1162000" in " ".join(text.getvalue().split())


def test_a_second_demo_in_the_same_home_is_refused_with_a_way_out(told: Told) -> None:
    size = (told.home / "town" / "2021-11.csv").stat()
    with pytest.raises(Rejected) as refused:
        run_demo(told.home, console=Console(file=io.StringIO()))
    assert refused.value.code == "demo_home_in_use"
    assert ledger_command(told.home, "totals") in refused.value.remedy
    assert ledger_command(told.home.with_name("a town's ledger-2"), "demo") in refused.value.remedy
    assert (told.home / "town" / "2021-11.csv").stat() == size


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for home in (tmp_path, tmp_path / "note.txt", Path()):
        with pytest.raises(Rejected, match="demo_home_in_use"):
            run_demo(home, console=Console(file=io.StringIO()))
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
