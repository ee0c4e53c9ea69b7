"""``check`` finds an edit of every kind of stored thing, and says where it is."""

from __future__ import annotations

import pytest

from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures.tampering import replace_in_facts

CREDIT = "carbon.account.behavior-credited.v1"


@pytest.fixture
def checked(cli: CommandLine) -> CommandLine:
    """A book with a checkpoint, a map and an archive, in which everything agrees."""
    cli.credit(METRO, METRO.replace("t1", "t2"), METRO.replace("t1", "t3").replace("ann", "bob"))
    cli("totals")
    cli("checkpoint", "sign", "--with-map")
    cli("archive", "build")
    found = cli("check")
    assert (found["ok"], found["count"], found["findings"]) == (True, 0, [])
    return cli


def test_everything_agrees_and_the_digest_is_that_of_the_totals(checked: CommandLine) -> None:
    assert checked("check")["digest"] == checked("totals")["digest"]
    assert checked.run("check").stdout.startswith("checked: everything agrees\n")


def areas(cli: CommandLine) -> set[tuple[str, str]]:
    found = cli("check", code=3)
    assert found["count"] >= len(found["findings"]) > 0
    for each in found["findings"]:
        assert each["place"]
        assert each["message"]
        assert each["remedy"]
    return {(each["area"], each["code"]) for each in found["findings"]}


def test_a_changed_fact_is_found_by_the_tree_by_replay_and_by_the_archive(checked: CommandLine) -> None:
    with checked.sql() as conn:
        assert replace_in_facts(conn, CREDIT, '"quantity":"12350"', '"quantity":"12351"')
    found = areas(checked)
    assert {("checkpoints", "log_changed"), ("log", "log_changed"), ("replay", "mismatch")} <= found
    assert ("archive", "archive_differs") in found


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (
            "UPDATE journal.ledger_events SET state = pg_temp.flip(state, 5) WHERE topic = '{credit}'",
            ("log", "log_changed"),
        ),
        (
            "UPDATE journal.ledger_events SET state = pg_temp.flip(state, length(state) - 1) WHERE topic = '{credit}'",
            ("log", "seal_broken"),
        ),
        (
            "UPDATE journal.log_commits SET recorded_us = recorded_us - 1 WHERE last_position > 50",
            ("log", "log_changed"),
        ),
        ("UPDATE journal.log_head SET root = pg_temp.flip(root, 0)", ("log", "log_changed")),
        (
            "UPDATE journal.log_head SET frontier = pg_temp.flip(frontier, 0)",
            ("log", "log_changed"),
        ),
        ("UPDATE journal.log_head SET book = gen_random_uuid()", ("log", "log_changed")),
        (
            "DELETE FROM journal.ledger_events WHERE notification_id IN (SELECT size FROM journal.log_head)",
            ("log", "log_changed"),
        ),
        (
            "UPDATE journal.account_keys SET wrapped = pg_temp.flip(wrapped, 20)",
            ("keys", "seal_broken"),
        ),
        ("DELETE FROM journal.account_keys", ("log", "account_key_missing")),
        ("DELETE FROM journal.account_refs", ("replay", "mismatch")),
        (
            "UPDATE journal.checkpoints SET note = pg_temp.flip(note, 130)",
            ("checkpoints", "checkpoint_forged"),
        ),
        (
            "UPDATE views.map_streams SET balances = 'travel.metro,1' || chr(10) WHERE balances > ''",
            ("map", "map_changed"),
        ),
        ("DELETE FROM views.map_streams WHERE balances > ''", ("map", "map_changed")),
        ("UPDATE views.map_parts SET value = pg_temp.flip(value, 0)", ("map", "map_changed")),
        ("UPDATE views.book_totals SET credited_mg = credited_mg + 1", ("views", "view_differs")),
    ],
)
def test_an_edit_is_found_where_it_is(checked: CommandLine, edit: str, finding: tuple[str, str]) -> None:
    with checked.sql() as conn:
        conn.execute(
            "CREATE FUNCTION pg_temp.flip(content bytea, place int) RETURNS bytea LANGUAGE sql AS"
            " 'SELECT set_byte(content, place, get_byte(content, place) # 1)'"
        )
        conn.execute(edit.format(credit=CREDIT).encode())
    assert finding in areas(checked)


def test_facts_that_are_respelled_are_found_though_they_mean_the_same(checked: CommandLine) -> None:
    with checked.sql() as conn:
        assert replace_in_facts(conn, CREDIT, '"quantity":"12350"', '"quantity": "12350"')
    assert ("log", "facts_respelled") in areas(checked)


def test_a_rulebook_that_is_no_json_is_corrupt_and_not_a_defect(checked: CommandLine) -> None:
    with checked.sql() as conn:
        assert replace_in_facts(conn, "carbon.decision.approved.v1", '"decision"', '"decision')
    assert checked.refused("totals", code=3) == "undecodable_event"


def test_what_can_be_made_anew_is_healed(checked: CommandLine) -> None:
    with checked.sql() as conn:
        conn.execute("DELETE FROM views.map_parts; UPDATE views.book_totals SET credits = 0")
    assert areas(checked) == {("map", "map_changed"), ("views", "view_differs")}
    assert "FINDINGS" in checked.run("check").stdout
    checked("checkpoint", "rebuild")
    checked("views", "rebuild")
    assert checked("check")["ok"]
