"""Kill -9 of the deliverer, and of PostgreSQL under it, while behaviors are credited: no message is missing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from application import webhooks
from domain.access import GIVEN, Reader
from domain.events.account import BehaviorCredited
from domain.webhooks import BANK
from interfaces.bootstrap import Settings, initialize, open_ledger
from interfaces.bootstrap.webhooks import hooks_of
from tests.contract.embedded_postgres_tools import kill_tree, server_of, temporary_home
from tests.e2e.hook_tools import QUICK, Came, Receiver, deliverer_command, environment, receiving, take
from tests.simulation.crashing import write_behaviors
from tests.simulation.test_crashes_of_commands import PROGRAM

# Not at the same time as the other kills, which would make both slower.
pytestmark = pytest.mark.xdist_group("crashes")

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
ROUNDS = 30 if LONG else 2
ROWS, PEOPLE = 300, 12


def takes_its_time(came: Came) -> tuple[int, Mapping[str, str]]:
    """So that a kill finds messages on their way, some taken and some not."""
    time.sleep(0.01)
    return take(came)


@contextmanager
def process(settings: Settings, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    null = subprocess.DEVNULL
    made = subprocess.Popen(
        command, stdin=null, stdout=null, stderr=null, env=environment(settings, QUICK), start_new_session=True
    )
    try:
        yield made
    finally:
        if made.poll() is None:
            os.killpg(made.pid, signal.SIGKILL)
        made.wait()


def one_round(settings: Settings, file: Path, receiver: Receiver, chance: random.Random, *, server_too: bool) -> None:
    """Kill once something of this round came, at any moment after."""
    before = len(receiver.came)
    importing = [PROGRAM, "--home", str(settings.home), "behaviors", "import", str(file), "--open-accounts"]
    with process(settings, list(deliverer_command(settings.home))), process(settings, importing):
        receiver.wait(lambda r: len(r.came) > before, 60)
        time.sleep(chance.uniform(0, 0.2))
        if server_too:
            server = server_of(settings.home)
            assert server is not None
            kill_tree(server)


def test_no_message_is_missing_after_kills_of_the_deliverer_and_of_the_database(tmp_path: Path) -> None:
    chance = random.Random(5)
    with temporary_home("hooks") as home, receiving(takes_its_time) as receiver:
        settings = Settings(home=home, dsn=None)
        initialize(settings)
        with open_ledger(settings) as ledger:
            hooks, by = hooks_of(ledger), Reader("olga", GIVEN)
            webhooks.allow(hooks, receiver.origin, BANK, by, is_private=True)
            made, _ = webhooks.subscribe(hooks, BANK, webhooks.Asked(receiver.origin, ("credited",)), by)
        files = [write_behaviors(tmp_path / f"{number}.csv", number, ROWS, PEOPLE) for number in range(ROUNDS)]
        for number, file in enumerate(files):
            one_round(settings, file, receiver, chance, server_too=number % 2 == 1)
        for file in files:
            subprocess.run(
                [PROGRAM, "--home", str(home), "behaviors", "import", str(file), "--open-accounts"],
                check=False,
                capture_output=True,
                env=environment(settings, QUICK),
            )
        with process(settings, list(deliverer_command(home))), open_ledger(settings) as ledger:
            journal = ledger.book.journal
            credits = [each.position for each in journal.log(0, journal.head().size, (BehaviorCredited.TOPIC,))]
            receiver.wait(lambda r: {each.position for each in r.taken} >= set(credits), 120)
            found = hooks_of(ledger).store.subscription(made.id)
        assert {each.position for each in receiver.taken} == set(credits)
        assert all(told == sorted(told) for told in receiver.by_account().values())
        assert found is not None
        assert found.dead == 0
        assert len(credits) > ROUNDS * ROWS // 2, "what was killed was not imported in the end"
