"""What the service refuses, and how: every failure is a problem with a code, and none tells what it should not."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest

from application import queries
from interfaces.http import arriving
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.http_tools import serving
from tests.e2e.test_cli_background import until
from tests.e2e.test_http_behaviors import item

LOOKUP = "/v1/accounts/lookup"
SECRET = "Zhang-San-13800138000"


def test_whatever_is_wrong_with_a_request_is_told_as_a_problem_without_its_values(cli: CommandLine) -> None:
    with serving(cli.settings) as served:
        post: dict[str, Any] = {"method": "POST", "role": "bank_backend"}
        told = {
            "not_found": served(f"/v1/{SECRET}", "auditor"),
            "method_not_allowed": served("/v1/totals", "auditor", method="DELETE"),
            "media_type_unsupported": served(
                LOOKUP, body=SECRET.encode(), headers={"content-type": "text/csv"}, **post
            ),
            "request_malformed": served(LOOKUP, body={"account_ref": [SECRET]}, **post),
            "position_unknown": served("/v1/totals?at_position=999999", "auditor"),
        }
        assert {code: reply.code for code, reply in told.items()} == {code: code for code in told}
        assert [reply.status for reply in told.values()] == [404, 405, 415, 422, 404]
        assert told["method_not_allowed"].headers["allow"] == "GET"
        malformed = [
            served(LOOKUP, body={"account_ref": "a", "name": SECRET}, **post),
            served(LOOKUP, body=b"{", headers={"content-type": "application/json"}, **post),
            served(LOOKUP, body={}, **post),
            served(f"/v1/totals?known_at={SECRET}", "auditor"),
            served(f"/v1/totals?misspelled={SECRET}", "auditor"),
            served("/v1/totals?at_position=1&known_at=2026-01-01T00:00:00Z", "auditor"),
            served(f"/v1/checkpoints/latest?of={SECRET}"),
            served(f"/v1/accounts/{SECRET}", "auditor"),
            served(f"/v1/access-log?actor=%20{SECRET}", "compliance"),
        ]
        assert {(reply.status, reply.code) for reply in malformed} == {(422, "request_malformed")}
        deep = served(LOOKUP, body=b"[" * 60_000, headers={"content-type": "application/json"}, **post)
        assert (deep.status, deep.code) == (400, "request_malformed")
        assert malformed[5].body["errors"][0]["message"] == "give known_at or at_position, not both"
        assert SECRET not in str([reply.body for reply in (*told.values(), *malformed)])
        assert SECRET not in served.log_text


def test_a_body_that_is_too_large_or_too_slow_never_reaches_a_route(cli: CommandLine) -> None:
    with serving(cli.settings, body_bytes=1_024, body_seconds=1) as served:
        kept = {"account_ref": "a" * 2_000}
        assert served(LOOKUP, "bank_backend", method="POST", body=kept).code == "body_too_large"
        head = f"POST {LOOKUP} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {served.credentials['bank_backend']}\r\n"
        head += "content-type: application/json\r\n"
        chunk = "400\r\n" + "a" * 1_024 + "\r\n"
        answer = raw(served.port, f"{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n")
        assert "413" in answer.partition("\r\n")[0]
        assert "body_too_large" in answer
        answer = raw(served.port, f"{head}content-length: 100\r\n\r\n{{")
        assert "408" in answer.partition("\r\n")[0]
        assert "body_slow" in answer


def test_whoever_sends_slowly_holds_up_nobody_who_is_known(cli: CommandLine) -> None:
    """Strangers, and those who show what is no credential, send a byte and wait."""
    with serving(cli.settings, in_flight=8, body_seconds=5) as served, ExitStack() as held:
        slow = f"POST {LOOKUP} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        for number in range(40):
            connection = held.enter_context(closing(socket.create_connection(("127.0.0.1", served.port), timeout=20)))
            shown = "authorization: Bearer forged\r\n" if number % 2 else ""
            connection.sendall(f"{slow}{shown}\r\n{{".encode())
        time.sleep(0.2)
        for _ in range(5):
            known = served(LOOKUP, "bank_backend", method="POST", body={"account_ref": "nobody"})
            assert (known.status, known.code) == (404, "account_unknown")
            assert served("/v1/totals", "auditor").status == 200
        stranger = served(LOOKUP, "forged", method="POST", body={"account_ref": "nobody"})
        assert (stranger.status, stranger.code) == (503, "service_busy")


def test_what_is_being_sent_takes_so_much_memory_and_no_more(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "MOST_BYTES", 100_000)
    with (
        serving(cli.settings, body_seconds=5) as served,
        closing(socket.create_connection(("127.0.0.1", served.port), timeout=20)) as slow,
    ):
        head = f"POST {LOOKUP} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n"
        slow.sendall(head.encode() + b'{"account_ref":"a"' + b" " * 59_981)
        time.sleep(0.2)
        many = {"account_ref": "a" * 50_000}
        busy = served(LOOKUP, "bank_backend", method="POST", body=many)
        assert (busy.status, busy.code) == (503, "service_busy")
        slow.sendall(b"}")
        assert slow.recv(12) == b"HTTP/1.1 401"
        assert served(LOOKUP, "bank_backend", method="POST", body=many).status == 422


def test_whoever_shows_no_credentials_sends_no_large_body(cli: CommandLine) -> None:
    large = b"[" + b" " * 100_000 + b"]"
    with serving(cli.settings) as served:
        kind = {"content-type": "application/json"}
        assert served("/v1/behaviors", method="POST", body=large, headers=kind).code == "body_too_large"
        assert served("/v1/behaviors", "bank_backend", method="POST", body=large, headers=kind).code == "body_malformed"


def raw(port: int, request: str) -> str:
    """What comes back for the bytes of a request."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
        connection.sendall(request.encode())
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
            text = b"".join(parts).decode()
            if text.partition("\r\n\r\n")[2].endswith("}"):
                return text
        return b"".join(parts).decode()


def test_whoever_comes_when_all_ledgers_are_in_use_is_told_so_in_bounded_time(cli: CommandLine) -> None:
    with serving(cli.settings, ledgers=1, patience_seconds=0) as served:
        with served.service.ledger():
            busy = served("/v1/totals", "auditor")
            assert (busy.status, busy.code, busy.headers["retry-after"]) == (503, "service_busy", "1")
            assert served("/healthz").status == 200
            unready = served("/readyz")
            assert (unready.status, unready.code) == (503, "not_ready")
        assert served("/v1/totals", "auditor").status == 200


def test_no_more_requests_are_under_way_than_settings_allow(cli: CommandLine) -> None:
    with serving(cli.settings, ledgers=1, in_flight=1, patience_seconds=10) as served:
        replies: list[Any] = []
        with served.service.ledger():
            waiting = threading.Thread(target=lambda: replies.append(served("/v1/totals", "auditor")))
            waiting.start()
            deadline = time.monotonic() + 10
            while b"requests_in_flight 1.0" not in served.service.metrics.text():
                assert time.monotonic() < deadline
            assert served("/v1/totals", "auditor").code == "service_busy"
            assert served("/healthz").status == 200
        waiting.join()
        assert replies[0].status == 200


def test_a_caller_who_asks_without_end_is_slowed_down_and_nobody_else_is(cli: CommandLine) -> None:
    with serving(cli.settings, requests_per_second=1) as served:
        replies = [served("/v1/methodologies", "partner") for _ in range(8)]
        refused = [reply for reply in replies if reply.status != 200]
        assert {(reply.status, reply.code, reply.headers["retry-after"]) for reply in refused} == {
            (429, "too_many_requests", "1")
        }
        assert served("/v1/methodologies", "auditor").status == 200
        assert served("/healthz").status == 200


def test_a_question_waits_for_the_position_of_a_write_and_not_for_ever(cli: CommandLine) -> None:
    cli.credit(METRO)
    with serving(cli.settings, patience_seconds=1) as served:
        size = cli("totals")["position"]
        late = served(f"/v1/totals?min_position={size + 1}", "auditor")
        assert (late.status, late.code) == (409, "position_not_reached")
        with ThreadPoolExecutor(30) as many:
            waiting = [
                many.submit(served, f"/v1/totals?min_position={size + 1}", who) for who in ("auditor", "operator") * 15
            ]
            time.sleep(0.3)
            began = time.monotonic()
            assert served("/v1/totals", "compliance").status == 200
            assert time.monotonic() - began < 0.5
            found = Counter((reply.status, reply.code) for reply in (each.result() for each in waiting))
        # Those who wait for nothing are answered; there is room for some who wait.
        assert found == {(409, "position_not_reached"): 8, (503, "service_busy"): 22}
    with serving(cli.settings, patience_seconds=30) as served:
        replies: list[Any] = []
        asked = f"/v1/totals?min_position={size + 1}"
        late_one = threading.Thread(target=lambda: replies.append(served(asked, "auditor")))
        late_one.start()
        cli("account", "open", "new-one")
        late_one.join()
        assert (replies[0].status, replies[0].body["position"]) == (200, size + 1)


def test_dev_credentials_are_void_when_they_were_removed_or_exchanged(cli: CommandLine) -> None:
    with serving(cli.settings) as served:
        assert served("/v1/totals", "auditor").status == 200
        new = cli("dev-credentials", "create")["credentials"]["auditor"]
        assert served("/v1/totals", "auditor").code == "token_invalid"
        assert served("/v1/totals", new).status == 200
        cli("dev-credentials", "remove")
        assert served("/v1/totals", new).code == "token_invalid"


def test_a_defect_and_a_lost_database_tell_nobody_what_they_met(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError(SECRET)

    with serving(cli.settings) as served:
        with monkeypatch.context() as broken:
            broken.setattr(queries, "totals", fails)
            reply = served("/v1/totals", "auditor")
        assert (reply.status, reply.code) == (500, "defect")
        assert SECRET not in str(reply) + served.log_text
        (line,) = [each for each in served.logged if each["event"] == "defect"]
        assert (line["error"], line["request_id"]) == ("KeyError", reply.body["request_id"])
        assert any("routes/book.py" in place for place in line["at"])
        with cli.sql() as conn:
            conn.execute(
                "UPDATE public.ledger_migrations SET name = '0009_from_the_future.sql' WHERE name LIKE '0005%'"
            )
        time.sleep(1.1)
        unready = served("/readyz")
        assert (unready.status, unready.code) == (503, "not_ready")
        assert [each["told"] for each in unready.body["checks"] if not each["ok"]] == ["schema_newer"]


def test_what_stops_the_line_is_told_by_its_code_and_its_place_is_for_the_operator(cli: CommandLine) -> None:
    size = cli("checkpoint", "sign")["size"]
    with serving(cli.settings) as served:
        assert served("/v1/checkpoints/latest").status == 200
        with cli.sql() as conn:
            conn.execute("UPDATE journal.checkpoints SET frontier = substr(frontier, 2) || substr(frontier, 1, 1)")
        stopped = served("/v1/checkpoints/latest")
        assert (stopped.status, stopped.code) == (500, "checkpoint_forged")
        assert "journal" not in str(stopped.body)
        line = next(each for each in served.logged if each["event"] == "failed")
        assert (line["code"], line["place"]) == ("checkpoint_forged", f"journal.checkpoints {size}")
        assert line["request_id"] == stopped.body["request_id"]
        # Whoever does not ask for what is damaged is answered.
        assert served("/v1/totals", "auditor").status == 200


def test_every_answer_has_an_id_and_the_headers_that_keep_browsers_out(cli: CommandLine) -> None:
    with serving(cli.settings) as served:
        for path, role in (("/v1/totals", "auditor"), ("/v1/totals", None), ("/nothing", None), ("/healthz", None)):
            headers = served(path, role).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert headers["cache-control"] == "no-store"
            assert len(headers["x-request-id"]) == 32
        assert served("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
        assert served("/healthz", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"


def test_the_log_tells_who_asked_for_what_and_what_came_of_it(cli: CommandLine) -> None:
    with serving(cli.settings) as served:
        served("/v1/totals?at_position=1", "auditor", headers={"x-request-id": "r1"})
        served("/healthz")
        until(lambda: '"request_id": "r1"' in served.log_text)
        line = next(each for each in served.logged if each.get("request_id") == "r1")
        assert isinstance(line.pop("ms"), int)
        assert line.pop("time").endswith("Z")
        assert line == {
            "level": "info", "event": "request", "request_id": "r1", "method": "GET", "route": "/v1/totals",
            "status": 200, "by": "dev-auditor", "roles": ["auditor"],
        }  # fmt: skip
        assert [each for each in served.logged if each.get("route") == "/healthz"] == []


def test_readiness_tells_what_is_there_and_announces_dev_credentials(cli: CommandLine) -> None:
    cli("checkpoint", "sign")
    with serving(cli.settings) as served:
        ready = served("/readyz").body
        assert ready["ready"] is True
        assert "DEV CREDENTIALS" in ready["warning"]
        names = [each["name"] for each in ready["checks"]]
        assert names == ["database", "schema", "views", "checkpoints", "keys", "webhooks"]
    with serving(cli.settings, max_unsigned_seconds=1) as served:
        assert served("/readyz").body["ready"] is True
        cli("account", "open", "new-one")
        time.sleep(2.1)
        unready = served("/readyz")
        assert (unready.status, [each["name"] for each in unready.body["checks"] if not each["ok"]]) == (
            503,
            ["checkpoints"],
        )


def test_metrics_count_answers_by_route_and_never_by_account(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = cli("account", "show", "ann")["account_id"]
    with serving(cli.settings) as served:
        served(f"/v1/accounts/{account}", "auditor")
        served(f"/{SECRET}", "auditor")
        text = served("/metrics").body
        assert (
            'carbon_ledger_http_requests_total{method="GET",route="/v1/accounts/{account_id}",status="200"} 1.0' in text
        )
        assert 'carbon_ledger_http_requests_total{method="GET",route="none",status="404"} 1.0' in text
        assert "carbon_ledger_ready 1.0" in text
        assert f"carbon_ledger_log_events {float(cli('totals')['position'])}" in text
        assert account not in text
        assert SECRET not in text
        assert 'carbon_ledger_http_refused_total{code="not_found"} 1.0' in text


def test_metrics_tell_the_size_of_groups_their_times_and_that_nothing_waits_afterwards(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    with serving(cli.settings) as served:
        items = [item(source_ref=f"r{n}") for n in range(3)]
        assert served("/v1/behaviors", "bank_backend", method="POST", body={"items": items}).status == 200
        assert served("/v1/behaviors", "bank_backend", method="POST", body={"items": []}).code == "batch_empty"
        text = served("/metrics").body
    for line in (
        "group_rows_sum 3.0", "group_requests_sum 1.0", "waiting_seconds_count 1.0", "recording_seconds_count 1.0",
        "waiting_rows 0.0", 'http_refused_total{code="batch_empty"} 1.0', 'behaviors_total{became="no_consent"} 3.0',
    ):  # fmt: skip
        assert f"carbon_ledger_{line}" in text


def test_the_page_of_the_api_tells_every_operation_and_loads_nothing(cli: CommandLine) -> None:
    with serving(cli.settings) as served:
        document, page = served("/openapi.json").body, served("/docs")
    assert document["openapi"].startswith("3.1")
    assert all(path in page.body for path in document["paths"])
    assert "script" not in page.headers["content-security-policy"]
    assert "<script" not in page.body
    assert "://" not in page.body
    assert json.dumps(document).count("HTTPValidationError") == 0
