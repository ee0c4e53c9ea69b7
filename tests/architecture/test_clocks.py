"""Time comes in at one place (infrastructure/clock.py), and no rule depends on chance: so replay can repeat them."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.project import PACKAGES, dotted, imports, modules

CLOCKS = ("infrastructure/clock.py", "interfaces/partner_sdk/src/carbon_ledger_sdk/clock.py")
"""That of the ledger, and that of the partners' SDK, which has nothing of the ledger."""

_WALL_CLOCKS = {
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.gmtime",
    "time.localtime",
}


def _wall_clock_reads(tree: ast.AST) -> list[int]:
    """Lines that take the civil time from the machine, whatever name the clock was imported under."""
    names = {"datetime": "datetime.datetime", "date": "datetime.date"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            head, _, rest = dotted(node).partition(".")
            if f"{names.get(head, head)}{'.' if rest else ''}{rest}" in _WALL_CLOCKS:
                lines.append(node.lineno)
    return lines


def test_only_the_system_clock_asks_the_machine_for_the_time() -> None:
    found = [
        (path, line) for path, tree in modules(*PACKAGES) if path not in CLOCKS for line in _wall_clock_reads(tree)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "import datetime; datetime.datetime.now()",
        "from datetime import datetime; datetime.now(tz)",
        "from datetime import date as day; day.today()",
        "import datetime as dt; dt.datetime.utcnow()",
        "import time; f(default=time.time)",
        "from time import time_ns as stamp; stamp()",
    ],
)
def test_the_search_for_clocks_sees_every_way_to_read_one(code: str) -> None:
    assert _wall_clock_reads(ast.parse(code)) == [1]


def test_a_stopwatch_is_not_taken_for_a_clock() -> None:
    assert _wall_clock_reads(ast.parse("import time; time.monotonic(); time.perf_counter(); date.fromordinal(1)")) == []


def test_no_rule_of_the_domain_depends_on_chance_or_on_a_stopwatch() -> None:
    forbidden = ("time.", "random.", "secrets.", "os.urandom", "uuid.uuid1.")
    found = [
        (path, line, name)
        for path, tree in modules("domain")
        for line, name in imports(tree)
        if f"{name}.".startswith(forbidden)
    ]
    assert found == []
