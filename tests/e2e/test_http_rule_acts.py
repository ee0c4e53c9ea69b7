"""The life of rules over HTTP: as on the command line, by people of the tokens' names, and never by one alone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.act_tools import People
from tests.e2e.cli_tools import CommandLine, methodology
from tests.e2e.http_tools import Reply, Served, serving
from tests.e2e.test_http_roles import RELEASE

ROW = "x1,ann,test.behavior,2026-03-01T08:15:00+08:00,2,km,"
OWNER, APPROVER = "methodology_owner", "approver"


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    with serving(cli.settings) as running:
        yield running


def post(served: Served, path: str, role: str, body: object = None) -> Reply:
    return served(f"/v1/{path}", role, method="POST", body=body)


def test_a_methodology_lives_over_http_from_its_draft_to_its_withdrawal(cli: CommandLine, served: Served) -> None:
    version = "methodologies/TEST-CODE/1"
    drafted = post(served, "methodologies", OWNER, methodology())
    assert (drafted.status, drafted.body["state"], drafted.body["version"]) == (201, "drafted", 1)
    assert post(served, "methodologies", OWNER, methodology()).code == "version_exists"
    assert post(served, f"{version}/review", APPROVER).body["state"] == "reviewed"
    # The dev approver is one person, and three have to act.
    same = post(served, f"{version}/certification", APPROVER)
    assert (same.status, same.code) == (409, "same_actor")
    cli("methodology", "certify", "TEST-CODE@1", "--by", "cat")
    published = post(served, f"{version}/publication", APPROVER)
    assert (published.status, published.body["digest"]) == (200, drafted.body["digest"])
    proposed = post(served, "decisions", OWNER, {"methodology": "TEST-CODE@1", "from": None, "to": None})
    assert (proposed.status, proposed.body["state"]) == (201, "proposed")
    approved = post(served, f"decisions/{proposed.body['decision_id']}/approval", APPROVER)
    assert (approved.status, approved.body["state"]) == (200, "approved")
    assert approved.body["changes"][0]["after"]["methodology"] == "TEST-CODE@1"
    assert cli.credit(ROW)["credited"] == 1
    assert post(served, f"{version}/withdrawal", OWNER).status == 200
    assert post(served, f"{version}/withdrawal/approval", APPROVER).code == "gap_left"
    withdrawn = post(served, f"{version}/withdrawal/approval", APPROVER, {"leave_gap": True})
    assert (withdrawn.body["state"], withdrawn.body["changes"][0]["after"]) == ("withdrawn", None)
    shown = cli("methodology", "show", "TEST-CODE@1")
    assert (shown["drafted_by"], shown["reviewed_by"]) == ("dev-methodology-owner", "dev-approver")
    assert cli("replay")["mismatches"] == 0


def test_whoever_proposed_a_decision_does_not_approve_it(cli: CommandLine, served: Served) -> None:
    name = cli.publish(methodology())
    asked = ("applicability", "propose", name, "--from", "open", "--to", "open", "--by", "dev-approver")
    decision = cli(*asked)["decision_id"]
    refused = post(served, f"decisions/{decision}/approval", APPROVER)
    assert (refused.status, refused.code) == (409, "same_actor")
    assert cli("applicability", "approve", decision, "--by", "bob")["state"] == "approved"


def test_a_factor_release_is_loaded_once_and_read_as_strictly_as_a_file(cli: CommandLine, served: Served) -> None:
    loaded = post(served, "factor-releases", OWNER, RELEASE)
    assert (loaded.status, loaded.body["rows"], loaded.body["by"]) == (201, 1, "dev-methodology-owner")
    assert served("/v1/factor-releases", "auditor").body["position"] == loaded.body["position"]
    again = post(served, "factor-releases", OWNER, RELEASE)
    assert (again.status, again.code) == (409, "release_exists")
    twice = b'{"factor_set": "A", "factor_set": "B", "release": 1, "rows": []}'
    headers = {"content-type": "application/json"}
    for body in (twice, b'{"release": NaN}', b"{", b""):
        refused = served("/v1/factor-releases", OWNER, method="POST", body=body, headers=headers)
        assert (refused.status, refused.code) == (422, "json_malformed")
    assert post(served, "factor-releases", OWNER, []).code == "factors_malformed"
    assert [each["factor_set"] for each in cli("factors", "list")["releases"]].count("TEST-SET") == 1


def test_a_review_is_signed_over_http_where_the_actor_has_a_key(cli: CommandLine, served: Served) -> None:
    people = People(cli)
    people.join("dev-approver")
    post(served, "methodologies", OWNER, methodology())
    path = "methodologies/TEST-CODE/1/review"
    assert post(served, path, APPROVER).code == "act_unsigned"
    asked: dict[str, Any] = post(served, path, APPROVER, {"to_sign": True}).body
    text = cli.bytes(base64.b64decode(asked["text"]), name="text")
    signature = Path(people.signature(text, "dev-approver", "own.sig")).read_bytes()
    sent = {"signature": base64.b64encode(signature).decode()}
    # What was signed is a review; it is no certification, and nobody else's.
    assert post(served, "methodologies/TEST-CODE/1/withdrawal", OWNER, sent).code == "wrong_state"
    assert post(served, path, APPROVER, sent).body["state"] == "reviewed"
    assert post(served, "methodologies/TEST-CODE/1/certification", APPROVER, sent).code in (
        "same_actor",
        "act_signature_wrong",
    )
    assert cli("check")["findings"] == []
