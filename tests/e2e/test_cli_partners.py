"""`partner`: two people register one, one person stops it at once, and what it may not send is never credited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from application import partners
from application.importing import ImportResult, import_behaviors
from domain.screening import Rules
from infrastructure.behavior_files import open_behavior_file
from interfaces.bootstrap import Ledger, Settings, open_ledger
from interfaces.verifier import build
from tests.e2e.act_tools import People
from tests.e2e.cli_tools import METRO, CommandLine, rejects
from tests.e2e.test_cli_lawless_rulebook import alone
from tests.e2e.test_verifier_file_on_bundles import told_by_the_file
from tests.fixtures import independent_verifier

# One worker compiles the kernel, the others load it.
pytestmark = pytest.mark.xdist_group("fast kernel")

BUS = "b1,ann,travel.bus,2026-03-01T09:15:00+08:00,1,trip,CN-440300"
OF_METRO = ("--partner", "metro-co", "--open-accounts")
WHY = ("--reason", "odd readings", "--by", "carol")


@pytest.fixture
def people(cli: CommandLine) -> People:
    return People(cli)


def registered(cli: CommandLine, people: People, *terms: str, name: str = "metro-co", key: str = "metro") -> str:
    """A partner whose key file is at hand; returns the id of its key."""
    terms = terms or ("--all-behaviors",)
    made = cli("partner", "register", name, *terms, "--partner-key", people.key(key), "--by", "alice")
    assert made["state"] == "proposed"
    cli("partner", "approve", made["proposal"], "--by", "bob")
    found: str = made["key"]
    return found


def test_a_partner_is_registered_by_two_people_and_sends_what_it_may(cli: CommandLine, people: People) -> None:
    terms = ("--behavior", "travel.metro", "--rows-per-day", "10000", "--rows-per-request", "500")
    key = ("--partner-key", people.key("metro"))
    made = cli("partner", "register", "metro-co", *terms, *key, "--by", "alice")
    assert (made["proposal"], made["state"]) == ("P1", "proposed")
    (waiting,) = cli("partner", "list")["partners"]
    assert (waiting["partner"], waiting["state"], waiting["waiting"]) == ("metro-co", "proposed", ["P1"])
    assert cli.refused("partner", "approve", "P1", "--by", "Alice") == "same_actor"
    assert cli("partner", "approve", "P1", "--by", "bob")["state"] == "active"
    shown = cli("partner", "show", "metro-co")
    assert (shown["state"], shown["behaviors"]) == ("active", ["travel.metro"])
    assert (shown["rows_per_day"], shown["rows_per_request"]) == (10_000, 500)
    assert [(each["key"], each["state"]) for each in shown["keys"]] == [(made["key"], "active")]
    assert [(each["about"], each["state"], each["approved_by"]) for each in shown["proposals"]] == [
        ("registration", "approved", "bob")
    ]
    answer = cli.credit(METRO, BUS, options=(*OF_METRO, "--rejects", "refused.csv"))
    assert (answer["credited"], answer["rejected_by_code"]) == (1, {"behavior_not_allowed": 1})
    (refused,) = rejects("refused.csv")
    assert (refused["code"], refused["field"]) == ("behavior_not_allowed", "behavior")
    assert refused["remedy"]
    # A name that nobody registered is the bank's own to use.
    assert cli.credit(BUS, options=("--partner", "somebody", "--open-accounts"), name="b.csv")["credited"] == 1


def test_a_suspension_by_one_person_holds_at_once_until_two_end_it(cli: CommandLine, people: People) -> None:
    registered(cli, people)
    assert cli.credit(METRO, options=OF_METRO)["credited"] == 1
    assert cli("partner", "suspend", "metro-co", *WHY)["state"] == "suspended"
    more = METRO.replace("t1", "t2")
    answer = cli.credit(METRO, more, options=(*OF_METRO, "--rejects", "refused.csv"), name="again.csv")
    assert (answer["duplicates"], answer["rejected_by_code"]) == (1, {"partner_suspended": 1})
    (refused,) = rejects("refused.csv")
    assert (refused["source_ref"], refused["code"], refused["field"]) == ("t2", "partner_suspended", "partner")
    assert cli("partner", "show", "metro-co")["reason"] == "odd readings"
    assert cli.refused("partner", "suspend", "metro-co", *WHY) == "wrong_state"
    proposal = cli("partner", "resume", "metro-co", "--reason", "repaired", "--by", "alice")["proposal"]
    assert cli.credit(more, options=OF_METRO, name="still.csv")["rejected_by_code"] == {"partner_suspended": 1}
    assert cli.refused("partner", "approve", proposal, "--by", "alice") == "same_actor"
    assert cli("partner", "approve", proposal, "--by", "bob")["state"] == "active"
    assert cli.credit(more, options=OF_METRO, name="resumed.csv")["credited"] == 1
    assert cli("replay")["mismatches"] == 0
    assert cli("check")["ok"]


def test_terms_are_changed_in_whole_by_two_people(cli: CommandLine, people: People) -> None:
    registered(cli, people, "--behavior", "travel.metro", "--rows-per-day", "10")
    first = cli("partner", "terms", "metro-co", "--behavior", "travel.bus", "--by", "alice")["proposal"]
    second = cli("partner", "terms", "metro-co", "--all-behaviors", "--by", "alice")["proposal"]
    cli("partner", "approve", first, "--by", "bob")
    shown = cli("partner", "show", "metro-co")
    assert (shown["behaviors"], shown["rows_per_day"]) == (["travel.bus"], None)
    assert [(each["proposal"], each["state"]) for each in shown["proposals"]][1:] == [
        (first, "approved"),
        (second, "void"),
    ]
    assert cli.refused("partner", "approve", second, "--by", "bob") == "proposal_stale"
    misspelled = ("partner", "terms", "metro-co", "--behavior", "travel.metor", "--by", "alice")
    assert cli.refused(*misspelled) == "unknown_behavior"


def test_a_partner_keeps_its_key_elsewhere_and_changes_it_without_a_pause(cli: CommandLine, people: People) -> None:
    def proposed(*words: str, key: str) -> dict[str, Any]:
        """The partner signs on its own machine what the bank sends it."""
        text = people.new(f"{key}.txt")
        public = ("--key", people.public(key), "--by", "alice")
        told = cli.run("partner", *words, *public, "--to-sign", text, "--json")
        assert told.code == 0
        assert f'"file": "{text}"' in told.stdout
        unsigned = cli.refused("partner", *words, *public)
        assert unsigned == "partner_key_not_proven"
        return cli("partner", *words, *public, "--possession", people.signature(text, key, f"{key}.sig"))

    first = proposed("register", "metro-co", "--all-behaviors", key="old")
    other = people.signature(people.new("old.txt"), "new", "other.sig")
    stolen = ("partner", "register", "metro-co", "--all-behaviors", "--key", people.public("old"), "--by", "alice")
    assert cli.refused(*stolen, "--possession", other) == "partner_key_not_proven"
    cli("partner", "approve", first["proposal"], "--by", "bob")
    second = proposed("add-key", "metro-co", key="new")
    cli("partner", "approve", second["proposal"], "--by", "bob")

    def keys() -> list[tuple[str, str]]:
        return [(each["key"], each["state"]) for each in cli("partner", "show", "metro-co")["keys"]]

    assert keys() == [(first["key"], "active"), (second["key"], "active")]
    cli("partner", "revoke-key", "metro-co", "--key", first["key"], *WHY)
    assert keys() == [(first["key"], "revoked"), (second["key"], "active")]
    (listed,) = cli("partner", "list")["partners"]
    assert listed["keys"] == [second["key"]]
    again = ("partner", "add-key", "metro-co", "--key", people.public("old"), "--by", "alice")
    assert cli.refused(*again) == "partner_key_known"


def test_whoever_has_a_key_of_his_own_signs_what_he_decides_about_a_partner(cli: CommandLine, people: People) -> None:
    people.join("carol")
    made = ("partner", "register", "metro-co", "--all-behaviors", "--partner-key", people.key("metro"), "--by", "alice")
    proposal = cli(*made)["proposal"]
    for act in (("approve", proposal, "--by", "carol"), ("suspend", "metro-co", *WHY)):
        if act[0] == "approve":
            assert cli.refused("partner", *act) == "act_unsigned"
        cli("partner", *act, "--actor-key", people.key("carol"))
    key = cli("partner", "list")["partners"][0]["keys"][0]
    revoke = ("partner", "revoke-key", "metro-co", "--key", key, *WHY)
    assert cli.refused(*revoke) == "act_unsigned"
    text = people.new("revoke.txt")
    assert '"partner.revoke-key"' in cli.run(*revoke, "--to-sign", text, "--json").stdout
    cli(*revoke, "--signature", people.signature(text, "carol", "revoke.sig"))
    assert cli("check")["acts"]["signed"] == 3
    decided = [(each["command"], each["object"]) for each in cli("access", "list", "--actor", "carol")["accesses"]]
    assert decided == [(f"partner {act}", "metro-co") for act in ("approve", "suspend", "revoke-key")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("register", "metro-co", "--by", "alice"),
        ("register", "metro co", "--all-behaviors", "--by", "alice"),
        ("register", "metro-co", "--all-behaviors", "--behavior", "travel.bus", "--by", "alice"),
        ("register", "metro-co", "--all-behaviors", "--by", "alice"),
        ("terms", "metro-co", "--by", "alice"),
        ("suspend", "metro-co", "--by", "alice"),
    ],
)
def test_a_partner_command_that_says_too_little_or_too_much_is_wrong_usage(
    cli: CommandLine, arguments: tuple[str, ...]
) -> None:
    assert cli.refused("partner", *arguments, code=2) == "usage"


def test_nobody_knows_a_partner_that_was_never_proposed(cli: CommandLine) -> None:
    assert cli.refused("partner", "show", "metro-co") == "partner_unknown"
    assert cli.refused("partner", "suspend", "metro-co", *WHY) == "partner_unknown"
    assert cli.refused("partner", "approve", "P1", "--by", "bob") == "proposal_unknown"
    assert "no partners are registered" in cli.run("partner", "list").stdout


def test_people_are_told_what_a_partner_may_send_and_what_waits(cli: CommandLine, people: People) -> None:
    registered(cli, people, "--behavior", "travel.metro", "--rows-per-day", "10000")
    cli("partner", "terms", "metro-co", "--all-behaviors", "--by", "alice")
    (_, asked) = cli("partner", "show", "metro-co")["proposals"]
    assert asked["asks"] == {"behaviors": None, "rows_per_day": None, "rows_per_request": None}
    told = cli.run("partner", "show", "metro-co").stdout
    assert "travel.metro; rows a day: 10,000, a request: none; key " in told
    assert "all behaviors; rows a day: none, a request: none" in told
    listed, shown = cli.run("partner", "list").stdout, cli.run("partner", "show", "metro-co").stdout
    for text in (listed, shown):
        assert all(word in text for word in ("metro-co", "active", "travel.metro", "10,000", "P2"))
    ran = cli.run("partner", "suspend", "metro-co", *WHY)
    assert "its rows are refused" in ran.stdout
    assert "partner resume metro-co" in ran.stdout
    assert "odd readings" in cli.run("partner", "show", "metro-co").stdout


# -- in the middle of an import --------------------------------------------------------------------------------------


def test_a_suspension_in_the_middle_of_an_import_stops_the_rows_that_are_on_their_way(
    cli: CommandLine, people: People, book_settings: Settings
) -> None:
    registered(cli, people)
    rows = [METRO.replace("t1", f"t{n}").replace("ann", f"person{n}") for n in range(12)]
    source, done = open_behavior_file(Path(cli.file(*rows))), list[int]()

    def suspend_after_the_second_batch(so_far: ImportResult) -> None:
        done.append(so_far.credited)
        if len(done) == 2:
            # The third batch was decided while the second was made durable; it is not appended yet.
            partners.suspend(other.book, "metro-co", "carol", "odd readings")

    with open_ledger(book_settings) as ledger, open_ledger(book_settings) as other:
        result = import_behaviors(
            ledger.book,
            source,
            "metro-co",
            opens_accounts=True,
            progress=suspend_after_the_second_batch,
            batch_rows=2,
        )
    assert done == [2, 4, 4, 4, 4, 4]
    assert (result.credited, dict(result.rejected_by_code)) == (4, {"partner_suspended": 8})
    assert cli("replay")["mismatches"] == 0
    # What was refused stays free, and what was credited is credited once.
    proposal = cli("partner", "resume", "metro-co", "--reason", "repaired", "--by", "alice")["proposal"]
    cli("partner", "approve", proposal, "--by", "bob")
    again = cli.credit(*rows, options=OF_METRO, name="again.csv")
    assert (again["credited"], again["duplicates"]) == (8, 4)
    assert cli("replay")["mismatches"] == 0


def test_other_terms_in_the_middle_of_an_import_hold_for_the_rows_that_are_on_their_way(
    cli: CommandLine, people: People, ledger: Ledger, book_settings: Settings
) -> None:
    registered(cli, people)
    proposal = cli("partner", "terms", "metro-co", "--behavior", "travel.bus", "--by", "alice")["proposal"]
    rows = [METRO.replace("t1", "t2"), METRO, BUS, BUS.replace("b1", "b2"), METRO.replace("t1", "t3"), METRO]

    def approve_after_the_first_batch(so_far: ImportResult) -> None:
        if so_far.read == 1:
            partners.approve(ledger.book, proposal, "bob")

    with open_ledger(book_settings) as importing:
        result = import_behaviors(
            importing.book,
            open_behavior_file(Path(cli.file(*rows))),
            "metro-co",
            opens_accounts=True,
            progress=approve_after_the_first_batch,
            batch_rows=1,
        )
    assert (result.credited, dict(result.rejected_by_code)) == (3, {"behavior_not_allowed": 3})
    assert cli("replay")["mismatches"] == 0


# -- elsewhere -------------------------------------------------------------------------------------------------------


def test_a_lawful_book_with_partners_holds_for_every_verifier(cli: CommandLine, people: People) -> None:
    people.join("carol")
    registered(cli, people, "--behavior", "travel.metro")
    cli.credit(METRO, BUS, options=OF_METRO)
    cli("partner", "suspend", "metro-co", *WHY, "--actor-key", people.key("carol"))
    cli.credit(METRO.replace("t1", "t2"), options=OF_METRO, name="b.csv")
    path, key = cli.folder / "all.zip", cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    cli("export", "bundle", str(path))
    told = cli("verify", str(path), "--key", key)
    assert (told["ok"], told["findings"], told["acts"]["signed"], told["credits"]) == (True, [], 1, 1)
    cli.bytes(build.archive(build.contents()), name=build.NAME)
    by_the_file = told_by_the_file(cli, path)
    assert (by_the_file["ok"], by_the_file["acts"], by_the_file["digest"]) == (True, told["acts"], told["digest"])
    assert independent_verifier.verify(path, lambda *_: True) == {
        "travel.metro": int(told["by_behavior"]["travel.metro"])
    }


# -- around the rules ------------------------------------------------------------------------------------------------


@contextmanager
def a_program_that_asks_no_partner() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rules, "standing", lambda *_: None)
        yield


def test_a_credit_for_a_suspended_partner_is_found_by_replay_check_and_every_verifier(
    cli: CommandLine, people: People
) -> None:
    registered(cli, people, "--behavior", "travel.bus")
    cli.credit(METRO.replace("t1", "t0").replace("ann", "ben"), options=("--partner", "other", "--open-accounts"))
    with a_program_that_asks_no_partner():
        assert cli.credit(METRO, options=OF_METRO, name="a.csv")["credited"] == 1
        cli("partner", "suspend", "metro-co", *WHY)
        assert cli.credit(BUS, options=OF_METRO, name="b.csv")["credited"] == 1
    laws = ["behavior_not_allowed", "partner_suspended"]
    booked = {"travel.metro of metro-co", "travel.bus of metro-co"}
    for kernel in ("reference", "fast"):
        replayed = cli("replay", "--kernel", kernel, code=3)
        assert (replayed["mismatches"], [each["what"] for each in replayed["details"]]) == (2, laws)
        assert {each["booked"] for each in replayed["details"]} == booked
    checked = [each for each in cli("check", code=3)["findings"] if each["area"] == "replay"]
    assert [each["message"].partition(":")[0] for each in checked] == laws

    path, key = cli.folder / "all.zip", cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    cli("export", "bundle", str(path), "--redacted")
    found = cli("verify", str(path), "--key", key, code=3)
    assert [each["message"].partition(":")[0] for each in found["findings"]] == laws
    assert {each["step"] for each in found["findings"]} == {"accounts"}
    assert alone(cli, path, key)["findings"] == found["findings"]
    with pytest.raises(independent_verifier.Wrong, match="mismatch"):
        independent_verifier.verify(path, lambda *_: True)
