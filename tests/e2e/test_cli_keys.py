"""``keys``: made, shown, rotated and wrapped again by the command line, and checked with openssl."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.signing import signed_bytes
from infrastructure.gm.key_store import KeyStore
from infrastructure.gm.root_key import RootSource
from infrastructure.gm.sm2_format import public_key_from_pem
from tests.contract.gm_tools import verifies
from tests.e2e.cli_tools import CommandLine


def store(cli: CommandLine) -> KeyStore:
    return KeyStore(cli.settings.home / "keys", RootSource())


def test_the_first_key_is_recorded_right_after_genesis_and_its_pem_serves_openssl(
    cli: CommandLine, tmp_path: Path
) -> None:
    shown = cli("keys", "show")
    assert (shown["root"], shown["epoch"]) == ("generated", 1)
    assert [(key["first_size"], key["last_size"]) for key in shown["signing"]] == [(2, None)]
    pem = cli.run("keys", "show", "--public").stdout
    assert pem == shown["public_pem"]
    public_key, message = public_key_from_pem(pem), signed_bytes("test", b"body")
    signature = store(cli).signer(shown["signing"][0]["key"]).sign(message)
    assert verifies(tmp_path, public_key, message, signature)


def test_a_rotation_gives_the_next_key_the_next_size_and_changes_no_number(cli: CommandLine) -> None:
    before, size = cli("totals"), cli("totals")["position"]
    first = cli("keys", "show")["signing"][0]
    rotated = cli("keys", "rotate", "--by", "alice")
    assert (rotated["first_size"], rotated["last_size"]) == (size + 1, None)
    keys = cli("keys", "show")["signing"]
    assert keys == [{**first, "last_size": size}, rotated]
    for asked, key in ((2, first), (size, first), (size + 1, rotated), (10**9, rotated)):
        pem = cli.run("keys", "show", "--size", str(asked)).stdout
        assert public_key_from_pem(pem).hex() == key["public_key"]
    assert cli.refused("keys", "show", "--size", "1") == "size_not_signed"
    assert {**cli("totals"), "position": 0} == {**before, "position": 0}


def test_a_rewrap_leaves_book_and_keys_as_they_are(cli: CommandLine) -> None:
    cli(
        "behaviors",
        "import",
        cli.file("t1,ann,travel.metro,2026-03-01T08:15:00+08:00,12.350,km,CN-440300"),
        "--open-accounts",
    )
    before, keys = cli("account", "show", "ann"), cli("keys", "show")
    assert cli("keys", "rewrap") == {"epoch": 2, "left": []}
    assert cli("account", "show", "ann", "--at-position", str(before["position"])) == before
    assert cli("keys", "show") == {**keys, "epoch": 2}


@pytest.mark.parametrize(
    ("name", "harm", "code"),
    [
        ("root.key", "expose", "key_exposed"),
        ("store.json", "expose", "key_exposed"),
        ("root.key", "remove", "key_missing"),
        ("root.key", "replace", "key_wrong"),
    ],
)
def test_a_start_with_a_wrong_missing_or_readable_key_is_refused(
    cli: CommandLine, name: str, harm: str, code: str
) -> None:
    path = cli.settings.home / "keys" / name
    if harm == "expose":
        path.chmod(0o644)
    elif harm == "remove":
        path.unlink()
    else:
        path.write_text("00" * 16)
    assert cli.refused("totals", code=4) == code


def test_no_command_shows_a_secret(cli: CommandLine) -> None:
    keys = store(cli)
    secrets = [keys.kek.exposed(), *(keys.signer(key_id).exposed() for key_id in keys.signing_ids)]
    root = (cli.settings.home / "keys" / "root.key").read_text().strip()
    for command in (("keys", "show"), ("keys", "show", "--json"), ("keys", "rotate", "--by", "a"), ("totals",)):
        told = "".join(str(part) for part in cli.run(*command))
        assert not [secret for secret in (root, *(each.hex() for each in secrets)) if secret in told]


def test_keys_are_made_once_from_a_passphrase_that_the_environment_names(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrase = tmp_path / "phrase"
    phrase.touch(0o600)
    phrase.write_text("correct horse battery\n")
    monkeypatch.setenv("CARBON_LEDGER_PASSPHRASE_FILE", str(phrase))
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(tmp_path / "other"))
    assert cli("keys", "init") == {"root": "passphrase", "epoch": 1}
    assert sorted(each.name for each in (tmp_path / "other" / "keys").iterdir()) == ["store.json"]
    assert cli.refused("keys", "init", code=4) == "key_store_exists"
