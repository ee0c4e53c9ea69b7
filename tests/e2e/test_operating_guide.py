"""The operator's guide against the program: every command and option in it exists, every code is one that is told."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from interfaces.bootstrap.service import ServiceSettings
from interfaces.cli.main import PROGRAM, app
from tests.e2e.cli_tools import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "OPERATING.md").read_text("utf-8")
HTTP_GUIDE = (ROOT / "docs" / "http.md").read_text("utf-8")
GROUPS = {command.split()[0] for command in COMMANDS}
CHECKED = (
    "application/checking.py",
    "application/tree_walk.py",
    "application/checkpoints.py",
    "application/evidence.py",
    "application/lookups.py",
    "infrastructure/postgres/audit_log.py",
    "infrastructure/postgres/loose_rows.py",
    "infrastructure/postgres/migrating.py",
    "infrastructure/rewrapping.py",
)


def commands_of(text: str) -> Iterator[list[str]]:
    """In blocks: lines that run the program. In sentences: what is quoted and begins with one of its commands."""
    parts = re.split(r"(?m)^```.*$", text)
    for line in "".join(parts[1::2]).splitlines():
        # In a unit of systemd the program has a path; behind a space it is told, not run.
        if (run := re.match(rf"(?:\S*/)?{PROGRAM} .*", line.removeprefix("ExecStart="))) is not None:
            yield shlex.split(run[0].split(" > ")[0], comments=True)[1:]
    for quoted in re.findall(r"`([a-z][^`\n]*)`", "".join(parts[::2])):
        words = shlex.split(quoted)
        own = words[1:] if words[0] == PROGRAM else words
        if own and own[0] in GROUPS and (words[0] == PROGRAM or " ".join(own[:2]) in COMMANDS or own[0] in COMMANDS):
            yield own


def wrong_with(words: list[str]) -> str:
    """What the command line would not understand; existence of files and values are not asked about."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        if not rest or rest[0] not in command.commands:
            return f"no command {words}"
        command = command.commands[rest.pop(0)]
    options = {name: each for each in command.params for name in each.opts if name.startswith("--")}
    values = []
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            values.append(word)
        elif word not in options:
            return f"no option {word} of {words}"
        elif not options[word].is_flag and rest:
            rest.pop(0)
    taken = [each for each in command.params if each.param_type_name == "argument"]
    return "" if len(values) <= len(taken) or any(each.nargs == -1 for each in taken) else f"too much in {words}"


def test_every_command_of_the_operators_guide_is_one_of_the_program() -> None:
    found = list(commands_of(GUIDE))
    assert len(found) > 50
    assert {" ".join(words[:2]) for words in found} >= {"database grant", "database migrate", "keys rewrap"}
    assert [wrong for words in found if (wrong := wrong_with(words))] == []


def test_every_command_and_setting_of_the_services_guide_is_there_and_none_is_left_out() -> None:
    found = list(commands_of(HTTP_GUIDE))
    assert {words[0] for words in found} >= {"serve", "dev-credentials", "init"}
    assert [wrong for words in found if (wrong := wrong_with(words))] == []
    told = set(re.findall(r"`CARBON_LEDGER_HTTP_([A-Z_]+)`", HTTP_GUIDE))
    assert told == {name.upper() for name in ServiceSettings.model_fields}


def test_every_address_of_the_services_guide_is_a_route_and_every_code_is_told() -> None:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))["paths"]
    routes = [re.sub(r"\{[a-z_]+\}", "[^/]+", path) for path in paths]
    asked = re.findall(r"localhost:8080(/[A-Za-z0-9/$_-]*)", HTTP_GUIDE)
    assert len(asked) > 6
    assert [path for path in asked if not any(re.fullmatch(route, path) for route in routes)] == []
    ways_in = [*(ROOT / "interfaces" / "http").rglob("*.py"), *(ROOT / "interfaces").glob("*.py")]
    told = {code for path in ways_in for code in literals(path)}
    told |= {code for name in ("application", "infrastructure", "domain") for path in (ROOT / name).rglob("*.py")
             for code in literals(path)}  # fmt: skip
    table = HTTP_GUIDE[HTTP_GUIDE.index("| status |") : HTTP_GUIDE.index("What is about the machine")]
    codes = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", table)) - {"errors", "field", "message", "code"}
    assert codes - told == set()


def test_a_wrong_command_in_a_guide_is_found() -> None:
    text = "`keys rewrap --now`, `carbon-ledger base show`, `views rebuild`\n```\ncarbon-ledger init a b   # no\n```\n"
    words = list(commands_of(text.replace("base show", "views show")))
    assert [bool(wrong_with(each)) for each in words] == [True, True, True, False]


def codes_of(text: str) -> set[str]:
    return {
        code for row in re.findall(r"(?m)^\| ((?:`[a-z_]+`(?:, )?)+) \|", text) for code in re.findall(r"[a-z_]+", row)
    }


def literals(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def test_every_code_that_the_guide_explains_is_one_that_is_told() -> None:
    told: set[str] = set()
    for package in ("domain", "application", "infrastructure", "interfaces"):
        for path in (ROOT / package).rglob("*.py"):
            told |= literals(path)
    explained = codes_of(GUIDE[GUIDE.index("## What to do when") :])
    assert len(explained) > 30
    assert explained - told == set()


def test_every_finding_of_check_is_explained() -> None:
    found: set[str] = set()
    for name in CHECKED:
        tree = ast.parse((ROOT / name).read_text("utf-8"))
        for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            first = call.args[0] if call.args else None
            if (
                called in ("add", "Corrupt", "_Question")
                and isinstance(first, ast.Constant)
                and "_" in str(first.value)
            ):
                found.add(str(first.value))
    assert len(found) > 8
    assert found - codes_of(GUIDE) == set()
