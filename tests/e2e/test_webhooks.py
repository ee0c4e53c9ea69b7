"""Webhooks as a receiver sees them: a deliverer of its own process, and real HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.e2e.cli_tools import CommandLine
from tests.e2e.hook_tools import Receiver, delivering, is_signed, receiving


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
        rows = conn.execute(
            "SELECT notification_id FROM journal.ledger_events WHERE topic = 'carbon.account.behavior-credited.v1'"
        )
        return sorted(row[0] for row in rows)


def test_every_credit_is_told_once_in_the_order_of_its_account_and_signed(cli: CommandLine) -> None:
    people = [f"person-{number}" for number in range(5)]
    with receiving() as receiver:
        made = subscribe(cli, receiver)
        cli.credit(*rides(people, 0, 100))
        with delivering(cli.settings):
            receiver.wait_for(100)
            cli.credit(*rides(people, 100, 20))
            receiver.wait_for(120)
        assert sorted(each.position for each in receiver.came) == positions(cli)
        assert all(told == sorted(told) for told in receiver.by_account().values())
        assert len(receiver.by_account()) == 5
        first = receiver.came[0]
        assert first.path == "/hook?x=1"
        assert first.headers["content-type"] == "application/cloudevents+json"
        assert all(is_signed(made["secret"], each) for each in receiver.came)
        assert not is_signed(made["secret"], first._replace(body=first.body + b" "))
    stands = cli("webhooks", "show", made["id"])
    assert (stands["delivered"], stands["waiting"], stands["dead"], stands["failed"]) == (120, 0, 0, 0)
