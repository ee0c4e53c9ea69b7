"""Erasing a person by the command line: two people, what is told before and afterwards, and when it is effective."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.cli_tools import METRO, CommandLine

WALK = "w1,ann,travel.walking,2026-03-01T18:00:00+08:00,2,km,CN-440300"
BEN = "t9,ben,travel.metro,2026-03-01T08:15:00+08:00,12.350,km,CN-440300"
REASON = "letter of Ann Wang"


def erase(cli: CommandLine, account: str = "ann") -> dict[str, Any]:
    cli("account", "erase", account, "--by", "alice", "--reason", REASON, "--ground", "unlawful")
    return cli("account", "approve-erasure", account, "--by", "bob")


def test_an_erasure_is_asked_for_shown_approved_by_another_and_effective_after_a_rewrap(cli: CommandLine) -> None:
    cli.credit(METRO, WALK, BEN)
    asked = cli("account", "erase", "ann", "--by", "alice", "--reason", REASON)
    assert asked["ground"] == "consent-withdrawn"
    shown = cli("account", "show", "ann")["erasure"]
    assert shown == {
        "requested": asked["position"],
        "requested_by": "alice",
        "ground": "consent-withdrawn",
        "reason": REASON,
        "approved_by": None,
        "erased": None,
        "epoch": None,
        "effective": False,
    }
    assert REASON in cli.run("account", "show", "ann").stdout
    assert cli.refused("account", "approve-erasure", "ann", "--by", "alice") == "same_actor"
    size = cli("totals")["position"]
    done = cli("account", "approve-erasure", asked["account_id"], "--by", "bob")
    assert done == {
        "account_id": asked["account_id"],
        "position": size + 1,
        "epoch": 1,
        "effective": False,
    }
    cli("keys", "rewrap")
    gone = cli("account", "show", asked["account_id"])["erasure"]
    assert gone == {
        **shown,
        "reason": None,
        "approved_by": "bob",
        "erased": done["position"],
        "epoch": 1,
        "effective": True,
    }
    assert cli("account", "show", "ben")["account_ref"] == "ben"


def test_numbers_stay_and_whatever_is_personal_reads_as_erased(cli: CommandLine) -> None:
    cli.credit(METRO, WALK, BEN)
    cli("behaviors", "reverse", "ann", "w1", "--reason", REASON, "--by", "alice")
    before, held = cli("totals"), cli("account", "show", "ann")
    account = erase(cli)["account_id"]
    after = cli("totals")
    assert {**after, "position": 0} == {**before, "position": 0}
    shown = cli("account", "show", account)
    assert shown["by_behavior"] == held["by_behavior"]
    assert (shown["account_ref"], shown["status"], shown["consents"]) == (None, "erased", [])
    entries = cli("account", "statement", account)["entries"]
    assert [entry["source_ref"] for entry in entries] == [None] * 3
    told = cli("account", "explain", account, "w1")
    assert (told["source_ref"], told["occurred_at"], told["valuations"][-1]["reason"]) == (None, None, None)
    people = [
        cli.run("account", *words).stdout
        for words in (("show", account), ("statement", account), ("explain", account, "w1"))
    ]
    assert all("erased" in text for text in people)
    assert not [text for text in people if REASON in text or "T18:00" in text]
    for kernel in ("reference", "fast"):
        replayed = cli("replay", "--kernel", kernel)
        assert (replayed["mismatches"], replayed["digest"]) == (0, before["digest"])
    assert cli("archive", "verify")["differences"] == []
    assert cli("views", "check")["equal"]


def test_an_erased_reference_is_unknown_its_rows_stay_taken_and_the_person_may_return(cli: CommandLine) -> None:
    cli.credit(METRO)
    account = erase(cli)["account_id"]
    for words in (("show", "ann"), ("statement", "ann"), ("explain", "ann", "t1")):
        assert cli.refused("account", *words) == "account_unknown"
    other = METRO.replace("12.350", "1.000")
    assert cli.credit(other, options=(), name="again.csv")["duplicates"] == 1
    assert cli.credit(WALK, options=(), name="walk.csv")["rejected_by_code"] == {"account_unknown": 1}
    assert cli.credit(WALK, name="walk2.csv")["accounts_opened"] == 1
    assert cli("account", "show", "ann")["account_id"] != account
    assert cli("replay")["mismatches"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("account", "freeze", "--by", "x", "--reason", "y"),
        ("account", "close", "--by", "x", "--reason", "y"),
        ("account", "erase", "--by", "x", "--reason", "y"),
        ("account", "approve-erasure", "--by", "x"),
        ("consent", "grant", "--terms", "1", "--evidence", "0" * 64, "--by", "x"),
    ],
)
def test_nothing_more_is_done_to_an_erased_account(cli: CommandLine, words: tuple[str, ...]) -> None:
    cli.credit(METRO)
    account = erase(cli)["account_id"]
    size = cli("totals")["position"]
    assert cli.refused(*words[:2], account, *words[2:]) == "account_erased"
    assert cli.refused("behaviors", "reverse", account, "t1", "--reason", "x", "--by", "y") == "account_erased"
    assert cli("totals")["position"] == size


def test_a_frozen_account_is_not_erased(cli: CommandLine) -> None:
    cli.credit(METRO)
    cli("account", "freeze", "ann", "--by", "alice", "--reason", "court order")
    assert cli.refused("account", "erase", "ann", "--by", "alice", "--reason", REASON) == "account_frozen"


def test_tables_that_do_not_agree_with_the_receipts_are_found(cli: CommandLine) -> None:
    """A person erased without a receipt, and a receipt after which the person is still there."""
    cli.credit(METRO, BEN)
    with cli.sql() as conn:
        conn.execute("CREATE TABLE kept AS SELECT * FROM journal.account_keys")
        conn.execute("CREATE TABLE named AS SELECT * FROM journal.account_refs")
    account = erase(cli)["account_id"]
    assert cli("replay")["mismatches"] == 0
    with cli.sql() as conn:
        conn.execute("DELETE FROM journal.account_keys")
    found = cli("replay", code=3)["details"]
    assert [(each["what"], each["booked"]) for each in found] == [("personal part", "does not open")]
    with cli.sql() as conn:
        conn.execute("INSERT INTO journal.account_keys SELECT * FROM kept")
        conn.execute("INSERT INTO journal.account_refs SELECT * FROM named ON CONFLICT DO NOTHING")
    found = cli("replay", code=3)["details"]
    assert {each["what"] for each in found} == {"erasure"}
    assert {each["stream"] for each in found} == {account}
    assert len(found) == 2
