"""The command line as a test calls it: in this process, on a book of the test's own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import typer

from interfaces.bootstrap import Settings
from interfaces.cli.main import app, main

HEADER = "source_ref,account_ref,behavior,occurred_at,quantity,unit,region"
METRO = "t1,ann,travel.metro,2026-03-01T08:15:00+08:00,12.350,km,CN-440300"


class Ran(NamedTuple):
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


class CommandLine:
    """``carbon-ledger`` on one book; the environment names it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.seen: dict[str, set[str]] = {}

    def run(self, *arguments: str) -> Ran:
        """Run a command as a person would, without ``--json``."""
        stdout, stderr = io.StringIO(), io.StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = main(arguments)
        return Ran(code, stdout.getvalue(), stderr.getvalue())

    def __call__(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a command with ``--json``; it must end with ``code`` and write exactly one object on one line."""
        ran = self.run(*arguments, "--json")
        assert ran.code == code, ran
        assert ran.stdout.endswith("\n"), ran
        assert ran.stdout.count("\n") == 1, ran
        answer: dict[str, Any] = json.loads(ran.stdout)
        if "error" not in answer:
            several = (" ".join(arguments[:count]) for count in (3, 2))
            name = next((words for words in several if words in COMMANDS), arguments[0])
            self.seen.setdefault(name, set()).update(answer)
        return answer

    def refused(self, *arguments: str, code: int = 1) -> str:
        """Run a command that is refused; returns the code of the refusal, which has a message and a remedy."""
        error = self(*arguments, code=code)["error"]
        assert set(error) == {"code", "message", "field", "remedy"}
        assert error["message"]
        assert error["remedy"]
        name: str = error["code"]
        return name

    def file(self, *rows: str, name: str = "behaviors.csv", header: str = HEADER) -> str:
        """A behavior file of these rows."""
        return self.bytes("\n".join((header, *rows, "")).encode(), name=name)

    def bytes(self, content: bytes, *, name: str = "behaviors.csv") -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def json_file(self, document: object, name: str = "document.json") -> str:
        return self.bytes(json.dumps(document).encode(), name=name)

    def credit(
        self, *rows: str, options: Sequence[str] = ("--open-accounts",), name: str = "rows.csv"
    ) -> dict[str, Any]:
        """Import rows; every one must be accounted for."""
        answer = self("behaviors", "import", self.file(*rows, name=name), *options)
        assert answer["read"] == answer["credited"] + answer["duplicates"] + answer["rejected"]
        assert answer["rejected"] == sum(answer["rejected_by_code"].values())
        return answer

    def consent(self, account: str, *options: str) -> dict[str, Any]:
        return self("consent", "grant", account, "--terms", "v1", "--evidence", "0" * 64, "--by", "branch", *options)

    def publish(self, document: dict[str, Any]) -> str:
        """Take a methodology document through its life cycle; returns CODE@V."""
        name = f"{document['code']}@{document['version']}"
        self("methodology", "import", self.json_file(document), "--by", "ann")
        for step, actor in (("review", "bob"), ("certify", "cat"), ("publish", "dan")):
            self("methodology", step, name, "--by", actor)
        return name

    def decide(self, name: str, start: str, end: str, *options: str) -> dict[str, Any]:
        """Propose and approve a forward decision; returns the approval's answer."""
        proposed = self("applicability", "propose", name, "--from", start, "--to", end, "--by", "ann", *options)
        return self("applicability", "approve", proposed["decision_id"], "--by", "bob")

    @contextmanager
    def sql(self) -> Iterator[psycopg.Connection[Any]]:
        """The database behind the ledger's back, past its triggers."""
        assert self.settings.dsn is not None
        with psycopg.connect(self.settings.dsn.get_secret_value(), autocommit=True) as conn:
            conn.execute("SET session_replication_role = replica")
            yield conn


def rejects(path: str | Path) -> list[dict[str, str]]:
    """The rows of a rejects file."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def commands() -> list[str]:
    """All commands, as ``group name``."""

    def walk(group: Any, path: tuple[str, ...]) -> Iterator[str]:
        for name, command in group.commands.items():
            yield from walk(command, (*path, name)) if hasattr(command, "commands") else [" ".join((*path, name))]

    return list(walk(typer.main.get_command(app), ()))


COMMANDS = commands()


def methodology(code: str = "TEST-CODE", behavior: str = "test.behavior", **changes: Any) -> dict[str, Any]:
    """A small valid methodology document: 10 g for each km, everywhere and always."""
    return {
        "code": code,
        "version": 1,
        "behavior": behavior,
        "title": {"en": "Test"},
        "inputs": {"quantity": {"unit": "km", "scale": 3, "min": "0.001", "max": "200"}},
        "parameters": {
            "saving": {"unit": "g/km", "rows": [{"region": "*", "from": None, "to": None, "value": "10"}]},
        },
        "formula": "quantity * saving",
        "result_unit": "g",
        "rounding": "down",
        "utc_offset": "+08:00",
        "late_window_days": 36500,
        "caps": [],
        "leakage": {"value": "0", "unit": "g", "reason": "a test"},
        "sources": [{"title": "a test", "page": None, "document_sm3": None, "grade": "C"}],
    } | changes
