"""`transport-key`, `seal`, `unseal` and sealed bundles: only the recipient reads, and never half a file."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from infrastructure.gm.transport import CHUNK_BYTES
from interfaces.cli.main import main
from tests.e2e.cli_tools import METRO, CommandLine

PROGRAM = "import sys; from interfaces.cli.main import main; sys.exit(main())"
PASSPHRASE = b"twelve bytes and more\n"


class Recipient:
    """A folder with a key pair and a passphrase, as a recipient has it: no ledger is near."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.phrase = self.file("passphrase", PASSPHRASE, 0o600)
        monkeypatch.setenv("CARBON_LEDGER_TRANSPORT_PASSPHRASE_FILE", str(self.phrase))
        monkeypatch.setenv("CARBON_LEDGER_HOME", str(folder / "nothing here"))
        monkeypatch.chdir(folder)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return path


@pytest.fixture
def recipient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipient:
    return Recipient(tmp_path, monkeypatch)


@pytest.fixture
def tool(recipient: Recipient) -> CommandLine:
    tool = CommandLine(SimpleNamespace(), recipient.folder)  # type: ignore[arg-type]
    tool("transport-key", "new", "mine.key")
    return tool


def test_a_sealed_file_opens_for_its_recipient_and_for_nobody_else(tool: CommandLine, recipient: Recipient) -> None:
    content = os.urandom(2 * CHUNK_BYTES + 5)
    recipient.file("dump", content)
    for name, mode in (("mine.key", 0o600), ("mine.key.pem", 0o644)):
        assert stat.S_IMODE(Path(name).stat().st_mode) == mode
    sealed = tool("seal", "dump", "--to", "mine.key.pem", "--out", "dump.sealed")
    assert (sealed["plain_bytes"], sealed["size_bytes"]) == (len(content), Path("dump.sealed").stat().st_size)
    assert content[:64] not in Path("dump.sealed").read_bytes()
    opened = tool("unseal", "dump.sealed", "--key", "mine.key", "--out", "again")
    assert (Path("again").read_bytes(), opened["key"]) == (content, sealed["sealed_to"])
    assert stat.S_IMODE(Path("again").stat().st_mode) == 0o600
    tool("transport-key", "new", "other.key")
    assert tool.refused("unseal", "dump.sealed", "--key", "other.key", "--out", "x") == "sealed_for_another"
    assert tool.refused("unseal", "dump", "--key", "mine.key", "--out", "x") == "not_sealed"
    recipient.file("passphrase", b"another passphrase\n", 0o600)
    assert tool.refused("unseal", "dump.sealed", "--key", "mine.key", "--out", "x", code=4) == "key_wrong"
    recipient.phrase.chmod(0o644)
    assert tool.refused("unseal", "dump.sealed", "--key", "mine.key", "--out", "x", code=4) == "key_exposed"
    assert not list(Path().glob("x*"))


def test_whatever_is_done_to_a_sealed_file_on_the_way_leaves_nothing_of_it(
    tool: CommandLine, recipient: Recipient
) -> None:
    recipient.file("dump", os.urandom(2 * CHUNK_BYTES + 5))
    tool("seal", "dump", "--to", "mine.key.pem", "--out", "dump.sealed")
    right = Path("dump.sealed").read_bytes()
    body = right.index(b"\n\n") + 2
    record = CHUNK_BYTES + 16
    first, second, third = right[body : body + record], right[body + record : body + 2 * record], right[-21:]
    for changed, said in (
        (right[:body] + second + first + third, "part 1"),
        (right[:body] + first + second, "was cut"),
        (right[: body + record + 100], "part 2"),
        (right + b"more", "part 3"),
        (right[:body], "does not end"),
    ):
        recipient.file("changed", changed)
        error = tool("unseal", "changed", "--key", "mine.key", "--out", "x", code=3)["error"]
        assert error["code"] == "seal_broken"
        assert said in error["message"]
        assert not list(Path().glob("x*"))


def test_no_file_is_ever_overwritten_and_a_missing_one_is_named(tool: CommandLine, recipient: Recipient) -> None:
    recipient.file("dump", b"content")
    assert tool.refused("transport-key", "new", "mine.key") == "transport_key_exists"
    assert tool.refused("transport-key", "new", "nowhere/mine.key", code=4) == "transport_key_unwritable"
    assert tool.refused("seal", "dump", "--to", "mine.key.pem", "--out", "dump") == "sealed_file_exists"
    assert tool.refused("seal", "nothing", "--to", "mine.key.pem", "--out", "x") == "file_not_found"
    assert tool.refused("seal", "dump", "--to", "mine.key", "--out", "x") == "public_key_malformed"
    tool("seal", "dump", "--to", "mine.key.pem", "--out", "dump.sealed")
    assert tool.refused("unseal", "dump.sealed", "--key", "mine.key", "--out", "dump") == "unsealed_file_exists"
    assert Path("dump").read_bytes() == b"content"
    recipient.file("passphrase", b"short\n", 0o600)
    assert tool.refused("transport-key", "new", "more.key", code=4) == "key_damaged"
    assert not Path("x").exists()
    assert not Path("more.key").exists()


def test_without_a_file_the_passphrase_is_asked_for_where_somebody_sits(
    tool: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARBON_LEDGER_TRANSPORT_PASSPHRASE_FILE")
    assert tool.refused("transport-key", "new", "more.key", code=2) == "usage"
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "another long passphrase")
    tool("transport-key", "new", "more.key")
    assert Path("more.key.pem").exists()


def test_a_dump_is_sealed_as_it_comes_through_a_pipe(tool: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"dumped" * 1000), isatty=lambda: False))
    tool("seal", "-", "--to", "mine.key.pem", "--out", "dump.sealed")
    tool("unseal", "dump.sealed", "--key", "mine.key", "--out", "dump")
    assert Path("dump").read_bytes() == b"dumped" * 1000


def test_a_sealed_file_is_opened_into_a_file_and_never_into_one_named_as_stdout(tool: CommandLine) -> None:
    Path("dump").write_bytes(b"dumped")
    tool("seal", "dump", "--to", "mine.key.pem", "--out", "dump.sealed")
    error = tool("unseal", "dump.sealed", "--key", "mine.key", "--out", "-", code=2)["error"]
    assert "opens into a file" in error["message"]
    assert not Path("-").exists()


def test_whoever_verifies_a_sealed_file_is_told_to_open_it_first(tool: CommandLine) -> None:
    Path("dump").write_bytes(b"dumped")
    tool("seal", "dump", "--to", "mine.key.pem", "--out", "dump.sealed")
    answer = tool("verify", "dump.sealed", "--key", "mine.key.pem", code=3)
    assert answer["code"] == "proof_malformed"
    assert "`unseal`" in answer["message"]


def test_a_private_key_named_as_a_recipient_is_answered_with_where_its_public_one_is(tool: CommandLine) -> None:
    Path("dump").write_bytes(b"dumped")
    error = tool("seal", "dump", "--to", "mine.key", "--out", "x", code=1)["error"]
    assert "`transport-key new`" in error["remedy"]


@pytest.mark.parametrize("command", ["seal", "unseal"])
def test_a_command_that_is_killed_leaves_no_file_under_the_final_name(
    tool: CommandLine, recipient: Recipient, command: str
) -> None:
    with recipient.file("dump", b"").open("r+b") as file:
        file.truncate(64 * CHUNK_BYTES)
    tool("seal", "dump", "--to", "mine.key.pem", "--out", "dump.sealed")
    arguments = {
        "seal": ["seal", "dump", "--to", "mine.key.pem", "--out", "out"],
        "unseal": ["unseal", "dump.sealed", "--key", "mine.key", "--out", "out"],
    }[command]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.DEVNULL)
    partial = Path("out.partial")
    while process.poll() is None and not (partial.exists() and partial.stat().st_size):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not Path("out").exists()
    tool(*arguments)
    assert Path("out").exists()
    assert not partial.exists()


def test_a_bundle_sealed_to_the_exchange_is_verified_by_it_alone(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = cli.settings.home
    cli.credit(METRO)
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    exchange = Recipient(cli.folder, monkeypatch)
    cli("transport-key", "new", "exchange.key")
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(home))
    told = cli("export", "bundle", "b.sealed", "--seal-to", "exchange.key.pem")
    assert b"travel.metro" not in Path("b.sealed").read_bytes()
    assert cli("verify", "b.sealed", "--key", "log.pem", code=3)["ok"] is False
    monkeypatch.setenv("CARBON_LEDGER_HOME", str(exchange.folder / "nothing here"))
    opened = cli("unseal", "b.sealed", "--key", "exchange.key", "--out", "b.zip")
    assert opened["key"] == told["sealed_to"]
    verified = cli("verify", "b.zip", "--key", "log.pem")
    assert (verified["ok"], verified["complete"], verified["credits"]) == (True, True, 1)


def test_help_of_the_new_commands_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("seal",), ("unseal",), ("transport-key", "new")):
        assert main([*words, "--help"]) == 0
    assert "Example:" in capsys.readouterr().out
