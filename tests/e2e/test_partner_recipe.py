"""The recipe for `curl` and `openssl` is run as it stands in its document, against a service that runs as a process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from carbon_ledger_sdk import Behavior
from interfaces.bootstrap import open_ledger
from tests.e2e.cli_tools import HEADER, CommandLine
from tests.e2e.conftest import command_line
from tests.e2e.sdk_tools import origin_of, real_behaviors
from tests.e2e.test_cli_process import book_environment
from tests.e2e.test_http_process import started
from tests.fixtures.ledgers import Server, fresh_book
from tests.fixtures.people import open_accounts
from tests.fixtures.real_data import needs_real_data

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "partner-recipe.md").read_text("utf-8")
RECIPE = "".join(re.findall(r"(?ms)^```sh\n(.*?)^```", DOCUMENT))
ROWS = None if os.environ.get("CARBON_LEDGER_LONG") == "1" else 300


@pytest.fixture
def town(cli: CommandLine) -> CommandLine:
    cli("account", "open", "ann")
    cli.consent("ann")
    cli("dev-credentials", "create")
    return cli


def run(cli: CommandLine, address: str, *more: str, recipe: str = RECIPE) -> subprocess.CompletedProcess[str]:
    """The recipe in a folder of its own, and what follows it."""
    environment = book_environment(cli.settings) | {"LEDGER": address, "ORIGIN": origin_of(cli)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    script = "\n".join(("set -eu", recipe, *more))
    return subprocess.run(["sh", "-c", script], cwd=cli.folder, env=environment, capture_output=True, text=True,
                          timeout=600, check=False)  # fmt: skip


LIES = (
    "sed -i 's/889200/889201/' answer.json",
    """sed -i 's/"leaf":"./"leaf":"x/' answer.json""",
    """sed -i 's/"line":1/"line":2/' answer.json""",
    "printf x >> request.bin",
    "cp partner.pub receipt.pub",
)


def test_the_recipe_as_it_stands_credits_a_ride_and_believes_only_what_was_signed(town: CommandLine) -> None:
    told = "then echo BELIEVED; else echo CAUGHT; fi"
    lies = [f"{lie}\nif verify; {told}\ncp honest/* ." for lie in ("true", *LIES)]
    # A service that another log vouches for.
    forged = f"cp partner.pub log.pem\nif learn; {told}"
    again = ("send ride.json", "verify", "cat outcomes.txt")
    with started(town) as service:
        kept = ("mkdir honest", "cp answer.json request.bin receipt.pub honest")
        ran = run(town, service.address, *again, *kept, *lies, forged)
    assert ran.returncode == 0, ran
    first, second = re.findall(r"(?m)^(?:credited|duplicate) .*$", ran.stdout)
    assert re.fullmatch(r"credited [0-9]+ 889200", first)
    assert second == first.replace("credited", "duplicate")
    assert re.findall("BELIEVED|CAUGHT", ran.stdout) == ["BELIEVED", *["CAUGHT"] * (len(LIES) + 1)]
    assert town("account", "explain", "ann", "ride-77", "--partner", "metro-co")["credited_mg"] == "889200"
    assert town("check")["ok"]


def batches(rides: Sequence[Behavior], folder: Path, size: int) -> list[str]:
    names = []
    for start in range(0, len(rides), size):
        names.append(f"batch-{start}.json")
        items = [ride._asdict() for ride in rides[start : start + size]]
        (folder / names[-1]).write_text(json.dumps({"items": items}), "utf-8")
    return names


@needs_real_data
def test_real_rows_sent_by_the_recipe_end_as_the_import_of_a_file_of_them(
    server: Server, book_template: str, tmp_path: Path
) -> None:
    rides = real_behaviors(ROWS, ("metro",))
    people = sorted({"ann", *(ride.account_ref for ride in rides)})
    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path) as cli:
        with open_ledger(settings) as ledger:
            open_accounts(ledger.book, people)
        cli.credit("ride-77,ann,travel.metro,2026-03-01T08:15:00+08:00,12.350,km,CN-440300", options=("--partner", "metro-co"))  # fmt: skip # noqa: E501
        file = cli.file(*map(",".join, rides), name="real.csv", header=HEADER)
        imported = cli("behaviors", "import", file, "--partner", "metro-co")
        by_file = cli("totals", "--by-ref")
    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path) as cli:
        with open_ledger(settings) as ledger:
            open_accounts(ledger.book, people)
        cli("dev-credentials", "create")
        names = batches(rides, tmp_path, 2_000 if ROWS is None else 100)
        sending = [f"send {name}\nverify\ncat outcomes.txt >> all.txt" for name in names]
        with started(cli) as service:
            ran = run(cli, service.address, *sending)
        assert ran.returncode == 0, ran
        by_recipe = cli("totals", "--by-ref")
    assert [by_recipe[key] for key in ("digest", "credits", "credited_mg")] == [
        by_file[key] for key in ("digest", "credits", "credited_mg")
    ]
    became = [line.split()[0] for line in (tmp_path / "all.txt").read_text("utf-8").splitlines()]
    counts = [became.count(kind) for kind in ("credited", "duplicate", "refused")]
    assert counts == [imported[key] for key in ("credited", "duplicates", "rejected")]
    assert imported["credited"] > 150
