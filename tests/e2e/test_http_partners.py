"""Partners over HTTP: registered by two people, stopped by one, and what that does to their rows."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.act_tools import People
from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.e2e.http_tools import Reply, Served, serving

TERMS = {"behaviors": ["travel.metro"], "rows_per_day": 10_000, "rows_per_request": None}


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    with serving(cli.settings) as running:
        yield running


def post(served: Served, path: str, role: str, body: object = None) -> Reply:
    return served(f"/v1/{path}", role, method="POST", body=body)


def proven(cli: CommandLine, served: Served, path: str, asked: dict[str, Any], owner: str) -> dict[str, Any]:
    """The same with the key of an owner, which signed what the service said."""
    people = People(cli)
    asked = asked | {"public_key": Path(people.public(owner)).read_text("ascii")}
    text = post(served, path, "operator", asked | {"to_sign": True})
    assert text.status == 200
    file = cli.bytes(base64.b64decode(text.body["text"]), name=f"{owner}.text")
    signature = Path(people.signature(file, owner, f"{owner}.sig")).read_bytes()
    return asked | {"possession": base64.b64encode(signature).decode()}


def test_a_partner_is_registered_by_two_people_and_stopped_by_one(cli: CommandLine, served: Served) -> None:
    sent = dict(zip(HEADER.split(","), METRO.split(","), strict=True))
    cli.credit(METRO)
    assert post(served, "behaviors", "partner", sent).code == "partner_unregistered"
    asked = proven(cli, served, "partners", TERMS | {"partner": "dev-partner"}, "metro")
    proposed = post(served, "partners", "operator", asked)
    assert (proposed.status, proposed.body["proposal"], proposed.body["state"]) == (201, "P1", "proposed")
    assert post(served, "behaviors", "partner", sent).code == "partner_unregistered"
    approved = post(served, "partner-proposals/P1/approval", "approver")
    assert (approved.status, approved.body["state"]) == (200, "active")
    assert post(served, "behaviors", "partner", sent).body["items"][0]["status"] == "credited"
    shown = served("/v1/partners/dev-partner", "auditor").body
    assert (shown["behaviors"], shown["rows_per_day"]) == (["travel.metro"], 10_000)
    assert [each["key"] for each in shown["keys"]] == [proposed.body["key"]]
    assert {**cli("partner", "show", "dev-partner")} == shown
    assert served("/v1/partners", "auditor").body == cli("partner", "list")
    suspended = post(served, "partners/dev-partner/suspension", "operator", {"reason": "readings of last night"})
    assert suspended.body["state"] == "suspended"
    more = sent | {"source_ref": "t2"}
    assert post(served, "behaviors", "partner", more).body["items"][0]["code"] == "partner_suspended"
    again = post(served, "partners/dev-partner/resumption", "operator", {"reason": "it is repaired"}).body
    assert post(served, f"partner-proposals/{again['proposal']}/approval", "approver").body["state"] == "active"
    assert post(served, "behaviors", "partner", more).body["items"][0]["status"] == "credited"
    assert cli("replay")["mismatches"] == 0


def test_whoever_proposed_a_partner_does_not_approve_it(cli: CommandLine, served: Served) -> None:
    key = People(cli).key("metro")
    cli("partner", "register", "metro-co", "--partner-key", key, "--by", "dev-approver", "--all-behaviors")
    refused = post(served, "partner-proposals/P1/approval", "approver")
    assert (refused.status, refused.code) == (409, "same_actor")
    unknown = post(served, "partner-proposals/P9/approval", "approver")
    assert (unknown.status, unknown.code) == (404, "proposal_unknown")


def test_a_key_that_does_not_sign_for_itself_is_nobodys(cli: CommandLine, served: Served) -> None:
    asked = proven(cli, served, "partners", TERMS | {"partner": "metro-co"}, "metro")
    other = proven(cli, served, "partners", TERMS | {"partner": "metro-co"}, "bus")
    stolen = post(served, "partners", "operator", asked | {"possession": other["possession"]})
    assert (stolen.status, stolen.code) == (422, "partner_key_not_proven")
    assert post(served, "partners", "operator", asked | {"public_key": "no key"}).code == "public_key_malformed"
    assert post(served, "partners", "operator", {**asked, "possession": None}).code == "request_malformed"
    assert cli("partner", "list")["partners"] == []
    assert post(served, "partners", "operator", asked).status == 201
    assert post(served, "partner-proposals/P1/approval", "approver").status == 200
    further = proven(cli, served, "partners/metro-co/keys", {}, "second")
    added = post(served, "partners/metro-co/keys", "operator", further).body
    assert post(served, f"partner-proposals/{added['proposal']}/approval", "approver").status == 200
    ended = post(served, f"partners/metro-co/keys/{added['key']}/revocation", "approver", {"reason": "lost"})
    assert (ended.status, ended.body["key"]) == (200, added["key"])
    states = {each["key"]: each["state"] for each in served("/v1/partners/metro-co", "auditor").body["keys"]}
    assert sorted(states.values()) == ["active", "revoked"]


def test_an_account_is_frozen_unfrozen_and_closed_for_a_reason(cli: CommandLine, served: Served) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    why = {"reason": "asked for it"}
    assert post(served, f"accounts/{account}/unfreeze", "compliance", why).code == "account_not_frozen"
    assert post(served, f"accounts/{account}/freeze", "compliance", why).status == 200
    assert post(served, f"accounts/{account}/freeze", "bank_backend", why).code == "account_frozen"
    assert cli.credit(METRO.replace("t1", "t2"), name="b.csv")["rejected_by_code"] == {"account_frozen": 1}
    assert post(served, f"accounts/{account}/unfreeze", "bank_backend", why).status == 200
    assert post(served, f"accounts/{account}/closure", "bank_backend", why).status == 200
    assert post(served, f"accounts/{account}/closure", "bank_backend", why).code == "account_closed"
    assert cli("account", "show", "ann")["status"] == "closed"
