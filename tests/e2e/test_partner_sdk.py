"""The SDK of partners against a service: it credits as an import does, and loses and doubles nothing on a bad wire."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from carbon_ledger_sdk import (
    AsyncPartnerClient,
    Behavior,
    Credited,
    Duplicate,
    NoAnswer,
    NotAuthentic,
    PartnerClient,
    Refused,
    RefusedItem,
    Result,
    Retries,
)
from interfaces.bootstrap import Settings, open_ledger
from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.e2e.conftest import command_line
from tests.e2e.http_tools import Served, register, serving
from tests.e2e.sdk_tools import losing_wire, real_behaviors
from tests.fixtures.ledgers import Server, fresh_book
from tests.fixtures.people import open_accounts
from tests.fixtures.real_data import needs_real_data

RIDE = Behavior(*METRO.split(","))
QUICK = Retries(first_s=0.01, most_s=0.05)
ROWS = None if os.environ.get("CARBON_LEDGER_LONG") == "1" else 120
"""Of each file; None: all of them."""


@pytest.fixture
def served(cli: CommandLine) -> Iterator[Served]:
    cli("account", "open", "ann")
    cli.consent("ann")
    register(cli, "dev-partner", "--behavior", "travel.metro")
    with serving(cli.settings) as running:
        yield running


def unsigned(served: Served, *, port: int | None = None, token: str = "", retries: Retries = QUICK) -> PartnerClient:
    address = f"http://127.0.0.1:{port or served.port}"
    return PartnerClient(address, token=token or served.credentials["partner"], retries=retries)


def test_each_behavior_has_a_result_of_its_own_kind(served: Served) -> None:
    with unsigned(served) as client:
        assert client.credit(RIDE) == Credited("t1", client.credit(RIDE).first.position, 889_200)  # type: ignore[union-attr]
        (told,) = client.send([RIDE, RIDE._replace(source_ref="t2", quantity="1e3")])
    first, second = told.items
    assert isinstance(first, Duplicate)
    assert first.first is not None
    assert first.first.credited_mg == 889_200
    assert isinstance(second, RefusedItem)
    assert (second.source_ref, second.code, second.field) == ("t2", "malformed", "quantity")
    assert second.remedy


def test_a_refused_request_says_what_the_ledger_said_of_it(served: Served) -> None:
    with unsigned(served, token="nobody") as client, pytest.raises(NotAuthentic) as refused:
        client.credit(RIDE)
    assert (refused.value.status, refused.value.code) == (401, "token_invalid")
    assert refused.value.remedy
    assert refused.value.request_id in served.log_text


def test_a_lost_answer_is_asked_for_again_and_nothing_counts_twice(cli: CommandLine, served: Served) -> None:
    rides = [RIDE._replace(source_ref=f"lost-{number}") for number in range(5)]
    with losing_wire(served.port, lose=2) as wire, unsigned(served, port=wire.port) as client:
        (told,) = client.send(rides)
        assert wire.lost == 2
    firsts = [item.first for item in told.items if isinstance(item, Duplicate)]
    assert [first.source_ref for first in firsts if first is not None] == [ride.source_ref for ride in rides]
    assert cli("totals")["credits"] == 5
    assert cli("replay")["mismatches"] == 0


def test_when_no_try_is_answered_the_caller_is_told_that_nothing_is_known(cli: CommandLine, served: Served) -> None:
    with losing_wire(served.port, lose=9) as wire:
        with unsigned(served, port=wire.port, retries=QUICK._replace(tries=2)) as client, pytest.raises(NoAnswer):
            client.credit(RIDE)
        assert wire.lost == 2
    assert cli("totals")["credits"] == 1


def test_many_at_once_are_told_to_wait_and_come_again(cli: CommandLine) -> None:
    cli("account", "open", "ann")
    cli.consent("ann")

    async def drive(served: Served) -> list[Result]:
        address, token = f"http://127.0.0.1:{served.port}", served.credentials["bank_backend"]
        patient = QUICK._replace(tries=30)
        async with AsyncPartnerClient(address, token=token, retries=patient) as client:
            rides = [RIDE._replace(source_ref=f"many-{number}") for number in range(30)]
            return await asyncio.gather(*(client.credit(ride) for ride in rides))

    with serving(cli.settings, requests_per_second=10) as served:
        results = asyncio.run(drive(served))
        assert 429 in [line.get("status") for line in served.logged]
    assert all(isinstance(result, Credited) for result in results)
    assert cli("totals")["credits"] == 30


def test_what_the_terms_do_not_allow_is_refused_item_by_item(served: Served) -> None:
    with unsigned(served) as client:
        told = client.credit(RIDE._replace(behavior="travel.bus", quantity="1", unit="trip"))
    assert isinstance(told, RefusedItem)
    assert told.code == "behavior_not_allowed"


def test_an_address_that_is_none_of_the_ledgers_is_refused_and_not_tried_again(served: Served) -> None:
    address = f"http://127.0.0.1:{served.port}/elsewhere"
    with PartnerClient(address, token=served.credentials["partner"]) as client, pytest.raises(Refused) as refused:
        client.credit(RIDE)
    assert (refused.value.status, refused.value.code) == (404, "not_found")


def prepared(settings: Settings, folder: Path, rides: Sequence[Behavior]) -> CommandLine:
    with open_ledger(settings) as ledger:
        open_accounts(ledger.book, sorted({ride.account_ref for ride in rides}))
    cli = CommandLine(settings, folder)
    register(cli, "dev-partner", "--all-behaviors")
    return cli


@needs_real_data
def test_real_rows_sent_by_the_sdk_end_as_the_import_of_a_file_of_them(
    server: Server, book_template: str, tmp_path: Path
) -> None:
    rides = real_behaviors(ROWS)
    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path):
        cli = prepared(settings, tmp_path, rides)
        imported = cli("behaviors", "import", cli.file(*map(",".join, rides), name="real.csv", header=HEADER),
                       "--partner", "dev-partner")  # fmt: skip
        by_file = cli("totals", "--by-ref")
    (tmp_path / "partner.key").unlink()
    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path):
        cli = prepared(settings, tmp_path, rides)
        with serving(settings) as served:
            address, token = f"http://127.0.0.1:{served.port}", served.credentials["partner"]
            with PartnerClient(address, token=token, items_per_request=10_000 if ROWS is None else 150) as client:
                told = [item for acknowledged in client.send(rides) for item in acknowledged.items]
        by_sdk = cli("totals", "--by-ref")
        assert cli("replay")["mismatches"] == 0
    assert [by_sdk[key] for key in ("digest", "credits", "credited_mg")] == [
        by_file[key] for key in ("digest", "credits", "credited_mg")
    ]
    counts = [sum(isinstance(item, kind) for item in told) for kind in (Credited, Duplicate, RefusedItem)]
    assert counts == [imported[key] for key in ("credited", "duplicates", "rejected")]
    assert [item.source_ref for item in told] == [ride.source_ref for ride in rides]
    assert imported["credited"] > 250
