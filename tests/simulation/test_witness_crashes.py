"""Kill -9 of a witness, while an operator with two logs asks for both: it never signs two roots for one size.

Every kill stands at a fork of its own: the witness is at some size, two logs go on from there, each with a good proof.
Whatever reached the outbox before the kill is kept; the next process is asked for both again.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from application.witnessing import beginning
from domain.audit.checkpoint import Checkpoint, body_of, parse_body
from domain.audit.merkle import consistency_path, subtree_root
from domain.audit.note import cosigned_message, key_hash_of, note_of, parse_note
from domain.audit.proofs import ConsistencyProof, consistency_proof_text, parse_proof
from domain.digest import leaf_hash, sm3_hex
from infrastructure.gm.sm2 import Sm2Key, new_sm2_key
from interfaces.bootstrap import Settings, create_witness, verifier

# Not at the same time as the other kills, which would make both slower.
pytestmark = pytest.mark.xdist_group("crashes")

LONG = os.environ.get("CARBON_LEDGER_LONG") == "1"
KILLS = 200 if LONG else 8
ORIGIN = "carbon-ledger/" + "0" * 32
SOON_S = 60
WITNESS = "from interfaces.cli.main import main; main()"
CARELESS = f"""
from threading import Timer
from infrastructure.witness_files import WitnessFiles
saved = WitnessFiles.accept
WitnessFiles.accept = lambda self, note: Timer(0.1, saved, (self, note)).start()
{WITNESS}
"""
"""The same, but it signs first and saves a moment later."""


class Operator:
    """Has the log's key, and as many logs as he likes."""

    def __init__(self) -> None:
        self.key: Sm2Key = new_sm2_key()

    def note(self, leaves: Sequence[bytes]) -> bytes:
        size = len(leaves)
        body = body_of(Checkpoint(ORIGIN, size, subtree_root(leaves), 1, 1_000 * size))
        return note_of(body, [(ORIGIN, key_hash_of(ORIGIN, b"\4" + self.key.public_key), self.key.sign(body))])

    def request(self, old: Sequence[bytes], new: Sequence[bytes]) -> bytes:
        path = consistency_path(len(old), len(new), lambda level, n: subtree_root(new[n << level :][: 1 << level]))
        return consistency_proof_text(ConsistencyProof(self.note(old), path), self.note(new)).encode()


class Killed:
    """A witness that is killed again and again; ``signed``: every root that it gave out a signature for, by size."""

    def __init__(self, folder: Path, program: str) -> None:
        self.operator = Operator()
        self.leaves = [leaf_hash(b"first")]
        self._home, self._folder, self._program = folder / "home", folder, program
        known = beginning("w", ORIGIN, self.operator.key.public_key, self.operator.note(self.leaves), verifier())
        self._key = create_witness(Settings(home=self._home), known).signer.public_key
        self.signed: dict[int, set[bytes]] = {}
        for name in ("inbox", "outbox"):
            (folder / name).mkdir()
        self._process = self._started()

    def fork(self, number: int, chance: random.Random) -> None:
        """Two logs, a kill at some moment, and both again."""
        branches = [[*self.leaves, leaf_hash(f"{number} {each}".encode())] for each in ("one", "other")]
        requests = [self.operator.request(self.leaves, branch) for branch in branches]
        self._ask(requests[0])
        time.sleep(chance.random() * 0.15)
        self._process.kill()
        self._process.wait()
        self._look()
        self._process = self._started()
        for request in (requests[1], requests[0]):
            self._ask(request)
            self._answered(request)
        self._look()
        (root,) = {subtree_root(branch) for branch in branches} & self.signed[len(branches[0])] or {b""}
        self.leaves = next(branch for branch in branches if subtree_root(branch) == root)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        answer = self._folder / "outbox" / "cosigned"
        before = answer.stat().st_mtime_ns if answer.exists() else 0
        boxes = ("--inbox", str(self._folder / "inbox"), "--outbox", str(self._folder / "outbox"))
        arguments = ("witness", "run", *boxes, "--every", "0.05", "--home", str(self._home))
        process = subprocess.Popen([sys.executable, "-c", self._program, *arguments], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SOON_S
        while not answer.exists() or answer.stat().st_mtime_ns == before:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self._look()
        return process

    def _ask(self, request: bytes) -> None:
        beside = self._folder / "inbox" / ".request"
        beside.write_bytes(request)
        beside.replace(self._folder / "inbox" / "request.json")

    def _answered(self, request: bytes) -> None:
        """Until this request is signed or refused."""
        refusal, wanted = self._folder / "outbox" / "refusal.json", parse_body(_new(request))
        deadline = time.monotonic() + SOON_S
        while True:
            self._look()
            if wanted.root in self.signed.get(wanted.size, ()):
                return
            if refusal.exists() and sm3_hex(request) in refusal.read_text(encoding="utf-8"):
                return
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _look(self) -> None:
        answer = self._folder / "outbox" / "cosigned"
        if answer.exists():
            body, (_, line) = parse_note(answer.read_bytes())
            assert verifier().verify(self._key, cosigned_message(body, line.signed_s or 0), line.signature)
            checkpoint = parse_body(body)
            self.signed.setdefault(checkpoint.size, set()).add(checkpoint.root)


def _new(request: bytes) -> bytes:
    return parse_note(parse_proof(request)[1])[0]


def forks_signed_twice(folder: Path, program: str, kills: int, *, seed: int) -> int:
    """How many sizes have two roots with signatures, after so many kills or at the first such size."""
    killed = Killed(folder, program)
    try:
        for number in range(kills):
            try:
                killed.fork(number, random.Random(seed + number))
            except ValueError:
                break  # more than one root is signed
    finally:
        killed.end()
    return sum(len(roots) > 1 for roots in killed.signed.values())


def test_a_witness_killed_at_any_moment_never_signs_two_roots_for_one_size(tmp_path: Path) -> None:
    assert forks_signed_twice(tmp_path, WITNESS, KILLS, seed=7) == 0


def test_the_kills_find_a_witness_that_signs_before_it_saves(tmp_path: Path) -> None:
    assert forks_signed_twice(tmp_path, CARELESS, 20, seed=7) == 1
