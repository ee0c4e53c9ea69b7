"""Behaviors sent over HTTP: credited as a file of the same rows would be, each answered, none lost and none doubled."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from interfaces.bootstrap import Settings, open_ledger
from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.e2e.conftest import command_line
from tests.e2e.http_tools import Reply, Served, register, serving
from tests.fixtures.ledgers import Server, fresh_book
from tests.fixtures.people import open_accounts
from tests.fixtures.real_data import REAL_DATA, needs_real_data

PATH = "/v1/behaviors"


def item(row: str = METRO, **changes: Any) -> dict[str, Any]:
    return dict(zip(HEADER.split(","), row.split(","), strict=True)) | changes


def send(served: Served, body: object, role: str = "bank_backend", **headers: str) -> Reply:
    return served(PATH, role, method="POST", body=body, headers=headers)


@pytest.fixture
def people(cli: CommandLine) -> CommandLine:
    for name in ("ann", "bob"):
        cli("account", "open", name)
        cli.consent(name)
    return cli


@pytest.fixture
def served(people: CommandLine) -> Iterator[Served]:
    with serving(people.settings) as running:
        yield running


def test_a_behavior_is_credited_and_shown_with_the_position_that_answered_it(
    people: CommandLine, served: Served
) -> None:
    reply = send(served, item())
    assert reply.status == 200
    (told,) = reply.body["items"]
    assert (told["status"], told["credited_mg"]) == ("credited", "889200")
    shown = served(f"/v1/accounts/{told['account_id']}?min_position={reply.body['position']}", "bank_backend").body
    assert shown["credited_mg"] == "889200"
    assert people("account", "explain", "ann", "t1", "--partner", "dev-bank-backend")["credited_mg"] == "889200"
    intake = str(reply.body["intake"])
    assert people("evidence", "show", intake)["format"] == "requests"
    row = people("evidence", "show", intake, "--line", str(reply.body["line"]))
    assert (row["row"]["source_ref"], row["credit"]["position"]) == ("t1", told["position"])
    assert people("check")["ok"]


def test_each_item_of_a_batch_has_an_answer_of_its_own(served: Served) -> None:
    items = [item(), item(source_ref="t2", quantity="1e3"), item(source_ref="t3", account_ref="nobody"), item()]
    told = send(served, {"items": items}).body["items"]
    assert [each["status"] for each in told] == ["credited", "refused", "refused", "duplicate"]
    assert [told[1]["code"], told[2]["code"]] == ["malformed", "account_unknown"]
    assert told[3]["first"] == told[0]
    assert all(each["remedy"] for each in told[1:3])


def test_sending_again_is_safe_and_answers_what_it_became_the_first_time(served: Served) -> None:
    first = send(served, item()).body["items"][0]
    assert send(served, item()).body["items"] == [{"status": "duplicate", "first": first}]
    (other,) = send(served, item(quantity="13.000")).body["items"]
    assert (other["status"], other["code"]) == ("refused", "conflicting_duplicate")


def test_a_partner_sends_under_its_own_name_and_is_told_no_account_ids(people: CommandLine, served: Served) -> None:
    assert send(served, item(), "partner").code == "partner_unregistered"
    register(people, "dev-partner", "--all-behaviors")
    bank, partner = send(served, item()).body["items"][0], send(served, item(), "partner").body["items"][0]
    assert (bank["status"], partner["status"]) == ("credited", "credited")
    assert (partner["account_id"], bank["account_id"] is None) == (None, False)
    assert {each["partner"] for each in people("evidence", "list")["intakes"]} == {"dev-bank-backend", "dev-partner"}


def test_a_suspension_and_its_end_hold_from_the_next_item_on(people: CommandLine, served: Served) -> None:
    register(people, "dev-partner", "--behavior", "travel.metro")
    bus = item(source_ref="b", behavior="travel.bus", quantity="1", unit="trip")
    told = [send(served, {"items": [item(), bus]}, "partner").body["items"]]
    people("partner", "suspend", "dev-partner", "--by", "carol", "--reason", "its key was stolen")
    told += [send(served, {"items": [item(), item(source_ref="t2")]}, "partner").body["items"]]
    codes = [[each.get("code", each["status"]) for each in items] for items in told]
    assert codes == [["credited", "behavior_not_allowed"], ["duplicate", "partner_suspended"]]
    assert people("replay")["mismatches"] == 0


def test_what_is_no_behavior_and_no_batch_is_refused_whole_and_nothing_is_kept(
    people: CommandLine, served: Served
) -> None:
    size = people("totals")["position"]
    kind = {"content-type": "application/json"}
    for body, code in (
        (b"{", "body_malformed"),
        (b"[]", "body_malformed"),
        (b"\xff", "body_malformed"),
        (b"", "body_malformed"),
        (b'{"items":[]}', "batch_empty"),
        (json.dumps({"items": [1] * 10_001}).encode(), "batch_too_long"),
        (b" " * (8 * 1024 * 1024 + 1), "body_too_large"),
    ):
        assert served(PATH, "bank_backend", method="POST", body=body, headers=kind).code == code
    assert served(f"{PATH}?dry=1", "bank_backend", method="POST", body=item()).code == "request_malformed"
    assert (people("totals")["position"], people("evidence", "list")["intakes"]) == (size, [])


def test_nothing_of_what_was_sent_stands_in_the_log_of_the_service(served: Served) -> None:
    send(served, item(source_ref="ref-geheim", account_ref="name-geheim"))
    send(served, item(source_ref="ref-geheim", quantity="geheim"))
    send(served, b'{"geheim":')
    assert "geheim" not in served.log_text
    assert "geheim" not in served("/metrics").body


def test_clients_at_once_share_commits_and_each_behavior_counts_once(people: CommandLine, served: Served) -> None:
    barrier = threading.Barrier(16)

    def drive(client: int) -> list[Reply]:
        barrier.wait()
        # Every reference is sent by two clients.
        refs = [f"{client // 2}/{number}" for number in range(12)]
        return [send(served, item(source_ref=ref, account_ref=("ann", "bob")[client // 2 % 2])) for ref in refs]

    with ThreadPoolExecutor(16) as pool:
        replies = [reply for each in pool.map(drive, range(16)) for reply in each]
    assert {reply.status for reply in replies} == {200}
    told = [reply.body["items"][0] for reply in replies]
    positions = [(each if each["status"] == "credited" else each["first"])["position"] for each in told]
    assert (len(told), len(set(positions))) == (192, 96)
    assert people("totals")["credits"] == 96
    assert len({reply.body["intake"] for reply in replies}) < 192
    assert people("replay")["mismatches"] == 0


def test_what_was_accepted_is_answered_when_the_service_is_asked_to_end(people: CommandLine) -> None:
    replies: list[Reply] = []
    with serving(people.settings) as served, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(send, served, item(source_ref=f"e{number}")) for number in range(40)]
        waiting[0].result()
        served.stop()
        for each in waiting:
            try:
                replies.append(each.result())
            except OSError:
                continue  # it was not taken any more
    credited = [reply for reply in replies if reply.status == 200]
    assert credited
    assert people("totals")["credits"] == len(credited)


def test_more_than_may_wait_is_sent_away_with_a_time_to_come_again(people: CommandLine) -> None:
    with serving(people.settings, waiting_rows=1) as served, ThreadPoolExecutor(16) as pool:
        sent = [
            pool.submit(send, served, {"items": [item(source_ref=f"{n}/{m}") for m in range(20)]}) for n in range(48)
        ]
        replies = [each.result() for each in sent]
    away = [reply for reply in replies if reply.status == 429]
    assert away
    assert {(reply.code, reply.headers["retry-after"]) for reply in away} == {("too_busy", "1")}
    assert people("totals")["credits"] == 20 * sum(reply.status == 200 for reply in replies)


def real_rows(count: int) -> Iterator[Sequence[str]]:
    for name in ("metro", "bike"):
        with (Path(REAL_DATA) / f"behaviors_{name}.csv").open(encoding="utf-8", newline="") as file:
            yield from islice(csv.reader(file), 1, count + 1)


@needs_real_data
def test_real_rows_sent_over_http_end_as_the_import_of_a_file_of_them(
    server: Server, book_template: str, tmp_path: Path
) -> None:
    rows = [row[:7] for row in real_rows(250)]

    def opened(settings: Settings) -> CommandLine:
        with open_ledger(settings) as ledger:
            open_accounts(ledger.book, sorted({row[1] for row in rows}))
        return CommandLine(settings, tmp_path)

    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path):
        cli = opened(settings)
        file = cli.file(*(",".join(row) for row in rows), name="real.csv")
        imported = cli("behaviors", "import", file, "--partner", "dev-bank-backend")
        by_file = cli("totals", "--by-ref")
    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path):
        cli = opened(settings)
        with serving(settings) as served:
            told: list[dict[str, Any]] = []
            for start in range(0, len(rows), 150):
                items = [dict(zip(HEADER.split(","), row, strict=True)) for row in rows[start : start + 150]]
                told += send(served, {"items": items}).body["items"]
        by_http = cli("totals", "--by-ref")
        assert cli("replay")["mismatches"] == 0
    assert {key: by_http[key] for key in ("digest", "credits", "credited_mg")} == {
        key: by_file[key] for key in ("digest", "credits", "credited_mg")
    }
    counts = [sum(each["status"] == status for each in told) for status in ("credited", "duplicate", "refused")]
    assert counts == [imported[key] for key in ("credited", "duplicates", "rejected")]
    assert imported["credited"] > 250
