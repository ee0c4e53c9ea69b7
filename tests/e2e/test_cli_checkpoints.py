"""Checkpoints and proofs by the command line; checked with openssl, and refused when anything was changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.gm_tools import openssl
from tests.e2e.cli_tools import METRO, CommandLine
from tests.fixtures.tampering import replace_in_facts

CREDIT = "carbon.account.behavior-credited.v1"


def key_file(cli: CommandLine) -> str:
    return cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")


def test_an_auditor_checks_a_checkpoint_with_nothing_but_openssl(cli: CommandLine) -> None:
    cli.credit(METRO)
    signed = cli("checkpoint", "sign", "--with-map", "--out", str(cli.folder / "given"))
    assert [Path(name).name for name in signed["files"]] == ["checkpoint", "checkpoint.body", "checkpoint.sig.der"]
    body, signature = (str(cli.folder / "given" / name) for name in ("checkpoint.body", "checkpoint.sig.der"))
    command = ("pkeyutl", "-verify", "-pubin", "-inkey", key_file(cli), "-rawin", "-in", body, "-sigfile", signature)
    options = ("-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
    assert openssl(*command, *options).returncode == 0
    text = Path(body).read_text(encoding="ascii")
    assert text.splitlines()[:2] == [signed["origin"], str(signed["size"])]
    Path(body).write_text(text.replace(f"\n{signed['size']}\n", f"\n{signed['size'] + 1}\n"), encoding="ascii")
    assert openssl(*command, *options).returncode == 1


def test_a_checkpoint_is_signed_once_for_each_size_and_files_are_never_overwritten(cli: CommandLine) -> None:
    assert cli.refused("checkpoint", "show") == "no_checkpoint"
    first = cli("checkpoint", "sign")
    assert first["is_new"]
    again = cli("checkpoint", "sign")
    assert (again["is_new"], again["note"]) == (False, first["note"])
    cli.credit(METRO)
    second = cli("checkpoint", "sign", "--with-map")
    assert (second["is_new"], second["map_position"]) == (True, second["size"])
    assert cli("checkpoint", "show", "--out", str(cli.folder / "given"))["note"] == second["note"]
    assert cli.refused("checkpoint", "show", "--out", str(cli.folder / "given")) == "file_exists"
    assert [each["size"] for each in cli("checkpoint", "list")["checkpoints"]] == [second["size"], first["size"]]
    rebuilt = cli("checkpoint", "rebuild")
    assert (rebuilt["is_new"], rebuilt["note"]) == (False, second["note"])


def test_an_event_and_a_balance_are_proven_without_the_ledger(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.credit(METRO, METRO.replace("t1", "t2"), METRO.replace("t1", "t3").replace("ann", "bob"))
    event, balance = str(cli.folder / "event.json"), str(cli.folder / "balance.json")
    position = cli("behaviors", "import", cli.file(METRO), "--open-accounts")["position"]
    assert cli("prove", "event", "1", "--out", event)["size"] == position
    cli("prove", "balance", "ann", "--out", balance)
    key = key_file(cli)
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(cli.folder / "nothing here"))
    shown = cli("verify", event, "--key", key)
    assert (shown["ok"], shown["position"], shown["topic"]) == (True, 1, "carbon.book.opened.v1")
    shown = cli("verify", balance, "--key", key)
    assert (shown["by_behavior"], shown["events"]) == ({"travel.metro": "1778400"}, 4)
    for name in (event, balance):
        assert "ann" not in json.loads(Path(name).read_text(encoding="utf-8"))
    assert "proven: as of position" in cli.run("verify", balance, "--key", key).stdout


def altered(content: Any, change: Any) -> bytes:
    changed = json.loads(json.dumps(content))
    change(changed)
    return json.dumps(changed).encode()


def test_a_proof_with_one_thing_changed_is_refused(cli: CommandLine) -> None:
    cli.credit(METRO, METRO.replace("t1", "t2"))
    key = key_file(cli)
    proof = json.loads(cli("prove", "balance", "ann")["proof"])
    credit = next(each for each in proof["events"] if each["topic"] == CREDIT)

    def refused(change: Any, *, code: str) -> None:
        answer = cli("verify", cli.bytes(altered(proof, change), name="changed.json"), "--key", key, code=3)
        assert (answer["ok"], answer["code"]) == (False, code)

    def in_credit(field: str, value: Any) -> Any:
        return lambda p: p["events"][proof["events"].index(credit)].__setitem__(field, value)

    refused(lambda p: p["balances"].__setitem__("travel.metro", "1"), code="not_in_map")
    refused(lambda p: p.__setitem__("version", 3), code="not_in_map")
    refused(lambda p: p["events"].pop(), code="stream_incomplete")
    refused(lambda p: p["events"].reverse(), code="stream_incomplete")
    refused(in_credit("facts", credit["facts"].replace("12350", "12351")), code="not_in_log")
    refused(in_credit("recorded_us", credit["recorded_us"] + 1), code="not_in_log")
    refused(in_credit("sealed_sm3", "0" * 64), code="not_in_log")
    refused(in_credit("salt", credit["salt"].upper().replace("0", "A") or "A" * 32), code="proof_malformed")
    refused(in_credit("position", 1e3), code="proof_malformed")
    refused(
        lambda p: p.__setitem__("checkpoint", proof["checkpoint"].replace("\ntime 20", "\ntime 21")),
        code="signature_wrong",
    )
    refused(lambda p: p.__setitem__("more", 1), code="proof_malformed")
    other = cli.bytes(_other_key().encode(), name="other.pem")
    answer = cli("verify", cli.bytes(json.dumps(proof).encode(), name="good.json"), "--key", other, code=3)
    assert answer["code"] == "key_unknown"


def _other_key() -> str:
    from infrastructure.gm.sm2 import new_sm2_key
    from infrastructure.gm.sm2_format import public_key_to_pem

    return public_key_to_pem(new_sm2_key().public_key)


def test_nothing_is_signed_over_an_edited_log(cli: CommandLine) -> None:
    cli.credit(METRO)
    signed = cli("checkpoint", "sign", "--with-map")
    with cli.sql() as conn:
        assert replace_in_facts(conn, CREDIT, '"quantity":"12350"', '"quantity":"12351"')
    # The edit is older than the checkpoint: signing what follows does not read it again, making all anew does.
    assert cli("checkpoint", "sign")["note"] == signed["note"]
    assert cli.refused("checkpoint", "rebuild", code=3) == "log_changed"
    assert cli.refused("prove", "balance", "ann", code=3) == "proof_not_made"
    cli.credit(METRO.replace("t1", "t2"), name="more.csv")
    with cli.sql() as conn:
        assert replace_in_facts(conn, CREDIT, '"line":2', '"line":3')
    assert cli.refused("checkpoint", "sign", code=3) == "log_changed"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        ("UPDATE journal.log_head SET root = decode(repeat('00', 32), 'hex')", "log_changed"),
        ("UPDATE journal.log_head SET rulebook_position = rulebook_position - 1", "log_changed"),
        ("UPDATE journal.log_head SET size = size - 1", "log_behind_checkpoint"),
        ("UPDATE journal.checkpoints SET note = overlay(note placing 'x' from 70)", "checkpoint_forged"),
        ("UPDATE journal.checkpoints SET frontier = ''", "checkpoint_forged"),
        ("UPDATE views.map_streams SET version = version + 1", "map_changed"),
        (
            "UPDATE views.map_parts SET prefix = prefix + 1 WHERE prefix = (SELECT max(prefix) FROM views.map_parts)",
            "map_changed",
        ),
        ("DELETE FROM views.map_parts", "map_changed"),
    ],
)
def test_an_edit_of_what_is_signed_from_stops_the_signer(cli: CommandLine, edit: str, code: str) -> None:
    cli.credit(METRO)
    cli("checkpoint", "sign", "--with-map")
    if code == "map_changed":
        cli.credit(METRO.replace("t1", "t2"), name="more.csv")
    with cli.sql() as conn:
        conn.execute(edit.encode())
    assert cli.refused("checkpoint", "sign", "--with-map", code=3) == code
    if code == "map_changed":
        assert cli("checkpoint", "rebuild")["is_new"]
        assert not cli("checkpoint", "sign", "--with-map")["is_new"]


def test_a_log_of_several_kept_subtrees_is_checked_proven_and_shown_in_part(cli: CommandLine) -> None:
    rows = [
        METRO.replace("t1", f"t{n}").replace("ann", f"a{n % 40}").replace("-03-01", f"-03-{1 + n % 28:02}")
        for n in range(600)
    ]
    cli.credit(*rows)
    assert cli("checkpoint", "sign", "--with-map")["size"] > 2 * 256
    cli.credit(METRO, name="more.csv")
    key, refs = key_file(cli), cli.bytes(b"a1\na7\n", name="refs.txt")
    event, balance, some = (str(cli.folder / name) for name in ("event.json", "balance.json", "some.zip"))
    cli("prove", "event", "300", "--out", event)
    cli("prove", "balance", "a3", "--out", balance)
    cli("export", "bundle", some, "--redacted", "--accounts", refs)
    for file in (event, balance, some):
        assert cli("verify", file, "--key", key)["ok"]
    assert cli("check")["ok"]
    with cli.sql() as conn:
        conn.execute("UPDATE views.tree_nodes SET root = set_byte(root, 0, get_byte(root, 0) # 1) WHERE number = 0")
    found = {(each["code"], each["place"]) for each in cli("check", code=3)["findings"]}
    assert found == {("subtree_differs", "positions 1 to 256")}
    assert cli.refused("prove", "event", "300", code=3) == "proof_not_made"
    cli("checkpoint", "rebuild")
    assert cli("check")["ok"]
