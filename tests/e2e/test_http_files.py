"""Files of behaviors over HTTP: streamed, and in the end what the same file comes to on the command line."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.e2e.http_tools import SOON_S, Reply, Served, register, serving
from tests.e2e.test_cli_background import until

NDJSON = {"content-type": "application/x-ndjson"}
BUS = "t2,ann,travel.bus,2026-03-01T08:15:00+08:00,1,trip,"
FAR = METRO.replace("t1", "t3").replace("12.350", "9999999")


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    cli.credit(METRO.replace("t1", "t0"))
    with serving(cli.settings, file_bytes=200_000) as running:
        yield running


def lines(*rows: str) -> bytes:
    objects = (dict(zip(HEADER.split(","), row.split(","), strict=True)) for row in rows)
    return "".join(json.dumps(each) + "\n" for each in objects).encode()


def send(served: Served, body: bytes, role: str = "bank_backend", headers: dict[str, str] | None = None) -> Reply:
    return served("/v1/behavior-files", role, method="POST", body=body, headers=headers or NDJSON)


def test_a_file_is_credited_row_by_row_and_sending_it_again_doubles_nothing(cli: CommandLine, served: Served) -> None:
    file = lines(METRO, FAR, BUS) + b"no json\n"
    sent = send(served, file)
    assert sent.status == 200
    assert (sent.body["read"], sent.body["credited"], sent.body["rejected"]) == (4, 2, 2)
    assert [each["line"] for each in sent.body["refused"]] == [2, 4]
    assert all(each["code"] and each["remedy"] for each in sent.body["refused"])
    again = send(served, file).body
    assert (again["credited"], again["duplicates"], again["digest"]) == (0, 2, sent.body["digest"])
    # The command line finds the same rows taken, under the name of whoever sent them.
    told = cli("behaviors", "import", cli.bytes(file, name="rows.jsonl"), "--partner", "dev-bank-backend")
    assert (told["duplicates"], told["credited"], told["digest"]) == (2, 0, sent.body["digest"])
    assert list((cli.settings.home / "uploads").iterdir()) == []
    assert cli("replay")["mismatches"] == 0


def test_a_partner_sends_files_under_its_own_name_and_within_its_terms(cli: CommandLine, served: Served) -> None:
    assert send(served, lines(METRO), "partner").code == "partner_unregistered"
    register(cli, "dev-partner", "--behavior", "travel.metro")
    answer = send(served, lines(METRO, BUS), "partner").body
    assert (answer["credited"], answer["rejected_by_code"]) == (1, {"behavior_not_allowed": 1})


def test_what_is_no_file_of_rows_is_refused_and_leaves_nothing(cli: CommandLine, served: Served) -> None:
    size = cli("totals")["position"]
    refused = {
        "file_empty": send(served, b""),
        "no_rows": send(served, b"\n\n"),
        "body_too_large": send(served, b"x" * 200_001),
        "media_type_unsupported": send(served, lines(METRO), headers={"content-type": "application/json"}),
    }
    assert {code: reply.code for code, reply in refused.items()} == {code: code for code in refused}
    assert str(cli.settings.home) not in str([reply.body for reply in refused.values()])
    elsewhere = served("/v1/behaviors", "bank_backend", method="POST", body=lines(METRO), headers=NDJSON)
    assert elsewhere.code == "media_type_unsupported"
    assert cli("totals")["position"] == size
    assert list((cli.settings.home / "uploads").iterdir()) == []


def test_a_file_that_does_not_say_how_long_it_is_is_cut_off_where_it_becomes_too_long(served: Served) -> None:
    token = {"authorization": f"Bearer {served.credentials['bank_backend']}"}
    connection = HTTPConnection("127.0.0.1", served.port, timeout=SOON_S)
    try:
        connection.request(
            "POST", "/v1/behavior-files", iter([b"x" * 150_000] * 2), NDJSON | token, encode_chunked=True
        )
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (413, "body_too_large")
    finally:
        connection.close()


def test_a_file_that_does_not_arrive_in_time_is_not_waited_for(cli: CommandLine) -> None:
    with serving(cli.settings, file_seconds=1) as served:
        token = {"authorization": f"Bearer {served.credentials['bank_backend']}"}
        connection = HTTPConnection("127.0.0.1", served.port, timeout=SOON_S)
        try:
            connection.putrequest("POST", "/v1/behavior-files")
            for name, value in (NDJSON | token | {"content-length": "100"}).items():
                connection.putheader(name, value)
            connection.endheaders(b"{")
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["code"]) == (408, "body_slow")
        finally:
            connection.close()


def test_a_sender_that_goes_away_is_no_defect_and_frees_its_place(served: Served) -> None:
    head = (
        f"POST /v1/behavior-files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.credentials['bank_backend']}\r\n"
        "content-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n{"
    )
    for _ in range(8):  # more than there are places
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as leaving:
            leaving.sendall(head.encode())
            time.sleep(0.05)
    until(lambda: "requests_in_flight 1.0" in served("/metrics").body)
    assert [line for line in served.logged if line["level"] == "error"] == []
