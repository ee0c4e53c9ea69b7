"""The SDK of partners against a service: it credits as an import does, and loses and doubles nothing on a bad wire."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger_sdk import (
    AsyncPartnerClient,
    Behavior,
    Credited,
    Duplicate,
    NoAnswer,
    NotAuthentic,
    PartnerClient,
    PartnerKey,
    Refused,
    RefusedItem,
    Result,
    Retries,
    Untrusted,
)
from interfaces.bootstrap import Settings, open_ledger
from tests.e2e.cli_tools import HEADER, METRO, CommandLine
from tests.e2e.conftest import command_line
from tests.e2e.http_tools import Served, register, serving
from tests.e2e.sdk_tools import losing_wire, origin_of, real_behaviors
from tests.e2e.test_cli_background import until
from tests.fixtures.ledgers import Server, fresh_book
from tests.fixtures.people import open_accounts
from tests.fixtures.real_data import needs_real_data

README = (Path(__file__).resolve().parents[2] / "interfaces" / "partner_sdk" / "README.md").read_text("utf-8")
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
    # It is told after the answer.
    until(lambda: refused.value.request_id in served.log_text)


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


def signed(cli: CommandLine, served: Served, *, port: int | None = None, **changes: Any) -> PartnerClient:
    """A client of the partner metro-co, whose key openssl made."""
    return PartnerClient(f"http://127.0.0.1:{port or served.port}", **signing(cli), **{"retries": QUICK, **changes})


def signing(cli: CommandLine) -> dict[str, Any]:
    """What a signed client is made with; registers metro-co where it is not yet."""
    private, public = cli.folder / "metro-co.pem", cli.folder / "metro-co.pub"
    if not private.exists():
        subprocess.run(["openssl", "genpkey", "-algorithm", "SM2", "-out", private], check=True)
    key = PartnerKey.from_file(private)
    if key.id not in str(cli("partner", "list")):
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        names = ("partner", "register", "metro-co", "--all-behaviors", "--key", str(public), "--by", "alice")
        cli(*names, "--to-sign", str(cli.folder / "possession.bin"))
        possession = base64.b64decode(key.sign((cli.folder / "possession.bin").read_bytes()))
        proposed = cli(*names, "--possession", cli.bytes(possession, name="possession.sig"))
        cli("partner", "approve", proposed["proposal"], "--by", "bob")
        (cli.folder / "possession.bin").unlink()
    return {"origin": origin_of(cli), "key": key, "log_keys": [cli.run("keys", "show", "--public").stdout]}


@pytest.mark.parametrize("sealed", [False, True])
def test_a_signed_request_is_credited_and_its_receipt_believed(
    cli: CommandLine, served: Served, *, sealed: bool
) -> None:
    rides = [RIDE, RIDE._replace(source_ref="t2", quantity="1e3"), RIDE]
    with signed(cli, served, sealed=sealed) as client:
        (told,) = client.send(rides)
    assert [type(item) for item in told.items] == [Credited, RefusedItem, Duplicate]
    assert told.receipt is not None
    assert told.kept is not None
    assert told.receipt.partner == "metro-co"
    assert cli("account", "explain", "ann", "t1", "--partner", "metro-co")["credited_mg"] == "889200"
    assert cli("check")["ok"]


@pytest.mark.parametrize("sealed", [False, True])
def test_signed_requests_survive_a_wire_that_loses_answers(cli: CommandLine, served: Served, *, sealed: bool) -> None:
    rides = [RIDE._replace(source_ref=f"lost-{number}") for number in range(5)]
    with losing_wire(served.port, lose=3) as wire, signed(cli, served, port=wire.port, sealed=sealed) as client:
        (told,) = client.send(rides)
        assert wire.lost == 3
    assert all(isinstance(item, Duplicate) and item.first is not None for item in told.items)
    assert told.receipt is not None
    assert cli("totals")["credits"] == 5


def test_a_key_that_was_revoked_ends_and_the_caller_is_told_which_code_says_so(
    cli: CommandLine, served: Served
) -> None:
    with signed(cli, served) as client:
        assert isinstance(client.credit(RIDE), Credited)
        key = signing(cli)["key"].id
        cli("partner", "revoke-key", "metro-co", "--key", key, "--by", "carol", "--reason", "it was stolen")
        with pytest.raises(NotAuthentic) as refused:
            client.credit(RIDE._replace(source_ref="t2"))
    assert (refused.value.code, refused.value.status) == ("partner_key_revoked", 401)
    assert cli("totals")["credits"] == 1


def test_a_client_that_expects_another_ledger_sends_it_nothing(cli: CommandLine, served: Served) -> None:
    other = {**signing(cli), "origin": "carbon-ledger/another"}
    stranger = subprocess.run(["openssl", "genpkey", "-algorithm", "SM2"], check=True, capture_output=True).stdout
    public = subprocess.run(["openssl", "pkey", "-pubout"], input=stranger, check=True, capture_output=True).stdout
    forged = {**signing(cli), "log_keys": [public.decode()]}
    for changes, code in ((other, "origin_differs"), (forged, "certificate_wrong")):
        with PartnerClient(f"http://127.0.0.1:{served.port}", **changes) as client, pytest.raises(Untrusted) as refused:
            client.credit(RIDE)
        assert refused.value.code == code
    assert cli("totals")["credits"] == 0


def opened(settings: Settings, folder: Path, rides: Sequence[Behavior]) -> CommandLine:
    with open_ledger(settings) as ledger:
        open_accounts(ledger.book, sorted({ride.account_ref for ride in rides}))
    return CommandLine(settings, folder)


async def sent(address: str, rides: Sequence[Behavior], **changes: Any) -> list[Result]:
    """By the client for asyncio, several requests at once."""
    async with AsyncPartnerClient(address, **changes) as client:
        parts = [rides[start::3] for start in range(3)]
        told = await asyncio.gather(*(collected(client, part) for part in parts))
    return [item for each in told for item in each]


async def collected(client: AsyncPartnerClient, rides: Sequence[Behavior]) -> list[Result]:
    found: list[Result] = []
    async for acknowledged in client.send(rides):
        assert acknowledged.receipt is not None
        found += acknowledged.items
    return found


@needs_real_data
def test_real_rows_sent_by_the_sdk_end_as_the_import_of_a_file_of_them(
    server: Server, book_template: str, tmp_path: Path
) -> None:
    rides, size = real_behaviors(ROWS), 10_000 if ROWS is None else 150
    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path):
        cli = opened(settings, tmp_path, rides)
        file = cli.file(*map(",".join, rides), name="real.csv", header=HEADER)
        imported = cli("behaviors", "import", file, "--partner", "metro-co")
        by_file = cli("totals", "--by-ref")
    with fresh_book(server, book_template) as settings, command_line(settings, tmp_path):
        cli = opened(settings, tmp_path, rides)
        half = len(rides) // 2
        with serving(settings) as served:
            with signed(cli, served, items_per_request=size, timeout_s=300) as client:
                told = [item for acknowledged in client.send(rides[:half]) for item in acknowledged.items]
            assert [item.source_ref for item in told] == [ride.source_ref for ride in rides[:half]]
            address = f"http://127.0.0.1:{served.port}"
            rest = {**signing(cli), "items_per_request": size, "timeout_s": 300, "sealed": True}
            told += asyncio.run(sent(address, rides[half:], **rest))
        by_sdk = cli("totals", "--by-ref")
        assert cli("replay")["mismatches"] == 0
    assert [by_sdk[key] for key in ("digest", "credits", "credited_mg")] == [
        by_file[key] for key in ("digest", "credits", "credited_mg")
    ]
    counts = [sum(isinstance(item, kind) for item in told) for kind in (Credited, Duplicate, RefusedItem)]
    assert counts == [imported[key] for key in ("credited", "duplicates", "rejected")]
    assert imported["credited"] > 250


def test_the_example_of_the_sdks_readme_runs_as_it_stands(
    cli: CommandLine, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"(?ms)^```python\n(.*?)^```", README)
    given = signing(cli)
    (cli.folder / "metro-co.pem").rename(cli.folder / "partner.pem")
    (cli.folder / "log.pem").write_text(given["log_keys"][0], "ascii")
    # The two things that differ from ledger to ledger, and that the example leaves open.
    names: dict[str, Any] = {"LEDGER": f"http://127.0.0.1:{served.port}", "ORIGIN": given["origin"]}
    exec(example, names)
    assert capsys.readouterr().out.splitlines() == ["ride-77: 889200 mg", "ride-78: 655200 mg"]
    assert names["keep"].signed
    assert cli("totals")["credits"] == 2
