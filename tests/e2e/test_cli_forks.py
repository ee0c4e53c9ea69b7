"""An operator with the database and all keys: rewrites the log, cuts it, tells two stories. The witness finds each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.audit.checkpoint import parse_body
from domain.audit.note import parse_note
from interfaces.bootstrap import public_key_of, verifier
from tests.e2e.cli_tools import METRO, CommandLine, Ran
from tests.e2e.test_cli_background import started
from tests.e2e.witness_tools import WitnessLine
from tests.fixtures.ledgers import Server
from tests.fixtures.rewriting import make_everything_fit
from tests.fixtures.tampering import replace_in_facts

CREDIT = "carbon.account.behavior-credited.v1"


class OtherBook(CommandLine):
    """The command line on another book than the environment names."""

    def run(self, *arguments: str) -> Ran:
        assert self.settings.dsn is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CARBON_LEDGER_HOME", str(self.settings.home))
            patch.setenv("CARBON_LEDGER_DSN", self.settings.dsn.get_secret_value())
            return super().run(*arguments)


class Scene:
    """A log, its witness, and copies of the log that its operator makes."""

    def __init__(self, cli: CommandLine, server: Server) -> None:
        self.cli, self._server, self._copies = cli, server, list[str]()
        cli.credit(METRO, METRO.replace("t1", "t2"))
        cli.bytes(cli("keys", "show")["public_pem"].encode(), name="log.pem")
        cli("checkpoint", "sign", "--with-map", "--out", str(cli.folder / "given"))
        self.witness = WitnessLine.made(cli, "w1", "exchange.example/w1")
        self.folder = cli.folder / "shared"
        for name in ("inbox", "outbox"):
            (self.folder / name).mkdir(parents=True)

    def copy(self) -> OtherBook:
        """The database, the keys and the evidence, as they are now."""
        assert self.cli.settings.dsn is not None
        template = dict(part.split("=") for part in self.cli.settings.dsn.get_secret_value().split())["dbname"]
        name = f"copy{len(self._copies)}_of_{template}"
        self._server.copy(template, name)
        self._copies.append(name)
        settings = self._server.settings(name)
        for name in ("keys", "evidence"):
            shutil.copytree(self.cli.settings.home / name, settings.home / name, dirs_exist_ok=True)
        return OtherBook(settings, self.cli.folder)

    def drop(self) -> None:
        for name in self._copies:
            self._server.execute("DROP DATABASE {name} WITH (FORCE)", name=name)

    def ask(self, book: CommandLine, code: int = 0) -> dict[str, Any]:
        """The exchange by hand: a proof from where the witness stands, and its answer."""
        return self.witness.cosign(book("prove", "consistency", str(self.witness.size))["proof"], code=code)

    def answered(self, answer: dict[str, Any]) -> None:
        """What the witness signed last lies in its outbox."""
        (self.folder / "outbox" / "cosigned").write_text(answer["note"], encoding="utf-8")

    def collect(self, book: CommandLine) -> tuple[str, ...]:
        return ("checkpoint", "collect", "--witness-folder", str(self.folder), "--witness", self.witness.pem)

    def verify(self, file: str, *options: str, code: int = 0) -> dict[str, Any]:
        """As an auditor, who has the public keys and nothing else."""
        return self.cli("verify", file, "--key", str(self.cli.folder / "log.pem"), *options, code=code)


@pytest.fixture
def scene(cli: CommandLine, server: Server) -> Iterator[Scene]:
    made = Scene(cli, server)
    yield made
    made.drop()


def two_words_on_one_size(evidence: dict[str, Any], pem: str) -> bool:
    """Whether a stranger with the log's key sees, in one file, that the key signed two roots for one size."""
    request = json.loads(json.dumps(evidence["request"]))
    notes = [evidence["accepted"], request["old_checkpoint"], request["checkpoint"]]
    roots: dict[int, set[bytes]] = {}
    for note in notes:
        body, (own, *_) = parse_note(note.encode())
        assert verifier().verify(public_key_of(pem), body, own.signature)
        checkpoint = parse_body(body)
        roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
    return any(len(each) > 1 for each in roots.values())


def test_one_value_replaced_and_everything_signed_again_is_found_through_the_witness(scene: Scene) -> None:
    honest = scene.ask(scene.cli)
    scene.answered(honest)
    forged = scene.copy()
    with forged.sql() as conn:
        for old, new in (("12350", "12351"), ("889200", "889272")):
            assert replace_in_facts(conn, CREDIT, f'"{old}"', f'"{new}"')
        make_everything_fit(forged.settings, conn)
    forged("checkpoint", "rebuild")
    forged("views", "rebuild")

    # Nothing that the ledger can be held against shows it, and whoever trusts the log's key alone is deceived.
    assert forged("check")["ok"]
    assert forged("replay")["mismatches"] == 0
    assert forged("totals")["credited_mg"] == str(2 * 889_272)
    bundle = str(scene.cli.folder / "forged.zip")
    forged("export", "bundle", bundle, "--redacted")
    assert scene.verify(bundle)["ok"]

    # The auditor who asks for the witness is not; and the witness's word cannot be carried over.
    need = ("--witness", scene.witness.pem, "--need", "1 of 1")
    assert [each["code"] for each in scene.verify(bundle, *need, code=3)["findings"]] == ["witnesses_missing"]
    event = json.loads(forged("prove", "event", "1")["proof"])
    event["checkpoint"] += honest["note"].splitlines()[-1] + "\n"
    moved = scene.cli.bytes(json.dumps(event).encode(), name="moved.json")
    assert scene.verify(moved, *need, code=3)["code"] == "signature_wrong"

    # The forger's own tool says so as soon as it sees what the witness holds.
    assert forged.refused(*scene.collect(forged), code=3) == "log_forked"
    with started(forged, "checkpoint", "run", *scene.collect(forged)[2:]) as running:
        error = running.answered()["error"]
    assert (running.code, error["code"]) == (3, "log_forked")

    # The witness signs neither the old sizes told anew nor what follows, and keeps what convicts.
    size = scene.witness.size
    forged.credit(METRO.replace("t1", "t3"), name="t3.csv")
    refused = scene.ask(forged, code=3)
    assert (refused["ok"], refused["code"]) == (False, "log_forked")
    proof = json.loads(forged("prove", "consistency", str(size))["proof"])
    proof["old_checkpoint"] = honest["note"]
    assert scene.witness.cosign(json.dumps(proof), code=3)["code"] == "not_consistent"
    assert (scene.witness.size, len(scene.witness.evidence())) == (size, 2)
    pem = Path(scene.cli.folder / "log.pem").read_text()
    assert [two_words_on_one_size(each, pem) for each in scene.witness.evidence()] == [True, False]

    # The log itself goes on.
    scene.cli.credit(METRO.replace("t1", "t4"), name="t4.csv")
    assert scene.ask(scene.cli)["ok"]


def test_of_two_logs_that_begin_alike_the_witness_signs_one(scene: Scene) -> None:
    other = scene.copy()
    scene.cli.credit(METRO.replace("t1", "t3"), name="t3.csv")
    other.credit(METRO.replace("t1", "t4"), METRO.replace("t1", "t5"), name="t4.csv")
    theirs = other("prove", "consistency", str(scene.witness.size))["proof"]
    mine = scene.ask(scene.cli)
    assert mine["ok"]
    # As it was made, before the other was signed; then as if it began where the witness stands now.
    assert scene.witness.refused("cosign", scene.cli.bytes(theirs.encode(), name="theirs.json")) == "proof_elsewhere"
    proof = json.loads(theirs)
    proof["old_checkpoint"] = mine["note"]
    assert scene.witness.cosign(json.dumps(proof), code=3)["code"] == "not_consistent"
    scene.answered(mine)
    assert other.refused(*scene.collect(other), code=3) in ("log_forked", "log_behind_witness")


def test_a_log_that_was_cut_is_found_by_what_the_witness_holds(scene: Scene) -> None:
    backup = scene.copy()
    older = backup("checkpoint", "show")
    scene.cli.credit(METRO.replace("t1", "t3"), name="t3.csv")
    scene.answered(scene.ask(scene.cli))
    assert backup.refused(*scene.collect(backup), code=3) == "log_behind_witness"
    proof = {
        "format": "carbon-ledger/consistency-proof/1",
        "checkpoint": older["note"],
        "old_checkpoint": older["note"],
        "path": [],
    }
    refused = scene.witness.cosign(json.dumps(proof), code=3)
    assert refused["code"] == "log_rolled_back"
    assert scene.witness.evidence()[0]["code"] == "log_rolled_back"
    # Grown again past the size that was lost, with other events, it is a fork for ever.
    backup.credit(*(METRO.replace("t1", f"t{number}") for number in range(10, 20)), name="again.csv")
    assert backup.refused(*scene.collect(backup), code=3) == "log_forked"
