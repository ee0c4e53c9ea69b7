"""A revision over HTTP from plan to totals: what comes of it is what comes of it on the command line."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.streams import stream_id
from interfaces.bootstrap import open_ledger
from tests.architecture.project import ROOT
from tests.e2e.act_tools import People
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.conftest import command_line
from tests.e2e.http_tools import SOON_S, Reply, Served, serving
from tests.fixtures.ledgers import Server, fresh_book

BIKE = "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300"
OTHER_BIKE = "b2,bob,cycling.shared_bike,2018-10-01T00:00:00+08:00,2,km,"
OUTSIDE = "b3,bob,cycling.shared_bike,2019-04-01T00:00:00+08:00,2,km,"
ROWS = (BIKE, OTHER_BIKE, OUTSIDE, METRO)
PLAN = {"methodology": "CYCLING-SHARED@2", "from": "2018-10-01", "to": "2019-04-01"}
BEFORE, AFTER = 105_028 + 67_760, 150_970 + 97_400  # 5.1 km at 33.88 and at 48.7 g/km


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    cli.credit(*ROWS)
    with serving(cli.settings) as running:
        yield running


def post(served: Served, path: str, role: str, body: object = None) -> Reply:
    return served(f"/v1/{path}", role, method="POST", body=body)


def in_base64(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()


def completed(served: Served, revision: str) -> dict[str, Any]:
    """The job, when it is over."""
    deadline = time.monotonic() + SOON_S
    while True:
        job: dict[str, Any] = served(f"/v1/revisions/{revision}/application", "auditor").body
        if job["state"] == "completed":
            return job
        assert job["state"] == "running", job
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_revision_planned_by_one_and_approved_by_another_ends_as_on_the_command_line(
    cli: CommandLine, served: Served, server: Server, book_template: str, tmp_path: Path
) -> None:
    dry = post(served, "revisions", "methodology_owner", PLAN | {"dry_run": True})
    planned = post(served, "revisions", "methodology_owner", PLAN)
    assert (dry.status, dry.body["revision_id"], dry.body["state"]) == (200, None, "dry_run")
    assert (planned.status, planned.body["revision_id"]) == (201, "R1")
    assert {key: planned.body[key] for key in ("accounts", "credits", "before_mg", "after_mg")} == {
        "accounts": 2, "credits": 2, "before_mg": str(BEFORE), "after_mg": str(AFTER),
    }  # fmt: skip
    assert served("/v1/revisions/R1/report", "approver").body == planned.body
    early = post(served, "revisions/R1/application", "operator")
    assert (early.status, early.code) == (409, "wrong_state")
    approved = post(served, "revisions/R1/approval", "approver")
    assert (approved.status, approved.body["state"]) == (200, "approved")
    assert served("/v1/revisions/R1/application", "auditor").body["state"] == "stopped"
    job = post(served, "revisions/R1/application", "operator")
    assert job.status in (200, 202)
    assert job.headers["location"] == "/v1/revisions/R1/application"
    assert completed(served, "R1")["accounts_done"] == 2
    assert post(served, "revisions/R1/application", "operator").status == 200
    impact = served("/v1/revisions/R1/impact", "auditor").body
    assert (impact["state"], impact["after_mg"]) == ("completed", str(AFTER))
    over_http = served("/v1/totals", "auditor").body
    told = cli("revision", "status", "R1")
    assert {key: told[key] for key in ("state", "plan_digest", "delta_mg")} == {
        "state": "completed", "plan_digest": planned.body["plan_digest"], "delta_mg": str(AFTER - BEFORE),
    }  # fmt: skip
    assert (cli("totals")["digest"], cli("replay")["mismatches"]) == (over_http["digest"], 0)
    assert planned.body["plan_digest"] == cli("revision", "report", "R1")["plan_digest"]
    folder = tmp_path / "another"
    folder.mkdir()
    with fresh_book(server, book_template) as settings, command_line(settings, folder) as second:
        second.credit(*ROWS)
        second("revision", "plan", "CYCLING-SHARED@2", "--from", "2018-10-01", "--to", "2019-04-01", "--by", "alice")
        second("revision", "approve", "R1", "--by", "bob")
        second("revision", "apply", "R1")
        totals = second("totals")
    same = ("accounts", "credits", "credited_mg", "by_behavior", "position")
    assert {key: totals[key] for key in same} == {key: over_http[key] for key in same}


def test_who_planned_a_revision_does_not_approve_it_whatever_roles_he_has(cli: CommandLine, served: Served) -> None:
    # Planned on the command line by the very name that the approver's token has.
    cli("revision", "plan", "CYCLING-SHARED@2", "--from", "2018-10-01", "--to", "2019-04-01", "--by", "dev-approver")
    refused = post(served, "revisions/R1/approval", "approver")
    assert (refused.status, refused.code) == (409, "same_actor")
    forged = post(served, "revisions/R1/approval", "approver", {"by": "somebody-else"})
    assert (forged.status, forged.code) == (422, "request_malformed")
    assert cli("revision", "status", "R1")["state"] == "planned"


def test_a_job_goes_on_where_a_worker_that_held_it_is_gone(cli: CommandLine, served: Served) -> None:
    post(served, "revisions", "methodology_owner", PLAN)
    post(served, "revisions/R1/approval", "approver")
    with open_ledger(cli.settings) as other:
        # Another process holds the run; while it lives, this one only stands by.
        with other.book.journal.claim(stream_id("revision", "R1")) as held:
            assert held
            assert post(served, "revisions/R1/application", "operator").status == 202
            time.sleep(0.2)
            assert served("/v1/revisions/R1/application", "auditor").body["state"] == "running"
            assert cli("revision", "status", "R1")["state"] == "approved"
        assert completed(served, "R1")["accounts_done"] == 2


_KILLED = """
import os, signal
from application import revising
from interfaces.bootstrap import Settings, open_ledger
from domain.streams import stream_id

revising._LINES_PER_APPEND = 1
with open_ledger(Settings()) as ledger, ledger.book.journal.claim(stream_id("revision", "R1")) as ours:
    assert ours
    revising.apply(ledger.book, "R1", progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_job_goes_on_where_a_killed_worker_left_it(cli: CommandLine, served: Served) -> None:
    post(served, "revisions", "methodology_owner", PLAN)
    post(served, "revisions/R1/approval", "approver")
    killed = subprocess.run([sys.executable, "-c", _KILLED], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    left = served("/v1/revisions/R1/application", "auditor").body
    assert (left["state"], left["accounts_done"], left["accounts"]) == ("stopped", 1, None)
    assert post(served, "revisions/R1/application", "methodology_owner").status in (200, 202)
    assert completed(served, "R1")["accounts_done"] == 2
    assert cli("revision", "status", "R1")["after_mg"] == str(AFTER)
    assert cli("replay")["mismatches"] == 0


def test_whoever_has_a_key_approves_with_his_signature_alone(cli: CommandLine, served: Served) -> None:
    people = People(cli)
    people.join("dev-approver")
    post(served, "revisions", "methodology_owner", PLAN)
    path = "revisions/R1/approval"
    unsigned = post(served, path, "approver")
    assert (unsigned.status, unsigned.code) == (422, "act_unsigned")
    asked = post(served, path, "approver", {"to_sign": True})
    assert (asked.status, asked.body["act"], asked.body["actor"]) == (200, "revision.approve", "dev-approver")
    assert cli("revision", "status", "R1")["state"] == "planned"
    text = cli.bytes(base64.b64decode(asked.body["text"]), name="text")
    others = in_base64(people.signature(text, "eve", "eve.sig"))
    assert post(served, path, "approver", {"signature": others}).code == "act_signature_wrong"
    assert post(served, path, "approver", {"signature": "AAAA"}).code == "signature_malformed"
    own = in_base64(people.signature(text, "dev-approver", "own.sig"))
    signed = {"signature": own, "signed_at": asked.body["rulebook"]}
    assert post(served, path, "approver", signed).body["state"] == "approved"
    assert cli("check")["findings"] == []
