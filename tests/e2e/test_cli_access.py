"""The access log: who was shown or handed personal facts is in the log before he is, and cannot be taken out again."""

from __future__ import annotations

import json
import os
import pwd
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

from application.access import accesses, record_read
from domain.access import GIVEN, Reader
from domain.digest import sm3_hex
from interfaces.bootstrap import Ledger
from tests.e2e.act_tools import People
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.test_cli_bundle import rewritten

LOGIN = pwd.getpwuid(os.getuid()).pw_name
BEN = METRO.replace("t1", "t9").replace("ann", "ben")
REFUSES_ACCESSES = """
CREATE FUNCTION public.refuse_accesses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'this role may not write' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER refuse_accesses BEFORE INSERT ON journal.ledger_events FOR EACH ROW
    WHEN (NEW.topic LIKE 'carbon.access.%') EXECUTE FUNCTION public.refuse_accesses();
ALTER TABLE journal.ledger_events ENABLE ALWAYS TRIGGER refuse_accesses;
"""


def listed(cli: CommandLine, *options: str) -> list[tuple[Any, ...]]:
    keys = ("kind", "by", "known_by", "command", "account_id", "object", "accounts")
    return [tuple(each[key] for key in keys) for each in cli("access", "list", *options)["accesses"]]


def test_every_look_at_a_person_is_recorded_with_who_looked_and_changes_no_answer(cli: CommandLine) -> None:
    size = cli.credit(METRO, BEN)["position"]
    shown = cli("account", "show", "ann", "--by", "olga")
    ann, ben = shown["account_id"], cli("account", "show", "ben")["account_id"]
    assert shown["position"] == size
    cli("account", "statement", "ann", "--by", "ＯＬＧＡ")
    cli("account", "explain", "ann", "t1", "--by", "olga")
    assert cli("totals")["position"] == size + 4
    every = [row for row in listed(cli) if row[0] == "read"]
    assert every == [
        ("read", "olga", "given", "account show", ann, "", 1),
        ("read", LOGIN, "login", "account show", ben, "", 1),
        ("read", "ＯＬＧＡ", "given", "account statement", ann, "", 1),
        ("read", "olga", "given", "account explain", ann, "", 1),
    ]
    assert listed(cli, "--account", "ben") == [every[1]]
    assert listed(cli, "--actor", "olga") == [every[0], *every[2:]]
    day = cli("access", "list", "--account", "ben")["accesses"][0]["recorded_at"][:4]
    assert listed(cli, "--account", "ben", "--from", f"{day}-01-01", "--to", f"{int(day) + 2}-01-01") == [every[1]]
    assert listed(cli, "--account", "ben", "--to", f"{day}-01-01") == []
    assert listed(cli, "--account", "ben", "--from", f"{int(day) + 2}-01-01") == []
    assert "account statement" in cli.run("access", "list", "--account", "ann").stdout
    assert cli("check")["ok"]
    assert cli("replay")["mismatches"] == 0


def test_erasures_exports_and_decisions_are_told_too(cli: CommandLine) -> None:
    intake = cli.credit(METRO, BEN)["intake_id"]
    people = People(cli)
    people.join("bob")
    asked = cli("account", "erase", "ann", "--reason", "a letter", "--by", "alice")["account_id"]
    cli("account", "approve-erasure", asked, "--by", "bob", "--actor-key", people.key("bob"))
    cli("evidence", "show", str(intake), "--line", "2", "--by", "vera")
    cli("evidence", "show", str(intake))
    refs = cli.bytes(b"ben\n", name="refs.txt")
    cli("export", "bundle", people.new("ben.zip"), "--accounts", refs, "--by", "vera")
    cli("export", "bundle", people.new("all.zip"), "--redacted", "--by", "vera")
    assert listed(cli, "--account", asked) == [
        ("erase", "alice", "given", "account erase", asked, "", 1),
        ("erase", "bob", "signed", "account approve-erasure", asked, "", 1),
    ]
    assert listed(cli, "--actor", "vera") == [
        ("export", "vera", "given", "evidence show", None, f"intake {intake} line 2", 0),
        ("export", "vera", "given", "export bundle", None, "", 1),
        ("export", "vera", "given", "export bundle", None, "", 0),
    ]
    assert ("decide", "approver", "given", "actor approve-key", None, "bob", 0) in listed(cli)
    assert ("decide", "catalogue-reviewer") in {row[:2] for row in listed(cli)}


def test_who_cannot_be_recorded_is_shown_nothing_and_handed_nothing(cli: CommandLine) -> None:
    intake = cli.credit(METRO)["intake_id"]
    with cli.sql() as conn:
        conn.execute(REFUSES_ACCESSES.encode())
    size = cli("totals")["position"]
    bundle, file = cli.folder / "all.zip", cli.folder / "evidence.csv"
    for command in (
        ("account", "show", "ann"),
        ("account", "statement", "ann"),
        ("account", "explain", "ann", "t1"),
        ("export", "bundle", str(bundle)),
        ("evidence", "show", str(intake), "--line", "2"),
        ("evidence", "show", str(intake), "--out", str(file)),
    ):
        assert cli.refused(*command, code=4) == "not_permitted", command
        ran = cli.run(*command)
        assert (ran.code, ran.stdout) == (4, ""), command
    assert not bundle.exists()
    assert not file.exists()
    assert cli("totals")["position"] == size


def test_a_session_that_can_only_read_is_refused_with_what_to_do(cli: CommandLine) -> None:
    cli.credit(METRO)
    with cli.sql() as conn:
        name = conn.info.dbname
        conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    error = cli("account", "show", "ann", code=4)["error"]
    assert error["code"] == "server_read_only"
    assert "ann" not in cli.run("account", "show", "ann").stdout
    with cli.sql() as conn:
        conn.execute("SET default_transaction_read_only = off")
        conn.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())


def test_a_bundle_shows_the_accesses_to_its_accounts_and_to_no_others(cli: CommandLine) -> None:
    cli.credit(METRO, BEN)
    cli("account", "show", "ben", "--by", "nosy")
    ann = cli("account", "show", "ann", "--by", "olga")["account_id"]
    key = cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    some, everything = cli.folder / "ann.zip", cli.folder / "all.zip"
    refs = cli.bytes(b"ann\n", name="refs.txt")
    cli("export", "bundle", str(cli.folder / "earlier.zip"), "--accounts", refs, "--redacted")
    cli("export", "bundle", str(some), "--accounts", refs, "--redacted")
    with zipfile.ZipFile(some) as bundle:
        told = [json.loads(line)["facts"] for line in bundle.read("accesses.jsonl").splitlines()]
    assert sorted(each["command"] for each in told) == ["account show", "export bundle"]
    assert {each["accounts_sm3"] for each in told if "accounts_sm3" in each} == {sm3_hex(f"{ann}\n".encode())}
    assert "nosy" not in str(told)
    found = cli("verify", str(some), "--key", key)
    assert (found["ok"], found["accesses"], found["complete"]) == (True, 2, False)
    cli("export", "bundle", str(everything), "--redacted")
    found = cli("verify", str(everything), "--key", key)
    assert (found["ok"], found["accesses"], found["complete"]) == (True, 4, True)
    assert b"nosy" in zipfile.ZipFile(everything).read("accesses.jsonl")
    assert {"log", "about"} <= changed_steps(cli, everything, key, lambda _: b"")
    assert changed_steps(cli, everything, key, lambda content: content.replace(b'"nosy"', b'"olga"')) == {"log"}
    assert "map" in changed_steps(cli, some, key, lambda content: content.splitlines(keepends=True)[0])
    assert "log" in changed_steps(cli, some, key, None)


def changed_steps(cli: CommandLine, path: Path, key: str, change: Any) -> set[str]:
    """The steps of the verifier that find something when the accesses are changed, or left out."""

    def only(name: str, content: bytes) -> bytes | None:
        if name != "accesses.jsonl":
            return content
        return None if change is None else change(content)

    found = cli("verify", str(rewritten(path, only)), "--key", key, code=3)
    return {each["step"] for each in found["findings"]}


def test_many_who_look_at_the_same_person_at_once_are_all_recorded(ledger: Ledger) -> None:
    book, account = ledger.book, UUID(int=7)
    before = book.journal.head().size
    with ThreadPoolExecutor(8) as pool:
        readers = [Reader(f"clerk {number}", GIVEN) for number in range(40)]
        positions = list(pool.map(lambda reader: record_read(book, reader, "account show", account), readers))
    assert sorted(positions) == list(range(before + 1, before + 41))
    assert {each.by for each in accesses(book) if each.kind == "read"} == {reader.name for reader in readers}
