"""What the bank does with accounts over HTTP: the whole life of one, as the command line tells it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.e2e.http_tools import Reply, Served, serving

CONSENT = {"scope": ["travel.metro"], "terms_version": "2026-01", "evidence": "0" * 64}


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    with serving(cli.settings) as running:
        yield running


def post(served: Served, path: str, body: object) -> Reply:
    return served(f"/v1/{path}", "bank_backend", method="POST", body=body)


def metro(**changes: Any) -> dict[str, Any]:
    return dict(zip(HEADER.split(","), METRO.split(","), strict=True)) | changes


def test_an_account_is_opened_credited_reversed_and_its_consent_withdrawn(cli: CommandLine, served: Served) -> None:
    account = post(served, "accounts", {"account_ref": "ann"}).body["account_id"]
    assert post(served, "behaviors", metro()).body["items"][0]["code"] == "no_consent"
    granted = post(served, f"accounts/{account}/consents", CONSENT)
    assert granted.status == 201
    (bus,) = post(served, "behaviors", metro(behavior="travel.bus", unit="trip", quantity="1")).body["items"]
    assert bus["code"] == "no_consent"
    (credited,) = post(served, "behaviors", metro()).body["items"]
    shown = served(f"/v1/accounts/{account}/statement?min_position={credited['position']}", "bank_backend").body
    version = shown["entries"][-1]["credit"]
    reversed_ = post(served, f"accounts/{account}/credits/{version}/reversal", {"reason": "wrong train"})
    assert (reversed_.status, reversed_.body["reversed_mg"]) == (201, credited["credited_mg"])
    again = post(served, f"accounts/{account}/credits/{version}/reversal", {"reason": "wrong train"})
    assert (again.status, again.code) == (409, "already_reversed")
    ended = post(served, f"accounts/{account}/consents/withdrawal", {"reason": "her letter"})
    assert ended.status == 200
    assert post(served, "behaviors", metro(source_ref="t2")).body["items"][0]["code"] == "no_consent"
    told = cli("account", "show", "ann")
    assert (told["account_id"], told["credited_mg"], told["consents"]) == (account, "0", [])
    assert cli("replay")["mismatches"] == 0


def test_who_acted_is_recorded_by_the_name_of_its_token(cli: CommandLine, served: Served) -> None:
    account = post(served, "accounts", {"account_ref": "ann"}).body["account_id"]
    post(served, f"accounts/{account}/consents", CONSENT)
    (credited,) = post(served, "behaviors", metro()).body["items"]
    shown = served(f"/v1/accounts/{account}/statement?min_position={credited['position']}", "bank_backend").body
    number = shown["entries"][-1]["credit"]
    post(served, f"accounts/{account}/credits/{number}/reversal", {"reason": "wrong train"})
    assert "dev-bank-backend" in cli.run("account", "explain", "ann", "t1", "--partner", "dev-bank-backend").stdout


def test_a_reference_that_looks_like_the_id_of_another_account_leads_nowhere(cli: CommandLine, served: Served) -> None:
    account = post(served, "accounts", {"account_ref": "ann"}).body["account_id"]
    other = post(served, "accounts", {"account_ref": account}).body["account_id"]
    assert other != account
    post(served, f"accounts/{account}/consents", CONSENT)
    assert [post(served, "behaviors", metro(account_ref=ref, source_ref=ref)).body["items"][0]["status"]
            for ref in ("ann", account)] == ["credited", "refused"]  # fmt: skip


def test_what_cannot_be_done_is_refused_by_its_code_and_nothing_is_recorded(cli: CommandLine, served: Served) -> None:
    account = post(served, "accounts", {"account_ref": "ann"}).body["account_id"]
    size = cli("totals")["position"]
    refused = {
        "account_exists": post(served, "accounts", {"account_ref": "ann"}),
        "account_unknown": post(served, f"accounts/{uuid4()}/consents", CONSENT),
        "consent_unknown": post(served, f"accounts/{account}/consents/withdrawal", {"reason": "x"}),
        "credit_unknown": post(served, f"accounts/{account}/credits/1/reversal", {"reason": "x"}),
        "consent_malformed": post(
            served,
            f"accounts/{account}/consents",
            CONSENT | {"valid_from": "2026-02-01T00:00:00Z", "valid_to": "2026-01-01T00:00:00Z"},
        ),
        "request_malformed": post(served, f"accounts/{account}/consents", CONSENT | {"scope": []}),
    }
    assert {code: reply.code for code, reply in refused.items()} == {code: code for code in refused}
    assert [reply.status for reply in refused.values()] == [409, 404, 404, 404, 422, 422]
    assert all(reply.body["remedy"] for reply in refused.values())
    assert post(served, "accounts", {"account_ref": " a"}).code == "account_ref_malformed"
    assert cli("totals")["position"] == size
