"""Rows that somebody planted, and guards that somebody took away: ``check`` names them, and nobody waits for ever.

Every planting is taken back or healed: the last thing of a test is that ``check`` finds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from domain.digest import sm3_hex
from domain.streams import stream_id
from infrastructure.gm.private_files import write_private
from interfaces.bootstrap import open_ledger
from tests.e2e.cli_tools import HEADER, METRO, CommandLine

pytestmark = pytest.mark.xdist_group("planted")

NOBODY = UUID(int=7 << 64)
NEXT = METRO.replace("t1", "t9").replace("-01T", "-09T")

Found = set[tuple[str, str, str]]


@pytest.fixture
def signed(cli: CommandLine) -> CommandLine:
    """A book with a checkpoint in which everything agrees."""
    cli.credit(METRO, METRO.replace("t1", "t2"), METRO.replace("t1", "b1").replace("ann", "bob"))
    cli("checkpoint", "sign", "--with-map")
    cli("totals")
    assert cli("check")["ok"]
    return cli


@contextmanager
def planted(cli: CommandLine, edit: str, undo: str) -> Iterator[None]:
    """Until the block ends; then everything agrees again."""
    with cli.sql() as conn:
        conn.execute(edit.encode())
    yield
    with cli.sql() as conn:
        conn.execute(undo.encode())
    assert cli("check")["findings"] == []


def found(cli: CommandLine) -> Found:
    findings = cli("check", code=3)["findings"]
    assert all(each["message"] and each["remedy"] for each in findings)
    return {(each["area"], each["code"], each["place"]) for each in findings}


def key_of(cli: CommandLine, *names: str) -> UUID:
    with open_ledger(cli.settings) as ledger:
        keys = ledger.book.keys
        return UUID(bytes=keys.account(names[0]) if len(names) == 1 else keys.ref(*names))


def test_a_reference_of_a_row_to_come_is_named_and_its_import_ends(signed: CommandLine) -> None:
    ref = key_of(signed, "metro", "t9")
    rows = signed.file(NEXT, NEXT.replace("t9", "t8"))
    before = signed("totals")["credited_mg"]
    with planted(
        signed,
        f"INSERT INTO journal.behavior_refs VALUES ('{ref}', 999999)",
        "DELETE FROM journal.behavior_refs WHERE position = 999999",
    ):
        place = f"journal.behavior_refs {ref} position 999999"
        assert found(signed) == {("lookups", "reference_loose", place)}
        refused = signed("behaviors", "import", rows, "--partner", "metro", code=3)["error"]
        assert (refused["code"], refused["field"]) == ("reference_loose", place)
        assert signed("totals")["credited_mg"] == before
    assert signed("behaviors", "import", rows, "--partner", "metro")["credited"] == 2
    with signed.sql() as conn:
        query = b"SELECT position FROM journal.behavior_refs WHERE ref = %s"
        ((position,),) = conn.execute(query, (ref,)).fetchall()
    with planted(
        signed,
        f"UPDATE journal.behavior_refs SET position = 1 WHERE ref = '{ref}'",
        f"UPDATE journal.behavior_refs SET position = {position} WHERE ref = '{ref}'",
    ):
        assert ("lookups", "reference_loose", f"journal.behavior_refs {ref} position 1") in found(signed)
        # The same bytes were imported before: a second file with the row asks for its reference.
        again = signed.file(NEXT, name="again.csv")
        assert signed.refused("behaviors", "import", again, "--partner", "metro", code=3) == "reference_loose"
        assert signed.refused("account", "explain", "ann", "t9", "--partner", "metro", code=3) == "reference_loose"


def test_a_name_that_leads_to_no_account_is_named_and_its_import_ends(signed: CommandLine) -> None:
    key = key_of(signed, "eve")
    rows = signed.file(NEXT.replace("ann", "eve"))
    with planted(
        signed,
        f"INSERT INTO journal.account_refs VALUES ('{key}', '{NOBODY}')",
        f"DELETE FROM journal.account_refs WHERE account_id = '{NOBODY}'",
    ):
        place = f"journal.account_refs {NOBODY}"
        assert found(signed) == {("lookups", "account_name_loose", place)}
        for act in (
            ("behaviors", "import", rows, "--partner", "metro", "--open-accounts"),
            ("account", "freeze", "eve", "--reason", "lost", "--by", "al"),
        ):
            refused = signed(*act, code=3)["error"]
            assert (refused["code"], refused["field"]) == ("account_name_loose", place)
    assert signed("behaviors", "import", rows, "--partner", "metro", "--open-accounts")["credited"] == 1


def test_a_subtree_beyond_the_last_checkpoint_is_named_and_the_signer_says_how_to_go_on(signed: CommandLine) -> None:
    with planted(
        signed,
        "INSERT INTO views.tree_nodes VALUES (8, 5, 'x'), (8, 0, 'x'), (9, 0, 'x'), (200, 0, 'x'), (0, 1, 'x')",
        "SELECT 1",  # the rebuild has removed them
    ):
        loose = {
            ("lookups", "subtree_loose", f"views.tree_nodes level {level} number {number}")
            for level, number in ((8, 5), (8, 0), (9, 0), (200, 0), (0, 1))
        }
        assert found(signed) == loose
        signed.credit(*(NEXT.replace("t9", f"u{n}") for n in range(260)), name="many.csv")
        assert signed.refused("checkpoint", "sign", code=3) == "subtree_loose"
        signed("checkpoint", "rebuild")
        assert signed("check")["ok"]
        signed("checkpoint", "sign")


OFF = [
    ("ALTER TABLE journal.ledger_events DISABLE TRIGGER never_changed", "journal.ledger_events.never_changed"),
    ("DROP TRIGGER append_under_lock ON journal.behavior_refs", "journal.behavior_refs.append_under_lock"),
    (
        "ALTER TABLE journal.behavior_refs DROP CONSTRAINT behavior_refs_pkey",
        "journal.behavior_refs.behavior_refs_pkey",
    ),
    (
        "DROP INDEX journal.ledger_events_notification_id_idx",
        "journal.ledger_events.ledger_events_notification_id_idx",
    ),
    (
        "ALTER TABLE journal.account_refs DROP CONSTRAINT account_refs_account_id_key;"
        "CREATE UNIQUE INDEX account_refs_account_id_key ON journal.account_refs (account_id) WHERE account_id IS NULL",
        "journal.account_refs.account_refs_account_id_key",
    ),
    (
        "CREATE OR REPLACE FUNCTION journal.refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'",
        "journal.refuse_change()",
    ),
    (
        "CREATE FUNCTION journal.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER mine BEFORE INSERT ON journal.checkpoints FOR EACH ROW EXECUTE FUNCTION journal.mine()",
        "journal.checkpoints.mine",
    ),
    ("CREATE RULE mine AS ON DELETE TO journal.account_keys DO INSTEAD NOTHING", "journal.account_keys.mine"),
    (
        "ALTER TABLE journal.cosignatures DROP CONSTRAINT cosignatures_size_map_position_fkey",
        "journal.cosignatures.cosignatures_size_map_position_fkey",
    ),
    ("ALTER TABLE journal.log_head ENABLE ROW LEVEL SECURITY", "journal.log_head.row_security"),
]


def test_every_guard_that_is_off_or_another_is_named_by_check_and_by_database_show(signed: CommandLine) -> None:
    assert signed("database", "show")["guards_off"] == []
    with signed.sql() as conn:
        for edit, _ in OFF:
            conn.execute(edit.encode())
    names = {name for _, name in OFF} | {"journal.mine()"}
    assert {place for area, code, place in found(signed) if (area, code) == ("guards", "guard_off")} == names
    assert {area for area, _, _ in found(signed)} == {"guards"}
    assert set(signed("database", "show")["guards_off"]) == names


def test_a_snapshot_of_nothing_a_commit_of_nothing_and_a_lost_migration_are_named(signed: CommandLine) -> None:
    with planted(
        signed,
        f"INSERT INTO journal.ledger_snapshots VALUES ('{NOBODY}', 10, 'carbon.account.snapshot.v1', '{{}}');"
        "INSERT INTO journal.ledger_snapshots SELECT originator_id, 99, 'x', '' FROM journal.ledger_events"
        " WHERE notification_id = (SELECT min(notification_id) FROM journal.ledger_events"
        "  WHERE topic = 'carbon.account.opened.v1');"
        "INSERT INTO journal.log_commits VALUES (999999, 9223372036854775807);"
        "DELETE FROM public.ledger_migrations WHERE name LIKE '0003%'",
        "DELETE FROM journal.ledger_snapshots; DELETE FROM journal.log_commits WHERE last_position = 999999;"
        "INSERT INTO public.ledger_migrations VALUES ('0003_create_checkpoints.sql')",
    ):
        told = found(signed)
        assert {(area, code) for area, code, _ in told} == {
            ("guards", "migration_missing"),
            ("lookups", "snapshot_loose"),
            ("lookups", "log_beyond_head"),
        }
        places = " ".join(place for _, _, place in told)
        assert f"journal.ledger_snapshots {NOBODY}@10" in places
        assert "@99" in places
        assert "journal.log_commits 999999" in places


def test_a_migration_that_ran_and_is_told_by_no_row_does_not_run_again(signed: CommandLine) -> None:
    with planted(
        signed,
        "DELETE FROM public.ledger_migrations WHERE name LIKE '0006%'",
        "INSERT INTO public.ledger_migrations VALUES ('0006_remember_nonces.sql')",
    ):
        assert signed.refused("check", code=3) == "migration_missing"


def test_a_key_of_an_account_that_was_erased_is_named(signed: CommandLine) -> None:
    bob = signed("account", "show", "bob")["account_id"]
    with signed.sql() as conn:
        conn.execute(b"CREATE TABLE public.was AS SELECT * FROM journal.account_keys")
    signed("account", "erase", "bob", "--by", "alice", "--reason", "asked for it")
    signed("account", "approve-erasure", "bob", "--by", "carol")
    assert signed("check")["ok"]
    with planted(
        signed,
        f"INSERT INTO journal.account_keys SELECT * FROM public.was WHERE account_id = '{bob}'",
        f"DELETE FROM journal.account_keys WHERE account_id = '{bob}'",
    ):
        assert ("lookups", "account_key_loose", f"journal.account_keys {bob}") in found(signed)


def test_a_damaged_signing_key_and_another_epoch_of_evidence_are_named(signed: CommandLine) -> None:
    home = signed.settings.home
    store, epoch = home / "keys" / "store.json", home / "evidence" / "epoch"
    right = store.read_bytes()
    content = json.loads(right)
    (key_id, key), *_ = content["signing"].items()
    key["sealed"] = key["sealed"][:-1] + ("0" if key["sealed"][-1] != "0" else "1")
    store.write_text(json.dumps(content))
    assert found(signed) == {("keys", "key_wrong", f"{store} signing.{key_id}")}
    signed.credit(NEXT, name="more.csv")
    assert signed.refused("checkpoint", "sign", code=4) == "key_wrong"
    del content["signing"][key_id]
    store.write_text(json.dumps(content))
    assert found(signed) == {("keys", "signing_key_missing", f"{store} signing.{key_id}")}
    store.write_bytes(right)
    epoch.write_text("7\n")
    assert found(signed) == {("evidence", "keys_moved", str(epoch))}
    epoch.write_text("1\n")
    key_of_nobody = home / "evidence" / "ab" / f"{'ab' * 32}.key"
    write_private(key_of_nobody, b"x" * 61)
    assert found(signed) == {("evidence", "evidence_broken", str(key_of_nobody))}
    key_of_nobody.unlink()
    assert signed("check")["ok"]


def test_keys_in_a_folder_that_others_may_write_are_refused_as_exposed_ones_are(signed: CommandLine) -> None:
    folder = signed.settings.home / "keys"
    for mode in (0o777, 0o720, 0o702):
        folder.chmod(mode)
        assert signed.refused("check", code=4) == "key_exposed"
    folder.chmod(0o700)
    assert signed("check")["ok"]


def test_keys_that_do_not_open_are_told_before_a_rewrap_and_left_by_one_that_is_told_to(signed: CommandLine) -> None:
    home = signed.settings.home
    signed.credit(METRO.replace("t1", "c1").replace("ann", "cat"), name="cat.csv")
    bob = signed("account", "show", "bob")["account_id"]
    evidence = min((home / "evidence").glob("??/*.key"))
    signed("keys", "rotate", "--by", "alice")
    store = json.loads((home / "keys" / "store.json").read_bytes())
    retired = next(iter(store["signing"]))
    store["signing"][retired]["sealed"] = "00" + store["signing"][retired]["sealed"][2:]
    broken = {f"{home}/keys/store.json signing.{retired}", str(evidence), f"journal.account_keys {bob}"}
    signed("account", "erase", "cat", "--by", "alice", "--reason", "asked for it")
    signed("account", "approve-erasure", "cat", "--by", "carol")
    (home / "keys" / "store.json").write_text(json.dumps(store))
    write_private(evidence, evidence.read_bytes()[:-1])
    with signed.sql() as conn:
        conn.execute(b"UPDATE journal.account_keys SET wrapped = '\\x0102' WHERE account_id = %s", (bob,))
    before = {place for _, _, place in found(signed)}
    assert broken <= before
    refused = signed("keys", "rewrap", code=3)["error"]
    assert refused["code"] == "keys_broken"
    assert all(place in refused["message"] for place in broken)
    assert {place for _, _, place in found(signed)} == before
    signed.credit(NEXT, name="next.csv")  # nothing has moved
    answer = signed("keys", "rewrap", "--leave-broken", code=3)
    assert answer == {"epoch": 2, "left": answer["left"]}
    assert set(answer["left"]) == broken
    assert broken <= {place for _, _, place in found(signed)}
    signed.credit(NEXT.replace("t9", "t10"), name="later.csv")
    assert signed("checkpoint", "sign")["size"]
    assert set(json.loads((home / "keys" / "store.json").read_bytes())["epochs"]) == {"2"}


def test_no_key_is_left_where_none_opens_since_then_it_is_the_store(signed: CommandLine) -> None:
    with signed.sql() as conn:
        conn.execute(b"CREATE TABLE public.was AS SELECT * FROM journal.account_keys")
        conn.execute(b"UPDATE journal.account_keys SET wrapped = set_byte(wrapped, 30, get_byte(wrapped, 30) # 1)")
    for options in ((), ("--leave-broken",)):
        assert signed.refused("keys", "rewrap", *options, code=3) == "seal_broken"
    with signed.sql() as conn:
        conn.execute(
            b"UPDATE journal.account_keys AS k SET wrapped = w.wrapped FROM public.was AS w"
            b" WHERE k.account_id = w.account_id"
        )
    assert signed("keys", "rewrap") == {"epoch": 2, "left": []}
    assert signed("check")["ok"]


def test_a_version_planted_ahead_in_the_stream_of_an_intake_makes_its_import_end(signed: CommandLine) -> None:
    rows = signed.bytes(f"{HEADER}\n{NEXT}\n".encode(), name="next.csv")
    digest = sm3_hex(Path(rows).read_bytes())
    stream = stream_id("intake", f"metro\0{digest}")
    with planted(
        signed,
        f"INSERT INTO journal.ledger_events SELECT '{stream}', 2, topic, state, 999999 FROM journal.ledger_events"
        " WHERE topic = 'carbon.intake.closed.v1'",
        "DELETE FROM journal.ledger_events WHERE notification_id = 999999",
    ):
        assert ("replay", "mismatch") in {each[:2] for each in found(signed)}
        assert signed.refused("behaviors", "import", rows, "--partner", "metro", code=3) == "look_up_contradicts"
    assert signed("behaviors", "import", rows, "--partner", "metro")["credited"] == 1
