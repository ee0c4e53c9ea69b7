"""The background signer and the witness as processes of their own, with a folder between them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli_tools import METRO, CommandLine
from tests.e2e.test_cli_commands import documented_keys
from tests.e2e.test_cli_process import PROGRAM, book_environment, environment
from tests.e2e.witness_tools import WitnessLine

SOON_S = 60


class Running:
    """A command that runs until it is ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.code = 0
        self.stderr = ""

    def ended(self, number: int = signal.SIGTERM) -> dict[str, Any]:
        """Its answer, when it was asked to end."""
        self.process.send_signal(number)
        return self.answered()

    def answered(self) -> dict[str, Any]:
        stdout, stderr = self.process.communicate(timeout=SOON_S)
        self.code, self.stderr = self.process.returncode, stderr.decode()
        answer: dict[str, Any] = json.loads(stdout)
        return answer


@contextmanager
def started(cli: CommandLine, *arguments: str, ledger: bool = True) -> Iterator[Running]:
    env = book_environment(cli.settings) if ledger else environment()
    process = subprocess.Popen(
        [PROGRAM, *arguments, "--json"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A job of a shell in the background ignores Ctrl-C; this one must hear it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait()


def until(holds: Callable[[], object]) -> None:
    """Wait for something to hold."""
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def newest(cli: CommandLine) -> dict[str, Any]:
    return (cli("checkpoint", "list")["checkpoints"] or [{"size": 0, "map_position": 0}])[0]  # type: ignore[no-any-return]


def cut_connections(cli: CommandLine) -> None:
    with cli.sql() as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def credit(cli: CommandLine, number: int) -> int:
    answer = cli.credit(METRO.replace("t1", f"t{number}"), name=f"{number}.csv")
    position: int = answer["position"]
    return position


def test_the_signer_signs_news_and_maps_survives_a_lost_database_and_ends_when_asked(cli: CommandLine) -> None:
    with started(cli, "checkpoint", "run", "--every", "0.2", "--map-every", "2") as running:
        until(lambda: newest(cli)["map_position"])
        assert newest(cli)["size"] == cli("totals")["position"]
        size = credit(cli, 1)
        until(lambda: newest(cli)["size"] == size)
        until(lambda: newest(cli)["map_position"] == size)
        quiet = len(cli("checkpoint", "list")["checkpoints"])
        time.sleep(1)
        assert len(cli("checkpoint", "list")["checkpoints"]) == quiet  # no news, nothing to sign
        for number in (2, 3):
            cut_connections(cli)
            size = credit(cli, number)
            until(lambda: newest(cli)["size"] == size)  # noqa: B023  # asked at once
        cli("keys", "rotate", "--by", "alice")
        size = credit(cli, 4)
        until(lambda: newest(cli)["size"] == size)
        answer = running.ended()
    assert running.code == 0, running.stderr
    assert set(answer) == documented_keys()["checkpoint run"]
    assert answer["size"] == size
    assert answer["signed"] >= 4
    assert answer["with_map"] >= 2
    assert answer["retries"] >= 1
    assert "trying again" in running.stderr
    assert "signing again" in running.stderr
    assert "Traceback" not in running.stderr
    assert cli("check")["ok"]


def test_the_signer_ends_with_exit_code_3_when_the_log_is_not_what_was_signed(cli: CommandLine) -> None:
    with started(cli, "checkpoint", "run", "--every", "0.1") as running:
        until(lambda: newest(cli)["size"])
        with cli.sql() as conn:
            conn.execute("UPDATE journal.log_head SET size = size - 1")
        error = running.answered()["error"]
    assert (running.code, error["code"]) == (3, "log_behind_checkpoint")


def test_a_ledger_that_cannot_be_opened_is_not_waited_for(cli: CommandLine) -> None:
    nowhere = str(cli.folder / "nowhere")
    with started(cli, "checkpoint", "run", "--home", nowhere) as running:
        error = running.answered()["error"]
    assert (running.code, error["code"]) == (4, "not_initialized")


@pytest.fixture
def first(cli: CommandLine) -> str:
    """A first checkpoint, handed over."""
    credit(cli, 1)
    cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
    cli("checkpoint", "sign", "--out", str(cli.folder / "given"))
    return str(cli.folder / "log.pem")


def shared(cli: CommandLine, name: str) -> Path:
    folder = cli.folder / f"shared-{name}"
    for each in ("inbox", "outbox"):
        (folder / each).mkdir(parents=True)
    return folder


def running_witness(cli: CommandLine, witness: WitnessLine, folder: Path) -> Any:
    boxes = ("--inbox", str(folder / "inbox"), "--outbox", str(folder / "outbox"), "--every", "0.1")
    return started(cli, "witness", "run", *boxes, "--home", witness.home, ledger=False)


def test_two_of_three_witnesses_sign_what_a_busy_log_says_and_the_third_is_missed_by_nobody(
    cli: CommandLine, first: str
) -> None:
    witnesses = [WitnessLine.made(cli, f"w{n}", f"witness-{n}.example") for n in (1, 2, 3)]
    folders = [shared(cli, f"w{n}") for n in (1, 2, 3)]
    options = [word for folder in folders for word in ("--witness-folder", str(folder))]
    keys = [word for each in witnesses for word in ("--witness", each.pem)]
    with (
        running_witness(cli, witnesses[0], folders[0]) as one,
        running_witness(cli, witnesses[1], folders[1]) as two,
        started(cli, "checkpoint", "run", "--every", "0.2", "--map-every", "1", *options, *keys) as signer,
    ):
        size = max(credit(cli, number) for number in range(2, 6))
        bundle, event = str(cli.folder / "b.zip"), str(cli.folder / "e.json")
        exported = cli("export", "bundle", bundle, "--redacted", *options, *keys, "--wait", "8")
        assert [each["state"] for each in exported["witnesses"]] == ["cosigned", "cosigned", "silent"]
        need = (*keys, "--need", "2 of 3")
        names = [each["name"] for each in cli("verify", bundle, "--key", first, *need)["witnesses"]]
        assert names == ["witness-1.example", "witness-2.example"]
        credit(cli, 6)
        cli("prove", "event", "1", "--out", event, *options, *keys, "--wait", "5")
        size = cli("totals")["position"]
        assert cli("verify", event, "--key", first, *need)["size"] == size
        assert cli("verify", event, "--key", first, *keys, "--need", "3", code=3)["code"] == "witnesses_missing"
        # The third comes late, and is asked for what is newest then.
        with running_witness(cli, witnesses[2], folders[2]):
            until(lambda: cli("checkpoint", "show")["note"].count("— witness-") == 3)
        signed = signer.ended(signal.SIGINT)
        answers = [each.ended() for each in (one, two)]
    assert (signer.code, one.code, two.code) == (0, 0, 0), (signer.stderr, one.stderr, two.stderr)
    assert signed["cosignatures"] >= 1
    assert [each["refused"] for each in answers] == [0, 0]
    assert {each["size"] for each in answers} == {size}
    assert cli("check")["ok"]


def test_a_rotated_key_is_refused_until_it_is_trusted_and_then_signed_without_a_restart(
    cli: CommandLine, first: str
) -> None:
    witness, folder = WitnessLine.made(cli, "w1", "w1.example"), shared(cli, "w1")
    options = ("--witness-folder", str(folder), "--witness", witness.pem, "--wait", "20")
    with running_witness(cli, witness, folder) as running:
        until((folder / "outbox" / "cosigned").exists)
        position = cli("keys", "rotate", "--by", "alice")["first_size"]
        collected = cli("checkpoint", "collect", *options, code=3)
        assert [(each["state"], each["code"]) for each in collected["witnesses"]] == [("refused", "key_unknown")]
        rotation = str(cli.folder / "rotation.json")
        cli("prove", "event", str(position), "--out", rotation)
        witness("trust-key", rotation)

        def states() -> list[str]:
            # Refused, and so exit code 3, until the witness has looked again.
            ran = cli.run("checkpoint", "collect", *options[:4], "--json")
            return [each["state"] for each in json.loads(ran.stdout)["witnesses"]]

        until(lambda: states() == ["cosigned"])
        answer = running.ended()
    assert set(answer) == documented_keys()["witness run"]
    assert (running.code, answer["refused"], answer["signed"]) == (3, 1, 1)
    assert "refused: key_unknown" in running.stderr


def test_a_folder_that_anybody_may_write_to_can_neither_mislead_nor_block_the_witness(
    cli: CommandLine, first: str
) -> None:
    import os

    witness, folder = WitnessLine.made(cli, "w1", "w1.example"), shared(cli, "w1")
    inbox, request = folder / "inbox", folder / "inbox" / "request.json"
    (cli.folder / "secret").write_text("a secret of the witness")
    request.symlink_to(cli.folder / "secret")
    with running_witness(cli, witness, folder) as running:
        until((folder / "outbox" / "cosigned").exists)
        request.unlink()
        os.mkfifo(request)
        time.sleep(0.3)
        request.unlink()
        request.write_bytes(b"x" * (2 << 20))
        time.sleep(0.3)
        request.write_bytes(b"no json")
        until((folder / "outbox" / "refusal.json").exists)
        credit(cli, 2)
        for each in inbox.iterdir():
            each.unlink()
        options = ("--witness-folder", str(folder), "--witness", witness.pem, "--wait", "20")
        assert [each["state"] for each in cli("checkpoint", "collect", *options)["witnesses"]] == ["cosigned"]
        answer = running.ended()
    assert (running.code, answer["refused"]) == (0, 0)
    assert "secret" not in running.stderr.replace("/secret", "")
    told = json.loads((folder / "outbox" / "refusal.json").read_text())
    assert (told["code"], "secret" in json.dumps(told)) == ("proof_malformed", False)


def test_what_lies_in_an_outbox_and_is_no_word_of_the_witness_changes_nothing(cli: CommandLine, first: str) -> None:
    witness, folder = WitnessLine.made(cli, "w1", "w1.example"), shared(cli, "w1")
    other = WitnessLine.made(cli, "w2", "w2.example")
    cosigned = folder / "outbox" / "cosigned"
    options = ("--witness-folder", str(folder), "--witness", witness.pem)

    def stands() -> tuple[str, str]:
        (each,) = cli("checkpoint", "collect", *options)["witnesses"]
        return each["state"], each["code"]

    assert stands() == ("silent", "")
    note = cli("checkpoint", "show")["note"]
    for content, code in (
        (b"rubbish", "note_malformed"),
        (note.replace("\ntime 20", "\ntime 21").encode(), "signature_wrong"),
        (note.encode(), "witness_unknown"),
        (other.cosign(cli("prove", "consistency", str(other.size))["proof"])["note"].encode(), "witness_unknown"),
        (b"x" * (1 << 20), "folder_failed"),
    ):
        cosigned.write_bytes(content)
        assert stands() == ("failed", code)
    cosigned.write_text(witness.cosign(cli("prove", "consistency", str(witness.size))["proof"])["note"])
    assert stands() == ("cosigned", "")
    credit(cli, 2)
    assert stands() == ("asked", "")
    (folder / "outbox" / "refusal.json").write_text("[]")
    assert stands() == ("asked", "")
