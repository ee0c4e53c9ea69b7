"""Exports over HTTP: what is handed out verifies, is recorded, and is nobody else's."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import SOON_S, Served, serving


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    cli.credit(METRO)
    with serving(cli.settings) as running:
        yield running


def exported(served: Served, role: str, asked: dict[str, Any]) -> str:
    """The address of an export that is completed."""
    began = served("/v1/exports", role, method="POST", body=asked)
    assert began.status == 202, began.body
    address = began.headers["location"]
    deadline = time.monotonic() + SOON_S
    while (job := served(address, role).body)["state"] != "completed":
        assert job["state"] == "running", job
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return address


def test_an_auditors_export_verifies_offline_and_holds_nothing_personal(cli: CommandLine, served: Served) -> None:
    address = exported(served, "auditor", {})
    rows, note = served(f"{address}/events", "auditor"), served(f"{address}/manifest", "auditor")
    assert rows.headers["content-disposition"] == 'attachment; filename="events.jsonl"'
    assert "ann" not in rows.body
    cli.bytes(rows.body.encode(), name="events.jsonl")
    manifest = cli.bytes(note.body.encode(), name="events.jsonl.manifest")
    pem = cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    assert cli.run("verify", manifest, "--key", pem).code == 0
    cli.bytes(rows.body.replace("travel.metro", "travel.tram").encode(), name="events.jsonl")
    assert cli.run("verify", manifest, "--key", pem).code != 0
    (access,) = [each for each in cli("access", "list")["accesses"] if each["kind"] == "export"]
    assert access["by"] == "dev-auditor"


def test_what_is_personal_is_for_compliance_alone_and_each_handing_over_is_recorded(
    cli: CommandLine, served: Served
) -> None:
    refused = served("/v1/exports", "auditor", method="POST", body={"personal": True})
    assert (refused.status, refused.code) == (403, "forbidden")
    address = exported(served, "compliance", {"personal": True})
    assert "ann" in served(f"{address}/events", "compliance").body
    by = [each["by"] for each in cli("access", "list")["accesses"] if each["kind"] == "export"]
    assert by == ["dev-compliance"] * 2
    folder = cli.settings.home / "exports" / address.rpartition("/")[2]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


def test_somebody_elses_export_is_not_there_and_a_removed_one_is_gone(cli: CommandLine, served: Served) -> None:
    address = exported(served, "compliance", {"topics": ["carbon.account.opened.v1"]})
    for path in (address, f"{address}/events", f"{address}/manifest", f"/v1/exports/{uuid4()}"):
        other = served(path, "auditor")
        assert (other.status, other.code) == (404, "export_unknown")
    assert served(address, "auditor", method="DELETE").code == "export_unknown"
    assert served(address, "compliance", method="DELETE").status == 204
    assert served(f"{address}/events", "compliance").code == "export_unknown"
    assert list((cli.settings.home / "exports").iterdir()) == []
    unknown = served("/v1/exports", "compliance", method="POST", body={"topics": ["no.such.topic"]})
    assert (unknown.status, unknown.code) == (422, "topic_unknown")
    beyond = served("/v1/exports", "compliance", method="POST", body={"until": 1_000_000})
    assert (beyond.status, beyond.code) == (404, "position_unknown")
