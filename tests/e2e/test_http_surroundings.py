"""The service in the surroundings it may find: without keys, after a rewrap, with a database that comes and goes."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import serving
from tests.e2e.test_cli_background import cut_connections, until


def test_without_keys_everybody_is_shown_facts_alone_and_nothing_is_recorded(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    cli("checkpoint", "sign", "--with-map")
    with serving(cli.settings.model_copy(update={"without_keys": True})) as served:
        size = cli("totals")["position"]
        told = served(f"/v1/accounts/{account}", "compliance").body
        assert (told["personal"], told["account_ref"], told["credited_mg"]) == (False, None, "889200")
        entries = served(f"/v1/accounts/{account}/statement", "bank_backend").body["entries"]
        assert [each["source_ref"] for each in entries] == [None]
        sought = served("/v1/accounts/lookup", "compliance", method="POST", body={"account_ref": "ann"})
        assert (sought.status, sought.code) == (503, "keys_absent")
        assert served(f"/v1/accounts/{account}/proof", "auditor").status == 200
        assert served("/readyz").body["ready"] is True
        assert cli("totals")["position"] == size


def test_after_a_rewrap_the_service_says_that_its_keys_have_moved_and_shows_no_person(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    with serving(cli.settings) as served:
        assert served("/readyz").body["ready"] is True
        cli("keys", "rewrap")
        until(lambda: served("/readyz").status == 503)
        told = [each["told"] for each in served("/readyz").body["checks"] if not each["ok"]]
        assert told == ["keys_moved"]
        assert served(f"/v1/accounts/{account}", "auditor").status == 200
    with serving(cli.settings) as served:
        assert served("/readyz").body["ready"] is True
        assert served(f"/v1/accounts/{account}", "compliance").body["account_ref"] == "ann"


def test_a_database_that_was_lost_is_found_again_without_a_restart(cli: CommandLine) -> None:
    cli.credit(METRO)
    with serving(cli.settings) as served:
        assert served("/v1/totals", "auditor").status == 200
        for _ in range(3):
            cut_connections(cli)
            met = served("/v1/totals", "auditor")
            assert met.status == 200 or met.code in ("server_lost", "server_stopped")
            until(lambda: served("/v1/totals", "auditor").status == 200)
        assert served("/v1/methodologies", "partner").status == 200
        assert [each for each in served.logged if each["event"] == "defect"] == []


def test_a_question_that_the_database_may_not_take_so_long_for_is_ended_and_others_go_on(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    assert cli.settings.dsn is not None
    dsn = cli.settings.dsn.get_secret_value()
    bounded = SecretStr(make_conninfo(dsn, options="-c statement_timeout=500ms"))
    with serving(cli.settings.model_copy(update={"dsn": bounded})) as served, psycopg.connect(dsn) as holder:
        holder.execute("SELECT FROM journal.log_head FOR UPDATE")
        # To be shown a person takes a record, and that takes the head, which somebody holds.
        ended = served(f"/v1/accounts/{account}", "compliance")
        assert (ended.status, ended.code) == (503, "statement_ended")
        assert served(f"/v1/accounts/{account}", "auditor").status == 200
        holder.rollback()
        assert served(f"/v1/accounts/{account}", "compliance").status == 200
