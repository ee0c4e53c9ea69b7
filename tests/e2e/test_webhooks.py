"""Webhooks as a receiver sees them: real HTTP, and a deliverer of its own process where that matters."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from interfaces.bootstrap import signature_from_der, verifier
from tests.e2e.cli_tools import CommandLine
from tests.e2e.hook_tools import Came, Receiver, delivering, delivering_here, is_signed, receiving
from tests.e2e.http_tools import register, serving

CREDITED = "org.carbon-ledger.behavior.credited.v1"


def rides(people: Sequence[str], start: int, count: int) -> list[str]:
    """Rows of bike rides, person after person."""
    return [
        f"r{start + number},{people[number % len(people)]},cycling.shared_bike,2026-05-01T08:00:00+08:00,1.500,km,"
        for number in range(count)
    ]


def subscribe(cli: CommandLine, receiver: Receiver, *options: str) -> dict[str, Any]:
    cli("webhooks", "allow", receiver.origin, "--private")
    return cli("webhooks", "subscribe", f"{receiver.origin}/hook?x=1", *(options or ("--kind", "credited")))


def positions(cli: CommandLine) -> list[int]:
    """Of all credits, as the log has them."""
    with cli.sql() as conn:
        query = "SELECT notification_id FROM journal.ledger_events WHERE topic = 'carbon.account.behavior-credited.v1'"
        return sorted(row[0] for row in conn.execute(query))


def stands(cli: CommandLine, made: Mapping[str, Any]) -> dict[str, Any]:
    return cli("webhooks", "show", made["id"])


def soon(cli: CommandLine, made: Mapping[str, Any], **expected: object) -> dict[str, Any]:
    """The subscription, once it stands so."""
    deadline = time.monotonic() + 20
    while not expected.items() <= (found := stands(cli, made)).items():
        assert time.monotonic() < deadline, (expected, found)
        time.sleep(0.05)
    return found


def test_every_credit_is_told_in_the_order_of_its_account_and_signed_twice(cli: CommandLine) -> None:
    people = [f"person-{number}" for number in range(5)]
    with receiving() as receiver:
        made = subscribe(cli, receiver)
        cli.credit(*rides(people, 0, 300))
        # Two at once: the lease keeps them apart.
        with delivering(cli.settings), delivering_here(cli.settings):
            receiver.wait_for(300)
            cli.credit(*rides(people, 300, 20))
            receiver.wait_for(320)
        assert sorted(each.position for each in receiver.came) == positions(cli)
        assert all(told == sorted(told) for told in receiver.by_account().values())
        assert len(receiver.by_account()) == 5
        first = receiver.came[0]
        assert first.path == "/hook?x=1"
        assert first.headers["content-type"] == "application/cloudevents+json"
        assert all(is_signed(made["secret"], each) for each in receiver.came)
        assert not is_signed(made["secret"], first._replace(body=first.body + b" "))
        assert is_signed_by_the_log(cli, first)
        assert not is_signed_by_the_log(cli, first._replace(body=first.body + b" "))
    found = stands(cli, made)
    assert (found["delivered"], found["waiting"], found["dead"], found["failed"]) == (320, 0, 0, 0)
    (told,) = [each for each in cli("access", "list")["accesses"] if each["command"] == "webhooks subscribe"]
    assert told["object"] == f"{made['id']} {receiver.origin}"


def is_signed_by_the_log(cli: CommandLine, came: Came) -> bool:
    """Of the header ``webhook-signature-sm2``, by the document."""
    version, key, signature = came.headers["webhook-signature-sm2"].split(",")
    keys = cli("keys", "show")["signing"]
    (public,) = [bytes.fromhex(each["public_key"]) for each in keys if each["key"] == key]
    text = f"{came.headers['webhook-id']}.{came.headers['webhook-timestamp']}.".encode() + came.body
    signed = b"carbon-ledger/webhook/v1\0" + text
    return version == "v1" and verifier().verify(public, signed, signature_from_der(base64.b64decode(signature)))


def test_a_receiver_that_fails_is_tried_again_and_order_is_kept(cli: CommandLine) -> None:
    seen: dict[int, list[float]] = {}

    def fails_at_first(came: Came) -> tuple[int, Mapping[str, str]]:
        seen.setdefault(came.position, []).append(came.at_s)
        return (503, {}) if len(seen[came.position]) < 3 else (200, {})

    with receiving(fails_at_first) as receiver:
        made = subscribe(cli, receiver)
        cli.credit(*rides(["ann", "bob"], 0, 6))
        with delivering_here(cli.settings, tries=2):
            receiver.wait_for(6)
    assert all(len(times) == 3 for times in seen.values())
    assert all(told == sorted(told) for told in receiver.by_account().values())
    ids = {each.headers["webhook-id"]: each.body for each in receiver.came}
    assert all(ids[each.headers["webhook-id"]] == each.body for each in receiver.came)
    found = stands(cli, made)
    # Two tries would have been enough to give it up, had others got through.
    assert (found["failed"], found["waiting"]) == (12, 0)


def test_a_receiver_that_asks_for_patience_is_left_alone(cli: CommandLine) -> None:
    def busy_at_first(came: Came) -> tuple[int, Mapping[str, str]]:
        return (204, {}) if len(receiver.came) > 1 else (429, {"retry-after": "1"})

    with receiving(busy_at_first) as receiver:
        subscribe(cli, receiver)
        cli.credit(*rides(["ann", "bob", "carl"], 0, 3))
        with delivering_here(cli.settings, longest_pause_seconds=60):
            receiver.wait_for(3)
        first, second = sorted(each.at_s for each in receiver.came)[:2]
        # As many as were on their way when it answered came before.
        waited = [each.at_s - first for each in receiver.came if each.at_s - first > 0.5]
        assert second >= first
        assert waited
        assert min(waited) >= 0.95


def test_a_message_that_is_refused_is_given_up_and_sent_again_when_asked(cli: CommandLine) -> None:
    poison: set[int] = set()

    def refuses_one(came: Came) -> tuple[int, Mapping[str, str]]:
        if came.position in poison:
            return 400, {}
        return 204, {}

    with receiving(refuses_one) as receiver:
        made = subscribe(cli, receiver)
        cli.credit(*rides(["ann", "bob"], 0, 6))
        poison.add(positions(cli)[0])
        with delivering_here(cli.settings):
            found = soon(cli, made, dead=1, waiting=0)
            assert found["delivered"] == 5
            (letter,) = cli("webhooks", "dead-letters", made["id"])["dead_letters"]
            assert (letter["position"], letter["error"], letter["tries"]) == (min(poison), "status_400", 4)
            came = [each.position for each in receiver.came]
            ann = next(e.event["data"]["account_id"] for e in receiver.came if e.position in poison)
            later = [
                e.position for e in receiver.came if e.event["data"]["account_id"] == ann and e.position not in poison
            ]
            # What came after it in its account waited until it was given up; others did not.
            assert came.index(later[0]) > max(place for place, at in enumerate(came) if at in poison)
            poison.clear()
            cli("webhooks", "replay", made["id"], "--dead-letters")
            soon(cli, made, dead=0, waiting=0, delivered=6)
    assert sorted(each.position for each in receiver.taken) == positions(cli)


def test_a_slow_receiver_delays_nobody_else_and_a_stop_waits_for_its_answer_alone(cli: CommandLine) -> None:
    gate = threading.Event()

    def waits(came: Came) -> tuple[int, Mapping[str, str]]:
        gate.wait(20)
        return 204, {}

    with receiving(waits) as slow, receiving() as quick:
        stuck, well = subscribe(cli, slow), subscribe(cli, quick)
        people = [f"person-{number}" for number in range(10)]
        cli.credit(*rides(people, 0, 100))
        with delivering_here(cli.settings):
            slow.wait(lambda r: len(r.came) >= 4)
            quick.wait_for(100)
            cli.credit(*rides(people, 100, 100))
            quick.wait_for(200)
            # No more than its few connections, and no more than its window, are bound by it.
            assert len(slow.came) == 4
            assert stands(cli, stuck)["waiting"] <= 256
            gate.set()
            slow.wait_for(200)
            soon(cli, stuck, delivered=200)
    assert stands(cli, well)["delivered"] == 200


def test_a_receiver_that_is_down_for_long_is_disabled_and_loses_nothing(cli: CommandLine) -> None:
    is_down = [True]
    with receiving(lambda came: (500 if is_down[0] else 204, {})) as receiver:
        made = subscribe(cli, receiver)
        cli.credit(*rides(["ann", "bob"], 0, 10))
        with delivering_here(cli.settings, disable_after_seconds=1, tries=1):
            found = soon(cli, made, state="disabled")
            assert (found["reason"], found["dead"], found["delivered"]) == ("status_500", 0, 0)
            is_down[0] = False
            cli("webhooks", "replay", made["id"], "--dead-letters")
            soon(cli, made, state="active", delivered=10)
            receiver.taken.clear()
            second = positions(cli)[4]
            cli("webhooks", "replay", made["id"], "--from-position", str(second))
            receiver.wait_for(6)
            soon(cli, made, delivered=16)
    assert sorted(each.position for each in receiver.taken) == positions(cli)[4:]


def test_nothing_is_sent_where_the_operator_took_the_target_back_or_a_redirect_leads(cli: CommandLine) -> None:
    with receiving() as elsewhere, receiving(lambda came: (302, {"location": elsewhere.origin})) as receiver:
        cli("webhooks", "allow", elsewhere.origin, "--private")
        made = subscribe(cli, receiver)
        cli.credit(*rides(["ann"], 0, 1))
        with delivering_here(cli.settings):
            receiver.wait(lambda r: len(r.came) >= 1)
            assert soon(cli, made, reason="status_302")["delivered"] == 0
            cli("webhooks", "disallow", receiver.origin)
            soon(cli, made, reason="target_not_allowed")
            count = len(receiver.came)
            time.sleep(0.6)
            assert len(receiver.came) == count
        assert elsewhere.came == []
    refused = cli.refused("webhooks", "subscribe", f"{receiver.origin}/", "--kind", "credited")
    assert refused == "target_not_allowed"


def test_what_a_revision_and_a_reversal_change_and_what_a_balance_crosses_is_told(cli: CommandLine) -> None:
    with receiving() as receiver:
        each = 100_000
        kinds = ("--kind", "reversed", "--kind", "revised", "--kind", "crossed")
        subscribe(cli, receiver, *kinds, "--threshold-mg", str(each))
        cli.credit(
            "b1,ann,cycling.shared_bike,2019-03-01T09:15:00+08:00,3.1,km,CN-440300",
            "b2,ann,cycling.shared_bike,2019-03-02T09:15:00+08:00,3.1,km,CN-440300",
        )
        cli("revision", "plan", "CYCLING-SHARED@2", "--from", "2019-01-01", "--to", "2020-01-01", "--by", "alice")
        cli("revision", "approve", "R1", "--by", "bob")
        cli("revision", "apply", "R1")
        cli("behaviors", "reverse", "ann", "b1", "--reason", "refunded", "--by", "alice")
        cli("behaviors", "reverse", "ann", "b2", "--reason", "refunded", "--by", "alice")
        with delivering_here(cli.settings):
            receiver.wait(lambda r: sum("reversed" in e.event["type"] for e in r.taken) == 2 and len(r.taken) >= 5)
            time.sleep(0.2)
        events = [came.event for came in receiver.taken]
    total = 0
    for entry in cli("account", "statement", "ann")["entries"]:
        change, told = int(entry["change_mg"]), [e for e in events if e["data"]["position"] == entry["position"]]
        kinds_told = {e["type"].split(".")[-2] for e in told}
        crosses = (total < each) != (total + change < each)
        assert kinds_told == ({entry["kind"]} - {"credited"} | ({"crossed"} if crosses else set()))
        for event in told:
            if event["type"] == "org.carbon-ledger.balance.crossed.v1":
                assert (event["data"]["before_mg"], event["data"]["balance_mg"]) == (str(total), str(total + change))
                assert event["id"] == f"{entry['position']}-crossed-{each}"
            else:
                assert event["data"]["change_mg"] == str(change)
        total += change
    assert sum(e["type"] == "org.carbon-ledger.balance.crossed.v1" for e in events) == 2


def test_a_partner_is_told_of_its_own_credits_and_of_no_account(cli: CommandLine) -> None:
    for partner in ("dev-partner", "other"):
        register(cli, partner, "--all-behaviors")
    with receiving() as receiver, serving(cli.settings) as served:
        cli("webhooks", "allow", receiver.origin, "--private", "--partner", "dev-partner")
        wish = {"url": f"{receiver.origin}/p", "kinds": ["credited", "reversed"]}
        assert served("/v1/webhooks", "bank_backend", method="POST", body=wish).code == "target_not_allowed"
        refused = served("/v1/webhooks", "partner", method="POST", body={**wish, "kinds": ["revised"]})
        assert refused.code == "webhook_kind_refused"
        made = served("/v1/webhooks", "partner", method="POST", body=wish).body
        for partner in ("dev-partner", "other"):
            row = f"{partner}-1,ann,cycling.shared_bike,2026-05-01T08:00:00+08:00,1.500,km,"
            cli.credit(row, options=("--open-accounts", "--partner", partner), name=f"{partner}.csv")
            cli("behaviors", "reverse", "ann", f"{partner}-1", "--partner", partner, "--reason", "x", "--by", "alice")
        with delivering_here(cli.settings):
            receiver.wait_for(2)
            soon(cli, made, waiting=0, delivered=2)
            cli("partner", "suspend", "dev-partner", "--reason", "odd readings", "--by", "carl")
            cli("webhooks", "replay", made["id"], "--from-position", "1")
            assert soon(cli, made, reason="partner_suspended")["delivered"] == 2
        assert len(receiver.came) == 2
        told = [came.event for came in receiver.came]
        assert [event["type"].split(".")[-2] for event in told] == ["credited", "reversed"]
        assert told[0]["data"]["position"] == positions(cli)[0]
        text = json.dumps(told)
        assert not any(
            secret in text for secret in ("ann", "dev-partner-1", cli("account", "show", "ann")["account_id"])
        )
        assert is_signed(made["secret"], receiver.came[0])
        path = f"/v1/webhooks/{made['id']}"
        assert served(path, "bank_backend").code == "webhook_unknown"
        assert served(path, "operator").body["delivered"] == 2
        assert "secret" not in served(path, "partner").body
        assert served(f"{path}/replay", "partner", method="POST", body={"from_position": 1}).body["position"] == 0
        # Whatever was not told yet is not passed over.
        ahead = served(f"{path}/replay", "partner", method="POST", body={"from_position": 2})
        assert (ahead.status, ahead.code) == (404, "position_unknown")
        assert served(path, "partner").body["position"] == 0
        assert served(f"{path}/dead-letters", "partner").body == {"dead_letters": []}
        assert "carbon_ledger_webhooks_delivered 2.0" in served("/metrics").body
        assert served(path, "partner", method="DELETE").body["id"] == made["id"]
        assert served("/v1/webhooks", "operator").body == {"webhooks": []}


def test_one_subscription_that_cannot_go_on_keeps_no_other_from_it_and_says_why(cli: CommandLine) -> None:
    with receiving() as receiver:
        broken, whole = subscribe(cli, receiver), subscribe(cli, receiver)
        with cli.sql() as conn:
            conn.execute("UPDATE webhooks.subscriptions SET url = 'no address' WHERE id = %s", (broken["id"],))
        with delivering_here(cli.settings):
            cli.credit(*rides(["ann"], 0, 3))
            receiver.wait_for(3)
            assert soon(cli, broken, reason="target_malformed")["delivered"] == 0
            with cli.sql() as conn:
                conn.execute("UPDATE webhooks.subscriptions SET url = %s WHERE id = %s", (whole["url"], broken["id"]))
            assert soon(cli, broken, delivered=3, waiting=0)["reason"] == ""
        assert stands(cli, whole)["delivered"] == 3


def test_the_log_is_the_queue_however_long_nobody_delivers(cli: CommandLine) -> None:
    with receiving() as receiver:
        made = subscribe(cli, receiver)
        cli.credit(*rides([f"person-{number}" for number in range(40)], 0, 1_500))
        with cli.sql() as conn:
            assert conn.execute("SELECT count(*) FROM webhooks.messages").fetchone() == (0,)
        with delivering_here(cli.settings):
            receiver.wait_for(1_500)
            soon(cli, made, delivered=1_500, waiting=0)
    assert sorted(each.position for each in receiver.came) == positions(cli)
    assert all(told == sorted(told) for told in receiver.by_account().values())


def test_a_receiver_that_says_it_is_gone_is_sent_nothing_more(cli: CommandLine) -> None:
    with receiving(lambda came: (410, {})) as receiver:
        made = subscribe(cli, receiver)
        cli.credit(*rides(["ann"], 0, 3))
        with delivering_here(cli.settings):
            found = soon(cli, made, state="disabled")
        assert (found["reason"], found["waiting"], found["dead"], len(receiver.came)) == ("gone", 3, 0, 1)


def test_there_are_only_so_many_subscriptions_and_positions(cli: CommandLine) -> None:
    register(cli, "metro", "--all-behaviors")
    cli("webhooks", "allow", "https://hooks.example", "--partner", "metro")
    wish = ("webhooks", "subscribe", "https://hooks.example/x", "--kind", "credited", "--partner", "metro")
    made = [cli(*wish) for _ in range(4)][-1]
    assert cli.refused(*wish) == "too_many_webhooks"
    cli("webhooks", "unsubscribe", made["id"])
    assert cli(*wish)["partner"] == "metro"
    assert cli.refused("webhooks", "show", made["id"]) == "webhook_unknown"
    kept = cli("webhooks", "list")["webhooks"][0]["id"]
    assert cli.refused("webhooks", "replay", kept, "--from-position", "1000000") == "position_unknown"
    assert cli.refused(*wish[:-1], "nobody") == "partner_unknown"
    assert cli.refused("webhooks", "allow", "https://hooks.example/path") == "target_malformed"
    assert cli.refused("webhooks", "disallow", "https://elsewhere.example") == "target_unknown"
