"""A witness by the command line: what it signs reaches the checkpoint, and no second history gets enough signatures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.gm_tools import openssl
from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.witness_tools import WitnessLine

WITNESS = "exchange.example/w1"


@pytest.fixture
def signed(cli: CommandLine) -> dict[str, Any]:
    """A first checkpoint, handed over with key and origin: the files ``given/checkpoint`` and ``log.pem``."""
    cli.credit(METRO)
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    return cli("checkpoint", "sign", "--with-map", "--out", str(cli.folder / "given"))


@pytest.fixture
def witness(cli: CommandLine, signed: dict[str, Any]) -> WitnessLine:
    """A witness that stands at the first checkpoint."""
    return WitnessLine.made(cli, "w1", WITNESS)


def more(cli: CommandLine, number: int) -> None:
    cli.credit(METRO.replace("t1", f"more-{number}"), name=f"more-{number}.csv")


def test_a_cosigned_checkpoint_is_shown_exported_and_verified(cli: CommandLine, witness: WitnessLine) -> None:
    more(cli, 2)
    newer = cli("checkpoint", "sign", "--with-map")
    answer = witness.cosign(cli("prove", "consistency", str(witness.size))["proof"])
    assert (answer["ok"], answer["is_new"], answer["size"]) == (True, True, newer["size"])
    note = cli.bytes(answer["note"].encode(), name="cosigned")
    assert cli.refused("checkpoint", "collect", note, "--witness", str(cli.folder / "log.pem")) == "witness_unknown"
    collected = cli("checkpoint", "collect", note, "--witness", witness.pem)
    assert (collected["new"], collected["note"]) == (1, answer["note"])
    assert cli("checkpoint", "collect", note, "--witness", witness.pem)["new"] == 0
    assert cli("checkpoint", "show")["note"] == answer["note"]

    key = ("--key", str(cli.folder / "log.pem"))
    bundle, event, balance, grown = (str(cli.folder / name) for name in ("b.zip", "e.json", "b.json", "c.json"))
    cli("prove", "event", "1", "--out", event)
    cli("prove", "balance", "ann", "--out", balance)
    cli("prove", "consistency", str(witness.first_size), "--out", grown)
    # The bundle is of the checkpoint that was cosigned; that it was exported is the log's next event.
    cli("export", "bundle", bundle, "--redacted")
    assert cli("totals")["position"] == newer["size"] + 1
    for file in (bundle, event, balance, grown):
        found = cli("verify", file, *key, "--witness", witness.pem, "--need", "1 of 1")
        assert [each["name"] for each in found["witnesses"]] == [WITNESS]
        assert found["witnesses"][0]["signed_at"] >= "2026"
    assert "exchange.example/w1 at 20" in cli.run("verify", event, *key, "--witness", witness.pem).stdout
    assert cli("check")["ok"]


def test_a_cosignature_is_checked_with_nothing_but_openssl(cli: CommandLine, witness: WitnessLine) -> None:
    from base64 import b64decode

    from infrastructure.gm.sm2_format import signature_to_der

    note = witness.cosign(cli("prove", "consistency", str(witness.size))["proof"])["note"]
    body, _, lines = note.rpartition("\n\n")
    value = b64decode(lines.splitlines()[1].split()[2])
    message = f"cosignature/v1\ntime {int.from_bytes(value[4:12], 'big')}\n{body}\n".encode()
    signature = cli.bytes(signature_to_der(value[12:]), name="sig.der")
    command = ("pkeyutl", "-verify", "-pubin", "-inkey", witness.pem, "-rawin", "-sigfile", signature)
    options = ("-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
    assert openssl(*command, "-in", cli.bytes(message, name="message"), *options).returncode == 0
    assert openssl(*command, "-in", cli.bytes(body.encode() + b"\n", name="message"), *options).returncode == 1


def test_a_policy_that_two_histories_could_both_meet_is_wrong_usage(cli: CommandLine, witness: WitnessLine) -> None:
    file = str(cli.folder / "e.json")
    cli("prove", "event", "1", "--out", file)
    log, other = str(cli.folder / "log.pem"), WitnessLine.made(cli, "w2", "bank.example/w2").pem
    verify = ("verify", file, "--key", log, "--witness", witness.pem, "--witness", other)
    assert cli.refused(*verify, "--need", "1", code=2) == "usage"
    assert cli.refused(*verify, "--need", "2 of 3", code=2) == "usage"
    assert cli.refused("verify", file, "--key", log, "--need", "1", code=2) == "usage"
    assert cli.refused(*verify, "--witness", log, code=2) == "usage"
    assert cli(*verify, "--need", "2 of 2", code=3)["code"] == "witnesses_missing"
    twice = ("--witness", witness.pem, "--witness", witness.pem)
    assert cli.refused("verify", file, "--key", log, *twice, "--need", "2 of 2", code=2) == "usage"


def test_a_consistency_proof_is_made_and_verified_between_any_two_checkpoints(
    cli: CommandLine, signed: dict[str, Any]
) -> None:
    sizes = [signed["size"]]
    for number in (2, 3):
        more(cli, number)
        sizes.append(cli("checkpoint", "sign")["size"])
    key = str(cli.folder / "log.pem")
    for old in sizes:
        for new in sizes:
            asked = ("prove", "consistency", str(old), str(new))
            if new < old:
                assert cli.refused(*asked) == "sizes_reversed"
                continue
            file = cli.bytes(cli(*asked)["proof"].encode(), name="proof.json")
            shown = cli("verify", file, "--key", key)
            assert (shown["ok"], shown["old_size"], shown["size"]) == (True, old, new)
    assert cli.refused("prove", "consistency", str(sizes[0] + 1)) == "no_checkpoint"
    proof = json.loads(cli("prove", "consistency", str(sizes[0]))["proof"])
    for change in (
        {"path": proof["path"][1:]},
        {"old_checkpoint": proof["checkpoint"], "checkpoint": proof["old_checkpoint"]},
    ):
        file = cli.bytes(json.dumps(proof | change).encode(), name="changed.json")
        assert not cli("verify", file, "--key", key, code=3)["ok"]
    assert "are the same ever since" in cli.run("verify", cli.bytes(json.dumps(proof).encode()), "--key", key).stdout


def test_a_witness_is_made_only_by_a_checkpoint_of_its_log(cli: CommandLine, signed: dict[str, Any]) -> None:
    given, key, origin = str(cli.folder / "given" / "checkpoint"), str(cli.folder / "log.pem"), signed["origin"]

    def refused(*changes: str, code: int = 1) -> str:
        asked = {"--log-origin": origin, "--key": key, "--first": given, "--name": WITNESS, "--home": "w"}
        asked |= dict(zip(changes[::2], changes[1::2], strict=True))
        return cli.refused("witness", "init", *(word for pair in asked.items() for word in pair), code=code)

    assert refused("--log-origin", "another") == "origin_differs"
    assert refused("--name", origin) == "name_malformed"
    assert refused("--name", "with space") == "name_malformed"
    changed = cli.bytes(signed["note"].replace("\ntime 20", "\ntime 21").encode(), name="changed")
    assert refused("--first", changed) == "signature_wrong"
    assert refused("--home", str(cli.settings.home), code=4) == "home_taken"
    assert cli.refused("witness", "show", "--home", "w", code=4) == "not_initialized"
    made = WitnessLine.made(cli, "w", WITNESS)
    assert refused("--home", made.home) == "witness_exists"
    shown = made("show")
    assert (shown["size"], shown["log_keys"], shown["refusals"]) == (
        signed["size"],
        [cli("keys", "show")["signing"][0]["key"]],
        [],
    )
    assert cli.run("witness", "show", "--public", "--home", made.home).stdout == Path(made.pem).read_text()


def test_a_new_key_of_the_log_is_trusted_by_the_word_of_the_old_one(cli: CommandLine, witness: WitnessLine) -> None:
    first = cli("keys", "rotate", "--by", "alice")["first_size"]
    more(cli, 2)
    second = cli("keys", "rotate", "--by", "alice")["first_size"]
    more(cli, 3)
    asked = cli("prove", "consistency", str(witness.size))["proof"]
    assert witness.cosign(asked, code=3)["code"] == "key_unknown"
    rotations = []
    for position in (1, first, second):
        rotations.append(str(cli.folder / f"event-{position}.json"))
        cli("prove", "event", str(position), "--out", rotations[-1])
    assert witness.refused("trust-key", rotations[0]) == "not_a_rotation"
    assert witness.refused("trust-key", rotations[2], code=3) == "signing_key_forged"
    proof = json.loads(Path(rotations[1]).read_text())
    proof["facts"] = proof["facts"].replace('"by":"alice"', '"by":"mallory"')
    forged = cli.bytes(json.dumps(proof).encode(), name="forged.json")
    assert witness.refused("trust-key", forged, code=3) == "signing_key_forged"
    assert witness("trust-key", rotations[1])["first_size"] == first
    assert witness.cosign(asked, code=3)["code"] == "key_unknown"
    assert witness("trust-key", rotations[2])["first_size"] == second
    assert witness("trust-key", rotations[2])["first_size"] == second
    assert witness.cosign(asked)["ok"]


def test_a_kept_cosignature_that_was_edited_is_found(cli: CommandLine, witness: WitnessLine) -> None:
    note = cli.bytes(witness.cosign(cli("prove", "consistency", str(witness.size))["proof"])["note"].encode())
    cli("checkpoint", "collect", note, "--witness", witness.pem)
    assert cli("check")["ok"]
    with cli.sql() as conn:
        conn.execute("CREATE TEMP TABLE saved AS SELECT * FROM journal.cosignatures")
        for column, value in (
            ("size", "size - 1"),
            ("map_position", "map_position - 1"),
            ("name", "name || 'x'"),
            ("key_hash", "set_byte(key_hash, 0, get_byte(key_hash, 0) # 1)"),
            ("signature", "set_byte(signature, 40, get_byte(signature, 40) # 1)"),
            ("signed_s", "signed_s + 1"),
            ("public_key", "set_byte(public_key, 40, get_byte(public_key, 40) # 1)"),
        ):
            conn.execute(f"UPDATE journal.cosignatures SET {column} = {value}".encode())
            assert [each["code"] for each in cli("check", code=3)["findings"]] == ["cosignature_forged"]
            if column not in ("size", "map_position"):
                assert cli.refused("checkpoint", "show", code=3) == "cosignature_forged"
            conn.execute("DELETE FROM journal.cosignatures; INSERT INTO journal.cosignatures SELECT * FROM saved")
    assert cli("check")["ok"]


def test_requests_that_are_none_are_refused_without_a_word_of_blame(cli: CommandLine, witness: WitnessLine) -> None:
    for content in (b"", b"[]", b"x" * 2_000_000, cli("prove", "event", "1")["proof"].encode()):
        code = witness.refused("cosign", cli.bytes(content, name="asked.json"))
        assert code == ("file_too_large" if len(content) > 1_000_000 else "proof_malformed")
    assert witness("show")["refusals"] == []
    more(cli, 2)
    stranger = json.loads(cli("prove", "consistency", str(witness.size))["proof"])
    stranger["checkpoint"] = stranger["checkpoint"].replace("\ntime 20", "\ntime 21")
    for _ in range(2):
        assert witness.cosign(json.dumps(stranger), code=3)["code"] == "signature_wrong"
    assert [Path(each).name for each in witness("show")["refusals"]] == ["not-signed-by-the-log.json"]
