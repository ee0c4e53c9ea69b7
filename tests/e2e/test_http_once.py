"""What a retry would do twice is done once for an Idempotency-Key; what the rules do once needs none."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Any

import pytest

from interfaces.bootstrap.service import AnsweredOnce
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import Reply, Served, serving

CONSENT = {"scope": ["travel.metro"], "terms_version": "2026-01", "evidence": "0" * 64}
PLAN: dict[str, Any] = {"methodology": "TRAVEL-METRO@1", "from": None, "to": None}
KEY = "7d2f6a90-consent"


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    with serving(cli.settings) as running:
        yield running


def post(served: Served, path: str, role: str, body: object, key: str | None = None) -> Reply:
    headers = {} if key is None else {"idempotency-key": key}
    return served(f"/v1/{path}", role, method="POST", body=body, headers=headers)


def opened(served: Served) -> str:
    account: str = post(served, "accounts", "bank_backend", {"account_ref": "ann"}).body["account_id"]
    return account


def consents(cli: CommandLine) -> int:
    return len(cli("account", "show", "ann")["consents"])


def test_a_consent_sent_twice_with_one_key_is_one_consent(cli: CommandLine, served: Served) -> None:
    path = f"accounts/{opened(served)}/consents"
    first = post(served, path, "bank_backend", CONSENT, KEY)
    again = post(served, path, "bank_backend", CONSENT, KEY)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert consents(cli) == 1
    other = post(served, path, "bank_backend", CONSENT | {"terms_version": "2027-01"}, KEY)
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert post(served, path, "bank_backend", CONSENT, "another").status == 201
    assert consents(cli) == 2
    assert post(served, path, "bank_backend", CONSENT, "no key at all").code == "request_malformed"


def test_a_key_is_its_callers_own_and_a_refusal_uses_none_up(cli: CommandLine, served: Served) -> None:
    refused = post(served, "revisions", "methodology_owner", PLAN | {"methodology": "NO-SUCH@1"}, KEY)
    assert (refused.status, refused.code) == (404, "methodology_unknown")
    planned = post(served, "revisions", "methodology_owner", PLAN, KEY)
    assert planned.status == 201
    assert post(served, "revisions", "methodology_owner", PLAN, KEY).body == planned.body
    assert len(cli("revision", "list")["revisions"]) == 1
    # Somebody else's key of the same spelling is another key.
    path = f"accounts/{opened(served)}/consents"
    assert post(served, path, "bank_backend", CONSENT, KEY).status == 201


def test_while_the_first_is_under_way_or_its_outcome_unknown_nothing_is_done_again(
    cli: CommandLine, served: Served
) -> None:
    path = f"accounts/{opened(served)}/consents"
    folder = cli.settings.home / "answered"
    with AnsweredOnce(folder).holding("dev-bank-backend", KEY) as kept:
        assert kept is not None
        waiting = post(served, path, "bank_backend", CONSENT, KEY)
        assert (waiting.status, waiting.code) == (409, "idempotency_in_progress")
    # A worker that was killed between the act and its answer.
    request = post(served, path, "bank_backend", CONSENT, "lost")
    assert request.status == 201
    for each in folder.iterdir():
        begun, _, _ = each.read_bytes().partition(b"\n")
        each.write_bytes(begun + b"\n" if begun else b"")
    again = post(served, path, "bank_backend", CONSENT, "lost")
    assert (again.status, again.code) == (409, "idempotency_outcome_unknown")
    assert consents(cli) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


def test_acts_that_the_rules_do_once_are_harmless_to_send_again_without_a_key(cli: CommandLine, served: Served) -> None:
    cli.credit(METRO.replace("ann", "bob"))
    account = cli("account", "show", "bob")["account_id"]
    statement = served(f"/v1/accounts/{account}/statement", "bank_backend").body
    credit = next(each["credit"] for each in statement["entries"] if each["credit"])
    why = {"reason": "asked for it"}
    sent = {
        "account_exists": ("accounts", {"account_ref": "bob"}),
        "already_reversed": (f"accounts/{account}/credits/{credit}/reversal", why),
        "account_frozen": (f"accounts/{account}/freeze", why),
        "account_not_frozen": (f"accounts/{account}/unfreeze", why),
        "consent_unknown": (f"accounts/{account}/consents/withdrawal", why),
        "account_closed": (f"accounts/{account}/closure", why),
    }
    for code, (path, body) in sent.items():
        post(served, path, "bank_backend", body)
        size = cli("totals")["position"]
        assert post(served, path, "bank_backend", body).code == code
        assert cli("totals")["position"] == size
