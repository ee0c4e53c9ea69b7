"""What an editor of the database who makes everything agree gets away with, and who finds it all the same."""

from __future__ import annotations

from typing import Any

import psycopg

from domain.audit.leaves import leaf_of
from domain.audit.merkle import extend, root_of
from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures.tampering import replace_in_facts

CREDIT = "carbon.account.behavior-credited.v1"
EVENTS = """
SELECT notification_id, originator_id, originator_version, topic, state, (
    SELECT recorded_us FROM journal.log_commits WHERE last_position >= e.notification_id ORDER BY last_position LIMIT 1)
FROM journal.ledger_events AS e ORDER BY 1
"""


def make_the_head_agree(conn: psycopg.Connection[Any]) -> None:
    """As somebody who has read the documents would."""
    ((book,),) = conn.execute("SELECT book FROM journal.log_head").fetchall()
    leaves = [
        leaf_of(book.bytes, position, stream.bytes, version, topic, recorded_us, bytes(state))
        for position, stream, version, topic, state, recorded_us in conn.execute(EVENTS).fetchall()
    ]
    frontier = extend(0, [], leaves)
    conn.execute("UPDATE journal.log_head SET frontier = %s, root = %s", (b"".join(frontier), root_of(frontier)))


def found_by_check(cli: CommandLine) -> set[tuple[str, str]]:
    return {(each["area"], each["code"]) for each in cli("check", code=3)["findings"]}


def test_an_edit_with_a_head_that_agrees_is_found_by_the_checkpoint_and_without_it_by_whoever_kept_it(
    cli: CommandLine,
) -> None:
    cli.credit(METRO)
    kept = cli("checkpoint", "sign")
    with cli.sql() as conn:
        assert replace_in_facts(conn, CREDIT, '"line":2', '"line":3')
        make_the_head_agree(conn)
    assert cli("replay")["mismatches"] == 0
    assert found_by_check(cli) == {("checkpoints", "log_changed")}
    with cli.sql() as conn:
        conn.execute("DELETE FROM journal.checkpoints")
    assert cli("check")["ok"]
    again = cli("checkpoint", "sign")
    assert (again["size"], again["root"] == kept["root"]) == (kept["size"], False)


def test_a_tail_cut_with_its_checkpoint_is_seen_by_nobody_but_whoever_kept_the_checkpoint(cli: CommandLine) -> None:
    cli.credit(METRO)
    before = cli("checkpoint", "sign")
    cli.credit(METRO.replace("t1", "t2"), name="more.csv")
    kept = cli("checkpoint", "sign")
    with cli.sql() as conn:
        for table, column in (
            ("ledger_events", "notification_id"), ("log_commits", "last_position"), ("behavior_refs", "position"),
        ):  # fmt: skip
            conn.execute(f"DELETE FROM journal.{table} WHERE {column} > %s".encode(), (before["size"],))
        conn.execute(
            "UPDATE journal.log_head SET size = %s, recorded_us = (SELECT max(recorded_us) FROM journal.log_commits)",
            (before["size"],),
        )
        make_the_head_agree(conn)
    assert ("log", "log_behind_checkpoint") in found_by_check(cli)
    assert cli.refused("checkpoint", "sign", code=3) == "log_behind_checkpoint"
    more = ("behaviors", "import", str(cli.folder / "more.csv"), "--open-accounts")
    assert cli.refused(*more, code=3) == "log_behind_checkpoint"
    assert cli.refused("keys", "rotate", "--by", "alice", code=3) == "log_behind_checkpoint"
    with cli.sql() as conn:
        conn.execute("DELETE FROM journal.checkpoints WHERE size = %s", (kept["size"],))
    assert cli("check")["ok"]
    assert cli("checkpoint", "sign")["size"] == before["size"] < kept["size"]
    assert cli.credit(METRO.replace("t1", "t2"), name="more.csv")["credited"] == 1


def test_a_fact_written_with_one_name_twice_is_found_and_refused_by_whoever_is_shown_it(cli: CommandLine) -> None:
    cli.credit(METRO)
    key, all_of_it = cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem"), str(cli.folder / "all.zip")
    with cli.sql() as conn:
        ((edited, *_),) = [replace_in_facts(conn, CREDIT, '"line":2', '"line":9,"line":2')]
        make_the_head_agree(conn)
    assert found_by_check(cli) == {("log", "facts_respelled")}
    assert cli("checkpoint", "sign")["is_new"]
    event, balance = (str(cli.folder / name) for name in ("event.json", "balance.json"))
    cli("export", "bundle", all_of_it)
    found = {each["code"] for each in cli("verify", all_of_it, "--key", key, code=3)["findings"]}
    assert "facts_respelled" in found
    assert cli.refused("prove", "event", str(edited.position), "--out", event, code=3) == "proof_not_made"
    assert cli.refused("prove", "balance", "ann", "--out", balance, code=3) == "proof_not_made"
