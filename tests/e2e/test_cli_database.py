"""A ledger on a bank's own server: made by the role that owns the database, run by one that may only append, read by a
third that sees no names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from interfaces.bootstrap import Settings
from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures.ledgers import Server
from tests.fixtures.roles import OWNER, READER, SERVICE, Database, new_database

BEN = METRO.replace("t1,ann", "t2,ben")
BIKE = "b1,ben,cycling.shared_bike,2026-03-01T09:15:00+08:00,3.1,km,CN-440300"


class Bank:
    """The command line, under whichever role."""

    def __init__(self, database: Database, cli: CommandLine, patch: pytest.MonkeyPatch) -> None:
        self.database, self.cli, self._patch = database, cli, patch

    @contextmanager
    def as_role(self, role: str | None) -> Iterator[CommandLine]:
        """None: the role that runs the server."""
        dsn = self.database.superuser() if role is None else self.database.dsn(role)
        with self._patch.context() as patch:
            patch.setenv("CARBON_LEDGER_DSN", dsn)
            yield self.cli


@pytest.fixture(scope="module")
def bank(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A book of the service's own, on a schema that the owner made."""
    folder = tmp_path_factory.mktemp("bank")
    database = new_database(server, "bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARBON_LEDGER_HOME", str(folder / "home"))
        patch.delenv("COLUMNS", raising=False)
        patch.chdir(folder)
        made = Bank(database, CommandLine(Settings(home=folder / "home", dsn=SecretStr("")), folder), patch)
        with made.as_role(SERVICE) as cli:
            assert cli.refused("init", code=4) == "login_refused"
        with made.as_role(OWNER) as cli:
            migrated = cli("database", "migrate")
            assert (migrated["from"], migrated["to"]) == (0, len(migrated["applied"]))
            assert cli("database", "migrate") == {**migrated, "from": migrated["to"], "applied": []}
            for role, kind in ((SERVICE, "service"), (READER, "reader")):
                assert cli("database", "grant", role, "--as", kind)["more"] == []
        with made.as_role(SERVICE) as cli:
            cli("init", "--retention-days", "0")
        yield made


def test_the_service_lives_a_whole_life_without_owning_anything(bank: Bank) -> None:
    with bank.as_role(SERVICE) as cli:
        cli.credit(METRO, BEN, BIKE)
        cli("revision", "plan", "CYCLING-SHARED@2", "--from", "2026-01-01", "--to", "2026-07-01", "--by", "alice")
        cli("revision", "approve", "R1", "--by", "bob")
        cli("revision", "apply", "R1")
        cli("behaviors", "reverse", "ben", "t2", "--reason", "refunded", "--by", "alice")
        cli("checkpoint", "sign", "--with-map")
        cli("account", "erase", "ann", "--by", "alice", "--reason", "letter")
        cli("account", "approve-erasure", "ann", "--by", "bob")
        cli("keys", "rewrap")
        cli("keys", "rotate", "--by", "alice")
        assert cli("views", "check")["equal"]
        assert cli("views", "rebuild")["equal"]
        cli("checkpoint", "rebuild")
        cli("export", "bundle", "all.zip")
        assert cli("replay")["mismatches"] == 0
        assert cli("check")["ok"]
