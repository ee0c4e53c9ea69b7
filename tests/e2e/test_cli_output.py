"""How answers look: exact masses, narrow terminals, encodings."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout

import pytest
import typer

from interfaces.cli import progress
from interfaces.cli.main import app, main
from interfaces.cli.output import Answer, mass_text, masses_table, write_answer, write_json
from tests.e2e.cli_tools import COMMANDS, METRO, CommandLine


@pytest.mark.parametrize(
    ("mg", "text"),
    [
        (0, "0.000000 kg"),
        (999, "0.000999 kg"),
        (-5, "-0.000005 kg"),
        (55_800, "0.055800 kg"),
        (-999_999, "-0.999999 kg"),
        (1_162_000, "1.162000 kg"),
        (15_672_079_172, "15,672.079172 kg"),
        (-1_000_001, "-1.000001 kg"),
        (10**30, f"{10**24:,}.000000 kg"),
    ],
)
def test_a_mass_is_shown_to_the_milligram(mg: int, text: str) -> None:
    assert mass_text(mg) == text


def test_masses_of_one_table_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    write_answer(Answer({}, [masses_table({"a": 5, "b": 1_000_000})]), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "behavior     credited",
        "a         0.000005 kg",
        "b         1.000000 kg",
        "all       1.000005 kg",
    ]


def test_json_is_readable_where_the_encoding_allows_it_and_escaped_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {}
    for encoding in ("utf-8", "ascii"):
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding))
        write_json({"title": "地铁", "odd": "\udcff"})
        write_json({"title": "地铁"})
        sys.stdout.flush()
        shown[encoding] = [line.decode(encoding) for line in buffer.getvalue().splitlines()]
    assert "地铁" in shown["utf-8"][1]
    assert all(json.loads(lines[0]) == {"title": "地铁", "odd": "\udcff"} for lines in shown.values())
    assert all(json.loads(lines[1]) == {"title": "地铁"} for lines in shown.values())


def test_a_table_that_is_too_wide_for_the_terminal_becomes_blocks_of_lines(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = cli.run("applicability", "list").stdout
    monkeypatch.setenv("COLUMNS", "40")
    narrow = cli.run("applicability", "list").stdout
    assert max(map(len, narrow.splitlines())) <= 40
    for line in wide.splitlines()[1:]:
        for word in line.split():
            assert word in narrow


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_every_option_is_explained(command: str) -> None:
    found = typer.main.get_command(app)
    for name in command.split():
        found = found.commands[name]  # type: ignore[attr-defined]  # a group of commands
    text, _, example = (found.help or "").partition("Example:")
    assert len(text) > 20
    assert command in example
    for parameter in found.params:
        assert getattr(parameter, "help", None), parameter.name


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "every"), [(io.StringIO, 0), (Terminal, 10)])
def test_progress_of_an_import_is_told_with_its_rate_and_never_on_stdout(
    stream: type[io.StringIO], every: int, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", every)
    stdout, stderr = io.StringIO(), stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    rows = [METRO.replace("t1", f"t{n}").replace("ann", f"a{n}") for n in range(1500)]
    with redirect_stdout(stdout):
        code = main(["behaviors", "import", cli.file(*rows), "--open-accounts", "--json"])
    assert (code, json.loads(stdout.getvalue())["credited"]) == (0, 1500)
    assert "1,500 rows" in stderr.getvalue()
    assert "/s" in stderr.getvalue()
    assert "100%" in stderr.getvalue().replace(" ", "")


def test_a_short_command_writes_no_progress_where_a_log_is_kept(cli: CommandLine) -> None:
    cli.credit(METRO)
    assert cli.run("replay").stderr == ""
