"""Accounts with a history: revised, reversed, erased; the service tells it as the command line does."""

from __future__ import annotations

from typing import Any

from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import Served, serving

BIKE = "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300"


def told_alike(cli: CommandLine, served: Served, account: str) -> dict[str, Any]:
    """Statement and explanations by the service, which are those of the command line."""
    statement: dict[str, Any] = served(f"/v1/accounts/{account}/statement", "bank_backend").body
    assert statement["entries"] == cli("account", "statement", account)["entries"]
    for entry in statement["entries"]:
        if entry["kind"] != "credited" or entry["source_ref"] is None:
            continue
        shown = cli("account", "explain", account, entry["source_ref"])
        told = served(f"/v1/accounts/{account}/credits/{entry['credit']}", "bank_backend").body
        assert {key: told[key] for key in shown if key != "position"} == {
            key: value for key, value in shown.items() if key != "position"
        }
    return statement


def test_a_revision_is_told_in_lines_valuations_and_decisions(cli: CommandLine) -> None:
    cli.credit(METRO, BIKE)
    account = cli("account", "show", "ann")["account_id"]
    revised = ("CYCLING-SHARED@2", "--from", "2019-01-01", "--to", "2020-01-01")
    cli("revision", "plan", *revised, "--by", "alice")
    with serving(cli.settings) as served:
        assert [each["state"] for each in served("/v1/revisions", "approver").body["revisions"]] == ["planned"]
        cli("revision", "approve", "R1", "--by", "bob")
        cli("revision", "apply", "R1")
        statement = told_alike(cli, served, account)
        assert [each["kind"] for each in statement["entries"]] == ["credited", "credited", "revised"]
        bike = next(each for each in statement["entries"] if each["behavior"].startswith("cycling"))
        told = served(f"/v1/accounts/{account}/credits/{bike['credit']}", "auditor").body
        assert [each["by"] for each in told["valuations"]][-1] == "R1"
        assert served("/v1/revisions/R1", "auditor").body["state"] == "completed"
        assert served("/v1/decisions/R1", "auditor").body["mode"] == "requantify"
        assert served("/v1/decisions", "auditor").body == cli("applicability", "list")


def test_a_reversal_is_told_with_its_reason_to_those_who_may_know_it(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    cli("behaviors", "reverse", "ann", "t1", "--reason", "a letter of her own", "--by", "alice")
    with serving(cli.settings) as served:
        statement = told_alike(cli, served, account)
        assert [each["kind"] for each in statement["entries"]] == ["credited", "reversed"]
        path = f"/v1/accounts/{account}/credits/{statement['entries'][0]['credit']}"
        told = [served(path, role).body["valuations"][-1] for role in ("compliance", "auditor")]
        assert [(each["by"], each["reason"]) for each in told] == [
            ("reversal", "a letter of her own"),
            ("reversal", None),
        ]


def test_who_was_erased_is_told_by_numbers_alone_and_by_a_receipt(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    with serving(cli.settings) as served:
        before = served(f"/v1/accounts/{account}", "auditor")
        cli("account", "erase", "ann", "--reason", "a letter", "--by", "alice")
        asked = served(f"/v1/accounts/{account}", "compliance").body
        assert (asked["account_ref"], asked["erasure"]["reason"]) == ("ann", "a letter")
        assert served(f"/v1/accounts/{account}", "auditor").body["erasure"]["reason"] is None
        cli("account", "approve-erasure", "ann", "--by", "bob")
        # The keys of persons are read anew each time: a service that runs opens nothing of an erased one.
        erased = served(f"/v1/accounts/{account}", "compliance").body
        shown = cli("account", "show", account)
        assert {key: erased[key] for key in shown if key != "position"} == {
            key: value for key, value in shown.items() if key != "position"
        }
        assert (erased["personal"], erased["account_ref"], erased["erasure"]["effective"]) == (True, None, False)
        assert erased["credited_mg"] == before.body["credited_mg"]
        told_alike(cli, served, account)
        found = served("/v1/accounts/lookup", "compliance", method="POST", body={"account_ref": "ann"})
        assert (found.status, found.code) == (404, "account_unknown")
        known = {"if-none-match": before.headers["etag"]}
        assert served(f"/v1/accounts/{account}", "auditor", headers=known).status == 200
